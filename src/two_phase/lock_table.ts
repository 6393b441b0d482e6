/**
 * The lock table: one writer per key, wait-die.
 *
 * A lock is held by one transaction, or by a chain of transactions of one coordinator, each of
 * which follows the one before it. A transaction that cannot hold all of its keys at once holds
 * none of them: it waits in line, or is refused.
 *
 * Wait-die (Rosenkrantz, Stearns & Lewis 1978, §4) decides about transactions of other
 * coordinators: they may wait only for younger ones. A transaction waits for every one that holds
 * one of its keys or is before it in the line of one. So every wait across nodes is from older to
 * younger, and there is no cycle. This node's own transactions hold nothing anywhere while they are
 * in line, so they may wait for any other.
 *
 * The line of a key is in order of age, the oldest first. No transaction gets a key while an older
 * one is in line for it. So a grant leaves only younger ones behind, and refuses those of other
 * coordinators among them (they would wait for an older one). So no transaction starves: none
 * overtakes the oldest.
 *
 * A transaction that deletes all keys excludes every other one: it is as if it asked for all keys that
 * there are and may be. It goes on no chain, and no transaction follows it.
 *
 * @module
 */

import { EVERYTHING } from "../reserved_keys.ts";
import type { NodeId } from "./messages.ts";
import type { Entry, Lock, Transaction } from "./state.ts";
import type { Store } from "./store.ts";

/** What became of a request for locks. */
export type Acquisition = "held" | "waiting" | "refused";

/** A transaction in line that got its locks, or that must be told no. */
export interface LineEvent {
  readonly transaction: Transaction;
  readonly what: "granted" | "refused";
}

/** The locks of one node. */
export class LockTable {
  readonly #self: NodeId;
  readonly #store: Store;
  readonly #changed: Entry[] = [];
  readonly #refused: Transaction[] = [];
  #grants = 0;
  #isHoldingBack = false;
  #size = 0;
  /** How many changes there were that may let a transaction in line get its locks. */
  #changes = 0;
  /** All transactions in line. */
  readonly #inLine = new Set<Transaction>();
  /** How many of them ask for all keys. */
  #clearsInLine = 0;
  /** How many transactions hold locks, but for one that deletes all keys. */
  #holders = 0;
  /** The transaction that holds all keys, to delete them. */
  #clearing: Transaction | undefined;
  readonly #holdingLocks: () => Iterable<Transaction>;

  /** @param holdingLocks returns all transactions that hold locks; it is called rarely */
  constructor(
    self: NodeId,
    store: Store,
    holdingLocks: () => Iterable<Transaction> = () => [],
  ) {
    this.#self = self;
    this.#store = store;
    this.#holdingLocks = holdingLocks;
    store.lockedEntries = () => this.#lockedEntries();
  }

