/**
 * What the views in a journal say: which cluster it belongs to, which nodes that has, and which of them
 * this is.
 *
 * Views give each node its id, so with another list the journal would mean others; and they list whose
 * journal is whose.
 *
 * @module
 */

import type { JournalRecord, NodeId, View } from "../../two_phase/messages.ts";

/** Returns the view that a node with these records has installed last; `undefined` for none. */
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

/** Tells whether two lists name the same nodes, in whatever order. */
export function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

/**
 * Returns the names of the configured nodes by id, for a node with these records: ids are given once, by
 * the first view of a cluster, and never move. Without a view, a node has the place of its name in the
 * list.
 *
 * @param names what the configured nodes are called, sorted
 */
export function namesById(
  records: readonly JournalRecord[],
  names: readonly string[],
): readonly string[] {
  const view = lastView(records);
  if (view === undefined) return names;
  if (isSameList(configuredNames(view), names)) return view.names;
  const [alone] = names;
  // A node alone may be reached by another name than before.
  const isAlone = names.length === 1 && configuredNames(view).length === 1;
  return isAlone && alone !== undefined
    ? view.names.map((name) => name === "" ? "" : alone)
    : names;
}

/**
 * Returns why a node with these records cannot be started with this list, or `undefined` where it can.
 *
 * @param names what the configured nodes are called, sorted
 */
export function whyNotThisList(
  records: readonly JournalRecord[],
  names: readonly string[],
): string | undefined {
  const view = lastView(records);
  if (view === undefined) return undefined;
  // A node alone may be reached by another name than before.
  const old = configuredNames(view);
  if (old.length === 1 && names.length === 1) return undefined;
  if (isSameList(old, names)) return undefined;
  return `the journal is of a cluster of ${old.join(", ")} (view ${view.number}), not of ` +
    `${names.join(", ")}: start with the same --peers, or with an empty journal; if a majority ` +
    "of its nodes is lost for good, see --force-new-cluster";
}

/**
 * Returns whose journal this is by its last view, which lists that of each node; `undefined` where it
 * has none, or was not let in yet.
 *
 * Votes and promises of one node must not be gone on with at another one, not even as a stranger: that
 * builds from empty, and would leave the owner without its journal.
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
 * Returns why a node may not use the journal of another node of the list, or `undefined` where it may.
 *
 * @param options the id of the journal that holds `records`, its place, and what the node is called
 */
export function whyNotThisJournal(
  records: readonly JournalRecord[],
  options: { readonly journal: string; readonly place: string; readonly name: string },
): string | undefined {
  const { journal, place, name } = options;
  const owner = ownerOf(records, journal);
  const names = lastView(records)?.names ?? [];
  // The list may be a new one, in which the owner has another name: see `new_cluster.ts`.
  if (owner === undefined || names[owner] === name || !names.includes(name)) return undefined;
  return `the journal in ${place} is that of ${names[owner]}, and this node is ${name}: ` +
    "give each node its own, or this one an empty one";
}
