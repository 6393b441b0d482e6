/**
 * Counts values by size, in buckets that double: the first bound, twice that, and so on.
 *
 * @module
 */

/** Bounds of a histogram beyond the first. */
const DOUBLINGS = 20;

/** Counts values by size. To add one takes a few nanoseconds. */
export class Histogram {
  /** The last one has what is above all bounds. */
  readonly #counts = new Float64Array(DOUBLINGS + 2);
  readonly #first: number;
  #count = 0;
  #sum = 0;

  /** @param first the least bound, above 0; the largest one is 2²⁰ times that */
  constructor(first: number) {
    this.#first = first;
  }

  /** Adds a value; one below 0 counts as 0. */
  add(value: number): void {
    const times = Math.ceil(value / this.#first) - 1;
    const at = times <= 0 ? 0 : times >= 2 ** DOUBLINGS ? DOUBLINGS + 1 : 32 - Math.clz32(times);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count++;
    if (value > 0) this.#sum += value;
  }

  /** How many values there are. */
  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** The bounds, each with how many values do not exceed it, in ascending order. */
  get buckets(): readonly { readonly bound: number; readonly count: number }[] {
    let count = 0;
    return Array.from({ length: DOUBLINGS + 1 }, (_, at) => {
      count += this.#counts[at] ?? 0;
      return { bound: this.#first * 2 ** at, count };
    });
  }

  /** Returns a copy, so that {@linkcode percentileSince} can tell what came after it. */
  copy(): Histogram {
    const copy = new Histogram(this.#first);
    copy.#counts.set(this.#counts);
    copy.#count = this.#count;
    copy.#sum = this.#sum;
    return copy;
  }

  /**
   * Returns a bound that so much of the values since `before` did not exceed; `undefined` if there are
   * none. What is above all bounds counts as twice the largest.
   */
  percentileSince(before: Histogram, percent: number): number | undefined {
    const total = this.#count - before.#count;
    if (total <= 0) return undefined;
    let left = Math.max(1, Math.ceil(total * percent / 100));
    const at = this.#counts.findIndex((count, index) =>
      (left -= count - (before.#counts[index] ?? 0)) <= 0
    );
    return this.#first * 2 ** at;
  }
}