  *#lockedEntries(): Generator<Entry> {
    for (const { entries } of this.#holdingLocks()) yield* entries;
    for (const { entries } of this.#inLine) yield* entries;
    if (this.#clearing !== undefined) yield* this.#clearing.entries;
  }

  /** The transaction that holds all keys to delete them, if there is one: readers wait for it. */
  get clearing(): Transaction | undefined {
    return this.#clearing;
  }

  /**
   * Grants nothing until {@linkcode resume}: every transaction that asks for locks waits in line, and
   * wait-die refuses as always. Call this for a short time only: a transaction that waits here may
   * hold locks at other nodes for which older ones wait, and only the end of this resolves such a
   * cycle.
   */
  holdBack(): void {
    this.#isHoldingBack = true;
  }

  /** Grants again. Call {@linkcode next} afterwards until it returns nothing. */
  resume(): void {
    this.#isHoldingBack = false;
    this.#changes++;
  }

  /** Returns how many grants there were: the order of the latest one. */
  get grants(): number {
    return this.#grants;
  }

  /** Returns how many keys are locked or waited for. */
  get size(): number {
    return this.#size;
  }

  /**
   * Gives `transaction` the locks of all of its keys, or puts it in line for all of them, or refuses
   * it. Call {@linkcode next} afterwards until it returns nothing.
   */
  acquire(transaction: Transaction): Acquisition {
    if (transaction.ready && !this.#isHoldingBack && this.#mayHoldAll(transaction)) {
      this.#grant(transaction);
      return "held";
    }
    if (transaction.coordinator !== this.#self && !this.#mayWait(transaction)) {
      for (const entry of transaction.entries) this.#store.dropIfEmpty(entry);
      return "refused";
    }
    for (const entry of transaction.entries) {
      this.#standInLine(transaction, entry);
      // The keys may be free, and no other event would make `next` look at it.
      if (this.#isHoldingBack) this.#changed.push(entry);
    }
    return "waiting";
  }

  /** Gives `transaction` the locks that it had before a crash, in the order of the journal. */
  hold(transaction: Transaction): void {
    this.#grant(transaction);
  }

  /** Frees the locks that `transaction` holds, or takes it out of the line. */
  release(transaction: Transaction): void {
    this.#changes++;
    this.#leave(transaction);
    for (const entry of transaction.entries) {
      const { lock } = entry;
      if (lock === undefined) continue;
      remove(lock.holders, transaction);
      if (lock.line !== undefined) this.#removeFromLine(lock, transaction);
      if (lock.line !== undefined) this.#changed.push(entry);
      else this.#dropIfFree(entry, lock);
    }
  }

  /** Drops pending events: every transaction that was in line has left it. */
  dropLine(): void {
    for (const entry of this.#changed.splice(0)) {
      if (entry.lock !== undefined) this.#dropIfFree(entry, entry.lock);
    }
    this.#refused.length = 0;
  }

  /** Looks again at the keys of `transaction`, which has become ready. */
  reconsider(transaction: Transaction): void {
    this.#changes++;
    for (const entry of transaction.entries) this.#changed.push(entry);
  }

  /**
   * Returns the next event that earlier calls caused for a transaction in line, or `undefined` if
   * none is left.
   */
  next(): LineEvent | undefined {
    const refused = this.#refused.shift();
    if (refused !== undefined) return { transaction: refused, what: "refused" };
    if (this.#isHoldingBack) return undefined;
    for (let entry = this.#changed.at(-1); entry !== undefined; entry = this.#changed.at(-1)) {
      const { lock } = entry;
      const first = lock?.line?.[0];
      if (first !== undefined && this.#isItsTurn(first)) {
        this.#leaveLine(first);
        this.#grant(first);
        // The next in line, on this key or another, may join its chain.
        for (const other of first.entries) if (other !== entry) this.#changed.push(other);
        return { transaction: first, what: "granted" };
      }
      this.#changed.pop();
      if (lock !== undefined) this.#dropIfFree(entry, lock);
    }
    return undefined;
  }

  /**
   * Tells whether `transaction`, the first in some line, may hold all of its keys. It is checked
   * once after each change only: it may be the first in the lines of all of its keys, and a check
   * takes one step for each key.
   */
  #isItsTurn(transaction: Transaction): boolean {
    if (!transaction.ready || transaction.lookedAt === this.#changes) return false;
    transaction.lookedAt = this.#changes;
    return this.#mayHoldAll(transaction);
  }

  /**
   * Returns the last transaction that holds the key, will write it, and got it at `grantOrder` or
   * before: the one that a reader must wait for.
   */
  lastWriter(entry: Entry | undefined, grantOrder: number): Transaction | undefined {
    if (this.#clearing !== undefined && this.#clearing.grantOrder <= grantOrder) {
      return this.#clearing;
    }
    if (entry?.lock === undefined) return undefined;
    const { holders } = entry.lock;
    for (let i = holders.length - 1; i >= 0; i--) {
      const holder = holders[i];
      if (holder === undefined || holder.grantOrder > grantOrder) continue;
      // With an effect for each of its keys (the usual case) it writes this one too.
      if (holder.effects.length === holder.entries.length) return holder;
      if (holder.effectOn(entry.key) !== undefined) return holder;
    }
    return undefined;
  }

  /**
   * No older one is in line, and every key is free or held by a chain that the transaction may
   * join.
   */
  #mayHoldAll(transaction: Transaction): boolean {
    if (this.#meetsClear(transaction) && !this.#mayPassClears(transaction)) return false;
    for (const { lock } of transaction.entries) {
      if (lock === undefined) continue;
      const first = lock.line?.[0];
      if (first !== undefined && first !== transaction && !transaction.isOlderThan(first)) {
        return false;
      }
      const last = lock.holders.at(-1);
      if (last !== undefined && !this.#mayFollow(transaction, last)) return false;
    }
    return true;
  }

  /**
   * A transaction may join a chain of its own coordinator: at the coordinator if the last one is
   * not being aborted, elsewhere if it names the last one.
   */
  #mayFollow(transaction: Transaction, last: Transaction): boolean {
    if (last.coordinator !== transaction.coordinator || last.state === "aborting") return false;
    if (transaction.isAlone) return false;
    return transaction.coordinator === this.#self || transaction.follows.includes(last.number);
  }

  /** Wait-die: only for younger ones. */
  #mayWait(transaction: Transaction): boolean {
    if (this.#meetsClear(transaction) && !this.#mayWaitForClears(transaction)) return false;
    for (const { lock } of transaction.entries) {
      if (lock === undefined) continue;
      const first = lock.line?.[0];
      if (first !== undefined && !transaction.isOlderThan(first)) return false;
      for (const holder of lock.holders) {
        if (!transaction.isOlderThan(holder)) return false;
      }
    }
    return true;
  }

  #standInLine(transaction: Transaction, entry: Entry): void {
    if (!this.#inLine.has(transaction)) {
      this.#inLine.add(transaction);
      if (transaction.clears) this.#clearsInLine++;
    }
    const lock = entry.lock ?? this.#newLock(entry, []);
    const line = lock.line ??= [];
    let at = line.length;
    for (; at > 0; at--) {
      const before = line[at - 1];
      if (before === undefined || before.isOlderThan(transaction)) break;
    }
    line.splice(at, 0, transaction);
  }

  /** `transaction` holds no locks any more, or is in line no more. */
  #leave(transaction: Transaction): void {
    this.#isOutOfLine(transaction);
    if (transaction.holdsLocks) {
      transaction.holdsLocks = false;
      if (transaction.clears) this.#clearing = undefined;
      else this.#holders--;
    }
    if (this.#inLine.size === 0) return;
    // Every transaction in line may have waited for one that asks for all keys, and that one for every
    // other.
    if (transaction.clears || this.#clearsInLine > 0) this.#lookAtAll();
  }

  #isOutOfLine(transaction: Transaction): void {
    if (this.#inLine.delete(transaction) && transaction.clears) this.#clearsInLine--;
  }

  #lookAtAll(): void {
    for (const { entries } of this.#inLine) {
      for (const entry of entries) this.#changed.push(entry);
    }
  }

  /** Tells whether `transaction` has to do with one that asks for all keys. */
  #meetsClear(transaction: Transaction): boolean {
    return transaction.clears || this.#clearing !== undefined || this.#clearsInLine > 0;
  }

  /** No transaction stands in the way by asking for all keys, or by holding any, if this one does. */
  #mayPassClears(transaction: Transaction): boolean {
    if (this.#clearing !== undefined) return false;
    if (transaction.clears) {
      return this.#holders === 0 && this.#isOlderThanAllInLine(transaction);
    }
    const first = this.#store.get(EVERYTHING)?.lock?.line?.[0];
    return first === undefined || transaction.isOlderThan(first);
  }

  /** Wait-die, for what asks for all keys, and for what meets that. */
  #mayWaitForClears(transaction: Transaction): boolean {
    if (this.#clearing !== undefined && !transaction.isOlderThan(this.#clearing)) return false;
    if (transaction.clears) {
      for (const holder of this.#holdingLocks()) {
        if (!transaction.isOlderThan(holder)) return false;
      }
      return this.#isOlderThanAllInLine(transaction);
    }
    const first = this.#store.get(EVERYTHING)?.lock?.line?.[0];
    return first === undefined || transaction.isOlderThan(first);
  }

  #isOlderThanAllInLine(transaction: Transaction): boolean {
    for (const other of this.#inLine) {
      if (other !== transaction && !transaction.isOlderThan(other)) return false;
    }
    return true;
  }

  #leaveLine(transaction: Transaction): void {
    this.#isOutOfLine(transaction);
    for (const { lock } of transaction.entries) {
      if (lock?.line !== undefined) this.#removeFromLine(lock, transaction);
    }
  }

