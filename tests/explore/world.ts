/**
 * A cluster in which nothing happens by itself: every delivery, every force that ends, every passing of
 * time, every crash and every start is a step that the explorer has to take. A run is a list of steps, so it
 * can be repeated, and made shorter.
 *
 * The code under test is that of the simulator: `Replica`, on the simulator's disks, under the
 * white-box checks.
 *
 * @module
 */

import { lastView } from "../../src/node/storage/journal_identity.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import {
  ballotOf,
  type JournalSighting,
  type MemberChange,
  type Message,
  type NodeId,
  transactionName,
  type View,
} from "../../src/two_phase/messages.ts";
import type { PeerIdentity } from "../../src/two_phase/membership.ts";
import { members, only, setOf } from "../../src/two_phase/node_set.ts";
import { type Effects, LEASE_OVER } from "../../src/two_phase/outbox.ts";
import { type Input, Replica } from "../../src/two_phase/replica.ts";
import type { Outcome, Request } from "../../src/two_phase/request.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { type Timing, timingFor } from "../../src/two_phase/timing.ts";
import { ChangeLog, learnerIn } from "../sim/change_log.ts";
import * as checkers from "../sim/checkers.ts";
import type { Violation } from "../sim/checkers.ts";
import { Claims } from "../sim/claims.ts";
import { Disk } from "../sim/disk.ts";
import { Freshness } from "../sim/freshness.ts";
import { type Call, endingOf, History } from "../sim/history.ts";
import {
  exportOf,
  get,
  increment,
  type Operation,
  requestFor,
  set,
  setIf,
} from "../sim/operations.ts";
import type { PlantedFault } from "../sim/planted_faults.ts";
import { Random } from "../sim/random.ts";
import { WhiteBox } from "../white_box/white_box.ts";

/** Short, so that a run needs few steps. */
const TIMING: Timing = timingFor(800, {
  leaseMs: 300,
  suspicionMs: 300,
  heartbeatMs: 100,
  driftMax: 0.1,
});

/** By so much a tick moves a clock that is local; more would count as a pause of the process. */
const LOCAL_TICK_MS = TIMING.heartbeatMs;

/** What clients ask for. */
export const OPERATIONS = [
  "set",
  "delete",
  "get",
  "increment",
  "setNX",
  "getAll",
  "export",
] as const;

/** See {@linkcode OPERATIONS}. `setLarge`: with another key, more than a joiner may lack. */
export type OperationName = typeof OPERATIONS[number] | "setLarge";

/** How long a large value is. */
const LARGE = 2 * 1024 * 1024;

/** Something that happens. One that is not possible when its turn comes does nothing. */
export type Step =
  /** The next thing that `from` has sent arrives. */
  | readonly ["deliver", from: NodeId, to: NodeId]
  /** The force under way ends. */
  | readonly ["force", node: NodeId]
  /** Time passes, everywhere. */
  | readonly ["time", ms: number]
  | readonly ["tick", node: NodeId]
  /** The process ends; of what is not durable the first `kept` records are so nevertheless. */
  | readonly ["crash", node: NodeId, kept: number]
  | readonly ["start", node: NodeId]
  /** The disk of a node that is down is emptied. */
  | readonly ["wipe", node: NodeId]
  | readonly ["leave", node: NodeId]
  | readonly ["checkpoint", node: NodeId]
  /** `dialer` makes a connection: the other end has it at once, `dialer` when the answer has come. */
  | readonly ["connect", dialer: NodeId, acceptor: NodeId]
  /** The end of a connection at `node` breaks. */
  | readonly ["cut", node: NodeId, peer: NodeId]
  /** `node` learns that the other end is gone. */
  | readonly ["lost", node: NodeId, peer: NodeId]
  | readonly ["ask", node: NodeId, operation: OperationName, key: number]
  /** `node` is asked to change the list: to remove or replace `target`, or add the next node that is spare. */
  | readonly ["change", node: NodeId, kind: MemberChange["kind"], target: NodeId];

