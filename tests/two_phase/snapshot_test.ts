/** Snapshots: one moment of the cluster, without a copy, whatever is written while they are read. */

import { assert, assertEquals } from "@std/assert";
import { tokenKey } from "../../src/node/commands/once.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import type { Snapshot, SnapshotEntry } from "../../src/two_phase/snapshot.ts";
import { SnapshotRequest } from "../../src/two_phase/snapshot_request.ts";
import { Store } from "../../src/two_phase/store.ts";
import { Random } from "../sim/random.ts";
import { read, Script, write } from "./script.ts";

/** Asks for a snapshot at `node`. Its outcome stands under `label`. */
function ask(script: Script, node: number, label: string): SnapshotRequest {
  const request = new SnapshotRequest();
  script.ask(node, label, request);
  return request;
}

/** What the snapshot under `label` holds: it is read to its end. */
function contents(script: Script, label: string): Record<string, string> | undefined {
  const outcome = script.outcomes.get(label);
  return outcome?.kind === "answered" ? readAll(outcome.reply as Snapshot) : undefined;
}

function readAll(snapshot: Snapshot): Record<string, string> {
  const { size } = snapshot;
  const all: [string, string][] = [];
  while (snapshot.read(5, ({ key, value }) => all.push([key, value]) > 1e9));
  assertEquals(all.length, new Set(all.map(([key]) => key)).size, "a key comes once");
  assertEquals(all.length, size);
  return Object.fromEntries(all.sort());
}

Deno.test("Snapshot has the values of its moment, whatever is written while it is read", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed, 1);
    const store = new Store(0);
    let version = 0;
    const change = () => {
      const key = random.chance(0.05) ? tokenKey("t") : `k${random.integer(12)}`;
      const entry = store.entryOf(key);
      store.write(entry, random.chance(0.3) ? undefined : `${++version}`, ++version);
      store.dropIfEmpty(entry);
    };
    const now = () =>
      Object.fromEntries(
        [...store.entries()].flatMap(({ key, value = "" }) =>
          key.startsWith("k") ? [[key, value]] : []
        )
          .sort(),
      );
    for (let i = 0; i < random.integer(40); i++) change();
    const expected = now();
    const snapshots = [store.snapshot(), store.snapshot()];
    const [snapshot, other] = snapshots as [Snapshot, Snapshot];
    assertEquals(snapshot.size, Object.keys(expected).length);
    const read: [string, string][] = [];
    const receive = ({ key, value }: SnapshotEntry) => {
      read.push([key, value]);
      return random.chance(0.5);
    };
    while (snapshot.read(1 + random.integer(3), receive)) {
      for (let i = 0; i < random.integer(4); i++) change();
    }
    assertEquals(Object.fromEntries(read.sort()), expected, `seed ${seed}`);
    assertEquals(read.length, Object.keys(expected).length);
    assertEquals(readAll(other), expected, `seed ${seed}, the other one`);
    assertEquals(store.snapshots, 0, "nothing is left behind for them any more");
  }
});

Deno.test("Store.snapshot() takes no longer when there are more keys", () => {
  // Not a copy: none of the entries is looked at.
  const store = new Store(0);
  for (let i = 0; i < 1000; i++) store.restore({ key: `k${i}`, value: "v", version: 1 });
  let looks = 0;
  for (const entry of store.entries()) {
    const { value } = entry;
    Object.defineProperty(entry, "value", { get: () => (looks++, value), set: () => {} });
  }
  const snapshot = store.snapshot();
  assertEquals(looks, 0);
  assertEquals(snapshot.size, 1000);
});

Deno.test("a snapshot has everything at once when nothing is prepared, but no hidden key", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ a: "1", b: "2", [tokenKey("t")]: "3" }));
  script.deliverAll();
  ask(script, 1, "S");
  assertEquals(contents(script, "S"), { a: "1", b: "2" });
});

/** n2 has T1 prepared, which is acknowledged, and T2 committed, which came after it. */
function inDoubt(): Script {
  const script = Script.complete();
  script.ask(1, "T0", write({ a: "0", b: "0", d: "0" }));
  script.deliverAll();
  script.ask(0, "T1", write({ a: "1", d: undefined, e: "1" }));
  script.deliver(0, 2);
  script.deliverAll((from, to) => from === 0 && to === 2);
  assertEquals(script.outcomes.get("T1")?.kind, "answered");
  script.ask(1, "T2", write({ b: "2" }));
  script.deliverAll((from, to) => from === 0 && to === 2);
  return script;
}

Deno.test("a snapshot has what is prepared when it is asked for, and nothing later", () => {
  const script = inDoubt();
  assertEquals(script.outcomes.get("T2")?.kind, "answered");
  assertEquals(script.replicas[2]?.store.get("b")?.value, "2");
  assertEquals(script.replicas[2]?.store.get("a")?.value, "0");
  ask(script, 2, "S");
  assertEquals(script.outcomes.get("S"), undefined, "it waits for T1");
  script.ask(1, "T3", write({ b: "3", c: "3" }));
  script.deliverAll((from, to) => from === 0 && to === 2);
  assertEquals(script.outcomes.get("T3"), undefined, "n2 holds it back");
  script.deliverAll();
  assertEquals(script.outcomes.get("T3")?.kind, "answered");
  assertEquals(contents(script, "S"), { a: "1", b: "2", e: "1" });
});

