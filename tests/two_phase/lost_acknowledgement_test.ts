/** An acknowledgement that is lost with its link keeps no request waiting. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

Deno.test("what all members have settled is acknowledged, whatever was lost", () => {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 50; i++) {
    script.wait(20);
    script.deliverAll();
  }
  const all = (from: number, to: number) => {
    while (script.deliver(from, to));
  };
  // n2 refuses T1, as the older T2 holds its key there: n0 aborts it, and all nodes know.
  script.ask(2, "T2", write({ k: "2" }));
  script.wait(5);
  script.ask(0, "T1", write({ k: "1" }));
  for (const [from, to] of [[0, 1], [0, 2], [2, 0], [0, 1], [0, 2], [2, 0]] as const) all(from, to);
  // What n1 has said to it is lost. Behind the new link, n1's word of what is settled comes first.
  script.cut(0, 1);
  script.connect(0, 1);
  all(2, 0);
  script.step(2, { type: "tick" });
  all(2, 0);
  all(0, 1);
  script.step(1, { type: "tick" });
  all(1, 0);
  const began = script.now;
  script.ask(0, "T3", write({ k: "3" }));
  while (
    ["T1", "T3"].some((label) => script.outcomes.get(label) === undefined) &&
    script.now < began + 5000
  ) {
    script.wait(20);
    all(1, 0);
    script.deliverAll();
  }
  for (const label of ["T1", "T2", "T3"]) {
    assertEquals(script.outcomes.get(label), { kind: "answered", reply: "OK" }, label);
  }
  assert(script.now - began < 500, `${script.now - began} ms`);
});
