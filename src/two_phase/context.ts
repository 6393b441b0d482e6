/**
 * What the roles of one replica share.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import type { Counters } from "./counters.ts";
import type { HybridClock } from "./hybrid_clock.ts";
import type { LockTable } from "./lock_table.ts";
import type { Membership } from "./membership.ts";
import type { NodeId } from "./messages.ts";
import type { NodeRecords } from "./nodes.ts";
import type { Outbox } from "./outbox.ts";
import type { Reachability } from "./reachability.ts";
import type { SlowMembers } from "./slow_members.ts";
import type { Stillness } from "./stillness.ts";
import type { Store } from "./store.ts";
import type { Timing } from "./timing.ts";
import type { TransactionTable } from "./transaction_table.ts";
import type { WriteTimes } from "./write_times.ts";

/** What the roles of one replica share. */
export interface Context {
  readonly self: NodeId;
  readonly timing: Timing;
  readonly clock: HybridClock;
  readonly store: Store;
  readonly locks: LockTable;
  readonly transactions: TransactionTable;
  readonly membership: Membership;
  readonly nodes: NodeRecords;
  readonly reachability: Reachability;
  readonly slowMembers: SlowMembers;
  readonly outbox: Outbox;
  readonly counters: Counters;
  readonly writeTimes: WriteTimes;
  readonly stillness: Stillness;
  /** A number from 0 up to but not including 1, different each time. */
  readonly random: () => number;
  /** The monotonic clock at the present step, in milliseconds; never goes back. */
  now: number;
  /** Both clocks at the present step. */
  clocks: Clocks;
}
