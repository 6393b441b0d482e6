/**
 * The times of the protocol.
 *
 * @module
 */

/** The times of the protocol, in milliseconds. */
export interface Timing {
  /** A request is answered within this time, whatever happens. */
  readonly timeoutMs: number;
  /** When this much is left of it, a request is given up, so that an abort can still be confirmed. */
  readonly giveUpMs: number;
  /** How long a heartbeat round is good for reading. */
  readonly leaseMs: number;
  /** A member that was not heard of for so long is suspected. */
  readonly suspicionMs: number;
  /** Time between heartbeat rounds. */
  readonly heartbeatMs: number;
  /** How much the rate of a clock may be off, as a part of 1; less than 1. */
  readonly driftMax: number;
}

/** The times of the views, where nothing else is said. */
export const VIEW_TIMING = {
  leaseMs: 1000,
  suspicionMs: 1000,
  heartbeatMs: 200,
  // Far beyond what a quartz does: a time service that corrects a clock slews it by up to 8.3 %.
  driftMax: 0.1,
} as const;

/** Returns the timing for requests that end within `timeoutMs`. */
export function timingFor(
  timeoutMs: number,
  views: Omit<Timing, "timeoutMs" | "giveUpMs"> = VIEW_TIMING,
): Timing {
  return { ...views, timeoutMs, giveUpMs: Math.min(500, timeoutMs / 5) };
}
