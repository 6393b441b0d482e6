/**
 * The transactions that a node knows, and what it may forget of them.
 *
 * Of a decided transaction its outcome is kept until every member has made it durable: until then
 * somebody may still ask for it, or be told of it twice. Each member reports, by coordinator, up to
 * which number it has settled all transactions; the coordinator tells everybody the lowest report,
 * the low-water mark; transactions up to the mark are forgotten, and refused should they ever come
 * back.
 *
 * The numbers of a coordinator are consecutive, so its transactions stand in an array that begins
 * behind the mark.
 *
 * @module
 */

import type { NodeIndex, TransactionNumber } from "./messages.ts";
import type { Transaction, TransactionOutcome } from "./state.ts";

/** What is known of a number: the transaction while that matters, then only how it ended. */
export type Known = Transaction | TransactionOutcome | undefined;

/** How far above the low-water mark a number may lie: more is not possible, see TRANSACTIONS_MAX. */
const WINDOW_MAX = 1024 * 1024;

/** Forgotten places at the front of the array that are left there before it is cut. */
const SLACK_MAX = 4096;

/** The transactions of one coordinator, as one node knows them. */
class Window {
  /** The low-water mark: up to here everything is forgotten. */
  forgottenUpTo: TransactionNumber;
  /** Everything up to here is decided at this node. */
  settledUpTo: TransactionNumber;
  /** Everything up to here is decided, and durably so, at this node. */
  durableUpTo: TransactionNumber;
  /** Decided numbers above `settledUpTo`, which have a gap before them. */
  readonly ahead = new Set<TransactionNumber>();
  #known: Known[] = [];
  /** Where in `#known` the first number above the mark stands. */
  #start = 0;

  constructor(base: TransactionNumber) {
    this.forgottenUpTo = base;
    this.settledUpTo = base;
    this.durableUpTo = base;
  }

  get(number: TransactionNumber): Known {
    return this.#known[this.#placeOf(number)];
  }

  set(number: TransactionNumber, known: Known): void {
    if (number <= this.forgottenUpTo || number > this.forgottenUpTo + WINDOW_MAX) {
      throw new RangeError(
        `transaction number ${number} is not within ${WINDOW_MAX} above ${this.forgottenUpTo}`,
      );
    }
    const place = this.#placeOf(number);
    while (this.#known.length < place) this.#known.push(undefined);
    this.#known[place] = known;
  }

  forget(upTo: TransactionNumber): void {
    const count = upTo - this.forgottenUpTo;
    if (count <= 0) return;
    this.#known.fill(undefined, this.#start, this.#start + count);
    this.#start += count;
    this.forgottenUpTo = upTo;
    if (this.#start >= this.#known.length) {
      this.#known.length = 0;
      this.#start = 0;
    } else if (this.#start > SLACK_MAX) {
      this.#known.splice(0, this.#start);
      this.#start = 0;
    }
  }

  *all(): Generator<[TransactionNumber, TransactionOutcome | Transaction]> {
    for (let place = this.#start; place < this.#known.length; place++) {
      const known = this.#known[place];
      if (known !== undefined) yield [this.forgottenUpTo + 1 + place - this.#start, known];
    }
  }

  get size(): number {
    return this.#known.length - this.#start;
  }

  #placeOf(number: TransactionNumber): number {
    return this.#start + (number - this.forgottenUpTo - 1);
  }
}

/** What was settled, by coordinator, when a force began that ends at `position`. */
interface Snapshot {
  readonly position: number;
  readonly settledUpTo: readonly TransactionNumber[];
}

/** All transactions that a node knows. */
export class TransactionTable {
  readonly #windows: Window[];
  #snapshots: Snapshot[] = [];

  constructor(nodes: number) {
    this.#windows = Array.from({ length: nodes }, () => new Window(0));
  }

