/**
 * What a node's user (the client listener, the simulator) asks of the protocol, and the answers.
 *
 * The protocol knows nothing of commands: a request names its keys and brings a pure function that
 * is evaluated when the keys' state is settled. It may be evaluated more than once (a retry sees the
 * state anew), so it must not have effects of its own.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { Effect } from "./messages.ts";

/** Returns the value of one of the request's keys, or `undefined` where the key does not exist. */
export type KeyReader = (key: ByteString) => ByteString | undefined;

/** What a write comes to. Without an effect it was a read after all, such as a failed condition. */
export interface Evaluation {
  /** At most one effect for each key of the request, and for no other key. */
  readonly effects: readonly Effect[];
  /** What the client is told once the effects are committed. */
  readonly reply: unknown;
}

/** Reads and writes keys in one atomic step. */
export interface WriteRequest {
  readonly kind: "write";
  /** Every key that it reads or writes, each once. */
  readonly keys: readonly ByteString[];
  evaluate(read: KeyReader): Evaluation;
}

/** Reads keys in one atomic step. */
export interface ReadRequest {
  readonly kind: "read";
  /** Every key that it reads, each once. */
  readonly keys: readonly ByteString[];
  /** Returns what the client is told. */
  evaluate(read: KeyReader): unknown;
}

/**
 * Counts the keys. The count includes every write that was acknowledged before the request, and
 * may include some of those that run beside it.
 */
export interface CountRequest {
  readonly kind: "count";
  /** Returns what the client is told of `count` keys. */
  evaluate(count: number): unknown;
}

/** Anything that may be asked. */
export type Request = WriteRequest | ReadRequest | CountRequest;

/** The answer to a request. Exactly one is given, within the request's time. */
export type Outcome =
  /** It was done: `reply` is what the evaluation returned. */
  | { readonly kind: "answered"; readonly reply: unknown }
  /** Nothing happened, and nothing will. */
  | { readonly kind: "rejected"; readonly reason: string }
  /** It was tried, and is certain never to take effect. */
  | { readonly kind: "aborted"; readonly reason: string; readonly transaction: string }
  /** It may or may not take effect, now or later. */
  | { readonly kind: "indeterminate"; readonly reason: string; readonly transaction: string };

/** Whoever asked. The protocol only passes it on: the driver calls it as it carries out effects. */
export interface Client {
  /** Called exactly once. */
  answered(outcome: Outcome): void;
}
