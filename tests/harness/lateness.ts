/**
 * How late this process was, as a busy machine makes it: what a test measures is late by as much.
 *
 * @module
 */

/** How often it looks, in milliseconds. */
const EVERY_MS = 10;

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

  stop(): void {
    clearInterval(this.#timer);
  }
}
