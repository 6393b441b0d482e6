/**
 * Transactions that have been in doubt for long, so that an operator can see why a key is blocked.
 *
 * Nothing in the protocol depends on this. It is computed on request from what the roles know
 * anyway; otherwise it costs one number in each transaction.
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { Coordinator } from "./coordinator.ts";
import type { NodeId } from "./messages.ts";
import type { Transaction } from "./state.ts";
import { nameForClients } from "./transaction_name.ts";

/**
 * Transactions in doubt for at least this long are reported, in milliseconds. It is the default
 * suspicion time: a node that says nothing for this long is suspected.
 */
export const LONG_DOUBT_MS = 1000;

/** What would end a doubt. */
export type Awaited =
  /**
   * This node coordinates the transaction, and these members have not reported that they are
   * prepared.
   */
  | { readonly kind: "votes"; readonly nodes: readonly NodeId[] }
  /** Another node coordinates it, and only that node knows how it ends. */
  | { readonly kind: "coordinator"; readonly node: NodeId }
  /** The view is being changed: until the next one is installed, no node decides anything. */
  | { readonly kind: "view" }
  /** This node's record of it is not durable yet. */
  | { readonly kind: "disk" };

/** A transaction that holds locks here and whose outcome this node does not know. */
export interface Doubt {
  readonly transaction: Transaction;
  /** The name by which clients know it. */
  readonly name: string;
  /**
   * When it was prepared here, in milliseconds by the local clock; for one that was already in
   * doubt when this process started, when its coordinator prepared it, by the coordinator's clock.
   */
  readonly since: number;
  readonly awaited: Awaited;
}

/**
 * Returns the transactions that had been in doubt for {@linkcode LONG_DOUBT_MS} at the last step;
 * the oldest first.
 */
export function longDoubts(context: Context, coordinator: Coordinator): Doubt[] {
  const { transactions, membership: { view }, now } = context;
  return transactions.holdingLocks()
    .filter(({ preparedAt }) => now - preparedAt >= LONG_DOUBT_MS)
    .sort((a, b) => a.preparedAt - b.preparedAt || a.grantOrder - b.grantOrder)
    .map((transaction) => ({
      transaction,
      name: nameForClients(transaction, view.journals[transaction.coordinator] ?? ""),
      since: transaction.preparedAt,
      awaited: awaitedBy(transaction, context, coordinator),
    }));
}

function awaitedBy(transaction: Transaction, context: Context, coordinator: Coordinator): Awaited {
  const { self, membership } = context;
  if (membership.isFrozen) return { kind: "view" };
  if (transaction.state === "aborting") return { kind: "disk" };
  if (transaction.coordinator !== self) {
    return transaction.state === "prepared"
      ? { kind: "coordinator", node: transaction.coordinator }
      : { kind: "disk" };
  }
  // A follower waits for the same: members vote in the order of the numbers.
  const nodes = coordinator.missingVotes(transaction).filter((node) => node !== self);
  return nodes.length > 0 ? { kind: "votes", nodes } : { kind: "disk" };
}
