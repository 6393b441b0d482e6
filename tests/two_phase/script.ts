/**
 * A cluster of replicas in memory, moved by hand: for tables of rules and golden scripts.
 *
 * Messages stay on their links until they are delivered, and a force is under way until it is
 * completed, so a script says exactly what happens when.
 *
 * @module
 */

import { type Timing, timingFor } from "../../src/two_phase/timing.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import type { ChangeOutcome } from "../../src/two_phase/member_changes.ts";
import type {
  Effect,
  JournalRecord,
  MemberChange,
  Message,
  NodeId,
} from "../../src/two_phase/messages.ts";
import { members } from "../../src/two_phase/node_set.ts";
import type { ProcessIdentity } from "../../src/two_phase/membership.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { type Input, Replica } from "../../src/two_phase/replica.ts";
import type { Outcome, Request, WriteRequest } from "../../src/two_phase/request.ts";
import { combineOutcomes } from "../../src/two_phase/outcome.ts";
import {
  type NamedTransaction,
  parseTransactionName,
} from "../../src/two_phase/transaction_name.ts";
import type { KnownOutcome } from "../../src/two_phase/transaction_table.ts";
import { coordinatorOf, formatAll, formatMessage, formatOutcome } from "./notation.ts";

/** Unless a test says otherwise, no node is suspected, and the first heartbeat round holds forever. */
const TIMING = timingFor(5000, {
  leaseMs: 1e9,
  suspicionMs: 1e9,
  heartbeatMs: 1e9,
  driftMax: 0.01,
});

/** When scripts begin, in milliseconds. */
const BEGIN_MS = 1000;

/** Returns clocks that both show `ms`. */
export function bothAt(ms: number): Clocks {
  return { monotonicMs: ms, wallMs: ms };
}

/** Returns a request that sets keys to values; `undefined` deletes. */
export function write(values: Readonly<Record<string, string | undefined>>): WriteRequest {
  const effects = Object.entries(values).map(([key, value]) => ({ key, value }));
  return {
    kind: "write",
    keys: effects.map((effect) => effect.key),
    evaluate: () => ({ effects, reply: "OK" }),
  };
}

/** Returns a request that appends `suffix` to the value of `key`, and answers with the result. */
export function append(key: string, suffix: string): WriteRequest {
  return {
    kind: "write",
    keys: [key],
    evaluate: (read) => {
      const value = (read(key) ?? "") + suffix;
      return { effects: [{ key, value }], reply: value };
    },
  };
}

/** Returns a request that sets `key` only if it does not exist; answers whether it did. */
export function setIfAbsent(key: string, value: string): WriteRequest {
  return {
    kind: "write",
    keys: [key],
    evaluate: (read) =>
      read(key) === undefined
        ? { effects: [{ key, value }], reply: true }
        : { effects: [], reply: false },
  };
}

/** Returns a request that reads keys. */
export function read(...keys: string[]): Request {
  return { kind: "read", keys, evaluate: (get) => keys.map((key) => get(key) ?? null) };
}

/** What a node has when its script begins. */
export interface StartedOn {
  readonly journal: string;
  readonly records: readonly JournalRecord[];
  readonly store?: Store;
  /** A cluster was begun from it just now: nothing can be later. */
  readonly isTrusted?: boolean;
}

/** How a script begins. */
export interface ScriptOptions {
  readonly timing?: Timing;
  /** By node, what it starts on; all others start on empty journals. */
  readonly journals?: ReadonlyMap<NodeId, StartedOn>;
  /** After so many transactions a coordinator takes another incarnation. */
  readonly sequencesMax?: number;
  /**
   * The nodes that begin the cluster: the first so many. A node behind them knows a list that ends with
   * itself, and is added later. All, if not given.
   */
  readonly founders?: number;
}

/** What a journal held at some moment, and the process that used it. */
export interface JournalCopy {
  readonly identity: ProcessIdentity;
  readonly records: readonly JournalRecord[];
}

interface ScriptJournal {
  readonly records: JournalRecord[];
  /** How many of them are durable. */
  durable: number;
  /** How many there were when the present process began: it counts its own. */
  before: number;
}

