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
  /** The link of a pair that was cut must be whole for this long before both are members again. */
  readonly heldBackMs: number;
  /** That time doubles each time the pair is cut again, up to this. */
  readonly heldBackMsMax: number;
  /** A node whose forces take longer than this on average has a slow disk. */
  readonly slowForceMs: number;
  /** A node whose disk was slow counts as slow until it has been fast for this long. */
  readonly fastAgainMs: number;
  /** Whether a view leaves out nodes with slow disks, while a majority is fast. */
  readonly excludesSlow: boolean;
}

/** The times that are given with a node's flags. */
type GivenTiming = Pick<Timing, "leaseMs" | "suspicionMs" | "heartbeatMs" | "driftMax">;

/** The default times of views. */
export const VIEW_TIMING = {
  leaseMs: 1000,
  suspicionMs: 1000,
  heartbeatMs: 200,
  // Far more than a quartz drifts: a time service may slew a clock by up to 8.3 %.
  driftMax: 0.1,
} as const;

/** How long nodes are held back whose links break. */
const HELD_BACK = { heldBackMs: 5000, heldBackMsMax: 120_000 } as const;

/** When a disk is slow, and what comes of it. */
export const SLOW_DISK = { slowForceMs: 100, fastAgainMs: 10_000, excludesSlow: false } as const;

/** Returns the timing for requests that end within `timeoutMs`. */
export function timingFor(
  timeoutMs: number,
  views: GivenTiming & Partial<Timing> = VIEW_TIMING,
): Timing {
  return {
    ...HELD_BACK,
    ...SLOW_DISK,
    ...views,
    timeoutMs,
    giveUpMs: Math.min(500, timeoutMs / 5),
  };
}
