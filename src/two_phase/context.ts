/**
 * What the roles of one replica share.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import type { HybridClock } from "./hybrid_clock.ts";
import type { LockTable } from "./lock_table.ts";
import type { Membership } from "./membership.ts";
import {
  baseOf,
  type NodeIndex,
  type Prepare,
  type PreparedRecord,
  type TransactionNumber,
} from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import { Transaction } from "./state.ts";
import type { Entry, Store } from "./store.ts";
import type { TransactionTable } from "./transaction_table.ts";

/** The times of the protocol, in milliseconds. */
export interface Timing {
  /** A request is answered within this time, whatever happens. */
  readonly timeoutMs: number;
  /** When this much is left of it, a request is given up, so that an abort can still be confirmed. */
  readonly giveUpMs: number;
  /** How long a heartbeat round is good for reading. */
  readonly leaseMs: number;
  /** A member that was not heard of for so long is suspected. */
  readonly suspicionMs: number;
  /** Time between heartbeat rounds. */
  readonly heartbeatMs: number;
  /** How much the rate of a clock may be off, as a part of 1; less than 1. */
  readonly driftMax: number;
}

/** The times of the views, where nothing else is said. */
export const VIEW_TIMING = {
  leaseMs: 1000,
  suspicionMs: 1000,
  heartbeatMs: 200,
  // Far beyond what a quartz does: a time service that corrects a clock slews it by up to 8.3 %.
  driftMax: 0.1,
} as const;

/** Returns the timing for requests that end within `timeoutMs`. */
export function timingFor(
  timeoutMs: number,
  views: Omit<Timing, "timeoutMs" | "giveUpMs"> = VIEW_TIMING,
): Timing {
  return { ...views, timeoutMs, giveUpMs: Math.min(500, timeoutMs / 5) };
}

/** How often things happened since the start. Each also proves that a rare path was walked. */
export interface Counters {
  /** Requests answered, by outcome. */
  answered: number;
  rejected: number;
  aborted: number;
  indeterminate: number;
  /** Transactions that this node coordinated and committed. */
  commits: number;
  /** Transactions that this node coordinated and aborted, for whatever reason. */
  aborts: number;
  /** Attempts after the first of a request. */
  retries: number;
  /** Requests that committed at a later attempt than their first. */
  commitsAfterRetry: number;
  /** Transactions of others that had to wait here for a lock. */
  waits: number;
  /** Transactions of others that were refused here because an older one holds a key. */
  deaths: number;
  /** Transactions of others refused while they were in line, as somebody older came by. */
  deathsInLine: number;
  /** Transactions that went on a chain instead of waiting for the one before. */
  chained: number;
  /** Transactions aborted because they follow one that was. */
  abortedWithLeader: number;
  /** Requests in line that got their locks later. */
  grantsFromLine: number;
  /** Reads that waited for the outcome of a transaction. */
  readsThatWaited: number;
  /** Evaluations without an effect that waited for what they had seen to be committed. */
  evaluationsThatWaited: number;
  /** Evaluations without an effect on several keys that had to wait for all of them to be free. */
  evaluationsAlone: number;
  /** Evaluations without an effect made anew, as what they had seen was aborted. */
  evaluationsRedone: number;
  /** Yes votes for a transaction that had been aborted meanwhile. */
  votesAfterAbort: number;
  /** Prepares of a transaction that this node knew already. */
  repeatedPrepares: number;
  /** Prepares that came after the abort of the same transaction. */
  preparesAfterAbort: number;
  /** Prepares under the low-water mark. */
  preparesForgotten: number;
  /** Aborts of a transaction that this node had never heard of. */
  abortsOfUnknown: number;
  /** Messages of another view, or about a transaction that is not known any more. */
  stale: number;
  /** Messages and views of another cluster. */
  foreign: number;
  /** Transactions given up as the time was over. */
  givenUp: number;
  /** Prepares, commits and aborts sent again as a link came up. */
  resent: number;
  /** Incarnations that this process took as the numbers of the one before came to an end. */
  incarnationsTaken: number;
  /** Own transactions that were undecided when this node started, and how they ended. */
  recoveredOwn: number;
  recoveredCommits: number;
  recoveredAborts: number;
  /** Transactions of others that were prepared when this node went down. */
  recoveredForeign: number;
  /** Transactions aborted as their coordinator has no record of them after a restart. */
  presumedAborts: number;
  /** Reads that could not be answered at once as there was no lease. */
  readsWithoutLease: number;
  /** Attempts of this node to have a view chosen, and those that led nowhere. */
  viewAttempts: number;
  viewAttemptsGivenUp: number;
  /** Ballots promised; attempts of others refused for a higher one. */
  promises: number;
  viewRefusals: number;
  viewsInstalled: number;
  /** An attempt found that a later view was installed elsewhere. */
  viewsMissed: number;
  /** Members that promised without having installed the view, and were sent it. */
  laggingMembers: number;
  /** Accepted proposals that were proposed again as they were. */
  proposalsRepeated: number;
  /** Transactions in doubt that a view change committed or aborted. */
  settledByCommit: number;
  settledByAbort: number;
  /** Own transactions whose clients waited while a view change settled them. */
  ownSettledByCommit: number;
  ownSettledByAbort: number;
  /** Own transactions that a view committed though this node had aborted them by itself. */
  ownAbortsOverruled: number;
  /** Own transactions whose outcome stands in a view that this node has missed. */
  outcomesMissed: number;
  /** Installations that waited for leases, or did not as who had them gave them up. */
  leasesWaitedFor: number;
  leasesGivenUp: number;
  /** Views that excluded this node. */
  exclusions: number;
  /** Transfers begun as a source; their last parts sent; and got, as a joiner. */
  transfers: number;
  finals: number;
  joins: number;
  /** Last parts of transfers that came before the view that they belong to. */
  finalsAhead: number;
  /** Outsiders that were brought in as too few members were left. */
  joinersForced: number;
  /** Joiners of an earlier attempt that a proposal of this node counts on. */
  proxies: number;
  /** Views that this node was admitted to as a joiner. */
  admissions: number;
  /** Requests refused as there is no majority. */
  belowMajority: number;
  /** Votes that were not sent as a promise had come before them. */
  votesWithheld: number;
}

