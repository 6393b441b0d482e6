/**
 * The clocks of this process. Every module of a node that needs the time gets it here.
 *
 * @module
 */

import type { Clocks } from "./two_phase/clocks.ts";

/**
 * Returns the monotonic clock in milliseconds: it starts at the wall-clock time of the process's
 * start, and never goes back. It stands still while the machine is suspended.
 */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Returns both clocks, read at the same moment. */
export function clocks(): Clocks {
  return { monotonicMs: now(), wallMs: Date.now() };
}
