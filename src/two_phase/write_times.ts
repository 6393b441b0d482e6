/**
 * How long the writes of this node's clients take, and in which phase; and why attempts are aborted.
 *
 * Nothing in the protocol depends on this. The times are those of steps, so they are as exact as a turn
 * of the event loop is short.
 *
 * @module
 */

import { Histogram } from "../histogram.ts";
import type { NoReason } from "./messages.ts";

/** The least bound of the histograms, in milliseconds. */
const FIRST_MS = 0.0625;

/**
 * Why an attempt of a write was aborted: a member's reason for its no; `leader`, one that it follows was
 * aborted; `deadline`, it was not decided in time.
 */
export type AbortReason = NoReason | "leader" | "deadline";

/** What is measured of the writes that this node coordinates. Times are in milliseconds. */
export class WriteTimes {
  /** From a request's arrival to the prepare of its last attempt: it waited for locks, or for the view. */
  readonly locks = new Histogram(FIRST_MS);
  /** From the prepare until this node's own record of it is durable. */
  readonly force = new Histogram(FIRST_MS);
  /** From the prepare to the commit: all members have voted, this one too. */
  readonly votes = new Histogram(FIRST_MS);
  /** From a request's arrival to its commit. */
  readonly whole = new Histogram(FIRST_MS);
  /** How many attempts were aborted, by reason. */
  readonly aborts: Record<AbortReason, number> = {
    conflict: 0,
    view: 0,
    follows: 0,
    aborted: 0,
    leader: 0,
    deadline: 0,
  };

  /** A write is committed now; one from before a restart has no client whom it has kept waiting. */
  onCommit(
    now: number,
    { preparedAt, pending }: {
      readonly preparedAt: number;
      readonly pending: { readonly arrivedAt: number } | undefined;
    },
  ): void {
    if (pending === undefined) return;
    this.locks.add(preparedAt - pending.arrivedAt);
    this.votes.add(now - preparedAt);
    this.whole.add(now - pending.arrivedAt);
  }
}
