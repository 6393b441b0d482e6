/**
 * What the views in a journal say: which cluster it belongs to, and which nodes that has.
 *
 * Views name nodes by their place in the list, so with another list the journal would mean others.
 *
 * @module
 */

import type { JournalRecord, View } from "../two_phase/messages.ts";

/** Returns the view that a node with these records has installed last; `undefined` for none. */
export function lastView(records: readonly JournalRecord[]): View | undefined {
  let view: View | undefined;
  for (const record of records) {
    if (record.type === "view" || record.type === "standing") view = record.view;
  }
  return view?.number === 0 ? undefined : view;
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
  if (view.names.length === 1 && names.length === 1) return undefined;
  if (view.names.join() === names.join()) return undefined;
  return `the journal is of a cluster of ${view.names.join(", ")} (view ${view.number}), not of ` +
    `${
      names.join(", ")
    }: start with the same --peers, or with an empty journal; if a majority of ` +
    "its nodes is lost for good, see --force-new-cluster";
}
