import { assert, assertEquals } from "@std/assert";
import { EVERYTHING } from "../../src/reserved_keys.ts";
import { LockTable } from "../../src/two_phase/lock_table.ts";
import { type Entry, Transaction } from "../../src/two_phase/state.ts";
import { Store } from "../../src/two_phase/store.ts";
import { Random } from "../sim/random.ts";

Deno.test("LockTable refuses a transaction in line with more keys than a call can have arguments", () => {
  const store = new Store(0);
  const locks = new LockTable(0, store);
  const many = Array.from({ length: 200_000 }, (_, index) => store.entryOf(`k${index}`));
  const [first, second] = many;
  if (first === undefined || second === undefined) throw new Error("no entries");
  const holder = new Transaction(0, 3, [first]);
  const waiter = new Transaction(1, 2, many);
  const older = new Transaction(2, 1, [second]);
  for (const one of [holder, waiter, older]) one.ready = true;
  assertEquals(locks.acquire(holder), "held");
  assertEquals(locks.acquire(waiter), "waiting");
  assertEquals(locks.acquire(older), "held");
  assertEquals(locks.next(), { transaction: waiter, what: "refused" });
  assertEquals(locks.next(), undefined);
});

/** Counts how often one of `entries` is looked at. */
function counting(entries: readonly Entry[]): { entries: readonly Entry[]; looks: () => number } {
  let looks = 0;
  const counted = entries.slice();
  counted[Symbol.iterator] = function* (this: Entry[]) {
    for (let i = 0; i < this.length; i++) {
      looks++;
      const entry = this[i];
      if (entry !== undefined) yield entry;
    }
  } as Entry[][typeof Symbol.iterator];
  return { entries: counted, looks: () => looks };
}

Deno.test("LockTable looks once at a waiter when many of its keys are released at once", () => {
  for (const count of [100, 1000]) {
    const store = new Store(0);
    const locks = new LockTable(0, store);
    const keys = Array.from({ length: count }, (_, index) => store.entryOf(`k${index}`));
    const other = store.entryOf("other");
    const busy = new Transaction(1, 1, [other]);
    const holder = new Transaction(0, 2, keys);
    const waiting = counting([...keys, other]);
    const waiter = new Transaction(0, 3, waiting.entries);
    assertEquals([locks.acquire(busy), locks.acquire(holder)], ["held", "held"]);
    assertEquals(locks.acquire(waiter), "waiting");
    const before = waiting.looks();
    locks.release(holder);
    assertEquals(locks.next(), undefined);
    assert(waiting.looks() - before <= count + 1, `${waiting.looks() - before} looks`);
    // It is looked at again when there is something new, and gets its locks.
    locks.release(busy);
    assertEquals(locks.next(), { transaction: waiter, what: "granted" });
  }
});

Deno.test("LockTable grants to each in a long line with one look at each of its keys", () => {
  const store = new Store(0);
  const locks = new LockTable(0, store);
  const keys = Array.from({ length: 500 }, (_, index) => store.entryOf(`k${index}`));
  const holder = new Transaction(1, 1, keys);
  assertEquals(locks.acquire(holder), "held");
  const line = Array.from({ length: 10 }, (_, index) => {
    const counted = counting(keys);
    const waiter = new Transaction(0, 2 + index, counted.entries);
    assertEquals(locks.acquire(waiter), "waiting");
    return { waiter, looks: counted.looks, before: counted.looks() };
  });
  locks.release(holder);
  for (const { waiter } of line) {
    assertEquals(locks.next(), { transaction: waiter, what: "granted" });
  }
  assertEquals(locks.next(), undefined);
  for (const { looks, before } of line) {
    // One look whether it may, one to leave the line, one to take the locks, one for the next in line.
    assert(looks() - before <= 6 * keys.length, `${looks() - before} looks`);
  }
});

