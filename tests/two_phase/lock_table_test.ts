import { assert, assertEquals } from "@std/assert";
import { LockTable } from "../../src/two_phase/lock_table.ts";
import { type Entry, Transaction } from "../../src/two_phase/state.ts";
import { Store } from "../../src/two_phase/store.ts";

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
