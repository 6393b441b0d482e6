/**
 * Changes of the list of nodes, while the cluster lives.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { NODES_MAX } from "../../src/limits.ts";
import type { ChangePlan, NodeList } from "../../src/two_phase/member_changes.ts";
import {
  admitLearners,
  planChange,
  renamedIds,
  whyAlready,
  whyNoMajority,
} from "../../src/two_phase/member_changes.ts";
import { ballotOf, type MemberChange, type View } from "../../src/two_phase/messages.ts";
import { voters } from "../../src/two_phase/quorum.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

// --- The list --------------------------------------------------------------------------------

const ABOUT = { by: "ops", at: 7, view: 3 };

function plan(list: NodeList, change: MemberChange): ChangePlan {
  return planChange(list, change, ABOUT);
}

function listOf(planned: ChangePlan): NodeList {
  if (planned.kind !== "list") throw new Error(`${planned.kind}: ${planned.reason}`);
  return planned.list;
}

const THREE: NodeList = { names: ["a", "b", "c"] };

Deno.test("planChange() makes a new node a learner, which does not count until it is admitted", () => {
  const list = listOf(plan(THREE, { kind: "add", name: "d" }));
  assertEquals(list.names, ["a", "b", "c", "d"]);
  assertEquals(voters(list), 0b0111);
  const after = admitLearners(list, 0b1011, 4);
  assertEquals([after.names, after.learners, voters(after)], [list.names, undefined, 0b1111]);
  assertEquals(after.change, { kind: "admit", name: "d", by: "ops", at: 7, view: 4 });
  assertEquals(admitLearners(list, 0b0111, 4), list);
});

Deno.test("planChange() drops the node that is replaced when the new one is admitted", () => {
  const list = listOf(plan(THREE, { kind: "replace", name: "d", replaces: "b" }));
  assertEquals(voters(list), 0b0111);
  const after = admitLearners(list, 0b1001, 4);
  assertEquals([after.names, voters(after)], [["a", "", "c", "d"], 0b1101]);
});

Deno.test("planChange() gives ids that were never used, and then those of nodes that are gone", () => {
  const gone = listOf(plan(THREE, { kind: "remove", name: "b" }));
  assertEquals(gone.names, ["a", "", "c"]);
  assertEquals(listOf(plan(gone, { kind: "add", name: "d" })).names, ["a", "", "c", "d"]);
  const names = Array.from({ length: NODES_MAX }, (_, id) => id === 4 ? "" : `n${id}`);
  assertEquals(listOf(plan({ names }, { kind: "add", name: "d" })).names[4], "d");
  names[4] = "n4";
  assertEquals(plan({ names }, { kind: "add", name: "d" }), {
    kind: "refused",
    reason: "the cluster has 31 nodes, which is the most: remove one first",
  });
});

Deno.test("planChange() refuses what cannot be, and says that it is so already", () => {
  const adding = listOf(plan(THREE, { kind: "add", name: "d" }));
  const replacing = listOf(plan(THREE, { kind: "replace", name: "d", replaces: "b" }));
  const removed = listOf(plan(THREE, { kind: "remove", name: "c" }));
  const replaced = admitLearners(replacing, 0b1101, 4);
  const cases: [NodeList, MemberChange, "none" | "refused", string][] = [
    [THREE, { kind: "add", name: "a" }, "none", "a is a node of the cluster already"],
    [THREE, { kind: "remove", name: "d" }, "refused", "d is not in the list, which is a, b, c"],
    [THREE, { kind: "cancel", name: "d" }, "refused", "d is not in the list, which is a, b, c"],
    [removed, { kind: "remove", name: "c" }, "none", "c is not in the list, which is a, b"],
    [removed, { kind: "remove", name: "d" }, "refused", "d is not in the list, which is a, b"],
    [replaced, { kind: "remove", name: "b" }, "none", "b is not in the list, which is a, c, d"],
    [THREE, { kind: "cancel", name: "a" }, "refused", "a is a member already"],
    [THREE, { kind: "replace", name: "a", replaces: "b" }, "refused", "a is a node"],
    [THREE, { kind: "replace", name: "d", replaces: "x" }, "refused", "x is not in the list"],
    [{ names: ["a"] }, { kind: "remove", name: "a" }, "refused", "a is the only node"],
    [adding, { kind: "add", name: "d" }, "none", "d is being added already"],
    [adding, { kind: "add", name: "e" }, "refused", "d is being added, as ops has asked"],
    [adding, { kind: "remove", name: "a" }, "refused", "d is being added, as ops has asked"],
    [replacing, { kind: "add", name: "d" }, "refused", "d is to replace b, as ops has asked"],
    [replacing, { kind: "replace", name: "d", replaces: "b" }, "none", "d is replacing b already"],
  ];
  for (const [list, change, kind, reason] of cases) {
    const planned = plan(list, change);
    assertEquals(planned.kind, kind, JSON.stringify(change));
    if (planned.kind !== "list") assertStringIncludes(planned.reason, reason);
  }
  const cancelled = listOf(plan(replacing, { kind: "cancel", name: "d" }));
  assertEquals([cancelled.names, voters(cancelled)], [["a", "b", "c", ""], 0b0111]);
  assertEquals(
    whyAlready(admitLearners(replacing, 0b1000, 4), { kind: "replace", name: "d", replaces: "b" }),
    "d is a node of the cluster already, and b is not",
  );
});

Deno.test("whyNoMajority() names the nodes that would be left, and those that are there", () => {
  const list = listOf(plan({ names: ["a", "b", "c", "d"] }, { kind: "remove", name: "a" }));
  assertEquals(whyNoMajority(list, 0b0110), undefined);
  assertEquals(
    whyNoMajority(list, 0b0011),
    "of the nodes that would be left (b, c, d) 2 are needed, and only these are there and hold " +
      "everything: b",
  );
});

Deno.test("renamedIds() returns the ids whose node is gone, whether another one has them or not", () => {
  const before = { number: 3, names: ["a", "b", "c", ""] };
  assertEquals(renamedIds({ names: ["a", "", "x", "d", "e"] }, before), [1, 2]);
  assertEquals(renamedIds({ names: ["a"] }, before), [1, 2]);
  // In view 0 the names are only those that this node was told.
  assertEquals(renamedIds({ names: ["x"] }, { ...before, number: 0 }), []);
});

// --- The protocol ----------------------------------------------------------------------------

function viewOf(script: Script, index: number): View {
  return node(script, index).membership.view;
}

function areIn(script: Script, number: number, ...nodes: readonly number[]): boolean {
  return nodes.every((index) => viewOf(script, index).number === number);
}

/** Nodes n0, n1, … begin a cluster; one more is there, and knows nobody. */
function cluster(founders = 3): Script {
  const script = Script.completed(founders + 1, { founders, timing: timingFor(5000) });
  script.ask(0, "before", write({ old: "1" }));
  script.deliverAll();
  return script;
}

