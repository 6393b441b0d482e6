/** What a node's table tells of the end of a transaction. */

import { assertEquals } from "@std/assert";
import { incarnationBase, transactionNumber } from "../../src/two_phase/messages.ts";
import { Transaction } from "../../src/two_phase/state.ts";
import { TransactionTable } from "../../src/two_phase/transaction_table.ts";

const COORDINATOR = 1;
const number = (sequence: number, incarnation = 1) => transactionNumber(incarnation, sequence);

/** A table that holds one transaction, not decided. */
function tableWith(sequence: number): { table: TransactionTable; transaction: Transaction } {
  const table = new TransactionTable(3);
  table.begin(COORDINATOR, incarnationBase(1));
  const transaction = new Transaction(COORDINATOR, 1, []);
  table.add(transaction, number(sequence));
  return { table, transaction };
}

Deno.test("TransactionTable.outcomeOf() is unknown when the number was never heard of", () => {
  assertEquals(tableWith(1).table.outcomeOf(COORDINATOR, number(2)), "unknown");
  assertEquals(tableWith(1).table.outcomeOf(0, number(1)), "unknown");
});

Deno.test("TransactionTable.outcomeOf() is an abort only when it is durable", () => {
  const { table, transaction } = tableWith(1);
  const outcome = () => table.outcomeOf(COORDINATOR, number(1));
  assertEquals(outcome(), "undecided");
  transaction.transitionTo("preparing");
  assertEquals(outcome(), "undecided");
  transaction.transitionTo("prepared");
  assertEquals(outcome(), "undecided");
  transaction.transitionTo("aborting");
  assertEquals(outcome(), "undecided");
  transaction.transitionTo("aborted");
  assertEquals(outcome(), "aborted");
  table.reduce(COORDINATOR, number(1), "aborted");
  assertEquals(outcome(), "aborted");
});

Deno.test("TransactionTable.outcomeOf() is forgotten when the low-water mark has passed", () => {
  const { table } = tableWith(1);
  table.reduce(COORDINATOR, number(1), "committed");
  table.settle(COORDINATOR, number(1));
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "committed");
  table.forget(COORDINATOR, number(1));
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "forgotten");
});

Deno.test("TransactionTable.outcomeOf() is an abort when an earlier incarnation is closed", () => {
  const { table } = tableWith(1);
  table.reduce(COORDINATOR, number(1), "committed");
  table.begin(COORDINATOR, incarnationBase(2));
  assertEquals(table.outcomeOf(COORDINATOR, number(2)), "unknown", "before it is closed");
  table.close(COORDINATOR, [number(3)]);
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "committed");
  assertEquals(table.outcomeOf(COORDINATOR, number(2)), "aborted", "presumed");
  assertEquals(
    table.outcomeOf(COORDINATOR, number(3)),
    "unknown",
    "the coordinator goes on with it",
  );
});
