/** Versions of a key only grow, over deletions, joins, restarts and clocks that are off. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import type { Stamp } from "../../src/two_phase/messages.ts";
import { clocks, whyNotThisTime } from "../../src/clock.ts";
import { HybridClock } from "../../src/two_phase/hybrid_clock.ts";
import { Script, write } from "./script.ts";

/** Three nodes; n2 has given a stamp that is a minute ahead of the clocks, and n0 was down then. */
function rejoined(): { script: Script; run: (node: number, value: string | undefined) => Stamp } {
  const script = Script.complete(3, timingFor(5000));
  const versions: Stamp[] = [];
  for (const replica of script.replicas) follow(replica.store);
  let count = 0;
  const run = (node: number, value: string | undefined) => {
    const label = `write ${++count}`;
    script.ask(node, label, write({ x: value }));
    script.goOnUntil(() => script.outcomes.get(label) !== undefined);
    assertEquals(script.outcomes.get(label), { kind: "answered", reply: "OK" });
    script.deliverAll();
    return versions.at(-1) ?? 0;
  };
  const isWhole = (view: number, ...nodes: number[]) => () =>
    nodes.every((node) => {
      const membership = script.replicas[node]?.membership;
      return membership?.view.number === view && membership.mayWrite &&
        membership.mayRead(script.clocksOf(node));
    });
  script.kill(0);
  script.goOnUntil(isWhole(2, 1, 2));
  script.replicas[2]?.context.clock.observe((script.now + 60_000) * 1000);
  run(2, "old");
  run(2, undefined);
  script.start(0);
  const started = script.replicas[0];
  assert(started !== undefined);
  follow(started.store);
  script.goOnUntil(isWhole(3, 0, 1, 2));
  return { script, run };

  function follow(store: Script["replicas"][number]["store"]): void {
    const original = store.write.bind(store);
    store.write = (entry, value, version) => {
      if (version > 0) versions.push(version);
      original(entry, value, version);
    };
  }
}

Deno.test("a node that has joined gives a deleted key a later version than the deletion had", () => {
  const { script, run } = rejoined();
  const deletion = script.replicas[1]?.context.clock.last ?? 0;
  assert(deletion > (script.now + 30_000) * 1000, "the stamps are ahead of the clocks");
  assertEquals(script.replicas[1]?.store.get("x"), undefined, "the key left nothing behind");
  assert(run(0, "new") > deletion);
});

Deno.test("a node that has joined and starts again gives no earlier version either", () => {
  const { script, run } = rejoined();
  const deletion = script.replicas[1]?.context.clock.last ?? 0;
  script.restart(0);
  script.goOnUntil(() => script.replicas[0]?.membership.mayWrite === true);
  assert(run(0, "new") > deletion);
});

Deno.test("a checkpoint of a node that has joined carries the clock", () => {
  const { script } = rejoined();
  const deletion = script.replicas[1]?.context.clock.last ?? 0;
  const stamps = script.replicas[0]?.checkpoint()
    .flatMap((record) => record.type === "clock" ? [record.stamp] : []) ?? [];
  assert(Math.max(...stamps) >= deletion);
});

Deno.test("a commit that comes again after a restart writes nothing older than the checkpoint holds", () => {
  const script = Script.complete(3, timingFor(5000));
  script.ask(0, "T1", write({ k: "1" }));
  script.ask(0, "T2", write({ k: "2" }));
  script.deliverAll((from, to) => from === 1 && to === 0);
  const { store } = script.replicas[0] ?? {};
  assertEquals(
    store?.get("k")?.version ?? 0,
    0,
    "both are prepared at n1, and its votes are under way",
  );
  script.restart(1, []);
  const restarted = script.replicas[1]?.store;
  assert(restarted !== undefined);
  // A checkpoint reads each key when it comes to it. When it came to this one, both were committed; and
  // the records that say so were lost in the crash.
  const prepared = script.replicas[1]?.context.transactions.of(0) ?? [];
  const stamps = [...prepared].map(([, known]) =>
    typeof known === "string" ? 0 : known.prepare?.version ?? 0
  );
  assertEquals(stamps.length, 2);
  const entry = restarted.entryOf("k");
  restarted.write(entry, "2", Math.max(...stamps));
  const written: Stamp[] = [];
  const original = restarted.write.bind(restarted);
  restarted.write = (one, value, version) => {
    written.push(version);
    original(one, value, version);
  };
  script.connect(0, 1);
  script.connect(1, 2);
  script.goOnUntil(() => script.outcomes.get("T2") !== undefined);
  script.deliverAll();
  assertEquals(script.outcomes.get("T2"), { kind: "answered", reply: "OK" });
  assertEquals(restarted.get("k")?.value, "2");
  assertEquals(written, []);
});

Deno.test("stamps can be written and read again, however far ahead the clock is", () => {
  const late = Date.UTC(2256, 0, 1);
  const clock = new HybridClock();
  const stamps = Array.from({ length: 1000 }, (_, i) => clock.tick(late + i));
  assertEquals(stamps.every((stamp) => Number.isSafeInteger(stamp)), true);
  assertEquals(new Set(stamps).size, stamps.length, "each is higher than those before");
  const said = whyNotThisTime({ monotonicMs: 0, wallMs: late });
  assertEquals(
    said,
    "the clock of this machine shows 2256-01-01T00:00:00.000Z, and dks works until " +
      "2112-09-17T23:53:47.370Z: set the clock, and start the node again",
  );
  assertEquals(whyNotThisTime({ monotonicMs: late, wallMs: 0 }), said);
  assertEquals(whyNotThisTime(clocks()), undefined);
});