  #removeFromLine(lock: Lock, transaction: Transaction): void {
    if (lock.line === undefined) return;
    remove(lock.line, transaction);
    if (lock.line.length === 0) lock.line = undefined;
  }

  #grant(transaction: Transaction): void {
    transaction.grantOrder = ++this.#grants;
    transaction.holdsLocks = true;
    if (transaction.clears) this.#clearing = transaction;
    else this.#holders++;
    this.#changes++;
    for (const entry of transaction.entries) {
      const { lock } = entry;
      if (lock === undefined) {
        this.#newLock(entry, [transaction]);
        continue;
      }
      lock.holders.push(transaction);
      if (lock.line !== undefined) this.#refuseForeign(lock.line);
    }
    if (this.#inLine.size === 0) return;
    if (transaction.clears) this.#refuseForeign([...this.#inLine]);
    else if (this.#clearsInLine > 0) {
      this.#refuseForeign([...this.#inLine].filter(({ clears }) => clears));
    }
  }

  /** All in line are younger than the new holder, so those of other coordinators must not wait. */
  #refuseForeign(line: readonly Transaction[]): void {
    const foreign = line.filter((waiter) => waiter.coordinator !== this.#self);
    if (foreign.length > 0) this.#changes++;
    for (const waiter of foreign) {
      this.#leaveLine(waiter);
      for (const entry of waiter.entries) this.#changed.push(entry);
      if (waiter.clears) this.#lookAtAll();
      this.#refused.push(waiter);
    }
  }

  #newLock(entry: Entry, holders: Transaction[]): Lock {
    const lock = { holders, line: undefined };
    entry.lock = lock;
    this.#size++;
    return lock;
  }

  #dropIfFree(entry: Entry, lock: Lock): void {
    if (lock.holders.length > 0 || lock.line !== undefined || entry.lock !== lock) return;
    entry.lock = undefined;
    this.#size--;
    this.#store.dropIfEmpty(entry);
  }
}

function remove(list: Transaction[], transaction: Transaction): void {
  if (list[0] === transaction) {
    list.shift();
    return;
  }
  const at = list.indexOf(transaction);
  if (at >= 0) list.splice(at, 1);
}