/** The process of a node that was started so often on this journal. */
function processOf(
  node: NodeId,
  { journal, incarnation }: { journal: string; incarnation: number },
): ProcessIdentity {
  return { journal, incarnation, process: `n${node}, start ${incarnation} on ${journal}` };
}

/** What each node of `script` says of the end of the transaction that clients know as `name`. */
export function outcomesOf(script: Script, name: string): KnownOutcome[] {
  return script.replicas.map((replica) => replica.outcomeOf(parse(name)).outcome);
}

/** What DKS.OUTCOME answers if these nodes, by index, can be reached. */
export function outcomeSaid(script: Script, name: string, nodes?: readonly NodeId[]): string {
  const answering = nodes ?? [...script.replicas.keys()];
  return combineOutcomes(script.replicas.map((replica, index) => ({
    name: `n${index}`,
    said: answering.includes(index) ? replica.outcomeOf(parse(name)) : undefined,
  })));
}

function parse(name: string): NamedTransaction {
  const parsed = parseTransactionName(name, { nodes: 31, shown: name });
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

interface Link {
  readonly queue: Message[];
  isUp: boolean;
}

/** Replicas, the links between them, and a log of everything that was done. */
export class Script {
  readonly replicas: Replica[];
  readonly log: string[] = [];
  readonly outcomes = new Map<string, Outcome>();
  readonly changeOutcomes = new Map<string, ChangeOutcome>();
  readonly #links: Link[][];
  readonly #identities: ProcessIdentity[];
  /** By node: positions of the forces under way. */
  readonly #forces: number[][];
  readonly #journals: ScriptJournal[];
  /** By node: the store that it starts with, if that is not empty. */
  readonly #stores: readonly (Store | undefined)[];
  /** Nodes whose process has ended. */
  readonly #down = new Set<NodeId>();
  readonly #timing: Timing;
  readonly #sequencesMax: number | undefined;
  readonly #founders: number;
  #now = BEGIN_MS;
  /** How many journals were put back: such processes are others than those before. */
  #processes = 0;
  /** By node: how far its clocks are off. */
  readonly #clockErrors = new Map<NodeId, Clocks>();
  #isMuted = false;
  /** Whether forces are completed as soon as they begin. */
  forcesAtOnce = true;

  /** The committed changes that replicas have reported, in order. */
  readonly changes: { node: NodeId; effects: readonly Effect[]; isOwn: boolean }[] = [];

  constructor(nodes = 3, options: ScriptOptions = {}) {
    const { timing = TIMING, journals = new Map<NodeId, StartedOn>() } = options;
    this.#timing = timing;
    this.#sequencesMax = options.sequencesMax;
    this.#founders = options.founders ?? nodes;
    const indices = Array.from({ length: nodes }, (_, index) => index);
    this.#identities = indices.map((index) =>
      processOf(index, { journal: journals.get(index)?.journal ?? `j${index}`, incarnation: 1 })
    );
    this.#links = indices.map(() => indices.map(() => ({ queue: [], isUp: false })));
    this.#forces = indices.map(() => []);
    this.#journals = indices.map((index) => {
      const records = [...journals.get(index)?.records ?? []];
      return { records, durable: records.length, before: records.length };
    });
    this.#stores = indices.map((index) => journals.get(index)?.store);
    this.replicas = indices.map((self) => this.#newReplica(self, journals.get(self)?.isTrusted));
  }

  #newReplica(self: NodeId, isTrusted = false): Replica {
    const nodes = Math.max(this.#founders, self + 1);
    const store = this.#stores[self];
    return new Replica({
      self,
      names: Array.from({ length: nodes }, (_, index) => `n${index}`),
      identity: this.#identity(self),
      timing: this.#timing,
      sequencesMax: this.#sequencesMax,
      random: () => 0.5,
      now: this.clocksOf(self),
      records: this.#journal(self).records.slice(),
      isTrusted,
      ...(store === undefined ? {} : { store }),
    });
  }

  /** Returns a script whose cluster is complete and quiet. */
  static complete(nodes = 3, timing = TIMING): Script {
    return Script.completed(nodes, { timing });
  }

  /** As {@linkcode complete}, begun with options. */
  static completed(nodes: number, options: ScriptOptions): Script {
    const script = new Script(nodes, options);
    script.#isMuted = true;
    const founders = options.founders ?? nodes;
    for (let a = 0; a < founders; a++) {
      for (let b = a + 1; b < founders; b++) script.connect(a, b);
    }
    script.settle();
    script.#isMuted = false;
    return script;
  }

  /** Delivers everything and lets a little time pass, until the cluster has found itself. */
  settle(): void {
    for (let i = 0; i < 10; i++) {
      this.deliverAll();
      this.wait(20);
    }
  }

  /** The time, in milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** Both clocks of `node`: they show the time, unless something was done to them. */
  clocksOf(node: NodeId): Clocks {
    const { monotonicMs = 0, wallMs = 0 } = this.#clockErrors.get(node) ?? {};
    return { monotonicMs: this.#now + monotonicMs, wallMs: this.#now + wallMs };
  }

  /** As {@linkcode pause}, and the monotonic clock of `node` stands still meanwhile. */
  suspend(node: NodeId, ms: number): void {
    this.pause(node, ms);
    this.#shift(node, { monotonicMs: -ms });
  }

  /** `node` takes in nothing for `ms`. The others go on. */
  pause(node: NodeId, ms: number): void {
    this.#write(`n${node} stands still for ${ms} ms`);
    const isAsleep = (_from: NodeId, to: NodeId) => to === node;
    for (const end = this.#now + ms; this.#now < end;) {
      this.#now += Math.min(20, end - this.#now);
      this.replicas.forEach((_replica, other) => {
        if (other !== node) this.step(other, { type: "tick" });
      });
      this.deliverAll(isAsleep);
    }
  }

  /** Sets the wall clock of `node` forward by `ms`, or back. */
  setClock(node: NodeId, ms: number): void {
    this.#shift(node, { wallMs: ms });
  }

  #shift(node: NodeId, { monotonicMs = 0, wallMs = 0 }: Partial<Clocks>): void {
    const before = this.#clockErrors.get(node) ?? { monotonicMs: 0, wallMs: 0 };
    this.#clockErrors.set(node, {
      monotonicMs: before.monotonicMs + monotonicMs,
      wallMs: before.wallMs + wallMs,
    });
  }

  /** Gives `node` an input, and carries out its effects. */
  step(node: NodeId, input: Input): void {
    if (this.#down.has(node)) return;
    this.#replica(node).step(input, this.clocksOf(node));
    this.#carryOut(node);
  }

  /** A client of `node` asks for something; `label` is what the log and the outcome call it. */
  ask(node: NodeId, label: string, request: Request): void {
    this.#write(`${label} asks n${node}`);
    const client = {
      onOutcome: (outcome: Outcome) => {
        this.outcomes.set(label, outcome);
        this.#write(`  ${label} ${formatOutcome(outcome)}`);
      },
    };
    this.step(node, { type: "request", request, requester: client });
  }

  /** Somebody asks `node` for a change of the list. */
  change(node: NodeId, label: string, change: MemberChange): void {
    const requester = {
      onChangeOutcome: (outcome: ChangeOutcome) => {
        this.changeOutcomes.set(label, outcome);
        this.#write(`  ${label} ${JSON.stringify(outcome)}`);
      },
    };
    this.step(node, { type: "changeMembers", request: { change, by: "ops", requester } });
  }

  /** Delivers the next message from `from` to `to`. Returns whether there was one. */
  deliver(from: NodeId, to: NodeId): boolean {
    const message = this.#link(from, to).queue.shift();
    if (message === undefined) return false;
    const line = formatMessage(message, coordinatorOf(message, from, to));
    this.#write(`n${from} -> n${to}  ${line}`);
    this.step(to, { type: "message", from, message });
    return true;
  }

  /** Delivers messages, link by link, until none is left. */
  deliverAll(except: (from: NodeId, to: NodeId) => boolean = () => false): void {
    for (let isMoving = true; isMoving;) {
      isMoving = false;
      this.#links.forEach((row, from) => {
        row.forEach((_link, to) => {
          if (!except(from, to) && this.deliver(from, to)) isMoving = true;
        });
      });
    }
  }

  /** Lets time pass, and delivers everything. */
  goOnUntil(isOver: () => boolean): void {
    for (let i = 0; i < 200 && !isOver(); i++) {
      this.wait(20);
      this.deliverAll();
    }
    if (!isOver()) throw new Error("it has not come to that in 4 s");
  }

  /** Delivers one message after the other, and lets time pass if there is none. */
  deliverUntil(
    isOver: () => boolean,
    except: (from: NodeId, to: NodeId) => boolean = () => false,
  ): void {
    const nodes = [...this.replicas.keys()];
    const links = nodes.flatMap((from) => nodes.map((to) => ({ from, to })))
      .filter(({ from, to }) => !except(from, to));
    for (let i = 0; i < 3000; i++) {
      if (isOver()) return;
      if (!links.some(({ from, to }) => this.deliver(from, to))) this.wait(20);
    }
    throw new Error("it has not come to that in 3,000 messages");
  }

  /** Completes the forces under way at `nodes`, and those that begin with that. */
  completeForces(...nodes: readonly NodeId[]): void {
    for (const node of nodes) while (this.forcesUnderWay(node) > 0) this.completeForce(node);
  }

  /** Completes the oldest force that is under way at `node`. */
  completeForce(node: NodeId): void {
    const position = this.#forces[node]?.shift();
    if (position === undefined) throw new Error(`no force is under way at node ${node}`);
    this.#write(`n${node} force completed`);
    const journal = this.#journal(node);
    journal.durable = journal.before + position;
    this.step(node, { type: "forced", position });
  }

  /** How many forces are under way at `node`. */
  forcesUnderWay(node: NodeId): number {
    return this.#forces[node]?.length ?? 0;
  }

  connect(a: NodeId, b: NodeId): void {
    this.#write(`n${a} and n${b} are linked`);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const link = this.#link(from, to);
      link.queue.length = 0;
      link.isUp = true;
    }
    // Each says what it knows before it has met the other one.
    const said = (from: NodeId, to: NodeId) => {
      const { identity, peerJournals } = this.#replica(from).membership;
      return { type: "peerUp", peer: from, identity, known: peerJournals.of(to) } as const;
    };
    const [ofA, ofB] = [said(a, b), said(b, a)];
    this.step(a, ofB);
    this.step(b, ofA);
  }

  /** Breaks the link: what was on its way is lost. */
  cut(a: NodeId, b: NodeId): void {
    this.#write(`n${a} and n${b} are cut off from each other`);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const link = this.#link(from, to);
      link.queue.length = 0;
      link.isUp = false;
      this.step(from, { type: "peerDown", peer: to });
    }
  }

  /**
   * The process ends as by `kill -9`, and starts again on what was durable.
   *
   * @param linked the nodes that it has links to then; all that are up, if not given
   */
  restart(node: NodeId, linked?: readonly NodeId[]): void {
    this.kill(node);
    this.start(node, linked);
  }

  /** The process ends as by `kill -9`, and starts again with a new journal, which is empty. */
  wipe(node: NodeId, linked?: readonly NodeId[]): void {
    this.kill(node);
    const journal = this.#journal(node);
    journal.records.length = 0;
    journal.durable = 0;
    journal.before = 0;
    this.#identities[node] = processOf(node, {
      journal: `j${node} after ${this.#now}`,
      incarnation: 0,
    });
    this.start(node, linked);
  }

  /** Returns a copy of what `node` has durable in its journal. */
  copyJournal(node: NodeId): JournalCopy {
    const { records, durable } = this.#journal(node);
    return { identity: this.#identity(node), records: records.slice(0, durable) };
  }

  /** The process ends as by `kill -9`; {@linkcode start} starts it on an older copy of its journal. */
  putBack(node: NodeId, { identity, records }: JournalCopy): void {
    this.kill(node);
    const journal = this.#journal(node);
    journal.records.splice(0, Infinity, ...records);
    journal.durable = records.length;
    journal.before = records.length;
    // The process that starts on it counts from there: it may have a number that another one had.
    this.#identities[node] = identity;
    this.#processes++;
  }

  /** From now on no running node holds back a joiner, whether the joiner hears all members or not. */
  welcomeAll(): void {
    for (const { context: { reachability } } of this.replicas) reachability.isWelcome = () => true;
  }

  /** The process ends as by `kill -9`: what is on its way from it or to it is lost. */
  kill(node: NodeId): void {
    this.#write(`n${node} crashes`);
    this.#down.add(node);
    for (const peer of this.#upBut(node)) this.cut(node, peer);
    const journal = this.#journal(node);
    journal.records.length = journal.durable;
    journal.before = journal.durable;
    this.#forces[node]?.splice(0);
  }

  /** A process starts again on what was durable; for `linked` see {@linkcode restart}. */
  start(node: NodeId, linked?: readonly NodeId[]): void {
    this.#write(`n${node} starts again`);
    this.#down.delete(node);
    const { journal, incarnation } = this.#identity(node);
    const started = processOf(node, { journal, incarnation: incarnation + 1 });
    this.#identities[node] = { ...started, process: `${started.process}, ${this.#processes}` };
    this.replicas[node] = this.#newReplica(node);
    this.#carryOut(node);
    for (const peer of linked ?? this.#upBut(node)) this.connect(node, peer);
  }

  #upBut(node: NodeId): NodeId[] {
    return [...this.replicas.keys()].filter((peer) => peer !== node && !this.#down.has(peer));
  }

  /** Lets time pass, and tells all nodes. */
  wait(ms: number): void {
    this.#now += ms;
    this.#write(`${ms} ms pass`);
    this.replicas.forEach((_replica, node) => this.step(node, { type: "tick" }));
  }

  #carryOut(node: NodeId): void {
    const replica = this.#replica(node);
    while (replica.hasEffects) {
      const effects = replica.takeEffects();
      const journal = this.#journal(node);
      journal.records.push(...effects.records);
      for (const line of formatAll({ ...effects, answers: [] }, node)) {
        if (!line.startsWith("to ")) this.#write(`  n${node} ${line}`);
      }
      for (const { to, message } of effects.sends) {
        for (const receiver of members(to)) {
          const link = this.#link(node, receiver);
          if (link.isUp) link.queue.push(message);
        }
      }
      for (const { requester, outcome } of effects.answers) requester.onOutcome(outcome);
      for (const { requester, outcome } of effects.changeAnswers) {
        requester.onChangeOutcome(outcome);
      }
      for (const { effects: all, requester } of effects.changes) {
        this.changes.push({ node, effects: all, isOwn: requester !== undefined });
      }
      if (!effects.force) continue;
      if (this.forcesAtOnce) {
        journal.durable = journal.records.length;
        replica.step({ type: "forced", position: effects.position }, this.clocksOf(node));
      } else this.#forces[node]?.push(effects.position);
    }
  }

  #write(line: string): void {
    if (!this.#isMuted) this.log.push(line);
  }

  #replica(node: NodeId): Replica {
    const replica = this.replicas[node];
    if (replica === undefined) throw new Error(`there is no node ${node}`);
    return replica;
  }

  #journal(node: NodeId): ScriptJournal {
    const journal = this.#journals[node];
    if (journal === undefined) throw new Error(`there is no node ${node}`);
    return journal;
  }

  #identity(node: NodeId): ProcessIdentity {
    return this.#identities[node] ?? processOf(node, { journal: "", incarnation: 1 });
  }

  #link(from: NodeId, to: NodeId): Link {
    const link = this.#links[from]?.[to];
    if (link === undefined) throw new Error(`there is no link from ${from} to ${to}`);
    return link;
  }
}

/** Returns the replica of the node `index`, which runs. */
export function node(script: Script, index: number): Replica {
  const replica = script.replicas[index];
  if (replica === undefined) throw new Error(`there is no node ${index}`);
  return replica;
}
