/** The lease: two clocks, and a proposer that waits for longer than any lease can hold. */

import { assert, assertEquals } from "@std/assert";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { CLOCK_GAP_MS_MAX, Lease, LeaseTerm, leaseWaitMs } from "../../src/two_phase/lease.ts";
import { only } from "../../src/two_phase/node_set.ts";
import { Quorum } from "../../src/two_phase/quorum.ts";
import { bothAt, read, Script, write } from "./script.ts";

const SENT_AT: Clocks = { monotonicMs: 5_000, wallMs: 1_700_000_000_000 };

/** Both clocks, so much later than {@linkcode SENT_AT}. */
function after(monotonicMs: number, wallMs = monotonicMs): Clocks {
  return { monotonicMs: SENT_AT.monotonicMs + monotonicMs, wallMs: SENT_AT.wallMs + wallMs };
}

for (
  const { what, at, holds } of [
    { what: "both clocks are within it", at: after(999), holds: true },
    { what: "both clocks are beyond it", at: after(1000), holds: false },
    { what: "the wall clock alone is beyond it", at: after(990, 1001), holds: false },
    { what: "the monotonic clock alone is beyond it", at: after(1001, 990), holds: false },
    { what: "the machine was suspended", at: after(100, 8_100), holds: false },
    { what: "the wall clock was set back", at: after(900, -60_000), holds: false },
    { what: "the clocks differ by what is allowed", at: after(500, 550), holds: true },
    { what: "the clocks differ by more", at: after(500, 551), holds: false },
  ]
) {
  Deno.test(`LeaseTerm.holds() is ${holds} when ${what}`, () => {
    assertEquals(CLOCK_GAP_MS_MAX, 50);
    assertEquals(new LeaseTerm(SENT_AT, 1000).holds(at), holds);
  });
}

Deno.test("LeaseTerm.holds() is true at any time for a node alone", () => {
  const alone = new Lease(1000);
  alone.begin({ sentAt: SENT_AT, own: only(0), quorum: new Quorum(only(0)) });
  assert(alone.holds(after(1e9, -1e9)));
});

Deno.test("a clock that was set back, and a sleep of the same length, revive no lease", () => {
  const quorum = new Quorum(only(0) | only(1) | only(2));
  const lease = new Lease(1000);
  const first = lease.begin({ sentAt: SENT_AT, own: only(0), quorum });
  lease.acknowledge(1, first);
  const second = lease.begin({ sentAt: after(100), own: only(0), quorum });
  assert(lease.holds(after(100)));
  // The wall clock is set back by 2 s, and a tick sees that.
  lease.endIfClocksParted(after(120, -1880));
  // The machine sleeps for 2 s: the monotonic clock stands still, and both agree again.
  assertEquals(lease.holds(after(130, 130)), false);
  lease.acknowledge(1, second);
  assertEquals(lease.holds(after(140, 140)), false, "nor does a round from before that");
  const alone = new Lease(1000);
  alone.begin({ sentAt: SENT_AT, own: only(0), quorum: new Quorum(only(0)) });
  alone.endIfClocksParted(after(120, -1880));
  assert(alone.holds(after(130)));
});

Deno.test("leaseWaitMs() outlasts a lease when both clocks are off by the bound", () => {
  const { leaseMs, driftMax } = timingFor(5000);
  assertEquals(driftMax, 0.1);
  // By true time: the holder's clock is slow, the proposer's fast.
  const heldMs = leaseMs / (1 - driftMax);
  const waitedMs = leaseWaitMs({ leaseMs, driftMax }) / (1 + driftMax);
  assert(waitedMs >= heldMs - 1e-9, `${waitedMs} ms are waited for ${heldMs} ms`);
});

/** A node with a lease, whose machine then sleeps while the others go on and write. */
function sleeper(): Script {
  const script = Script.complete(3, timingFor(5000));
  script.ask(0, "old", write({ k: "old" }));
  script.deliverAll();
  script.goOnUntil(() => script.replicas[2]?.membership.mayRead(script.clocksOf(2)) === true);
  script.suspend(2, 8000);
  script.ask(0, "new", write({ k: "new" }));
  script.deliverAll((from, to) => from === 2 || to === 2);
  assertEquals(script.outcomes.get("new"), { kind: "answered", reply: "OK" });
  return script;
}

Deno.test("a node that was suspended answers no read from the lease of before", () => {
  const script = sleeper();
  // It has taken in nothing yet: by its own monotonic clock, no time has passed.
  script.ask(2, "R", read("k"));
  assertEquals(script.outcomes.get("R"), undefined);
  assert(typeof script.replicas[2]?.peek("k", script.clocksOf(2)) === "symbol");
  // It finds that the others have gone on without it, joins again, and has what they have.
  script.goOnUntil(() => script.replicas[2]?.membership.mayRead(script.clocksOf(2)) === true);
  assertEquals(script.outcomes.get("R")?.kind, "rejected");
  script.ask(2, "R2", read("k"));
  assertEquals(script.outcomes.get("R2"), { kind: "answered", reply: ["new"] });
});

Deno.test("acknowledgements from before a suspension make no lease after it", () => {
  const script = Script.complete(3, timingFor(5000));
  const replica = script.replicas[2];
  assert(replica !== undefined);
  // A round leaves, and its acknowledgements wait on the links while n2 sleeps.
  const toSleeper = (_from: number, to: number) => to === 2;
  for (let i = 0; i < 11; i++) {
    script.wait(20);
    script.deliverAll(toSleeper);
  }
  script.suspend(2, 8000);
  while (script.deliver(0, 2) || script.deliver(1, 2));
  assertEquals(replica.membership.mayRead(script.clocksOf(2)), false);
});

for (const ms of [60_000, -60_000]) {
  Deno.test(`a wall clock that is set by ${ms} ms ends the lease, and the next round brings another`, () => {
    const script = Script.complete(3, timingFor(5000));
    const replica = script.replicas[1];
    const mayRead = () => replica?.membership.mayRead(script.clocksOf(1)) === true;
    script.goOnUntil(mayRead);
    script.setClock(1, ms);
    assertEquals(mayRead(), false);
    script.goOnUntil(mayRead);
    // It is a whole lease.
    const { monotonicMs, wallMs } = script.clocksOf(1);
    const later = { monotonicMs: monotonicMs + 700, wallMs: wallMs + 700 };
    assertEquals(replica?.membership.mayRead(later), true);
  });
}

Deno.test("a proposer installs a view without a reader only after its lease", () => {
  const timing = timingFor(5000);
  const script = Script.complete(3, timing);
  const proposer = script.replicas[0];
  script.goOnUntil(() => script.replicas[2]?.membership.mayRead(script.clocksOf(2)) === true);
  for (const peer of [0, 1]) script.cut(peer, 2);
  let promisedAt = 0;
  script.goOnUntil(() => {
    if (promisedAt === 0 && proposer?.membership.isFrozen === true) promisedAt = script.now;
    return proposer?.membership.view.number === 2;
  });
  const waited = script.now - promisedAt;
  assert(waited >= leaseWaitMs(timing), `it has waited for ${waited} ms`);
  assertEquals(bothAt(script.now), script.clocksOf(0));
});
