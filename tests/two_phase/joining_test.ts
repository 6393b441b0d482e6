/**
 * Joining, message by message: what a joiner that has got everything may do, and when that counts. Most
 * of these are interleavings that a review found; the simulator comes upon few of them.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { ballotOf } from "../../src/two_phase/messages.ts";
import type { Outcome } from "../../src/two_phase/request.ts";
import { node, read, Script, write } from "./script.ts";

const OK: Outcome = { kind: "answered", reply: "OK" };

function isInView(script: Script, number: number, ...nodes: readonly number[]): boolean {
  return nodes.every((index) => node(script, index).membership.view.number === number);
}

function hasJoined(script: Script): boolean {
  return node(script, 2).membership.joined !== undefined;
}

function values(script: Script, key: string, ...nodes: readonly number[]): (string | undefined)[] {
  return nodes.map((index) => node(script, index).store.get(key)?.value);
}

/** Delivers what is on its way between two nodes, until the outcome of `label` is there. */
function deliverBetween(script: Script, a: number, b: number, label: string): void {
  while (script.outcomes.get(label) === undefined) {
    if (!script.deliver(a, b) && !script.deliver(b, a)) throw new Error("there is no answer");
  }
}

/** In view 2 there are n0 and n1; n2, which was left out, is back, and is let in by any member. */
function leftOut(linked?: readonly number[]): Script {
  const script = Script.complete(3, timingFor(5000));
  script.ask(0, "before", write({ old: "1" }));
  script.deliverAll();
  script.kill(2);
  script.goOnUntil(() => isInView(script, 2, 0, 1));
  script.deliverUntil(() => [0, 1].every((index) => node(script, index).membership.mayWrite));
  script.welcomeAll();
  script.start(2, linked);
  return script;
}

/** The same, and n1 has begun to send n2 everything. */
function joining(linked?: readonly number[]): Script {
  const script = leftOut(linked);
  script.deliverUntil(() => (node(script, 2).chunksReceived ?? 0) > 0);
  return script;
}

Deno.test("a node that has joined keeps that, whichever node changes the view next (seed 3053801)", () => {
  const script = joining();
  // n1 has a view with n2 proposed, and accepted by itself alone, when it dies.
  script.deliverUntil(() => node(script, 1).membership.accepted !== undefined);
  script.kill(1);
  assertEquals(values(script, "old", 2), ["1"]);
  assertEquals(node(script, 1).membership.accepted?.proposal.members, 0b111);
  // No node can make it start again.
  const chunk = { type: "joinChunk", view: 2, transfer: 99, chunk: 0, entries: [] } as const;
  script.step(2, { type: "message", from: 0, message: chunk });
  // n0, which has not accepted it, cannot go on without n2: it takes that in as it is.
  script.deliverUntil(() => {
    assertEquals(values(script, "old", 2), ["1"]);
    return isInView(script, 3, 0, 2);
  });
  assertEquals(node(script, 2).membership.isMember, true);
  assertEquals(node(script, 0).membership.members, 0b101);
  assertEquals(node(script, 0).counters.transfers, 0);
});

Deno.test("a node that has joined is a proxy for its dead source, even after a restart", () => {
  const script = joining();
  // n1 commits W and answers; n0, which has it prepared, never hears of that.
  script.ask(1, "W", write({ k: "1" }));
  deliverBetween(script, 0, 1, "W");
  script.deliverUntil(() => hasJoined(script), (from, to) => from === 1 && to === 0);
  script.kill(1);
  script.restart(2);
  script.deliverUntil(() => isInView(script, 3, 0, 2));
  assertEquals(values(script, "k", 0, 2), ["1", "1"]);
  assertEquals(node(script, 2).membership.isMember, true);
  assertEquals(node(script, 0).counters.transfers, 0);
});

Deno.test("a transaction that the source of a joined node never got is aborted", () => {
  const script = joining();
  // n0 has W prepared, and n1 does not hear of that.
  script.ask(0, "W", write({ k: "1" }));
  script.deliverUntil(() => hasJoined(script), (from, to) => from === 0 && to === 1);
  assertEquals(script.outcomes.get("W"), undefined);
  script.kill(1);
  script.deliverUntil(() => isInView(script, 3, 0, 2));
  assertEquals(node(script, 0).counters.settledByAbort, 1);
  // Its request was not given up: it starts again in view 3.
  script.deliverUntil(() => script.outcomes.get("W") !== undefined);
  script.deliverAll();
  assertEquals(values(script, "k", 0, 2), ["1", "1"]);
});

