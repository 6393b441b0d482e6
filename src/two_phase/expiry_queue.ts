/**
 * The entries that expire, the next one first: a heap in which each entry knows its place.
 *
 * The times are beside each other in an array of their own, and each entry has four below it: to put an
 * entry at its place looks at few others, whose memory is seldom near.
 *
 * @module
 */

import type { Entry } from "./state.ts";

/** What an entry has as its place if it does not expire. */
export const NO_PLACE = -1;

/** How many entries are below each: those below `place` begin at `ARITY * place + 1`. */
const ARITY = 4;

/** The fewest places for times. */
const PLACES_MIN = 16;

/** The entries of one store that have an expiry. */
export class ExpiryQueue {
  readonly #heap: Entry[] = [];
  /** The expiries of those in the heap, by place; behind them is room for more. */
  #times = new Float64Array(PLACES_MIN);

  /** How many entries expire. */
  get size(): number {
    return this.#heap.length;
  }

  /** Takes note of what `entry` has as its expiry now. */
  update(entry: Entry): void {
    const { expiresAtMs, expiryPlace } = entry;
    if (expiresAtMs === undefined) {
      if (expiryPlace !== NO_PLACE) this.#remove(entry);
    } else if (expiryPlace !== NO_PLACE) this.#settle(entry, expiresAtMs, expiryPlace);
    else {
      const place = this.#heap.length;
      this.#heap.push(entry);
      if (place === this.#times.length) this.#resize(2 * place);
      this.#settle(entry, expiresAtMs, place);
    }
  }

  /** Returns entries whose expiry is not after `nowMs`: `countMax` at the most, in no order. */
  due(nowMs: number, countMax: number): Entry[] {
    const due: Entry[] = [];
    const open = [0];
    for (let place = open.pop(); place !== undefined && due.length < countMax; place = open.pop()) {
      const entry = this.#heap[place];
      // Nothing below an entry expires before it.
      if (entry === undefined || this.#timeAt(place) > nowMs) continue;
      due.push(entry);
      for (let below = 1; below <= ARITY; below++) open.push(ARITY * place + below);
    }
    return due;
  }

  #remove(entry: Entry): void {
    const place = entry.expiryPlace;
    entry.expiryPlace = NO_PLACE;
    const last = this.#heap.pop();
    const { length } = this.#heap;
    const time = this.#timeAt(length);
    if (last !== undefined && last !== entry) this.#settle(last, time, place);
    if (length < this.#times.length / 8 && length >= PLACES_MIN) this.#resize(2 * length);
  }

  /** Puts `entry` at `place`, or above or below that, where it is right. What was there is elsewhere. */
  #settle(entry: Entry, time: number, place: number): void {
    const times = this.#times;
    const { length } = this.#heap;
    let at = place;
    while (at > 0) {
      const above = (at - 1) >> 2;
      if (this.#timeAt(above) <= time) break;
      this.#move(above, at);
      at = above;
    }
    for (;;) {
      const first = ARITY * at + 1;
      const end = Math.min(first + ARITY, length);
      let least = at;
      let leastTime = time;
      for (let below = first; below < end; below++) {
        const one = times[below] ?? Infinity;
        if (one >= leastTime) continue;
        least = below;
        leastTime = one;
      }
      if (least === at) break;
      this.#move(least, at);
      at = least;
    }
    this.#heap[at] = entry;
    times[at] = time;
    entry.expiryPlace = at;
  }

  #move(from: number, to: number): void {
    const entry = this.#heap[from];
    if (entry === undefined) return;
    this.#heap[to] = entry;
    this.#times[to] = this.#timeAt(from);
    entry.expiryPlace = to;
  }

  #timeAt(place: number): number {
    return this.#times[place] ?? Infinity;
  }

  #resize(places: number): void {
    const times = new Float64Array(places);
    times.set(this.#times.subarray(0, Math.min(places, this.#heap.length)));
    this.#times = times;
  }
}
