/**
 * Virtual time: a queue of what is to happen, and when.
 *
 * @module
 */

interface Event {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

/** Runs actions in the order of their times; those of one time in the order of their scheduling. */
export class Scheduler {
  #now = 0;
  #scheduled = 0;
  #done = 0;
  readonly #heap: Event[] = [];

  /** The virtual time, in milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** How many actions were run. */
  get done(): number {
    return this.#done;
  }

  /** Has `action` run when `ms` have passed. */
  after(ms: number, action: () => void): void {
    this.#push({ at: this.#now + Math.max(0, ms), order: this.#scheduled++, action });
  }

  /** Runs everything up to `until`, or until `isDone` holds. Returns whether it came to hold. */
  run(until: number, isDone: () => boolean = () => false): boolean {
    for (;;) {
      if (isDone()) return true;
      const first = this.#heap[0];
      if (first === undefined || first.at > until) break;
      this.#pop();
      this.#now = first.at;
      this.#done++;
      first.action();
    }
    this.#now = Math.max(this.#now, until);
    return isDone();
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      if (left === undefined) break;
      let least = left;
      const right = heap[down + 1];
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        down++;
      }
      if (!isBefore(least, last)) break;
      heap[at] = least;
      at = down;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
