/**
 * A simulated network: connections between nodes, in order and without loss while they last, as TCP's
 * are; they break, stall and are made again.
 *
 * @module
 */

import {
  type JournalSighting,
  type Message,
  MESSAGE_RULES,
  type MessageRule,
  type NodeId,
} from "../../src/two_phase/messages.ts";
import type { PeerIdentity } from "../../src/two_phase/membership.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** A node gives a connection up when it has heard nothing for this long, in milliseconds. */
const SILENCE_MS = 3000;

/** Pauses between attempts to connect, in milliseconds. */
const CONNECT_MS_MIN = 20;
const CONNECT_MS_MAX = 200;

/** How often the tail of an earlier connection comes once more, and how much of it at the most. */
const DUPLICATE_CHANCE = 0.3;
const DUPLICATES_MAX = 8;

/** What a node says of itself, and what it knows of the other one, when a connection is made. */
export interface Greeting {
  readonly identity: PeerIdentity;
  readonly known: JournalSighting | undefined;
  /** The list of nodes that it has. */
  readonly list: ListGreeting;
}

/** What a node says of its list of nodes when a connection is made. */
export interface ListGreeting {
  /** The view that it has installed, and its cluster; 0: none. */
  readonly view: number;
  readonly cluster: string;
  /** The view whose list that is; 0: it is that of the founders. */
  readonly listView: number;
  readonly names: readonly string[];
}

/** What a node is to the network, which knows it by the number of its machine, not by its id. */
export interface Endpoint {
  /** The process runs, and is not paused: it accepts connections. */
  readonly isReachable: boolean;
  readonly index: NodeId;
  /** What it says to `peer` when a connection is made. */
  greet(peer: NodeId): Greeting | undefined;
  /** Tells whether it and `peer` know each other by the same ids. What it learns, it acts upon. */
  agrees(peer: NodeId, list: ListGreeting): boolean;
  onConnected(peer: NodeId, greeting: Greeting): void;
  onDisconnected(peer: NodeId): void;
  onMessage(from: NodeId, message: Message): void;
  /** Does `action` when the process is not paused; `otherwise`, if it ends before. */
  whenRunning(action: () => void, otherwise?: () => void): void;
}

/** One direction of one connection. */
interface Stream {
  readonly from: NodeId;
  readonly to: NodeId;
  /** Nothing arrives before what was sent before it. */
  lastArrivalAt: number;
  /** What has been sent while nothing passes. */
  readonly stalled: Message[];
}

/** A connection. Each end learns for itself that it is open, and that it is closed. */
class Link {
  readonly streams: readonly [Stream, Stream];
  readonly isOpen: [boolean, boolean] = [true, true];

  /** @param processes of each end, how many of its processes had ended before this one */
  constructor(
    readonly ends: readonly [NodeId, NodeId],
    readonly processes: readonly (readonly [NodeId, number])[],
  ) {
    const [a, b] = ends;
    this.streams = [
      { from: a, to: b, lastArrivalAt: 0, stalled: [] },
      { from: b, to: a, lastArrivalAt: 0, stalled: [] },
    ];
  }

  sideOf(node: NodeId): 0 | 1 {
    return this.ends[0] === node ? 0 : 1;
  }
}

/** All connections between nodes. */
export class Network {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #delayMsMax: number;
  readonly #endpoints: Endpoint[] = [];
  /** By node and peer: the connection that the node uses. */
  readonly #links: (Link | undefined)[][] = [];
  /** By from and to: how many partitions stop that direction. */
  readonly #blocks: number[][] = [];
  /** By from and to: what is added to every delay, in milliseconds. */
  readonly #clogs: number[][] = [];
  /** By from and to: the last messages that these two processes have passed. */
  readonly #recent: Message[][][] = [];
  /** By node: how many of its processes have ended. */
  readonly #ended: number[] = [];

  constructor(options: { scheduler: Scheduler; random: Random; delayMsMax: number }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#delayMsMax = options.delayMsMax;
  }

  /** Adds the next node, and begins to connect it. */
  add(endpoint: Endpoint): void {
    const peers = this.#endpoints.slice();
    this.#endpoints.push(endpoint);
    this.#links.push([]);
    this.#blocks.push([]);
    this.#clogs.push([]);
    this.#recent.push([]);
    for (const peer of peers) this.#keepConnected(peer, endpoint);
  }

