/**
 * All keys and values as they stood at one moment, for DKS.EXPORT.
 *
 * What is committed here is not yet a moment of the whole cluster: of two writes, one after the
 * other, the later one may be committed here while the earlier one is only prepared. So the snapshot
 * takes what is committed now, and with it whatever is prepared now and will be committed. That is a
 * moment: a write that was acknowledged before another one began had been prepared here before that
 * one was, so no write is in the snapshot without all that were before it.
 *
 * Values are immutable strings, so it copies references: a million keys take some 130 ms, in which the
 * node does nothing else.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { isHidden } from "../hidden_keys.ts";
import { ErrorReply } from "../resp/value.ts";
import type { Clocks } from "../two_phase/clocks.ts";
import type { Replica } from "../two_phase/replica.ts";
import type { CountRequest } from "../two_phase/request.ts";
import type { Transaction } from "../two_phase/state.ts";

/** Keys and values of one moment: the value of `keys[i]` is `values[i]`. */
export interface Snapshot {
  readonly keys: ByteString[];
  readonly values: ByteString[];
}

/**
 * Takes a snapshot. To be submitted in the same turn of the event loop.
 *
 * @param options `clocks`: reads both clocks; `then`: returns what the
 *   client is told once the snapshot is whole
 * @returns a request that waits for what is prepared, or `undefined` where this node may not read
 */
export function snapshotRequest(
  replica: Replica,
  { clocks, then }: { clocks: () => Clocks; then: (snapshot: Snapshot) => unknown },
): CountRequest | undefined {
  const { transactions, membership } = replica.context;
  const snapshot: Snapshot = { keys: [], values: [] };
  /** Keys that something holds, which may change what the snapshot has of them. */
  const held = new Map<ByteString, ByteString>();
  for (const { key, value, lock } of replica.store.entries()) {
    if (value === undefined || isHidden(key)) continue;
    if (lock === undefined) add(snapshot, key, value);
    else held.set(key, value);
  }
  const prepared = transactions.holdingLocks();
  // Looked at last: the copying takes time, in which the right to read may have run out.
  if (!membership.mayRead(clocks())) return undefined;
  return {
    kind: "count",
    evaluate: () => {
      // A count is answered when all that was prepared is decided.
      for (const transaction of inOrderOfVersions(prepared)) {
        if (transaction.undecided) {
          return new ErrorReply("REJECTED", "a key is locked by a transaction that is undecided");
        }
        if (transaction.state === "committed") applyTo(held, transaction);
      }
      for (const [key, value] of held) add(snapshot, key, value);
      held.clear();
      return then(snapshot);
    },
  };
}

function add({ keys, values }: Snapshot, key: ByteString, value: ByteString): void {
  keys.push(key);
  values.push(value);
}

function inOrderOfVersions(transactions: readonly Transaction[]): Transaction[] {
  const version = ({ prepare }: Transaction) => prepare?.version ?? 0;
  return transactions.toSorted((a, b) => version(a) - version(b));
}

function applyTo(values: Map<ByteString, ByteString>, { effects }: Transaction): void {
  for (const { key, value } of effects) {
    if (isHidden(key)) continue;
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }
}
