/**
 * The transactions that a node knows, and what it may forget of them.
 *
 * The outcome of a decided transaction is kept until every member has made it durable: until then a
 * node may still ask for it, or receive it twice. Each member reports, by coordinator, up to which
 * number it has settled all transactions. The coordinator tells every member the lowest report, the
 * low-water mark. Transactions up to the mark are forgotten, and refused if they come again.
 *
 * The numbers of one incarnation of a coordinator are consecutive, so its transactions are in an
 * array that starts after the mark. A coordinator that restarts gets a new array. Its few open
 * transactions of earlier incarnations are in a map until they are settled everywhere.
 *
 * @module
 */

import { OUTCOMES_KEPT_MAX } from "../limits.ts";
import { InvariantError } from "../invariant.ts";
import { incarnationBase, type NodeId, type TransactionNumber } from "./messages.ts";
import { Transaction, type TransactionOutcome } from "./state.ts";

/** What is known of a number: the transaction while it matters, then only its outcome. */
export type Known = Transaction | TransactionOutcome | undefined;

/** What one node knows of a transaction's end. */
export type KnownOutcome =
  /** Certain: no node knows, or will ever know, another outcome. */
  | TransactionOutcome
  /**
   * Its abort is durable here. If all members of a later view have it prepared, they may still
   * commit it.
   */
  | "abortedHere"
  /** It is in doubt here, or its abort is not durable yet. */
  | "undecided"
  /** It is below the low-water mark: it was decided, but the outcome is no longer kept. */
  | "forgotten"
  /** This node has no record of it. That it would presume an abort is not an answer. */
  | "unknown";

/** How far above the low-water mark a number may lie: TRANSACTIONS_MAX allows no more. */
const WINDOW_MAX = 1024 * 1024;

/** How many forgotten places may stay at the front of the array before it is cut. */
const SLACK_MAX = 4096;

/** The transactions of one coordinator, as one node knows them. */
class Window {
  /** The low-water mark: everything up to here is forgotten. */
  forgottenUpTo: TransactionNumber = 0;
  /** Everything up to here is decided at this node, durably. */
  durableUpTo: TransactionNumber = 0;
  /**
   * The present incarnation's numbers are above this; 0 before this node has met the coordinator.
   */
  #base: TransactionNumber = 0;
  /** The number of the last forgotten place in the array, or the present incarnation's base. */
  #floor: TransactionNumber = 0;
  #known: Known[] = [];
  /** The index in `#known` of the number after `#floor`. */
  #start = 0;
  /** The numbers of the present incarnation up to here are decided at this node. */
  #settledUpTo: TransactionNumber = 0;
  /** Decided numbers above `#settledUpTo`, which have a gap before them. */
  readonly #ahead = new Set<TransactionNumber>();
  /** Transactions of earlier incarnations that are not forgotten. */
  readonly #older = new Map<TransactionNumber, Known>();
  /** The numbers of earlier incarnations that are not decided here. */
  readonly #olderUndecided = new Set<TransactionNumber>();
  /** The numbers of earlier incarnations up to here were decided when the present one started. */
  #olderSettledUpTo: TransactionNumber = 0;
  /**
   * Numbers whose outcome a client may ask for, with the outcome once the rest is forgotten. Not
   * part of the protocol: it ends with the process.
   */
  readonly #kept = new Map<TransactionNumber, TransactionOutcome | undefined>();
  /** The coordinator has said which numbers of earlier incarnations are undecided. */
  #isClosed = true;

  get base(): TransactionNumber {
    return this.#base;
  }

  /** Everything up to here is decided at this node. */
  get settledUpTo(): TransactionNumber {
    const isOpen = !this.#isClosed || this.#olderUndecided.size > 0;
    return isOpen ? this.#olderSettledUpTo : this.#settledUpTo;
  }

