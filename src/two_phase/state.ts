/**
 * A transaction as one member knows it: its states, their legal order, and the keys that it locks.
 *
 * ```text
 *              every lock free              record durable
 *   waiting ─────────────────► preparing ─────────────────► prepared ──► committed
 *      │                           │                            │
 *      └──────────────┬────────────┴────────────────────────────┘
 *                     ▼       record durable
 *                 aborting ─────────────────► aborted
 * ```
 *
 * - `waiting`: it waits in line for its locks and holds none.
 * - `preparing`: it holds its locks; its prepared record is appended and not durable yet.
 * - `prepared`: the record is durable. From here on it is in doubt: only the coordinator (or a view
 *   change) may end it.
 * - `committed`: its effects are in the store, its locks are free.
 * - `aborting`: it will never take effect; this is not durable yet, so no other node or client
 *   knows it.
 * - `aborted`: the abort is durable; its locks are free and its number is refused.
 *
 * A transaction that a member has forgotten, or never knew, has no state there. Invariants:
 *
 * 1. A member that has sent a yes vote is `prepared`, or was.
 * 2. No member is `committed` unless every member of the view is `prepared` or `committed`.
 * 3. No member is `committed` if another is, or has been told to be, `aborted`.
 * 4. A transaction holds the locks of all of its keys exactly while it is `preparing`, `prepared`
 *    or `aborting`.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { EVERYTHING } from "../reserved_keys.ts";
import type { Effect, KeyRecord, NodeId, Prepare, Stamp, TransactionNumber } from "./messages.ts";

/** A key: its committed value, and its lock. */
export interface Entry extends KeyRecord {
  /** `undefined` if the key does not exist. */
  value: ByteString | undefined;
  version: Stamp;
  expiresAtMs: number | undefined;
  /** Its place in the order in which entries were made, from 1. */
  readonly order: number;
  /** It is one that dks keeps for itself. */
  readonly isReserved: boolean;
  /** The number of the last set of changed keys that it was added to by a write: see `Store`. */
  changedIn: number;
  /** Its place among the entries that expire: see `expiry_queue.ts`. */
  expiryPlace: number;
  /** `undefined` if no transaction holds the key or is in line for it. */
  lock: Lock | undefined;
}

/** The lock of one key. */
export interface Lock {
  /** In the order in which they will commit. All have the same coordinator. */
  readonly holders: Transaction[];
  /** The oldest first. They hold nothing. `undefined` if empty. */
  line: Transaction[] | undefined;
  /** How many of those in line another node coordinates, and waits for: places not counted. */
  foreignInLine: number;
  /**
   * Transactions of the holders' coordinator up to this age, those that had come when the first of the
   * holders got the key, may follow them past older ones in line: see `LockTable`.
   */
  turn: Stamp;
}

/** See the diagram at the head of this file. */
export type TransactionState =
  | "waiting"
  | "preparing"
  | "prepared"
  | "committed"
  | "aborting"
  | "aborted";

/** How a transaction ended. */
export type TransactionOutcome = "committed" | "aborted";

const LEGAL: Readonly<
  Record<TransactionState, Readonly<Partial<Record<TransactionState, true>>>>
> = {
  waiting: { preparing: true, aborting: true },
  preparing: { prepared: true, aborting: true },
  prepared: { committed: true, aborting: true },
  aborting: { aborted: true },
  committed: {},
  aborted: {},
};

/** Waits for a transaction's outcome, such as a read of a key that the transaction has locked. */
export interface Observer {
  /** Called once, when the transaction is committed or aborted here. */
  onOutcome(transaction: Transaction, outcome: TransactionOutcome): void;
}

const NOTHING: readonly never[] = [];

/** Up to this many effects are searched for a key; more are looked up in a map. */
const SEARCHED_EFFECTS_MAX = 8;