function linkAll(script: Script, index: number, to: readonly number[]): void {
  for (const peer of to) script.connect(index, peer);
}

/** The same, and n3 is a learner. */
function learning(change: MemberChange = { kind: "add", name: "n3" }): Script {
  const script = cluster();
  script.change(1, "C", change);
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2));
  assertEquals(script.changeOutcomes.get("C"), { kind: "done", view: 2 });
  script.welcomeAll();
  return script;
}

Deno.test("a node that is added is a learner until it holds everything, and then a member", () => {
  const script = learning();
  assertEquals(viewOf(script, 0).names, ["n0", "n1", "n2", "n3"]);
  assertEquals(node(script, 0).membership.quorum.nodes, 0b0111);
  linkAll(script, 3, [0, 1, 2]);
  script.goOnUntil(() => areIn(script, 3, 0, 1, 2, 3));
  assertEquals(viewOf(script, 0).members, 0b1111);
  assertEquals(viewOf(script, 0).learners, undefined);
  assertEquals(node(script, 3).membership.quorum.nodes, 0b1111);
  assertEquals(node(script, 3).store.get("old")?.value, "1");
  script.goOnUntil(() => node(script, 3).membership.mayWrite);
  script.ask(3, "W", write({ k: "2" }));
  script.goOnUntil(() => script.outcomes.has("W"));
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(node(script, 0).store.get("k")?.value, "2");
});

