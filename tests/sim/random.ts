/**
 * Random numbers that a seed determines: sfc32 (Doty-Humphrey's small fast counter), seeded by
 * splitmix32.
 *
 * @module
 */

/** A stream of random numbers. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; `stream` tells streams of one seed apart */
  constructor(seed: number, stream = 0) {
    let state = (seed ^ Math.imul(stream + 1, 0x9e3779b9)) | 0;
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) | 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next() ^ Math.floor(seed / 2 ** 32);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** Returns a number from 0 up to but not including 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return (sum >>> 0) / 2 ** 32;
  }

  /** Returns a number from `min` up to but not including `max`. */
  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** Returns an integer from 0 up to but not including `count`. */
  integer(count: number): number {
    return Math.floor(this.next() * count);
  }

  /** Returns true once in `1 / probability` times. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Returns one of `items`. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.integer(items.length)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  /** Returns mostly small numbers from `min`, rarely as much as `max`. */
  skewed(min: number, max: number): number {
    const x = this.next();
    return min + (max - min) * x * x * x;
  }
}