  /**
   * Starts the numbers above `base`, if they belong to a later incarnation than the present one.
   */
  startIncarnation(base: TransactionNumber): void {
    if (base <= this.#base) return;
    this.#olderSettledUpTo = this.settledUpTo;
    for (let place = this.#start; place < this.#known.length; place++) {
      const known = this.#known[place];
      if (known !== undefined) this.#setOlder(this.#floor + 1 + place - this.#start, known);
    }
    this.#isClosed = base === incarnationBase(1);
    this.#base = base;
    this.#floor = base;
    this.#settledUpTo = base;
    this.#known = [];
    this.#start = 0;
    this.#ahead.clear();
  }

  /** Everything up to `base` is settled for good. */
  reset(base: TransactionNumber): void {
    this.forgottenUpTo = base;
    this.durableUpTo = base;
    this.#base = base;
    this.#floor = base;
    this.#settledUpTo = base;
    this.#known = [];
    this.#start = 0;
    this.#ahead.clear();
    this.#older.clear();
    this.#olderUndecided.clear();
    this.#olderSettledUpTo = base;
    this.#isClosed = true;
  }

  /** Of the earlier incarnations' numbers, only `undecided` will still be decided. */
  close(undecided: readonly TransactionNumber[]): void {
    this.#isClosed = true;
    for (const number of this.#olderUndecided) {
      // An earlier incarnation listed it, and it was decided since without this node.
      if (this.#older.get(number) === undefined) this.#olderUndecided.delete(number);
    }
    for (const number of undecided) {
      if (number > this.forgottenUpTo && isOpen(this.#older.get(number))) {
        this.#olderUndecided.add(number);
      }
    }
  }

  /**
   * Tells whether `number` belongs to an earlier incarnation and is closed: no decision will come
   * for it.
   */
  isClosed(number: TransactionNumber): boolean {
    return number <= this.#base && this.#isClosed && !this.#olderUndecided.has(number) &&
      !this.#older.has(number);
  }

  get(number: TransactionNumber): Known {
    return number > this.#base ? this.#known[this.#placeOf(number)] : this.#older.get(number);
  }

  set(number: TransactionNumber, known: Known): void {
    if (number <= this.forgottenUpTo || number > this.#floor + WINDOW_MAX) {
      throw new RangeError(
        `transaction number ${number} is not within ${WINDOW_MAX} above ${this.#floor}`,
      );
    }
    if (number <= this.#base) {
      this.#setOlder(number, known);
      return;
    }
    const place = this.#placeOf(number);
    while (this.#known.length < place) this.#known.push(undefined);
    this.#known[place] = known;
  }

  #setOlder(number: TransactionNumber, known: Known): void {
    if (known === undefined) {
      // It was refused here. If its coordinator has listed it as undecided, its abort is still to come.
      this.#older.delete(number);
      return;
    }
    this.#older.set(number, known);
    if (isOpen(known)) this.#olderUndecided.add(number);
    else this.#olderUndecided.delete(number);
  }

  settle(number: TransactionNumber): void {
    if (number <= this.#base) {
      this.#olderUndecided.delete(number);
      return;
    }
    if (number !== this.#settledUpTo + 1) {
      this.#ahead.add(number);
      return;
    }
    this.#settledUpTo = number;
    while (this.#ahead.size > 0 && this.#ahead.delete(this.#settledUpTo + 1)) this.#settledUpTo++;
  }

  /** @throws {InvariantError} if that would forget a transaction which is not decided. */
  forget(upTo: TransactionNumber): void {
    if (upTo <= this.forgottenUpTo) return;
    this.forgottenUpTo = upTo;
    for (const [number, known] of this.#older) {
      if (number > upTo) continue;
      assertDecided(number, known);
      this.#remember(number, known);
      this.#older.delete(number);
    }
    const count = upTo - this.#floor;
    if (count <= 0) return;
    const end = Math.min(this.#start + count, this.#known.length);
    for (let place = this.#start; place < end; place++) {
      const number = this.#floor + 1 + place - this.#start;
      assertDecided(number, this.#known[place]);
      this.#remember(number, this.#known[place]);
      this.#known[place] = undefined;
    }
    this.#start += count;
    this.#floor = upTo;
    if (this.#settledUpTo < upTo) this.#settledUpTo = upTo;
    if (this.#start >= this.#known.length) {
      this.#known.length = 0;
      this.#start = 0;
    } else if (this.#start > SLACK_MAX) {
      this.#known.splice(0, this.#start);
      this.#start = 0;
    }
  }

  keepOutcome(number: TransactionNumber, outcome: TransactionOutcome | undefined): void {
    this.#kept.set(number, outcome);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > OUTCOMES_KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
  }

  keptOutcome(number: TransactionNumber): TransactionOutcome | undefined {
    return this.#kept.get(number);
  }

  /** Keeps the certain outcome of a transaction, if a client got its name. */
  recordOutcome(number: TransactionNumber, outcome: TransactionOutcome): void {
    this.#remember(number, outcome);
  }

  #remember(number: TransactionNumber, known: Known): void {
    if (this.#kept.size === 0 || !this.#kept.has(number)) return;
    const outcome = outcomeOf(known);
    if (outcome !== undefined) this.#kept.set(number, outcome);
  }

  *all(): Generator<[TransactionNumber, TransactionOutcome | Transaction]> {
    for (const [number, known] of this.#older) if (known !== undefined) yield [number, known];
    for (let place = this.#start; place < this.#known.length; place++) {
      const known = this.#known[place];
      if (known !== undefined) yield [this.#floor + 1 + place - this.#start, known];
    }
  }

  get size(): number {
    return this.#known.length - this.#start + this.#older.size;
  }

  #placeOf(number: TransactionNumber): number {
    return this.#start + (number - this.#floor - 1);
  }
}

function isOpen(known: Known): boolean {
  return known === undefined || (typeof known !== "string" && known.undecided);
}

/** The outcome of a decided transaction: an abort counts only once it is durable. */
function outcomeOf(known: Known): TransactionOutcome | undefined {
  const state = known instanceof Transaction ? known.state : known;
  return state === "committed" || state === "aborted" ? state : undefined;
}

function assertDecided(number: TransactionNumber, known: Known): void {
  if (known instanceof Transaction && known.undecided) {
    throw new InvariantError(`transaction ${number} is ${known.state}, and must not be forgotten`);
  }
}

/** What was settled, by coordinator, at the start of the force that ends at `position`. */
interface Snapshot {
  readonly position: number;
  readonly settledUpTo: readonly TransactionNumber[];
}

/** All transactions that a node knows. */
export class TransactionTable {
  /** By the coordinator's id; `undefined` for a coordinator that this node has not heard from. */
  readonly #windows: (Window | undefined)[] = [];
  #snapshots: Snapshot[] = [];

  /** The coordinators that anything is known of, in the order of their ids. */
  coordinators(): NodeId[] {
    return this.#windows.flatMap((window, node) => window === undefined ? [] : [node]);
  }

  /** Records that `coordinator` now gives numbers above `base`: its present incarnation. */
  startIncarnation(coordinator: NodeId, base: TransactionNumber): void {
    this.#of(coordinator).startIncarnation(base);
  }

  /** Forgets everything: a new view settled all numbers up to these, by coordinator. */
  reset(bases: readonly TransactionNumber[]): void {
    bases.forEach((base, coordinator) => this.#of(coordinator).reset(base));
    this.#snapshots = [];
  }

  /** Returns below which number the earlier incarnations of `coordinator` are. */
  baseOf(coordinator: NodeId): TransactionNumber {
    return this.#of(coordinator).base;
  }

  /**
   * Records that of the earlier incarnations of `coordinator`, only the transactions `undecided`
   * will still be decided.
   */
  close(coordinator: NodeId, undecided: readonly TransactionNumber[]): void {
    this.#of(coordinator).close(undecided);
  }

  get(coordinator: NodeId, number: TransactionNumber): Known {
    return this.#of(coordinator).get(number);
  }

  /**
   * Keeps the outcome of a transaction, which a client may ask for, beyond the low-water mark. At
   * most `OUTCOMES_KEPT_MAX` outcomes are kept, the latest ones.
   *
   * @param outcome `undefined` if it is not known yet; then the transaction must not have been
   * forgotten
   */
  keepOutcome(
    coordinator: NodeId,
    number: TransactionNumber,
    outcome: TransactionOutcome | undefined,
  ): void {
    this.#of(coordinator).keepOutcome(number, outcome);
  }

  /** Records how a view ended a transaction, if a client of this node got its name. */
  recordOutcome(
    coordinator: NodeId,
    number: TransactionNumber,
    outcome: TransactionOutcome,
  ): void {
    this.#of(coordinator).recordOutcome(number, outcome);
  }

  /**
   * Returns what is known of the end of a transaction. A presumed abort does not count as
   * knowledge.
   */
  outcomeOf(coordinator: NodeId, number: TransactionNumber): KnownOutcome {
    const window = this.#of(coordinator);
    const kept = window.keptOutcome(number);
    if (kept !== undefined) return kept;
    if (number <= window.forgottenUpTo) return "forgotten";
    const known = window.get(number);
    if (known === undefined) return "unknown";
    const outcome = outcomeOf(known);
    return outcome === "aborted" ? "abortedHere" : outcome ?? "undecided";
  }

  /**
   * Adds a transaction that has a number.
   *
   * @throws {RangeError} if the number is far from all that are known: no coordinator gives such a
   * number.
   */
  add(transaction: Transaction, number: TransactionNumber): void {
    this.#of(transaction.coordinator).set(number, transaction);
  }

  /** Removes a transaction that was refused before it was ever prepared. */
  remove(coordinator: NodeId, number: TransactionNumber): void {
    this.#of(coordinator).set(number, undefined);
  }

  /** Drops a transaction and keeps only its outcome. */
  discardTransaction(
    coordinator: NodeId,
    number: TransactionNumber,
    outcome: TransactionOutcome,
  ): void {
    this.#of(coordinator).set(number, outcome);
  }

  /** Returns what is known of the numbers of `coordinator`, in their order. */
  of(
    coordinator: NodeId,
  ): Generator<[TransactionNumber, TransactionOutcome | Transaction]> {
    return this.#of(coordinator).all();
  }

  /** Returns the transactions that hold locks: prepared here, and not decided yet. */
  holdingLocks(): Transaction[] {
    const holding: Transaction[] = [];
    for (const window of this.#windows) {
      for (const [, known] of window?.all() ?? []) {
        if (typeof known !== "string" && known.undecided && known.grantOrder > 0) {
          holding.push(known);
        }
      }
    }
    return holding;
  }

  /** Returns how many transactions are known: undecided, or decided and not forgotten. */
  get size(): number {
    return this.#windows.reduce((sum, window) => sum + (window?.size ?? 0), 0);
  }

  /** Tells whether `number` is below the low-water mark. */
  isForgotten(coordinator: NodeId, number: TransactionNumber): boolean {
    return number <= this.#of(coordinator).forgottenUpTo;
  }

  /**
   * Tells whether `number` belongs to an earlier incarnation of `coordinator`, which has said since
   * that it has no record of it.
   */
  isClosed(coordinator: NodeId, number: TransactionNumber): boolean {
    return this.#of(coordinator).isClosed(number);
  }

  /** Records that a transaction is decided and its outcome is appended to the journal. */
  settle(coordinator: NodeId, number: TransactionNumber): void {
    this.#of(coordinator).settle(number);
  }

  /** Records that everything known is durable: it is in the journal, and the journal is forced. */
  allDurable(): void {
    for (const window of this.#windows) {
      if (window !== undefined) window.durableUpTo = window.settledUpTo;
    }
  }

  /** Records that a force has started that will end at `position`. */
  forceBegins(position: number): void {
    this.#snapshots.push({
      position,
      settledUpTo: this.#windows.map((window) => window?.settledUpTo ?? 0),
    });
  }

  /** Records that the journal is durable up to `position`. */
  forced(position: number): void {
    const covered = this.#snapshots.filter((snapshot) => snapshot.position <= position);
    this.#snapshots = this.#snapshots.filter((snapshot) => snapshot.position > position);
    covered.at(-1)?.settledUpTo.forEach((upTo, coordinator) => {
      const window = this.#windows[coordinator];
      if (window !== undefined && upTo > window.durableUpTo) window.durableUpTo = upTo;
    });
  }

  /** Returns up to which number this node has durably settled the transactions of `coordinator`. */
  durableUpTo(coordinator: NodeId): TransactionNumber {
    return this.#of(coordinator).durableUpTo;
  }

  /** Forgets the transactions of `coordinator` up to `upTo`, the low-water mark. */
  forget(coordinator: NodeId, upTo: TransactionNumber): void {
    this.#of(coordinator).forget(upTo);
  }

  /** Returns the low-water mark of `coordinator`. */
  forgottenUpTo(coordinator: NodeId): TransactionNumber {
    return this.#of(coordinator).forgottenUpTo;
  }

  #of(coordinator: NodeId): Window {
    let window = this.#windows[coordinator];
    if (window === undefined) {
      window = new Window();
      while (this.#windows.length < coordinator) this.#windows.push(undefined);
      this.#windows[coordinator] = window;
    }
    return window;
  }
}
