/**
 * Saying something seldom: what happens a thousand times a second is worth a line every ten.
 *
 * @module
 */

import { now } from "./clock.ts";

/** Lets the same thing be said once in a while. */
export class Seldom {
  readonly #pauseMs: number;
  #saidAt = -Infinity;
  #unsaid = 0;

  /** @param pauseMs between two times that it is said, at the least */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** Says it, by `say`, unless that was done a moment ago. `say` is told how often it was not. */
  say(say: (unsaid: number) => void): void {
    if (now() - this.#saidAt < this.#pauseMs) {
      this.#unsaid++;
      return;
    }
    const unsaid = this.#unsaid;
    this.#saidAt = now();
    this.#unsaid = 0;
    say(unsaid);
  }
}
