import { assertEquals } from "@std/assert";
import { LockTable } from "../../src/two_phase/lock_table.ts";
import { Transaction } from "../../src/two_phase/state.ts";
import { Store } from "../../src/two_phase/store.ts";

Deno.test("LockTable refuses a transaction in line with more keys than a call can have arguments", () => {
  const store = new Store();
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
