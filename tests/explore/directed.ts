/**
 * Runs that are led to a place which chance does not find.
 *
 * @module
 */

import type { NodeId } from "../../src/two_phase/messages.ts";
import type { Violation } from "../sim/checkers.ts";
import type { PlantedFault } from "../sim/planted_faults.ts";
import { World } from "./world.ts";

/** A place is not reached in so many turns: the protocol has changed, or this file is wrong. */
const TURNS_MAX = 400;

/** Everything goes on, but for what is held. */
class Directed {
  readonly world: World;
  /** Links on which nothing arrives, such as `2 0`, and disks that hang, such as `disk 2`. */
  readonly held = new Set<string>();

  constructor(seed: number, plant: (() => PlantedFault) | undefined) {
    this.world = new World({ seed, nodes: 3, plantedFault: plant?.() });
  }

  viewOf(node: NodeId): number {
    return this.world.nodes[node]?.replica?.membership.view.number ?? -1;
  }

  promisedBy(node: NodeId): number {
    return this.world.nodes[node]?.replica?.membership.promised ?? -1;
  }

  /** Goes on until `isThere`. */
  to(what: string, isThere: () => boolean): void {
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      if (this.world.isBroken || isThere()) return;
      this.world.apply(["time", 10]);
      for (const { index } of this.world.nodes) this.world.apply(["tick", index]);
      if (this.#deliver(isThere)) return;
    }
    throw new Error(`the run does not come to where ${what}`);
  }

  #deliver(isThere: () => boolean): boolean {
    for (let hasMore = true; hasMore;) {
      hasMore = false;
      for (const { index: a } of this.world.nodes) {
        if (!this.held.has(`disk ${a}`) && this.world.apply(["force", a])) hasMore = true;
        if (isThere()) return true;
        for (const { index: b } of this.world.nodes) {
          if (a === b || this.held.has(`${a} ${b}`)) continue;
          this.world.apply(["lost", b, a]);
          if (a < b && this.world.areApart(a, b)) this.world.apply(["connect", a, b]);
          if (this.world.apply(["deliver", a, b])) hasMore = true;
          if (isThere()) return true;
        }
      }
    }
    return false;
  }

  /** n1 hears nothing of n0 for a while, and has the next view chosen. */
  changeViewByN1(view: number): void {
    const before = this.promisedBy(1);
    this.held.add("0 1");
    this.to("n1 begins a ballot", () => this.promisedBy(1) > before);
    this.held.delete("0 1");
    this.to(
      `n0 and n1 are in view ${view}`,
      () => this.viewOf(0) >= view && this.viewOf(1) >= view,
    );
  }
}

/**
 * The last part of a transfer comes before its view is durable at the joiner, and behind it a newer chunk,
 * which is of a later view still: the last part is over by then.
 */
export function lastPartAhead(
  seed: number,
  plant?: (() => PlantedFault) | undefined,
): readonly Violation[] {
  const run = new Directed(seed, plant);
  const { world, held } = run;
  const replicaOf = (node: NodeId) => world.nodes[node]?.replica;
  world.apply(["crash", 2, 0]);
  world.apply(["wipe", 2]);
  run.to("n2 is left out", () => run.viewOf(0) === 2 && run.viewOf(1) === 2);
  // n2 will not hear n1, and is let in all the same.
  let isWelcome = true;
  for (const { replica } of world.nodes) {
    if (replica !== undefined) replica.context.reachability.isWelcome = () => isWelcome;
  }
  // n0 is the source, and does not hear that n2 has got everything.
  held.add("1 2");
  world.apply(["start", 2]);
  run.to("n2 has a chunk", () => (replicaOf(2)?.chunksReceived ?? 0) > 0);
  held.add("2 0");
  run.to(
    "n2 has it on its disk",
    () => world.onItsWay(2, 0).some(({ type }) => type === "joinAcknowledged"),
  );
  world.apply(["ask", 0, "set", 1]);
  run.to("n0 has written", () => world.calls.every(({ ending }) => ending !== undefined));
  held.add("disk 2");
  run.changeViewByN1(3);
  held.delete("2 0");
  const finals = () => replicaOf(2)?.counters.finalsAhead ?? 0;
  const isThere = () => finals() > 0 && replicaOf(2)?.membership.installing?.number === 3;
  run.to("the last part is ahead, and its view on its way to the disk", isThere);
  // From here on n0 does not hear that n2 lacks view 4, so it does not send it.
  held.add("2 0");
  run.changeViewByN1(4);
  // Nor does n0 begin a view for n2 before it has sent that.
  isWelcome = false;
  const chunks = replicaOf(2)?.chunksReceived ?? 0;
  world.apply(["ask", 0, "setLarge", 1]);
  world.apply(["ask", 0, "set", 0]);
  run.to("a newer chunk has come", () => (replicaOf(2)?.chunksReceived ?? 0) > chunks);
  isWelcome = true;
  held.delete("disk 2");
  run.to("n2 is in view 3", () => run.viewOf(2) === 3);
  held.clear();
  return world.finish();
}

/**
 * A node that is cut off tells a client the name of a transaction that no other node knows. It loses
 * its disk, joins, and gives the number again: the name must not mean the other transaction.
 */
export function numberGivenAgain(
  seed: number,
  plant?: (() => PlantedFault) | undefined,
): readonly Violation[] {
  const run = new Directed(seed, plant);
  const { world, held } = run;
  const mayWrite = (node: NodeId) => world.nodes[node]?.replica?.membership.mayWrite === true;
  const areAnswered = () => world.calls.every(({ ending }) => ending !== undefined);
  for (const link of ["2 0", "2 1", "0 2", "1 2"]) held.add(link);
  world.apply(["ask", 2, "set", 0]);
  run.to("the client of n2 is told that nothing is known", areAnswered);
  run.to("n2 is left out", () => run.viewOf(0) === 2 && run.viewOf(1) === 2);
  world.apply(["crash", 2, 0]);
  world.apply(["wipe", 2]);
  // The world begins with the second incarnation, so the new journal has to come to its own second one.
  world.apply(["start", 2]);
  world.apply(["crash", 2, 0]);
  held.clear();
  world.apply(["start", 2]);
  run.to("n2 is a member again", () => mayWrite(2) && mayWrite(0) && mayWrite(1));
  world.apply(["ask", 2, "set", 1]);
  run.to("n2 has written", () => {
    world.askOutcomes();
    return areAnswered();
  });
  world.askOutcomes();
  return world.finish();
}
