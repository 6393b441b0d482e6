/** What a node's table tells of the end of a transaction. */

import { assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { incarnationBase, transactionNumber } from "../../src/two_phase/messages.ts";
import { OUTCOMES_KEPT_MAX } from "../../src/limits.ts";
import { Transaction } from "../../src/two_phase/state.ts";
import { nameForClients } from "../../src/two_phase/transaction_name.ts";
import { TransactionTable } from "../../src/two_phase/transaction_table.ts";
import type { Outcome } from "../../src/two_phase/request.ts";
import { append, outcomeSaid, outcomesOf, read, Script, write } from "./script.ts";

const COORDINATOR = 1;
const number = (sequence: number, incarnation = 1) => transactionNumber(incarnation, sequence);

/** A table that holds one transaction, not decided. */
function tableWith(sequence: number): { table: TransactionTable; transaction: Transaction } {
  const table = new TransactionTable();
  table.startIncarnation(COORDINATOR, incarnationBase(1));
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
  assertEquals(outcome(), "abortedHere");
  table.discardTransaction(COORDINATOR, number(1), "aborted");
  assertEquals(outcome(), "abortedHere");
  // All members have settled it: no node can commit it any more.
  table.keepOutcome(COORDINATOR, number(1), undefined);
  table.settle(COORDINATOR, number(1));
  table.forget(COORDINATOR, number(1));
  assertEquals(outcome(), "aborted");
});

Deno.test("TransactionTable.outcomeOf() is forgotten when the low-water mark has passed", () => {
  const { table } = tableWith(1);
  table.discardTransaction(COORDINATOR, number(1), "committed");
  table.settle(COORDINATOR, number(1));
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "committed");
  table.forget(COORDINATOR, number(1));
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "forgotten");
});

Deno.test("TransactionTable.outcomeOf() is unknown when an abort is only presumed", () => {
  const { table } = tableWith(1);
  table.discardTransaction(COORDINATOR, number(1), "committed");
  table.startIncarnation(COORDINATOR, incarnationBase(2));
  assertEquals(table.outcomeOf(COORDINATOR, number(2)), "unknown", "before it is closed");
  table.close(COORDINATOR, [number(3)]);
  assertEquals(table.outcomeOf(COORDINATOR, number(1)), "committed");
  assertEquals(table.isClosed(COORDINATOR, number(2)), true);
  assertEquals(table.outcomeOf(COORDINATOR, number(2)), "unknown", "it would be refused here");
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
  table.discardTransaction(COORDINATOR, number(1), "committed");
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
  assertEquals(outcomesOf(script, told(script, "W")), ["aborted", "forgotten", "forgotten"]);
});

// --- What DKS.OUTCOME answers ----------------------------------------------------------------

/** The name that the error for `label` has told. */
function told(script: Script, label: string): string {
  const outcome = script.outcomes.get(label);
  if (outcome === undefined || !("transaction" in outcome)) {
    throw new Error(`${label}: ${JSON.stringify(outcome)}`);
  }
  return outcome.transaction;
}

const DONE: Outcome = { kind: "answered", reply: ["1"] };

/** n0 has T prepared everywhere, and is cut off from the others before it hears of that. */
function cutOff(nodes: number): Script {
  const script = Script.complete(nodes, timingFor(5000));
  script.ask(0, "T", write({ k: "1" }));
  for (let peer = 1; peer < nodes; peer++) while (script.deliver(0, peer));
  for (let peer = 1; peer < nodes; peer++) script.cut(0, peer);
  while (script.outcomes.get("T") === undefined) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(script.outcomes.get("T")?.kind, "indeterminate");
  return script;
}

Deno.test("DKS.OUTCOME: the abort of a node that was cut off is no answer, as the others have committed", () => {
  const script = cutOff(3);
  script.ask(1, "R", read("k"));
  assertEquals(script.outcomes.get("R"), DONE);
  assertEquals(outcomesOf(script, told(script, "T")), ["abortedHere", "committed", "committed"]);
  assertEquals(outcomeSaid(script, told(script, "T")), "committed");
  assertEquals(outcomeSaid(script, told(script, "T"), [0]).startsWith("undecided"), true);
});

Deno.test("DKS.OUTCOME: a node that has missed the view which settled it knows nothing of that", () => {
  const script = cutOff(5);
  script.kill(4);
  script.goOnUntil(() => script.replicas[1]?.membership.view.number === 3);
  for (let peer = 1; peer < 4; peer++) script.connect(0, peer);
  script.goOnUntil(() => script.replicas[0]?.membership.mayRead(script.clocksOf(0)) === true);
  for (const peer of [0, 1, 2, 3]) {
    script.ask(peer, `R${peer}`, read("k"));
    script.deliverAll();
    assertEquals(script.outcomes.get(`R${peer}`), DONE);
  }
  // n0 has aborted it by itself, and view 2, which it never saw, has committed it.
  const known = outcomesOf(script, told(script, "T"));
  assertEquals(known[0], "forgotten");
  for (const word of ["aborted", "undecided"]) {
    assertEquals(outcomeSaid(script, told(script, "T"), [0, 1, 2, 3]).startsWith(word), false);
  }
});