Deno.test("a cluster grows from one node to two, and shrinks back", () => {
  const script = cluster(1);
  script.change(0, "C", { kind: "add", name: "n1" });
  script.goOnUntil(() => areIn(script, 2, 0));
  script.connect(0, 1);
  script.goOnUntil(() => areIn(script, 3, 0, 1));
  assertEquals(viewOf(script, 0).members, 0b11);
  script.goOnUntil(() => node(script, 1).membership.mayWrite);
  script.change(1, "D", { kind: "remove", name: "n0" });
  script.goOnUntil(() => areIn(script, 4, 0, 1));
  assertEquals(script.changeOutcomes.get("D"), { kind: "done", view: 4 });
  assertEquals(viewOf(script, 1).members, 0b10);
  assertEquals(node(script, 0).membership.isRemoved, true);
  assertEquals(node(script, 1).store.get("old")?.value, "1");
});

Deno.test("a node that is removed gives up its lease: no view waits for it, and it serves nothing", () => {
  const script = cluster();
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  const before = script.now;
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2));
  assertEquals(script.changeOutcomes.get("C"), { kind: "done", view: 2 });
  assertEquals(script.now - before < 300, true, `it took ${script.now - before} ms`);
  assertEquals(node(script, 2).membership.isRemoved, true);
  script.ask(2, "R", read("old"));
  script.goOnUntil(() => script.outcomes.has("R"));
  assertEquals(script.outcomes.get("R"), {
    kind: "rejected",
    obstacle: "down",
    reason: "this node is not a node of the cluster any more: view 2 does not list it",
  });
  // It asks nobody to let it in again, whatever time passes.
  for (let i = 0; i < 100; i++) {
    script.wait(50);
    script.deliverAll();
  }
  assertEquals(viewOf(script, 0).members, 0b011);
  assertEquals(node(script, 0).counters.transfers, 0);
});

Deno.test("a node that is to leave reads no more from its promise on", () => {
  const script = cluster();
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.wait(20);
  const isPromised = () => node(script, 2).membership.isFrozen;
  script.deliverUntil(isPromised, (from, to) => from !== 0 || to !== 2);
  assertEquals(node(script, 2).membership.mayRead(script.clocksOf(2)), false);
});

Deno.test("a dead node is removed, and a majority that would not be left is refused", () => {
  const script = cluster();
  script.kill(2);
  script.goOnUntil(() => areIn(script, 2, 0, 1));
  script.goOnUntil(() => node(script, 0).membership.mayWrite);
  script.change(0, "D", { kind: "remove", name: "n1" });
  assertEquals(script.changeOutcomes.get("D")?.kind, "refused");
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.goOnUntil(() => areIn(script, 3, 0, 1));
  assertEquals(node(script, 0).membership.quorum.nodes, 0b011);
  assertEquals(viewOf(script, 0).journals[2], "");
});

Deno.test("a node replaces another one in one view, dead or alive", () => {
  for (const isAlive of [true, false]) {
    const script = learning({ kind: "replace", name: "n3", replaces: "n0" });
    if (!isAlive) {
      script.kill(0);
      script.goOnUntil(() => areIn(script, 3, 1, 2));
    }
    linkAll(script, 3, isAlive ? [0, 1, 2] : [1, 2]);
    script.welcomeAll();
    const number = isAlive ? 3 : 4;
    script.goOnUntil(() => areIn(script, number, 1, 2, 3));
    assertEquals(viewOf(script, 1).names, ["", "n1", "n2", "n3"]);
    assertEquals(viewOf(script, 1).members, 0b1110);
    assertEquals(node(script, 3).store.get("old")?.value, "1");
    if (isAlive) script.goOnUntil(() => node(script, 0).membership.isRemoved);
  }
});

Deno.test("a change is called off: the learner is no node of the list any more", () => {
  const script = learning();
  script.change(0, "E", { kind: "add", name: "n9" });
  assertEquals(script.changeOutcomes.get("E"), {
    kind: "refused",
    reason: "n3 is being added, as ops has asked: wait for it, or cancel it",
  });
  script.change(0, "X", { kind: "cancel", name: "n3" });
  script.goOnUntil(() => areIn(script, 3, 0, 1, 2));
  assertEquals(viewOf(script, 1).names, ["n0", "n1", "n2", ""]);
  assertEquals(viewOf(script, 1).learners, undefined);
  script.change(0, "X again", { kind: "cancel", name: "n3" });
  assertEquals(script.changeOutcomes.get("X again"), {
    kind: "done",
    view: 3,
    wasSo: "n3 is not in the list, which is n0, n1, n2",
  });
});

