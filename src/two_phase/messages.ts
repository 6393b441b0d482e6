/**
 * What nodes say to each other, and what a node writes into its journal.
 *
 * Every message is a plain value: no functions, nothing shared, nothing that changes after it was
 * sent. Every message about a transaction carries the view that the transaction belongs to and the
 * transaction's number; the coordinator is the sender or the receiver of the message, as the table
 * in `README.md` says, so it is not repeated.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";

/** A node's place in the sorted list of configured nodes: an integer from 0. */
export type NodeIndex = number;

/** A set of nodes: bit `i` stands for the node with index `i`. */
export type NodeSet = number;

/**
 * The number of a transaction, unique for its coordinator and for ever: incarnation · 2³² +
 * sequence. It grows with every transaction that the coordinator starts.
 */
export type TransactionNumber = number;

/** A reading of the hybrid clock: microseconds, an integer, see `hybrid_clock.ts`. */
export type Stamp = number;

/** What a transaction does to one key: a new value, or `undefined` for a deletion. */
export interface Effect {
  readonly key: ByteString;
  readonly value: ByteString | undefined;
}

/** Coordinator → member: "can you commit this?" (Gray 1978, phase 1). */
export interface Prepare {
  readonly type: "prepare";
  readonly view: number;
  readonly number: TransactionNumber;
  /** Age of the request, kept over retries: the smaller stamp is the older one (wait-die). */
  readonly priority: Stamp;
  /** The version that every key written here gets. */
  readonly version: Stamp;
  readonly effects: readonly Effect[];
  /** Keys that were read and not written: locked, though readers do not wait for them. */
  readonly reads: readonly ByteString[];
  /** Undecided transactions of the same coordinator that hold one of the keys before this one. */
  readonly follows: readonly TransactionNumber[];
}

/** Member → coordinator. `waiting` is no vote: it says that the member lives and a key is busy. */
export interface Vote {
  readonly type: "vote";
  readonly view: number;
  readonly number: TransactionNumber;
  readonly vote: "yes" | "no" | "waiting";
  /** Why not; `none` with the other two. */
  readonly reason: NoReason | "none";
}

/**
 * Why a member votes no: `conflict`, an older transaction holds a key (wait-die); `view`, the
 * member is in another view; `follows`, it does not hold what this one follows; `aborted`, it has
 * been told of the abort before.
 */
export type NoReason = "conflict" | "view" | "follows" | "aborted";

/** Coordinator → member: the transaction is committed (phase 2). */
export interface Commit {
  readonly type: "commit";
  readonly view: number;
  readonly number: TransactionNumber;
}

/** Coordinator → member: the transaction is aborted and never takes effect. */
export interface Abort {
  readonly type: "abort";
  readonly view: number;
  readonly number: TransactionNumber;
}

/** Member → coordinator: the abort is durable here, the number is refused from now on. */
export interface AbortAcknowledged {
  readonly type: "abortAcknowledged";
  readonly view: number;
  readonly number: TransactionNumber;
}

/**
 * Member → coordinator: the outcome of every transaction of yours up to this number is durable
 * here.
 */
export interface Settled {
  readonly type: "settled";
  readonly view: number;
  readonly upTo: TransactionNumber;
}

/**
 * Coordinator → member: every member has settled my transactions up to this number (low-water
 * mark). They may be forgotten, and are refused for ever.
 */
export interface Forget {
  readonly type: "forget";
  readonly view: number;
  readonly upTo: TransactionNumber;
}

/**
 * Coordinator → member, after a restart, behind everything that it sends again: of my transactions up
 * to this number, those that are neither decided by what I have just sent nor listed here are
 * aborted, for I have no record of them (presumed abort, Mohan et al. 1986, §3).
 */
export interface Recovered {
  readonly type: "recovered";
  readonly view: number;
  readonly upTo: TransactionNumber;
  /** Transactions that the coordinator goes on with. */
  readonly undecided: readonly TransactionNumber[];
}

/** Node → node: this is the view that I have installed. Sent whenever a link comes up. */
export interface ViewInstalled {
  readonly type: "viewInstalled";
  readonly view: number;
  /** By node index: the id of the journal that the view lists for the node. */
  readonly journals: readonly string[];
}

/** Everything that one node may say to another. */
export type Message =
  | Prepare
  | Vote
  | Commit
  | Abort
  | AbortAcknowledged
  | Settled
  | Forget
  | Recovered
  | ViewInstalled;

/** The transaction holds its locks here; needed before a yes vote (Mohan et al. 1986, §2). */
export interface PreparedRecord {
  readonly type: "prepared";
  readonly coordinator: NodeIndex;
  readonly prepare: Prepare;
}

/** The transaction has taken effect here. Never forced by itself: losing it means asking again. */
export interface CommittedRecord {
  readonly type: "committed";
  readonly coordinator: NodeIndex;
  readonly number: TransactionNumber;
}

/** The transaction never takes effect. Durable before anybody is told. */
export interface AbortedRecord {
  readonly type: "aborted";
  readonly coordinator: NodeIndex;
  readonly number: TransactionNumber;
}

/** The node has installed this view. */
export interface ViewRecord {
  readonly type: "view";
  readonly number: number;
  /** By node index. */
  readonly journals: readonly string[];
}

/**
 * The low-water mark of a coordinator, as this node knows it. May be lost: then outcomes are
 * remembered for longer than need be.
 */
export interface MarkRecord {
  readonly type: "mark";
  readonly coordinator: NodeIndex;
  readonly upTo: TransactionNumber;
}

/** Stamps given or seen before were not above this. Part of every checkpoint. */
export interface ClockRecord {
  readonly type: "clock";
  readonly stamp: Stamp;
}

/** Everything that a node writes into its journal. */
export type JournalRecord =
  | PreparedRecord
  | CommittedRecord
  | AbortedRecord
  | ViewRecord
  | MarkRecord
  | ClockRecord;

/** How many sequence numbers an incarnation has. */
const SEQUENCES = 2 ** 32;

/** Highest incarnation: numbers must stay below 2⁵³ to be exact. */
export const INCARNATION_MAX = 2 ** 21 - 1;

/** Returns the transaction number of `sequence` in `incarnation`. */
export function transactionNumber(incarnation: number, sequence: number): TransactionNumber {
  return incarnation * SEQUENCES + sequence;
}

/** Up to here there are no transactions: incarnations begin with 1. */
export const NOTHING_BEFORE: TransactionNumber = SEQUENCES;

/** Returns the number below the first one of `incarnation`. */
export function incarnationBase(incarnation: number): TransactionNumber {
  return incarnation * SEQUENCES;
}

/** Returns the incarnation in which a coordinator gave `number`. */
export function incarnationOf(number: TransactionNumber): number {
  return Math.floor(number / SEQUENCES);
}

/** Returns how a transaction is written for people: `node.incarnation.sequence`. */
export function transactionName(coordinator: NodeIndex, number: TransactionNumber): string {
  return `${coordinator}.${Math.floor(number / SEQUENCES)}.${number % SEQUENCES}`;
}
