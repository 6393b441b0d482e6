/** A slow disk: it is named, and left out if that is wanted and a majority is fast. */

import { assert, assertEquals } from "@std/assert";
import { SlowMembers, type SlownessChange } from "../../src/two_phase/slow_members.ts";
import { timingFor, VIEW_TIMING } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

const EXCLUDING = timingFor(5000, { ...VIEW_TIMING, excludesSlow: true });
const WARNING = timingFor(5000);

Deno.test("SlowMembers.ownForceMs is no more than the bound after one slow force", () => {
  const slow = new SlowMembers({ self: 0, timing: WARNING, startedAt: 0 });
  slow.onForced(1000, 1000);
  assert(slow.ownForceMs <= WARNING.slowForceMs);
  for (let i = 1; i < 5; i++) slow.onForced(300, 1000 + i * 300);
  assert(slow.ownForceMs > WARNING.slowForceMs);
  assert(!slow.isProbeDue(2300));
  assert(slow.isProbeDue(2800));
});

Deno.test("SlowMembers.onTold() takes a node for fast only after it was so for long enough", () => {
  const slow = new SlowMembers({ self: 0, timing: EXCLUDING, startedAt: 0 });
  const changes: (SlownessChange | undefined)[] = [];
  const tell = (forceMs: number, now: number) => changes.push(slow.onTold(2, forceMs, now));
  tell(100, 0);
  tell(101, 200);
  tell(300, 400);
  assertEquals(slow.toLeaveOut, 0b100);
  tell(5, 600);
  tell(5, 10_300);
  assert(slow.isSlow(2));
  tell(5, 10_400);
  assertEquals(slow.toLeaveOut, 0);
  assertEquals(changes.flatMap((change) => change === undefined ? [] : [change.isSlow]), [
    true,
    false,
  ]);
});

/** Five nodes, of which those that are `slow` take 300 ms for a force. n0 writes without end. */
class Cluster {
  readonly script: Script;
  slow: readonly number[];
  #writes = 0;
  /** By node: when the force under way began. */
  readonly #began = new Map<number, number>();

  constructor(timing: typeof WARNING, slow: readonly number[]) {
    this.script = Script.complete(5, timing);
    this.script.forcesAtOnce = false;
    this.slow = slow;
  }

  goOn(ms: number): void {
    const { script } = this;
    const end = script.now + ms;
    while (script.now < end) {
      script.wait(20);
      if (this.#writes === 0 || script.outcomes.has(`W${this.#writes}`)) {
        script.ask(0, `W${++this.#writes}`, write({ k: String(this.#writes) }));
      }
      for (let i = 0; i < 4; i++) {
        script.deliverAll();
        for (let node = 0; node < 5; node++) this.#force(node);
      }
    }
  }

  #force(node: number): void {
    const { script } = this;
    if (script.forcesUnderWay(node) === 0) this.#began.delete(node);
    else {
      const began = this.#began.get(node) ?? script.now;
      this.#began.set(node, began);
      if (this.slow.includes(node) && script.now - began < 300) return;
      script.completeForce(node);
      this.#began.delete(node);
    }
  }

  get members(): number | undefined {
    return this.script.replicas[1]?.membership.members;
  }

  get named(): number[] {
    const slow = this.script.replicas[1]?.slowMembers;
    return [0, 1, 2, 3, 4].filter((node) => slow?.isSlow(node) === true);
  }
}

Deno.test("a slow member is named, and stays, by default", () => {
  const cluster = new Cluster(WARNING, [3]);
  cluster.goOn(6000);
  assertEquals(cluster.named, [3]);
  assertEquals(cluster.members, 0b11111);
  assert(cluster.script.log.some((line) => line.includes("the disk of n3 is slow")));
});

Deno.test("a slow member is left out if that is configured, and admitted when it is fast again", () => {
  const cluster = new Cluster(EXCLUDING, [3]);
  cluster.goOn(12_000);
  assertEquals(cluster.members, 0b10111);
  const view = cluster.script.replicas[1]?.membership.view.number;
  cluster.goOn(30_000);
  assertEquals(cluster.script.replicas[1]?.membership.view.number, view, "nothing goes to and fro");
  cluster.slow = [];
  cluster.goOn(9000);
  assertEquals(cluster.members, 0b10111, "it has not been fast for long");
  cluster.goOn(60_000);
  assertEquals(cluster.members, 0b11111);
});

Deno.test("slow members stay if there is no majority without them", () => {
  const cluster = new Cluster(EXCLUDING, [2, 3, 4]);
  cluster.goOn(12_000);
  assertEquals(cluster.members, 0b11111);
  assertEquals(cluster.named, [2, 3, 4]);
  assertEquals(cluster.script.replicas[1]?.membership.view.number, 1);
});
