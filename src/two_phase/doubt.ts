/**
 * What is in doubt for long: for people, who want to know why a key answers nobody.
 *
 * Nothing in the protocol depends on this. It is found out when somebody asks, from what the roles
 * know anyway; all that it costs otherwise is one number in each transaction.
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { Coordinator } from "./coordinator.ts";
import type { NodeId } from "./messages.ts";
import type { Transaction } from "./state.ts";
import { nameForClients } from "./transaction_name.ts";

/**
 * From this age on a transaction in doubt is told of, in milliseconds: by then the others would
 * suspect a node that says nothing, if nobody has chosen another time for that.
 */
export const LONG_DOUBT_MS = 1000;

/** What would end a doubt. */
export type Awaited =
  /** This node coordinates the transaction, and these members have not said that they are prepared. */
  | { readonly kind: "votes"; readonly nodes: readonly NodeId[] }
  /** Another node coordinates it, and alone knows how it ends. */
  | { readonly kind: "coordinator"; readonly node: NodeId }
  /** The view is being changed: until there is another one, nobody decides anything. */
  | { readonly kind: "view" }
  /** What this node has to say about it is not on its own disk yet. */
  | { readonly kind: "disk" };

/** A transaction that holds locks here, and of which nobody here knows how it ends. */
export interface Doubt {
  readonly transaction: Transaction;
  /** What clients know it by. */
  readonly name: string;
  /**
   * When it was prepared here, in milliseconds by the local clock; for one that was in doubt already
   * when this process began, when its coordinator prepared it, by the coordinator's clock.
   */
  readonly since: number;
  readonly awaited: Awaited;
}

/** Returns what was in doubt for {@linkcode LONG_DOUBT_MS} at the last step; the oldest first. */
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
  // Whoever follows another one waits for the same: members vote in the order of the numbers.
  const nodes = coordinator.missingVotes(transaction).filter((node) => node !== self);
  return nodes.length > 0 ? { kind: "votes", nodes } : { kind: "disk" };
}
