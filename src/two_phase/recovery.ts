/**
 * Recovery: restores the node's state before it went down from its journal.
 *
 * The records are replayed in their order. A prepared record takes its locks again and puts its
 * transaction back into doubt; a committed or aborted one ends it. Transactions left in doubt at
 * the end hold their locks before any request is served. This node's own ones resume (see
 * {@linkcode Coordinator.resume}); for the others, their coordinators send the decision when the
 * links come up.
 *
 * Replaying is idempotent over a store that is newer than the records: an effect is skipped if the
 * key already has its version, or a later one. So a checkpoint may be written during normal work.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { applyEffectsAgain } from "./effects.ts";
import type { Coordinator } from "./coordinator.ts";
import { settleAll } from "./settlement.ts";
import { writeTransferred } from "./transfer.ts";
import {
  baseOf,
  incarnationBase,
  type JournalRecord,
  type NodeId,
  type TransactionNumber,
  type View,
} from "./messages.ts";
import { countsAsProgress } from "./peer_journals.ts";
import type { Participant } from "./participant.ts";
import { Transaction, type TransactionOutcome } from "./state.ts";

/** What recovery works on. */
export interface RecoveryOptions {
  readonly context: Context;
  readonly coordinator: Coordinator;
  readonly participant: Participant;
  readonly records: readonly JournalRecord[];
  /** See `ReplicaOptions`. */
  readonly isTrusted: boolean;
}

/** Replays the journal's records, then starts the roles. */
export function recover(options: RecoveryOptions): void {
  const { context, coordinator } = options;
  const { transactions, self, membership, outbox } = context;
  let progress = 0;
  for (const record of options.records) {
    if (record.type === "position") progress = record.position;
    else if (countsAsProgress(record)) progress++;
    replay(options, record);
  }
  outbox.restoreProgress(progress);
  membership.start({
    isTrusted: options.isTrusted ||
      options.records.length === 0 && membership.identity.incarnation === 1,
  });
  const { incarnation } = membership.identity;
  transactions.startIncarnation(self, incarnationBase(incarnation));
  transactions.close(self, []);
  transactions.allDurable();
  coordinator.start(incarnation);
  coordinator.resume();
}

function replay(options: RecoveryOptions, record: JournalRecord): void {
  const { context } = options;
  switch (record.type) {
    case "view":
      replayView(options, record.view);
      return;
    case "membership":
      context.membership.restoreMembership(record);
      context.transactions.reset(context.membership.view.bases);
      return;
    case "offset":
      context.membership.offset = record.incarnations;
      return;
    case "promise":
      context.membership.promise(record.ballot, record.journal);
      return;
    case "accepted":
      context.membership.restoreAccepted({
        ballot: record.ballot,
        journal: record.journal,
        proposal: record.proposal,
      });
      return;
    case "transfer":
      if (record.isFirst) {
        context.membership.restoreJoined(undefined);
        options.participant.dropAll();
        context.store.clear();
      }
      writeTransferred(context, record.entries);
      return;
    case "joined":
      options.participant.dropAll();
      context.clock.observe(record.clock);
      writeTransferred(context, record.entries);
      for (const one of record.prepared) options.participant.restore(one);
      context.membership.restoreJoined({ ballot: record.ballot, report: record.report });
      return;
    case "sighting":
      context.membership.peerJournals.restore(record);
      return;
    case "position":
      return;
    case "clock":
      context.clock.observe(record.stamp);
      return;
    case "mark":
      context.transactions.startIncarnation(record.coordinator, baseOf(record.upTo));
      context.transactions.forget(record.coordinator, record.upTo);
      return;
    case "prepared":
      if (record.coordinator === context.self) options.coordinator.restore(record);
      else options.participant.restore(record);
      return;
    case "committed":
    case "aborted":
      restoreOutcome(options, record, record.type);
      return;
  }
}

/** A view was installed: it settled all transactions before it. */
function replayView({ context, coordinator }: RecoveryOptions, view: View): void {
  const { membership, store } = context;
  const wasMember = membership.isMember;
  settleAll(context, { view, isNext: view.number === membership.view.number + 1 });
  coordinator.restoredView();
  membership.restore(view);
  if (wasMember && !membership.isMember) store.clear();
}

function restoreOutcome(
  options: RecoveryOptions,
  about: { readonly coordinator: NodeId; readonly number: TransactionNumber },
  outcome: TransactionOutcome,
): void {
  const { context, coordinator } = options;
  const { transactions, locks, store, self } = context;
  const { number } = about;
  transactions.startIncarnation(about.coordinator, baseOf(number));
  if (transactions.isForgotten(about.coordinator, number)) return;
  const known = transactions.get(about.coordinator, number);
  if (known instanceof Transaction) {
    if (outcome === "aborted") known.transitionTo("aborting");
    known.transitionTo(outcome);
    if (outcome === "committed") applyEffectsAgain(store, known);
    locks.release(known);
    if (about.coordinator === self) coordinator.restoredOutcome();
  }
  transactions.discardTransaction(about.coordinator, number, outcome);
  transactions.settle(about.coordinator, number);
}
