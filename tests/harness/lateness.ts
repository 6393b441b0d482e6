/**
 * How late this process was, as a busy machine makes it: what a test measures is late by as much.
 *
 * @module
 */

/** How often it looks, in milliseconds. */
const EVERY_MS = 10;

/**
 * A request to a cluster waits for this many processes in turn, each of which may be as late as this one
 * is on a busy machine.
 */
const PROCESSES = 4;

/** Measures from its making until it is stopped. */
export class Lateness {
  /** The most that this process was late by, in milliseconds. */
  mostMs = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    let dueAt = performance.now() + EVERY_MS;
    this.#timer = setInterval(() => {
      this.mostMs = Math.max(this.mostMs, performance.now() - dueAt);
      dueAt = performance.now() + EVERY_MS;
    }, EVERY_MS);
  }

  /** What a request to a cluster may take longer for it, in milliseconds. */
  get forRequestMs(): number {
    return PROCESSES * this.mostMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
