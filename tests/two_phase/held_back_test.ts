/** What a node keeps while it waits, and that it begins nothing twice on a slow disk. */

import { assert, assertEquals } from "@std/assert";
import type { ControlMessage } from "../../src/two_phase/messages.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

Deno.test("a node that does not take part yet keeps the last message of each type and peer", () => {
  const script = Script.complete(5, timingFor(5000));
  script.ask(0, "W", write({ k: "1" }));
  for (let i = 0; i < 100; i++) {
    script.wait(20);
    script.deliverAll();
  }
  for (const index of [0, 2, 3]) script.kill(index);
  script.restart(4, [1]);
  const replica = script.replicas[4];
  assert(replica !== undefined);
  const say = (message: ControlMessage) => script.step(4, { type: "message", from: 1, message });
  const handled: number[] = [];
  const { lease } = replica.membership;
  for (let ballot = 100; ballot < 2000; ballot++) {
    say({ type: "viewPrepare", view: 1, ballot: ballot * 32 + 1 });
    say({ type: "heartbeatAcknowledged", view: 1, incarnation: 2, round: ballot, wallMs: 1000 });
  }
  lease.acknowledge = (_from, round) => {
    handled.push(round);
    return undefined;
  };
  assertEquals(replica.membership.promised, replica.membership.view.ballot);
  for (const index of [0, 2]) script.start(index, [4]);
  assertEquals(replica.membership.isVerified, true);
  // Of 1,900 it has heeded the last one, and no old acknowledgement.
  assertEquals(replica.membership.promised, 1999 * 32 + 1);
  assertEquals(replica.counters.promises, 1);
  assertEquals(handled, []);
});

Deno.test("the first view is begun once, however long its record takes", () => {
  const script = new Script(3, { timing: timingFor(5000) });
  script.forcesAtOnce = false;
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) script.connect(a, b);
  for (let i = 0; i < 400; i++) {
    script.wait(20);
    script.deliverAll();
    // A force takes 160 ms at each node.
    if (i % 8 === 7) {
      for (const index of [0, 1, 2]) {
        while (script.forcesUnderWay(index) > 0) script.completeForce(index);
      }
    }
  }
  assertEquals(script.replicas.map(({ membership }) => membership.view.number), [1, 1, 1]);
  const attempts = script.replicas.map(({ counters }) => counters.viewAttempts);
  // All of them may begin before they hear of each other; none begins again.
  assert(Math.max(...attempts) <= 1, `${attempts}`);
});
