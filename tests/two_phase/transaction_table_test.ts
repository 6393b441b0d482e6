import { assertEquals } from "@std/assert";
import { incarnationBase } from "../../src/two_phase/messages.ts";
import { Transaction } from "../../src/two_phase/state.ts";
import { TransactionTable } from "../../src/two_phase/transaction_table.ts";

Deno.test("TransactionTable does not take for settled what was refused and is still to be aborted (seed 611323)", () => {
  const table = new TransactionTable();
  const [first, second] = [incarnationBase(1), incarnationBase(2)];
  const number = first + 1;
  table.startIncarnation(0, first);
  // It waits in line here when its coordinator goes on with other numbers, and lists it as undecided.
  table.add(new Transaction(0, 1, []), number);
  table.startIncarnation(0, second);
  table.close(0, [number]);
  table.remove(0, number);
  table.forceBegins(1);
  table.forced(1);
  assertEquals(table.durableUpTo(0), first);
  // Its abort comes, and is durable with the next force.
  table.settle(0, number);
  table.forceBegins(2);
  assertEquals(table.durableUpTo(0), first);
  table.forced(2);
  assertEquals(table.durableUpTo(0), second);
});
