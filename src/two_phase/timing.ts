/**
 * The times of the protocol.
 *
 * @module
 */

/** The times of the protocol, in milliseconds. */
export interface Timing {
  /** A request is answered within this time, whatever happens. */
  readonly timeoutMs: number;
  /**
   * A request is given up when this much of its time is left, so that an abort can still be
   * confirmed.
   */
  readonly giveUpMs: number;
  /** How long an acknowledged heartbeat round allows reads. */
  readonly leaseMs: number;
  /** A member that has been silent for this long is suspected. */
  readonly suspicionMs: number;
  /** Time between heartbeat rounds. */
  readonly heartbeatMs: number;
  /** How much the rate of a clock may be off, as a fraction; less than 1. */
  readonly driftMax: number;
}

/** The default times of views. */
export const VIEW_TIMING = {
  leaseMs: 1000,
  suspicionMs: 1000,
  heartbeatMs: 200,
  // Far more than a quartz drifts: a time service may slew a clock by up to 8.3 %.
  driftMax: 0.1,
} as const;

/** Returns the timing for requests that end within `timeoutMs`. */
export function timingFor(
  timeoutMs: number,
  views: Omit<Timing, "timeoutMs" | "giveUpMs"> = VIEW_TIMING,
): Timing {
  return { ...views, timeoutMs, giveUpMs: Math.min(500, timeoutMs / 5) };
}
