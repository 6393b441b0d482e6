/**
 * Nodes that were off while the list of nodes changed, and start again with the journals that they had.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ballotOf } from "../../src/two_phase/messages.ts";
import { Replica } from "../../src/two_phase/replica.ts";
import { Store } from "../../src/two_phase/store.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

function areIn(script: Script, number: number, ...nodes: readonly number[]): boolean {
  return nodes.every((index) => node(script, index).membership.view.number === number);
}

function begin(nodes: number, founders: number): Script {
  const script = Script.completed(nodes, { founders, timing: timingFor(5000) });
  script.ask(0, "before", write({ k: "1" }));
  script.deliverAll();
  return script;
}

/** Replaces `old` by `next`, which is linked to `to`; the proposer is the lowest of those. */
function replace(script: Script, old: number, next: number, to: readonly number[]): void {
  const [asked = 0] = to;
  const view = node(script, asked).membership.view.number;
  script.change(asked, `${old} by ${next}`, {
    kind: "replace",
    name: `n${next}`,
    replaces: `n${old}`,
  });
  script.goOnUntil(() => node(script, asked).membership.view.number > view);
  for (const peer of to) script.connect(next, peer);
  script.welcomeAll();
  script.goOnUntil(() => node(script, asked).membership.view.names[old] === "");
}

Deno.test("a node that slept while most of its list was replaced is vouched for by those of today", () => {
  const script = begin(8, 5);
  script.kill(4);
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2, 3));
  for (const [old, next] of [[1, 5], [2, 6], [3, 7]] as const) {
    replace(script, old, next, [
      0,
      ...[1, 2, 3, 5, 6].filter((one) => one >= old && one < next && one !== 4),
    ]);
    script.kill(old);
  }
  // Of the list that n4 knows, n0 alone is left.
  const { number } = node(script, 0).membership.view;
  assertEquals(node(script, 0).membership.view.names.filter((name) => name !== "").length, 5);
  script.start(4, [0]);
  script.welcomeAll();
  script.goOnUntil(() => areIn(script, number, 4));
  for (const peer of [5, 6, 7]) script.connect(4, peer);
  script.welcomeAll();
  script.goOnUntil(() => node(script, 4).membership.mayRead(script.clocksOf(4)));
  script.ask(4, "R", read("k"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["1"] });
});

Deno.test("one of two nodes crashes while the other one is replaced, and continues with the new one", () => {
  const script = begin(3, 2);
  script.change(0, "C", { kind: "replace", name: "n2", replaces: "n1" });
  script.goOnUntil(() => areIn(script, 2, 0, 1));
  for (const peer of [0, 1]) script.connect(2, peer);
  script.welcomeAll();
  // n1 proposes. n0 accepts, and crashes before it has the view. The two that are left need each other.
  const { membership } = node(script, 0);
  script.deliverUntil(() => membership.acceptedDurably?.proposal.number === 3);
  while (membership.view.number === 2 && script.deliver(0, 1));
  script.kill(0);
  script.goOnUntil(() => areIn(script, 3, 2));
  script.kill(1);
  // It is started with --join n2, so it has a link to a node that its own view does not list.
  script.start(0, [2]);
  script.welcomeAll();
  script.goOnUntil(() => [0, 2].every((index) => node(script, index).membership.mayWrite));
  script.ask(0, "R", read("k"));
  script.goOnUntil(() => script.outcomes.has("R"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["1"] });
});

Deno.test("nodes that were removed while they slept make no cluster of their own when they wake up", () => {
  const script = begin(5, 5);
  // One after the other: together they are three of the five that there were.
  for (const index of [4, 3, 2]) {
    const { number } = node(script, 0).membership.view;
    script.kill(index);
    script.goOnUntil(() => areIn(script, number + 1, 0, 1) && node(script, 0).membership.mayWrite);
    script.change(0, `without ${index}`, { kind: "remove", name: `n${index}` });
    script.goOnUntil(() => areIn(script, number + 2, 0, 1) && node(script, 0).membership.mayWrite);
  }
  script.ask(0, "W", write({ k: "2" }));
  script.goOnUntil(() => script.outcomes.has("W"));
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  for (const index of [4, 3, 2]) {
    script.start(index, [2, 3, 4].filter((peer) => peer > index));
  }
  script.welcomeAll();
  for (let i = 0; i < 500; i++) {
    script.wait(20);
    script.deliverAll();
    for (const index of [2, 3, 4]) {
      const { membership } = node(script, index);
      assertEquals(membership.mayRead(script.clocksOf(index)), false, `n${index} reads`);
      assertEquals(membership.mayWrite, false, `n${index} writes`);
    }
  }
  // None has chosen a view: each has the one that it had.
  assertEquals([2, 3, 4].map((index) => node(script, index).membership.view.number), [5, 3, 1]);
});

Deno.test("a node that takes in a view with another list before it takes part promises nothing", () => {
  const script = begin(5, 4);
  script.kill(3);
  script.goOnUntil(() => areIn(script, 2, 0, 1, 2));
  replace(script, 1, 4, [0, 2]);
  const chosen = node(script, 0).membership.view;
  script.start(3, []);
  const { membership, outbox } = node(script, 3).context;
  // It had promised more than that view came to.
  membership.promise(ballotOf(99, 0), "j0");
  const sent: string[] = [];
  const send = outbox.send.bind(outbox);
  outbox.send = (to, message) => {
    if (to !== 0) sent.push(message.type);
    send(to, message);
  };
  const message = { type: "viewInstall", view: chosen.number, chosen } as const;
  script.step(3, { type: "message", from: 0, message });
  assertEquals([membership.view.number, membership.isVerified], [chosen.number, false]);
  assertEquals(sent.includes("viewPromise"), false);
});

Deno.test("a node in no view has the list that it starts with, not that of its checkpoint", () => {
  const names = (...list: string[]) => ({
    names: list,
    journals: list.map(() => ""),
    bases: list.map(() => 0),
  });
  const view = { number: 0, cluster: { id: "" }, ballot: 0, members: 0, commits: [] };
  const now = { monotonicMs: 1000, wallMs: 1000 };
  // It was added as the node 1, called off, and added again as the node 2.
  const replica = new Replica({
    self: 2,
    names: ["n0", "", "n1"],
    identity: { journal: "J", incarnation: 2, process: "P" },
    timing: timingFor(5000),
    random: () => 0.5,
    now,
    store: new Store(now.monotonicMs),
    records: [{
      type: "membership",
      view: { ...view, ...names("n0", "n1") },
      isMember: false,
      joined: undefined,
      offset: 0,
    }],
  });
  assertEquals(replica.context.membership.view.names, ["n0", "", "n1"]);
  assertEquals(replica.context.membership.all, 0b101);
});
