/**
 * Reads: how a request gets an answer that no commit is needed for.
 *
 * A key may be read while no transaction that will write it is prepared here; for if one is, it may have
 * been committed and acknowledged elsewhere (Katsarakis et al. 2020, §3). A read of one key waits for
 * those that were there when it came, no longer. A read of several keys needs all of them free at one
 * moment; to be sure of such a moment it stands in line like a write.
 *
 * Whatever depends on the state and is answered without a commit needs the lease, also at the moment of
 * the answer.
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { LeaseTerm } from "./lease.ts";
import { invariant } from "./invariant.ts";
import type { PendingRequest } from "./pending_requests.ts";
import type { BarrierRequest, KeyReader, Outcome, ReadRequest } from "./request.ts";
import type { Observer, Transaction } from "./state.ts";

/** What {@linkcode Reads} has its coordinator do. */
export interface ReadHost {
  /** Puts a read of several keys in line. */
  lineUp(pending: PendingRequest, request: ReadRequest): void;
  /** Has `pending` wait for the next lease. */
  park(pending: PendingRequest): void;
  /** Answers `pending`; the answer is good for as long as `term` holds. */
  finish(pending: PendingRequest, outcome: Outcome, term: LeaseTerm | undefined): void;
}

/** Answers what needs no commit. */
export class Reads {
  readonly #context: Context;
  readonly #host: ReadHost;

  constructor(context: Context, host: ReadHost) {
    this.#context = context;
    this.#host = host;
  }

  /** Reads the keys of `request`, at once or when they are free. */
  read(pending: PendingRequest, request: ReadRequest): void {
    const { locks, store, counters } = this.#context;
    pending.grantOrder = locks.grants;
    const busy = request.keys.some((key) =>
      locks.lastWriter(store.get(key), locks.grants) !== undefined
    );
    if (!busy) {
      this.answer(pending, request.evaluate(this.#committedValue));
      return;
    }
    counters.readsThatWaited++;
    if (request.keys.length === 1) this.#readWhenSettled(pending, request);
    else this.#host.lineUp(pending, request);
  }

  #readWhenSettled(pending: PendingRequest, request: ReadRequest): void {
    const [key] = request.keys;
    invariant(key !== undefined, "a read of no key has nothing to wait for");
    const { locks, store } = this.#context;
    const writer = locks.lastWriter(store.get(key), pending.grantOrder);
    if (writer === undefined) {
      this.answer(pending, request.evaluate(this.#committedValue));
      return;
    }
    this.observe(pending, [writer], () => this.#readWhenSettled(pending, request));
  }

  /** Waits for all that is prepared now, then does what `request` asks. */
  waitForPrepared(pending: PendingRequest, request: BarrierRequest): void {
    const { transactions, store } = this.#context;
    const prepared = transactions.holdingLocks();
    const barrier = request.begin(store);
    const finish = () => this.answer(pending, barrier.finish(prepared));
    if (prepared.length === 0) finish();
    else this.observe(pending, prepared, finish);
  }

  /** Answers with what depends on the state and is given without a commit: that needs the lease. */
  answer(pending: PendingRequest, reply: unknown): void {
    const { membership, clocks } = this.#context;
    if (!membership.mayRead(clocks)) {
      this.#host.park(pending); // What was read is forgotten: it is read again with the next lease.
      return;
    }
    this.#host.finish(pending, { kind: "answered", reply }, membership.lease.term);
  }

  /** Does `then` when all of `transactions` are committed or aborted. */
  observe(pending: PendingRequest, transactions: readonly Transaction[], then: () => void): void {
    pending.state = "observing";
    pending.isStale = false;
    pending.awaited = transactions.length;
    const observer: Observer = {
      onOutcome: (_transaction, outcome) => {
        if (outcome === "aborted") pending.isStale = true;
        pending.awaited--;
        if (pending.awaited > 0) return;
        pending.stopObserving = undefined;
        then();
      },
    };
    for (const transaction of transactions) transaction.observe(observer);
    pending.stopObserving = () => {
      for (const transaction of transactions) transaction.unobserve(observer);
    };
  }

  readonly #committedValue: KeyReader = (key) => this.#context.store.get(key)?.value;
}
