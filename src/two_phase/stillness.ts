/**
 * How long this process stood still: it was stopped, or one turn of it took long. What a node has not
 * heard meanwhile says nothing of the others, and what its disk has not finished nothing of the disk.
 *
 * So such time is taken off when silence is measured. But not without a bound: a process whose every
 * turn is long would never suspect anybody.
 *
 * @module
 */

/** A moment, and for how long this process had stood still by then, altogether. */
export interface Moment {
  /** The monotonic clock, in milliseconds. */
  readonly at: number;
  readonly stoodStillMs: number;
}

/** Adds up how long this process stood still. */
export class Stillness {
  readonly #creditMsMax: number;
  /** For how long this process has stood still, altogether. */
  totalMs = 0;

  /** @param creditMsMax how much is taken off one measurement at the most */
  constructor(creditMsMax: number) {
    this.#creditMsMax = creditMsMax;
  }

  /** This process stood still for `ms`. */
  note(ms: number): void {
    this.totalMs += ms;
  }

  /** Returns the moment `now`. */
  moment(now: number): Moment {
    return { at: now, stoodStillMs: this.totalMs };
  }

  /** Returns how long something has taken since `moment`, as far as this process could tell. */
  msSince(moment: Moment, now: number): number {
    const credit = Math.min(this.totalMs - moment.stoodStillMs, this.#creditMsMax);
    return now - moment.at - credit;
  }
}
