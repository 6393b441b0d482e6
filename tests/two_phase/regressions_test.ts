/**
 * Bugs that the simulator found, or a measurement, each as the shortest script that shows it. (A seed
 * stands for another run as soon as the simulator itself changes; a script does not.)
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/context.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import { read, Script, write } from "./script.ts";

function remembered(script: Script): number[] {
  return script.replicas.map((replica) => replica.transactions);
}

/** Lets time pass, and delivers everything. */
function goOnUntil(script: Script, isOver: () => boolean): void {
  for (let i = 0; i < 200 && !isOver(); i++) {
    script.wait(20);
    script.deliverAll();
  }
  assert(isOver(), "it has not come to that in 4 s");
}

/** Delivers one message after the other, and lets time pass where there is none. */
function deliverUntil(
  script: Script,
  isOver: () => boolean,
  except: (from: number, to: number) => boolean = () => false,
): void {
  const nodes = [...script.replicas.keys()];
  const links = nodes.flatMap((from) => nodes.map((to) => ({ from, to })))
    .filter(({ from, to }) => !except(from, to));
  for (let i = 0; i < 2000; i++) {
    if (isOver()) return;
    if (!links.some(({ from, to }) => script.deliver(from, to))) script.wait(20);
  }
  throw new Error("it has not come to that in 2,000 messages");
}

Deno.test("a read of several keys does not mix moments (seed 338)", () => {
  const script = Script.complete();
  // At n0, the read is granted a and b behind the undecided A, and c while it is free.
  script.ask(0, "A", write({ a: "1", b: "1" }));
  script.ask(0, "R", read("a", "b", "c"));
  // Then n1 commits B everywhere, and A commits after it.
  script.ask(1, "B", write({ c: "2" }));
  script.deliver(1, 0);
  script.deliver(1, 2);
  script.deliverAll((from, to) => from === 0 && to === 2);
  assertEquals(script.outcomes.get("B"), { kind: "answered", reply: "OK" });
  script.deliverAll();
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["1", "1", "2"] });
});

Deno.test("an aborted transaction is forgotten without any later one (seed 160)", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ k: "1" }));
  script.cut(0, 2);
  script.deliverAll();
  script.wait(4600);
  script.deliverAll();
  script.connect(0, 2);
  script.deliverAll();
  assertEquals(script.outcomes.get("W")?.kind, "aborted");
  for (let i = 0; i < 4; i++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(remembered(script), [0, 0, 0]);
});

Deno.test("a restart before the view is known to the peers does not stop forgetting (seed 8)", () => {
  const script = new Script();
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) script.connect(a, b);
  script.restart(1);
  script.settle();
  script.ask(1, "W", write({ k: "1" }));
  for (let i = 0; i < 4; i++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(remembered(script), [0, 0, 0]);
});

Deno.test("what a crashed coordinator forgot is aborted, and forgotten by all (seed 541)", () => {
  const script = Script.complete();
  script.forcesAtOnce = false;
  script.ask(0, "W", write({ k: "1" }));
  script.deliver(0, 1);
  script.completeForce(1);
  script.forcesAtOnce = true;
  // Its own record was not durable; n1 is in doubt, n2 has heard nothing.
  script.restart(0);
  for (let i = 0; i < 4; i++) {
    script.deliverAll();
    script.wait(20);
  }
  assertEquals(script.replicas.map(({ locks }) => locks.size), [0, 0, 0]);
  assertEquals(script.replicas.map(({ counters }) => counters.presumedAborts), [0, 1, 0]);
  assertEquals(remembered(script), [0, 0, 0]);
});

Deno.test("who has left and is let in again is not taken for gone by who has no link yet", () => {
  const script = Script.complete();
  script.step(2, { type: "leave" });
  script.settle();
  assertEquals(script.replicas[0]?.membership.view.number, 2);
  // n1 meets the new process, and lets it in; n0 has met the one that has left.
  script.restart(2, [1]);
  script.settle();
  script.settle();
  const seen = script.replicas.map(({ membership: { view, isFrozen } }) => [view.number, isFrozen]);
  assertEquals(seen, [[3, false], [3, false], [3, false]]);
});

for (const isToldByOthers of [false, true]) {
  const how = isToldByOthers ? "is told by the others" : "ends by itself";
  Deno.test(`nobody stays frozen for a view that is chosen a second time, which ${how}`, () => {
    const script = Script.complete();
    script.step(2, { type: "leave" });
    // n1 has view 2 chosen without n2, and nothing of its end comes to n0, which is frozen.
    script.deliver(2, 1);
    for (let i = 0; i < 5; i++) script.wait(20);
    script.deliver(1, 0);
    script.deliver(1, 2);
    while (script.deliver(2, 1));
    while (script.replicas[1]?.membership.view.number !== 2) {
      if (!script.deliver(1, 0) && !script.deliver(0, 1)) throw new Error("n1 has no view 2");
    }
    script.cut(0, 1);
    // n0 tries itself: it finds what was accepted, proposes it again, and n1 is frozen for that.
    for (let i = 0; i < 10; i++) script.wait(20);
    while (script.deliver(0, 2));
    while (script.deliver(2, 0));
    script.connect(0, 1);
    while (script.deliver(0, 1));
    assertEquals(script.replicas[1]?.membership.isFrozen, true);
    if (!isToldByOthers) {
      while (script.deliver(0, 2));
      while (script.deliver(2, 0));
    }
    script.settle();
    script.settle();
    assertEquals(script.replicas.map(({ membership }) => membership.isFrozen), [
      false,
      false,
      false,
    ]);
  });
}

