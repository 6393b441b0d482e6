/** The choice of a view while forces take long: what has been promised and accepted is waited for. */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, Script } from "./script.ts";

/** The disks of a script's nodes: each writes what was asked for so far, then what came meanwhile. */
class SlowDisks {
  readonly #script: Script;
  readonly #forceMs: number;
  /** By node: when the force that is being made ends, and how many of those asked for it completes. */
  readonly #making: ({ endsAt: number; count: number } | undefined)[] = [];

  constructor(script: Script, forceMs: number) {
    this.#script = script;
    this.#forceMs = forceMs;
    script.forcesAtOnce = false;
  }

  onTime(): void {
    const { now, replicas } = this.#script;
    for (const index of replicas.keys()) {
      const making = this.#making[index];
      if (making !== undefined && now >= making.endsAt) {
        this.#making[index] = undefined;
        for (let i = 0; i < making.count; i++) this.#script.completeForce(index);
      }
      const count = this.#script.forcesUnderWay(index);
      if (count > 0) this.#making[index] ??= { endsAt: now + this.#forceMs, count };
    }
  }
}

/** Runs until `isOver`, for at most `ms`; returns how long it took. */
function run(
  script: Script,
  { disks, ms, isOver }: { disks: SlowDisks; ms: number; isOver: () => boolean },
): number {
  const beganAt = script.now;
  while (!isOver() && script.now - beganAt < ms) {
    script.wait(20);
    script.deliverAll();
    disks.onTime();
  }
  return script.now - beganAt;
}

for (const forceMs of [50, 400, 800]) {
  Deno.test(`a view is chosen while forces take ${forceMs} ms`, () => {
    const script = Script.complete(3, timingFor(5000));
    const disks = new SlowDisks(script, forceMs);
    script.kill(2);
    const isOver = () => [0, 1].every((index) => node(script, index).membership.mayWrite);
    const took = run(script, { disks, ms: 60_000, isOver });
    assertEquals(node(script, 0).membership.members, 0b011);
    const attempts = script.log.filter((line) => line.includes("begins ballot")).length;
    assert(took < 4000 + 6 * forceMs, `it took ${took} ms, in ${attempts} attempts`);
  });
}
