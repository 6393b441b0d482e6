/**
 * Bugs that the simulator found, or a measurement, each as the shortest script that shows it. (A seed
 * stands for another run as soon as the simulator itself changes; a script does not.)
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { read, Script, write } from "./script.ts";

/** A cluster whose processes have lived for as long as a lease: they know what leases there are. */
function grownUp(): Script {
  const script = Script.complete(3, timingFor(5000));
  const { now } = script;
  script.goOnUntil(() => script.now > now + 1100);
  return script;
}

function remembered(script: Script): number[] {
  return script.replicas.map((replica) => replica.transactions);
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

Deno.test("a readmitted node is not taken for gone by a node that has no link to it yet", () => {
  const script = grownUp();
  script.step(2, { type: "leave" });
  script.settle();
  assertEquals(script.replicas[0]?.membership.view.number, 2);
  script.welcomeAll();
  // n1 meets the new process, and lets it in; n0 has met the one that has left.
  script.restart(2, [1]);
  script.settle();
  script.settle();
  const seen = script.replicas.map(({ membership: { view, isFrozen } }) => [view.number, isFrozen]);
  assertEquals(seen, [[3, false], [3, false], [3, false]]);
});

for (const isToldByOthers of [false, true]) {
  const how = isToldByOthers ? "is told by the others" : "ends by itself";
  Deno.test(`no node stays frozen for a view that is chosen a second time, which ${how}`, () => {
    const script = grownUp();
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
    // n0 leaves it to n2, which hears both, for a while. Then it tries itself: it finds what was accepted,
    // proposes it again, and n1 is frozen for that.
    const attempts = () => script.replicas[0]?.counters.viewAttempts ?? 0;
    const before = attempts();
    for (let i = 0; i < 200 && attempts() === before; i++) script.wait(20);
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
  script.goOnUntil(() => first?.membership.accepted !== undefined);
  // The leases of view 1 run out; then the record of view 2 is on its way to the disk.
  script.forcesAtOnce = false;
  script.goOnUntil(() => first?.membership.installing !== undefined);
  for (let i = 0; i < 3; i++) script.wait(20);
  script.completeForces(0, 1);
  const views = [0, 1].map((node) => script.replicas[node]?.membership.view.number);
  assertEquals(views, [2, 2]);
  assertEquals(first?.counters.viewAttempts, 2); // One for view 1.
});
