/**
 * Changes of the list of nodes, and two majorities that share no node: those of a list, and of the list
 * that was before it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { leaseWaitMs } from "../../src/two_phase/lease.ts";
import { ballotName, type ViewPromise } from "../../src/two_phase/messages.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

function areIn(script: Script, number: number, ...nodes: readonly number[]): boolean {
  return nodes.every((index) => node(script, index).membership.view.number === number);
}

/**
 * n3 replaces n0. The proposer is n1, and n0 accepts the view, so that n0 and n1 have chosen it; n2 has
 * promised, and hears of nothing more. Then n1 and n3 are in view 3, and n0 and n2 in view 2, cut off from
 * them.
 */
function split(): Script {
  const script = Script.completed(4, { founders: 3, timing: timingFor(5000) });
  script.ask(0, "before", write({ k: "old" }));
  script.deliverAll();
  script.change(1, "C", { kind: "replace", name: "n3", replaces: "n0" });
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2));
  script.connect(3, 1);
  script.connect(3, 0);
  script.connect(3, 2);
  script.welcomeAll();
  // n3 takes what it has from n1, which proposes.
  const isProposed = () => node(script, 0).membership.acceptedDurably?.proposal.number === 3;
  script.deliverUntil(isProposed, (from, to) => from === 1 && to === 2 && isAccepting(script));
  script.cut(2, 1);
  script.cut(2, 3);
  script.cut(0, 3);
  // That it has accepted still arrives, and nothing goes back.
  while (script.deliver(0, 1));
  script.cut(0, 1);
  return script;
}

function isAccepting(script: Script): boolean {
  return node(script, 1).membership.accepted?.proposal.number === 3;
}

Deno.test("no node gets a lease in a view that another list has followed, whatever its ballot", () => {
  const script = split();
  // Of the list of view 3, which is n1, n2 and n3, a majority goes on without n2.
  script.goOnUntil(() => areIn(script, 4, 1, 3) && node(script, 1).membership.mayWrite);
  script.ask(1, "W", write({ k: "new" }));
  script.goOnUntil(() => script.outcomes.has("W"));
  // Of the list of view 2, which is n0, n1 and n2, a majority proposes view 3 again, and later.
  script.goOnUntil(() => areIn(script, 3, 2));
  const ballots = [1, 2].map((index) => node(script, index).membership.view.ballot);
  assertEquals(ballots.map(ballotName), ["4.1", "4.2"]);
  // The links come up again, and it takes n2 a while to write down view 4.
  script.forcesAtOnce = false;
  for (const peer of [1, 3]) script.connect(2, peer);
  for (let i = 0; i < 20; i++) {
    script.wait(20);
    script.completeForces(0, 1, 3);
    script.deliverAll();
    assertEquals(node(script, 2).membership.mayRead(script.clocksOf(2)), false);
  }
  script.forcesAtOnce = true;
  script.completeForces(0, 1, 2, 3);
  script.welcomeAll();
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  script.ask(2, "R", read("k"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["new"] });
});

Deno.test("a promise counts only from a node that has the view before the one to be chosen", () => {
  const script = Script.completed(3, { timing: timingFor(5000) });
  script.kill(1);
  script.deliverUntil(
    () => node(script, 0).membership.isFrozen,
    (from, to) => from === 0 && to === 2,
  );
  const { membership } = node(script, 0);
  const { view, promised: ballot } = membership;
  const journal = node(script, 2).membership.identity.journal;
  const numbers = [0, 0, 0];
  const message: ViewPromise = {
    type: "viewPromise",
    view: 0,
    ballot,
    journal,
    installed: { ...view, number: 0, ballot: 0 },
    isMember: false,
    isJoined: false,
    accepted: { ballot: 1, journal, proposal: { ...view, number: 2 } },
    table: [],
    marks: [],
    lastNumber: 0,
    acknowledged: numbers,
    met: numbers,
    uptimeMs: 1e6,
  };
  script.step(0, { type: "message", from: 2, message });
  assertEquals(membership.accepted, undefined);
  const installed = { ...message, installed: view };
  script.step(0, { type: "message", from: 2, message: installed });
  assertEquals(membership.accepted?.proposal.number, 2);
});

