/**
 * Reads: how requests that need no commit are answered.
 *
 * A key may be read while no transaction that will write it is prepared here; for if one is, it may
 * have been committed and acknowledged elsewhere (Katsarakis et al. 2020, §3). A read of one key
 * waits only for the transactions that held the key when it arrived. A read of several keys needs
 * all of them free at one moment; to be sure of such a moment it waits in line like a write.
 *
 * Every answer that depends on the state and needs no commit needs the lease, also at the moment of
 * the answer.
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { EvaluationView } from "./evaluation.ts";
import type { LeaseTerm } from "./lease.ts";
import { invariant } from "../invariant.ts";
import type { PendingRequest } from "./pending_requests.ts";
import type { BarrierRequest, Outcome, ReadRequest } from "./request.ts";
import type { Observer, Transaction } from "./state.ts";

/** What {@linkcode Reads} needs from its coordinator. */
export interface ReadHost {
  /** Puts a read of several keys in line. */
  lineUp(pending: PendingRequest, request: ReadRequest): void;
  /** Has a read that has found keys whose time to live is over delete them before it is answered. */
  lineUpToExpire(pending: PendingRequest, request: ReadRequest): void;
  /** Parks `pending` until the next lease. */
  park(pending: PendingRequest): void;
  /** Starts `pending` again. */
  dispatch(pending: PendingRequest): void;
  /** Answers `pending`; the answer is valid as long as `term` holds. */
  finish(pending: PendingRequest, outcome: Outcome, term: LeaseTerm | undefined): void;
}

/** How long an exact barrier holds back writes, in milliseconds: at first, and at most. */
const HOLD_MS_MIN = 50;
const HOLD_MS_MAX = 800;

/** An exact barrier for which writes are held back. */
interface Hold {
  readonly pending: PendingRequest;
  readonly ms: number;
  readonly until: number;
}

/** Answers requests that need no commit. */
export class Reads {
  readonly #context: Context;
  readonly #host: ReadHost;
  readonly #view: EvaluationView;
  readonly #holds = new Set<Hold>();
  /** Exact barriers that were given up, until they are tried again. */
  #again: { readonly pending: PendingRequest; readonly at: number }[] = [];

  /** @param view what evaluations see */
  constructor(context: Context, view: EvaluationView, host: ReadHost) {
    this.#context = context;
    this.#view = view;
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
      this.#answerRead(pending, request);
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
      this.#answerRead(pending, request);
      return;
    }
    this.observe(pending, [writer], () => this.#readWhenSettled(pending, request));
  }

  /**
   * Waits for everything that is prepared now, then answers `request`.
   *
   * An exact barrier needs a moment at which nothing is prepared here. Under load no such moment
   * comes by itself, so the barrier stops all grants meanwhile. If that takes too long, as with a
   * transaction in doubt, it gives up, and tries again later for twice as long.
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

  /** Check the lease first: what is evaluated must be answered. */
  #answerBarrier(pending: PendingRequest, request: BarrierRequest): void {
    const { membership, clocks, store } = this.#context;
    if (membership.mayRead(clocks)) this.answer(pending, request.evaluate(store));
    else this.#host.park(pending);
  }

  #endHold(hold: Hold): void {
    if (!this.#holds.delete(hold) || this.#holds.size > 0) return;
    this.#context.locks.resume();
  }

  /**
   * Gives up barriers that have held back writes for too long, and retries those given up before.
   */
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

  /** Answers without a commit, with a reply that depends on the state: that needs the lease. */
  answer(pending: PendingRequest, reply: unknown): void {
    const { membership, clocks } = this.#context;
    if (!membership.mayRead(clocks)) {
      // The reply is dropped: the request reads again with the next lease.
      this.#host.park(pending);
      return;
    }
    this.#host.finish(pending, { kind: "answered", reply }, membership.lease.term);
  }

  /** Calls `then` when all of `transactions` are committed or aborted. */
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

  /** Answers a read of what is committed, or has it delete first what has expired. */
  #answerRead(pending: PendingRequest, request: ReadRequest): void {
    this.#view.begin(undefined);
    const reply = request.evaluate(this.#view.read, this.#view);
    if (this.#view.expired.size === 0) this.answer(pending, reply);
    else this.#host.lineUpToExpire(pending, request);
  }
}
