/**
 * The end of a view: all of its transactions are settled by the view that follows it.
 *
 * @module
 */

import { applyEffectsAgain, type Context } from "./context.ts";
import { transactionName, type View } from "./messages.ts";
import type { Transaction } from "./state.ts";

/**
 * Ends every undecided transaction: those that `view` names are committed, all others aborted.
 *
 * Needs no records of its own: the view's record says as much when it is replayed.
 *
 * @returns the transactions that were prepared, or about to be, in the order in which they got their
 * locks. Whoever waited for one in line for locks has lost its place.
 */
export function settleAll(context: Context, view: View): Transaction[] {
  const { transactions, locks, store, nodes } = context;
  const holding: Transaction[] = [];
  const inLine: Transaction[] = [];
  for (let coordinator = 0; coordinator < nodes; coordinator++) {
    for (const [number, known] of transactions.of(coordinator)) {
      if (typeof known === "string" || known.state === "committed") continue;
      transactions.note(coordinator, number, "aborted");
      if (!known.undecided) continue;
      if (known.grantOrder > 0) holding.push(known);
      else inLine.push(known);
    }
  }
  // What a node has aborted by itself may have been committed by the view nevertheless.
  const commits = new Set<string>();
  for (const { coordinator, number } of view.commits) {
    transactions.note(coordinator, number, "committed");
    commits.add(transactionName(coordinator, number));
  }
  holding.sort((a, b) => a.grantOrder - b.grantOrder);
  for (const transaction of inLine) {
    locks.release(transaction);
    transaction.end("aborted");
  }
  for (const transaction of holding) {
    const isCommitted = commits.has(
      transactionName(transaction.coordinator, transaction.number),
    );
    // One that is being aborted is not among the commits: its abort was known to the proposer.
    transaction.end(isCommitted ? "committed" : "aborted");
    if (isCommitted) applyEffectsAgain(store, transaction);
    locks.release(transaction);
  }
  transactions.reset(view.bases);
  return holding;
}