Deno.test("a node with a new journal gives up no lease of a process with the old one", () => {
  const script = Script.completed(3, { timing: timingFor(5000) });
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  // Perhaps it is another machine, and the process with the old journal still reads.
  script.wipe(2);
  script.goOnUntil(() => areIn(script, 1, 2));
  const before = script.now;
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.wait(20);
  script.deliverAll((from, to) => from + to !== 2); // n2 promises first.
  script.goOnUntil(() => areIn(script, 2, 0, 1));
  assertEquals(node(script, 0).counters.leasesGivenUp, 0);
  const tookMs = script.now - before;
  assertEquals(tookMs >= leaseWaitMs(timingFor(5000)), true, `it took ${tookMs} ms`);
});

Deno.test("a node alone reads no more once it has proposed the view in which another one replaces it", () => {
  const script = Script.completed(2, { founders: 1, timing: timingFor(500) });
  script.ask(0, "before", write({ k: "old" }));
  script.change(0, "C", { kind: "replace", name: "n1", replaces: "n0" });
  script.goOnUntil(() => areIn(script, 2, 0));
  script.goOnUntil(() => node(script, 0).membership.mayRead(script.clocksOf(0)));
  // The disk of n0 hangs while somebody calls the change off, and for longer than that has time.
  script.forcesAtOnce = false;
  script.change(0, "X", { kind: "cancel", name: "n1" });
  script.goOnUntil(() => script.changeOutcomes.has("X"));
  // Meanwhile n1 gets everything. The view change that goes on then lets it in.
  script.connect(0, 1);
  script.welcomeAll();
  const goOn = () => {
    script.wait(20);
    script.completeForces(1);
    script.deliverAll();
  };
  for (let i = 0; i < 100 && node(script, 1).chunksReceived !== 1; i++) goOn();
  script.completeForces(1);
  script.deliverAll();
  const { membership } = node(script, 1);
  for (let i = 0; i < 100 && membership.view.number < 3; i++) {
    script.completeForces(0);
    goOn();
  }
  for (let i = 0; i < 100 && !membership.mayWrite; i++) goOn();
  script.ask(1, "W", write({ k: "new" }));
  for (let i = 0; i < 100 && !script.outcomes.has("W"); i++) goOn();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(node(script, 0).membership.mayRead(script.clocksOf(0)), false);
});

Deno.test("a promise of a node that has the view only since then vouches for no lease that is over", () => {
  const script = Script.completed(4, { founders: 3, timing: timingFor(5000) });
  const goOn = (
    turns: number,
    isThere: () => boolean,
    isLost?: (from: number, to: number) => boolean,
  ) => {
    for (let turn = 0; turn < turns && !isThere(); turn++) {
      script.wait(20);
      script.deliverAll(isLost);
    }
    assert(isThere());
  };
  script.ask(0, "before", write({ k: "old" }));
  script.deliverAll();
  script.change(1, "C", { kind: "replace", name: "n3", replaces: "n0" });
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2));
  for (const peer of [0, 1, 2]) script.connect(3, peer);
  script.welcomeAll();
  // View 3 is chosen by n0 and n1, and n1 and n3 have it.
  script.deliverUntil(
    () => node(script, 0).membership.acceptedDurably?.proposal.number === 3,
    (from, to) =>
      from === 1 && to === 2 && node(script, 1).membership.accepted?.proposal.number === 3,
  );
  for (const [a, b] of [[2, 1], [2, 3], [0, 3]] as const) script.cut(a, b);
  while (script.deliver(0, 1));
  script.cut(0, 1);
  goOn(200, () => areIn(script, 3, 1, 3), (from, to) => from + to !== 4);
  // n1 asks for promises for view 4. n2 gives one from view 2, and stops.
  script.change(1, "A", { kind: "add", name: "n4" });
  const { viewAttempts } = node(script, 1).counters;
  for (let i = 0; i < 50 && node(script, 1).counters.viewAttempts === viewAttempts; i++) {
    script.step(1, { type: "tick" });
  }
  script.cut(1, 3);
  script.connect(1, 2);
  while (script.deliver(1, 2));
  while (script.deliver(2, 1));
  script.step(2, { type: "leave" });
  while (script.deliver(2, 1));
  // Its next process has view 3 of n0, under a later ballot, and a lease by n3.
  script.restart(2, [0]);
  script.welcomeAll();
  goOn(400, () => areIn(script, 3, 2));
  script.connect(2, 3);
  goOn(50, () => node(script, 2).membership.mayRead(script.clocksOf(2)));
  script.cut(2, 3);
  script.connect(1, 3);
  goOn(400, () => areIn(script, 4, 1, 3) && node(script, 1).membership.mayWrite);
  script.ask(1, "W", write({ k: "new" }));
  goOn(10, () => script.outcomes.has("W"));
  script.ask(2, "R", read("k"));
  assertEquals(node(script, 1).counters.leasesWaitedFor, 1);
  assertEquals(script.outcomes.get("R")?.kind, "rejected");
});

