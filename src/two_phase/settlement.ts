/**
 * The end of a view: the next view settles all of its transactions.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { applyEffectsAgain } from "./effects.ts";
import {
  type NodeId,
  type TableEntry,
  type TransactionId,
  transactionName,
  type TransactionNumber,
  type TransactionReport,
  type View,
} from "./messages.ts";
import type { Transaction } from "./state.ts";

/** The view that settles what was before it. */
export interface Settling {
  readonly view: View;
  /**
   * Whether it directly follows the view whose transactions this node has. A transaction that a
   * view does not name is aborted if it belongs to the view before; about earlier ones the view
   * says nothing.
   */
  readonly isNext: boolean;
}

/**
 * Ends every undecided transaction: those that `view` names are committed, all others aborted.
 *
 * Needs no records of its own: the view's record says as much when it is replayed.
 *
 * @returns the transactions that were prepared, or about to be, in the order in which they got
 * their locks. Transactions in line have lost their places.
 */
export function settleAll(context: Context, { view, isNext }: Settling): Transaction[] {
  const { transactions, locks, store, outbox } = context;
  const holding: Transaction[] = [];
  const inLine: Transaction[] = [];
  for (const coordinator of transactions.coordinators()) {
    for (const [number, known] of transactions.of(coordinator)) {
      const isCommitted = known === "committed" ||
        typeof known !== "string" && known.state === "committed";
      if (isCommitted) transactions.recordOutcome(coordinator, number, "committed");
      else if (isNext) transactions.recordOutcome(coordinator, number, "aborted");
      if (typeof known === "string" || !known.undecided) continue;
      if (known.grantOrder > 0) holding.push(known);
      else inLine.push(known);
    }
  }
  // The view may have committed what this node had aborted by itself.
  for (const { coordinator, number } of view.commits) {
    transactions.recordOutcome(coordinator, number, "committed");
  }
  const commits = namesOfAll(view.commits);
  holding.sort((a, b) => a.grantOrder - b.grantOrder);
  for (const transaction of inLine) {
    locks.release(transaction);
    transaction.end("aborted");
  }
  for (const transaction of holding) {
    const isCommitted = commits.has(nameOf(transaction));
    // A transaction that is being aborted is not among the commits: the proposer knew of its abort.
    transaction.end(isCommitted ? "committed" : "aborted");
    if (isCommitted) {
      applyEffectsAgain(store, transaction);
      if (outbox.tellsChanges) outbox.change(transaction.effects);
    }
    locks.release(transaction);
  }
  locks.dropLine();
  transactions.reset(view.bases);
  return holding;
}

/** Returns all transactions of the installed view that this member knows, and the low-water marks. */
export function transactionReportOf(
  { transactions }: Pick<Context, "transactions">,
): TransactionReport {
  const table: TableEntry[] = [];
  const coordinators = transactions.coordinators();
  const marks: TransactionNumber[] = Array.from(
    { length: (coordinators.at(-1) ?? -1) + 1 },
    () => 0,
  );
  for (const coordinator of coordinators) {
    marks[coordinator] = transactions.forgottenUpTo(coordinator);
    for (const [number, known] of transactions.of(coordinator)) {
      if (typeof known === "string") {
        table.push({ coordinator, number, state: known, follows: [] });
      } else if (known.state === "prepared") {
        table.push({ coordinator, number, state: "prepared", follows: known.follows });
      } else if (known.state !== "waiting") {
        const state = known.state === "committed" ? "committed" : "aborted";
        table.push({ coordinator, number, state, follows: [] });
      }
    }
  }
  return { table, marks };
}

/**
 * The termination rule: an undecided transaction is committed if any answering member has committed
 * it; else it is aborted if any of them has no prepared record of it or has aborted it, or if it
 * follows one that is aborted; else, prepared by all, it is committed.
 */
export function settle(
  answering: readonly TransactionReport[],
): { readonly commits: readonly TransactionId[]; readonly aborts: readonly TransactionId[] } {
  const known = answering.map((report) => new KnownTransactions(report));
  const undecided = new Map<string, TableEntry>();
  for (const { entries } of known) {
    for (const [name, entry] of entries) {
      if (entry.state === "prepared" && !undecided.has(name)) undecided.set(name, entry);
    }
  }
  const inOrder = [...undecided.values()].sort((a, b) => a.number - b.number);
  const commits: TransactionId[] = [];
  const aborts: TransactionId[] = [];
  const aborted = new Set<string>();
  for (const entry of inOrder) {
    const { coordinator, number } = entry;
    const states = known.map((table) => table.stateOf(coordinator, number));
    const followsAborted = entry.follows.some((leader) =>
      aborted.has(transactionName(coordinator, leader)) ||
      known.some((table) => table.stateOf(coordinator, leader) === "aborted")
    );
    const isCommitted = states.includes("committed") ||
      states.every((state) => state === "prepared") && !followsAborted;
    if (isCommitted) commits.push({ coordinator, number });
    else {
      aborted.add(nameOf(entry));
      aborts.push({ coordinator, number });
    }
  }
  return { commits, aborts };
}

/** What one member knows about transactions. */
class KnownTransactions {
  readonly entries = new Map<string, TableEntry>();
  readonly #marks: readonly TransactionNumber[];

  constructor({ table, marks }: TransactionReport) {
    for (const entry of table) this.entries.set(nameOf(entry), entry);
    this.#marks = marks;
  }

  stateOf(
    coordinator: NodeId,
    number: TransactionNumber,
  ): TableEntry["state"] | "forgotten" | undefined {
    // Below the mark, every member has settled it.
    if (number <= (this.#marks[coordinator] ?? 0)) return "forgotten";
    return this.entries.get(transactionName(coordinator, number))?.state;
  }
}

/** Returns the transactions as a set of their names. */
export function namesOfAll(transactions: readonly TransactionId[]): Set<string> {
  return new Set(transactions.map(nameOf));
}

/** Returns the key of a transaction in sets and maps. */
export function nameOf({ coordinator, number }: TransactionId): string {
  return transactionName(coordinator, number);
}
