/**
 * The lock table: one writer per key, wait-die.
 *
 * A lock is held by one transaction, or by a chain of transactions of one coordinator, each of
 * which follows the one before it. A transaction that cannot hold all of its keys at once holds
 * none of them: it waits in line, or is refused.
 *
 * Wait-die (Rosenkrantz, Stearns & Lewis 1978, §4) decides about transactions of other
 * coordinators: they may wait only for younger ones. A transaction waits for every one that holds
 * one of its keys or is before it in the line of one. Whoever comes to stand before it in line, older
 * than it, or gets a key past it, ends its wait. So every wait across nodes is from older to younger,
 * and there is no cycle. This node's own transactions hold nothing anywhere while they are
 * in line, so they may wait for any other.
 *
 * The line of a key is in order of age, the oldest first. No transaction gets a free key while an older
 * one is in line for it. A grant refuses those of other coordinators in line that are younger (they would
 * wait for an older one). So no transaction starves.
 *
 * A transaction that was refused comes again, with its age. If nothing were kept for it, younger ones of
 * all nodes would have taken the key by then, each its own, and all but one of them would be refused too.
 * So its place in line is kept for a while, at every node that knows of it. The transaction of a place
 * holds nothing and waits for nothing, so no cycle goes through it.
 *
 * When a coordinator gets a free key it has its turn: its transactions that had come by then may go on the
 * chain past places that are kept for older ones of other nodes. Each member knows which these are: those
 * that are older than the version that the first of the turn was given. So nodes that all write one key
 * hand it over once a turn, and an older one waits for a bounded number of younger ones.
 *
 * A transaction that deletes all keys excludes every other one: it is as if it asked for all keys that
 * there are and may be. It goes on no chain, and no transaction follows it.
 *
 * @module
 */

import { EVERYTHING } from "../reserved_keys.ts";
import type { NodeId, Stamp } from "./messages.ts";
import { type Entry, type Lock, Transaction } from "./state.ts";
import type { Store } from "./store.ts";

/**
 * How long a place in line is kept for a transaction of another node that comes again, in milliseconds. Its
 * coordinator needs the abort on disk, all acknowledgements of it, and one more message.
 */
const PLACE_MS = 150;

/** How many places in line a transaction of a turn may pass. */
const PASSES_MAX = 64;

/** A place in line that is kept for a transaction of another node: it holds nothing, anywhere. */
class KeptPlace extends Transaction {
  constructor(of: Transaction, entries: readonly Entry[], readonly until: number) {
    super(of.coordinator, of.priority, entries);
    this.ready = false;
  }
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
  /** How many of them another node coordinates, and waits for: places not counted. */
  #foreignInLine = 0;
  /** The places that are kept, by {@linkcode placeName}; the one that is given up first comes first. */
  readonly #places = new Map<string, KeptPlace>();
  /** The youngest transaction of this node that has asked for locks. */
  #youngestOwn: Stamp = 0;
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
    if (transaction.coordinator === this.#self && transaction.priority > this.#youngestOwn) {
      this.#youngestOwn = transaction.priority;
    }
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
      // Others wait for it now that hold keys elsewhere, and it may wait for those.
      if (entry.lock !== undefined) this.#refuseYoungerAt(entry.lock, transaction);
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