/** n1 has frozen itself for n2, and its last part is on its way; n0 and n1 are cut off from each other. */
function finalOnItsWay(): Script {
  const script = joining();
  script.cut(0, 1);
  script.deliverUntil(() => node(script, 1).counters.finals > 0);
  return script;
}

Deno.test("a node says that it has joined once that is durable, and not before", () => {
  const script = finalOnItsWay();
  const { promised } = node(script, 2).membership;
  script.forcesAtOnce = false;
  for (let i = 0; node(script, 2).membership.promised === promised; i++) {
    assert(i < 5000, "n2 makes a second promise, to n0");
    const isMoving = script.deliver(0, 2) || script.deliver(2, 0) || script.deliver(2, 1);
    if (!isMoving) script.wait(20);
    script.completeForces(0, 1);
  }
  // The promise is under way, and so is the record of the last part behind it.
  while (!hasJoined(script)) assert(script.deliver(1, 2));
  assertEquals(script.forcesUnderWay(2), 2);
  script.completeForce(2);
  script.kill(1);
  while (script.deliver(2, 0)) script.completeForces(0);
  assertEquals(node(script, 0).membership.accepted, undefined);
  // With the record n2 says so by itself.
  script.completeForces(2);
  while (script.deliver(2, 0)) script.completeForces(0);
  assertEquals(node(script, 0).membership.accepted?.proposal.members, 0b101);
});

Deno.test("a node that joins after its promise to another is admitted at once", () => {
  const script = finalOnItsWay();
  const { promised } = node(script, 2).membership;
  script.deliverUntil(
    () => node(script, 2).membership.promised !== promised,
    (from, to) => from === 1 && to === 2,
  );
  while (!hasJoined(script)) assert(script.deliver(1, 2));
  script.kill(1);
  const killedAt = script.now;
  script.goOnUntil(() => node(script, 0).membership.mayWrite);
  assert(script.now - killedAt < 2000, `${script.now - killedAt} ms`);
  assert(node(script, 0).counters.transfers <= 1, "a transfer is not offered again and again");
});

for (const crashes of [false, true]) {
  const how = crashes ? "which crashes then" : "which lives on";
  Deno.test(`the last part of a view that is over is nothing to the joiner, ${how}`, () => {
    const script = leftOut();
    script.deliverUntil(() => node(script, 1).counters.finals > 0);
    // It is slow, and n1 goes on without n2.
    const isSlow = (from: number, to: number) => from === 1 && to === 2;
    const isCutOff = (from: number, to: number) => isSlow(from, to) || from === 0 && to === 2;
    script.deliverUntil(() => isInView(script, 3, 0, 1), isCutOff);
    assertEquals(node(script, 0).membership.members, 0b011);
    script.deliverUntil(() => node(script, 0).membership.mayWrite, (_, to) => to === 2);
    script.ask(0, "W", write({ old: "2" }));
    script.deliverUntil(() => script.outcomes.get("W") !== undefined, (_, to) => to === 2);
    // View 3 is on its way to the disk of n2 when the last part of view 2 comes.
    script.forcesAtOnce = false;
    for (let i = 0; node(script, 2).membership.installing === undefined; i++) {
      assert(i < 50, "n2 hears of view 3");
      script.deliverAll(isSlow);
      script.wait(20);
      script.completeForces(0, 1);
    }
    while (script.deliver(1, 2));
    script.completeForces(2);
    script.forcesAtOnce = true;
    assertEquals([isInView(script, 3, 2), hasJoined(script)], [true, false]);
    if (crashes) script.restart(2);
    assertEquals(hasJoined(script), false);
    // It is sent everything, and let in with that.
    script.goOnUntil(() => node(script, 2).membership.mayWrite);
    assertEquals(values(script, "old", 0, 1, 2), ["2", "2", "2"]);
  });
}

