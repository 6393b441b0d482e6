/**
 * How late this process was, as a busy machine makes it: what a test measures is late by as much.
 *
 * @module
 */

import { assertLess } from "@std/assert";

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

/** Does `action`. Fails if that takes longer than `limitMs`, and what a busy machine adds to that. */
export async function within<Result>(
  limitMs: number,
  action: () => Promise<Result>,
): Promise<Result> {
  const lateness = new Lateness();
  const beganAt = performance.now();
  try {
    const result = await action();
    const tookMs = performance.now() - beganAt;
    const { forRequestMs, mostMs } = lateness;
    assertLess(tookMs, limitMs + forRequestMs, `this process was late by ${mostMs} ms`);
    return result;
  } finally {
    lateness.stop();
  }
}