/** A transaction as one member knows it. */
export class Transaction {
  /** 0 until it has been evaluated: a request in line has no number yet. */
  number: TransactionNumber = 0;
  view = 0;
  /** What it does; `undefined` until it has been evaluated. */
  prepare: Prepare | undefined;
  /** Transactions known here that follow this one; aborting this one aborts them too. */
  followers: Transaction[] | undefined;
  observers: Set<Observer> | undefined;
  /** When its locks were granted, in the order of all grants at this node; 0 before. */
  grantOrder = 0;
  /**
   * When it began to hold its locks, in milliseconds: for status reports, and to suspect silent
   * members.
   */
  preparedAt = 0;
  /** The position of the journal record that must be durable before the next step. */
  awaitedPosition = 0;
  /** The change of the locks after which it was last checked while in line: see `LockTable`. */
  lookedAt = -1;
  /** False while it only keeps its place in line, see `Coordinator`. */
  ready = true;
  /** It was restored: a checkpoint may hold what it does, and what later ones have done to its keys. */
  mayBeStored = false;
  /** It joins no chain: it needs all of its keys free at one moment. */
  isAlone = false;
  /** It holds its locks at this moment. */
  holdsLocks = false;
  /** It deletes all keys at once, and excludes all other transactions. */
  readonly clears: boolean;
  #state: TransactionState = "waiting";
  #effectByKey: Map<ByteString, Effect> | undefined;

  /**
   * @param coordinator the node that runs it
   * @param priority the age of its request: the smaller stamp is the older one
   * @param entries every key that it locks, each once
   */
  constructor(
    readonly coordinator: NodeId,
    readonly priority: Stamp,
    readonly entries: readonly Entry[],
  ) {
    let clears = false;
    for (const { key } of entries) if (key === EVERYTHING) clears = true;
    this.clears = clears;
  }

  get state(): TransactionState {
    return this.#state;
  }

  /** Tells whether the transaction may still commit or abort, as far as this member knows. */
  get undecided(): boolean {
    return this.#state !== "committed" && this.#state !== "aborted";
  }

  /** Tells whether it holds its locks and may still be committed. */
  get isPreparedOrPreparing(): boolean {
    return this.#state === "prepared" || this.#state === "preparing";
  }

  get effects(): readonly Effect[] {
    return this.prepare?.effects ?? NOTHING;
  }

  /** Numbers of the undecided transactions that held one of its keys before it. */
  get follows(): readonly TransactionNumber[] {
    return this.prepare?.follows ?? NOTHING;
  }

  /**
   * Moves to the state `next`.
   *
   * @throws {Error} if the diagram has no such arrow: an invariant is broken, and the process must
   * end rather than continue.
   */
  transitionTo(next: TransactionState): void {
    if (LEGAL[this.#state][next] !== true) {
      throw new Error(
        `transaction ${this.number} of node ${this.coordinator} cannot become ${next}: it is ${this.#state}`,
      );
    }
    this.#state = next;
  }

  /** Ends the transaction because of a view change, whatever state it is in. */
  end(outcome: TransactionOutcome): void {
    this.#state = outcome;
  }

  /** Sets what the transaction does. */
  fill(prepare: Prepare): void {
    this.number = prepare.number;
    this.view = prepare.view;
    this.prepare = prepare;
  }

  /** Returns what the transaction does to `key`, or `undefined` if it leaves it unchanged. */
  effectOn(key: ByteString): Effect | undefined {
    const { effects } = this;
    if (effects.length <= SEARCHED_EFFECTS_MAX) return effects.find((effect) => effect.key === key);
    this.#effectByKey ??= new Map(effects.map((effect) => [effect.key, effect]));
    return this.#effectByKey.get(key);
  }

  /** Tells whether this transaction's request is older than that of `other`. */
  isOlderThan(other: Transaction): boolean {
    return this.priority < other.priority ||
      (this.priority === other.priority && this.coordinator < other.coordinator);
  }

  /** Registers `follower`, so that it is aborted when this one is. */
  addFollower(follower: Transaction): void {
    if (this.followers === undefined) this.followers = [follower];
    else this.followers.push(follower);
  }

  /** Calls `observer` with the outcome when there is one. */
  observe(observer: Observer): void {
    if (this.observers === undefined) this.observers = new Set([observer]);
    else this.observers.add(observer);
  }

  /** Stops calling `observer`. */
  unobserve(observer: Observer): void {
    this.observers?.delete(observer);
    if (this.observers?.size === 0) this.observers = undefined;
  }

  /** Tells all observers how this transaction ended. */
  tellObservers(outcome: TransactionOutcome): void {
    const { observers } = this;
    if (observers === undefined) return;
    this.observers = undefined;
    for (const observer of observers) observer.onOutcome(this, outcome);
  }
}

/** Returns `transaction`, and all that follow it and can be aborted with it, directly or not. */
export function withFollowers(transaction: Transaction): Set<Transaction> {
  const all = new Set([transaction]);
  for (const one of all) {
    for (const follower of one.followers ?? NOTHING) {
      if (follower.undecided && follower.state !== "aborting") all.add(follower);
    }
  }
  return all;
}