Deno.test("a view that is chosen, and not durable yet, is not proposed once more", () => {
  const script = Script.complete(3, timingFor(5000));
  const [first] = script.replicas;
  script.kill(2);
  goOnUntil(script, () => first?.membership.accepted !== undefined);
  // The leases of view 1 run out; then the record of view 2 is on its way to the disk.
  script.forcesAtOnce = false;
  goOnUntil(script, () => first?.membership.installing !== undefined);
  for (let i = 0; i < 3; i++) script.wait(20);
  for (const node of [0, 1]) script.completeForce(node);
  const views = [0, 1].map((node) => script.replicas[node]?.membership.view.number);
  assertEquals(views, [2, 2]);
  assertEquals(first?.counters.viewAttempts, 2); // One for view 1.
});

/** In view 2 there are n0 and n1; n2, which was left out, is back, and n1 has begun to send it all. */
function joining(): Script {
  const script = Script.complete(3, timingFor(5000));
  script.ask(0, "before", write({ old: "1" }));
  script.deliverAll();
  script.kill(2);
  goOnUntil(script, () => script.replicas.slice(0, 2).every(isInView(2)));
  script.start(2);
  deliverUntil(script, () => (script.replicas[2]?.chunksReceived ?? 0) > 0);
  return script;
}

Deno.test("who has joined keeps that, whoever changes the view next (seed 3053801)", () => {
  const script = joining();
  // n1 has a view with n2 proposed, and accepted by itself alone, when it dies.
  deliverUntil(script, () => script.replicas[1]?.membership.accepted !== undefined);
  script.kill(1);
  assertEquals(script.replicas[2]?.store.get("old")?.value, "1");
  const proposal = script.replicas[1]?.membership.accepted?.proposal;
  assertEquals(proposal?.members, 0b111);
  // Nobody can have it begin anew.
  const chunk = { type: "joinChunk", view: 2, transfer: 99, chunk: 0, entries: [] } as const;
  script.step(2, { type: "message", from: 0, message: chunk });
  // n0, which has not accepted it, cannot go on without n2: it takes that in as it is.
  deliverUntil(script, () => {
    assertEquals(script.replicas[2]?.store.get("old")?.value, "1");
    return [script.replicas[0], script.replicas[2]].every(isInView(3));
  });
  assertEquals(script.replicas[2]?.membership.isMember, true);
  assertEquals(script.replicas[0]?.membership.members, 0b101);
  assertEquals(script.replicas[0]?.counters.transfers, 0);
});

Deno.test("who has joined speaks for its source, which is dead, also after a restart", () => {
  const script = joining();
  // n1 commits W and answers; n0, which has it prepared, never hears of that.
  script.ask(1, "W", write({ k: "1" }));
  while (script.outcomes.get("W") === undefined) {
    if (!script.deliver(1, 0) && !script.deliver(0, 1)) throw new Error("there is no answer");
  }
  const isCutOff = (from: number, to: number) => from === 1 && to === 0;
  deliverUntil(script, () => script.replicas[2]?.membership.joined !== undefined, isCutOff);
  script.kill(1);
  script.restart(2);
  deliverUntil(script, () => [script.replicas[0], script.replicas[2]].every(isInView(3)));
  const values = [0, 2].map((node) => script.replicas[node]?.store.get("k")?.value);
  assertEquals(values, ["1", "1"]);
  assertEquals(script.replicas[2]?.membership.isMember, true);
  assertEquals(script.replicas[0]?.counters.transfers, 0);
});

Deno.test("what the source of who has joined never heard of is aborted", () => {
  const script = joining();
  // n0 has W prepared, and n1 does not hear of that.
  script.ask(0, "W", write({ k: "1" }));
  const isCutOff = (from: number, to: number) => from === 0 && to === 1;
  deliverUntil(script, () => script.replicas[2]?.membership.joined !== undefined, isCutOff);
  assertEquals(script.outcomes.get("W"), undefined);
  script.kill(1);
  deliverUntil(script, () => [script.replicas[0], script.replicas[2]].every(isInView(3)));
  assertEquals(script.replicas[0]?.counters.settledByAbort, 1);
  // Its request was not given up: it begins anew in view 3.
  deliverUntil(script, () => script.outcomes.get("W") !== undefined);
  script.deliverAll();
  const values = [0, 2].map((node) => script.replicas[node]?.store.get("k")?.value);
  assertEquals(values, ["1", "1"]);
});

function isInView(number: number): (replica: Replica | undefined) => boolean {
  return (replica) => replica?.membership.view.number === number;
}
