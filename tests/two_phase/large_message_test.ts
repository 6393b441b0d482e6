/** A message that takes seconds to arrive makes no node suspect another. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

/** n0 sends n2 a prepare that takes 3 s to arrive. Returns whether a view change began meanwhile. */
function playSlowPrepare(says: { taken: boolean; part: boolean }): boolean {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 50; i++) {
    script.wait(20);
    script.deliverAll();
  }
  const promisedBefore = promised(script);
  script.ask(0, "W", write({ k: "1" }));
  for (const until = script.now + 3000; script.now < until;) {
    script.wait(20);
    script.deliverAll((from, to) => from === 0 && to === 2);
    if (says.taken) script.step(0, { type: "taken", peer: 2 });
    if (says.part) script.step(2, { type: "messagePart", from: 0 });
  }
  const hasBegun = promised(script) > promisedBefore;
  script.deliverAll();
  if (!hasBegun) assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  return hasBegun;
}

/** Returns the highest ballot that any node has promised. */
function promised(script: Script): number {
  return script.replicas.reduce((highest, replica) => {
    assert(replica !== undefined);
    return Math.max(highest, replica.membership.promised);
  }, 0);
}

Deno.test("a prepare that takes seconds to arrive changes no view", () => {
  assertEquals(playSlowPrepare({ taken: true, part: true }), false);
});

Deno.test("a member that neither receives a prepare nor answers it is suspected", () => {
  assertEquals(playSlowPrepare({ taken: false, part: true }), true);
});

Deno.test("a coordinator of which nothing arrives is suspected", () => {
  assertEquals(playSlowPrepare({ taken: true, part: false }), true);
});
