/**
 * Which nodes hear each other, and which of them make the best view.
 *
 * A write goes to all members, so members that do not hear each other stand in each other's way. While a
 * pair of nodes is cut and both reach the others (a partial partition: Alfatafta et al. 2020, *Toward a
 * generic fault tolerance technique for partial network partitioning*), each of the two would exclude
 * the other one for ever. So every heartbeat tells whom its sender hears, and a view is made of the
 * largest set of nodes that all hear each other.
 *
 * A node that was left out though others heard it is held back: it is let in when it and the members
 * have heard each other for a while, which doubles each time that breaks again (as the damping of routes
 * that flap does: RFC 2439).
 *
 * Nothing here concerns safety: whichever members a view has, it is chosen by a majority. What is known
 * is as old as the last heartbeats, differs from node to node, and is forgotten in a restart.
 *
 * @module
 */

import type { NodeId, NodeSet } from "./messages.ts";
import { contains, members, NOBODY, only, setOf, size } from "./node_set.ts";
import type { Quorum } from "./quorum.ts";
import type { Moment, Stillness } from "./stillness.ts";
import type { Timing } from "./timing.ts";

/** What was heard of one node since its link came up. */
interface Word {
  /** When anything came from it last. */
  heard: Moment;
  /** Whom it hears, as it said last; `undefined` before its first heartbeat. */
  hears: NodeSet | undefined;
}

/** Two nodes, as far as it is known here whether they hear each other. */
interface Pair {
  readonly a: NodeId;
  readonly b: NodeId;
  /** Since when they do not, while this node hears both of them; `undefined` while they do. */
  cutSince: number | undefined;
  /** They were cut for the time of suspicion, and have not been whole for long enough since. */
  isBroken: boolean;
  /** Since when they hear each other again, or the present while they do not. */
  wholeSince: number;
  /** How often they broke, until that is forgotten. */
  breaks: number;
}

/** By node: whom it hears, as far as it has said. */
type Table = ReadonlyMap<NodeId, NodeSet>;

/** What {@linkcode Reachability} needs. */
export interface ReachabilityOptions {
  readonly self: NodeId;
  readonly timing: Timing;
  readonly stillness: Stillness;
}

/** Knows which nodes hear each other. */
export class Reachability {
  readonly #self: NodeId;
  readonly #timing: Timing;
  readonly #stillness: Stillness;
  readonly #words = new Map<NodeId, Word>();
  /** By the lower and the higher node: only pairs that were ever seen cut. */
  readonly #pairs = new Map<string, Pair>();

  constructor({ self, timing, stillness }: ReachabilityOptions) {
    this.#self = self;
    this.#timing = timing;
    this.#stillness = stillness;
  }

  // --- What comes in -------------------------------------------------------------------------

  /** Something came from `node`. */
  onHeard(node: NodeId, now: number): void {
    const heard = this.#stillness.moment(now);
    const word = this.#words.get(node);
    if (word === undefined) this.#words.set(node, { heard, hears: undefined });
    else word.heard = heard;
  }

  /** `node` says whom it hears. */
  onHeartbeat(node: NodeId, hears: NodeSet): void {
    const word = this.#words.get(node);
    if (word !== undefined) word.hears = hears;
  }

  /** The link to `node` is gone. */
  onPeerDown(node: NodeId): void {
    this.#words.delete(node);
  }

  /** Another node has the id of `node` now, or none. */
  forget(node: NodeId): void {
    this.#words.delete(node);
    for (const [name, { a, b }] of this.#pairs) {
      if (a === node || b === node) this.#pairs.delete(name);
    }
  }

  // --- Who hears whom ------------------------------------------------------------------------

