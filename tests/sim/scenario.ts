/**
 * What one seed stands for: the cluster, the clients, and what goes wrong when.
 *
 * A scenario is made before the run, and the run draws its own random numbers from other streams of
 * the seed. So faults can be taken out of a scenario, and it stays the same but for them: that is how
 * failures are shrunk.
 *
 * @module
 */

import type { NodeId } from "../../src/two_phase/messages.ts";
import { VIEW_TIMING } from "../../src/two_phase/timing.ts";
import { Random } from "./random.ts";

/** Where in the life of a journal write a node crashes. */
export const CRASH_POINTS = [
  "at once",
  "before the append",
  "after the append",
  "after the sends",
  "during the force",
  "after the force",
  "during a checkpoint",
  "after a checkpoint",
] as const;

/** See {@linkcode CRASH_POINTS}. */
export type CrashPoint = typeof CRASH_POINTS[number];

/** Something that goes wrong, beginning at `at` and for `ms`, both in milliseconds. */
export type Fault =
  & { readonly at: number; readonly ms: number }
  & (
    /** The process ends at the next such point, and starts again after `ms`. */
    | { readonly kind: "crash"; readonly node: NodeId; readonly point: CrashPoint }
    /** A force fails, so the process ends, and starts again after `ms`. */
    | { readonly kind: "failed force"; readonly node: NodeId }
    /** The process crashes, and its disk is empty when it starts again. */
    | { readonly kind: "wipe"; readonly node: NodeId }
    /**
     * A copy of the disk is put back after `ms`, and the process starts again on that; but only where
     * the others have it on their disks that the journal has come further.
     */
    | { readonly kind: "older copy"; readonly node: NodeId }
    /** Both processes crash, and start with each other's disk; after `ms` they have their own again. */
    | { readonly kind: "swap"; readonly a: NodeId; readonly b: NodeId }
    /**
     * All processes crash, and a majority of the disks is gone for good. One of the nodes that know
     * most begins a new cluster by force; those of the others that have kept their disks come back
     * with them, and are emptied after `ms`.
     */
    | { readonly kind: "lost majority" }
    /** The process is told to end: it leaves first. It starts again after `ms`. */
    | { readonly kind: "stop"; readonly node: NodeId }
    /** The process does nothing for a while (SIGSTOP, a long collection). */
    | { readonly kind: "pause"; readonly node: NodeId }
    /** The machine sleeps: as a pause, and its monotonic clock stands still. */
    | { readonly kind: "suspend"; readonly node: NodeId }
    /** The wall clock is set forward by `by` milliseconds, or back. */
    | { readonly kind: "set clock"; readonly node: NodeId; readonly by: number }
    /** The network passes nothing from `from` to the others, and if `isTwoWay` nothing back either. */
    | {
      readonly kind: "partition";
      readonly from: readonly NodeId[];
      readonly isTwoWay: boolean;
    }
    /** Nothing passes between these nodes, which may reach others. */
    | { readonly kind: "cut pairs"; readonly pairs: readonly (readonly [NodeId, NodeId])[] }
    /** Everything from one node to another takes longer. */
    | { readonly kind: "clog"; readonly from: NodeId; readonly to: NodeId }
    /** A connection breaks: what is on its way is lost. */
    | { readonly kind: "cut"; readonly a: NodeId; readonly b: NodeId }
    /** Forces take long. */
    | { readonly kind: "slow disk"; readonly node: NodeId }
    /** No force ends before that time is over. */
    | { readonly kind: "hung disk"; readonly node: NodeId }
    /** What one node sends another arrives when that time is over, and nothing of it is lost. */
    | { readonly kind: "hold"; readonly from: NodeId; readonly to: NodeId }
  );

/** Somebody asks for a change of the list of nodes. Numbers from 0 to 1 pick from what there is then. */
export interface PlannedChange {
  readonly at: number;
  readonly kind: "add" | "remove" | "replace" | "cancel";
  /** Which node is asked. */
  readonly asked: number;
  /** Which machine is added, or called off. */
  readonly machine: number;
  /** Which node is removed, or replaced. */
  readonly target: number;
}

