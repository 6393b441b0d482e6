/**
 * A transaction as one member knows it: its states, and which may follow which; and the keys that it
 * locks.
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
 * - `waiting`: it stands in line for its locks and holds none.
 * - `preparing`: it holds its locks; its prepared record is appended and not durable yet.
 * - `prepared`: the record is durable. Here begins the doubt: only the coordinator (or a view
 *   change) may end it.
 * - `committed`: its effects are in the store, its locks are free.
 * - `aborting`: it will never take effect, which is not durable yet, so nobody has been told.
 * - `aborted`: it is durable that it never takes effect; its locks are free and its number refused.
 *
 * A transaction that a member has forgotten, or never heard of, has no state there. Invariants:
 *
 * 1. A member that has sent a yes vote is `prepared`, or was.
 * 2. No member is `committed` unless every member of the view is `prepared` or `committed`.
 * 3. No member is `committed` where another is, or has been told to be, `aborted`.
 * 4. A transaction holds the locks of all of its keys exactly while it is `preparing`, `prepared`
 *    or `aborting`.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { Effect, KeyRecord, NodeId, Prepare, Stamp, TransactionNumber } from "./messages.ts";

/** A key: what is committed of it, and its lock. */
export interface Entry extends KeyRecord {
  /** `undefined` if the key does not exist. */
  value: ByteString | undefined;
  version: Stamp;
  expiresAtMs: number | undefined;
  /** Its place in the order in which entries were made, from 1. */
  readonly order: number;
  /** `undefined` where nobody holds the key or stands in line for it. */
  lock: Lock | undefined;
}

/** The lock of one key. */
export interface Lock {
  /** In the order in which they will commit. All of one coordinator. */
  readonly holders: Transaction[];
  /** The oldest first. They hold nothing. `undefined` for nobody. */
  line: Transaction[] | undefined;
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

/** Somebody who waits for a transaction's outcome, such as a read of a key that it has locked. */
export interface Observer {
  /** Called once, when the transaction is committed or aborted here. */
  onOutcome(transaction: Transaction, outcome: TransactionOutcome): void;
}

const NOTHING: readonly never[] = [];

/** From this many effects on, the effect on a key is looked up and not searched for. */
const SEARCHED_EFFECTS_MAX = 8;

/** A transaction as one member knows it. */
export class Transaction {
  /** 0 until it has been evaluated: a request in line has no number yet. */
  number: TransactionNumber = 0;
  view = 0;
  /** What it does; `undefined` until it has been evaluated. */
  prepare: Prepare | undefined;
  /** Transactions known here that follow this one; whoever aborts this one aborts them with it. */
  followers: Transaction[] | undefined;
  observers: Set<Observer> | undefined;
  /** When its locks were granted, in the order of all grants at this node; 0 before. */
  grantOrder = 0;
  /** When it began to hold its locks, in milliseconds: for people, and to suspect who is silent. */
  preparedAt = 0;
  /** The position of the journal's record that has to be durable before anything else is done. */
  awaitedPosition = 0;
  /** After which change of the locks it was looked at last, while in line: see `LockTable`. */
  lookedAt = -1;
  /** False while it only keeps its place in line, see `Coordinator`. */
  ready = true;
  /** It goes on no chain: it needs all of its keys free at one moment. */
  isAlone = false;
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
  ) {}

  get state(): TransactionState {
    return this.#state;
  }

  /** Tells whether the transaction may still commit or abort, as far as this member knows. */
  get undecided(): boolean {
    return this.#state !== "committed" && this.#state !== "aborted";
  }

  /** Tells whether it holds its locks and may be committed still. */
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
   * Moves on to `next`.
   *
   * @throws {Error} where the diagram has no such arrow: an invariant is broken, and the process
   * must end rather than go on with it.
   */
  transitionTo(next: TransactionState): void {
    if (LEGAL[this.#state][next] !== true) {
      throw new Error(
        `transaction ${this.number} of node ${this.coordinator} cannot become ${next}: it is ${this.#state}`,
      );
    }
    this.#state = next;
  }

  /** Ends the transaction by a change of the view, whatever state it is in. */
  end(outcome: TransactionOutcome): void {
    this.#state = outcome;
  }

  /** Takes over what the transaction does. */
  fill(prepare: Prepare): void {
    this.number = prepare.number;
    this.view = prepare.view;
    this.prepare = prepare;
  }

  /** Returns what the transaction does to `key`, or `undefined` where it leaves it as it is. */
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

  /** Makes `follower` known, so that it is aborted when this one is. */
  addFollower(follower: Transaction): void {
    if (this.followers === undefined) this.followers = [follower];
    else this.followers.push(follower);
  }

  /** Has `observer` told of the outcome. */
  observe(observer: Observer): void {
    if (this.observers === undefined) this.observers = new Set([observer]);
    else this.observers.add(observer);
  }

  /** Has `observer` told nothing any more. */
  unobserve(observer: Observer): void {
    this.observers?.delete(observer);
    if (this.observers?.size === 0) this.observers = undefined;
  }

  /** Tells everybody who waits for it how this transaction ended. */
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