  /**
   * Keeps the place in line of `transaction`, which another node coordinates and will try again, from `now`
   * in milliseconds on. Nothing is kept for one that asks for all keys.
   */
  keepPlace(transaction: Transaction, now: number): void {
    if (transaction.clears || transaction.entries.length === 0) return;
    this.givePlace(transaction.coordinator, transaction.priority);
    const entries = transaction.entries.map(({ key }) => this.#store.entryOf(key));
    const place = new KeptPlace(transaction, entries, now + PLACE_MS);
    this.#places.set(placeName(place.coordinator, place.priority), place);
    for (const entry of entries) this.#standInLine(place, entry);
  }

  /**
   * The transaction of this age comes again, or never will: its place is kept no longer. Call this before
   * its entries are looked up: those that nothing else holds are dropped.
   */
  givePlace(coordinator: NodeId, priority: Stamp): void {
    if (this.#places.size === 0) return;
    const name = placeName(coordinator, priority);
    const place = this.#places.get(name);
    if (place === undefined) return;
    this.#places.delete(name);
    this.release(place);
  }

  /** Gives up the places that have been kept for long enough at `now`, in milliseconds. */
  givePlacesOver(now: number): void {
    const over = new Set<Transaction>();
    const entries = new Set<Entry>();
    for (const [name, place] of this.#places) {
      if (now < place.until) break;
      this.#places.delete(name);
      this.#isOutOfLine(place);
      over.add(place);
      for (const entry of place.entries) entries.add(entry);
    }
    if (over.size === 0) return;
    this.#changes++;
    // Each line is gone through once, however many places in it are over.
    for (const entry of entries) {
      const { lock } = entry;
      if (lock?.line === undefined) continue;
      lock.line = lock.line.filter((waiter) => !over.has(waiter));
      if (lock.line.length === 0) lock.line = undefined;
      if (lock.line !== undefined) this.#changed.push(entry);
      else this.#dropIfFree(entry, lock);
    }
    if (this.#clearsInLine > 0) this.#lookAtAll();
  }

  /** Drops pending events, and the places that are kept: every other transaction in line has left it. */
  dropLine(): void {
    this.givePlacesOver(Infinity);
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
      const next = lock && this.#nextInLine(lock);
      if (next !== undefined) {
        this.#leaveLine(next);
        this.#grant(next);
        // The next in line, on this key or another, may join its chain.
        for (const other of next.entries) if (other !== entry) this.#changed.push(other);
        return { transaction: next, what: "granted" };
      }
      this.#changed.pop();
      if (lock !== undefined) this.#dropIfFree(entry, lock);
    }
    return undefined;
  }

  /** Returns the transaction in line for a key that may hold all of its keys, if there is one. */
  #nextInLine(lock: Lock): Transaction | undefined {
    const { line, holders } = lock;
    const first = line?.[0];
    if (line === undefined || first === undefined) return undefined;
    if (this.#isItsTurn(first)) return first;
    if (first.coordinator === this.#self || holders[0]?.coordinator !== this.#self) {
      return undefined;
    }
    const next = firstBehindPlaces(line);
    if (next?.coordinator !== this.#self) return undefined;
    return this.#isItsTurn(next) ? next : undefined;
  }

  /**
   * Tells whether `transaction`, in some line, may hold all of its keys. It is checked
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
   * Every key is free or held by a chain that the transaction may join; and no older one is in line for it,
   * or it is the turn of the transaction's coordinator.
   */
  #mayHoldAll(transaction: Transaction): boolean {
    if (this.#meetsClear(transaction) && !this.#mayPassClears(transaction)) return false;
    for (const { lock } of transaction.entries) {
      if (lock === undefined) continue;
      const last = lock.holders.at(-1);
      if (last !== undefined) {
        if (!this.#mayFollow(transaction, last)) return false;
        if (transaction.priority <= lock.turn && this.#mayPassLine(transaction, lock)) continue;
      }
      const first = lock.line?.[0];
      if (first !== undefined && first !== transaction && !transaction.isOlderThan(first)) {
        return false;
      }
    }
    return true;
  }

  /**
   * Its coordinator has its turn. There a transaction passes places only: those that stand in line may hold
   * the key elsewhere, and writes of one client stay in order. Another member follows the coordinator.
   */
  #mayPassLine(transaction: Transaction, { line }: Lock): boolean {
    if (transaction.coordinator !== this.#self || line === undefined) return true;
    const next = firstBehindPlaces(line);
    if (next === undefined) return line.length <= PASSES_MAX; // It comes just now, and there are only places.
    return next === transaction || transaction.isOlderThan(next);
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
      if (this.#mustBeTold(transaction)) this.#foreignInLine++;
      if (transaction.clears) this.#clearsInLine++;
    }
    const lock = entry.lock ?? this.#newLock(entry, []);
    if (this.#mustBeTold(transaction)) lock.foreignInLine++;
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

  /** Another coordinator waits for it. */
  #mustBeTold(transaction: Transaction): boolean {
    return transaction.coordinator !== this.#self && !(transaction instanceof KeptPlace);
  }

  #isOutOfLine(transaction: Transaction): void {
    if (!this.#inLine.delete(transaction)) return;
    if (transaction.clears) this.#clearsInLine--;
    if (this.#mustBeTold(transaction)) this.#foreignInLine--;
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
    if (lock.line === undefined || !remove(lock.line, transaction)) return;
    if (this.#mustBeTold(transaction)) lock.foreignInLine--;
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
        this.#newLock(entry, [transaction]).turn = this.#turnOf(transaction);
        continue;
      }
      if (lock.holders.length === 0) {
        lock.turn = this.#turnOf(transaction);
        // It may have come again and got the key at once: those that waited for it go on.
        if (lock.line !== undefined) this.#changed.push(entry);
      }
      lock.holders.push(transaction);
      this.#refuseYoungerAt(lock, transaction);
    }
    if (this.#inLine.size === 0) return;
    if (transaction.clears) this.#refuseYounger([...this.#inLine], transaction);
    else if (this.#clearsInLine > 0) {
      this.#refuseYounger([...this.#inLine].filter(({ clears }) => clears), transaction);
    }
  }

  /** The age of the youngest transaction of the turn that `transaction` begins. */
  #turnOf(transaction: Transaction): Stamp {
    // At another node a version is given behind all requests that have come there before.
    return transaction.coordinator === this.#self
      ? this.#youngestOwn
      : transaction.prepare?.version ?? 0;
  }

  #refuseYoungerAt({ line, foreignInLine }: Lock, holder: Transaction): void {
    // A line may be long, and have none of other nodes in it.
    if (line !== undefined && foreignInLine > 0) this.#refuseYounger(line, holder);
  }

  /**
   * Of other coordinators, those in line that are younger than `holder`, which holds the key now or has come
   * to stand before them, must not wait for it.
   */
  #refuseYounger(line: readonly Transaction[], holder: Transaction): void {
    if (this.#foreignInLine === 0) return;
    const foreign = line.filter((waiter) =>
      waiter !== holder && this.#mustBeTold(waiter) && !waiter.isOlderThan(holder)
    );
    if (foreign.length > 0) this.#changes++;
    for (const waiter of foreign) {
      this.#leaveLine(waiter);
      for (const entry of waiter.entries) this.#changed.push(entry);
      if (waiter.clears) this.#lookAtAll();
      this.#refused.push(waiter);
    }
  }

  #newLock(entry: Entry, holders: Transaction[]): Lock {
    const lock = { holders, line: undefined, foreignInLine: 0, turn: 0 };
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

/** Returns the first in line behind the places that are kept at its head, if it is near enough. */
function firstBehindPlaces(line: readonly Transaction[]): Transaction | undefined {
  for (let i = 0; i < line.length && i <= PASSES_MAX; i++) {
    if (!(line[i] instanceof KeptPlace)) return line[i];
  }
  return undefined;
}

function placeName(coordinator: NodeId, priority: Stamp): string {
  return `${coordinator}:${priority}`;
}

/** Returns whether it was in the list. */
function remove(list: Transaction[], transaction: Transaction): boolean {
  if (list[0] === transaction) {
    list.shift();
    return true;
  }
  const at = list.indexOf(transaction);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}
