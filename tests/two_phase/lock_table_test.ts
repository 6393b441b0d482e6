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
