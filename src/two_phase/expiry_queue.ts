/**
 * The entries that expire, the next one first: a binary heap in which each entry knows its place.
 *
 * @module
 */

import type { Entry } from "./state.ts";

/** What an entry has as its place if it does not expire. */
export const NO_PLACE = -1;

/** The entries of one store that have an expiry. */
export class ExpiryQueue {
  readonly #heap: Entry[] = [];

  /** How many entries expire. */
  get size(): number {
    return this.#heap.length;
  }

  /** Takes note of what `entry` has as its expiry now. */
  update(entry: Entry): void {
    if (entry.expiresAtMs === undefined) this.#remove(entry);
    else {
      if (entry.expiryPlace === NO_PLACE) this.#put(entry, this.#heap.length);
      this.#settle(entry);
    }
  }

  /** Returns entries whose expiry is not after `nowMs`: `countMax` at the most, in no order. */
  due(nowMs: number, countMax: number): Entry[] {
    const due: Entry[] = [];
    const open = [0];
    for (let place = open.pop(); place !== undefined && due.length < countMax; place = open.pop()) {
      const entry = this.#heap[place];
      // Nothing below an entry expires before it.
      if (entry === undefined || timeOf(entry) > nowMs) continue;
      due.push(entry);
      open.push(2 * place + 1, 2 * place + 2);
    }
    return due;
  }

  #remove(entry: Entry): void {
    const place = entry.expiryPlace;
    if (place === NO_PLACE) return;
    entry.expiryPlace = NO_PLACE;
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#put(last, place);
    this.#settle(last);
  }

  /** Moves `entry` up or down until it is right. */
  #settle(entry: Entry): void {
    for (;;) {
      const place = entry.expiryPlace;
      const above = this.#heap[(place - 1) >> 1];
      if (place > 0 && above !== undefined && timeOf(above) > timeOf(entry)) {
        this.#swap(entry, above);
        continue;
      }
      const [left, right] = [this.#heap[2 * place + 1], this.#heap[2 * place + 2]];
      const below = left !== undefined && right !== undefined && timeOf(right) < timeOf(left)
        ? right
        : left;
      if (below === undefined || timeOf(below) >= timeOf(entry)) return;
      this.#swap(entry, below);
    }
  }

  #swap(a: Entry, b: Entry): void {
    const place = a.expiryPlace;
    this.#put(a, b.expiryPlace);
    this.#put(b, place);
  }

  #put(entry: Entry, place: number): void {
    this.#heap[place] = entry;
    entry.expiryPlace = place;
  }
}

function timeOf({ expiresAtMs }: Entry): number {
  return expiresAtMs ?? Infinity;
}
