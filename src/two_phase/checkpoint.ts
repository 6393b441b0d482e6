/**
 * Checkpoints: the records that stand for everything a node knows of transactions at one moment.
 *
 * A journal that holds these records, after the stored entries, needs none of the records before
 * them. The entries hold what is committed. So a decided transaction needs only its outcome, and
 * one that every member has settled needs no record at all.
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
  // Recovery takes the locks in the order of these records, so this is the order of the grants.
  prepared.sort((a, b) => a.grantOrder - b.grantOrder);
  for (const { coordinator, prepare } of prepared) {
    if (prepare !== undefined) records.push({ type: "prepared", coordinator, prepare });
  }
  // Its record is already appended, but the checkpoint would drop it with everything before.
  const { installing } = membership;
  if (installing !== undefined) records.push({ type: "view", view: installing });
  records.push(...membership.peerJournals.records);
  // Last: the records before it restate earlier progress and must not be counted as new.
  records.push({ type: "position", position: outbox.progress });
  return records;
}

/** The outcome of a transaction of which this node still holds more than the outcome. */
function decided(coordinator: NodeId, transaction: Transaction): JournalRecord {
  const type = transaction.state === "committed" ? "committed" : "aborted";
  return { type, coordinator, number: transaction.number };
}