  send(from: NodeId, to: NodeId, message: Message): void {
    const link = this.#links[from]?.[to];
    if (link === undefined) return;
    const stream = link.streams[link.sideOf(from)];
    if (this.#isBlocked(from, to) || stream.stalled.length > 0) stream.stalled.push(message);
    else this.#transmit(link, stream, message);
  }

  #transmit(link: Link, stream: Stream, message: Message): void {
    const { from, to } = stream;
    const delay = this.#random.skewed(0.02, this.#delayMsMax) + (this.#clogs[from]?.[to] ?? 0);
    const rule: MessageRule = MESSAGE_RULES[message.type];
    const mayOvertake = rule.mayOvertake === true;
    const earliest = this.#scheduler.now + delay;
    const at = mayOvertake ? earliest : Math.max(earliest, stream.lastArrivalAt);
    if (!mayOvertake) stream.lastArrivalAt = at;
    this.#scheduler.after(at - this.#scheduler.now, () => {
      const receiver = this.#endpoints[to];
      receiver?.whenRunning(() => {
        if (this.#links[to]?.[from] !== link) return;
        this.#noteRecent(link, stream, message);
        receiver.onMessage(from, message);
      });
    });
  }

  /** Tells whether no process has ended since there were so many. */
  #areRunning(processes: Link["processes"]): boolean {
    return processes.every(([node, count]) => count === (this.#ended[node] ?? 0));
  }

  /** What a process gets of one that has ended, because it was paused, no later process repeats. */
  #noteRecent({ processes }: Link, { from, to }: Stream, message: Message): void {
    if (!this.#areRunning(processes)) return;
    const recent = (this.#recent[from] ??= [])[to] ??= [];
    if (recent.push(message) > DUPLICATES_MAX) recent.shift();
  }

  /** The process of `node` is gone: its ends of all connections are. */
  onProcessEnd(node: NodeId): void {
    this.#ended[node] = (this.#ended[node] ?? 0) + 1;
    this.#recent[node] = [];
    for (const row of this.#recent) row[node] = [];
    this.#links[node]?.forEach((link, peer) => {
      if (link !== undefined) this.#close(link, node, { peer, isTold: false });
    });
  }

  /** Breaks the connection between two nodes, if there is one: what is on its way is lost. */
  cut(a: NodeId, b: NodeId): void {
    const link = this.#links[a]?.[b];
    if (link === undefined) return;
    this.#close(link, a, { peer: b, isTold: true });
  }

  /** Tells whether anything passes between two nodes, in both directions. */
  passes(a: NodeId, b: NodeId): boolean {
    return !this.#isBlocked(a, b) && !this.#isBlocked(b, a);
  }

  /** Stops everything from `from` to `to`. */
  block(from: NodeId, to: NodeId): void {
    this.#add(this.#blocks, { from, to, amount: 1 });
    this.#scheduler.after(SILENCE_MS + this.#random.between(0, 500), () => {
      if (!this.#isBlocked(from, to)) return;
      const link = this.#links[to]?.[from];
      if (link !== undefined) this.#close(link, to, { peer: from, isTold: true });
    });
  }

  /** Takes one {@linkcode block} back. What was stopped goes on. */
  unblock(from: NodeId, to: NodeId): void {
    this.#add(this.#blocks, { from, to, amount: -1 });
    const link = this.#links[from]?.[to];
    if (link === undefined || this.#isBlocked(from, to)) return;
    const stream = link.streams[link.sideOf(from)];
    for (const message of stream.stalled.splice(0)) this.#transmit(link, stream, message);
  }

  /** Adds `ms` to every delay from `from` to `to`. */
  clog(from: NodeId, to: NodeId, ms: number): void {
    this.#add(this.#clogs, { from, to, amount: ms });
  }

  /** Tells whether all processes that run are connected to each other. */
  isComplete(): boolean {
    return this.#endpoints.every(({ index: a }) =>
      this.#endpoints.every(({ index: b }) => {
        const link = this.#links[a]?.[b];
        return a === b || (link !== undefined && link === this.#links[b]?.[a]);
      })
    );
  }

  #add(
    table: number[][],
    what: { from: NodeId; to: NodeId; amount: number },
  ): void {
    const row = table[what.from];
    if (row !== undefined) row[what.to] = (row[what.to] ?? 0) + what.amount;
  }

  #isBlocked(from: NodeId, to: NodeId): boolean {
    return (this.#blocks[from]?.[to] ?? 0) > 0;
  }

  // --- Connecting ----------------------------------------------------------------------------

  #keepConnected(dialer: Endpoint, acceptor: Endpoint): void {
    const wait = this.#random.between(CONNECT_MS_MIN, CONNECT_MS_MAX);
    this.#scheduler.after(this.#endpoints.length === 0 ? 0 : wait, () => {
      this.#connect(dialer, acceptor);
      this.#keepConnected(dialer, acceptor);
    });
  }

  #connect(dialer: Endpoint, acceptor: Endpoint): void {
    const { index: a } = dialer;
    const { index: b } = acceptor;
    if (this.#links[a]?.[b] !== undefined || !dialer.isReachable || !acceptor.isReachable) return;
    if (this.#isBlocked(a, b) || this.#isBlocked(b, a)) return;
    // Each says what it knows before it has met the other one.
    const greetings = [dialer.greet(b), acceptor.greet(a)] as const;
    if (greetings[0] === undefined || greetings[1] === undefined) return;
    const [ofDialer, ofAcceptor] = greetings;
    const doAgree = [dialer.agrees(b, ofAcceptor.list), acceptor.agrees(a, ofDialer.list)];
    if (doAgree.includes(false)) return;
    const ends = [a, b] as const;
    const link = new Link(ends, ends.map((node) => [node, this.#ended[node] ?? 0]));
    this.#adopt(acceptor, { peer: a, greeting: ofDialer, link });
    // The answer to the handshake is the first thing on the stream.
    const stream = link.streams[1];
    stream.lastArrivalAt = this.#scheduler.now + this.#random.skewed(0.02, this.#delayMsMax);
    const answeredAt = stream.lastArrivalAt;
    for (const each of link.streams) this.#duplicateTail(link, each);
    this.#scheduler.after(answeredAt - this.#scheduler.now, () => {
      const giveUp = () => this.#close(link, a, { peer: b, isTold: false });
      dialer.whenRunning(() => {
        const isOpen = link.isOpen[0] && link.isOpen[1];
        // The process that has dialed may have ended, and another one runs.
        if (!dialer.isReachable || !isOpen || !this.#areRunning(link.processes)) giveUp();
        else this.#adopt(dialer, { peer: b, greeting: ofAcceptor, link });
      }, giveUp);
    });
  }

  /** What came last on an earlier connection comes once more, as if it had been sent again. */
  #duplicateTail(link: Link, stream: Stream): void {
    const recent = this.#recent[stream.from]?.[stream.to] ?? [];
    if (recent.length === 0 || !this.#random.chance(DUPLICATE_CHANCE)) return;
    const count = 1 + this.#random.integer(recent.length);
    for (const message of recent.slice(-count)) this.#transmit(link, stream, message);
  }

  #adopt(end: Endpoint, about: { peer: NodeId; greeting: Greeting; link: Link }): void {
    const { peer, greeting, link } = about;
    const older = this.#links[end.index]?.[peer];
    if (older === link) return;
    if (older !== undefined) this.#close(older, end.index, { peer, isTold: true });
    const row = this.#links[end.index];
    if (row !== undefined) row[peer] = link;
    end.onConnected(peer, greeting);
  }

  /** Closes one end; the other end learns of it, if anything passes. */
  #close(link: Link, node: NodeId, about: { peer: NodeId; isTold: boolean }): void {
    const { peer } = about;
    const side = link.sideOf(node);
    if (!link.isOpen[side]) return;
    link.isOpen[side] = false;
    const row = this.#links[node];
    if (row?.[peer] === link) {
      row[peer] = undefined;
      if (about.isTold) this.#endpoints[node]?.onDisconnected(peer);
    }
    const other = this.#endpoints[peer];
    const wait = this.#isBlocked(node, peer)
      ? SILENCE_MS
      : this.#random.skewed(0.02, this.#delayMsMax * 2);
    this.#scheduler.after(wait, () => {
      other?.whenRunning(() => this.#close(link, peer, { peer: node, isTold: true }));
    });
  }
}
