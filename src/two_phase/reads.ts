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
import { invariant } from "../invariant.ts";
import type { PendingRequest } from "./pending_requests.ts";
import type { BarrierRequest, KeyReader, Outcome, ReadRequest } from "./request.ts";
import type { Observer, Transaction } from "./state.ts";

/** What {@linkcode Reads} has its coordinator do. */
export interface ReadHost {
  /** Puts a read of several keys in line. */
  lineUp(pending: PendingRequest, request: ReadRequest): void;
  /** Has `pending` wait for the next lease. */
  park(pending: PendingRequest): void;
  /** Begins with `pending` again. */
  dispatch(pending: PendingRequest): void;
  /** Answers `pending`; the answer is good for as long as `term` holds. */
  finish(pending: PendingRequest, outcome: Outcome, term: LeaseTerm | undefined): void;
}

/** For how long an exact barrier holds back writes, in milliseconds: at first, and at the most. */
const HOLD_MS_MIN = 50;
const HOLD_MS_MAX = 800;

/** An exact barrier for which writes are held back. */
interface Hold {
  readonly pending: PendingRequest;
  readonly ms: number;
  readonly until: number;
}

/** Answers what needs no commit. */
export class Reads {
  readonly #context: Context;
  readonly #host: ReadHost;
  readonly #holds = new Set<Hold>();
  /** Exact barriers that were given up, until they are tried again. */
  #again: { readonly pending: PendingRequest; readonly at: number }[] = [];

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

  /**
   * Waits for all that is prepared now, then answers `request`.
   *
   * An exact one needs a moment at which nothing is prepared here, which under load never comes by
   * itself. So nothing is granted meanwhile; if that takes too long, as with a transaction in doubt, it
   * is given up, and tried again later for twice as long.
   */
  waitForPrepared(pending: PendingRequest, request: BarrierRequest): void {
    const { transactions, locks, now } = this.#context;
    const prepared = transactions.holdingLocks();
    if (prepared.length === 0) {
      this.#answerBarrier(pending, request);
      return;
    }
    if (!request.isExact) {
      this.observe(pending, prepared, () => this.#answerBarrier(pending, request));
      return;
    }
    const ms = Math.min(HOLD_MS_MAX, HOLD_MS_MIN * 2 ** pending.attempts);
    pending.attempts++;
    const hold: Hold = { pending, ms, until: now + ms };
    this.#holds.add(hold);
    locks.holdBack();
    this.observe(pending, prepared, () => {
      this.#answerBarrier(pending, request);
      this.#endHold(hold);
    });
    const { stopObserving } = pending;
    pending.stopObserving = () => {
      stopObserving?.();
      this.#endHold(hold);
    };
  }

  /** The lease comes first: what is begun must be answered. */
  #answerBarrier(pending: PendingRequest, request: BarrierRequest): void {
    const { membership, clocks, store } = this.#context;
    if (membership.mayRead(clocks)) this.answer(pending, request.evaluate(store));
    else this.#host.park(pending);
  }

  #endHold(hold: Hold): void {
    if (!this.#holds.delete(hold) || this.#holds.size > 0) return;
    this.#context.locks.goOn();
  }

  /** Gives up what has held back writes for too long, and tries again what was given up before. */
  onTick(): void {
    const { now } = this.#context;
    for (const hold of this.#holds) {
      if (now < hold.until) continue;
      this.#context.counters.holdsGivenUp++;
      const { pending, ms } = hold;
      pending.stopObserving?.();
      pending.stopObserving = undefined;
      this.#again.push({ pending, at: now + ms });
    }
    if (this.#again.length === 0) return;
    const due = this.#again.filter(({ at }) => now >= at);
    this.#again = this.#again.filter(({ at }) => now < at);
    for (const { pending } of due) if (pending.state === "observing") this.#host.dispatch(pending);
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
