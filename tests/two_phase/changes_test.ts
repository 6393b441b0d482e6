/** What replicas tell of committed changes, for keyspace events and clients that track keys. */

import { assertEquals } from "@std/assert";
import { EVENT } from "../../src/key_events.ts";
import type { WriteRequest } from "../../src/two_phase/request.ts";
import { read, Script } from "./script.ts";

function write(key: string, value: string, more: { expiresInMs?: number; events?: string } = {}) {
  const { expiresInMs, events } = more;
  const request: WriteRequest = {
    kind: "write",
    keys: [key],
    evaluate: (_read, { nowMs }) => ({
      effects: [{
        key,
        value,
        ...expiresInMs === undefined ? {} : { expiresAtMs: nowMs + expiresInMs },
        ...events === undefined ? {} : { events },
      }],
      reply: "OK",
    }),
  };
  return request;
}

/** Takes what was told: of each change the node, its first effect, and whether the node had asked. */
function take(script: Script): [node: number, key?: string, events?: string, isOwn?: boolean][] {
  return script.changes.splice(0).map(({ node, effects, isOwn }) => [
    node,
    effects[0]?.key ?? "",
    effects[0]?.events ?? "-",
    isOwn,
  ]);
}

Deno.test("changes are reported when they are committed, once at each node that wants them", () => {
  const script = Script.complete();
  script.ask(0, "before", write("a", "1"));
  script.deliverAll();
  assertEquals(take(script), []);
  script.replicas[0]?.tellChanges(true);
  script.replicas[2]?.tellChanges(true);
  script.ask(0, "set", write("a", "2", { events: EVENT.append }));
  assertEquals(take(script), [], "it is not committed");
  script.deliverAll();
  assertEquals(take(script).toSorted(), [[0, "a", EVENT.append, true], [
    2,
    "a",
    EVENT.append,
    false,
  ]]);
  script.replicas[0]?.tellChanges(false);
  script.ask(1, "again", write("a", "3"));
  script.deliverAll();
  assertEquals(take(script), [[2, "a", "-", false]]);
});

Deno.test("a key that expires is reported once, and so is one that is written after that", () => {
  for (const isWritten of [false, true]) {
    const script = Script.complete();
    script.ask(0, "set", write("a", "1", { expiresInMs: 50 }));
    script.deliverAll();
    script.replicas[1]?.tellChanges(true);
    script.wait(60);
    for (const node of [0, 1, 2]) script.ask(node, `get ${node}`, read("a"));
    if (isWritten) script.ask(2, "write", write("b", "1"));
    script.deliverAll();
    const told = take(script).filter(([, key]) => key === "a");
    assertEquals(told.map(([, , events]) => events), [EVENT.expired]);
  }
});

Deno.test("a write that looks at nothing is reported to expire what it replaces, if that is over", () => {
  const both: WriteRequest = {
    kind: "write",
    keys: ["first", "a"],
    evaluate: () => ({ effects: [{ key: "a", value: "2" }], reply: "OK" }),
  };
  for (const [name, request] of [["alone", write("a", "2")], ["among others", both]] as const) {
    for (const isOver of [false, true]) {
      const script = Script.complete();
      script.replicas[1]?.tellChanges(true);
      script.ask(0, "set", write("a", "1", { expiresInMs: 50 }));
      script.deliverAll();
      take(script);
      script.wait(isOver ? 60 : 40);
      script.ask(2, "again", request);
      script.deliverAll();
      const events = isOver ? EVENT.expired + EVENT.set : "-";
      assertEquals(take(script), [[1, "a", events, false]], name);
      assertEquals(script.replicas[2]?.counters.expiries, isOver ? 1 : 0);
    }
  }
});

Deno.test("so does one that follows what it replaces before that is committed", () => {
  const script = Script.complete();
  script.replicas[1]?.tellChanges(true);
  script.ask(0, "set", write("a", "1", { expiresInMs: 5 }));
  script.wait(10);
  script.ask(0, "again", write("a", "2"));
  script.deliverAll();
  assertEquals(take(script).map(([, , events]) => events), ["-", EVENT.expired + EVENT.set]);
});
