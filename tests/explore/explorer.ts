/**
 * Chooses the steps of a run: by priorities, and by faults that wait for an event of the protocol.
 *
 * Each link, each disk and each node has a random priority; of all that could happen next, the first by
 * priority does (Burckhardt et al. 2010, "A randomized scheduler with probabilistic guarantees of
 * finding bugs"). At few moments one of them gets another priority. Time has a priority, too: what comes
 * behind it starves, as a network that stalls or a disk that hangs does, until its priority changes. A
 * part of the runs chooses at random among all that does not starve.
 *
 * @module
 */

import type { Violation } from "../sim/checkers.ts";
import type { PlantedFault } from "../sim/planted_faults.ts";
import { Random } from "../sim/random.ts";
import {
  KEYS,
  type OperationName,
  OPERATIONS,
  type Step,
  World,
  type WorldOptions,
} from "./world.ts";

/** What runs of a profile are about. */
export const PROFILES = ["views", "paxos", "joins", "transactions", "disks"] as const;

/** These, and runs in which the list of nodes changes. */
export const ALL_PROFILES = [...PROFILES, "changes"] as const;

/** See {@linkcode ALL_PROFILES}. */
export type Profile = typeof ALL_PROFILES[number];

/** What goes wrong. */
const FAULTS = [
  "crash",
  "crash another",
  "hang the disk",
  "starve the node",
  "starve a link",
  "cut",
  "wipe",
  "leave",
  "checkpoint",
  "change",
] as const;

type Fault = typeof FAULTS[number];

interface ProfileRules {
  readonly steps: number;
  /** Events that faults wait for. */
  readonly events: readonly string[];
  readonly faults: readonly Fault[];
  readonly armedMax: number;
  /** How many operations clients ask for, at most. */
  readonly operations: number;
  readonly names: readonly OperationName[];
  readonly isNewChance: number;
  /** How many changes of the list are asked for, at most; absent: none. */
  readonly changes?: number;
}

/** What is asked of the list of nodes. */
const CHANGES = ["add", "add", "remove", "replace", "replace", "cancel"] as const;

const VIEW_EVENTS = [
  "append promise",
  "append accepted",
  "append view",
  "send viewPrepare",
  "send viewPromise",
  "send viewAccept",
  "send viewAccepted",
  "send viewInstall",
  "send viewInstalled",
];

const RULES: { readonly [Name in Profile]: ProfileRules } = {
  views: {
    steps: 700,
    events: VIEW_EVENTS,
    faults: ["crash", "crash", "crash another", "hang the disk", "starve a link", "cut", "leave"],
    armedMax: 4,
    operations: 4,
    names: ["set", "get"],
    isNewChance: 0.15,
  },
  paxos: {
    steps: 500,
    events: VIEW_EVENTS,
    faults: ["crash", "crash another", "hang the disk", "starve the node", "starve a link", "cut"],
    armedMax: 6,
    operations: 0,
    names: [],
    isNewChance: 0.1,
  },
  joins: {
    steps: 900,
    events: [
      ...VIEW_EVENTS,
      "append transfer",
      "append joined",
      "send joinRequest",
      "send joinChunk",
      "send joinFinal",
      "send joinConfirmed",
    ],
    faults: ["crash", "wipe", "wipe", "hang the disk", "starve a link", "cut", "checkpoint"],
    armedMax: 3,
    operations: 12,
    names: ["set", "delete", "set", "get", "increment"],
    isNewChance: 0,
  },
  transactions: {
    steps: 600,
    events: [
      "append prepared",
      "append committed",
      "append aborted",
      "append offset",
      "append promise",
      "send prepare",
      "send vote",
      "send commit",
      "send abort",
      "send settled",
      "send recovered",
    ],
    faults: ["crash", "crash another", "hang the disk", "starve the node", "starve a link", "cut"],
    armedMax: 3,
    operations: 30,
    names: OPERATIONS,
    isNewChance: 0,
  },
  disks: {
    steps: 700,
    events: [
      "append prepared",
      "append promise",
      "append accepted",
      "append view",
      "append joined",
    ],
    faults: ["hang the disk", "hang the disk", "checkpoint", "checkpoint", "crash", "wipe"],
    armedMax: 5,
    operations: 15,
    names: ["set", "delete", "get", "increment"],
    isNewChance: 0.1,
  },
  changes: {
    steps: 1200,
    events: [...VIEW_EVENTS, "append joined", "send joinFinal", "send joinConfirmed"],
    faults: [
      "crash",
      "crash",
      "crash another",
      "hang the disk",
      "starve a link",
      "starve the node",
      "cut",
      "change",
      "checkpoint",
    ],
    armedMax: 5,
    operations: 6,
    names: ["set", "get"],
    isNewChance: 0,
    changes: 5,
  },
};