Deno.test("a change that may have been made by a view that its node has missed is not refused", () => {
  const script = cluster();
  script.change(0, "C", { kind: "remove", name: "n2" });
  const { membership } = node(script, 0);
  script.deliverUntil(() => membership.accepted?.proposal.number === 2);
  for (const peer of [1, 2]) script.cut(0, peer);
  const { proposal } = membership.accepted ?? {};
  if (proposal === undefined) throw new Error("nothing is accepted");
  // That was chosen, by n1 and n2; and then somebody has added n2 again.
  const chosen: View = {
    ...proposal,
    number: 3,
    names: ["n0", "n1", "", "n2"],
    journals: [...proposal.journals, ""],
    bases: [...proposal.bases, 0],
    learners: [{ node: 3, by: "somebody", at: 0 }],
  };
  const message = { type: "viewInstall", view: 3, chosen } as const;
  script.step(0, { type: "message", from: 1, message });
  script.goOnUntil(() => script.changeOutcomes.has("C"));
  assertEquals(script.changeOutcomes.get("C"), {
    kind: "indeterminate",
    reason: "this node missed a view that may have made the change",
  });
});

Deno.test("a node accepts a proposal only if it has the view before", () => {
  const script = cluster();
  const ballot = ballotOf(9, 1);
  const proposal: View = { ...viewOf(script, 1), number: 3, ballot };
  script.step(0, { type: "message", from: 1, message: { type: "viewPrepare", view: 1, ballot } });
  script.step(0, {
    type: "message",
    from: 1,
    message: { type: "viewAccept", view: 2, ballot, proposal },
  });
  assertEquals(node(script, 0).membership.accepted, undefined);
});

Deno.test("a node that leaves goes over last, so that the others have the view whatever happens", () => {
  const script = cluster(1);
  script.change(0, "C", { kind: "replace", name: "n1", replaces: "n0" });
  script.goOnUntil(() => areIn(script, 2, 0));
  script.connect(0, 1);
  script.welcomeAll();
  script.deliverUntil(() => node(script, 0).membership.acceptedDurably?.proposal.number === 3);
  // It is chosen, by n0 alone; and what says so is lost.
  script.cut(0, 1);
  for (let i = 0; i < 20; i++) script.wait(50);
  assertEquals([viewOf(script, 0).number, viewOf(script, 1).number], [2, 2]);
  script.restart(0, [1]);
  script.goOnUntil(() => viewOf(script, 1).number === 3);
  assertEquals(viewOf(script, 1).members, 0b10);
  assertEquals(node(script, 1).store.get("old")?.value, "1");
  script.goOnUntil(() => node(script, 0).membership.isRemoved);
});

Deno.test("a removed node goes over only when a majority of the list has the view", () => {
  const script = cluster();
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.deliverUntil(() => areIn(script, 2, 0));
  script.cut(0, 1);
  const isApart = (from: number, to: number) => from + to === 1;
  const goOnApart = () => {
    for (let i = 0; i < 20; i++) {
      script.wait(20);
      script.deliverAll((from, to) => isApart(from, to) || from + to === 3);
    }
  };
  goOnApart();
  // With n1, which is behind, it can have the view chosen once more if n0 is lost now.
  assertEquals([viewOf(script, 1).number, viewOf(script, 2).number], [1, 1]);
  // Or tell n1 of it.
  script.goOnUntil(() => areIn(script, 2, 1, 2));
  assertEquals(node(script, 2).membership.isRemoved, true);
});

Deno.test("a node that slept through changes of the list comes to know them all", () => {
  const script = cluster();
  script.kill(2);
  script.goOnUntil(() => areIn(script, 2, 0, 1));
  script.goOnUntil(() => node(script, 1).membership.mayWrite);
  script.change(1, "C", { kind: "replace", name: "n3", replaces: "n0" });
  script.goOnUntil(() => areIn(script, 3, 0, 1));
  linkAll(script, 3, [0, 1]);
  script.welcomeAll();
  script.goOnUntil(() => areIn(script, 4, 1, 3));
  script.start(2, [1]);
  script.welcomeAll();
  script.goOnUntil(() => viewOf(script, 2).number >= 4);
  assertEquals(viewOf(script, 2).names, ["", "n1", "n2", "n3"]);
});