Deno.test("a snapshot has a place among the commands of a client at another node", () => {
  const script = Script.complete();
  script.ask(0, "T0", write({ a: "0", b: "0" }));
  script.deliverAll();
  // T1 is prepared at n0, which is asked for a snapshot, and n1 has not heard of it.
  script.ask(2, "T1", write({ a: "1" }));
  while (script.deliver(2, 0));
  ask(script, 0, "S");
  script.ask(0, "T2", write({ b: "2" }));
  script.deliverAll((from, to) => from === 2 && to === 1);
  script.ask(1, "b", read("b"));
  script.ask(1, "a", read("a"));
  script.deliverAll();
  const { a, b } = contents(script, "S") ?? {};
  // Who has seen T2 and then not T1 knows that T2 came first.
  const outcomes = [script.outcomes.get("b"), script.outcomes.get("a")];
  const isT2First = outcomes.every((outcome, index) =>
    outcome?.kind === "answered" && `${outcome.reply}` === ["2", "0"][index]
  );
  assertEquals(isT2First && a === "1" && b === "0", false, "T1 < S < T2 < T1");
  assertEquals([a, b], ["1", "0"], "T2 is held back until the snapshot is taken");
});

Deno.test("a snapshot holds back writes for a bounded time while a transaction is in doubt", () => {
  const script = Script.complete(3, timingFor(5000));
  // T is in doubt at n2: its coordinator does not hear n1.
  script.ask(0, "T", write({ a: "1" }));
  while (script.deliver(0, 2));
  const isLost = (from: number, to: number) => from === 0 && to === 1;
  ask(script, 2, "S");
  const took: number[] = [];
  // Before any node suspects the coordinator.
  for (const end = script.now + 600; script.now < end;) {
    const began = script.now;
    const i = took.length;
    const label = `W${i}`;
    script.ask(2, label, write({ [`k${i}`]: "1" }));
    while (script.outcomes.get(label) === undefined && script.now < began + 3000) {
      script.wait(10);
      script.deliverAll(isLost);
    }
    took.push(script.now - began);
  }
  // Held back for 50 ms, then 100 and 200; in between, for as long each, no write waits.
  assert(Math.max(...took) <= 210, `a write took ${Math.max(...took)} ms`);
  assert(took.filter((ms) => ms <= 10).length > 20, `${took}`);
  assert((script.replicas[2]?.counters.holdsGivenUp ?? 0) > 0);
});

Deno.test("a snapshot leaves out what is prepared and aborts; one that is not the answer is given up", () => {
  const script = Script.complete();
  script.ask(0, "T0", write({ a: "0" }));
  script.deliverAll();
  script.ask(0, "T1", write({ a: "1", b: "1" }));
  script.deliver(0, 2);
  script.cut(0, 1);
  const request = ask(script, 2, "S");
  assertEquals(script.outcomes.get("S"), undefined, "it waits for T1");
  script.wait(4600);
  script.deliverAll();
  assertEquals(script.outcomes.get("T1")?.kind, "aborted");
  // It has waited for as long as a request may.
  assertEquals(script.outcomes.get("S")?.kind, "rejected");
  request.release();
  assertEquals(script.replicas[2]?.store.snapshots, 0);
  ask(script, 2, "S2");
  assertEquals(contents(script, "S2"), { a: "0" });
});

Deno.test("a snapshot that waits over a change of the view has its keys once, and is one", () => {
  const script = Script.complete(3, timingFor(5000));
  script.ask(1, "W0", write({ other: "0" }));
  script.deliverAll();
  for (let i = 0; i < 20; i++) {
    script.wait(20);
    script.deliverAll();
  }
  // T is prepared at n1 and n2 when its coordinator is killed.
  script.ask(0, "T", write({ a: "1", b: "2" }));
  while (script.deliver(0, 1));
  while (script.deliver(0, 2));
  script.kill(0);
  ask(script, 1, "S");
  assertEquals(script.outcomes.get("S"), undefined, "it waits for T");
  script.goOnUntil(() => script.outcomes.get("S") !== undefined);
  assertEquals(script.replicas[1]?.membership.view.number, 2);
  assertEquals(script.replicas[1]?.store.snapshots, 1, "the one that was begun first is given up");
  assertEquals(contents(script, "S"), { a: "1", b: "2", other: "0" });
});

Deno.test("a snapshot is not begun without the lease", () => {
  const script = Script.complete(3, timingFor(5000));
  script.goOnUntil(() => script.replicas[0]?.membership.mayRead(script.clocksOf(0)) === true);
  script.setClock(0, 60_000);
  ask(script, 0, "S");
  assertEquals(script.replicas[0]?.store.snapshots, 0);
  script.goOnUntil(() => script.outcomes.get("S") !== undefined);
  assertEquals(contents(script, "S"), {});
});

Deno.test("a snapshot has one moment of the cluster, whatever arrives when", () => {
  let waited = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed, 1);
    const script = Script.complete();
    // A client writes x, then y, each time the next number, each time anywhere: x is y or one more.
    let [written, asked] = [0, 0];
    const isAnswered = (label: string) => script.outcomes.get(label)?.kind === "answered";
    for (let turn = 0; turn < 400; turn++) {
      if (written === 0 || isAnswered(`W${written}`)) {
        written++;
        const key = written % 2 === 1 ? "x" : "y";
        const value = String(Math.ceil(written / 2));
        script.ask(random.integer(3), `W${written}`, write({ [key]: value }));
      }
      for (let i = 0; i < 3; i++) script.deliver(random.integer(3), random.integer(3));
      if (!random.chance(0.1)) continue;
      ask(script, random.integer(3), `S${++asked}`);
      if (!isAnswered(`S${asked}`)) waited++;
    }
    script.deliverAll();
    for (let i = 1; i <= asked; i++) {
      const { x = "0", y = "0" } = contents(script, `S${i}`) ?? {};
      const ahead = Number(x) - Number(y);
      assertEquals(ahead === 0 || ahead === 1, true, `seed ${seed}, S${i}: x ${x}, y ${y}`);
    }
  }
  assert(waited > 100, `only ${waited} had to wait`);
});
