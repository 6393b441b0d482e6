/**
 * Whether a journal belongs to the cluster, and to the node of it, that a node is started for.
 *
 * Views name nodes by their place in the list, so with another list the journal would mean others; and
 * they list whose journal is whose.
 *
 * @module
 */

import type { JournalRecord, NodeIndex, View } from "../two_phase/messages.ts";

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
  if (view === undefined || view.number === 0) return undefined;
  // A node alone may be reached by another name than before.
  if (view.names.length === 1 && names.length === 1) return undefined;
  if (view.names.join() === names.join()) return undefined;
  return `the journal is of a cluster of ${view.names.join(", ")} (view ${view.number}), not of ` +
    `${names.join(", ")}: start with the same --peers, or with an empty journal`;
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
): NodeIndex | undefined {
  const owner = lastView(records)?.journals.indexOf(journal) ?? -1;
  return owner < 0 ? undefined : owner;
}

/** Returns why the journal of another node is refused, in a sentence. */
export function whyNotThisJournal(
  names: readonly string[],
  about: { readonly owner: NodeIndex; readonly self: NodeIndex; readonly place: string },
): string {
  const owner = names[about.owner] ?? `node ${about.owner}`;
  return `the journal in ${about.place} is that of ${owner}, and this node is ` +
    `${names[about.self]}: give each node its own, or this one an empty one`;
}

function lastView(records: readonly JournalRecord[]): View | undefined {
  let view: View | undefined;
  for (const record of records) {
    if (record.type === "view" || record.type === "standing") view = record.view;
  }
  return view;
}