  /** Begins the numbers of `coordinator` after `base`, the first time it is met. */
  begin(coordinator: NodeIndex, base: TransactionNumber): void {
    if (this.#of(coordinator).forgottenUpTo === 0) this.#windows[coordinator] = new Window(base);
  }

  get(coordinator: NodeIndex, number: TransactionNumber): Known {
    return this.#of(coordinator).get(number);
  }

  /**
   * Adds a transaction that has a number.
   *
   * @throws {RangeError} where the number is far from all that is known: no coordinator gives such.
   */
  add(transaction: Transaction, number: TransactionNumber): void {
    this.#of(transaction.coordinator).set(number, transaction);
  }

  /** Takes out a transaction that was refused before it was ever prepared. */
  remove(coordinator: NodeIndex, number: TransactionNumber): void {
    this.#of(coordinator).set(number, undefined);
  }

  /** Keeps of a transaction no more than how it ended. */
  reduce(coordinator: NodeIndex, number: TransactionNumber, outcome: TransactionOutcome): void {
    this.#of(coordinator).set(number, outcome);
  }

  /** Returns what is known of the numbers of `coordinator`, in their order. */
  of(
    coordinator: NodeIndex,
  ): Generator<[TransactionNumber, TransactionOutcome | Transaction]> {
    return this.#of(coordinator).all();
  }

  /** Returns the transactions that hold locks: prepared here, and not decided yet. */
  holdingLocks(): Transaction[] {
    const holding: Transaction[] = [];
    for (const window of this.#windows) {
      for (const [, known] of window.all()) {
        if (typeof known !== "string" && known.undecided && known.grantOrder > 0) {
          holding.push(known);
        }
      }
    }
    return holding;
  }

  /** Returns how many transactions are known: undecided, or decided and not forgotten. */
  get size(): number {
    return this.#windows.reduce((sum, window) => sum + window.size, 0);
  }

  /** Tells whether `number` lies under the low-water mark. */
  isForgotten(coordinator: NodeIndex, number: TransactionNumber): boolean {
    return number <= this.#of(coordinator).forgottenUpTo;
  }

  /** Takes note that a transaction is decided and its outcome appended to the journal. */
  settle(coordinator: NodeIndex, number: TransactionNumber): void {
    const window = this.#of(coordinator);
    if (number !== window.settledUpTo + 1) {
      window.ahead.add(number);
      return;
    }
    window.settledUpTo = number;
    while (window.ahead.size > 0 && window.ahead.delete(window.settledUpTo + 1)) {
      window.settledUpTo++;
    }
  }

  /** Takes note that a force has begun which will end at `position`. */
  forceBegins(position: number): void {
    this.#snapshots.push({
      position,
      settledUpTo: this.#windows.map((window) => window.settledUpTo),
    });
  }

  /** Takes note that the journal is durable up to `position`. */
  forced(position: number): void {
    const covered = this.#snapshots.filter((snapshot) => snapshot.position <= position);
    this.#snapshots = this.#snapshots.filter((snapshot) => snapshot.position > position);
    covered.at(-1)?.settledUpTo.forEach((upTo, coordinator) => {
      this.#of(coordinator).durableUpTo = upTo;
    });
  }

  /** Returns up to which number this node has durably settled the transactions of `coordinator`. */
  durableUpTo(coordinator: NodeIndex): TransactionNumber {
    return this.#of(coordinator).durableUpTo;
  }

  /** Forgets the transactions of `coordinator` up to `upTo`, the low-water mark. */
  forget(coordinator: NodeIndex, upTo: TransactionNumber): void {
    this.#of(coordinator).forget(upTo);
  }

  /** Returns the low-water mark of `coordinator`. */
  forgottenUpTo(coordinator: NodeIndex): TransactionNumber {
    return this.#of(coordinator).forgottenUpTo;
  }

  #of(coordinator: NodeIndex): Window {
    const window = this.#windows[coordinator];
    if (window === undefined) throw new Error(`no node has the index ${coordinator}`);
    return window;
  }
}
