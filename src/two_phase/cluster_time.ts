/**
 * Which time it is for the cluster: by it keys expire.
 *
 * Nodes compare their wall clocks when they acknowledge heartbeats. The acknowledgement carries the wall
 * clock of its sender, which read it between the moments at which the round was sent and the
 * acknowledgement came. What is kept is how far that clock is ahead of *this* node's monotonic clock, so
 * that it stays true when somebody sets the wall clock of this node.
 *
 * A node whose wall clock is more than {@linkcode CLOCK_OFF_MS_MAX} off the median of the others goes by
 * that median if it must say what time it is, and treats no key as expired by itself. With an even
 * number of others there are two medians, and whatever lies between them is right.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import type { NodeId } from "./messages.ts";

/** A wall clock may be so far off the median of the others, in milliseconds. */
export const CLOCK_OFF_MS_MAX = 500;

/** An acknowledgement that took longer, in milliseconds, tells too little of the time. */
export const ROUND_TRIP_MS_MAX = 200;

/** With fewer others no node can say which clock is wrong. */
const OTHERS_MIN = 2;

/** What an acknowledged heartbeat round tells of the clock of its peer. */
export interface ClockSample {
  readonly peerWallMs: number;
  /** By the monotonic clock of this node, in milliseconds. */
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
}

/** The wall clocks of the cluster, as one node sees them. */
export class ClusterTime {
  /** By peer: its wall clock less this node's monotonic clock. */
  readonly #ahead = new Map<NodeId, number>();
  /** The medians of that. */
  #low = 0;
  #high = 0;

  /** Takes note of what the clock of `peer` has shown. */
  onSample(peer: NodeId, { peerWallMs, sentAtMs, receivedAtMs }: ClockSample): void {
    const isVague = receivedAtMs - sentAtMs > ROUND_TRIP_MS_MAX;
    if (isVague && this.#ahead.has(peer)) return;
    this.#ahead.set(peer, peerWallMs - (sentAtMs + receivedAtMs) / 2);
    this.#update();
  }

  /** The link to `peer` is gone: what its clock shows is not known any more. */
  forget(peer: NodeId): void {
    if (this.#ahead.delete(peer)) this.#update();
  }

  #update(): void {
    ({ low: this.#low, high: this.#high } = medians([...this.#ahead.values()]));
  }

  /**
   * Returns how far the wall clock of this node is ahead of the others, in milliseconds; behind them, if
   * it is negative; 0 if nobody tells.
   */
  offMs({ wallMs, monotonicMs }: Clocks): number {
    return this.#ahead.size === 0
      ? 0
      : distance(wallMs - monotonicMs, { low: this.#low, high: this.#high });
  }

  /** Tells whether this node may take a key for expired by itself. */
  mayExpire(clocks: Clocks): boolean {
    return Math.abs(this.offMs(clocks)) <= CLOCK_OFF_MS_MAX;
  }

  /** Returns the time, in milliseconds since 1970; an integer. */
  nowMs(clocks: Clocks): number {
    const off = this.offMs(clocks);
    const isWrong = Math.abs(off) > CLOCK_OFF_MS_MAX && this.#ahead.size >= OTHERS_MIN;
    return Math.floor(isWrong ? clocks.wallMs - off : clocks.wallMs);
  }

  /** Tells whether the clock of `peer` is too far off those of all others, as far as is known. */
  isPeerOff(peer: NodeId, { wallMs, monotonicMs }: Clocks): boolean {
    const its = this.#ahead.get(peer);
    if (its === undefined) return false;
    const others = [...this.#ahead].filter(([node]) => node !== peer).map(([, ahead]) => ahead);
    const range = medians([...others, wallMs - monotonicMs]);
    return Math.abs(distance(its, range)) > CLOCK_OFF_MS_MAX;
  }
}

interface Medians {
  readonly low: number;
  readonly high: number;
}

function medians(values: number[]): Medians {
  values.sort((a, b) => a - b);
  const low = values[Math.ceil(values.length / 2) - 1] ?? 0;
  const high = values[Math.floor(values.length / 2)] ?? 0;
  return { low, high };
}

/** Returns how far `value` is outside of the range. */
function distance(value: number, { low, high }: Medians): number {
  if (value < low) return value - low;
  return value > high ? value - high : 0;
}