  /**
   * The nodes that this one hears, itself among them. A node that falls silent is missing here before it
   * is suspected, so that whoever suspects it first does not take it for one that others still hear.
   */
  heard(now: number): NodeSet {
    let set = only(this.#self);
    for (const [node, { heard }] of this.#words) {
      if (this.#stillness.msSince(heard, now) <= this.#timing.suspicionMs / 2) set |= only(node);
    }
    return set;
  }

  /** By id: whom each of the nodes `heard`, which this one hears, says it hears. */
  #table(heard: NodeSet): Table {
    const table = new Map<NodeId, NodeSet>([[this.#self, heard]]);
    for (const node of members(heard)) {
      const hears = this.#words.get(node)?.hears;
      if (hears !== undefined && node !== this.#self) table.set(node, hears);
    }
    return table;
  }

  // --- The best view -------------------------------------------------------------------------

  /**
   * Returns which of `nodes` are the best members. If enough of them all hear each other, the largest
   * such set; of several, one without the nodes of the highest ids. Else one that has a node whom all
   * others hear, which can write for as long as the network stays so; the others can read. If there is
   * none of these either, all of `nodes` that anybody hears.
   *
   * @param heard those of `nodes` that this one hears
   */
  best(nodes: NodeSet, { quorum, heard }: { quorum: Quorum; heard: NodeSet }): NodeSet {
    const table = this.#table(heard | only(this.#self));
    const alive = nodes & [...table.values()].reduce((all, hears) => all | hears, NOBODY);
    const graph = new Map(
      members(alive).map((node) => [node, this.#neighbours(node, alive, table)] as const),
    );
    const whole = largestWhole(alive, graph);
    if (quorum.isReachedBy(whole)) return whole;
    // Who says that it reaches no majority can have no lease: it is of no use to a view.
    const useful = setOf(
      members(alive).filter((node) => {
        const hears = table.get(node);
        return hears === undefined || quorum.isReachedBy(hears);
      }),
    );
    const known = setOf([...table.keys()]);
    let best = NOBODY;
    for (const hub of members(useful & known)) {
      const star = (graph.get(hub) ?? NOBODY) & useful | only(hub);
      // Of equal ones, the one of which more is known.
      const isBetter = size(star) > size(best) ||
        size(star) === size(best) && size(star & known) > size(best & known);
      if (isBetter) best = star;
    }
    return quorum.isReachedBy(best) ? best : alive;
  }

  /** Those of `nodes` that hear `node` and are heard by it, or may still come to that. */
  #neighbours(node: NodeId, nodes: NodeSet, table: Table): NodeSet {
    return setOf(
      members(nodes & ~only(node)).filter((other) => {
        // Nothing is known of two that are not heard here: others will know.
        const isKnown = table.has(node) || table.has(other);
        if (!isKnown || isWhole(node, other, table)) return true;
        // What this node itself hears is known; of others, that takes until both have said so.
        if (node === this.#self && !contains(table.get(node) ?? NOBODY, other)) return false;
        if (other === this.#self && !contains(table.get(other) ?? NOBODY, node)) return false;
        return table.has(node) && table.has(other) && !this.#isBroken(node, other);
      }),
    );
  }

  #isBroken(a: NodeId, b: NodeId): boolean {
    return this.#pairs.get(nameOf(a, b))?.isBroken === true;
  }

  // --- Who is held back ----------------------------------------------------------------------

  /** Takes down which pairs of `nodes` are cut, and which are whole again. */
  onTick(nodes: NodeSet, now: number): void {
    const heard = this.heard(now);
    // Mostly all hear all, and always did: then there is no pair to watch.
    if (this.#pairs.size === 0 && this.#isWholeAmong(heard)) return;
    const table = this.#table(heard);
    const alive = [...table.values()].reduce((all, hears) => all | hears, NOBODY);
    // What this node itself does not hear is known, too, as long as others hear it.
    const isKnown = (a: NodeId, b: NodeId) =>
      (table.has(a) || b === this.#self && contains(alive, a)) &&
      (table.has(b) || a === this.#self && contains(alive, b));
    for (const pair of this.#pairs.values()) {
      if (isKnown(pair.a, pair.b)) continue;
      pair.cutSince = undefined;
      pair.wholeSince = now;
    }
    for (const a of members(nodes & alive)) {
      for (const b of members(nodes & alive).filter((node) => node > a && isKnown(a, node))) {
        this.#watch({ a, b, now }, isWhole(a, b, table));
      }
    }
  }

  /** Tells whether all of `heard`, which this node hears, have said that they hear each other, and no others. */
  #isWholeAmong(heard: NodeSet): boolean {
    for (const [node, { hears }] of this.#words) {
      if (contains(heard, node) && hears !== heard) return false;
    }
    return true;
  }

  #watch({ a, b, now }: { a: NodeId; b: NodeId; now: number }, whole: boolean): void {
    const { suspicionMs, heldBackMsMax } = this.#timing;
    const name = nameOf(a, b);
    const pair = this.#pairs.get(name);
    if (pair === undefined) {
      if (whole) return;
      const cut = { a, b, cutSince: now, isBroken: false, wholeSince: now, breaks: 0 };
      this.#pairs.set(name, cut);
      return;
    }
    if (!whole) {
      pair.cutSince ??= now;
      pair.wholeSince = now;
      // A link that comes up is heard at its two ends at different moments.
      if (pair.isBroken || now - pair.cutSince < suspicionMs) return;
      pair.isBroken = true;
      pair.breaks++;
      return;
    }
    pair.cutSince = undefined;
    const wholeMs = now - pair.wholeSince;
    if (wholeMs >= this.#holdMs(pair)) pair.isBroken = false;
    if (pair.breaks === 0 || wholeMs >= 2 * heldBackMsMax) this.#pairs.delete(name);
  }

  /** For how long a pair has to be whole until it counts as that. */
  #holdMs({ breaks }: Pair): number {
    const { heldBackMs, heldBackMsMax } = this.#timing;
    return Math.min(heldBackMs * 2 ** (breaks - 1), heldBackMsMax);
  }

  /**
   * Tells whether `node` may be let in beside `others`: it hears each of them that is there and is heard
   * by it, and has been for long enough if that was not so before.
   */
  isWelcome(node: NodeId, others: NodeSet, now: number): boolean {
    const table = this.#table(this.heard(now));
    if (!table.has(node)) return false;
    return members(others & ~only(node)).every((other) => {
      // What is known of a node that is not heard here is that it will be left out itself.
      if (!table.has(other)) return true;
      return isWhole(node, other, table) && !this.#isBroken(node, other);
    });
  }

  /** The pairs that are cut, or not whole for long enough yet. */
  get brokenPairs(): readonly (readonly [NodeId, NodeId])[] {
    return [...this.#pairs.values()].flatMap(({ a, b, isBroken }) =>
      isBroken ? [[a, b] as const] : []
    );
  }
}

function nameOf(a: NodeId, b: NodeId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/**
 * Tells whether two nodes hear each other. Of a node that is not heard here, only what the other one says
 * is known.
 */
function isWhole(a: NodeId, b: NodeId, table: Table): boolean {
  const [ofA, ofB] = [table.get(a), table.get(b)];
  if (ofA === undefined && ofB === undefined) return false;
  return (ofA === undefined || contains(ofA, b)) && (ofB === undefined || contains(ofB, a));
}

/**
 * Returns the largest set of `nodes` that are all neighbours of each other. The node that lacks most
 * neighbours is either out, or all that it lacks are: so few sets are looked at while few links are cut.
 */
function largestWhole(nodes: NodeSet, graph: ReadonlyMap<NodeId, NodeSet>): NodeSet {
  let worst: NodeId | undefined;
  let lacking = NOBODY;
  for (const node of members(nodes)) {
    const lacks = nodes & ~only(node) & ~(graph.get(node) ?? NOBODY);
    if (lacks === NOBODY || size(lacks) < size(lacking)) continue;
    worst = node;
    lacking = lacks;
  }
  if (worst === undefined) return nodes;
  const without = largestWhole(nodes & ~only(worst), graph);
  if (size(lacking) === 1) return without; // As large as any set with it.
  const instead = largestWhole(nodes & ~lacking, graph);
  return size(instead) > size(without) ? instead : without;
}
