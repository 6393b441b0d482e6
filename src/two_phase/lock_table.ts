/**
 * The lock table: one writer per key, wait-die.
 *
 * A lock is held by one transaction, or by a chain of transactions of one coordinator, each of which
 * follows the one before it. Who cannot hold all of its keys at once holds none of them: it waits in
 * line, or is refused.
 *
 * Wait-die (Rosenkrantz, Stearns & Lewis 1978, §4) decides about transactions of other coordinators:
 * such a one may wait only for younger ones, and "for" means whoever holds one of its keys or stands
 * in line for it before it. So every wait across nodes is from older to younger, and there is no
 * cycle. A transaction of this node's own that is in line holds nothing anywhere, so it may wait for
 * anybody.
 *
 * The line of a key is in order of age, the oldest first. Nobody is granted a key for which an older
 * one stands in line; so a grant leaves only younger ones behind, and those of other coordinators
 * among them are refused then (they would wait for an older one). So nobody starves: the oldest of
 * all is passed by no one.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { NodeIndex } from "./messages.ts";
import type { Transaction } from "./state.ts";

interface Lock {
  /** In the order in which they will commit. All of one coordinator. */
  readonly holders: Transaction[];
  /** The oldest first. They hold nothing. */
  readonly line: Transaction[];
}

/** What became of a request for locks. */
export type Acquisition = "held" | "waiting" | "refused";

/** A transaction in line that got its locks, or that must be told no. */
export interface LineEvent {
  readonly transaction: Transaction;
  readonly what: "granted" | "refused";
}

/** The locks of one node. */
export class LockTable {
  readonly #locks = new Map<ByteString, Lock>();
  readonly #self: NodeIndex;
  readonly #changed: ByteString[] = [];
  readonly #refused: Transaction[] = [];
  #grants = 0;

  constructor(self: NodeIndex) {
    this.#self = self;
  }

  /** Returns how many grants there were: the order of the latest one. */
  get grants(): number {
    return this.#grants;
  }

  /** Returns how many keys are locked or waited for. */
  get size(): number {
    return this.#locks.size;
  }

  /**
   * Gives `transaction` the locks of all of its keys, or puts it in line for all of them, or refuses
   * it. Call {@linkcode next} afterwards until it returns nothing.
   */
  acquire(transaction: Transaction): Acquisition {
    let free = transaction.ready;
    for (const key of transaction.keys) {
      const lock = this.#locks.get(key);
      if (lock !== undefined && !this.#mayHold(transaction, lock)) {
        free = false;
        break;
      }
    }
    if (free) {
      this.#grant(transaction);
      return "held";
    }
    if (transaction.coordinator !== this.#self && !this.#mayWait(transaction)) return "refused";
    for (const key of transaction.keys) this.#standInLine(transaction, this.#lockOf(key));
    return "waiting";
  }

  /** Takes the locks of a transaction that held them before a restart, whatever else holds them. */
  retake(transaction: Transaction): void {
    this.#grant(transaction);
  }

  /** Frees the locks that `transaction` holds, or takes it out of the line. */
  release(transaction: Transaction): void {
    for (const key of transaction.keys) {
      const lock = this.#locks.get(key);
      if (lock === undefined) continue;
      remove(lock.holders, transaction);
      if (lock.line.length > 0) remove(lock.line, transaction);
      if (lock.line.length > 0) this.#changed.push(key);
      else if (lock.holders.length === 0) this.#locks.delete(key);
    }
  }

  /** Looks again at the keys of `transaction`, which has become ready. */
  reconsider(transaction: Transaction): void {
    for (const key of transaction.keys) this.#changed.push(key);
  }

  /**
   * Returns the next thing that earlier calls have brought about for somebody in line, or
   * `undefined` when nothing is left.
   */
  next(): LineEvent | undefined {
    const refused = this.#refused.shift();
    if (refused !== undefined) return { transaction: refused, what: "refused" };
    for (let key = this.#changed.at(-1); key !== undefined; key = this.#changed.at(-1)) {
      const lock = this.#locks.get(key);
      const first = lock?.line[0];
      if (first !== undefined && this.#mayLeaveLine(first)) {
        this.#leaveLine(first);
        this.#grant(first);
        // Who stands behind it on another key may go on its chain.
        for (const other of first.keys) if (other !== key) this.#changed.push(other);
        return { transaction: first, what: "granted" };
      }
      this.#changed.pop();
      if (lock !== undefined && lock.holders.length === 0 && lock.line.length === 0) {
        this.#locks.delete(key);
      }
    }
    return undefined;
  }

  /** Returns the transactions that hold `key`, in the order in which they will commit. */
  holders(key: ByteString): readonly Transaction[] {
    return this.#locks.get(key)?.holders ?? NOBODY;
  }

  /**
   * Returns the last transaction that holds `key`, will write it and was granted it at `grantOrder`
   * or before: whom a reader must wait for.
   */
  lastWriter(key: ByteString, grantOrder: number): Transaction | undefined {
    const lock = this.#locks.get(key);
    if (lock === undefined) return undefined;
    for (let i = lock.holders.length - 1; i >= 0; i--) {
      const holder = lock.holders[i];
      if (holder === undefined || holder.grantOrder > grantOrder) continue;
      // With an effect for each of its keys (the usual case) it writes this one too.
      if (holder.effects.length === holder.keys.length || holder.effectOn(key) !== undefined) {
        return holder;
      }
    }
    return undefined;
  }

  /** Returns every transaction that holds a lock, each once. */
  allHolders(): Set<Transaction> {
    const all = new Set<Transaction>();
    for (const lock of this.#locks.values()) {
      for (const holder of lock.holders) all.add(holder);
    }
    return all;
  }

  /** Returns the oldest transaction in line for `key`, if any. */
  firstInLine(key: ByteString): Transaction | undefined {
    return this.#locks.get(key)?.line[0];
  }

  #lockOf(key: ByteString): Lock {
    let lock = this.#locks.get(key);
    if (lock === undefined) {
      lock = { holders: [], line: [] };
      this.#locks.set(key, lock);
    }
    return lock;
  }