/** Returns counters that all stand at 0. */
export function newCounters(): Counters {
  return {
    answered: 0,
    rejected: 0,
    aborted: 0,
    indeterminate: 0,
    commits: 0,
    aborts: 0,
    retries: 0,
    commitsAfterRetry: 0,
    waits: 0,
    deaths: 0,
    deathsInLine: 0,
    chained: 0,
    abortedWithLeader: 0,
    grantsFromLine: 0,
    readsThatWaited: 0,
    evaluationsThatWaited: 0,
    evaluationsAlone: 0,
    evaluationsRedone: 0,
    votesAfterAbort: 0,
    repeatedPrepares: 0,
    preparesAfterAbort: 0,
    preparesForgotten: 0,
    abortsOfUnknown: 0,
    stale: 0,
    foreign: 0,
    givenUp: 0,
    resent: 0,
    incarnationsTaken: 0,
    recoveredOwn: 0,
    recoveredCommits: 0,
    recoveredAborts: 0,
    recoveredForeign: 0,
    presumedAborts: 0,
    readsWithoutLease: 0,
    viewAttempts: 0,
    viewAttemptsGivenUp: 0,
    promises: 0,
    viewRefusals: 0,
    viewsInstalled: 0,
    viewsMissed: 0,
    laggingMembers: 0,
    proposalsRepeated: 0,
    settledByCommit: 0,
    settledByAbort: 0,
    ownSettledByCommit: 0,
    ownSettledByAbort: 0,
    ownAbortsOverruled: 0,
    outcomesMissed: 0,
    leasesWaitedFor: 0,
    leasesGivenUp: 0,
    exclusions: 0,
    transfers: 0,
    finals: 0,
    joins: 0,
    finalsAhead: 0,
    joinersForced: 0,
    proxies: 0,
    admissions: 0,
    belowMajority: 0,
    votesWithheld: 0,
  };
}

/** Returns what `nodes` are called, for people. */
export function namesOf(names: readonly string[], nodes: readonly NodeIndex[]): string {
  return nodes.map((node) => names[node] ?? `node ${node}`).join(", ");
}

