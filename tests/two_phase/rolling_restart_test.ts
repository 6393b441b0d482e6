/** A planned restart of one node after the other: no node waits for a lease that was given up. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, read, Script, write } from "./script.ts";

/** Longest pause that a planned restart may make, in milliseconds. */
const PAUSE_MS_MAX = 300;

/** A cluster with a writer and a reader at each node that is up. */
class Served {
  readonly script: Script;
  readonly nodes: number;
  longestMs = 0;
  #servedAt: number;
  #asked = 0;

  constructor(nodes: number) {
    this.nodes = nodes;
    this.script = Script.complete(nodes, timingFor(5000));
    this.#servedAt = this.script.now;
  }

  /** Goes on for 10 ms at a time, with requests at all nodes, until `isOver`. */
  until(isOver: () => boolean): void {
    const { script } = this;
    for (let i = 0; !isOver(); i++) {
      assert(i < 1000, "it has not come to that in 10 s");
      for (let index = 0; index < this.nodes; index++) {
        this.#asked++;
        script.ask(index, `W${this.#asked}`, write({ [`k${this.#asked % 3}`]: "1" }));
        script.ask(index, `R${this.#asked}`, read("k0"));
      }
      script.wait(10);
      script.deliverAll();
      const isServed = [...script.outcomes].some(([label, { kind }]) =>
        label.startsWith("W") && kind === "answered"
      );
      script.outcomes.clear();
      script.log.length = 0;
      if (isServed) this.#servedAt = script.now;
      this.longestMs = Math.max(this.longestMs, script.now - this.#servedAt);
    }
  }
}

for (const nodes of [3, 5]) {
  Deno.test(`${nodes} nodes restart one right after the other without a pause`, () => {
    const served = new Served(nodes);
    const { script } = served;
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < nodes; index++) {
        script.step(index, { type: "leave" });
        const others = [...script.replicas.keys()].filter((other) => other !== index);
        const isOut = (other: number) =>
          (node(script, other).membership.members & (1 << index)) === 0;
        served.until(() => others.every(isOut));
        script.kill(index);
        script.start(index);
        served.until(() => script.replicas.every(({ membership }) => membership.mayWrite));
      }
    }
    assert(served.longestMs <= PAUSE_MS_MAX, `nothing was written for ${served.longestMs} ms`);
    const waited = script.replicas.reduce((sum, { counters }) => sum + counters.leasesWaitedFor, 0);
    assertEquals(waited, 0);
  });
}

Deno.test("a member that stops while the others are too few changes no view", () => {
  const served = new Served(3);
  const { script } = served;
  script.kill(2);
  const viewOf = (index: number) => node(script, index).membership.view;
  served.until(() => [0, 1].every((index) => viewOf(index).members === 0b011));
  const before = viewOf(0).number;
  const attempts = () => [0, 1].reduce((sum, i) => sum + node(script, i).counters.viewAttempts, 0);
  const tried = attempts();
  script.step(1, { type: "leave" });
  for (const end = script.now + 1000; script.now < end;) {
    script.wait(10);
    script.deliverAll();
  }
  assertEquals([0, 1].map((index) => viewOf(index).number), [before, before]);
  assertEquals(attempts(), tried);
});
