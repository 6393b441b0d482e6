/** FLUSHALL: all keys go in one write that names none of them. */

import { assert, assertEquals } from "@std/assert";
import { EVERYTHING } from "../../src/reserved_keys.ts";
import { MUST_WAIT } from "../../src/two_phase/replica.ts";
import type { Outcome } from "../../src/two_phase/request.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Store } from "../../src/two_phase/store.ts";
import { append, read, Script, write } from "./script.ts";

const CLEAR = write({ [EVERYTHING]: undefined });
const TOKEN = "\0dks:once:t";

const answered = (reply: unknown): Outcome => ({ kind: "answered", reply });

function sizes(script: Script): number[] {
  return script.replicas.map(({ store }) => store.size);
}

function begin(): Script {
  const script = Script.complete();
  script.ask(0, "set", write({ a: "1", b: "2", [TOKEN]: "kept" }));
  script.deliverAll();
  return script;
}

Deno.test("all keys go at all nodes, the reserved ones stay, and later writes stand", () => {
  const script = begin();
  script.ask(1, "clear", CLEAR);
  assertEquals(script.replicas[1]?.peek("a", script.clocksOf(1)), MUST_WAIT);
  script.deliverAll();
  assertEquals(script.outcomes.get("clear"), answered("OK"));
  assertEquals(sizes(script), [0, 0, 0]);
  for (const { store } of script.replicas) assertEquals(store.get(TOKEN)?.value, "kept");
  script.ask(2, "after", append("a", "x"));
  script.deliverAll();
  assertEquals(script.outcomes.get("after"), answered("x"));
  assertEquals(sizes(script), [1, 1, 1]);
  assertEquals(script.replicas.map(({ locks }) => locks.size), [0, 0, 0]);
});

Deno.test("it waits for writes under way, and later writes wait for it", () => {
  const script = begin();
  script.ask(0, "before", append("a", "x"));
  script.ask(0, "clear", CLEAR);
  script.ask(0, "after", append("a", "y"));
  script.ask(0, "read", read("b"));
  script.deliverAll();
  assertEquals(script.outcomes.get("before"), answered("1x"));
  assertEquals(script.outcomes.get("clear"), answered("OK"));
  assertEquals(script.outcomes.get("after"), answered("y"));
  assertEquals(sizes(script), [1, 1, 1]);
});

Deno.test("two nodes that clear and write at once come to an end, and agree", () => {
  const script = begin();
  for (const node of [0, 1, 2]) {
    script.ask(node, `write ${node}`, append("a", String(node)));
    script.ask(node, `clear ${node}`, CLEAR);
    script.ask(node, `more ${node}`, append("b", String(node)));
  }
  script.goOnUntil(() => script.outcomes.size === 10);
  script.settle();
  for (const node of [0, 1, 2]) {
    assertEquals(script.outcomes.get(`clear ${node}`), answered("OK"));
  }
  const [first, ...others] = script.replicas.map(({ store }) =>
    [...store.entries()].map(({ key }) => store.recordOf(key)).sort((x, y) =>
      x.key < y.key ? -1 : 1
    )
  );
  for (const other of others) assertEquals(other, first);
  assertEquals(script.replicas.map(({ locks }) => locks.size), [0, 0, 0]);
});

Deno.test("a restart brings back what was written after it, and nothing from before", () => {
  const script = begin();
  script.ask(0, "clear", CLEAR);
  script.deliverAll();
  script.ask(0, "c", write({ c: "3" }));
  script.deliverAll();
  script.restart(1);
  script.settle();
  assertEquals(sizes(script), [1, 1, 1]);
  assertEquals(script.replicas[1]?.store.get(TOKEN)?.value, "kept");
});

Deno.test("a replay over a store that is newer keeps what was written later", () => {
  const store = new Store(0);
  store.trackChanges();
  store.restore({ key: "old", value: "1", version: 1 });
  store.restore({ key: "new", value: "2", version: 9, expiresAtMs: 77 });
  store.takeChanged();
  store.write(store.entryOf(EVERYTHING), undefined, 5);
  assertEquals([store.size, store.expiring, store.bytes], [1, 1, 4]);
  assertEquals(store.recordOf("new").value, "2");
  assertEquals([...store.takeChanged()], ["new"], "the next checkpoint has all that holds");
  assertEquals([store.takeCleared(), store.takeCleared()], [true, false]);
});

Deno.test("a snapshot of before has all keys still", () => {
  const store = new Store(0);
  for (const key of ["a", "b"]) store.restore({ key, value: key, version: 1 });
  const snapshot = store.snapshot();
  store.write(store.entryOf(EVERYTHING), undefined, 5);
  store.restore({ key: "a", value: "later", version: 6 });
  const found: string[] = [];
  while (snapshot.read(10, ({ value }) => found.push(value) === 0));
  assertEquals(found.sort(), ["a", "b"]);
});

Deno.test("a joiner starts again if all keys are deleted while it is sent them", () => {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 30; i++) {
    script.ask(0, `set ${i}`, write({ [`k${i}`]: "v".repeat(50_000) }));
    script.deliverAll();
  }
  script.wipe(2);
  script.deliverUntil(() => (script.replicas[2]?.chunksReceived ?? 0) >= 3);
  const before = script.replicas.map(({ counters }) => counters.transfers);
  script.ask(0, "clear", CLEAR);
  script.goOnUntil(() => script.replicas[2]?.membership.isMember === true);
  script.settle();
  assertEquals(script.outcomes.get("clear"), answered("OK"));
  assertEquals(sizes(script), [0, 0, 0]);
  const after = script.replicas.map(({ counters }) => counters.transfers);
  assert(after.some((count, node) => count > (before[node] ?? 0)));
});

Deno.test("Store.clear() leaves to a checkpoint only what was written since: nothing stored holds", () => {
  const store = new Store(0);
  store.restore({ key: "a", value: "1", version: 1 });
  store.clear();
  assertEquals(store.isCleared, false, "nothing of it is stored before a recovery has ended");
  store.restore({ key: "b", value: "1", version: 1 });
  store.trackChanges();
  store.restore({ key: "c", value: "1", version: 1 });
  store.clear();
  store.restore({ key: "d", value: "1", version: 1 });
  assertEquals([store.isCleared, store.takeCleared(), store.isCleared], [true, true, false]);
  assertEquals([...store.takeChanged()], ["d"]);
});