/** Changes of the list of nodes, and what they need. */
export interface ChangeScenario {
  /** How many machines there are beside those that found the cluster. */
  readonly spares: number;
  /** Only as many ids are left as there are spares, so that those of nodes that are gone are used again. */
  readonly reusesIds: boolean;
  readonly planned: readonly PlannedChange[];
}

/** The kinds of operations that clients mix. */
export const WORKLOADS = [
  "registers",
  "hot",
  "counters",
  "multi",
  "transfers",
  "many",
  "once",
  "mixed",
  "expiry",
  "commands",
] as const;

/** Workloads whose keys expire. */
const EXPIRING_WORKLOADS = ["expiry", "commands"] as const;

/**
 * Of each workload whose keys expire: its share in all scenarios, as part of 1, and the stream that it is
 * drawn from. That is one of its own, so that the other scenarios stay as they were. An expiry may come at
 * any time: with more operations a history is too hard to check.
 */
const EXPIRING = {
  expiry: { share: 0.08, stream: 4, operationsMax: 60 },
  commands: { share: 0.08, stream: 6, operationsMax: 36 },
} as const;

/** See {@linkcode WORKLOADS}. */
export type Workload = typeof WORKLOADS[number];

/** One run, but for the random numbers drawn while it goes on. */
export interface Scenario {
  readonly seed: number;
  readonly nodes: number;
  readonly workload: Workload;
  readonly clients: number;
  /** Operations of all clients together before the final phase. */
  readonly operations: number;
  /** Longest pause of a client between operations. */
  readonly thinkMsMax: number;
  readonly timeoutMs: number;
  /** Half of the values may have up to so many bytes; the others have a few. */
  readonly valueBytesMax: number;
  /** After so many transactions a coordinator takes another incarnation; `undefined`: practically never. */
  readonly sequencesMax: number | undefined;
  /** When faults end, and everything is healed. */
  readonly healAt: number;
  /** By node: how much faster than true time its clock goes, such as 0.01. */
  readonly clockDrift: readonly number[];
  /** By node: what its clock is off, in milliseconds. */
  readonly clockOffset: readonly number[];
  /** With expiries: the node whose clock may be off by anything; `undefined` for none. */
  readonly wrongClock?: NodeId | undefined;
  readonly delayMsMax: number;
  readonly forceMsMax: number;
  readonly faults: readonly Fault[];
  /** `undefined`: the list of nodes stays as it is. */
  readonly changes?: ChangeScenario | undefined;
}

/** By how much the rate of a clock may be off, as a part of 1: the protocol must stand that. */
export const CLOCK_DRIFT_MAX = VIEW_TIMING.driftMax;

/** Every commit must pass the seeds 0 up to this. */
export const FIXED_SET = 1700;

/** And these, with changes of the list of nodes. */
export const FIXED_SET_WITH_CHANGES = 400;

/** More machines than any scenario has. */
const MACHINES_MAX = 8;

/** Which faults scenarios may have. */
export interface ScenarioOptions {
  readonly workload?: Workload | undefined;
  /** Without faults, for a start. */
  readonly calm?: boolean;
  /** The list of nodes changes. */
  readonly changes?: boolean | undefined;
}

/** Returns the scenario of `seed`. */
export function scenarioOf(seed: number, options: ScenarioOptions = {}): Scenario {
  const scenario = scenarioWithoutChanges(seed, options);
  return options.changes === true ? withChanges(scenario, options) : scenario;
}