Deno.test("LockTable goes through no long line for the sake of others in another line", () => {
  const { store, locks, holder, entry } = held();
  const line = Array.from({ length: 1000 }, (_, index) => new Transaction(0, 20 + index, [entry]));
  for (const waiter of line) assertEquals(locks.acquire(waiter), "waiting");
  const elsewhere = [new Transaction(0, 11, [store.entryOf("other")])];
  elsewhere.push(new Transaction(2, 9, [store.entryOf("other")]));
  assertEquals(elsewhere.map((one) => locks.acquire(one)), ["held", "waiting"]);
  let looks = 0;
  const last = line.at(-1);
  Object.defineProperty(last, "coordinator", { get: () => looks++ * 0 });
  locks.release(holder);
  for (const waiter of line) assertEquals(locks.next()?.transaction === waiter, true);
  assert(looks < 20, `${looks} looks at the last one`);
});

/** A table of node 0, and a key that node 1 holds with a transaction of age 10. */
function held(): { store: Store; locks: LockTable; holder: Transaction; entry: Entry } {
  const store = new Store(0);
  const locks = new LockTable(0, store);
  const entry = store.entryOf("k");
  const holder = new Transaction(1, 10, [entry]);
  assertEquals(locks.acquire(holder), "held");
  return { store, locks, holder, entry };
}

Deno.test("LockTable lets all of a node that were in line go on in its turn, past older ones", () => {
  const { locks, holder, entry } = held();
  const [first, second, late] = [11, 13, 15].map((age) => new Transaction(0, age, [entry]));
  if (first === undefined || second === undefined || late === undefined) throw new Error("none");
  assertEquals([locks.acquire(first), locks.acquire(second)], ["waiting", "waiting"]);
  const refused = new Transaction(2, 12, [entry]);
  assertEquals(locks.acquire(refused), "refused");
  locks.keepPlace(refused, 0);
  locks.release(holder);
  assertEquals(locks.next(), { transaction: first, what: "granted" });
  assertEquals(locks.next(), { transaction: second, what: "granted" });
  // It came after the turn had begun, so it waits for the older one of the other node.
  assertEquals(locks.acquire(late), "waiting");
  locks.release(first);
  locks.release(second);
  assertEquals(locks.next(), undefined);
  locks.givePlace(2, 12);
  const again = new Transaction(2, 12, [entry]);
  assertEquals(locks.acquire(again), "held");
  locks.release(again);
  assertEquals(locks.next(), { transaction: late, what: "granted" });
});

Deno.test("LockTable lets no write of a turn go past an earlier one of its own node", () => {
  const { locks, holder, entry } = held();
  const [first, second, third] = [11, 13, 14].map((age) => new Transaction(0, age, [entry]));
  if (first === undefined || second === undefined || third === undefined) throw new Error("none");
  second.ready = false; // It comes again, and does not know yet that its first attempt is over.
  for (const one of [first, second, third]) assertEquals(locks.acquire(one), "waiting");
  const refused = new Transaction(2, 12, [entry]);
  assertEquals(locks.acquire(refused), "refused");
  locks.keepPlace(refused, 0);
  locks.release(holder);
  assertEquals(locks.next(), { transaction: first, what: "granted" });
  assertEquals(locks.next(), undefined);
  second.ready = true;
  locks.reconsider(second);
  assertEquals(locks.next(), { transaction: second, what: "granted" });
  assertEquals(locks.next(), { transaction: third, what: "granted" });
});

Deno.test("LockTable lets a request of a turn that asks late go on at once, past places", () => {
  const { locks, holder, entry } = held();
  const [first, younger, late] = [11, 14, 13].map((age) => new Transaction(0, age, [entry]));
  if (first === undefined || younger === undefined || late === undefined) throw new Error("none");
  for (const one of [first, younger]) assertEquals(locks.acquire(one), "waiting");
  const refused = new Transaction(2, 12, [entry]);
  assertEquals(locks.acquire(refused), "refused");
  locks.keepPlace(refused, 0);
  locks.release(holder);
  assertEquals(locks.next(), { transaction: first, what: "granted" });
  assertEquals(locks.next(), { transaction: younger, what: "granted" });
  // It had come before the turn began, and finds only now that it needs the lock.
  assertEquals(locks.acquire(late), "held");
});

