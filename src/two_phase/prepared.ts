/**
 * Transactions that a journal or a transfer holds as prepared: they are in doubt again.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { entriesOf } from "./effects.ts";
import { baseOf, type PreparedRecord } from "./messages.ts";
import { type Entry, Transaction } from "./state.ts";

/**
 * Restores a transaction that a record says is prepared: it is in doubt, and holds its locks again.
 *
 * @param make makes the transaction from the entries that it locks
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
  transaction.mayBeStored = true;
  transactions.add(transaction, number);
  transaction.transitionTo("preparing");
  transaction.transitionTo("prepared");
  // No record holds the time, but its version was given at about the same time.
  transaction.preparedAt = Math.min(context.now, prepare.version / 1000);
  locks.hold(transaction);
  for (const leaderNumber of transaction.follows) {
    const leader = transactions.get(coordinator, leaderNumber);
    if (leader instanceof Transaction) leader.addFollower(transaction);
  }
}
