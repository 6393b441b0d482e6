/**
 * Deletes the keys whose time to live is over and that no client reads.
 *
 * One node sweeps, the first linked member whose clock is right; should two think that they are, the
 * second finds nothing left to delete. It reads what is due, some keys at a time: what finds a key expired
 * deletes it, by an ordinary transaction.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { EXPIRIES_PER_SWEEP_MAX, EXPIRY_BYTES_PER_SWEEP_MAX } from "../limits.ts";
import type { Outcome, Requester, WriteRequest } from "../two_phase/request.ts";
import type { Store } from "../two_phase/store.ts";

/** What the sweeper works with. */
export interface ExpirySweeperOptions {
  readonly store: Store;
  readonly submit: (request: WriteRequest, requester: Requester) => void;
  /** The time of the cluster, in milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Whether this node is the one that sweeps. */
  readonly isMyTurn: () => boolean;
  /** Does `action` when everything else that is ready has had its turn. */
  readonly later: (action: () => void) => void;
}

/** Deletes what has expired. */
export class ExpirySweeper {
  readonly #options: ExpirySweeperOptions;
  #isSweeping = false;

  constructor(options: ExpirySweeperOptions) {
    this.#options = options;
  }

  /** Begins to delete what has expired, unless that is under way. To be called every now and then. */
  sweep(): void {
    const { store, nowMs, isMyTurn, submit, later } = this.#options;
    if (this.#isSweeping || store.expiring === 0 || !isMyTurn()) return;
    const due = store.expired(nowMs(), EXPIRIES_PER_SWEEP_MAX);
    // What is locked waits for its transaction, and need not hold the others up.
    const free = due.filter(({ lock }) => lock === undefined).map(({ key }) => key);
    const keys = someOf(free);
    if (keys.length === 0) return;
    // Many small transactions would each cost all nodes a round: the rest waits for the next sweep.
    const isMoreDue = due.length === EXPIRIES_PER_SWEEP_MAX || keys.length < free.length;
    this.#isSweeping = true;
    submit(deletionOf(keys), {
      onOutcome: (outcome: Outcome) => {
        this.#isSweeping = false;
        // If this failed, the next call comes early enough.
        if (outcome.kind === "answered" && isMoreDue) later(() => this.sweep());
      },
    });
  }
}

/** Returns the first of `keys`, at least one: the transaction that deletes them must not be too large. */
function someOf(keys: readonly ByteString[]): readonly ByteString[] {
  let bytes = 0;
  const end = keys.findIndex((key) => (bytes += key.length) > EXPIRY_BYTES_PER_SWEEP_MAX);
  return end < 0 ? keys : keys.slice(0, Math.max(1, end));
}

/** A write that reads `keys` and changes nothing: that it finds keys expired deletes them. */
function deletionOf(keys: readonly ByteString[]): WriteRequest {
  return {
    kind: "write",
    keys,
    evaluate: (read) => {
      for (const key of keys) read(key);
      return { effects: [], reply: null };
    },
  };
}
