/**
 * Pauses between the attempts of one request: the first few follow each other at once, and later ones wait
 * for a random time, so that requests which take each other's locks come apart (exponential backoff).
 *
 * @module
 */

import { type OwnTransaction, requestOf } from "./own_transaction.ts";

/** Attempts that start without a pause after the one before. */
const PROMPT_ATTEMPTS = 3;

/** Longest pause before a further attempt, in milliseconds; it doubles up to here. */
const PAUSE_MS_MAX = 64;

/** The attempts of one node that wait out their pause. */
export class RetryPauses {
  readonly #random: () => number;
  readonly #paused: { readonly transaction: OwnTransaction; readonly until: number }[] = [];

  /** @param random returns numbers from 0 up to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Begins the pause before `next`, at `now` in milliseconds. Returns false if it needs none. */
  begin(next: OwnTransaction, now: number): boolean {
    const { attempts } = requestOf(next);
    if (attempts < PROMPT_ATTEMPTS) return false;
    const ceiling = Math.min(PAUSE_MS_MAX, 2 ** (attempts - PROMPT_ATTEMPTS));
    this.#paused.push({ transaction: next, until: now + this.#random() * ceiling });
    return true;
  }

  /** Returns the attempts whose pause is over at `now`, the latest first, and forgets them. */
  takeOver(now: number): OwnTransaction[] {
    const over: OwnTransaction[] = [];
    for (let i = this.#paused.length - 1; i >= 0; i--) {
      const paused = this.#paused[i];
      if (paused === undefined || now < paused.until) continue;
      this.#paused.splice(i, 1);
      over.push(paused.transaction);
    }
    return over;
  }

  /** Forgets all of them. */
  clear(): void {
    this.#paused.length = 0;
  }
}
