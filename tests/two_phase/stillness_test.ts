/** A process that stood still neither accuses the others of it, nor can it overlook them for good. */

import { assert, assertEquals } from "@std/assert";
import type { ProtocolEvent } from "../../src/two_phase/outbox.ts";
import { Stillness } from "../../src/two_phase/stillness.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

function eventsOf(script: Script, node: number): ProtocolEvent[] {
  const events: ProtocolEvent[] = [];
  const outbox = script.replicas[node]?.context.outbox;
  assert(outbox !== undefined);
  const report = outbox.report.bind(outbox);
  outbox.report = (event) => {
    events.push(event);
    report(event);
  };
  return events;
}

/** Lets time pass in turns of `turnMs`. */
function run(script: Script, ms: number, turnMs = 20): void {
  for (const until = script.now + ms; script.now < until;) {
    script.wait(turnMs);
    script.deliverAll();
  }
}

Deno.test("Stillness.msSince() takes off what the process stood still, up to a bound", () => {
  const stillness = new Stillness(1000);
  const moment = stillness.moment(100);
  assertEquals(stillness.msSince(moment, 350), 250);
  stillness.addStandstill(200);
  assertEquals(stillness.msSince(moment, 350), 50);
  stillness.addStandstill(5000);
  assertEquals(stillness.msSince(moment, 5600), 4500);
  assertEquals(stillness.msSince(stillness.moment(5600), 5601), 1);
});

Deno.test("a node that stood still with a write under way accuses no other", () => {
  const script = Script.complete(3, timingFor(5000));
  run(script, 1000);
  const events = eventsOf(script, 0);
  script.ask(0, "W", write({ k: "1" }));
  script.pause(0, 1300);
  script.step(0, { type: "tick" });
  assertEquals(events.filter(({ type }) => type === "viewChangeBegins"), []);
  script.deliverAll();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
});

Deno.test("a node that stood still while its disk forced does not say that the disk hangs", () => {
  const script = Script.complete(3, timingFor(5000));
  run(script, 1000);
  script.forcesAtOnce = false;
  script.ask(0, "W", write({ k: "1" }));
  script.pause(0, 1300);
  script.step(0, { type: "tick" });
  assertEquals(script.replicas[0]?.membership.isStuck(script.now), false);
});

Deno.test("a node whose every turn is long still notices that another one is gone", () => {
  const script = Script.complete(3, timingFor(5000));
  run(script, 1000);
  script.kill(2);
  const began = script.now;
  const isOut = () => (script.replicas[0]?.membership.view.number ?? 0) > 1;
  while (!isOut() && script.now < began + 60_000) run(script, 250, 250);
  assert(script.now - began <= 5000, `after ${script.now - began} ms`);
});
