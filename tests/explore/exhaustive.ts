/**
 * All that can happen in the smallest world: three nodes, one change of the view, some crashes, one slow
 * disk.
 *
 * n2 says that it is about to end, so n0 begins a change of the view, and begins again where it has
 * crashed. Every order is tried in which messages arrive, the forces of n0 end (those of the other disks
 * end at once), n0 looks at the time, and nodes crash and start again. Not explored: clients; heartbeats
 * and announcements, which do not arrive; what comes after all have installed the view; and more than
 * so many looks at the time. One of them begins a ballot, and two more make n0 wait no longer for a third
 * promise. A clock is a node's own, and moves when the node looks at it.
 *
 * A replica cannot be copied, so a state is reached again by taking the steps to it. States are told
 * apart by a hash of what each process has found on its disk and has taken in since, in its order, and of
 * what is on its way. So orders that no node can tell apart are one state.
 *
 * @module
 */

import type { Message, NodeId } from "../../src/two_phase/messages.ts";
import type { Violation } from "../sim/checkers.ts";
import type { PlantedFault } from "../sim/planted_faults.ts";
import { type Step, World } from "./world.ts";

const NODES = 3;

/** The node that has a view chosen, and whose looks at the time are counted; others do not look. */
const PROPOSER: NodeId = 0;

/** The node with the slow disk. */
const SLOW: NodeId = 0;

/** Messages that have no part in the choice of a view. */
const LOST: readonly Message["type"][] = [
  "heartbeat",
  "heartbeatAcknowledged",
  "viewInstalled",
  "settled",
  "forget",
  "recovered",
];

/** What was found. */
export interface Exhaustion {
  readonly states: number;
  readonly steps: number;
  /** The longest path. */
  readonly depth: number;
  /** States from which nothing more can happen. */
  readonly ends: number;
  readonly isExhausted: boolean;
  readonly violations: readonly Violation[];
  /** The steps to the violation. */
  readonly path: readonly Move[];
}

/** A step, and the ones that follow from it at once. */
type Move = readonly ["deliver" | "force" | "tick" | "crash" | "up", ...rest: number[]];

/** Searches, until there is nothing new, or something is found. */
export function exhaust(
  options: {
    readonly crashes: number;
    /** How often the proposer looks at the time, at most. */
    readonly ticks: number;
    readonly statesMax: number;
    readonly plant?: (() => PlantedFault) | undefined;
  },
): Exhaustion {
  const { statesMax } = options;
  const seen = new Set<number>();
  let [steps, depth, ends] = [0, 0, 0];
  /** By depth: the moves that are still to be tried there. */
  const open: Move[][] = [];
  const path: Move[] = [];
  let place = new Place(options);
  const result = (isExhausted: boolean): Exhaustion => ({
    states: seen.size,
    steps,
    depth,
    ends,
    isExhausted,
    violations: place.world.violations,
    path,
  });
  seen.add(place.hash());
  open.push(place.moves());
  for (let isStale = false; open.length > 0;) {
    const move = open.at(-1)?.pop();
    if (move === undefined) {
      open.pop();
      path.pop();
      isStale = true;
      continue;
    }
    if (isStale) {
      place = new Place(options);
      for (const one of path) place.take(one);
      steps += path.length;
      isStale = false;
    }
    place.take(move);
    steps++;
    if (place.world.isBroken) {
      path.push(move);
      return result(false);
    }
    const hash = place.hash();
    if (seen.has(hash)) {
      isStale = true;
      continue;
    }
    if (seen.size >= statesMax) return result(false);
    seen.add(hash);
    path.push(move);
    depth = Math.max(depth, path.length);
    const moves = place.moves();
    if (moves.length === 0) ends++;
    open.push(moves);
  }
  return result(true);
}

/** A world on its way through the search. */
class Place {
  readonly world: World;
  #ticks: number;
  #crashes: number;
  /** By node: what its process has found, and taken in. */
  readonly #pasts: number[];

