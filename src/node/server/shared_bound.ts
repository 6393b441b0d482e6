/**
 * A bound on the memory that many connections hold together.
 *
 * While the sum is below the bound, each connection may hold any amount; above it, none may hold
 * more than an equal part. So the sum stays below twice the bound, and a connection that holds
 * little never pays for one that holds much.
 *
 * @module
 */

/** What a connection may hold without being counted, so that most never are. */
const UNCOUNTED_BYTES = 32 * 1024;

/** A bound on the sum of all shares. */
export class SharedBound {
  readonly #bytesMax: number;
  #sum = 0;
  #holders = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Returns a share, which holds nothing at first. */
  share(): Share {
    let held = 0;
    return {
      set: (bytes) => {
        const counted = bytes <= UNCOUNTED_BYTES ? 0 : bytes;
        if (counted === held) return true;
        this.#sum += counted - held;
        this.#holders += Number(counted > 0) - Number(held > 0);
        const hasShrunk = counted < held;
        held = counted;
        return hasShrunk || this.#sum <= this.#bytesMax || held <= this.#bytesMax / this.#holders;
      },
    };
  }
}

/** What one connection holds. */
export interface Share {
  /**
   * Records that the connection now holds `bytes`.
   *
   * @returns whether it may.
   */
  set(bytes: number): boolean;
}