/** What a world is like at first. */
export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How many more may come into the list: with the ids behind those, each once. */
  readonly spares?: number | undefined;
  /** All nodes start from empty; else they are members of view 1, and linked. */
  readonly isNew?: boolean;
  readonly sequencesMax?: number | undefined;
  /** By node: by how much its clocks are ahead, in milliseconds. */
  readonly clockOffsets?: readonly number[];
  /** Each node has a clock of its own, which only its ticks move; see `exhaustive.ts`. */
  readonly isTimeLocal?: boolean;
  /** At the end, the disk of this node hangs for good: the others go on without it. */
  readonly hungAtTheEnd?: NodeId | undefined;
  readonly plantedFault?: PlantedFault | undefined;
  /** Told of every record that is appended and every message that is sent, by its type. */
  readonly onEvent?: ((node: NodeId, event: string) => void) | undefined;
}

interface Greeting {
  readonly type: "greeting";
  readonly identity: PeerIdentity;
  readonly known: JournalSighting | undefined;
}

interface Node {
  readonly index: NodeId;
  readonly disk: Disk;
  replica: Replica | undefined;
  processes: number;
  /** The force under way ends there; 0 for none. */
  forcing: number;
  /** The force after that. */
  wanted: number;
  /** By peer: the connection that this end has; 0 for none. */
  readonly links: number[];
  lastTickAt: number;
  /** Time by its own clock, if that is local. */
  localMs: number;
  wipes: number;
  readonly clients: Set<() => void>;
  /** A later view that does not list this node, which goes on until a majority of that list has it. */
  lackedBy: Pick<View, "number" | "names"> | undefined;
}

/** How many keys clients use. */
export const KEYS = 3;

