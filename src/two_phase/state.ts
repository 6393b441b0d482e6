/**
 * A transaction as one member knows it: its states, and which may follow which.
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
import type { Effect, NodeIndex, Stamp, TransactionNumber } from "./messages.ts";

/** See the diagram at the head of this file. */
export type TransactionState =
  | "waiting"
  | "preparing"
  | "prepared"
  | "committed"
  | "aborting"
  | "aborted";

const LEGAL: Readonly<Record<TransactionState, readonly TransactionState[]>> = {
  waiting: ["preparing", "aborting"],
  preparing: ["prepared", "aborting"],
  prepared: ["committed", "aborting"],
  aborting: ["aborted"],
  committed: [],
  aborted: [],
};

/** Somebody who waits for a transaction's outcome, such as a read of a key that it has locked. */
export interface Observer {
  /** Called once, when the transaction is committed or aborted here. */
  onOutcome(transaction: Transaction, outcome: "committed" | "aborted"): void;
}

const NOTHING: readonly never[] = [];

/** What a transaction does; known once it has been evaluated or has arrived. */
export interface TransactionContent {
  readonly number: TransactionNumber;
  readonly view: number;
  readonly version: Stamp;
  readonly effects: readonly Effect[];
  readonly follows: readonly TransactionNumber[];
}

/** A transaction as one member knows it. */
export class Transaction {
  /** 0 until the transaction has been evaluated: a request in line has no number yet. */
  number: TransactionNumber = 0;
  view = 0;
  version: Stamp = 0;
  effects: readonly Effect[] = NOTHING;
  /** Numbers of the undecided transactions that held one of its keys before it. */
  follows: readonly TransactionNumber[] = NOTHING;
  /** Transactions known here that follow this one; whoever aborts this one aborts them with it. */
  followers: Transaction[] | undefined;
  observers: Observer[] | undefined;
  /** When its locks were granted, in the order of all grants at this node; 0 before. */
  grantOrder = 0;
  /** False while it only keeps its place in line, see `Coordinator`. */
  ready = true;
  #state: TransactionState = "waiting";

  /**
   * @param coordinator the node that runs it
   * @param priority the age of its request: the smaller stamp is the older one
   * @param keys every key that it locks, each once
   */
  constructor(
    readonly coordinator: NodeIndex,
    readonly priority: Stamp,
    readonly keys: readonly ByteString[],
  ) {}

  get state(): TransactionState {
    return this.#state;
  }

  /** Tells whether the transaction may still commit or abort, as far as this member knows. */
  get undecided(): boolean {
    return this.#state !== "committed" && this.#state !== "aborted";
  }

  /**
   * Moves on to `next`.
   *
   * @throws {Error} where the diagram has no such arrow: an invariant is broken, and the process
   * must end rather than go on with it.
   */
  transitionTo(next: TransactionState): void {
    if (!LEGAL[this.#state].includes(next)) {
      throw new Error(
        `transaction ${this.number} of node ${this.coordinator} cannot become ${next}: it is ${this.#state}`,
      );
    }
    this.#state = next;
  }

  /** Takes over what the transaction does. */
  fill(content: TransactionContent): void {
    this.number = content.number;
    this.view = content.view;
    this.version = content.version;
    this.effects = content.effects;
    this.follows = content.follows;
  }

  /** Returns what the transaction does to `key`, or `undefined` where it leaves it as it is. */
  effectOn(key: ByteString): Effect | undefined {
    for (const effect of this.effects) {
      if (effect.key === key) return effect;
    }
    return undefined;
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
    if (this.observers === undefined) this.observers = [observer];
    else this.observers.push(observer);
  }

  /** Tells everybody who waits for it how this transaction ended. */
  tellObservers(outcome: "committed" | "aborted"): void {
    const { observers } = this;
    if (observers === undefined) return;
    this.observers = undefined;
    for (const observer of observers) observer.onOutcome(this, outcome);
  }
}
