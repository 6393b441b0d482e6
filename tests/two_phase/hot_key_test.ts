/**
 * One key that the clients of all nodes write.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { append, Script, setIfAbsent, write } from "./script.ts";

const NODES = 5;
const CLIENTS = 10;
const ROUNDS = 5;

Deno.test("nodes that all write one key hand it over, and seldom abort each other", () => {
  const script = Script.complete(NODES);
  const before = script.replicas.map((replica) => ({ ...replica.context.counters }));
  const waiting = new Set<string>();
  const rounds = Array.from({ length: NODES * CLIENTS }, () => 0);
  /** Each client has one request at a time, and sends the next one when it is answered. */
  const ask = (client: number) => {
    const name = `C${client}.${rounds[client]}`;
    waiting.add(name);
    script.ask(client % NODES, name, append("k", "x"));
  };
  for (let client = 0; client < rounds.length; client++) ask(client);
  for (let steps = 0; waiting.size > 0; steps++) {
    assert(steps < 10_000, `${waiting.size} requests are not answered`);
    script.deliverAll();
    script.wait(5);
    for (const name of waiting) {
      if (!script.outcomes.has(name)) continue;
      assertEquals(script.outcomes.get(name)?.kind, "answered");
      waiting.delete(name);
      const client = Number(name.slice(1).split(".")[0]);
      rounds[client] = (rounds[client] ?? 0) + 1;
      if ((rounds[client] ?? 0) < ROUNDS) ask(client);
    }
  }
  const sum = (what: "aborts" | "commits") =>
    script.replicas.reduce(
      (total, { context }, node) => total + context.counters[what] - (before[node]?.[what] ?? 0),
      0,
    );
  assertEquals(sum("commits"), NODES * CLIENTS * ROUNDS);
  assert(
    sum("aborts") < 2 * sum("commits"),
    `${sum("aborts")} aborts of ${sum("commits")} commits`,
  );
});

/** Delivers what is under way from one node to another, and what comes of it. */
function drain(script: Script, from: number, to: number): void {
  while (script.deliver(from, to));
}

/** One millisecond passes: forces that were under way are completed, and all messages arrive. */
function passMillisecond(script: Script): void {
  const nodes = [...script.replicas.keys()];
  for (const node of nodes) if (script.forcesUnderWay(node) > 0) script.completeForce(node);
  for (const from of nodes) for (const to of nodes) if (from !== to) drain(script, from, to);
  script.wait(1);
}

Deno.test("a node whose clients never leave a key alone does not lock others out of it", () => {
  for (const clients of [1, 2, 10]) {
    const script = Script.complete(NODES);
    script.forcesAtOnce = false;
    const rounds = Array.from({ length: clients }, () => -1);
    for (let ms = 0; !script.outcomes.has("W"); ms++) {
      assert(ms < 200, `the write of another node waits behind ${rounds} of ${clients} clients`);
      for (const [client, round] of rounds.entries()) {
        // They do not come all at once, so the chain of their writes never ends by itself.
        if (ms < client % 3 || round >= 0 && !script.outcomes.has(`T${client}.${round}`)) continue;
        rounds[client] = round + 1;
        script.ask(0, `T${client}.${round + 1}`, append("k", ""));
      }
      if (ms === 20) script.ask(1, "W", append("k", ""));
      passMillisecond(script);
    }
    assertEquals(script.outcomes.get("W")?.kind, "answered");
  }
});

Deno.test("writes of one client to one key, and to others, stay in order in a turn", () => {
  const script = Script.complete(3);
  script.ask(1, "X", write({ k: "X" }));
  script.wait(1);
  script.ask(2, "Z", write({ j: "Z" }));
  drain(script, 1, 0);
  drain(script, 2, 0);
  script.wait(1);
  script.ask(0, "K", write({ k: "K", m: "K" }));
  script.ask(0, "O", write({ k: "O", j: "O" }));
  script.ask(0, "T", write({ k: "T", m: "T" }));
  // X is committed before Z is: so O cannot go on yet, and T must not go past it.
  for (const [from, to] of [[1, 2], [2, 1], [0, 1], [2, 1], [1, 0]] as const) {
    drain(script, from, to);
  }
  script.settle();
  assertEquals(script.replicas.map(({ context }) => context.store.get("k")?.value), [
    "T",
    "T",
    "T",
  ]);
});

Deno.test("a request that is evaluated again does not go past an earlier one of its client", () => {
  const script = Script.complete(3);
  script.ask(0, "before", write({ k: "0" }));
  script.settle();
  script.ask(1, "X", append("k", "X"));
  script.ask(2, "Z", write({ j: "Z" }));
  drain(script, 1, 0);
  script.wait(1);
  script.ask(0, "K", write({ k: undefined }));
  script.ask(0, "L", write({ k: "L", j: "L" }));
  script.ask(0, "W", setIfAbsent("k", "W"));
  for (const [from, to] of [[1, 2], [2, 1], [0, 1], [1, 0], [1, 2]] as const) {
    drain(script, from, to);
  }
  // Node 2 refuses L because of Z; W had seen L, and is evaluated again.
  drain(script, 0, 2);
  drain(script, 2, 0);
  script.settle();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: false });
  assertEquals(script.replicas.map(({ context }) => context.store.get("k")?.value), [
    "L",
    "L",
    "L",
  ]);
});

Deno.test("no place is kept for a request that has been answered without another prepare", () => {
  const script = Script.complete(NODES);
  for (let node = 0; node < NODES; node++) {
    script.ask(node, `N${node}`, setIfAbsent("lock", `${node}`));
  }
  script.deliverAll();
  assertEquals([0, 1, 2, 3, 4].map((node) => script.outcomes.get(`N${node}`)), [
    { kind: "answered", reply: true },
    ...[1, 2, 3, 4].map(() => ({ kind: "answered", reply: false }) as const),
  ]);
  assert(script.replicas.some(({ context }) => context.counters.aborts > 0));
  script.ask(0, "release", write({ lock: undefined }));
  script.deliverAll();
  assertEquals(script.outcomes.get("release")?.kind, "answered");
});

Deno.test("older writes that come late to the line do not close a circle of waits", () => {
  const script = Script.complete(NODES);
  // Two older writes of two keys cannot begin yet, as links of theirs are down.
  script.cut(2, 4);
  script.cut(3, 4);
  script.ask(2, "late at n2", write({ x: "2", h: "2" }));
  script.ask(3, "late at n3", write({ x: "3", h: "3" }));
  script.wait(2);
  script.ask(0, "X", write({ x: "X" }));
  script.ask(1, "H", write({ h: "H" }));
  script.wait(2);
  script.ask(1, "younger x", write({ x: "younger" }));
  script.ask(0, "younger h", write({ h: "younger" }));
  // At n2, X waits for the younger x, and H holds h; at n3, H waits for the younger h, and X holds x.
  drain(script, 1, 2);
  drain(script, 0, 3);
  script.deliver(0, 2);
  script.deliver(1, 3);
  // The older ones stand in line before X and H now.
  script.connect(2, 4);
  script.connect(3, 4);
  for (const [from, to] of [[2, 4], [4, 2], [3, 4], [4, 3], [2, 4], [3, 4]] as const) {
    drain(script, from, to);
  }
  for (let i = 0; i < 50 && script.outcomes.size < 6; i++) {
    script.deliverAll();
    script.wait(5);
  }
  assertEquals([...script.outcomes.values()].map(({ kind }) => kind), Array(6).fill("answered"));
});