/** Adds changes of the list, and faults near them: of a stream of its own. */
function withChanges(scenario: Scenario, { calm = false }: ScenarioOptions): Scenario {
  const random = new Random(scenario.seed, 16);
  const { nodes } = scenario;
  const spares = 1 + random.integer(Math.min(3, MACHINES_MAX - nodes));
  const count = random.pick([1, 2, 2, 3, 4, 6]);
  const planned: PlannedChange[] = [];
  const faults: Fault[] = [];
  const indices = Array.from({ length: nodes + spares }, (_, index) => index);
  let at = random.between(400, 1500);
  for (let i = 0; i < count; i++) {
    planned.push(randomChange(random, at));
    // Two at the same time, asked of different nodes.
    if (random.chance(0.25)) planned.push(randomChange(random, at + random.between(0, 60)));
    if (!calm && random.chance(0.4)) {
      const fault = randomFault(random, { indices, healAt: 1, isQuick: false });
      const isBad = LOSES_DISK.has(fault.kind) || fault.kind === "swap" ||
        !mayHappen(fault, scenario);
      if (!isBad) faults.push({ ...fault, at: at + random.between(-200, 600) });
    }
    at += random.skewed(50, 2500);
  }
  // Somebody sleeps through it all.
  if (!calm && count > 2 && random.chance(0.5)) {
    const node = random.integer(nodes);
    const sleep = { at: random.between(200, 700), ms: at - random.between(0, 500) };
    faults.push(
      random.chance(0.5)
        ? { ...sleep, kind: "crash", node, point: "at once" }
        : random.chance(0.5)
        ? { ...sleep, kind: "pause", node }
        : { ...sleep, kind: "partition", from: [node], isTwoWay: true },
    );
  }
  return {
    ...scenario,
    thinkMsMax: Math.max(scenario.thinkMsMax, random.between(20, 200)),
    healAt: Math.max(scenario.healAt, at + random.between(0, 1500)),
    faults: [...scenario.faults, ...faults].sort((a, b) => a.at - b.at),
    clockDrift: [
      ...scenario.clockDrift,
      ...Array.from({ length: spares }, () => random.between(-0.01, 0.01)),
    ],
    changes: { spares, reusesIds: random.chance(0.3), planned },
  };
}

const CHANGES = [
  "add",
  "add",
  "add",
  "remove",
  "remove",
  "replace",
  "replace",
  "cancel",
] as const;

function randomChange(random: Random, at: number): PlannedChange {
  const kind = random.pick(CHANGES);
  return { at, kind, asked: random.next(), machine: random.next(), target: random.next() };
}

function scenarioWithoutChanges(seed: number, options: ScenarioOptions): Scenario {
  const random = new Random(seed, 1);
  const nodes = random.pick([1, 3, 3, 3, 3, 5, 5, 7]);
  const indices = Array.from({ length: nodes }, (_, index) => index);
  const healAt = random.between(1500, 6000);
  const workload = options.workload ?? random.pick(WORKLOADS.slice(0, -EXPIRING_WORKLOADS.length));
  const isQuick = random.chance(0.5);
  const scenario = {
    seed,
    nodes,
    workload,
    clients: 2 + random.integer(5),
    operations: 20 + random.integer(100),
    thinkMsMax: isQuick ? 5 : random.between(5, 200),
    timeoutMs: random.pick([400, 1000, 2000, 5000]),
    valueBytesMax: random.chance(0.8) ? 0 : random.pick([1000, 200_000]),
    sequencesMax: random.chance(0.4) ? undefined : random.pick([1, 4, 15]),
    healAt,
    clockDrift: indices.map(() =>
      random.chance(0.3)
        ? random.between(-CLOCK_DRIFT_MAX, CLOCK_DRIFT_MAX)
        : random.between(-0.01, 0.01)
    ),
    clockOffset: indices.map(() => random.chance(0.3) ? random.between(-100_000, 100_000) : 0),
    delayMsMax: random.pick([0.2, 2, 20]),
    forceMsMax: random.pick([0, 1, 10]),
  };
  const count = options.calm === true ? 0 : random.pick([0, 1, 2, 3, 4, 6, 8]);
  const faults: Fault[] = [];
  for (let i = 0; i < count; i++) {
    const fault = randomFault(random, { indices, healAt, isQuick });
    // A majority that has lost its memory is lost for good: one disk is lost at the most.
    if (!LOSES_DISK.has(fault.kind) || !faults.some(({ kind }) => LOSES_DISK.has(kind))) {
      faults.push(fault);
    }
  }
  const whole = { ...scenario, faults: faults.sort((a, b) => a.at - b.at) };
  const isStormy = options.calm !== true && nodes > 1 && random.chance(0.25);
  const scene = isStormy ? stormy(whole, random) : whole;
  const isTorn = options.calm !== true && nodes >= 5 && random.chance(0.3);
  const losesMajority = !isTorn && options.calm !== true && nodes > 1 && random.chance(0.1);
  const drawn = isTorn
    ? torn(scene, random)
    : losesMajority
    ? withLostMajority(scene, random)
    : scene;
  const expiring = EXPIRING_WORKLOADS.find((one) =>
    options.workload === undefined
      ? !isTorn && new Random(seed, EXPIRING[one].stream).chance(EXPIRING[one].share)
      : options.workload === one
  );
  return expiring === undefined ? drawn : withExpiries(drawn, expiring);
}

