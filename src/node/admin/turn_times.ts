/**
 * How long turns of the event loop take: while one lasts, the node does nothing else.
 *
 * A timer that fires late shows them. A process that was suspended looks like one long turn.
 *
 * @module
 */

/** The longest recent turn covers at least this much of the past, in milliseconds, and at most twice. */
const PERIOD_MS = 60_000;

/** The longest turns of a node. */
export class TurnTimes {
  /** Of all turns, in milliseconds. */
  longestMs = 0;
  #recentMs = 0;
  #beforeMs = 0;
  #periodBeganAt: number;

  /** @param nowMs the monotonic clock, in milliseconds */
  constructor(nowMs: number) {
    this.#periodBeganAt = nowMs;
  }

  /** Records that a timer was late by `lateMs`, at `nowMs` by the monotonic clock. */
  recordLateness(lateMs: number, nowMs: number): void {
    if (nowMs - this.#periodBeganAt >= PERIOD_MS) {
      this.#beforeMs = nowMs - this.#periodBeganAt < 2 * PERIOD_MS ? this.#recentMs : 0;
      this.#recentMs = 0;
      this.#periodBeganAt = nowMs;
    }
    this.#recentMs = Math.max(this.#recentMs, lateMs);
    this.longestMs = Math.max(this.longestMs, lateMs);
  }

  /** Of the turns of the last one or two minutes, in milliseconds. */
  get longestRecentMs(): number {
    return Math.max(this.#recentMs, this.#beforeMs);
  }
}