Deno.test("what a removed node says does not count", () => {
  const script = cluster();
  script.cut(0, 2);
  script.cut(1, 2);
  script.goOnUntil(() => areIn(script, 2, 0, 1));
  script.goOnUntil(() => node(script, 0).membership.mayWrite);
  script.change(0, "C", { kind: "remove", name: "n2" });
  script.goOnUntil(() => areIn(script, 3, 0, 1));
  const { promised } = node(script, 0).membership;
  script.step(0, {
    type: "message",
    from: 2,
    message: { type: "viewPrepare", view: 1, ballot: ballotOf(99, 2) },
  });
  assertEquals(node(script, 0).membership.promised, promised);
  // But it is told that it is one.
  script.connect(0, 2);
  script.connect(1, 2);
  script.goOnUntil(() => node(script, 2).membership.isRemoved);
});

Deno.test("a change is refused when the view without it shows that no majority would be left", () => {
  const script = cluster();
  script.change(0, "C", { kind: "remove", name: "n1" });
  // n2 stands still: of n0 and n2, which would be left, one is not enough.
  for (let i = 0; i < 300; i++) {
    script.wait(20);
    script.deliverAll((from, to) => from === 2 || to === 2);
  }
  assertEquals(viewOf(script, 0).members, 0b011);
  assertEquals(script.changeOutcomes.get("C"), {
    kind: "refused",
    reason: "of the nodes that would be left (n0, n2) 2 are needed, and only these are there and " +
      "hold everything: n0",
  });
  assertEquals(viewOf(script, 0).number, 2, "one view is enough to see that");
});

for (const reached of [[0], [0, 1, 2]]) {
  Deno.test(`a node that is cut off when its request for promises has reached n${reached} holds writes up no longer than any other`, () => {
    const script = Script.completed(4, { timing: timingFor(5000) });
    script.goOnUntil(() => [0, 1, 2].every((index) => node(script, index).membership.mayWrite));
    script.change(3, "C", { kind: "remove", name: "n0" });
    script.wait(0);
    script.completeForces(3);
    for (const to of reached) while (script.deliver(3, to));
    assertEquals(node(script, 0).membership.isFrozen, true);
    // Its links stay: nothing is said over them any more.
    const isLost = (from: number, to: number) => from === 3 || to === 3;
    const cutAt = script.now;
    for (let turn = 0; script.now - cutAt < 2500; turn++) {
      // What is written waits, also for nodes that have promised and vote no more.
      for (const index of [0, 1, 2]) {
        script.ask(index, `W${index} ${turn}`, write({ [`${index} ${turn}`]: "1" }));
      }
      script.wait(50);
      script.deliverAll(isLost);
    }
    const { membership } = node(script, 2);
    assertEquals([membership.mayWrite, membership.members], [true, 0b0111]);
  });
}

Deno.test("a node that is removed tells the others of the view, though it stays in the one before", () => {
  const script = Script.completed(4, { founders: 3, timing: timingFor(5000) });
  const areIn = (number: number, ...nodes: number[]) =>
    nodes.every((index) => node(script, index).membership.view.number === number);
  script.kill(2);
  script.goOnUntil(() => areIn(2, 0, 1));
  script.change(1, "C", { kind: "replace", name: "n3", replaces: "n0" });
  script.goOnUntil(() => areIn(3, 0, 1));
  script.start(2, [0]);
  script.goOnUntil(() => areIn(3, 2));
  for (const [index, { context }] of script.replicas.entries()) {
    context.reachability.isWelcome = (peer) => index === 1 && peer === 3;
  }
  for (const peer of [0, 1, 2]) script.connect(3, peer);
  const { membership } = node(script, 0);
  script.deliverUntil(
    () => membership.acceptedDurably?.proposal.number === 4,
    (from, to) =>
      from === 1 && to !== 0 && node(script, 1).membership.accepted?.proposal.number === 4,
  );
  script.cut(1, 3);
  for (let turn = 0; turn < 400 && !areIn(4, 1); turn++) {
    script.deliverAll((from, to) => from === 1 && to === 0 && areIn(4, 1));
    if (!areIn(4, 1)) script.wait(20);
  }
  // n0 alone has heard that n1 is replaced as a member by n3; n1 dies. n2 and n3 are a majority of three.
  while (script.deliver(1, 0));
  script.kill(1);
  for (let turn = 0; turn < 300; turn++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals([2, 3].map((index) => node(script, index).membership.mayWrite), [true, true]);
});