Deno.test("a node that has joined in this view keeps a part of the next view's transfer until it has that", () => {
  const script = joining([1]);
  // n0 has W committed, n1 prepared, and so has n2.
  script.ask(0, "W", write({ k: "old" }));
  while (script.deliver(0, 1));
  while (script.deliver(1, 0));
  assertEquals(script.outcomes.get("W"), OK);
  script.deliverUntil(() => hasJoined(script), (from, to) => from === 0 || to === 0);
  // Without n2 there is a view in which k is deleted, and much else written.
  const isCutOff = (from: number, to: number) => from === 2 || to === 2;
  script.cut(0, 1);
  script.connect(0, 1);
  for (let i = 0; !isInView(script, 3, 0, 1); i++) {
    assert(i < 400, "view 3 comes");
    script.wait(20);
    script.deliverAll(isCutOff);
  }
  assertEquals(node(script, 0).membership.members, 0b011);
  script.deliverUntil(
    () => [0, 1].every((index) => node(script, index).membership.mayWrite),
    isCutOff,
  );
  script.ask(0, "D", write({ k: undefined }));
  for (let i = 0; i < 600; i++) script.ask(0, `x${i}`, write({ [`x${i}`]: "1" }));
  script.deliverUntil(() => values(script, "x599", 1)[0] === "1", isCutOff);
  assertEquals(script.outcomes.get("D"), OK);
  // View 3 is on its way to the disk of n2 when the changes come.
  script.wait(20);
  script.forcesAtOnce = false;
  while (script.deliver(1, 2));
  assertEquals(node(script, 2).membership.installing?.number, 3);
  script.completeForces(2);
  script.forcesAtOnce = true;
  script.goOnUntil(() => node(script, 2).membership.isMember);
  assertEquals(values(script, "k", 0, 1, 2), [undefined, undefined, undefined]);
});

Deno.test("a last part that came ahead of its view is dropped after parts of a later one", () => {
  const script = joining([0]);
  script.connect(1, 2);
  // All that n2 says, and what n1 says to n2, is slow.
  const isSlow = (from: number, to: number) => from === 2 || from === 1 && to === 2;
  script.ask(1, "W", write({ k: "1" }));
  script.deliverUntil(() => values(script, "k", 0)[0] === "1", isSlow);
  // n1 hears nothing of n0 for a while, and has view 3 chosen; n2 is still in view 2.
  const { promised } = node(script, 1).membership;
  while (node(script, 1).membership.promised === promised) {
    script.wait(10);
    script.deliverAll((from, to) => isSlow(from, to) || from === 0 && to === 1);
  }
  const runUntil = (isOver: () => boolean) => {
    for (let i = 0; !isOver(); i++) {
      assert(i < 400, "it comes to that");
      script.wait(5);
      script.deliverAll(isSlow);
    }
  };
  runUntil(() => isInView(script, 3, 0, 1));
  // n0 freezes itself to let n2 in, and sends the last part, in which k is 1.
  while (node(script, 0).transfers[0]?.chunks === 0) assert(script.deliver(2, 0));
  for (let i = 0; node(script, 0).counters.finals === 0; i++) {
    assert(i < 200, "n0 sends the last part");
    if (!script.deliver(0, 1) && !script.deliver(1, 0)) script.wait(5);
  }
  while (script.deliver(0, 2));
  assertEquals(node(script, 2).counters.finalsAhead, 1);
  // Their link flaps, and n1 has view 4 chosen: in that, k becomes 2, and n2 is sent that.
  script.cut(0, 1);
  const frozenFor = node(script, 0).membership.promised;
  while (node(script, 1).membership.promised <= frozenFor) script.wait(5);
  script.connect(0, 1);
  runUntil(() => isInView(script, 4, 0, 1));
  script.deliverUntil(
    () => [0, 1].every((index) => node(script, index).membership.mayWrite),
    isSlow,
  );
  script.ask(1, "W2", write({ k: "2" }));
  for (let i = 0; i < 600; i++) script.ask(1, `x${i}`, write({ [`x${i}`]: "1" }));
  script.deliverUntil(() => values(script, "k", 2)[0] === "2", isSlow);
  assertEquals(script.outcomes.get("W2"), OK);
  // Only now n2 hears of view 3.
  while (node(script, 2).membership.view.number < 3) assert(script.deliver(1, 2));
  // What it says to n1 is slow still: it goes on with n0.
  for (let i = 0; !node(script, 2).membership.isMember; i++) {
    assert(i < 2000, "n2 is let in");
    script.deliverAll((from, to) => from === 2 && to === 1);
    script.wait(5);
  }
  script.deliverAll();
  assertEquals(values(script, "k", 0, 1, 2), ["2", "2", "2"]);
});

