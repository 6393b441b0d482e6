/**
 * Checkpoints: the records that stand for everything a node knows of transactions at one moment.
 *
 * A journal that holds these records, behind the stored entries, needs none of the records before
 * them. What is committed stands in the entries; so of a decided transaction its outcome is enough,
 * and of one that every member has settled nothing at all.
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { JournalRecord, NodeId } from "./messages.ts";
import type { Transaction } from "./state.ts";

/** Returns the records, in an order in which they can be replayed. */
export function checkpointRecords(context: Context): JournalRecord[] {
  const { clock, membership, transactions, outbox } = context;
  const { view, promised, promisedTo, accepted } = membership;
  const records: JournalRecord[] = [{ type: "clock", stamp: clock.last }];
  records.push({
    type: "membership",
    view,
    isMember: membership.isMember,
    joined: membership.joined,
    offset: membership.offset,
  });
  if (accepted !== undefined) records.push({ type: "accepted", ...accepted });
  if (promised > 0) records.push({ type: "promise", ballot: promised, journal: promisedTo });
  const prepared: Transaction[] = [];
  for (const coordinator of transactions.coordinators()) {
    const upTo = transactions.forgottenUpTo(coordinator);
    if (upTo > 0) records.push({ type: "mark", coordinator, upTo });
    for (const [transaction, known] of transactions.of(coordinator)) {
      if (typeof known === "string") {
        records.push({ type: known, coordinator, number: transaction });
      } else if (known.isPreparedOrPreparing) prepared.push(known);
      else if (known.state !== "waiting") records.push(decided(coordinator, known));
    }
  }
  // Locks are taken again in the order of these records: that in which they were granted.
  prepared.sort((a, b) => a.grantOrder - b.grantOrder);
  for (const { coordinator, prepare } of prepared) {
    if (prepare !== undefined) records.push({ type: "prepared", coordinator, prepare });
  }
  // Its record is appended already, and would be lost with all before the checkpoint.
  const { installing } = membership;
  if (installing !== undefined) records.push({ type: "view", view: installing });
  records.push(...membership.peerJournals.records);
  // Last: what stands before it is no progress, but what came of it.
  records.push({ type: "position", position: outbox.progress });
  return records;
}

/** The outcome of a transaction that is still more than its outcome to this node. */
function decided(coordinator: NodeId, transaction: Transaction): JournalRecord {
  const type = transaction.state === "committed" ? "committed" : "aborted";
  return { type, coordinator, number: transaction.number };
}
