/**
 * What a node's user (the client listener, the simulator) asks of the protocol, and the answers.
 *
 * The protocol knows nothing of commands: a request names its keys and brings a pure function that
 * is evaluated when the keys' state is settled. It may be evaluated more than once (a retry sees
 * the state as it is then), so it must not have side effects.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { Effect, KeyRecord, Stamp } from "./messages.ts";
import type { Store } from "./store.ts";

/** Returns the value of one of the request's keys, or `undefined` if the key does not exist. */
export type KeyReader = (key: ByteString) => ByteString | undefined;

/** What an evaluation may know besides the values of its keys. */
export interface KeyFacts {
  /** Returns what one of the request's keys holds, or `undefined` if the key does not exist. */
  recordOf(key: ByteString): KeyRecord | undefined;
  /** The wall-clock time by which expiries are counted, in milliseconds since 1970; an integer. */
  readonly nowMs: number;
  /** The version that the keys get which a write changes. Of no meaning to a read. */
  readonly version: Stamp;
}

/**
 * The result of evaluating a write. Without an effect it was a read after all, such as a failed
 * condition.
 */
export interface Evaluation {
  /** At most one effect for each key of the request, and for no other key. */
  readonly effects: readonly Effect[];
  /** The reply for the client once the effects are committed. */
  readonly reply: unknown;
}

/** Reads and writes keys in one atomic step. */
export interface WriteRequest {
  readonly kind: "write";
  /** Every key that it reads or writes, each once. */
  readonly keys: readonly ByteString[];
  evaluate(read: KeyReader, facts: KeyFacts): Evaluation;
}

/** Reads keys in one atomic step. */
export interface ReadRequest {
  readonly kind: "read";
  /** Every key that it reads, each once. */
  readonly keys: readonly ByteString[];
  /** Returns the reply for the client. */
  evaluate(read: KeyReader, facts: KeyFacts): unknown;
}

/**
 * Asks for something about all keys: it is answered when every transaction is decided that was
 * prepared when it arrived.
 */
export interface BarrierRequest {
  readonly kind: "barrier";
  /**
   * Returns the reply for the client.
   *
   * Called at a moment at which this node may read. With `isExact` nothing is prepared at that
   * moment: the store holds every acknowledged transaction, and none in it is undecided elsewhere,
   * so its state is one that the whole cluster had. Without it, what was prepared at the start is
   * decided by now, and what was prepared since may or may not be committed.
   */
  evaluate(store: Store): unknown;
  /** If true, this node holds back writes for a short time until the moment comes. */
  readonly isExact: boolean;
}

/** Anything that may be asked. */
export type Request = WriteRequest | ReadRequest | BarrierRequest;

/**
 * What stands in the way of a request. `down`: the cluster, or this node's place in it, and that lasts.
 * `busy`: others that are under way. `loading`: this node, which has not joined yet.
 */
export type Obstacle = "down" | "busy" | "loading";

/** Why a request was not served. */
export interface Refusal {
  readonly obstacle: Obstacle;
  /** A human-readable sentence, without a full stop. */
  readonly reason: string;
}

/** The answer to a request. Exactly one is given, within the request's time. */
export type Outcome =
  /** It was done: `reply` is what the evaluation returned. */
  | { readonly kind: "answered"; readonly reply: unknown }
  /** Nothing happened, and nothing will. */
  | { readonly kind: "rejected" } & Refusal
  /** It was tried, and is certain never to take effect. */
  | { readonly kind: "aborted"; readonly reason: string; readonly transaction: string }
  /** It may or may not take effect, now or later. */
  | { readonly kind: "indeterminate"; readonly reason: string; readonly transaction: string };

/**
 * The origin of a request. The protocol only passes it on; the driver calls it when it carries out
 * effects.
 */
export interface Requester {
  /** Called exactly once. */
  onOutcome(outcome: Outcome): void;
}