/**
 * Keys expire, by clocks that are right but for that of one node: the others are a little off, and
 * no process sets them.
 */
function withExpiries(
  scenario: Scenario,
  workload: typeof EXPIRING_WORKLOADS[number],
): Scenario {
  const random = new Random(scenario.seed, 5);
  const { nodes, clockDrift, clockOffset, faults } = scenario;
  const wrongClock = nodes > 1 && random.chance(0.6) ? random.integer(nodes) : undefined;
  const isRight = (node: NodeId) => node !== wrongClock;
  return {
    ...scenario,
    workload,
    wrongClock,
    operations: Math.min(scenario.operations, EXPIRING[workload].operationsMax),
    clockDrift: clockDrift.map((drift, node) => isRight(node) ? drift / 10 : drift),
    clockOffset: clockOffset.map((offset, node) =>
      isRight(node) ? random.between(-200, 200) : offset
    ),
    faults: faults.filter((fault) => mayHappen(fault, { workload, wrongClock })),
  };
}

/** Where keys expire, nobody sets the clock of a node that is to be right. */
function mayHappen(
  fault: Fault,
  { workload, wrongClock }: Pick<Scenario, "workload" | "wrongClock">,
): boolean {
  const isExpiring = EXPIRING_WORKLOADS.some((one) => one === workload);
  return fault.kind !== "set clock" || !isExpiring || fault.node === wrongClock;
}

/** Faults that cost a node what its journal holds. */
const LOSES_DISK: ReadonlySet<Fault["kind"]> = new Set(["wipe", "older copy"]);

/** A majority is lost for good; the few disks that are left are neither lost nor mixed up. */
function withLostMajority(scenario: Scenario, random: Random): Scenario {
  const at = random.between(100, scenario.healAt);
  const ms = random.between(200, 3000);
  const others = scenario.faults.filter(({ kind }) => !LOSES_DISK.has(kind) && kind !== "swap");
  const faults: Fault[] = [...others, { kind: "lost majority", at, ms }];
  return {
    ...scenario,
    healAt: scenario.healAt + 1000,
    faults: faults.sort((a, b) => a.at - b.at),
  };
}

/** Makes one view change follow the other: nodes are gone for longer than suspicion takes. */
function stormy(scenario: Scenario, random: Random): Scenario {
  const indices = scenario.clockDrift.map((_, index) => index);
  const faults: Fault[] = [];
  const count = 3 + random.integer(6);
  let at = 300;
  for (let i = 0; i < count; i++) {
    at += random.between(100, 1800);
    const ms = random.between(800, 3000);
    const node = random.pick(indices);
    const from = [node];
    const kind = random.integer(10);
    if (kind < 2) faults.push({ kind: "pause", at, ms, node });
    else if (kind < 3) faults.push({ kind: "suspend", at, ms, node });
    else if (kind < 6) faults.push({ kind: "partition", at, ms, from, isTwoWay: kind < 5 });
    else if (kind < 7) {
      faults.push({ kind: random.pick(["failed force", "hung disk"]), at, ms, node });
    } else faults.push({ kind: "crash", at, ms, node, point: random.pick(CRASH_POINTS) });
    // The clock of the node that is cut off is set back: no lease becomes longer by that.
    if (kind >= 3 && kind < 6 && random.chance(0.4)) {
      const by = -random.between(100, 5000);
      faults.push({ kind: "set clock", at: at + random.between(100, 900), ms: 0, node, by });
    }
    // What is said about the next view comes late, to one node.
    if (random.chance(0.2)) {
      const to = random.pick(indices);
      faults.push({ kind: "hold", at: at + random.between(900, 1500), ms, from: node, to });
    }
    // Several processes crash and start again while one view changes.
    if (random.chance(0.25)) {
      const burstAt = at + random.between(900, 1500);
      const crashes = 2 + random.integer(4);
      for (let crash = 0; crash < crashes; crash++) {
        faults.push({
          kind: "crash",
          at: burstAt + random.between(0, 400),
          ms: random.between(1, 300),
          node: random.pick(indices),
          point: random.pick(CRASH_POINTS),
        });
      }
    }
    // Another node goes while the view changes for it.
    if (random.chance(0.5)) {
      const later = at + random.between(1000, 2400);
      const point = random.pick(CRASH_POINTS);
      faults.push({ kind: "crash", at: later, ms: 100, node: random.pick(indices), point });
    }
  }
  return {
    ...scenario,
    clients: 4 + random.integer(4),
    operations: 100 + random.integer(150),
    thinkMsMax: random.between(20, 150),
    healAt: at + 2500,
    faults: faults.sort((a, b) => a.at - b.at),
  };
}

