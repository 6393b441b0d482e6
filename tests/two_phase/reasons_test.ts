/** The reasons in errors: each is true, or is not given. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

function reasonOf(script: Script, label: string): string {
  const outcome = script.outcomes.get(label);
  return outcome !== undefined && "reason" in outcome ? outcome.reason : JSON.stringify(outcome);
}

function obstacleTo(script: Script, label: string): string | undefined {
  const outcome = script.outcomes.get(label);
  return outcome?.kind === "rejected" ? outcome.obstacle : outcome?.kind;
}

/** Three nodes, of which all may read. */
function quiet(): Script {
  const script = Script.complete(3, timingFor(5000));
  script.goOnUntil(() =>
    script.replicas.every(({ membership }, index) => membership.mayRead(script.clocksOf(index)))
  );
  return script;
}

Deno.test("a node that stood still itself says nothing of the others", () => {
  // Shorter than the others take to go on without it, and longer than the time of suspicion.
  const script = quiet();
  script.pause(0, 1100);
  script.ask(0, "W", write({ k: "1" }));
  script.ask(0, "R", read("k"));
  assertEquals([script.outcomes.get("W"), script.outcomes.get("R")], [undefined, undefined]);
  script.goOnUntil(() => script.outcomes.size === 2);
  const kinds = ["W", "R"].map((label) => script.outcomes.get(label)?.kind);
  // By now it may be outside of the view, and says so.
  for (const label of ["W", "R"]) {
    if (script.outcomes.get(label)?.kind === "answered") continue;
    assertMatch(reasonOf(script, label), /^this node is outside view \d+, and is joining again$/);
  }
  assert(kinds.every((kind) => kind === "answered" || kind === "rejected"));
});

Deno.test("a node below the majority names the nodes that are not linked, silent, or new", () => {
  const script = quiet();
  const nobodyHears = (_from: number, to: number) => to === 0;
  for (let i = 0; i < 120; i++) {
    script.wait(20);
    script.deliverAll(nobodyHears);
  }
  script.ask(0, "silent", read("k"));
  assertEquals(
    reasonOf(script, "silent"),
    "no majority: n1, n2 has been silent, and 2 of 3 are needed",
  );
  assertEquals(obstacleTo(script, "silent"), "down");
  assertEquals(node(script, 0).whyLoading, undefined, "it is a member still");
  script.cut(0, 1);
  script.ask(0, "unlinked", read("k"));
  assertEquals(
    reasonOf(script, "unlinked"),
    "no majority: n1 cannot be reached, n2 has been silent, and 2 of 3 are needed",
  );
});

Deno.test("a node below the majority says which node started with a new journal", () => {
  const script = quiet();
  for (const index of [1, 2]) script.kill(index);
  for (let i = 0; i < 120; i++) script.wait(20);
  script.wipe(1, [0]);
  for (let i = 0; i < 10; i++) {
    script.wait(20);
    script.deliverAll();
  }
  script.ask(0, "R", read("k"));
  assertEquals(
    reasonOf(script, "R"),
    "no majority: n2 cannot be reached, n1 started with a new journal, and 2 of 3 are needed",
  );
});

Deno.test("a read that waits for a lease says so, and a write names whom it waits for", () => {
  const script = Script.complete(
    3,
    timingFor(5000, {
      leaseMs: 1000,
      suspicionMs: 1e9,
      heartbeatMs: 200,
      driftMax: 0.1,
    }),
  );
  script.goOnUntil(() => node(script, 0).membership.mayRead(script.clocksOf(0)));
  script.cut(0, 2);
  script.ask(0, "W", write({ k: "1" }));
  for (let i = 0; i < 225; i++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(reasonOf(script, "W"), "no link to n2, and a write needs all members");
  // No node acknowledges heartbeats, and all are linked.
  script.connect(0, 2);
  script.goOnUntil(() => node(script, 0).membership.mayWrite);
  for (let i = 0; i < 60; i++) {
    script.wait(20);
    script.deliverAll((_from, to) => to === 0);
  }
  script.ask(0, "R", read("k"));
  for (let i = 0; i < 225; i++) {
    script.wait(20);
    script.deliverAll((_from, to) => to === 0);
  }
  assertEquals(reasonOf(script, "R"), "this node has no lease to answer reads");
  assertEquals([obstacleTo(script, "W"), obstacleTo(script, "R")], ["down", "down"]);
});

Deno.test("a node that has met nobody is loading, and so is one that is outside of the view", () => {
  const script = new Script(3);
  script.ask(0, "W", write({ k: "1" }));
  script.wait(5000);
  assertEquals(reasonOf(script, "W"), "the cluster has not started: no link to n1, n2");
  assertEquals(obstacleTo(script, "W"), "loading");
  assertEquals(node(script, 0).whyLoading, reasonOf(script, "W"));

  const left = quiet();
  assertEquals(left.replicas.map(({ whyLoading }) => whyLoading), [
    undefined,
    undefined,
    undefined,
  ]);
  left.pause(0, 5000);
  left.goOnUntil(() => node(left, 1).membership.view.number === 2);
  left.goOnUntil(() => node(left, 0).whyLoading !== undefined);
  left.ask(0, "R", read("k"));
  assertMatch(
    node(left, 0).whyLoading ?? "",
    /^this node is outside view \d+, and is joining again$/,
  );
  assertEquals([reasonOf(left, "R"), obstacleTo(left, "R")], [node(left, 0).whyLoading, "down"]);
  left.goOnUntil(() => node(left, 0).whyLoading === undefined);
});
