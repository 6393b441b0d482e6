/** How long writes take, by phase, and why attempts are aborted. */

import { assert, assertEquals } from "@std/assert";
import type { Replica } from "../../src/two_phase/replica.ts";
import { Script, write } from "./script.ts";

function replicaOf(script: Script, node = 0): Replica {
  const replica = script.replicas[node];
  assert(replica !== undefined);
  return replica;
}

Deno.test("Replica.writeTimes tells each phase of a write apart", () => {
  const script = Script.complete();
  script.forcesAtOnce = false;
  script.ask(0, "W1", write({ k: "1" }));
  script.wait(10);
  script.completeForce(0);
  const { locks, force, votes, whole } = replicaOf(script).writeTimes;
  assertEquals([locks.count, force.count, whole.count], [0, 1, 0]);
  assertEquals(force.sum, 10);
  script.wait(30);
  script.deliver(0, 1);
  script.deliver(0, 2);
  script.completeForce(1);
  script.completeForce(2);
  script.deliverAll();
  assertEquals([locks.count, votes.count, whole.count], [1, 1, 1]);
  assertEquals([locks.sum, votes.sum, whole.sum], [0, 40, 40]);
});

Deno.test("Replica.writeTimes counts the time until a lock is free as such", () => {
  const script = Script.complete();
  script.ask(0, "W1", write({ k: "1" }));
  script.deliverAll((from) => from === 2);
  script.ask(1, "W2", write({ k: "2" }));
  script.wait(50);
  script.deliverAll();
  script.goOnUntil(() => script.outcomes.size === 2);
  const { locks, whole } = replicaOf(script, 1).writeTimes;
  assertEquals(whole.count, 1);
  assert(locks.sum >= 50, `it waited for ${locks.sum} ms`);
});

Deno.test("Replica.writeTimes counts aborts by their reason", () => {
  const script = Script.complete();
  // The younger of the two meets the older one at the third node, and dies there.
  script.ask(0, "old", write({ k: "1" }));
  script.wait(1);
  script.ask(1, "young", write({ k: "2" }));
  script.deliver(0, 2);
  script.deliver(1, 2);
  script.deliverAll();
  script.goOnUntil(() => script.outcomes.size === 2);
  const aborts = replicaOf(script, 1).writeTimes.aborts;
  assert(aborts.conflict > 0, JSON.stringify(aborts));
  assertEquals(replicaOf(script, 1).counters.aborts, aborts.conflict);
});