/** A cluster, moved on step by step. */
export class World {
  readonly nodes: readonly Node[];
  readonly whiteBox = new WhiteBox();
  now = 0;
  /** By sender and receiver: what is on its way, the first to arrive first. */
  readonly #queues: { link: number; item: Message | Greeting }[][][];
  readonly #options: WorldOptions;
  readonly #history = new History();
  readonly #freshness = new Freshness();
  readonly #claims = new Claims();
  readonly #changeLog = new ChangeLog((name) => {
    const id = this.#latestView?.names.indexOf(name) ?? -1;
    return this.nodes[id]?.replica !== undefined;
  });
  readonly #named = new Set<string>();
  readonly #violations: Violation[] = [];
  #links = 0;
  /** No force of this node's ends. */
  #hung: NodeId | undefined;
  #asked = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    const { nodes, spares = 0 } = options;
    const indices = Array.from({ length: nodes + spares }, (_, index) => index);
    this.#queues = indices.map(() => indices.map(() => []));
    this.nodes = indices.map((index) => ({
      index,
      disk: new Disk(`journal ${index}`),
      replica: undefined,
      processes: 0,
      forcing: 0,
      wanted: 0,
      links: indices.map(() => 0),
      lastTickAt: 0,
      localMs: 0,
      wipes: 0,
      clients: new Set(),
      lackedBy: undefined,
    }));
    if (options.isNew !== true) this.#install(indices.slice(0, nodes));
    for (const index of indices) this.apply(["start", index]);
    const [first] = this.nodes;
    if (first?.replica !== undefined && options.isNew !== true) {
      const { view } = first.replica.membership;
      this.#claims.onAppend(first.replica, [{ type: "view", view }]);
    }
    for (const a of indices) for (const b of indices) if (a < b) this.apply(["connect", a, b]);
    if (options.isNew !== true) this.#settleDown(() => this.#isWhole() && this.#mayAllRead());
  }

  /** All nodes have view 1 on their disks. */
  #install(indices: readonly NodeId[]): void {
    const view: View = {
      number: 1,
      cluster: { id: "a cluster" },
      ballot: ballotOf(1, 0),
      names: indices.map((index) => `n${index}`),
      members: setOf([...indices]),
      journals: indices.map((index) => `journal ${index}`),
      commits: [],
      bases: indices.map(() => 0),
    };
    this.whiteBox.begin(view);
    for (const { disk, index } of this.nodes) {
      if (!indices.includes(index)) continue;
      disk.append([{ type: "membership", view, isMember: true, joined: undefined, offset: 0 }]);
      disk.makeDurable(1);
      disk.incarnation = 1;
    }
  }

  get violations(): readonly Violation[] {
    return [
      ...this.#violations,
      ...this.whiteBox.violations.map((text) => ({ checker: "white box" as const, text })),
    ];
  }

  get isBroken(): boolean {
    return this.#violations.length > 0 || this.whiteBox.violations.length > 0;
  }

  /** What became of the changes of the list, and how often. */
  get changes(): ReadonlyMap<string, number> {
    return this.#changeLog.counts;
  }

  get calls(): readonly Call[] {
    return this.#history.calls;
  }

  // --- Steps ----------------------------------------------------------------------------------

  /** Takes a step. Returns false if it was not possible. */
  apply(step: Step): boolean {
    try {
      return this.#apply(step);
    } catch (error) {
      const text = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#violations.push({ checker: "invariant", text });
      return true;
    }
  }

  #apply(step: Step): boolean {
    switch (step[0]) {
      case "deliver":
        return this.#deliver(step[1], step[2]);
      case "force":
        return this.#endForce(this.#node(step[1]));
      case "time":
        this.now += step[1];
        return true;
      case "tick": {
        const node = this.#node(step[1]);
        node.lastTickAt = this.now;
        node.localMs += LOCAL_TICK_MS;
        return this.#step(node, { type: "tick" });
      }
      case "crash":
        return this.#crash(this.#node(step[1]), step[2]);
      case "start":
        return this.#start(this.#node(step[1]));
      case "wipe": {
        const node = this.#node(step[1]);
        if (node.replica !== undefined) return false;
        const { journal } = node.disk;
        const keepsId = this.#options.plantedFault?.keepsJournalId === true;
        node.disk.wipe(keepsId ? journal : `journal ${node.index} wiped ${++node.wipes}`);
        return true;
      }
      case "leave":
        return this.#step(this.#node(step[1]), { type: "leave" });
      case "checkpoint":
        return this.#checkpoint(this.#node(step[1]));
      case "connect":
        return this.#connect(this.#node(step[1]), this.#node(step[2]));
      case "cut":
        return this.#close(this.#node(step[1]), step[2]);
      case "lost": {
        const [, node, peer] = step;
        return this.isLost(node, peer) && this.#close(this.#node(node), peer);
      }
      case "ask":
        return this.#ask(this.#node(step[1]), step[2], step[3]);
      case "change":
        return this.#change(this.#node(step[1]), step[2], step[3]);
    }
  }

  #node(index: NodeId): Node {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`no node ${index}`);
    return node;
  }

  #step(node: Node, input: Input): boolean {
    const { replica } = node;
    if (replica === undefined) return false;
    replica.step(input, this.#clocks(node));
    for (const more of this.#options.plantedFault?.afterInput?.(input, replica) ?? []) {
      replica.step(more, this.#clocks(node));
    }
    while (node.replica?.hasEffects === true) this.#carryOut(node, node.replica.takeEffects());
    return true;
  }

  #clocks(node: Node): Clocks {
    const { clockOffsets, isTimeLocal } = this.#options;
    const ms = 1_000_000 + (isTimeLocal === true ? node.localMs : this.now) +
      (clockOffsets?.[node.index] ?? 0);
    return { monotonicMs: ms, wallMs: ms };
  }

  #carryOut(node: Node, effects: Effects): void {
    const { plantedFault, onEvent } = this.#options;
    const { index, replica } = node;
    node.disk.append(effects.records);
    if (replica !== undefined) this.#claims.onAppend(replica, effects.records);
    this.#changeLog.onAppend(effects.records);
    for (const { type } of effects.records) onEvent?.(index, `append ${type}`);
    for (const { to, message } of effects.sends) {
      onEvent?.(index, `send ${message.type}`);
      for (const receiver of members(to)) {
        const altered = plantedFault?.onSend?.(message, index, receiver) ?? message;
        if (altered !== message) {
          this.whiteBox.onAltered(index, receiver, { made: message, altered });
        }
        const link = node.links[receiver] ?? 0;
        if (this.lost.has(altered.type)) continue;
        if (link !== 0) this.#queue(index, receiver).push({ link, item: altered });
      }
    }
    for (const { requester, outcome, term } of effects.answers) {
      const isLate = term?.holds(this.#clocks(node)) === false &&
        plantedFault?.ignoresLeaseEnd !== true;
      requester.onOutcome(isLate ? LEASE_OVER : outcome);
    }
    for (const { requester, outcome } of effects.changeAnswers) requester.onChangeOutcome(outcome);
    for (const event of effects.events) {
      if (event.type === "startOver") onEvent?.(index, "startOver");
      else if (event.type === "isRemoved") node.lackedBy = event.view;
      else if (event.type === "listChanged") this.#followList(node, event.view);
    }
    if (node.replica === undefined) return; // It was removed.
    if (!effects.force) return;
    node.wanted = effects.position;
    if (node.forcing === 0) node.forcing = effects.position;
    if (plantedFault?.skipsForce?.(effects, index) === true) {
      this.#step(node, { type: "forced", position: effects.position });
    }
  }

  #endForce(node: Node): boolean {
    const { disk, forcing: position, index } = node;
    if (position === 0) return false;
    node.forcing = node.wanted > position ? node.wanted : 0;
    this.whiteBox.onDurable(index, disk.makeDurable(position - disk.durablePosition));
    this.#step(node, { type: "forced", position });
    this.#endCheckpoint(node);
    return true;
  }

  #start(node: Node): boolean {
    if (node.replica !== undefined) return false;
    const { index, disk } = node;
    const { plantedFault, sequencesMax, seed } = this.#options;
    const names = this.#startList(node);
    if (!isIn({ names }, index)) return false;
    node.lackedBy = undefined;
    const { store, records, incarnation } = disk.open();
    const process = ++node.processes;
    const random = new Random(seed, 100 + index * 100 + process);
    const { journal } = disk;
    node.forcing = 0;
    node.wanted = 0;
    this.#freshness.follow(store);
    node.replica = new Replica({
      self: index,
      names,
      identity: { journal, incarnation, process: `${index}, process ${process}` },
      timing: TIMING,
      sequencesMax,
      random: () => random.next(),
      now: this.#clocks(node),
      store,
      records: plantedFault?.onRecover?.(records) ?? records,
      // What the world begins with is there because it was put there.
      isTrusted: process === 1,
    });
    this.whiteBox.onStart(index, node.replica, { journal, starts: incarnation, records });
    plantedFault?.onStart?.(node.replica);
    this.#step(node, { type: "tick" });
    return true;
  }

  #crash(node: Node, kept: number): boolean {
    if (node.replica === undefined) return false;
    const { disk, index } = node;
    this.whiteBox.onEnd(index);
    node.replica = undefined;
    disk.makeDurable(Math.min(kept, disk.unforced));
    disk.crash(NEVER);
    node.forcing = 0;
    node.wanted = 0;
    node.links.fill(0);
    for (const { index: other } of this.nodes) this.#queue(other, index).length = 0;
    for (const lost of node.clients) lost();
    node.clients.clear();
    return true;
  }

  #checkpoint(node: Node): boolean {
    const { replica, disk } = node;
    if (replica === undefined || disk.isCheckpointing) return false;
    const tail = replica.checkpoint();
    const replacesAll = replica.store.takeCleared();
    disk.beginCheckpoint(this.#options.plantedFault?.onCheckpoint?.(tail) ?? tail, { replacesAll });
    for (const key of replica.store.takeChanged()) disk.stage(replica.store.recordOf(key));
    this.#endCheckpoint(node);
    return true;
  }

  #endCheckpoint({ disk, replica }: Node): void {
    if (replica === undefined || !disk.mayEndCheckpoint) return;
    // What has changed since it began is newer than its records, and stands behind them.
    disk.endCheckpoint(({ key, value, version }) => {
      const entry = replica.store.get(key);
      return entry?.version === version && entry.value === value;
    });
  }

  // --- The list of nodes ------------------------------------------------------------------------

  /** The names by id with which a process of `node` starts: it does not, if they lack the node. */
  #startList({ index, disk }: Node): readonly string[] {
    const { nodes } = this.#options;
    const own = lastView(disk.records);
    if (own !== undefined) return own.names;
    if (index < nodes) return Array.from({ length: nodes }, (_, at) => `n${at}`);
    return this.#latestView?.names ?? [];
  }

  /** The latest view of all nodes that run; `undefined` if none has one. */
  get #latestView(): View | undefined {
    let latest: View | undefined;
    for (const { replica } of this.nodes) {
      const view = replica?.membership.view;
      if (view !== undefined && view.number > (latest?.number ?? 0)) latest = view;
    }
    return latest;
  }

  /** The nodes of the list of the latest view that can come to have that view. */
  get #listed(): readonly Node[] {
    const latest = this.#latestView;
    const { nodes, spares } = this.#options;
    if (spares === undefined) return this.nodes;
    return this.nodes.filter((node) =>
      latest === undefined
        ? node.index < nodes
        : isIn(latest, node.index) && !knowsNobody(node, latest)
    );
  }

  /** Links to nodes that are not in the list end; a node that is not in it ends. */
  #followList(node: Node, { names }: View): void {
    if (!isIn({ names }, node.index)) this.#crash(node, 0);
    for (const { index } of this.nodes) if (!isIn({ names }, index)) this.#close(node, index);
  }

  /** Tells whether both have each other in their lists. The one that is behind may learn that it is removed. */
  #doAgree(a: Node, b: Node): boolean {
    const [ofA, ofB] = [a.replica?.membership.view, b.replica?.membership.view];
    if (ofA === undefined || ofB === undefined) return false;
    if (ofB.number > ofA.number && !isIn(ofB, a.index)) a.lackedBy = ofB;
    if (ofA.number > ofB.number && !isIn(ofA, b.index)) b.lackedBy = ofA;
    return isIn(ofA, b.index) && isIn(ofB, a.index);
  }

  /** Ends the processes that lists lack of which half of the nodes have the view. */
  #endRemoved(): void {
    for (const node of this.nodes) {
      const { lackedBy, replica } = node;
      if (lackedBy === undefined || replica === undefined) continue;
      const listed = this.nodes.filter(({ index }) => isIn(lackedBy, index));
      const knowing = listed.filter((other) =>
        (other.replica?.membership.view.number ?? 0) >= lackedBy.number
      );
      if (knowing.length * 2 >= listed.length) this.#crash(node, 0);
    }
  }

  #change(node: Node, kind: MemberChange["kind"], target: NodeId): boolean {
    const view = node.replica?.membership.view;
    if (view === undefined || view.number === 0) return false;
    // Ids are given in their order. This node may not know the latest one: then it is another name's.
    const name = `n${view.names.length}`;
    const isSpare = view.names.length < this.nodes.length;
    const leaving = view.names[target] ?? "";
    const learner = learnerIn(view);
    if (kind === "cancel" ? learner === undefined : kind !== "add" && leaving === "") return false;
    if ((kind === "add" || kind === "replace") && !isSpare) return false;
    const change: MemberChange = kind === "cancel"
      ? { kind, name: learner ?? "" }
      : kind === "remove"
      ? { kind, name: leaving }
      : kind === "add"
      ? { kind, name }
      : { kind, name, replaces: leaving };
    const about = { nowMs: () => this.now, inView: view.number };
    return this.#step(node, { type: "changeMembers", request: this.#changeLog.ask(change, about) });
  }

  // --- Connections ------------------------------------------------------------------------------

  #queue(from: NodeId, to: NodeId): { link: number; item: Message | Greeting }[] {
    const queue = this.#queues[from]?.[to];
    if (queue === undefined) throw new RangeError(`no nodes ${from} and ${to}`);
    return queue;
  }

  /** Messages of these types are lost from now on. */
  readonly lost = new Set<Message["type"]>();

  /** Tells whether something is on its way that can arrive. */
  isOnItsWay(from: NodeId, to: NodeId): boolean {
    return this.#queue(from, to).length > 0;
  }

  /** Returns all that is on its way, the first to arrive first. */
  onItsWay(from: NodeId, to: NodeId): readonly (Message | { readonly type: "greeting" })[] {
    return this.#queue(from, to).map(({ item }) => item);
  }

  /** Returns what arrives next, for traces. */
  next(from: NodeId, to: NodeId): Message | { readonly type: "greeting" } | undefined {
    return this.#queue(from, to)[0]?.item;
  }

  /** Tells whether `node` has an end of a connection whose other end is gone. */
  isLost(node: NodeId, peer: NodeId): boolean {
    const link = this.#node(node).links[peer] ?? 0;
    if (link === 0 || this.#node(peer).links[node] === link) return false;
    return !this.#queue(node, peer).some(({ item }) => item.type === "greeting");
  }

  /** Tells whether the two nodes run and have no connection. */
  areApart(a: NodeId, b: NodeId): boolean {
    const [one, other] = [this.#node(a), this.#node(b)];
    return one.replica !== undefined && other.replica !== undefined && one.links[b] === 0 &&
      other.links[a] === 0;
  }

  #connect(dialer: Node, acceptor: Node): boolean {
    const [a, b] = [dialer.index, acceptor.index];
    if (dialer.replica === undefined || acceptor.replica === undefined) return false;
    if (dialer.links[b] !== 0 || !this.#doAgree(dialer, acceptor)) return false;
    if (acceptor.links[a] !== 0) this.#close(acceptor, a);
    const greetings = [greet(dialer.replica, b), greet(acceptor.replica, a)] as const;
    const link = ++this.#links;
    this.#queue(a, b).length = 0;
    this.#queue(b, a).length = 0;
    this.#queue(b, a).push({ link, item: greetings[1] });
    this.#adopt(acceptor, { peer: a, link, greeting: greetings[0] });
    return true;
  }

  #adopt(node: Node, about: { peer: NodeId; link: number; greeting: Greeting }): void {
    const { peer, link, greeting: { identity, known } } = about;
    node.links[peer] = link;
    this.#step(node, { type: "peerUp", peer, identity, known });
  }

  #close(node: Node, peer: NodeId): boolean {
    if (node.links[peer] === 0 || node.replica === undefined) return false;
    node.links[peer] = 0;
    this.#queue(peer, node.index).length = 0;
    return this.#step(node, { type: "peerDown", peer });
  }

  #deliver(from: NodeId, to: NodeId): boolean {
    const first = this.#queue(from, to).shift();
    if (first === undefined) return false;
    const { link, item } = first;
    const node = this.#node(to);
    if (item.type === "greeting") {
      const view = node.replica?.membership.view;
      const isListed = view !== undefined && isIn(view, from);
      if (isListed && node.links[from] === 0) {
        this.#adopt(node, { peer: from, link, greeting: item });
      }
      return true;
    }
    if (node.links[from] !== link) return true; // Of a connection that is gone.
    this.whiteBox.onMessage(to, from, item);
    return this.#step(node, { type: "message", from, message: item });
  }

  // --- Clients ----------------------------------------------------------------------------------

  #ask(node: Node, name: OperationName, key: number): boolean {
    if (node.replica === undefined) return false;
    const operation = this.#operation(name, `k${key}`);
    const { plantedFault } = this.#options;
    const call = this.#history.begin({
      client: this.#asked++,
      node: node.index,
      operation,
      nowMs: this.now,
    });
    const end = (outcome: string, reply = "") => {
      if (call.ending !== undefined) return;
      this.#history.end(call, { ending: endingOf(outcome), outcome, reply, nowMs: this.now });
    };
    const lost = () => end("connection lost");
    node.clients.add(lost);
    const made = this.#evaluatedOnce(requestFor(operation));
    const request = plantedFault?.onRequest?.(made, node.replica) ?? made;
    this.#step(node, {
      type: "request",
      request,
      requester: {
        onOutcome: (outcome: Outcome) => {
          node.clients.delete(lost);
          if ("transaction" in outcome) this.#named.add(outcome.transaction);
          if (outcome.kind === "indeterminate") call.transaction = outcome.transaction;
          if (outcome.kind === "answered" && !operation.isRead) this.#lookAround(operation);
          end(outcome.kind, outcome.kind === "answered" ? String(outcome.reply) : "");
        },
      },
    });
    return true;
  }

  /** An export has effects of its own (it takes a place): it is evaluated when it is answered, once. */
  #evaluatedOnce(request: Request): Request {
    if (request.kind !== "barrier") return request;
    let evaluations = 0;
    const evaluate = (store: Store) => {
      if (evaluations++ > 0) {
        this.#violations.push({ checker: "invariant", text: "an export is evaluated twice" });
      }
      return request.evaluate(store);
    };
    return { ...request, evaluate };
  }

  #operation(name: OperationName, key: string): Operation {
    const all = Array.from({ length: KEYS }, (_, at) => `k${at}`);
    switch (name) {
      case "set":
        return set([key], `v${this.#asked}`);
      case "setLarge":
        return set([key], `v${this.#asked}`.padEnd(LARGE, "~"));
      case "delete":
        return set([key], undefined);
      case "get":
        return get(key);
      case "increment":
        return increment(`n${key}`);
      case "setNX":
        return setIf(key, `v${this.#asked}`, "NX");
      case "getAll":
        return get(...all);
      case "export":
        return exportOf(...all);
    }
  }

  #lookAround({ keys }: Operation): void {
    if (this.#options.isTimeLocal === true) return;
    for (const node of this.nodes) {
      const { replica, index } = node;
      if (replica === undefined) continue;
      const about = { name: `n${index}`, replica, now: this.#clocks(node) };
      this.#violations.push(...this.#freshness.check(about, keys));
    }
  }

  // --- The end ----------------------------------------------------------------------------------

  /** Time passes and all goes well, until `isDone` or for so many rounds. */
  #settleDown(isDone: () => boolean, rounds = 400): boolean {
    for (let round = 0; round < rounds && !this.isBroken; round++) {
      if (isDone()) return true;
      this.apply(["time", 25]);
      for (const { index: a, replica } of this.nodes) {
        if (replica === undefined) this.apply(["start", a]);
        for (const { index: b } of this.nodes) {
          if (a === b) continue;
          this.apply(["lost", a, b]);
          if (a < b) this.apply(["connect", a, b]);
        }
        this.apply(["tick", a]);
      }
      this.#deliverAll();
      this.#endRemoved();
    }
    return isDone();
  }

  #deliverAll(): void {
    for (let hasMore = true, turns = 0; hasMore && turns < 2000 && !this.isBroken; turns++) {
      hasMore = false;
      for (const { index: a } of this.nodes) {
        for (const { index: b } of this.nodes) {
          if (a !== b && this.apply(["deliver", a, b])) hasMore = true;
        }
        if (a !== this.#hung && this.apply(["force", a])) hasMore = true;
      }
    }
  }

  #isWhole(): boolean {
    const listed = this.#listed;
    const views = new Set(listed.map(({ replica }) => replica?.membership.view.number));
    return views.size === 1 &&
      listed.every(({ replica }) =>
        replica?.membership.isMember === true && !replica.membership.isFrozen &&
        !replica.membership.isLeaving && replica.membership.mayWrite
      );
  }

  #mayAllRead(): boolean {
    return this.#listed.every((node) =>
      node.replica?.membership.mayRead(this.#clocks(node)) === true
    );
  }

  #isAtRest(): boolean {
    return this.#isWhole() && this.#mayAllRead() &&
      this.#listed.every(({ replica }) => replica?.transactions === 0 && replica.locks.size === 0);
  }

  /** Everything is healed; what then must hold is looked at. Returns all violations. */
  finish(): readonly Violation[] {
    if (!this.isBroken) this.#heal();
    const { calls } = this.#history;
    if (!this.isBroken) {
      this.#violations.push(
        ...checkers.linearizability(calls).violations,
        ...checkers.visibleAborts(calls),
      );
    }
    this.#violations.push(...this.#claims.violations(), ...this.#changeLog.violations());
    return this.violations;
  }

  #heal(): void {
    for (const { replica, index } of this.nodes) {
      if (replica?.membership.isLeaving === true) this.apply(["crash", index, 0]);
    }
    this.askOutcomes();
    if (!this.#settleDown(() => this.#isAtRest())) {
      if (!this.isBroken) this.#violations.push({ checker: "liveness", text: this.#describe() });
      return;
    }
    this.askOutcomes();
    this.#hangADisk();
    for (const { index } of this.#listed) this.apply(["ask", index, "getAll", 0]);
    for (const { index } of this.#listed) this.apply(["ask", index, "set", 0]);
    const isServed = this.#settleDown(() => this.#isAtRest() && this.#isServed());
    if (this.isBroken) return;
    if (!isServed) {
      this.#violations.push({ checker: "liveness", text: `not served: ${this.#describe()}` });
    }
    for (const call of this.#history.calls) {
      const { transaction } = call;
      if (call.ending === "unknown" && transaction !== undefined) {
        if (this.#claims.hadNoEffect(transaction)) call.ending = "none";
      }
    }
    this.#violations.push(...checkers.atRest(this.#listed.flatMap(({ index, replica }) => {
      if (replica === undefined) return [];
      const { store, locks, transactions: remembered } = replica;
      const records = checkers.recordsIn(store);
      return [{ name: `n${index}`, records, locks: locks.size, undecided: [], remembered }];
    })));
  }

  /** A disk hangs, and only its own node has something to write: it is left out all the same. */
  #hangADisk(): void {
    const { hungAtTheEnd: hung } = this.#options;
    if (hung === undefined) return;
    this.#hung = hung;
    this.apply(["ask", hung, "set", 0]);
    const isLeftOut = () =>
      this.nodes.every(({ index, replica }) => {
        if (index === hung) return true;
        const view = replica?.membership;
        return view !== undefined && view.mayWrite && (view.members & only(hung)) === 0;
      });
    if (!this.#settleDown(isLeftOut) && !this.isBroken) {
      const text = `n${hung} is not left out, and its disk hangs: ${this.#describe()}`;
      this.#violations.push({ checker: "liveness", text });
    }
    this.#hung = undefined;
  }

  #isServed(): boolean {
    return this.#history.calls.every(({ ending }) => ending !== undefined);
  }

  /** A client that got the name of a transaction asks how it ended. */
  askOutcomes(): void {
    for (const name of this.#named) this.#askOutcome(name);
  }

  #askOutcome(name: string): void {
    this.#claims.ask(name, this.nodes.map(({ replica }) => replica));
  }

  #describe(): string {
    return this.nodes.map(({ index, replica }) => {
      if (replica === undefined) return `n${index} down`;
      const { membership, context: { transactions } } = replica;
      const open = transactions.coordinators().flatMap((coordinator) =>
        [...transactions.of(coordinator)].map(([number, known]) =>
          `${transactionName(coordinator, number)} ${
            typeof known === "string" ? known : known.state
          }`
        )
      );
      const { view, isMember, isFrozen } = membership;
      return `n${index} view ${view.number} of ${members(view.members).join(" ")}` +
        `${isMember ? "" : " outside"}${isFrozen ? " frozen" : ""} ${open.join(", ")}`;
    }).join("; ");
  }
}

/** Draws nothing: what survives a crash is a part of the step. */
const NEVER = { chance: () => false, integer: () => 0 };

function greet(replica: Replica, peer: NodeId): Greeting {
  const { identity, peerJournals } = replica.membership;
  return { type: "greeting", identity, known: peerJournals.of(peer) };
}

/** Tells whether a view lists the node with this id. */
function isIn({ names }: Pick<View, "names">, id: NodeId): boolean {
  return (names[id] ?? "") !== "";
}

/**
 * Tells whether a node has slept until all others that it knows were removed: nobody tells it of `latest`
 * until it is started with the names of others (docs/operations.md).
 */
function knowsNobody({ index, replica }: Node, latest: View): boolean {
  const view = replica?.membership.view;
  if (view === undefined || view.number === 0 || view.number === latest.number) return false;
  return view.names.every((_, id) => id === index || !isIn(view, id) || !isIn(latest, id));
}
