/**
 * Members whose disk is slow. A write waits for the forces of all members, so one slow disk makes the
 * whole cluster slow. Each node measures its own forces and tells the others with every heartbeat; each
 * names the slow ones, and with `Timing.excludesSlow` they are left out of the view while a majority of
 * the nodes is fast.
 *
 * A node counts as slow until its forces have been fast for a while. A slow node that has nothing to
 * force makes a force of its own every half second, in the view and outside it, or its disk would be slow for
 * ever.
 *
 * Nothing here concerns safety: whichever members a view has, a majority chooses it.
 *
 * @module
 */

import type { NodeId, NodeSet } from "./messages.ts";
import { NOBODY, only } from "./node_set.ts";
import type { Timing } from "./timing.ts";

/**
 * How much the last force weighs in the average. No single force below a second makes a node slow; and
 * the average falls faster than it rises, as the node has to stay fast for a while anyway.
 */
const RISING_WEIGHT = 0.1;
const FALLING_WEIGHT = 0.2;

/** A slow node that forces nothing makes a force of its own in this time, in milliseconds. */
const PROBE_MS = 500;

/** What a node has said of its disk. */
interface Told {
  forceMs: number;
  /** When it was last too slow; `undefined` if it never was, or is fast again. */
  slowAt: number | undefined;
}

/** A node's disk has become slow, or is fast again. */
export interface SlownessChange {
  readonly node: NodeId;
  readonly isSlow: boolean;
  readonly forceMs: number;
}

/** Knows how long the forces of the nodes take. */
export class SlowMembers {
  readonly #self: NodeId;
  readonly #timing: Timing;
  readonly #told = new Map<NodeId, Told>();
  #ownForceMs = 0;
  #forcedAt: number;

  /** @param startedAt the local clock */
  constructor({ self, timing, startedAt }: { self: NodeId; timing: Timing; startedAt: number }) {
    this.#self = self;
    this.#timing = timing;
    this.#forcedAt = startedAt;
  }

  /** A force of this node has ended, after `ms`. */
  onForced(ms: number, now: number): void {
    const weight = ms > this.#ownForceMs ? RISING_WEIGHT : FALLING_WEIGHT;
    this.#ownForceMs += (ms - this.#ownForceMs) * weight;
    this.#forcedAt = now;
  }

  /** How long a force of this node takes, on average, in whole milliseconds. */
  get ownForceMs(): number {
    return Math.round(this.#ownForceMs);
  }

  /** Tells whether this node should make a force only to see how long it takes. */
  isProbeDue(now: number): boolean {
    return this.#ownForceMs > this.#timing.slowForceMs && now - this.#forcedAt >= PROBE_MS;
  }

  /** Another node has the id of `node` now, or none. */
  forget(node: NodeId): void {
    this.#told.delete(node);
  }

  /** `node` says how long its forces take. Returns what has changed by that. */
  onTold(node: NodeId, forceMs: number, now: number): SlownessChange | undefined {
    const { slowForceMs, fastAgainMs } = this.#timing;
    const told = this.#told.get(node) ?? { forceMs, slowAt: undefined };
    this.#told.set(node, told);
    told.forceMs = forceMs;
    const wasSlow = told.slowAt !== undefined;
    if (forceMs > slowForceMs) told.slowAt = now;
    else if (told.slowAt !== undefined && now - told.slowAt >= fastAgainMs) told.slowAt = undefined;
    const isSlow = told.slowAt !== undefined;
    return isSlow === wasSlow ? undefined : { node, isSlow, forceMs };
  }

  /** How long a force of `node` takes on average, in milliseconds; `undefined` if it has not said so. */
  forceMsOf(node: NodeId): number | undefined {
    return node === this.#self ? this.ownForceMs : this.#told.get(node)?.forceMs;
  }

  /** Tells whether the disk of `node` is slow, or has not been fast for long enough. */
  isSlow(node: NodeId): boolean {
    return this.#told.get(node)?.slowAt !== undefined;
  }

  /** The nodes that a view is to leave out, if a majority is left without them. */
  get toLeaveOut(): NodeSet {
    if (!this.#timing.excludesSlow) return NOBODY;
    let set = NOBODY;
    for (const node of this.#told.keys()) if (this.isSlow(node)) set |= only(node);
    return set;
  }
}
