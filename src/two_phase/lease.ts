/**
 * The lease: the right to answer reads in a view (Gray & Cheriton 1989).
 *
 * It lasts for some time from the moment at which a heartbeat round was *sent* that a majority of the
 * configured nodes acknowledged, none of which had promised a ballot above that of the view. A node
 * that promises such a ballot acknowledges no more; so once a majority has promised, no lease can
 * last longer than that from the last promise, and whoever waits so long before it installs the next
 * view can be sure that nobody reads in the old one.
 *
 * @module
 */

import type { NodeIndex, NodeSet } from "./messages.ts";
import { majority, NOBODY, only, size } from "./node_set.ts";

/** Rounds whose acknowledgements may still come. Older ones are given up. */
const ROUNDS_MAX = 16;

/** One heartbeat round. */
interface Round {
  readonly round: number;
  readonly sentAt: number;
  acknowledged: NodeSet;
}

/** The lease of one node, for the view that it has installed. */
export class Lease {
  readonly #nodes: number;
  readonly #leaseMs: number;
  #rounds: Round[] = [];
  #lastRound = 0;
  #until = -Infinity;

  /** @param options `nodes`: how many are configured; `leaseMs`: how long a round is good for */
  constructor(options: { nodes: number; leaseMs: number }) {
    this.#nodes = options.nodes;
    this.#leaseMs = options.leaseMs;
  }

  /** When it ends, by the local clock in milliseconds. */
  get until(): number {
    return this.#until;
  }

  /**
   * Begins a round. `own` is this node where its own acknowledgement counts.
   *
   * @returns the round's number
   */
  begin(sentAt: number, own: NodeSet): number {
    const round = { round: ++this.#lastRound, sentAt, acknowledged: own };
    this.#rounds.push(round);
    if (this.#rounds.length > ROUNDS_MAX) this.#rounds.shift();
    this.#extend(round);
    return round.round;
  }

  /** `from`, whose acknowledgement counts, has acknowledged `round`. */
  acknowledge(from: NodeIndex, round: number): void {
    const known = this.#rounds.find((one) => one.round === round);
    if (known === undefined) return;
    known.acknowledged |= only(from);
    this.#extend(known);
  }

  /** The lease is over, and no acknowledgement that is on its way makes another one. */
  end(): void {
    this.#until = -Infinity;
    this.#rounds = [];
  }

  #extend({ sentAt, acknowledged }: Round): void {
    if (acknowledged === NOBODY || size(acknowledged) < majority(this.#nodes)) return;
    // A node alone has nobody who could go on without it.
    const until = this.#nodes === 1 ? Infinity : sentAt + this.#leaseMs;
    if (until > this.#until) this.#until = until;
  }
}