Deno.test("a process whose name another journal has taken is waited for before a view lists that journal", () => {
  const script = Script.completed(3, { timing: timingFor(5000) });
  script.ask(0, "before", write({ k: "old" }));
  script.deliverAll();
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  const former = node(script, 2);
  const lease = () => former.membership.mayRead(script.clocksOf(2));
  script.wipe(2, [0]);
  script.welcomeAll();
  // What n1 says to n0 takes 100 ms: meanwhile the new process gets everything.
  for (let turn = 0; turn < 5; turn++) {
    script.wait(20);
    script.deliverAll((from, to) => from === 1 && to === 0);
  }
  assertEquals(lease(), true);
  const { membership } = node(script, 0);
  script.goOnUntil(() => membership.view.number > 1 && membership.mayWrite);
  assertEquals([membership.members, lease()], [0b111, false]);
});

Deno.test("what a node said as it stopped, before the list changed, ends no lease of its next process", () => {
  const script = Script.completed(4, { founders: 3, timing: timingFor(5000) });
  const areIn = (number: number, ...nodes: readonly number[]) =>
    nodes.every((index) => node(script, index).membership.view.number === number);
  const mayRead = () => node(script, 1).membership.mayRead(script.clocksOf(1));
  script.ask(0, "before", write({ k: "old" }));
  script.deliverAll();
  script.change(0, "C", { kind: "add", name: "n3" });
  script.goOnUntil(() => areIn(2, 0, 1, 2) && mayRead());
  // No process of n0, n2 or n3 is young.
  for (let i = 0; i < 70; i++) {
    script.wait(20);
    script.deliverAll();
  }
  script.step(1, { type: "leave" });
  while (script.deliver(1, 0));
  while (script.deliver(1, 2));
  script.restart(1, [0]);
  script.cut(0, 1);
  // n3 gets everything from n0, which begins. What n0 says takes a while to n1 and n2.
  script.connect(3, 0);
  script.welcomeAll();
  for (let i = 0; i < 40 && !node(script, 0).membership.isFrozen; i++) {
    script.deliverAll();
    script.wait(20);
  }
  while (script.deliver(0, 3));
  script.connect(3, 2);
  for (const peer of [2, 0]) script.connect(1, peer);
  // Of n0, n1 and n2, n1 and n2 are enough for a lease.
  for (let i = 0; i < 12 && !mayRead(); i++) {
    script.wait(20);
    script.deliverAll((from, to) => from === 3 || from === 0 && (to === 1 || to === 2));
  }
  assert(mayRead());
  while (script.deliver(0, 1));
  while (script.deliver(1, 0));
  // n1 has promised. Its disk is full from now on, so it stays in view 2.
  script.forcesAtOnce = false;
  script.step(1, { type: "room", isDiskFull: true });
  const goOnUntil = (isOver: () => boolean) => {
    for (let i = 0; i < 400 && !isOver(); i++) {
      for (let j = 0; j < 10; j++) {
        script.completeForces(0, 2, 3);
        script.deliverAll();
      }
      if (!isOver()) script.wait(5);
    }
    assert(isOver());
  };
  // Of n0, n2 and n3, which choose view 4, only n2 knows of that lease: with n1 no majority of four.
  goOnUntil(() => areIn(4, 0, 2, 3) && node(script, 0).membership.mayWrite);
  script.ask(0, "W", write({ k: "new" }));
  goOnUntil(() => script.outcomes.has("W"));
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(mayRead(), false);
  script.ask(1, "R", read("k"));
  assertEquals(script.outcomes.get("R")?.kind, "rejected");
});