/** A run: what the world is like at first, and what happens in it. Plain values. */
export interface Run {
  readonly world: Omit<WorldOptions, "plantedFault" | "onEvent">;
  readonly steps: readonly Step[];
}

/** What came of a run. */
export interface RunResult {
  readonly run: Run;
  readonly violations: readonly Violation[];
  /** How many views were installed, over all nodes. */
  readonly views: number;
  /** What became of the changes of the list, and how often. */
  readonly changes: ReadonlyMap<string, number>;
}

/** Ticks come so often. */
const TICK_MS = 25;

interface Armed {
  readonly event: string;
  /** So many such events are let pass. */
  skip: number;
  /** So many steps after the event. */
  readonly after: number;
  readonly fault: Fault;
}

/** Makes the run of `seed`. */
export function explore(
  seed: number,
  profile: Profile,
  plant?: (() => PlantedFault) | undefined,
): RunResult {
  return new Explorer(seed, profile, plant).run();
}

/** Repeats a run, step by step. */
export function replay(
  { world: options, steps }: Run,
  plant?: (() => PlantedFault) | undefined,
  onStep?: (step: Step, world: World) => void,
): readonly Violation[] {
  const world = new World({ ...options, plantedFault: plant?.() });
  for (const step of steps) {
    if (world.isBroken) break;
    onStep?.(step, world);
    world.apply(step);
  }
  return world.finish();
}

class Explorer {
  readonly #random: Random;
  readonly #rules: ProfileRules;
  readonly #world: World;
  readonly #options: Run["world"];
  readonly #steps: Step[] = [];
  /** By what can happen, such as `0 1` for a link: what comes first is the highest. */
  readonly #priorities = new Map<string, number>();
  readonly #armed: Armed[] = [];
  #due: { readonly at: number; readonly fault: Fault; readonly node: number }[] = [];
  readonly #isStrict: boolean;
  readonly #timePriority: number;
  readonly #changeChance: number;
  readonly #askChance: number;
  readonly #startChance: number;
  readonly #listChance: number;
  #asked = 0;
  #changesAsked = 0;
  #wipes = 0;
  #views = 0;

