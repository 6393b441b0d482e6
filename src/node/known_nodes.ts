/**
 * Whether a journal belongs to the cluster that a node is started for.
 *
 * Views name nodes by their place in the list, so with another list the journal would mean others.
 *
 * @module
 */

import type { JournalRecord, View } from "../two_phase/messages.ts";

/**
 * Returns why a node with these records cannot be started with this list, or `undefined` where it can.
 *
 * @param names what the configured nodes are called, sorted
 */
export function whyNotThisList(
  records: readonly JournalRecord[],
  names: readonly string[],
): string | undefined {
  let view: View | undefined;
  for (const record of records) {
    if (record.type === "view" || record.type === "standing") view = record.view;
  }
  if (view === undefined || view.number === 0) return undefined;
  // A node alone may be reached by another name than before.
  if (view.names.length === 1 && names.length === 1) return undefined;
  if (view.names.join() === names.join()) return undefined;
  return `the journal is of a cluster of ${view.names.join(", ")} (view ${view.number}), not of ` +
    `${names.join(", ")}: start with the same --peers, or with an empty journal`;
}
