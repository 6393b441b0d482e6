/**
 * How long this process stood still: it was stopped, or one of its turns took long. Silence in that
 * time proves nothing about the other nodes, and an unfinished write proves nothing about the disk.
 *
 * So this time is subtracted when silence is measured, up to a bound: without the bound, a process
 * whose every turn is long would never suspect another node.
 *
 * @module
 */

/** A moment, and how long this process had stood still by then, in total. */
export interface Moment {
  /** The monotonic clock, in milliseconds. */
  readonly at: number;
  readonly stoodStillMs: number;
}

/** Adds up how long this process has stood still. */
export class Stillness {
  readonly #creditMsMax: number;
  /** How long this process has stood still, in total. */
  totalMs = 0;
  #moment: Moment = { at: -Infinity, stoodStillMs: 0 };

  /** @param creditMsMax the most that is subtracted from one measurement */
  constructor(creditMsMax: number) {
    this.#creditMsMax = creditMsMax;
  }

  /** Adds `ms` for which this process stood still. */
  addStandstill(ms: number): void {
    this.totalMs += ms;
  }

  /** Returns the moment `now`: the same object for many transactions of one turn. */
  moment(now: number): Moment {
    const { at, stoodStillMs } = this.#moment;
    if (at !== now || stoodStillMs !== this.totalMs) {
      this.#moment = { at: now, stoodStillMs: this.totalMs };
    }
    return this.#moment;
  }

  /** Returns the time since `moment`, less the time that this process stood still. */
  msSince(moment: Moment, now: number): number {
    const credit = Math.min(this.totalMs - moment.stoodStillMs, this.#creditMsMax);
    return now - moment.at - credit;
  }
}
