/** A disk that hangs, at any node: the others continue without it, and no request waits forever. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

/** Longest pause that a failure may make, in milliseconds. */
const FAILOVER_MS = 3000;

/** A quiet cluster in which no force at n0 is ever completed. */
function hanging(): { script: Script; turn: () => void } {
  const script = Script.complete(3, timingFor(5000));
  script.goOnUntil(() => script.replicas.every((_, n) => mayRead(script, n)));
  script.forcesAtOnce = false;
  const turn = () => {
    script.wait(20);
    for (let i = 0; i < 4; i++) {
      script.deliverAll();
      script.completeForces(1, 2);
    }
  };
  for (let i = 0; i < 10; i++) turn();
  return { script, turn };
}

function mayRead(script: Script, index: number): boolean {
  return node(script, index).membership.mayRead(script.clocksOf(index));
}

Deno.test("a coordinator whose disk hangs is left out, though no other node writes", () => {
  const { script, turn } = hanging();
  script.ask(0, "W", write({ k: "1" }));
  turn();
  assertEquals(node(script, 1).locks.size, 1, "it is prepared at the others");
  script.ask(1, "R", read("k"));
  const beganAt = script.now;
  while (script.outcomes.get("R") === undefined && script.now - beganAt < 10_000) turn();
  // All others were prepared, so the next view commits it.
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["1"] });
  assert(script.now - beganAt <= FAILOVER_MS, `it took ${script.now - beganAt} ms`);
  assertEquals(node(script, 1).membership.members, 0b110);
  assertEquals([1, 2].map((n) => node(script, n).locks.size), [0, 0]);
  assert(script.log.some((line) => /begins ballot .*the disk hangs or is full at n0/.test(line)));
});

Deno.test("a member whose disk hangs is left out, whatever it was about to write", () => {
  const { script, turn } = hanging();
  // No node waits for its vote: it only has outcomes to record.
  script.ask(1, "W", write({ k: "1" }));
  for (let i = 0; i < 4; i++) turn();
  const beganAt = script.now;
  while (node(script, 1).membership.view.number === 1 && script.now - beganAt < 10_000) turn();
  assert(script.now - beganAt <= FAILOVER_MS);
  assertEquals(node(script, 1).membership.members, 0b110);
});

Deno.test("a node whose disk hangs starts no view change", () => {
  const { script } = hanging();
  script.ask(0, "W", write({ k: "1" }));
  const { viewAttempts } = node(script, 0).counters;
  // It hears nothing of the others, and is still linked to them.
  for (let i = 0; i < 200; i++) {
    script.wait(20);
    script.deliverAll((_from, to) => to === 0);
    script.completeForces(1, 2);
  }
  // One at the most, begun in the moment at which both become noticeable; each takes a second.
  assert(node(script, 0).counters.viewAttempts <= viewAttempts + 1);
});

Deno.test("a force that takes a while makes no node suspicious", () => {
  const { script, turn } = hanging();
  script.ask(0, "W", write({ k: "1" }));
  for (let i = 0; i < 45; i++) turn(); // 0.9 s
  script.completeForces(0);
  for (let i = 0; i < 100; i++) {
    turn();
    script.completeForces(0);
  }
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(node(script, 1).membership.view.number, 1);
});

Deno.test("a reader that was given up gets no answer, and is not kept", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ k: "1" }));
  script.deliver(0, 1);
  script.cut(0, 1);
  script.ask(1, "R", read("k"));
  const [holder] = node(script, 1).context.transactions.holdingLocks();
  assertEquals(holder?.observers?.size, 1);
  script.wait(4600);
  assertEquals(script.outcomes.get("R")?.kind, "rejected");
  assertEquals(holder?.observers, undefined);
});

// --- A full disk -----------------------------------------------------------------------------

