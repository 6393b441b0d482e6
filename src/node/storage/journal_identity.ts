/**
 * What the views in a journal say: the cluster that it belongs to, the nodes of the cluster, and
 * which of them owns the journal.
 *
 * Views give each node its id, so with another list the journal would mean other nodes. Views also
 * list the journal of each node.
 *
 * @module
 */

import type { JournalRecord, NodeId, View } from "../../two_phase/messages.ts";

/** Returns the view that a node with these records installed last; `undefined` for none. */
export function lastView(records: readonly JournalRecord[]): View | undefined {
  let view: View | undefined;
  for (const record of records) {
    if (record.type === "view" || record.type === "membership") view = record.view;
  }
  return view?.number === 0 ? undefined : view;
}

/** Returns the names of the nodes that `view` lists as configured, in the order of their ids. */
export function configuredNames({ names }: Pick<View, "names">): string[] {
  return names.filter((name) => name !== "");
}

/** Tells whether two lists name the same nodes, in any order. */
export function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

/**
 * Returns the names of the configured nodes by id, for a node with these records: ids are given
 * once, by the first view of a cluster, and never move. Without a view, a node's id is the place of
 * its name in the list.
 *
 * @param names the names of the configured nodes, sorted
 */
export function namesById(
  records: readonly JournalRecord[],
  names: readonly string[],
): readonly string[] {
  const view = lastView(records);
  if (view === undefined) return names;
  if (isSameList(configuredNames(view), names)) return view.names;
  const [alone] = names;
  // A cluster of one node may have another name than before.
  const isAlone = names.length === 1 && configuredNames(view).length === 1;
  return isAlone && alone !== undefined
    ? view.names.map((name) => name === "" ? "" : alone)
    : names;
}

/**
 * Returns why a node with these records cannot be started with this list, or `undefined` if it can.
 *
 * @param names the names of the configured nodes, sorted
 */
export function whyNotThisList(
  records: readonly JournalRecord[],
  names: readonly string[],
): string | undefined {
  const view = lastView(records);
  if (view === undefined) return undefined;
  // A cluster of one node may have another name than before.
  const old = configuredNames(view);
  if (old.length === 1 && names.length === 1) return undefined;
  if (isSameList(old, names)) return undefined;
  return `the journal is of a cluster of ${old.join(", ")} (view ${view.number}), not of ` +
    `${names.join(", ")}: start with the same --peers, or with an empty journal; if a majority ` +
    "of its nodes is lost for good, see --force-new-cluster";
}

/**
 * Returns whose journal this is by its last view, which lists the journal of each node; `undefined`
 * if there is no view, or none lists this journal yet.
 *
 * Another node must not continue with the votes and promises of the owner, not even as a stranger:
 * it would join from empty, and leave the owner without its journal.
 *
 * @param journal the id of the journal that holds `records`
 */
export function ownerOf(
  records: readonly JournalRecord[],
  journal: string,
): NodeId | undefined {
  const owner = lastView(records)?.journals.indexOf(journal) ?? -1;
  return owner < 0 ? undefined : owner;
}

/**
 * Returns why a node may not use the journal of another node of the list, or `undefined` if it may.
 *
 * @param options the id of the journal that holds `records`, its place, and the node's name
 */
export function whyNotThisJournal(
  records: readonly JournalRecord[],
  options: { readonly journal: string; readonly place: string; readonly name: string },
): string | undefined {
  const { journal, place, name } = options;
  const owner = ownerOf(records, journal);
  const names = lastView(records)?.names ?? [];
  // The list may be new, and the owner may have another name in it: see `new_cluster.ts`.
  if (owner === undefined || names[owner] === name || !names.includes(name)) return undefined;
  return `the journal in ${place} is that of ${names[owner]}, and this node is ${name}: ` +
    "give each node its own, or this one an empty one";
}