/** Some links are cut for long, once or twice, and every node reaches a majority or nearly one. */
function torn(scenario: Scenario, random: Random): Scenario {
  const indices = scenario.clockDrift.map((_, index) => index);
  const times = 1 + random.integer(2);
  const cuts: Fault[] = [];
  let at = random.between(200, 1000);
  for (let i = 0; i < times; i++) {
    const ms = random.between(3000, 9000);
    const pairs = Array.from({ length: 1 + random.integer(3) }, () => {
      const a = random.pick(indices);
      const b = (a + 1 + random.integer(indices.length - 1)) % indices.length;
      return [a, b] as const;
    });
    const chain = indices.flatMap((a) => indices.slice(a + 2).map((b) => [a, b] as const));
    cuts.push({ kind: "cut pairs", at, ms, pairs: random.chance(0.2) ? chain : pairs });
    at += ms + random.between(100, 2000);
  }
  // Few faults beside that: else they are what matters.
  const others = scenario.faults.filter(() => random.chance(0.3));
  return {
    ...scenario,
    operations: 100 + random.integer(150),
    thinkMsMax: random.between(50, 400),
    healAt: Math.max(scenario.healAt, at),
    faults: [...others, ...cuts].sort((a, b) => a.at - b.at),
  };
}

function randomFault(
  random: Random,
  about: { indices: readonly NodeId[]; healAt: number; isQuick: boolean },
): Fault {
  const { indices } = about;
  // Where clients hardly pause, most of the work is done early.
  const at = random.between(0, about.isQuick && random.chance(0.7) ? 400 : about.healAt);
  const ms = random.skewed(20, 5000);
  const node = random.pick(indices);
  const other = random.pick(indices);
  const kind = random.integer(100);
  if (kind < 38) {
    return { kind: "crash", at, ms, node, point: random.pick(CRASH_POINTS) };
  }
  if (kind < 40 && indices.length > 1) {
    const b = (node + 1 + random.integer(indices.length - 1)) % indices.length;
    return { kind: "swap", at, ms, a: node, b };
  }
  if (kind < 44) return { kind: "failed force", at, ms, node };
  // A cluster of one that loses its disk has lost everything: there is nothing to check.
  if (kind < 46 && indices.length > 1) return { kind: "wipe", at, ms, node };
  if (kind < 48 && indices.length > 1) return { kind: "older copy", at, ms, node };
  if (kind < 53) return { kind: "stop", at, ms, node };
  if (kind < 58) return { kind: "pause", at, ms, node };
  if (kind < 62) return { kind: "suspend", at, ms, node };
  if (kind < 72) {
    const from = indices.filter(() => random.chance(0.4));
    return { kind: "partition", at, ms, from, isTwoWay: random.chance(0.6) };
  }
  if (kind < 79) return { kind: "clog", at, ms, from: node, to: other };
  if (kind < 82) return { kind: "hold", at, ms, from: node, to: other };
  if (kind < 91) return { kind: "cut", at, ms: 0, a: node, b: other };
  if (kind < 94) {
    const by = random.between(100, 90_000) * random.pick([1, -1]);
    return { kind: "set clock", at, ms: 0, node, by };
  }
  if (kind < 97) return { kind: "slow disk", at, ms, node };
  return { kind: "hung disk", at, ms, node };
}
