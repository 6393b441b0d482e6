/**
 * The clocks of this process. Every module of a node that needs the time gets it here.
 *
 * @module
 */

import { CLOCK_MS_MAX } from "./limits.ts";
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

/** Says why a node cannot work at the time given; `undefined` if it can. */
export function whyNotThisTime({ monotonicMs, wallMs }: Clocks): string | undefined {
  const latest = Math.max(monotonicMs, wallMs);
  if (latest <= CLOCK_MS_MAX) return undefined;
  const shown = (ms: number) => new Date(Math.min(ms, DATE_MS_MAX)).toISOString();
  return `the clock of this machine shows ${shown(latest)}, and dks works until ${
    shown(CLOCK_MS_MAX)
  }: set the clock, and start the node again`;
}

/** The latest time that a `Date` can hold. */
const DATE_MS_MAX = 8.64e15;