Deno.test("a promise made while a view is being written is durable before it is sent", () => {
  const script = Script.complete();
  const { view } = node(script, 0).membership;
  const chosen = { ...view, number: 2, ballot: ballotOf(20, 1), commits: [] };
  const ballot = ballotOf(30, 2);
  script.forcesAtOnce = false;
  const install = { type: "viewInstall", view: 2, chosen } as const;
  script.step(0, { type: "message", from: 1, message: install });
  script.step(0, { type: "message", from: 2, message: { type: "viewPrepare", view: 1, ballot } });
  assertEquals(script.forcesUnderWay(0), 2);
  script.completeForce(0); // The view's.
  while (script.deliver(0, 2));
  const told = () => script.log.filter((line) => /^n0 -> n2 .*viewPromise/.test(line)).length;
  assertEquals(told(), 0);
  script.completeForces(0);
  while (script.deliver(0, 2));
  assert(told() > 0);
});

for (const what of ["the link to it flaps", "it restarts"]) {
  Deno.test(`a lease that an acceptor acknowledged is waited for, even if ${what}`, () => {
    const script = leftOut([1]);
    while (!isInView(script, 2, 2)) assert(script.deliver(1, 2) || script.deliver(2, 1));
    // n1 says that it reads no more, and starts again: n2, as an acceptor, gives it a lease.
    script.step(1, { type: "leave" });
    while (script.deliver(1, 0));
    script.cut(0, 1);
    script.restart(1, [2]);
    script.wait(20);
    while (script.deliver(1, 2));
    while (script.deliver(2, 1));
    assertEquals(node(script, 1).membership.mayRead(script.clocksOf(1)), true);
    script.cut(1, 2);
    if (what === "it restarts") script.restart(2, []);
    // n0 has n2 join, and proposes the two of them.
    script.connect(0, 2);
    const step = () => {
      if (!script.deliver(0, 2) && !script.deliver(2, 0)) script.wait(5);
    };
    for (let i = 0; i < 100 && !hasJoined(script); i++) step();
    script.cut(0, 2);
    script.connect(0, 2);
    for (let i = 0; i < 100 && node(script, 0).membership.accepted === undefined; i++) step();
    assertEquals(node(script, 0).membership.accepted?.proposal.members, 0b101);
    if (what !== "it restarts") {
      script.cut(0, 2);
      script.connect(0, 2);
    }
    for (let i = 0; i < 2000 && !node(script, 0).membership.mayWrite; i++) step();
    script.ask(0, "W", write({ old: "2" }));
    for (let i = 0; i < 100 && script.outcomes.get("W") === undefined; i++) step();
    assertEquals(script.outcomes.get("W"), OK);
    script.ask(1, "R", read("old"));
    assertEquals(script.outcomes.get("R")?.kind, "rejected"); // It has no lease any more.
  });
}

