/**
 * The hybrid clock (Kulkarni et al. 2014, "Logical physical clocks"), in one integer.
 *
 * A stamp is in microseconds: the local clock's reading, or one more than the highest stamp that
 * this node has given or seen, whichever is higher. So stamps grow with causality whatever the
 * clocks say, and stay near wall-clock time if the clocks are right. Correctness does not depend on
 * the latter: stamps only order requests by age (wait-die) and versions of a key (under the key's
 * lock).
 *
 * @module
 */

import { CLOCK_MS_MAX } from "../limits.ts";
import type { Stamp } from "./messages.ts";

/**
 * The latest physical time that a stamp follows, in microseconds. Stamps are written as integers
 * below 2⁵³, so there is room for 2⁵² more, however far ahead a clock is.
 */
const PHYSICAL_MAX = CLOCK_MS_MAX * 1000;

/** Gives stamps, each higher than every stamp given or observed before. */
export class HybridClock {
  #last: Stamp = 0;

  /** Returns a new stamp; `nowMs` is the local clock's reading in milliseconds. */
  tick(nowMs: number): Stamp {
    const physical = Math.min(Math.floor(nowMs * 1000), PHYSICAL_MAX);
    this.#last = physical > this.#last ? physical : this.#last + 1;
    return this.#last;
  }

  /** Returns the highest stamp given or observed so far. */
  get last(): Stamp {
    return this.#last;
  }

  /** Makes later stamps higher than `stamp`, which came from another node or from the journal. */
  observe(stamp: Stamp): void {
    if (stamp > this.#last) this.#last = stamp;
  }
}
