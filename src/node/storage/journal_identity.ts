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

/** Returns a list of nodes as a sentence has it. */
export function describeList(names: readonly string[]): string {
  return names.filter((name) => name !== "").toSorted().join(", ");
}

/**
 * Tells whether the node with this journal is a cluster of one, and is given one name: it may have another one
 * than before. (The one node of the list may be another, if this one was removed.)
 */
function isAlone(view: View, { given, journal }: StartOptions): boolean {
  const isOwn = view.journals.includes(journal);
  return given.length === 1 && configuredNames(view).length === 1 && isOwn;
}

/** With what a node starts. */
export interface StartOptions {
  /** The names on the command line, sorted. */
  readonly given: readonly string[];
  /** The id of the node's journal. */
  readonly journal: string;
}

/**
 * Returns the names of the configured nodes by id, with which a node with these records starts, and
 * the view that lists them. The list of the last view counts. Without a view it is the list that was
 * given, and a node's id is the place of its name; the number of the view is 0 then.
 *
 * @param options `mayRename`: a cluster of one takes the name that is given
 */
export function startList(
  records: readonly JournalRecord[],
  options: StartOptions & { readonly mayRename: boolean },
): { readonly view: number; readonly names: readonly string[] } {
  const { given, mayRename } = options;
  const view = lastView(records);
  if (view === undefined) return { view: 0, names: given };
  const [alone] = given;
  const names = mayRename && alone !== undefined && isAlone(view, options)
    ? view.names.map((name) => name === "" ? "" : alone)
    : view.names;
  return { view: view.number, names };
}

/** Returns the records of a node, with `name` as its name if its last view has no other node. */
export function renamed(records: readonly JournalRecord[], name: string): readonly JournalRecord[] {
  const view = lastView(records);
  if (view === undefined || configuredNames(view).length !== 1) return records;
  return records.map((record) => {
    if (record.type !== "view" && record.type !== "membership") return record;
    if (record.view !== view) return record;
    const names = view.names.map((one) => one === "" ? "" : name);
    return { ...record, view: { ...view, names } };
  });
}

/**
 * Returns how the list on the command line of a node with these records differs from that of its
 * journal, which counts; `undefined` if it does not.
 */
export function howListDiffers(
  records: readonly JournalRecord[],
  options: StartOptions,
): string | undefined {
  const { given } = options;
  const view = lastView(records);
  if (view === undefined || isAlone(view, options)) return undefined;
  const names = configuredNames(view);
  if (isSameList(names, given)) return undefined;
  return `the nodes of the cluster are ${
    describeList(names)
  } (view ${view.number} in the journal), ` +
    `and --peers is ${describeList(given)}: the journal counts. To change the nodes, use ` +
    "dks client member; if a majority of them is lost for good, see --force-new-cluster";
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
