/**
 * Transactions that are found prepared, in a journal or in a transfer: they are in doubt again.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { entriesOf } from "./effects.ts";
import { baseOf, type PreparedRecord } from "./messages.ts";
import { type Entry, Transaction } from "./state.ts";

/**
 * Puts a transaction into doubt of which a record says that it is prepared: it holds its locks again.
 *
 * @param make makes it, of the entries that it locks
 */
export function restorePrepared(
  context: Context,
  { coordinator, prepare }: PreparedRecord,
  make: (entries: readonly Entry[]) => Transaction,
): void {
  const { store, transactions, locks, clock } = context;
  const { number } = prepare;
  clock.observe(prepare.priority);
  clock.observe(prepare.version);
  transactions.startIncarnation(coordinator, baseOf(number));
  if (transactions.isForgotten(coordinator, number)) return;
  const transaction = make(entriesOf(store, prepare));
  transaction.fill(prepare);
  transactions.add(transaction, number);
  transaction.transitionTo("preparing");
  transaction.transitionTo("prepared");
  // When that was, no record says; but its version was given at about the same time.
  transaction.preparedAt = Math.min(context.now, prepare.version / 1000);
  locks.hold(transaction);
  for (const leaderNumber of transaction.follows) {
    const leader = transactions.get(coordinator, leaderNumber);
    if (leader instanceof Transaction) leader.addFollower(transaction);
  }
}
