/** Keys that expire: all nodes agree on it, because a deletion is committed first. */

import { assert, assertEquals } from "@std/assert";
import { MUST_WAIT } from "../../src/two_phase/replica.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import type { Outcome, WriteRequest } from "../../src/two_phase/request.ts";
import { read, Script, setIfAbsent } from "./script.ts";

/** Returns a request that gives `key` a value for `ms`. */
function setFor(key: string, value: string, ms: number): WriteRequest {
  return {
    kind: "write",
    keys: [key],
    evaluate: (_read, { nowMs }) => ({
      effects: [{ key, value, expiresAtMs: nowMs + ms }],
      reply: "OK",
    }),
  };
}

/** Heartbeats every 100 ms, and patience. */
const BEATING = timingFor(5000, {
  leaseMs: 1e9,
  suspicionMs: 1e9,
  heartbeatMs: 100,
  driftMax: 0.01,
});

/** 100 ms pass, with a round of heartbeats. */
function beat(script: Script): void {
  script.wait(100);
  script.deliverAll();
}

const answered = (reply: unknown): Outcome => ({ kind: "answered", reply });

function expiriesOf(script: Script): number[] {
  return script.replicas.map((replica) => replica.counters.expiries);
}

/** A cluster of three in which `k` has a value for 1 s. */
function begin(): Script {
  const script = Script.complete();
  script.ask(0, "set", setFor("k", "v", 1000));
  script.deliverAll();
  assertEquals(script.outcomes.get("set"), answered("OK"));
  return script;
}

Deno.test("a read before the time is answered at once; one after it only after a deletion", () => {
  const script = begin();
  script.wait(990);
  assertEquals(script.replicas[1]?.peek("k", script.clocksOf(1)), "v");
  script.wait(20);
  assertEquals(script.replicas[1]?.peek("k", script.clocksOf(1)), MUST_WAIT);
  script.ask(1, "get", read("k"));
  assertEquals(script.outcomes.get("get"), undefined);
  script.deliverAll();
  assertEquals(script.outcomes.get("get"), answered([null]));
  for (const { store } of script.replicas) assertEquals(store.get("k"), undefined);
  assertEquals(expiriesOf(script), [0, 1, 0]);
});

Deno.test("readers of one key share the deletion", () => {
  const script = begin();
  script.wait(1010);
  for (const name of ["a", "b", "c"]) script.ask(1, name, read("k"));
  script.ask(2, "d", read("k"));
  script.deliverAll();
  for (const name of ["a", "b", "c", "d"]) {
    assertEquals(script.outcomes.get(name), answered([null]), name);
  }
  assertEquals(script.replicas[1]?.counters.expiries, 1);
});

Deno.test("a read of several keys deletes what has expired of them, and reads the others", () => {
  const script = begin();
  script.ask(0, "set j", setFor("j", "w", 5000));
  script.deliverAll();
  script.wait(1010);
  script.ask(2, "get", read("j", "k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("get"), answered(["w", null]));
});

Deno.test("a write takes what has expired for gone, under its lock", () => {
  const script = begin();
  script.ask(1, "early", setIfAbsent("k", "new"));
  script.deliverAll();
  script.wait(1010);
  script.ask(1, "late", setIfAbsent("k", "new"));
  script.deliverAll();
  assertEquals(script.outcomes.get("early"), answered(false));
  assertEquals(script.outcomes.get("late"), answered(true));
  assertEquals(script.replicas[2]?.store.get("k")?.value, "new");
});

Deno.test("a write that finds a key expired and changes nothing deletes it before it answers", () => {
  const script = begin();
  script.wait(1010);
  const setIfThere: WriteRequest = {
    kind: "write",
    keys: ["k"],
    evaluate: (get) => ({ effects: [], reply: get("k") ?? "nothing there" }),
  };
  script.ask(1, "xx", setIfThere);
  assertEquals(script.outcomes.get("xx"), undefined);
  script.deliverAll();
  assertEquals(script.outcomes.get("xx"), answered("nothing there"));
  for (const { store } of script.replicas) assertEquals(store.get("k"), undefined);
});

Deno.test("an expiry survives a restart", () => {
  const script = begin();
  script.restart(1);
  script.settle();
  assertEquals(script.replicas[1]?.store.get("k")?.expiresAtMs, 1000 + 1000 + 200);
});

Deno.test("a node whose clock is ahead takes nothing for expired, and the others do in time", () => {
  const script = Script.complete(3, BEATING);
  script.setClock(2, 5000);
  beat(script);
  script.ask(0, "set", setFor("k", "v", 1000));
  script.deliverAll();
  script.ask(2, "early", read("k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("early"), answered(["v"]));
  assertEquals(script.replicas[2]?.membership.time.mayExpire(script.clocksOf(2)), false);
  for (let i = 0; i < 11; i++) beat(script);
  script.ask(2, "still", read("k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("still"), answered(["v"]), "it deletes nothing by itself");
  script.ask(1, "get", read("k"));
  script.deliverAll();
  script.ask(2, "late", read("k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("get"), answered([null]));
  assertEquals(script.outcomes.get("late"), answered([null]));
  assert(script.log.some((line) => line.includes("the clock is off by 5000 ms")));
});

Deno.test("a key that is set where the clock is behind lives as long as any other", () => {
  const script = Script.complete(3, BEATING);
  script.setClock(2, -60_000);
  beat(script);
  script.ask(2, "set", setFor("k", "v", 1000));
  script.deliverAll();
  for (let i = 0; i < 8; i++) beat(script);
  script.ask(0, "early", read("k"));
  script.deliverAll();
  for (let i = 0; i < 4; i++) beat(script);
  script.ask(0, "late", read("k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("early"), answered(["v"]));
  assertEquals(script.outcomes.get("late"), answered([null]));
});