  /** Nobody older in line, and the key free or held by a chain that the transaction goes on. */
  #mayHold(transaction: Transaction, lock: Lock): boolean {
    const first = lock.line[0];
    if (first !== undefined && first !== transaction && !transaction.isOlderThan(first)) {
      return false;
    }
    const last = lock.holders.at(-1);
    return last === undefined || this.#mayFollow(transaction, last);
  }

  /**
   * A transaction may go on a chain of its own coordinator: at the coordinator whenever the last
   * one is not being aborted, elsewhere when it names the last one.
   */
  #mayFollow(transaction: Transaction, last: Transaction): boolean {
    if (last.coordinator !== transaction.coordinator || last.state === "aborting") return false;
    return transaction.coordinator === this.#self || transaction.follows.includes(last.number);
  }

  /** Wait-die: only for younger ones. */
  #mayWait(transaction: Transaction): boolean {
    for (const key of transaction.keys) {
      const lock = this.#locks.get(key);
      if (lock === undefined) continue;
      const first = lock.line[0];
      if (first !== undefined && !transaction.isOlderThan(first)) return false;
      for (const holder of lock.holders) {
        if (!transaction.isOlderThan(holder)) return false;
      }
    }
    return true;
  }

  #mayLeaveLine(transaction: Transaction): boolean {
    if (!transaction.ready) return false;
    for (const key of transaction.keys) {
      const lock = this.#locks.get(key);
      if (lock !== undefined && !this.#mayHold(transaction, lock)) return false;
    }
    return true;
  }

  #standInLine(transaction: Transaction, lock: Lock): void {
    let at = lock.line.length;
    for (; at > 0; at--) {
      const before = lock.line[at - 1];
      if (before === undefined || before.isOlderThan(transaction)) break;
    }
    lock.line.splice(at, 0, transaction);
  }

  #leaveLine(transaction: Transaction): void {
    for (const key of transaction.keys) {
      const lock = this.#locks.get(key);
      if (lock !== undefined) remove(lock.line, transaction);
    }
  }

  #grant(transaction: Transaction): void {
    transaction.grantOrder = ++this.#grants;
    for (const key of transaction.keys) {
      const lock = this.#lockOf(key);
      lock.holders.push(transaction);
      if (lock.line.length > 0) this.#refuseForeign(lock);
    }
  }

  /** All in line are younger than the new holder: those of other coordinators must not wait. */
  #refuseForeign(lock: Lock): void {
    const foreign = lock.line.filter((waiter) => waiter.coordinator !== this.#self);
    for (const waiter of foreign) {
      this.#leaveLine(waiter);
      this.#changed.push(...waiter.keys);
      this.#refused.push(waiter);
    }
  }
}

const NOBODY: readonly Transaction[] = [];

function remove(list: Transaction[], transaction: Transaction): void {
  if (list[0] === transaction) {
    list.shift();
    return;
  }
  const at = list.indexOf(transaction);
  if (at >= 0) list.splice(at, 1);
}
