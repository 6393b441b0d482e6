/**
 * The transactions that a node knows, and what it may forget of them.
 *
 * A decided transaction is kept until every member has made its outcome durable: until then somebody
 * may still ask for it, or be told of it twice. Each member reports, by coordinator, up to which
 * number it has settled all transactions; the coordinator tells everybody the lowest report, the
 * low-water mark; transactions up to the mark are forgotten, and refused should they ever come back.
 *
 * @module
 */

import type { NodeIndex, TransactionNumber } from "./messages.ts";
import type { Transaction } from "./state.ts";

/** The transactions of one coordinator, as one node knows them. */
class CoordinatorTransactions {
  /** Undecided, or decided and not forgotten. */
  readonly known = new Map<TransactionNumber, Transaction>();
  /** The low-water mark: up to here everything is forgotten. */
  forgottenUpTo: TransactionNumber;
  /** Everything up to here is decided at this node. */
  settledUpTo: TransactionNumber;
  /** Everything up to here is decided, and durably so, at this node. */
  durableUpTo: TransactionNumber;
  /** Decided numbers above `settledUpTo`, which have a gap before them. */
  readonly ahead = new Set<TransactionNumber>();

  constructor(base: TransactionNumber) {
    this.forgottenUpTo = base;
    this.settledUpTo = base;
    this.durableUpTo = base;
  }
}

/** What was settled, by coordinator, when a force began that ends at `position`. */
interface Snapshot {
  readonly position: number;
  readonly settledUpTo: readonly TransactionNumber[];
}

/** All transactions that a node knows. */
export class TransactionTable {
  readonly #byCoordinator: CoordinatorTransactions[];
  readonly #snapshots: Snapshot[] = [];

  constructor(nodes: number) {
    this.#byCoordinator = Array.from({ length: nodes }, () => new CoordinatorTransactions(0));
  }

  /** Begins the numbers of `coordinator` after `base`, the first time it is met. */
  begin(coordinator: NodeIndex, base: TransactionNumber): void {
    if (this.#of(coordinator).forgottenUpTo === 0) {
      this.#byCoordinator[coordinator] = new CoordinatorTransactions(base);
    }
  }

  get(coordinator: NodeIndex, number: TransactionNumber): Transaction | undefined {
    return this.#of(coordinator).known.get(number);
  }

  add(transaction: Transaction): void {
    this.#of(transaction.coordinator).known.set(transaction.number, transaction);
  }

  /** Takes out a transaction that was refused before it was ever prepared. */
  remove(transaction: Transaction): void {
    this.#of(transaction.coordinator).known.delete(transaction.number);
  }

  /** Returns the known transactions of `coordinator`, in the order in which they became known. */
  of(coordinator: NodeIndex): IterableIterator<Transaction> {
    return this.#of(coordinator).known.values();
  }

  /** Returns how many transactions are known. */
  get size(): number {
    return this.#byCoordinator.reduce((sum, one) => sum + one.known.size, 0);
  }

  /** Tells whether `number` lies under the low-water mark. */
  isForgotten(coordinator: NodeIndex, number: TransactionNumber): boolean {
    return number <= this.#of(coordinator).forgottenUpTo;
  }

  /** Takes note that `transaction` is decided and its outcome appended to the journal. */
  settle(transaction: Transaction): void {
    const one = this.#of(transaction.coordinator);
    if (transaction.number !== one.settledUpTo + 1) {
      one.ahead.add(transaction.number);
      return;
    }
    one.settledUpTo = transaction.number;
    while (one.ahead.size > 0 && one.ahead.delete(one.settledUpTo + 1)) one.settledUpTo++;
  }

  /** Takes note that a force has begun which will end at `position`. */
  forceBegins(position: number): void {
    this.#snapshots.push({
      position,
      settledUpTo: this.#byCoordinator.map((one) => one.settledUpTo),
    });
  }

  /** Takes note that the journal is durable up to `position`. */
  forced(position: number): void {
    while (this.#snapshots.length > 0) {
      const first = this.#snapshots[0];
      if (first === undefined || first.position > position) return;
      this.#snapshots.shift();
      first.settledUpTo.forEach((upTo, coordinator) => {
        this.#of(coordinator).durableUpTo = upTo;
      });
    }
  }

  /** Returns up to which number this node has durably settled the transactions of `coordinator`. */
  durableUpTo(coordinator: NodeIndex): TransactionNumber {
    return this.#of(coordinator).durableUpTo;
  }

  /** Forgets the transactions of `coordinator` up to `upTo`, the low-water mark. */
  forget(coordinator: NodeIndex, upTo: TransactionNumber): void {
    const one = this.#of(coordinator);
    for (let number = one.forgottenUpTo + 1; number <= upTo; number++) one.known.delete(number);
    if (upTo > one.forgottenUpTo) one.forgottenUpTo = upTo;
  }

  /** Returns the low-water mark of `coordinator`. */
  forgottenUpTo(coordinator: NodeIndex): TransactionNumber {
    return this.#of(coordinator).forgottenUpTo;
  }

  #of(coordinator: NodeIndex): CoordinatorTransactions {
    const one = this.#byCoordinator[coordinator];
    if (one === undefined) throw new Error(`no node has the index ${coordinator}`);
    return one;
  }
}