Deno.test("DKS.OUTCOME: a node outside of the view presumes nothing", () => {
  const script = Script.complete(3, timingFor(5000));
  script.kill(2);
  script.goOnUntil(() => {
    const membership = script.replicas[0]?.membership;
    return membership?.view.number === 2 && membership.mayWrite &&
      membership.mayRead(script.clocksOf(0));
  });
  script.ask(0, "T", write({ k: "1" }));
  while (script.deliver(0, 1));
  const [[prepared] = [0]] = [...script.replicas[1]?.context.transactions.of(0) ?? []];
  const name = nameForClients({ coordinator: 0, number: prepared }, "j0");
  script.restart(0, [1]);
  script.goOnUntil(() => script.replicas[0]?.locks.size === 0);
  script.ask(1, "R", read("k"));
  script.goOnUntil(() => script.outcomes.get("R") !== undefined);
  assertEquals(script.outcomes.get("R"), DONE);
  // n2 comes back, and is outside when it hears of the incarnation that n0 has now.
  script.start(2);
  for (let i = 0; script.replicas[2]?.membership.view.number !== 2; i++) {
    const isMoving = [[0, 2], [1, 2], [2, 0], [2, 1]].some(([a = 0, b = 0]) =>
      script.deliver(a, b)
    );
    if (!isMoving) script.wait(20);
    if (i > 500) throw new Error("n2 has not heard of view 2");
  }
  assertEquals(script.replicas[2]?.membership.isMember, false);
  assertEquals(outcomesOf(script, name)[2], "unknown");
  assertEquals(outcomeSaid(script, name, [2]).startsWith("unknown"), true);
  assertEquals(outcomeSaid(script, name).startsWith("aborted"), false);
});

Deno.test("DKS.OUTCOME: the next view's commits are known to all nodes that have installed it", () => {
  const script = cutOff(3);
  const name = told(script, "T");
  // n0 comes back, and joins: it has the view by then, and knows what it said.
  for (const peer of [1, 2]) script.connect(0, peer);
  script.goOnUntil(() => script.replicas[0]?.membership.view.number === 2);
  assertEquals(outcomesOf(script, name), ["committed", "committed", "committed"]);
});

Deno.test("DKS.OUTCOME: an abort that the next view has made is known for certain", () => {
  const script = Script.complete(3, timingFor(2000));
  script.ask(0, "T", append("k", "1"));
  // n1 has it prepared, n2 never hears of it; n0 gives it up, and cannot tell the others.
  while (script.deliver(0, 1));
  for (const peer of [1, 2]) script.cut(0, peer);
  script.goOnUntil(() => script.outcomes.get("T") !== undefined);
  const name = told(script, "T");
  script.goOnUntil(() => script.replicas[1]?.membership.view.number === 2);
  for (const peer of [1, 2]) script.connect(0, peer);
  script.goOnUntil(() => script.replicas[0]?.membership.view.number === 2);
  assertEquals(outcomesOf(script, name)[0], "aborted");
  assertEquals(outcomeSaid(script, name), "aborted");
  assertEquals(script.replicas[1]?.store.get("k"), undefined);
});

Deno.test("DKS.OUTCOME: a name means no transaction of another journal with the same number", () => {
  const timing = timingFor(5000);
  const script = Script.complete(3, timing);
  // n2 starts T, and is cut off: no other node learns of it.
  script.ask(2, "T", write({ k: "T" }));
  for (const peer of [0, 1]) script.cut(2, peer);
  script.goOnUntil(() => script.replicas[0]?.membership.view.number === 2);
  for (let i = 0; script.outcomes.get("T") === undefined; i++) {
    script.wait(20);
    script.deliverAll();
  }
  const name = told(script, "T");
  // It loses its disk, joins with another journal, and gives the number once more.
  script.wipe(2);
  script.goOnUntil(() => script.replicas[2]?.membership.mayWrite === true);
  script.ask(2, "U", write({ other: "U" }));
  script.goOnUntil(() => script.outcomes.get("U") !== undefined);
  const numbers = [...script.replicas[0]?.context.transactions.of(2) ?? []].map(([one]) => one);
  assertEquals(script.replicas[0]?.store.get("k"), undefined, "T has never taken effect");
  assertEquals(outcomeSaid(script, name).startsWith("committed"), false, `${numbers}`);
  assertEquals(outcomesOf(script, name), ["unknown", "unknown", "unknown"]);
});
