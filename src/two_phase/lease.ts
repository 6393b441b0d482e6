/**
 * The lease: the right to answer reads in a view (Gray & Cheriton 1989).
 *
 * It starts when a heartbeat round was *sent*, and holds for a fixed time if a majority of the
 * configured nodes acknowledged that round, none of which had promised a ballot above that of the
 * view. A node that promises such a ballot acknowledges no more rounds. So once a majority has
 * promised, every lease ends within that time after the last promise. A proposer that waits for
 * {@linkcode leaseWaitMs} before it installs the next view can be sure that no node reads in the
 * old one.
 *
 * Time is measured on two clocks, see `clocks.ts`. The monotonic clock alone would let a suspended
 * node read for the rest of its lease after it wakes up. The wall clock alone would let it read for
 * longer by as much as the clock was set back. A read needs both clocks to be within the lease, and
 * to agree about how much time has passed.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import type { NodeId, NodeSet } from "./messages.ts";
import { only } from "./node_set.ts";
import type { Quorum } from "./quorum.ts";

/** Rounds whose acknowledgements still count. Older ones are dropped. */
const ROUNDS_MAX = 16;

/**
 * How far the two clocks may disagree about the time since a round was sent, in milliseconds. It
 * covers the wall clock's resolution and an interruption between the two readings, and is much less
 * than a lease.
 */
export const CLOCK_GAP_MS_MAX = 50;

/**
 * Returns how long a proposer must wait after the last promise until no lease of `leaseMs` can
 * hold, if the holder's clock may run slow by `driftMax` and the proposer's fast by as much.
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

  /** Tells whether the term still holds at `at`, by both clocks. */
  holds(at: Clocks): boolean {
    return this.msLeft(at) > 0;
  }

  /** Returns how much longer the term holds, in milliseconds; 0 or less if it is over. */
  msLeft(at: Clocks): number {
    if (this.#leaseMs === Infinity) return Infinity;
    const byMonotonic = at.monotonicMs - this.sentAt.monotonicMs;
    const byWall = at.wallMs - this.sentAt.wallMs;
    if (haveParted(this.sentAt, at)) return 0;
    return this.#leaseMs - Math.max(byMonotonic, byWall);
  }
}

/** Tells whether the two clocks have gone differently between two moments. */
function haveParted(from: Clocks, to: Clocks): boolean {
  const byMonotonic = to.monotonicMs - from.monotonicMs;
  const byWall = to.wallMs - from.wallMs;
  return Math.abs(byWall - byMonotonic) > CLOCK_GAP_MS_MAX;
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

  /** The latest term; `undefined` if there was none in this view. It may be over. */
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

  /**
   * `from`, whose acknowledgement counts, has acknowledged `round`.
   *
   * @returns when the round was sent; `undefined` for one that is not known any more
   */
  acknowledge(from: NodeId, round: number): Clocks | undefined {
    const known = this.#rounds.find((one) => one.round === round);
    if (known === undefined) return undefined;
    known.acknowledged |= only(from);
    this.#extend(known);
    return known.sentAt;
  }

  /**
   * Ends what has begun before the two clocks parted, if they have by `at`: a clock that was set back
   * and a sleep of the same length would make them agree again by chance. To be called at every tick.
   */
  endIfClocksParted(at: Clocks): void {
    for (const { sentAt } of this.#rounds) {
      if (!haveParted(sentAt, at)) continue;
      this.#rounds = this.#rounds.filter((round) => !haveParted(round.sentAt, at));
      break;
    }
    const term = this.#term;
    if (term === undefined || term.msLeft(at) === Infinity) return;
    if (haveParted(term.sentAt, at)) this.#term = undefined;
  }

  /** Ends the lease. Acknowledgements that are on their way do not renew it. */
  end(): void {
    this.#term = undefined;
    this.#rounds = [];
  }

  #extend({ sentAt, quorum, acknowledged }: Round): void {
    if (!quorum.isReachedBy(acknowledged)) return;
    const isLater = this.#term === undefined ||
      sentAt.monotonicMs > this.#term.sentAt.monotonicMs;
    // In a cluster of one node there is no other that could continue without it.
    if (isLater) this.#term = new LeaseTerm(sentAt, quorum.size === 1 ? Infinity : this.#leaseMs);
  }
}
