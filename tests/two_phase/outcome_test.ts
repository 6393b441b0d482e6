/** What a node's table tells of the end of a transaction. */

import { assertEquals } from "@std/assert";
import { incarnationBase, transactionNumber } from "../../src/two_phase/messages.ts";
import { OUTCOMES_KEPT_MAX } from "../../src/limits.ts";
import { Transaction } from "../../src/two_phase/state.ts";
import { TransactionTable } from "../../src/two_phase/transaction_table.ts";
import { Script, write } from "./script.ts";

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

Deno.test("TransactionTable.outcomeOf() is kept beyond the low-water mark when a client was told the id", () => {
  const { table } = tableWith(1);
  table.keepOutcome(COORDINATOR, number(1), undefined);
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "undecided");
  table.reduce(COORDINATOR, number(1), "committed");
  table.settle(COORDINATOR, number(1));
  table.forget(COORDINATOR, number(2));
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "committed");
  table.keepOutcome(COORDINATOR, number(2), "aborted");
  assertEquals(table.outcomeOf(COORDINATOR, number(2)), "aborted", "told when it was forgotten");
  for (let i = 0; i < OUTCOMES_KEPT_MAX; i++) {
    table.keepOutcome(COORDINATOR, number(10 + i), undefined);
  }
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "forgotten", "too many came after it");
});

Deno.test("a client can ask for the end of a request that was aborted, when all is forgotten", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ k: "1" }));
  script.cut(0, 2);
  script.wait(4600);
  script.deliverAll();
  const outcome = script.outcomes.get("W");
  assertEquals(outcome?.kind, "aborted");
  script.connect(0, 2);
  for (let i = 0; i < 4; i++) {
    script.deliverAll();
    script.wait(20);
  }
  assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
  const outcomes = script.replicas.map((replica) => replica.outcomeOf(0, number(1)));
  assertEquals(outcomes, ["aborted", "forgotten", "forgotten"]);
});