/** What the roles of one replica share. */
export interface Context {
  readonly self: NodeIndex;
  /** How many nodes are configured. */
  readonly nodes: number;
  /** What the nodes are called in messages for people, by index. */
  readonly names: readonly string[];
  readonly timing: Timing;
  readonly clock: HybridClock;
  readonly store: Store;
  readonly locks: LockTable;
  readonly transactions: TransactionTable;
  readonly membership: Membership;
  readonly outbox: Outbox;
  readonly counters: Counters;
  /** A number from 0 up to but not including 1, different each time. */
  readonly random: () => number;
  /** The monotonic clock at the present step, in milliseconds; never goes back. */
  now: number;
  /** Both clocks at the present step. */
  clocks: Clocks;
}

/** A low-water mark is journaled when it has moved by so much: it saves work, and may be lost. */
const MARK_STEP = 4096;

/** Forgets the transactions of `coordinator` up to `upTo`, its low-water mark. */
export function forgetUpTo(
  context: Pick<Context, "transactions" | "outbox">,
  coordinator: NodeIndex,
  upTo: TransactionNumber,
): void {
  const { transactions, outbox } = context;
  const before = Math.max(
    transactions.forgottenUpTo(coordinator),
    transactions.baseOf(coordinator),
  );
  transactions.forget(coordinator, upTo);
  if (Math.floor(upTo / MARK_STEP) > Math.floor(before / MARK_STEP)) {
    outbox.append({ type: "mark", coordinator, upTo });
  }
}

/** Returns the entries that `prepare` locks: those it writes, then those it only reads. */
export function entriesOf(store: Store, prepare: Prepare): Entry[] {
  const [first] = prepare.effects;
  if (first !== undefined && prepare.effects.length === 1 && prepare.reads.length === 0) {
    return [store.entryOf(first.key)]; // The most frequent case, without a closure.
  }
  const entries = prepare.effects.map((effect) => store.entryOf(effect.key));
  for (const key of prepare.reads) entries.push(store.entryOf(key));
  return entries;
}

/**
 * Puts a transaction into doubt of which a record says that it is prepared: it holds its locks again.
 *
 * @param make makes it, of the entries that it locks
 */
export function restorePrepared(
  context: Context,
  { coordinator, prepare }: PreparedRecord,
  make: (entries: readonly Entry[]) => Transaction,
): void {
  const { store, transactions, locks, clock } = context;
  const { number } = prepare;
  clock.observe(prepare.priority);
  clock.observe(prepare.version);
  transactions.startIncarnation(coordinator, baseOf(number));
  if (transactions.isForgotten(coordinator, number)) return;
  const transaction = make(entriesOf(store, prepare));
  transaction.fill(prepare);
  transactions.add(transaction, number);
  transaction.transitionTo("preparing");
  transaction.transitionTo("prepared");
  // When that was, no record says; but its version was given at about the same time.
  transaction.preparedAt = Math.min(context.now, prepare.version / 1000);
  locks.hold(transaction);
  for (const leaderNumber of transaction.follows) {
    const leader = transactions.get(coordinator, leaderNumber);
    if (leader instanceof Transaction) leader.addFollower(transaction);
  }
}

/** Carries out effects that a checkpoint may have stored already, with what came after them. */
export function applyEffectsAgain(store: Store, transaction: Transaction): void {
  const { prepare } = transaction;
  if (prepare === undefined) throw new Error("a transaction without content cannot be committed");
  for (const { key, value } of prepare.effects) {
    const entry = store.entryOf(key);
    if (prepare.version > entry.version) store.write(entry, value, prepare.version);
  }
}

/** Carries out the effects of `transaction`, which is committed. */
export function applyEffects(store: Store, transaction: Transaction): void {
  const { prepare, entries } = transaction;
  if (prepare === undefined) throw new Error("a transaction without content cannot be committed");
  for (let i = 0; i < prepare.effects.length; i++) {
    const effect = prepare.effects[i];
    const entry = entries[i];
    if (effect === undefined) continue;
    // Entries mostly stand in the order of the effects; where they do not, the store is asked.
    const isSame = entry !== undefined && entry.key === effect.key;
    store.write(isSame ? entry : store.entryOf(effect.key), effect.value, prepare.version);
  }
}
