/**
 * Waiting for room on a disk that is full.
 *
 * A commit that finds no room has changed nothing, and what it was to write is still there: so it is tried
 * again until there is room. What waits for it waits, as for a disk that hangs.
 *
 * @module
 */

import { now } from "../../clock.ts";
import { messageOf } from "../../errors.ts";

/** Pauses before the next attempt: from here, doubling, up to there, in milliseconds. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 10_000;

/** After so long with room, in milliseconds, the pauses are short again. */
const CALM_MS = 60_000;

/** Tells whether `error` says that a commit found no room on the disk: nothing was done then. */
export function isOutOfRoom(error: unknown): boolean {
  return /database or disk is full/i.test(messageOf(error));
}

/** What {@linkcode Room} needs. */
export interface RoomOptions {
  /** The disk is full from now on; or it was, and is not any more. Called once for each. */
  readonly onRoom: (isDiskFull: boolean) => void;
  /** The first pause, in milliseconds; for tests. */
  readonly pauseMsMin?: number | undefined;
}

/** Knows whether the disk of one journal has room. */
export class Room {
  readonly #options: RoomOptions;
  readonly #pauseMsMin: number;
  #isFull = false;
  #pauseMs: number;
  #foundAt = -Infinity;
  #waitedMs = 0;
  /** Ends the present pause. */
  #wake: (() => void) | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#pauseMsMin = options.pauseMsMin ?? PAUSE_MS_MIN;
    this.#pauseMs = this.#pauseMsMin;
  }

  /** How long was waited for room so far, in milliseconds. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** There is none: resolves when it is time to look again. */
  async wait(): Promise<void> {
    const beganAt = now();
    if (!this.#isFull) {
      // A disk on which room comes and goes is asked seldom: each time may cost the others a view.
      if (beganAt - this.#foundAt > CALM_MS) this.#pauseMs = this.#pauseMsMin;
      this.#isFull = true;
      this.#options.onRoom(true);
    }
    const pause = Promise.withResolvers<void>();
    this.#wake = pause.resolve;
    const timer = setTimeout(pause.resolve, this.#pauseMs);
    await pause.promise;
    clearTimeout(timer);
    this.#wake = undefined;
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
    this.#waitedMs += now() - beganAt;
  }

  /** A commit was made. */
  found(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#foundAt = now();
    this.#options.onRoom(false);
  }

  /** Ends the present pause, if there is one. */
  wakeUp(): void {
    this.#wake?.();
  }
}