/** Three nodes that may read; the disks of `full` are, and no force ends there. */
function withFull(...full: readonly number[]): { script: Script; turn: () => void } {
  const script = Script.complete(3, timingFor(5000));
  script.goOnUntil(() => script.replicas.every((_, n) => mayRead(script, n)));
  script.forcesAtOnce = false;
  const others = [0, 1, 2].filter((n) => !full.includes(n));
  const turn = () => {
    script.wait(20);
    for (let i = 0; i < 4; i++) {
      script.deliverAll();
      script.completeForces(...others);
    }
  };
  for (const n of full) script.step(n, { type: "room", isDiskFull: true });
  return { script, turn };
}

Deno.test("a node whose disk is full says so at once, and the others continue without it", () => {
  const { script, turn } = withFull(0);
  const beganAt = script.now;
  script.ask(0, "W0", write({ k: "0" }));
  assertEquals(script.outcomes.get("W0"), {
    kind: "rejected",
    obstacle: "down",
    reason: "the disk of this node is full: it takes writes again when there is room",
  });
  script.ask(0, "R0", read("k"));
  assertEquals(script.outcomes.get("R0"), { kind: "answered", reply: [null] });
  while (node(script, 1).membership.view.number === 1 && script.now - beganAt < 10_000) turn();
  // The lease of the node that leaves has to run out, and there is no suspicion to wait for.
  assert(script.now - beganAt <= 1500, `it took ${script.now - beganAt} ms`);
  assertEquals(node(script, 1).membership.members, 0b110);
  script.ask(1, "W1", write({ k: "1" }));
  for (let i = 0; i < 10; i++) turn();
  assertEquals(script.outcomes.get("W1"), { kind: "answered", reply: "OK" });
  script.ask(0, "R0 again", read("k"));
  const outcome = script.outcomes.get("R0 again");
  assert(outcome?.kind === "rejected" && /disk of this node is full/.test(outcome.reason));

  script.step(0, { type: "room", isDiskFull: false });
  script.forcesAtOnce = true;
  script.completeForces(0, 1, 2);
  script.goOnUntil(() => node(script, 0).membership.mayWrite && mayRead(script, 0));
  script.ask(0, "R0 at last", read("k"));
  assertEquals(script.outcomes.get("R0 at last"), { kind: "answered", reply: ["1"] });
  // How long there was no room says nothing of how fast the disk is.
  assert((node(script, 1).slowMembers.forceMsOf(0) ?? Infinity) < 100);
});

Deno.test("a view stays as it is, and is read, if the disks of too many members are full", () => {
  for (const full of [[0, 1], [0, 1, 2]]) {
    const { script, turn } = withFull(...full);
    for (let i = 0; i < 10; i++) turn();
    script.ask(2, "W", write({ k: "1" }));
    for (let i = 0; i < 250; i++) turn();
    assertEquals(script.replicas.map(({ membership }) => membership.view.number), [1, 1, 1]);
    assertEquals([0, 1, 2].map((n) => mayRead(script, n)), [true, true, true]);
    const outcome = script.outcomes.get("W");
    const reason = full.length === 3
      ? /^the disk of this node is full/
      : /^the disk of n0, n1 hangs or is full, and a write needs all members$/;
    assert(outcome?.kind === "rejected" && reason.test(outcome.reason), JSON.stringify(outcome));
    for (const n of full) script.step(n, { type: "room", isDiskFull: false });
    script.forcesAtOnce = true;
    script.completeForces(0, 1, 2);
    script.goOnUntil(() => node(script, 2).membership.mayWrite);
  }
});

Deno.test("a member alone reads on if the other node of a majority is outside and can promise nothing", () => {
  // n0 is full and outside; then n1 dies, or it turns out that its disk hangs.
  const { script, turn } = withFull(0);
  while (node(script, 2).membership.members !== 0b110) turn();
  for (let i = 0; i < 50; i++) turn();
  script.kill(1);
  for (let i = 0; i < 250; i++) {
    turn();
    assert(mayRead(script, 2), `n2 reads ${20 * i} ms later`);
  }
  assertEquals(node(script, 2).membership.isFrozen, false);
  // With room n0 can promise, and is let in.
  script.step(0, { type: "room", isDiskFull: false });
  script.forcesAtOnce = true;
  script.completeForces(0, 2);
  script.goOnUntil(() => [0, 2].every((n) => node(script, n).membership.mayWrite));
});
