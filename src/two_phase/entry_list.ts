/**
 * All entries of a store, in the order in which they were made: so that a scan can go on behind any of
 * them, and a random one can be picked.
 *
 * The list is cut into chunks, which are in order themselves. Entries are only ever added at the end.
 * Every change takes a bounded number of steps, however many entries there are, but for the list of
 * chunks.
 *
 * @module
 */

import type { Entry } from "./state.ts";

/** Most entries of a chunk. Two neighbours with half as many together become one. */
const CHUNK_MAX = 512;

/** Entries, in their order. */
export class EntryList {
  readonly #chunks: Entry[][] = [];
  /** The order below or at that of the first entry of each chunk: chunks are found without a look at any. */
  readonly #from: number[] = [];

  /** Adds `entry`, whose order is above that of all others. */
  add(entry: Entry): void {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.length < CHUNK_MAX) last.push(entry);
    else {
      this.#chunks.push([entry]);
      this.#from.push(entry.order);
    }
  }

  /** Takes `entry` out. */
  remove(entry: Entry): void {
    const at = this.#chunkFor(entry.order);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const place = placeBehind(chunk, entry.order - 1);
    if (chunk[place] !== entry) return;
    chunk.splice(place, 1);
    const next = this.#chunks[at + 1];
    if (chunk.length === 0) this.#drop(at);
    else if (next !== undefined && chunk.length + next.length <= CHUNK_MAX / 2) {
      chunk.push(...next);
      this.#drop(at + 1);
    }
  }

  #drop(at: number): void {
    this.#chunks.splice(at, 1);
    this.#from.splice(at, 1);
  }

  /** Returns the entries whose order is above `order`. The list must not change meanwhile. */
  *behind(order: number): Generator<Entry> {
    for (let at = this.#chunkFor(order); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] ?? [];
      for (let place = placeBehind(chunk, order); place < chunk.length; place++) {
        const entry = chunk[place];
        if (entry !== undefined) yield entry;
      }
    }
  }

  /**
   * Returns an entry near the place that is `fraction` of the whole list, or `undefined` if there is
   * none.
   */
  at(fraction: number): Entry | undefined {
    const place = fraction * this.#chunks.length;
    const chunk = this.#chunks[Math.floor(place)];
    return chunk?.[Math.floor((place - Math.floor(place)) * chunk.length)];
  }

  /** Returns the place of the chunk in which the entry with this order, or the next one, would be. */
  #chunkFor(order: number): number {
    let low = 0;
    let high = this.#from.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#from[middle] ?? 0) <= order) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Returns the place of the first entry of `chunk` whose order is above `order`. */
function placeBehind(chunk: readonly Entry[], order: number): number {
  const { length } = chunk;
  const [first] = chunk;
  const last = chunk[length - 1];
  if (first === undefined || last === undefined || order < first.order) return 0;
  if (order >= last.order) return length;
  // Orders are integers, each once: so many are before it at the most, and so many behind it.
  let high = Math.min(length - 1, order - first.order + 1);
  let low = Math.max(1, length - (last.order - order));
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((chunk[middle]?.order ?? 0) <= order) low = middle + 1;
    else high = middle;
  }
  return low;
}
