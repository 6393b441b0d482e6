/**
 * A transaction that this node coordinates: what only its coordinator knows of it.
 *
 * @module
 */

import { invariant } from "../invariant.ts";
import type {
  Abort,
  Commit,
  NodeId,
  NodeSet,
  Prepare,
  Stamp,
  TransactionNumber,
} from "./messages.ts";
import { contains, NOBODY, only } from "./node_set.ts";
import type { PendingRequest } from "./pending_requests.ts";
import { type Entry, Transaction } from "./state.ts";
import type { Moment } from "./stillness.ts";
import type { Known } from "./transaction_table.ts";

const NEVER_SENT: Moment = { at: -Infinity, stoodStillMs: 0 };

/** A transaction that this node coordinates. */
export class OwnTransaction extends Transaction {
  /** When the prepare was sent. */
  sent: Moment = NEVER_SENT;
  /** Members that the prepare was sent to. */
  sentTo: NodeSet = NOBODY;
  /** Members whose prepared record is known to be durable. */
  votes: NodeSet = NOBODY;
  /** Members that have acknowledged the abort. */
  acknowledged: NodeSet = NOBODY;
  /** Members that have answered the prepare in any way. */
  heardOf: NodeSet = NOBODY;
  /** How many of the transactions that it follows are not committed yet. */
  openLeaders = 0;
  /** The reply for the client when it commits. */
  reply: unknown;
  /** Whether its request continues with another attempt after the abort. */
  isRetried = false;
  /** The attempt before this one, until all members have acknowledged its abort. */
  before: OwnTransaction | undefined;
  /** The attempt after this one. */
  after: OwnTransaction | undefined;

  /**
   * @param pending the request; `undefined` for a transaction that was under way when this node
   * crashed: its client is gone
   */
  constructor(
    self: NodeId,
    readonly pending: PendingRequest | undefined,
    priority: Stamp,
    entries: readonly Entry[],
  ) {
    super(self, priority, entries);
  }
}

/** Returns the request that `transaction` runs, which must not be one from before a crash. */
export function requestOf(transaction: OwnTransaction): PendingRequest {
  const { pending } = transaction;
  invariant(pending !== undefined, "the transaction's client is there");
  return pending;
}

/** @throws {InvariantError} if another node coordinates `transaction`. */
export function assertOwn(transaction: Transaction): asserts transaction is OwnTransaction {
  invariant(transaction instanceof OwnTransaction, "the transaction is coordinated here");
}

/**
 * Returns what `node`, whose link was down, may have missed of a transaction of this node; `undefined` if
 * nothing. A prepare is noted as sent.
 */
export function missedBy(
  node: NodeId,
  { view, number, known }: { view: number; number: TransactionNumber; known: Known },
): Prepare | Commit | Abort | undefined {
  if (known === "committed") return { type: "commit", view, number };
  if (!(known instanceof OwnTransaction)) return undefined;
  if (known.isPreparedOrPreparing) {
    if (contains(known.votes, node)) return undefined;
    known.sentTo |= only(node);
    return known.prepare;
  }
  const isTold = known.state !== "aborted" || contains(known.acknowledged, node);
  return isTold ? undefined : { type: "abort", view, number };
}