  constructor(
    { crashes, ticks, plant }: {
      readonly crashes: number;
      readonly ticks: number;
      readonly plant?: (() => PlantedFault) | undefined;
    },
  ) {
    this.#crashes = crashes;
    this.#ticks = ticks;
    this.world = new World({
      seed: 1,
      nodes: NODES,
      isTimeLocal: true,
      plantedFault: plant?.(),
    });
    for (const type of LOST) this.world.lost.add(type);
    this.world.apply(["leave", 2]);
    for (const other of [0, 1]) this.world.apply(["deliver", 2, other]);
    this.#pasts = this.world.nodes.map(() => 0);
    this.#forceOthers();
  }

  /** Returns what can happen next. */
  moves(): Move[] {
    const { world } = this;
    const moves: Move[] = [];
    const isOver = world.nodes.every(({ replica }) => (replica?.membership.view.number ?? 0) > 1);
    if (isOver) return moves;
    for (const { index: node, replica, forcing } of world.nodes) {
      if (replica === undefined) {
        moves.push(["up", node]);
        continue;
      }
      if (forcing > 0) moves.push(["force", node]);
      for (let from = 0; from < NODES; from++) {
        if (from !== node && world.isOnItsWay(from, node)) moves.push(["deliver", from, node]);
      }
      const hasGoneOver = replica.membership.view.number > 1;
      if (node === PROPOSER && !hasGoneOver && this.#ticks > 0) moves.push(["tick", node]);
      if (this.#crashes > 0) moves.push(["crash", node]);
    }
    return moves;
  }

  take(move: Move): void {
    const { world } = this;
    const [what, first = 0, second = 0] = move;
    switch (what) {
      case "deliver": {
        const message = world.next(first, second);
        this.#note(second, `${first} ${textOf(message)}`);
        this.world.apply(["deliver", first, second]);
        break;
      }
      case "tick":
        this.#ticks--;
        this.#note(first, "tick");
        world.apply(["tick", first]);
        break;
      case "force":
        this.#note(first, "force");
        world.apply(["force", first]);
        break;
      case "crash":
        this.#crashes--;
        world.apply(["crash", first, 0]);
        this.#pasts[first] = hashOf(textOf(world.nodes[first]?.disk.records ?? []));
        break;
      case "up":
        this.#up(first);
        break;
    }
    this.#forceOthers();
  }

  /** The process starts, and is linked to all that run. */
  #up(node: NodeId): void {
    const { world } = this;
    world.apply(["start", node]);
    this.#note(node, `process ${world.nodes[node]?.processes}`);
    for (const { index: other, replica } of world.nodes) {
      if (other === node || replica === undefined) continue;
      const steps: Step[] = [["connect", node, other], ["deliver", other, node]];
      for (const step of steps) world.apply(step);
      // What each says of itself follows from what it was.
      const [a, b] = [this.#pasts[node] ?? 0, this.#pasts[other] ?? 0];
      this.#note(other, `linked to ${a}`);
      this.#note(node, `linked to ${b}`);
    }
  }

  #forceOthers(): void {
    for (const { index } of this.world.nodes) {
      if (index === SLOW) continue;
      while (this.world.apply(["force", index])) {
        // Until there is nothing more to force.
      }
    }
  }

  #note(node: NodeId, text: string): void {
    this.#pasts[node] = hashOf(`${this.#pasts[node]} ${text}`);
  }

  /** Returns what tells this state from others. */
  hash(): number {
    const { world } = this;
    const parts: (string | number)[] = [this.#crashes, this.#ticks];
    for (const { index: node, replica } of world.nodes) {
      parts.push(this.#pasts[node] ?? 0, replica === undefined ? "down" : "up");
      for (let other = 0; other < NODES; other++) {
        if (other === node) continue;
        for (const message of world.onItsWay(other, node)) parts.push(hashOf(textOf(message)));
        parts.push("|");
      }
    }
    return hashOf(parts.join(" "));
  }
}

const texts = new WeakMap<object, string>();

function textOf(value: Message | object | undefined): string {
  if (value === undefined) return "";
  if (Array.isArray(value)) return JSON.stringify(value);
  const known = texts.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(value);
  texts.set(value, text);
  return text;
}

/** Returns 53 bits of a hash of `text`: of a million states, two are one with a chance of 1 in 18,000. */
function hashOf(text: string): number {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 2 ** 32 * (2097151 & (b >>> 0)) + (a >>> 0);
}
