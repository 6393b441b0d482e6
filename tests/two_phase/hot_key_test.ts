/**
 * One key that the clients of all nodes write.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { append, Script } from "./script.ts";

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