Deno.test("a node does not vouch for itself that it has no lease", () => {
  const script = Script.complete(3, timingFor(5000));
  script.ask(0, "W", write({ k: "1" }));
  script.deliverAll();
  // n1 says to n0 that it reads no more, and starts again at once; then n0 hears nothing of it.
  script.step(1, { type: "leave" });
  while (script.deliver(1, 0));
  script.restart(1);
  const memberships = script.replicas.map(({ membership }) => membership);
  const [first, second, third] = memberships;
  if (first === undefined || second === undefined || third === undefined) throw new Error("three");
  const { promised } = first;
  for (let i = 0; first.promised === promised; i++) {
    assert(i < 400, "n0 suspects n1");
    script.deliverAll((from, to) => from === 1 && to === 0);
    script.wait(5);
  }
  // It proposes itself and n2, and accepts that alone; n2 tries too, and ends it.
  for (let i = 0; first.accepted === undefined; i++) {
    assert(i < 400, "n0 proposes");
    if (!script.deliver(0, 2) && !script.deliver(2, 0) && !script.deliver(2, 1)) script.wait(5);
  }
  assertEquals(first.accepted.proposal.members, 0b101);
  const before = third.promised;
  script.cut(0, 2);
  while (third.promised === before) script.wait(5);
  script.connect(0, 2);
  while (script.deliver(2, 0));
  script.cut(0, 2);
  script.cut(0, 1);
  script.connect(0, 1);
  // Its next attempt has the promise of n1, which has a lease by itself and n2.
  for (let i = 0; first.view.number === 1; i++) {
    assert(i < 400, "n0 has view 2");
    if (!script.deliver(0, 1) && !script.deliver(1, 0)) script.wait(5);
  }
  script.cut(0, 1);
  script.connect(0, 2);
  for (let i = 0; !first.mayWrite; i++) {
    assert(i < 400, "n0 and n2 go on");
    if (!script.deliver(0, 2) && !script.deliver(2, 0)) script.wait(5);
  }
  script.ask(0, "W2", write({ k: "2" }));
  for (let i = 0; script.outcomes.get("W2") === undefined; i++) {
    assert(i < 400, "n0 answers");
    if (!script.deliver(0, 2) && !script.deliver(2, 0)) script.wait(5);
  }
  assertEquals(script.outcomes.get("W2"), OK);
  assertEquals(second.mayRead(script.clocksOf(1)), false);
});

/**
 * n2 joins a cluster that holds eight parts' worth of data, and works at each for `partMs`. With
 * `answersFirst`, its acknowledgement leaves before that work, so its source thinks it idle.
 */
function slowJoiner(
  partMs: number,
  { answersFirst = false } = {},
): { script: Script; parts: () => number; isIn: () => boolean } {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 8; i++) {
    script.ask(0, `w${i}`, write({ [`k${i}`]: "x".repeat(128 * 1024) }));
  }
  script.deliverAll();
  script.kill(2);
  script.goOnUntil(() => isInView(script, 2, 0, 1));
  script.goOnUntil(() => [0, 1].every((index) => node(script, index).membership.mayWrite));
  script.start(2);
  let busyUntil = 0;
  let parts = 0;
  const isIn = () => node(script, 2).membership.isMember && !isInView(script, 1, 2);
  for (const beganAt = script.now; !isIn() && script.now - beganAt < 60_000;) {
    script.wait(20);
    for (let i = 0; i < 4; i++) {
      // A node that works at a part takes in nothing, and nothing leaves it.
      const isBusy = () => script.now < busyUntil;
      script.deliverAll((from, to) => to === 2 || from === 2 && isBusy() && !answersFirst);
      while (!isBusy() && (script.deliver(0, 2) || script.deliver(1, 2))) {
        const last = script.log.findLast((line) => / -> n2 /.test(line)) ?? "";
        if (!/joinChunk/.test(last)) continue;
        parts++;
        busyUntil = script.now + partMs;
      }
    }
    script.log.length = 0;
  }
  return { script, parts: () => parts, isIn };
}

for (const partMs of [900, 1100, 3000]) {
  Deno.test(`a joiner that works for ${partMs} ms at each part gets in by one transfer`, () => {
    const { script, parts, isIn } = slowJoiner(partMs);
    assertEquals(isIn(), true);
    assert(parts() <= 10, `it has taken in ${parts()} parts of 8`);
    const begun = [0, 1].map((index) => node(script, index).counters.transfers);
    assertEquals(begun.reduce((sum, count) => sum + count, 0), 1);
  });

  Deno.test(`a joiner that is busy for ${partMs} ms when a view admits it continues from there`, () => {
    const { script, parts, isIn } = slowJoiner(partMs, { answersFirst: true });
    assertEquals(isIn(), true);
    assert(parts() <= 10, `it has taken in ${parts()} parts of 8`);
    const begun = [0, 1].map((index) => node(script, index).counters.transfers);
    assertEquals(begun.reduce((sum, count) => sum + count, 0), 1);
  });
}

Deno.test("a joiner whose source goes silent asks another one", () => {
  const script = joining();
  // After the first part nothing of what n1 sends arrives any more.
  const isCutOff = (from: number, to: number) => from === 1 && to === 2;
  for (let i = 0; i < 800 && node(script, 0).counters.transfers === 0; i++) {
    script.wait(20);
    script.deliverAll(isCutOff);
  }
  assert(node(script, 0).counters.transfers > 0);
});