  constructor(seed: number, profile: Profile, plant: (() => PlantedFault) | undefined) {
    const random = new Random(seed, 7 + ALL_PROFILES.indexOf(profile));
    this.#random = random;
    this.#rules = RULES[profile];
    const { changes } = this.#rules;
    const usual = random.chance(0.85) ? 3 : random.pick([4, 5]);
    const nodes = changes === undefined ? usual : random.pick([1, 2, 3, 3, 3, 4]);
    this.#options = {
      seed,
      nodes,
      ...changes === undefined ? {} : { spares: 1 + random.integer(3) },
      isNew: random.chance(this.#rules.isNewChance),
      hungAtTheEnd: profile === "disks" && random.chance(0.2) ? random.integer(nodes) : undefined,
      sequencesMax: random.chance(0.7) ? undefined : random.pick([1, 3]),
      clockOffsets: Array.from(
        { length: nodes },
        () => random.chance(0.3) ? random.between(0, 60_000) : 0,
      ),
    };
    this.#isStrict = random.chance(0.6);
    this.#timePriority = random.pick([0, 0.1, 0.2, 0.3]);
    this.#changeChance = random.pick([0.003, 0.01, 0.03]);
    this.#askChance = this.#rules.operations === 0
      ? 0
      : this.#rules.operations / this.#rules.steps * random.pick([1, 2, 6]);
    this.#startChance = random.pick([0.005, 0.03, 0.2]);
    this.#listChance = (changes ?? 0) / this.#rules.steps * random.pick([1, 2, 6]);
    const armed = random.integer(this.#rules.armedMax + 1);
    for (let i = 0; i < armed; i++) {
      this.#armed.push({
        event: random.pick(this.#rules.events),
        skip: random.integer(random.pick([1, 3, 10])),
        after: random.integer(random.pick([1, 4, 20])),
        fault: random.pick(this.#rules.faults),
      });
    }
    this.#world = new World({
      ...this.#options,
      plantedFault: plant?.(),
      onEvent: (node, event) => this.#onEvent(node, event),
    });
  }

  run(): RunResult {
    // What has happened while the world came to be does not count.
    this.#due = [];
    const { steps } = this.#rules;
    for (let at = 0; at < steps && !this.#world.isBroken; at++) this.#go(at);
    const violations = this.#world.finish();
    return {
      run: { world: this.#options, steps: this.#steps },
      violations,
      views: this.#views,
      changes: this.#world.changes,
    };
  }

  #onEvent(node: number, event: string): void {
    if (event === "append view") this.#views++;
    for (const [index, armed] of this.#armed.entries()) {
      if (armed.event !== event) continue;
      if (armed.skip-- > 0) continue;
      this.#armed.splice(index, 1);
      this.#due.push({ at: this.#steps.length + armed.after, fault: armed.fault, node });
      return;
    }
  }

  #take(step: Step): void {
    this.#steps.push(step);
    this.#world.apply(step);
  }

  #go(at: number): void {
    const random = this.#random;
    const due = this.#due.filter((one) => one.at <= at);
    this.#due = this.#due.filter((one) => one.at > at);
    for (const { fault, node } of due) this.#fail(fault, node);
    if (random.chance(this.#changeChance)) this.#change();
    if (random.chance(0.002)) {
      this.#fail(random.pick(this.#rules.faults), random.integer(this.#options.nodes));
    }
    if (this.#asked < this.#rules.operations && random.chance(this.#askChance)) {
      this.#asked++;
      const node = random.integer(this.#options.nodes);
      this.#take(["ask", node, random.pick(this.#rules.names), random.integer(KEYS)]);
    }
    if (this.#listChance > 0 && random.chance(this.#listChance)) {
      this.#fail("change", random.integer(this.#world.nodes.length));
    }
    const possible = this.#possible();
    const awake = possible.filter(({ priority }) => priority >= this.#timePriority);
    if (awake.length === 0) {
      this.#passTime();
      return;
    }
    const chosen = this.#isStrict
      ? awake.reduce((best, one) => one.priority > best.priority ? one : best)
      : random.pick(awake);
    this.#take(chosen.step);
  }

  #passTime(): void {
    this.#take(["time", this.#random.pick([5, TICK_MS])]);
    for (const { index, replica } of this.#world.nodes) {
      if (replica === undefined && this.#random.chance(this.#startChance)) {
        this.#take(["start", index]);
      }
    }
  }

  /** The priority of what is called `name`. */
  #priorityOf(name: string): number {
    const known = this.#priorities.get(name);
    if (known !== undefined) return known;
    const priority = this.#random.next();
    this.#priorities.set(name, priority);
    return priority;
  }

  #change(): void {
    const names = [...this.#priorities.keys()];
    if (names.length === 0) return;
    const starving = names.filter((name) => this.#priorityOf(name) < this.#timePriority);
    const name = starving.length > 0 && this.#random.chance(0.5)
      ? this.#random.pick(starving)
      : this.#random.pick(names);
    this.#priorities.set(name, this.#random.next());
  }

  #starve(name: string): void {
    this.#priorities.set(name, -1);
  }

  #possible(): { readonly step: Step; readonly priority: number }[] {
    const world = this.#world;
    const all: { step: Step; priority: number }[] = [];
    const add = (name: string, step: Step) => all.push({ step, priority: this.#priorityOf(name) });
    for (const { index: a, forcing, replica, lastTickAt } of world.nodes) {
      if (replica === undefined) continue;
      if (forcing > 0) add(`disk ${a}`, ["force", a]);
      if (world.now - lastTickAt >= TICK_MS) add(`node ${a}`, ["tick", a]);
      for (const { index: b } of world.nodes) {
        if (a === b) continue;
        if (world.isOnItsWay(b, a)) add(`${b} ${a}`, ["deliver", b, a]);
        else if (world.isLost(a, b)) add(`${b} ${a}`, ["lost", a, b]);
        if (a < b && world.areApart(a, b)) add(`connect ${a} ${b}`, ["connect", a, b]);
      }
    }
    return all;
  }

  #fail(fault: Fault, node: number): void {
    const random = this.#random;
    const { length: nodes } = this.#world.nodes;
    const other = (node + 1 + random.integer(nodes - 1)) % nodes;
    const kept = random.chance(0.3) ? random.integer(4) : 0;
    switch (fault) {
      case "crash":
        this.#take(["crash", node, kept]);
        return;
      case "crash another":
        this.#take(["crash", other, kept]);
        return;
      case "hang the disk":
        this.#starve(`disk ${node}`);
        return;
      case "starve the node":
        this.#starve(`node ${node}`);
        return;
      case "starve a link":
        this.#starve(random.chance(0.5) ? `${node} ${other}` : `${other} ${node}`);
        return;
      case "cut":
        this.#take(["cut", node, other]);
        return;
      case "wipe":
        // A majority that has lost its memory is lost for good.
        if (this.#wipes++ > 0) return;
        this.#take(["crash", node, 0]);
        this.#take(["wipe", node]);
        return;
      case "leave":
        this.#take(["leave", node]);
        return;
      case "checkpoint":
        this.#take(["checkpoint", node]);
        return;
      case "change":
        if (this.#changesAsked++ >= (this.#rules.changes ?? 0)) return;
        this.#take(["change", node, random.pick(CHANGES), random.integer(nodes)]);
        return;
    }
  }
}