/** A lock table in which anything may happen, in any order. */
class Anything {
  readonly #random: Random;
  readonly #store = new Store(0);
  readonly #holding = new Set<Transaction>();
  readonly #waiting = new Set<Transaction>();
  readonly #locks = new LockTable(0, this.#store, () => this.#holding);
  /** What was refused or aborted and comes again. */
  readonly #coming: { coordinator: number; age: number; keys: readonly string[] }[] = [];
  #now = 0;
  #stamp = 100;
  #number = 1;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  step(): void {
    const what = this.#random.integer(10);
    if (what < 4) this.#begin();
    else if (what < 6) this.#end(this.#oneOf([...this.#holding]));
    else if (what === 6) this.#makeReady(this.#oneOf([...this.#waiting]));
    else if (what === 7) this.#locks.givePlacesOver(this.#now += this.#random.integer(120));
    else if (what === 8) this.#withdraw();
    else this.#leave(this.#oneOf([...this.#waiting]));
    this.#serve();
    this.#check();
  }

  /** Ends everything, one after the other. */
  finish(): void {
    for (let i = 0; i < 1000 && this.#holding.size + this.#waiting.size > 0; i++) {
      this.#locks.givePlacesOver(this.#now += 200);
      for (const one of this.#waiting) this.#makeReady(one);
      this.#serve();
      for (const one of this.#holding) this.#end(one);
      this.#serve();
    }
    this.#locks.givePlacesOver(Infinity);
    this.#serve();
    assertEquals([this.#holding.size, this.#waiting.size, this.#locks.size], [0, 0, 0]);
  }

  #oneOf<T>(all: readonly T[]): T | undefined {
    return all[this.#random.integer(Math.max(1, all.length))];
  }

  #isOneIn(count: number): boolean {
    return this.#random.integer(count) === 0;
  }

  #begin(): void {
    const keys = this.#isOneIn(40) ? [EVERYTHING] : ["a", "b"].filter(() => this.#isOneIn(2));
    if (keys.length === 0) return;
    // Clocks differ, and some ask late.
    const age = ++this.#stamp -
      (this.#isOneIn(3) ? this.#random.integer(30) + this.#stamp / 1e6 : 0);
    const anew = { coordinator: this.#isOneIn(2) ? 0 : 1 + this.#random.integer(2), age, keys };
    const one = this.#isOneIn(2) ? this.#coming.shift() ?? anew : anew;
    if (one.coordinator !== 0) this.#locks.givePlace(one.coordinator, one.age);
    const entries = one.keys.map((key) => this.#store.entryOf(key));
    const transaction = new Transaction(one.coordinator, one.age, entries);
    if (one.coordinator === 0) {
      transaction.isAlone = this.#isOneIn(5);
      transaction.ready = !this.#isOneIn(5);
    } else this.#prepare(transaction, this.#isOneIn(5) ? [] : leadersOf(transaction));
    const acquisition = this.#locks.acquire(transaction);
    if (acquisition === "held") this.#onGranted(transaction);
    else if (acquisition === "waiting") this.#waiting.add(transaction);
    else this.#comesAgain(transaction);
  }

  #prepare(transaction: Transaction, leaders: readonly Transaction[]): void {
    const { priority } = transaction;
    const follows = leaders.map(({ number }) => number);
    const about = { number: this.#number++, priority, version: ++this.#stamp, follows };
    transaction.fill({ type: "prepare", view: 1, effects: [], reads: [], ...about });
  }

  #onGranted(transaction: Transaction): void {
    this.#waiting.delete(transaction);
    this.#holding.add(transaction);
    if (transaction.coordinator === 0) this.#prepare(transaction, []);
    transaction.transitionTo("preparing");
  }

  /** Its place is kept, unless this node does not know that it comes again. */
  #comesAgain(transaction: Transaction): void {
    const { coordinator, priority: age, entries } = transaction;
    if (coordinator === 0) return;
    this.#coming.push({ coordinator, age, keys: entries.map(({ key }) => key) });
    if (!this.#isOneIn(3)) this.#locks.keepPlace(transaction, this.#now);
  }

  /** Commits a first one of a chain; aborts a last one, in two steps. */
  #end(one: Transaction | undefined): void {
    if (one === undefined) return;
    const isAt = (place: number) =>
      one.entries.every(({ lock }) => lock?.holders.at(place) === one);
    const isFirst = isAt(0);
    if (!isFirst && !isAt(-1)) return;
    if (!isFirst && one.state !== "aborting") {
      one.transitionTo("aborting");
      return;
    }
    this.#holding.delete(one);
    this.#locks.release(one);
    if (!isFirst) this.#comesAgain(one);
  }

  #makeReady(one: Transaction | undefined): void {
    if (one === undefined || one.ready) return;
    one.ready = true;
    this.#locks.reconsider(one);
  }

  #withdraw(): void {
    const one = this.#coming.shift();
    if (one !== undefined) this.#locks.givePlace(one.coordinator, one.age);
  }

  #leave(one: Transaction | undefined): void {
    if (one === undefined) return;
    this.#waiting.delete(one);
    this.#locks.release(one);
  }

  #serve(): void {
    for (let event = this.#locks.next(); event !== undefined; event = this.#locks.next()) {
      const { transaction, what } = event;
      if (what === "granted") this.#onGranted(transaction);
      else if (this.#waiting.delete(transaction)) this.#comesAgain(transaction);
    }
  }

  #check(): void {
    for (const waiter of this.#waiting) {
      this.#locks.reconsider(waiter);
      assertEquals(this.#locks.next(), undefined, "who may have its locks has them");
      if (waiter.coordinator === 0) continue;
      for (const { lock } of waiter.entries) {
        const { holders = [], line = [] } = lock ?? {};
        const before = line.slice(0, line.indexOf(waiter)).filter((one) => this.#waiting.has(one));
        for (const one of [...holders, ...before]) {
          assert(waiter.isOlderThan(one), "who waits at another node is older");
        }
      }
    }
    for (const { entries } of this.#holding) {
      for (const { lock } of entries) {
        const foreign = lock?.line?.filter((one) =>
          one.coordinator !== 0 && this.#waiting.has(one)
        );
        assertEquals(lock?.foreignInLine, foreign?.length ?? 0);
        const [first, ...others] = lock?.holders ?? [];
        assert(others.every(({ coordinator }) => coordinator === first?.coordinator));
      }
    }
  }
}

