/**
 * The lease: the right to answer reads in a view (Gray & Cheriton 1989).
 *
 * It lasts for some time from the moment at which a heartbeat round was *sent* that a majority of the
 * configured nodes acknowledged, none of which had promised a ballot above that of the view. A node
 * that promises such a ballot acknowledges no more; so once a majority has promised, no lease can
 * last longer than that from the last promise. A proposer that waits for {@linkcode leaseWaitMs} before
 * it installs the next view can be sure that nobody reads in the old one.
 *
 * Time is measured on two clocks, see `clocks.ts`. The monotonic clock alone would let a node that was
 * suspended read for as long again when it wakes up. The wall clock alone would let it read for as
 * long as the clock was set back. A read needs both clocks to be within the lease, and to agree about
 * how much time has passed.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import type { NodeId, NodeSet } from "./messages.ts";
import { only } from "./node_set.ts";
import type { Quorum } from "./quorum.ts";

/** Rounds whose acknowledgements may still come. Older ones are given up. */
const ROUNDS_MAX = 16;

/**
 * By how much the two clocks may differ about the time that has passed since a round was sent, in
 * milliseconds: more than the wall clock's resolution and a program that is interrupted between two
 * readings, and much less than a lease.
 */
export const CLOCK_GAP_MS_MAX = 50;

/**
 * Returns for how long a proposer has to wait after the last promise until no lease of `leaseMs` can
 * hold, where the rate of the holder's clock may be low by `driftMax` and its own high by as much.
 */
export function leaseWaitMs({ leaseMs, driftMax }: { leaseMs: number; driftMax: number }): number {
  return leaseMs * (1 + driftMax) / (1 - driftMax);
}

/** The time for which one acknowledged round lets a node read. Nothing in it changes. */
export class LeaseTerm {
  readonly sentAt: Clocks;
  readonly #leaseMs: number;

  /** @param leaseMs how long the round is good for; `Infinity` for a node alone */
  constructor(sentAt: Clocks, leaseMs: number) {
    this.sentAt = sentAt;
    this.#leaseMs = leaseMs;
  }

  /** Tells whether the term is not over at `at`, by both clocks. */
  holds(at: Clocks): boolean {
    return this.msLeft(at) > 0;
  }

  /** Returns for how long the term holds still, in milliseconds; 0 or less where it is over. */
  msLeft(at: Clocks): number {
    if (this.#leaseMs === Infinity) return Infinity;
    const byMonotonic = at.monotonicMs - this.sentAt.monotonicMs;
    const byWall = at.wallMs - this.sentAt.wallMs;
    if (Math.abs(byWall - byMonotonic) > CLOCK_GAP_MS_MAX) return 0;
    return this.#leaseMs - Math.max(byMonotonic, byWall);
  }
}

/** One heartbeat round. */
interface Round {
  readonly round: number;
  readonly sentAt: Clocks;
  readonly quorum: Quorum;
  acknowledged: NodeSet;
}

/** The lease of one node, for the view that it has installed. */
export class Lease {
  readonly #leaseMs: number;
  #rounds: Round[] = [];
  #lastRound = 0;
  #term: LeaseTerm | undefined;

  /** @param leaseMs how long a round is good for */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** The latest term; `undefined` where there was none in this view. It may be over. */
  get term(): LeaseTerm | undefined {
    return this.#term;
  }

  /** Tells whether the lease holds at `at`. */
  holds(at: Clocks): boolean {
    return this.#term !== undefined && this.#term.holds(at);
  }

  /**
   * Begins a round. `own` is this node if its own acknowledgement counts.
   *
   * @returns the round's number
   */
  begin(
    { sentAt, own, quorum }: { sentAt: Clocks; own: NodeSet; quorum: Quorum },
  ): number {
    const round = { round: ++this.#lastRound, sentAt, quorum, acknowledged: own };
    this.#rounds.push(round);
    if (this.#rounds.length > ROUNDS_MAX) this.#rounds.shift();
    this.#extend(round);
    return round.round;
  }

  /** `from`, whose acknowledgement counts, has acknowledged `round`. */
  acknowledge(from: NodeId, round: number): void {
    const known = this.#rounds.find((one) => one.round === round);
    if (known === undefined) return;
    known.acknowledged |= only(from);
    this.#extend(known);
  }

  /** The lease is over, and no acknowledgement that is on its way makes another one. */
  end(): void {
    this.#term = undefined;
    this.#rounds = [];
  }

  #extend({ sentAt, quorum, acknowledged }: Round): void {
    if (!quorum.isReachedBy(acknowledged)) return;
    const isLater = this.#term === undefined ||
      sentAt.monotonicMs > this.#term.sentAt.monotonicMs;
    // A node alone has nobody who could go on without it.
    if (isLater) this.#term = new LeaseTerm(sentAt, quorum.size === 1 ? Infinity : this.#leaseMs);
  }
}