/** The last holders of its keys, if it may follow them. */
function leadersOf({ coordinator, entries }: Transaction): Transaction[] {
  return entries.flatMap(({ lock }) => lock?.holders.at(-1) ?? [])
    .filter((last) => last.coordinator === coordinator && last.state !== "aborting");
}

Deno.test("LockTable leaves nobody in line who may have its locks, whatever happens in which order", () => {
  for (let seed = 0; seed < 2000; seed++) {
    const table = new Anything(seed);
    for (let step = 0; step < 60; step++) table.step();
    table.finish();
  }
});

Deno.test("LockTable forgets the places that it keeps, and their keys, with the line and with time", () => {
  for (const isView of [true, false]) {
    const { store, locks, holder } = held();
    const refused = new Transaction(2, 12, [store.entryOf("k"), store.entryOf("other")]);
    assertEquals(locks.acquire(refused), "refused");
    locks.keepPlace(refused, 0);
    locks.keepPlace(refused, 10);
    locks.release(holder);
    assertEquals(locks.size, 2);
    const own = new Transaction(0, 13, [store.entryOf("k")]);
    assertEquals(locks.acquire(own), "waiting");
    locks.givePlacesOver(100);
    assertEquals(locks.next(), undefined);
    if (isView) {
      locks.release(own);
      locks.dropLine();
    } else {
      locks.givePlacesOver(1000);
      assertEquals(locks.next(), { transaction: own, what: "granted" });
      locks.release(own);
    }
    assertEquals(locks.next(), undefined);
    assertEquals(locks.size, 0);
    assertEquals([store.get("k"), store.get("other")], [undefined, undefined]);
  }
});
