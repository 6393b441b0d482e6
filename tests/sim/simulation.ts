/**
 * One run: a whole cluster, its clients and what goes wrong, in one process and under one seed.
 *
 * A run has two phases (as TigerBeetle's simulator has): in the first one things go wrong, and
 * every answer must be right; then everything is healed, and every client must be served. At the
 * end, at rest, the members are looked into.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { Counters } from "../../src/two_phase/counters.ts";
import {
  type MemberChange,
  type Prepare,
  type Stamp,
  transactionName,
  type View,
} from "../../src/two_phase/messages.ts";
import { NODES_MAX } from "../../src/limits.ts";
import { isSameList } from "../../src/two_phase/member_changes.ts";
import { members } from "../../src/two_phase/node_set.ts";
import { majority, voters } from "../../src/two_phase/quorum.ts";
import type { Outcome, Request, WriteRequest } from "../../src/two_phase/request.ts";
import { WhiteBox } from "../white_box/white_box.ts";
import * as checkers from "./checkers.ts";
import type { MemberAtRest, Violation } from "./checkers.ts";
import { lastView } from "../../src/node/storage/journal_identity.ts";
import { ChangeLog, learnerIn } from "./change_log.ts";
import { Claims } from "./claims.ts";
import type { DiskCopy } from "./disk.ts";
import { Freshness } from "./freshness.ts";
import { type Call, endingOf, formatCall, History } from "./history.ts";
import { Network } from "./network.ts";
import { bare, get, type Operation, requestFor, set } from "./operations.ts";
import { OperationSource } from "./operation_source.ts";
import type { PlantedFault } from "./planted_faults.ts";
import { Random } from "./random.ts";
import { CLOCK_DRIFT_MAX, type Fault, type PlannedChange, type Scenario } from "./scenario.ts";
import { Scheduler } from "./scheduler.ts";
import { type Happening, machineOf, nameOf, type NodeNames, SimNode } from "./sim_node.ts";
import { Trace } from "./trace.ts";

/** A client gives its connection up if there is no answer this long after the deadline. */
const CLIENT_GRACE_MS = 1000;

/** A request is answered at most this long after its deadline. */
const DEADLINE_GRACE_MS = 200;

/** In this time after healing every client is served, in milliseconds. */
const LIVENESS_MS = 20_000;

/** In this time after the last request everything is at rest, and all nodes are members again. */
const REST_MS = 20_000;

/** A connection that passes nothing for longer than this is given up, see `network.ts`. */
const HOLD_MS_MAX = 2800;

/** How much before its time a key may go, by the clock of the node that set it, in milliseconds. */
const EXPIRY_EARLY_MS = 1200;

/** Pauses of a client before it asks again what it was refused. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 200;

/** How often a client repeats a write under its token. */
const ONCE_REPETITIONS = 5;

/** How many of the answers to such a write are lost on their way, as part of 1. */
const LOST_ANSWERS = 0.2;

/** What came of a run. */
export interface Result {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Sets of keys for which the search for an order was given up: nothing is known of them. */
  readonly undecided: number;
  readonly calls: readonly Call[];
  readonly counters: ReadonlyMap<string, number>;
  /** Actions of the scheduler. */
  readonly events: number;
  /** Virtual time, in milliseconds. */
  readonly virtualMs: number;
  readonly trace: readonly string[];
}

/** How a scenario is run. */
export interface RunOptions {
  readonly plantedFault?: PlantedFault | undefined;
  readonly trace?: boolean;
}

/** Runs a scenario. */
export function simulate(scenario: Scenario, options: RunOptions = {}): Result {
  return new Simulation(scenario, options).run();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #scheduler = new Scheduler();
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #history = new History();
  readonly #network: Network;
  readonly #nodes: SimNode[] = [];
  readonly #source: OperationSource;
  readonly #counters = new Map<string, number>();
  readonly #violations: Violation[] = [];
  readonly #freshness = new Freshness();
  readonly #claims = new Claims();
  readonly #changeLog = new ChangeLog((name) =>
    this.#nodes[machineOf(name)]?.replica !== undefined
  );
  readonly #whiteBox = new WhiteBox();
  /** Which answers are lost: of a stream of its own, so that other runs stay as they were. */
  readonly #losses: Random;
  /** Names of transactions from errors, about which clients may ask. */
  readonly #named = new Set<string>();
  #isHealing = false;
  #asked = 0;
  /** Clients that have not finished the phase. */
  #busy = 0;

  constructor(scenario: Scenario, options: RunOptions) {
    this.#scenario = scenario;
    this.#random = new Random(scenario.seed, 2);
    this.#losses = new Random(scenario.seed, 7);
    this.#trace = new Trace(this.#scheduler, { isOn: options.trace === true });
    this.#source = new OperationSource(scenario, {
      random: new Random(scenario.seed, 3),
      nowMs: () => this.#scheduler.now,
    });
    const { delayMsMax } = scenario;
    this.#network = new Network({ scheduler: this.#scheduler, random: this.#random, delayMsMax });
    const { nodes, changes } = scenario;
    const founders = namesOfFounders(scenario);
    for (let index = 0; index < nodes + (changes?.spares ?? 0); index++) {
      const node = new SimNode({
        index,
        founders: index < nodes ? founders : undefined,
        findList: (machine) => this.#findList(machine),
        isKnown: (machine, list) => this.#isKnown(machine, list),
        scenario,
        scheduler: this.#scheduler,
        network: this.#network,
        random: this.#random,
        trace: this.#trace,
        plantedFault: options.plantedFault,
        whiteBox: this.#whiteBox,
        onHappening: (happening) => this.#count(happening),
        onPrepare: (prepare) => this.#takeNote(prepare),
        onOpen: (store) => this.#freshness.follow(store),
        onListChanged: ({ before, view }) => {
          if (before.number === 0 || this.#changeLog.changesBetween(before, view) < 2) return;
          this.#count("a node has slept through several changes");
        },
        onAppend: (replica, records) => {
          this.#claims.onAppend(replica, records);
          this.#changeLog.onAppend(records);
        },
      });
      this.#nodes.push(node);
      this.#network.add(node);
    }
  }

  run(): Result {
    try {
      this.#runPhases();
    } catch (error) {
      const text = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#violations.push({ checker: "invariant", text });
    }
    const { calls } = this.#history;
    if (this.#violations.length === 0) this.#settleUnknown();
    const { violations, undecided } = checkers.linearizability(calls);
    this.#violations.push(
      ...checkers.visibleAborts(calls),
      ...checkers.sums(calls),
      ...checkers.scans(calls),
      ...this.#claims.violations(),
      ...this.#changeLog.violations(),
      ...this.#whiteBox.violations.map((text) => ({ checker: "white box" as const, text })),
      ...this.#deadlines(),
      ...this.#priorityChanges(),
      ...violations,
    );
    return {
      seed: this.#scenario.seed,
      violations: this.#violations,
      undecided,
      calls,
      counters: this.#allCounters(),
      events: this.#scheduler.done,
      virtualMs: this.#scheduler.now,
      trace: this.#trace.lines,
    };
  }

  /**
   * At rest it is known which of the transactions with an indeterminate end have taken effect. Those that
   * have not are as if they had been refused, and so is what was asked of nodes that were down; so the search
   * for an order has less to try, and overlooks less.
   */
  #settleUnknown(): void {
    for (const call of this.#history.calls) {
      const { ending, transaction, hasArrived } = call;
      if (ending !== "unknown") continue;
      const hadNoEffect = transaction !== undefined && this.#claims.hadNoEffect(transaction);
      if (hadNoEffect || !hasArrived) call.ending = "none";
    }
  }

  #runPhases(): void {
    const { healAt, clients, faults, changes } = this.#scenario;
    for (const fault of faults) this.#scheduler.after(fault.at, () => this.#begin(fault));
    for (const planned of changes?.planned ?? []) {
      this.#scheduler.after(planned.at, () => this.#askForChange(planned));
    }
    for (let client = 0; client < clients; client++) {
      this.#scheduler.after(this.#random.between(0, 300), () => this.#work(client));
    }
    // The network connects again and again, so there is always something to do.
    this.#scheduler.run(healAt);
    this.#heal();
    this.#runFinalPhase();
  }

  // --- The list of nodes ---------------------------------------------------------------------

  /** The latest view that any node has; `undefined` before the first. */
  get #latestView(): View | undefined {
    let latest: View | undefined;
    for (const { view } of this.#nodes) {
      if (view !== undefined && view.number > (latest?.number ?? 0)) latest = view;
    }
    return latest;
  }

  /** The nodes of the list of the latest view. */
  get #listed(): readonly SimNode[] {
    if (this.#scenario.changes === undefined) return this.#nodes;
    const view = this.#latestView;
    return this.#nodes.filter(({ name, index }) =>
      view === undefined ? index < this.#scenario.nodes : view.names.includes(name)
    );
  }

  /** The nodes that count in `view`. */
  #votersOf(view: View): SimNode[] {
    return members(voters(view)).flatMap((id) =>
      this.#nodes[machineOf(view.names[id] ?? "")] ?? []
    );
  }

  /** Returns the latest list that a machine can ask for. */
  #findList(machine: number): NodeNames | undefined {
    let latest: NodeNames | undefined;
    for (const { index, replica, isReachable } of this.#nodes) {
      if (replica === undefined || !isReachable || !this.#network.passes(machine, index)) continue;
      const { number, names } = replica.membership.view;
      if (number > (latest?.view ?? 0)) latest = { view: number, names };
    }
    return latest;
  }

  /** Tells whether half of the others of a list, of those that a machine can ask, have its view or a later one. */
  #isKnown(machine: number, { view, names }: NodeNames): boolean {
    const others = names.filter((name) => name !== "" && name !== nameOf(machine));
    const knowing = others.filter((name) => {
      const node = this.#nodes[machineOf(name)];
      return node?.isReachable === true && this.#network.passes(machine, node.index) &&
        (node.view?.number ?? 0) >= view;
    });
    return knowing.length * 2 >= others.length;
  }

  #askForChange(planned: PlannedChange): void {
    if (this.#isHealing) return;
    const nodes = this.#listed.filter(({ replica }) => replica !== undefined);
    const node = pickAt(nodes, planned.asked);
    if (node?.replica === undefined) return;
    const { view } = node.replica.membership;
    const change = this.#changeOf(planned, view);
    if (change === undefined) return;
    this.#count(`asked to ${change.kind}`);
    this.#trace.client(`n${node.index} is asked for ${JSON.stringify(change)}`);
    const nowMs = () => this.#scheduler.now;
    node.change(this.#changeLog.ask(change, { nowMs, inView: view.number }));
  }

  /** Returns the change that is planned, of the list of `view`. */
  #changeOf({ kind, machine, target }: PlannedChange, view: View): MemberChange | undefined {
    const present = view.names.filter((name) => name !== "");
    const absent = this.#nodes.map(({ name }) => name).filter((name) => !present.includes(name));
    const added = pickAt(absent, machine);
    const leaving = pickAt(present, target);
    switch (kind) {
      case "cancel": {
        const name = learnerIn(view) ?? leaving;
        return name === undefined ? undefined : { kind, name };
      }
      case "remove":
        return leaving === undefined ? undefined : { kind, name: leaving };
      case "add":
        return added === undefined ? undefined : { kind, name: added };
      case "replace":
        if (added === undefined || leaving === undefined) return undefined;
        return { kind, name: added, replaces: leaving };
    }
  }

  /**
   * Tells whether the disk of `node` may be lost: a majority is left, also by the lists that may be chosen
   * next. A majority that has lost its memory is lost for good, and of two nodes one is a majority's half.
   */
  #mayLoseDisk(): boolean {
    if (this.#scenario.changes === undefined) return true;
    const latest = this.#latestView;
    if (latest === undefined) return true;
    const next = this.#nodes.flatMap(({ replica }) => {
      const proposal = replica?.membership.accepted?.proposal;
      return proposal !== undefined && proposal.number > latest.number ? [proposal] : [];
    });
    const needed = this.#changeLog.mayBeRemoving(this.#scheduler.now) ? 4 : 3;
    // A node that is in no view begins with a new journal when it meets a list that has changed.
    const holding = (view: View) =>
      this.#votersOf(view).filter((node) => (node.view?.number ?? 0) > 0).length;
    return [latest, ...next].every((view) => holding(view) >= needed);
  }

  // --- Faults --------------------------------------------------------------------------------

  #begin(fault: Fault): void {
    if (this.#isHealing) return;
    const { kind, ms } = fault;
    this.#count(`fault: ${kind}`);
    switch (fault.kind) {
      case "crash":
        this.#nodes[fault.node]?.crashAt(fault.point, ms);
        return;
      case "failed force":
        this.#nodes[fault.node]?.crashAt("failed force", ms);
        return;
      case "wipe":
        if (this.#mayLoseDisk()) this.#nodes[fault.node]?.wipe(ms);
        return;
      case "older copy":
        this.#putBackLater(fault.node, ms);
        return;
      case "swap":
        this.#swap(fault.a, fault.b, ms);
        return;
      case "lost majority":
        this.#loseMajority(ms);
        return;
      case "stop":
        this.#nodes[fault.node]?.stop(ms);
        return;
      case "pause":
        this.#nodes[fault.node]?.pause(ms);
        return;
      case "suspend":
        this.#nodes[fault.node]?.suspend(ms);
        return;
      case "set clock":
        this.#nodes[fault.node]?.setClock(fault.by);
        return;
      case "slow disk":
        this.#nodes[fault.node]?.slowDisk(ms);
        return;
      case "hung disk":
        this.#nodes[fault.node]?.hangDisk(ms);
        return;
      case "hold": {
        const { from, to } = fault;
        this.#network.block(from, to);
        this.#undoAfter(Math.min(ms, HOLD_MS_MAX), () => this.#network.unblock(from, to));
        return;
      }
      case "cut":
        this.#network.cut(fault.a, fault.b);
        return;
      case "cut pairs":
        this.#cutPairs(fault.pairs, ms);
        return;
      case "clog": {
        const extra = this.#random.between(10, 500);
        this.#network.clog(fault.from, fault.to, extra);
        this.#undoAfter(ms, () => this.#network.clog(fault.from, fault.to, -extra));
        return;
      }
      case "partition":
        this.#partition(fault.from, { isTwoWay: fault.isTwoWay, ms });
        return;
    }
  }

  readonly #undos = new Set<() => void>();

  /** Undoes a fault after `ms`, or when everything is healed. */
  #undoAfter(ms: number, undo: () => void): void {
    this.#undos.add(undo);
    this.#scheduler.after(ms, () => {
      if (this.#undos.delete(undo)) undo();
    });
  }

  #putBackLater(index: number, ms: number): void {
    const node = this.#nodes[index];
    if (node === undefined) throw new RangeError(`no node ${index}`);
    const copy = node.copyDisk();
    this.#scheduler.after(ms, () => {
      if (this.#isHealing) return;
      const knowing = this.#nodes.filter((other) =>
        other !== node && other.knowsMoreThan(copy, index)
      );
      // A majority without any of the nodes that know it would take it back.
      const counting = this.#countingFor(copy);
      const unknowing = counting.filter((other) => !knowing.includes(other));
      const isKnown = unknowing.length < majority(counting.length);
      if (counting.length > 0 && isKnown) node.putBack(copy);
    });
  }

  /** The nodes that vouch for a copy of a disk; none if the list has changed since, or may change. */
  #countingFor({ records }: DiskCopy): readonly SimNode[] {
    if (this.#scenario.changes === undefined) return this.#nodes;
    const latest = this.#latestView;
    const then = lastView(records);
    const isSame = latest !== undefined && then !== undefined && isSameList(latest, then);
    const mayChange = this.#changeLog.mayBeRemoving(this.#scheduler.now);
    return isSame && !mayChange && this.#mayLoseDisk() ? this.#votersOf(latest) : [];
  }

  #swap(a: number, b: number, ms: number): void {
    const [one, other] = [this.#nodes[a], this.#nodes[b]];
    if (one === undefined || other === undefined) throw new RangeError(`no node ${a} or ${b}`);
    if (!SimNode.swapDisks(one, other)) return;
    this.#undoAfter(ms, () => SimNode.swapBack(one, other));
  }

  /**
   * A majority is gone for good: the operators look for the node that knows most, and
   * begin a new one there.
   */
  #loseMajority(ms: number): void {
    const restartMs = () => this.#random.between(1, 1000);
    for (const node of this.#nodes) node.crash(restartMs());
    const found = this.#listed.map((node) => ({ node, membership: node.inspect().membership }));
    const latest = Math.max(...found.map(({ membership }) => membership.view.number));
    const best = found.filter(({ membership: { isMember, view } }) =>
      isMember && view.number === latest
    );
    // Perhaps no node has anything yet, or the nodes that know the last view are not members of it.
    if (latest === 0 || best.length === 0) return;
    const { node: survivor } = this.#random.pick(best);
    const others = this.#nodes.filter((node) => node !== survivor);
    const { length: nodes } = this.#nodes;
    // By an earlier list, few nodes might be a majority.
    const isListFixed = this.#scenario.changes === undefined;
    const kept = isListFixed ? this.#random.integer(nodes - majority(nodes)) : 0;
    for (let i = 0; i < kept; i++) {
      const [old] = others.splice(this.#random.integer(others.length), 1);
      this.#count("a node of a cluster that is left behind comes back");
      this.#undoAfter(ms, () => {
        // One that had not seen a view yet may have joined the new cluster.
        if (old?.cluster !== survivor.cluster) old?.loseDisk(1);
      });
    }
    for (const node of others) node.loseDisk(restartMs());
    // What was in doubt, and is committed, may have been answered "aborted": so the documents say.
    this.#freshness.forget();
    this.#claims.forget();
    this.#whiteBox.forget();
    this.#named.clear();
    const committed = survivor.recoverCluster();
    for (const call of committed === 0 ? [] : this.#history.calls) {
      if (call.outcome === "aborted") call.ending = "unknown";
    }
  }

  #partition(from: readonly number[], options: { isTwoWay: boolean; ms: number }): void {
    this.#trace.client(
      `the network passes nothing from ${from.map((node) => `n${node}`).join(" ") || "nobody"}` +
        `${options.isTwoWay ? ", nor to them" : ""} for ${Math.round(options.ms)} ms`,
    );
    for (const { index: a } of this.#nodes) {
      for (const { index: b } of this.#nodes) {
        if (a === b || from.includes(a) === from.includes(b)) continue;
        if (!options.isTwoWay && !from.includes(a)) continue;
        this.#network.block(a, b);
        this.#undoAfter(options.ms, () => this.#network.unblock(a, b));
      }
    }
  }

  #cutPairs(pairs: readonly (readonly [number, number])[], ms: number): void {
    const names = pairs.map(([a, b]) => `n${a}-n${b}`).join(" ");
    this.#trace.client(`nothing passes between ${names} for ${Math.round(ms)} ms`);
    for (const [a, b] of pairs) {
      for (const [from, to] of [[a, b], [b, a]] as const) {
        this.#network.block(from, to);
        this.#undoAfter(ms, () => this.#network.unblock(from, to));
      }
    }
  }

  #heal(): void {
    this.#trace.client("everything is healed");
    this.#isHealing = true;
    for (const undo of this.#undos) undo();
    this.#undos.clear();
    for (const node of this.#nodes) {
      node.disarm();
      node.resume();
      node.start();
    }
    const latest = this.#latestView;
    for (const node of this.#scenario.changes === undefined ? [] : this.#nodes) {
      // Nobody whom it knows is left, so nobody can tell it: who runs it starts it once more.
      if (latest !== undefined && isLost(node, latest)) node.crash(1);
    }
  }

  // --- Clients -------------------------------------------------------------------------------

  /** A client's life before the final phase: one operation after the other. */
  #work(client: number): void {
    if (this.#asked >= this.#scenario.operations || this.#isHealing) return;
    this.#asked++;
    const node = this.#anyNode();
    this.#go({ client, node, operation: this.#source.next() });
  }

  #go(what: { client: number; node: number; operation: Operation }): void {
    const { client, node, operation } = what;
    const ask = operation.token === undefined ? this.#ask : this.#askOnce;
    ask.call(this, what, (call) => {
      const pause = this.#random.skewed(0, this.#scenario.thinkMsMax);
      const repeats = call.ending === "unknown" && !call.operation.isRead &&
        call.operation.token === undefined && call.operation.notes === undefined &&
        this.#random.chance(0.3);
      const next = call.ending === "done" ? operation.next?.(call.reply) : undefined;
      const thinkMs = next === undefined ? 0 : operation.thinkMs ?? 0;
      this.#scheduler.after(pause + thinkMs, () => {
        if (repeats) this.#repeat(call);
        else if (next === undefined || this.#isHealing) this.#work(client);
        else this.#go({ client, node, operation: next });
      });
    });
  }

  /** Repeats a write whose end is unknown, at any node. */
  #repeat(call: Call): void {
    const { client, operation } = call;
    this.#count("a client repeats an indeterminate write");
    const node = this.#anyNode();
    this.#ask({ client, node, operation }, () => this.#work(client));
  }

  /** Returns a machine that clients know: it may be down, but it does not wait for its first list. */
  #anyNode(): number {
    if (this.#scenario.changes === undefined) return this.#random.integer(this.#nodes.length);
    return this.#random.pick(this.#nodes.filter(({ isWaiting }) => !isWaiting)).index;
  }

  #ask(
    what: { client: number; node: number; operation: Operation },
    then: (call: Call) => void,
  ): void {
    const node = this.#nodes[what.node];
    if (node === undefined) throw new RangeError(`there is no node ${what.node}`);
    const { now } = this.#scheduler;
    const call = this.#history.begin({ ...what, nowMs: now });
    const end = (outcome: string, reply = "") => {
      if (call.ending !== undefined) return;
      this.#history.end(call, {
        ending: endingOf(outcome),
        outcome,
        reply,
        nowMs: this.#scheduler.now,
      });
      const happening = call.ending === "done" ? call.operation.happening?.(reply) : undefined;
      if (happening !== undefined) this.#count(happening);
      this.#trace.client(`   ${formatCall(call)}`);
      then(call);
    };
    this.#planExpiry(what);
    this.#trace.client(`   client ${what.client} asks n${what.node}: ${what.operation.name}`);
    const { finish = String } = what.operation;
    call.hasArrived = node.replica !== undefined;
    node.submit(requestFor(what.operation, node.scanProcess), {
      onOutcome: (outcome: Outcome) => {
        this.#lookAround(outcome, what.operation);
        this.#askLater(outcome);
        if (outcome.kind === "indeterminate") call.transaction = outcome.transaction;
        end(outcome.kind, outcome.kind === "answered" ? finish(outcome.reply) : "");
      },
      lost: () => end("connection lost"),
    });
    this.#scheduler.after(this.#scenario.timeoutMs + CLIENT_GRACE_MS, () => end("no answer"));
  }

  /**
   * Asks for a write under a token, again and again at any node while its end is not known, also because
   * an answer is lost. In the history that is one call, from the first attempt to the last answer. All
   * answers are the same.
   */
  #askOnce(
    what: { client: number; node: number; operation: Operation },
    then: (call: Call) => void,
  ): void {
    const call = this.#history.begin({ ...what, nowMs: this.#scheduler.now });
    this.#planExpiry(what);
    const { finish = String, beforeRepetition } = what.operation;
    let isDoubtful = false;
    let answered: string | undefined;
    const compare = (reply: string) => {
      if (answered !== undefined && answered !== reply) {
        const text = `${what.operation.name}: ${answered}, and then ${reply}`;
        this.#violations.push({ checker: "token", text });
      }
      answered = reply;
    };
    const attempt = (left: number, index: number) => {
      let isOver = false;
      const end = (outcome: string, reply = "") => {
        if (isOver) return;
        isOver = true;
        const hasNoEffect = outcome === "rejected" || outcome === "aborted";
        const mayRepeat = left > 0 && !this.#isHealing;
        const isLost = outcome === "answered" && mayRepeat && this.#losses.chance(LOST_ANSWERS);
        if (isLost) this.#count("the answer to a token is lost");
        if (outcome !== "answered" || isLost) {
          isDoubtful ||= !hasNoEffect;
          if (isDoubtful && mayRepeat) {
            this.#count("a write is repeated under its token");
            const pause = this.#random.between(RETRY_MS_MIN, RETRY_MS_MAX);
            const next = this.#anyNode();
            this.#scheduler.after(pause, () => repeat(left - 1, next));
            return;
          }
        }
        const ending = outcome === "answered" ? "done" : isDoubtful ? "unknown" : "none";
        this.#history.end(call, { ending, outcome, reply, nowMs: this.#scheduler.now });
        const happening = ending === "done" ? call.operation.happening?.(reply) : undefined;
        if (happening !== undefined) this.#count(happening);
        this.#trace.client(`   ${formatCall(call)}`);
        then(call);
      };
      this.#trace.client(`   client ${what.client} asks n${index}: ${what.operation.name}`);
      call.hasArrived ||= this.#nodes[index]?.replica !== undefined;
      this.#nodes[index]?.submit(this.#countingRepetitions(requestFor(what.operation)), {
        onOutcome: (outcome: Outcome) => {
          this.#lookAround(outcome, what.operation);
          this.#askLater(outcome);
          const reply = outcome.kind === "answered" ? finish(outcome.reply) : "";
          if (outcome.kind === "answered") compare(reply);
          end(outcome.kind, reply);
        },
        lost: () => end("connection lost"),
      });
      this.#scheduler.after(this.#scenario.timeoutMs + CLIENT_GRACE_MS, () => end("no answer"));
    };
    const repeat = (left: number, index: number) => {
      const before = beforeRepetition?.();
      if (before === undefined) {
        attempt(left, index);
        return;
      }
      // It goes on whatever became of that, as a client does that sends both at once.
      const { client } = what;
      this.#ask({ client, node: index, operation: before }, ({ ending }) => {
        if (ending !== "done") this.#count("a WATCH before a repetition is not answered");
        attempt(left, index);
      });
    };
    attempt(ONCE_REPETITIONS, what.node);
  }

  /**
   * A value that is set for a while may go from some time on: as if a client deleted it then, or never.
   * If the clock is wrong, that may be at once.
   */
  #planExpiry(
    { node, operation, client }: { client: number; node: number; operation: Operation },
  ): void {
    const { wrongClock } = this.#scenario;
    // Under a token any node may be asked.
    const isWrong = operation.token === undefined ? node === wrongClock : wrongClock !== undefined;
    for (const { ends, ...span } of operation.held ?? []) {
      const [from, ms] = "ms" in span ? [0, span.ms] : [this.#scheduler.now, span.untilMs];
      const sure = isWrong ? 0 : (ms - EXPIRY_EARLY_MS) / (1 + CLOCK_DRIFT_MAX / 10) - from;
      this.#scheduler.after(Math.max(0, sure), () => {
        const nowMs = this.#scheduler.now;
        for (const end of ends) {
          const call = this.#history.begin({ client, node, operation: end, nowMs });
          call.hasArrived = true;
          this.#history.end(call, { ending: "unknown", outcome: "expiry", reply: "", nowMs });
        }
      });
    }
  }

  /** A client that got the name of a transaction asks how it ended: now, soon, or much later. */
  #askLater(outcome: Outcome): void {
    if (!("transaction" in outcome)) return;
    const { transaction } = outcome;
    this.#named.add(transaction);
    for (const ms of [0, this.#random.skewed(0, 2000), this.#random.between(0, 8000)]) {
      this.#scheduler.after(ms, () => this.#askOutcome(transaction));
    }
  }

  /** Some nodes may not answer in time. */
  #askOutcome(transaction: string): void {
    if (!this.#named.has(transaction)) return; // It was of a cluster that is left behind.
    const silence = this.#random.pick([0, 0, 0.3, 0.6]);
    const answering = this.#nodes.map(({ replica, isPaused }) =>
      isPaused || this.#random.chance(silence) ? undefined : replica
    );
    this.#claims.ask(transaction, answering);
  }

  /** When a write is acknowledged, no node shows anything older: a paused node might wake up now. */
  #lookAround(outcome: Outcome, { isRead, keys }: Operation): void {
    if (outcome.kind !== "answered" || isRead || this.#violations.length > 0) return;
    for (const { index, replica, clocks: now } of this.#nodes) {
      if (replica === undefined) continue;
      this.#violations.push(...this.#freshness.check({ name: `n${index}`, replica, now }, keys));
    }
  }

  /** A request under a token has effects, if only on the token, unless it was done before. */
  #countingRepetitions(request: Request): Request {
    if (request.kind !== "write") return request;
    const evaluate: WriteRequest["evaluate"] = (read, facts) => {
      const evaluation = request.evaluate(read, facts);
      if (evaluation.effects.length === 0) this.#count("a token's answer is repeated");
      return evaluation;
    };
    return { ...request, evaluate };
  }

  // --- The final phase -----------------------------------------------------------------------

  /** Every client is served, and then everything comes to rest. */
  #runFinalPhase(): void {
    const { clients, nodes } = this.#scenario;
    const healedAt = this.#scheduler.now;
    const keys = this.#keys();
    for (let client = 0; client < clients; client++) {
      this.#askUntilDone(client, [
        { node: client % nodes, operation: set([`final${client}`], `v-final-${client}`) },
        { node: this.#random.integer(nodes), operation: this.#nextWithoutToken() },
      ]);
    }
    const isServed = () => this.#busy === 0;
    if (!this.#scheduler.run(healedAt + LIVENESS_MS, isServed)) {
      this.#violations.push({
        checker: "liveness",
        text: `${this.#busy} clients are not served ${LIVENESS_MS} ms after healing:\n` +
          this.#history.calls.slice(-clients * 2).map((call) => `  ${formatCall(call)}`).join("\n"),
      });
      return;
    }
    // Reads of all keys at all nodes, as part of the history.
    for (const { index: node } of this.#listed) {
      const operations = keys.map((key) => ({ node, operation: get(key) }));
      this.#askUntilDone(1000 + node, operations);
    }
    if (!this.#scheduler.run(this.#scheduler.now + LIVENESS_MS, isServed)) {
      this.#violations.push({ checker: "liveness", text: "reads are not answered" });
      return;
    }
    this.#scheduler.run(
      this.#scheduler.now + REST_MS,
      () =>
        this.#isWhole() &&
        this.#members().every((member) => member.remembered === 0 && member.locks === 0),
    );
    if (!this.#isWhole()) {
      this.#violations.push({
        checker: "liveness",
        text: `not all nodes are members again: ${this.#views().join(", ")}`,
      });
      return;
    }
    for (const name of this.#named) this.#askOutcome(name);
    const members = this.#members();
    this.#violations.push(...checkers.atRest(members));
    const [first] = members;
    if (first !== undefined) {
      this.#violations.push(...checkers.lostWrites(this.#history.calls, first.records));
    }
  }

  /** All nodes are members of one view. */
  #isWhole(): boolean {
    const listed = this.#listed;
    return new Set(listed.map(({ view }) => view?.number)).size === 1 &&
      listed.every(({ replica }) => replica?.membership.isMember === true);
  }

  #views(): string[] {
    return this.#listed.map(({ replica, isWaiting, name }) => {
      if (replica === undefined) return `${name} ${isWaiting ? "waits" : "down"}`;
      const { view, isMember } = replica.membership;
      return `${name} view ${view.number}${isMember ? "" : " (outside)"}`;
    });
  }

  /** Here an operation is asked for until it is done, each time as a call of its own. */
  #nextWithoutToken(): Operation {
    const { token, ...operation } = this.#source.next();
    // Some have the token in the request that they make.
    const isPartOfRequest = token !== undefined && operation.request !== undefined;
    return isPartOfRequest ? this.#nextWithoutToken() : operation;
  }

  #keys(): ByteString[] {
    const keys = new Set<ByteString>();
    for (const { operation } of this.#history.calls) {
      for (const key of operation.keys) keys.add(key);
    }
    return [...keys];
  }

  /** Asks one thing after the other, each until it is answered. */
  #askUntilDone(
    client: number,
    operations: readonly { readonly node: number; readonly operation: Operation }[],
  ): void {
    this.#busy++;
    const next = (at: number) => {
      const what = operations[at];
      if (what === undefined) {
        this.#busy--;
        return;
      }
      // A client goes on to another node if its own is not in the list any more.
      const listed = this.#listed;
      const isListed = listed.some(({ index }) => index === what.node);
      const node = isListed ? what.node : this.#random.pick(listed).index;
      this.#ask({ client, ...what, node }, (call) => {
        if (call.ending === "done") {
          next(at + 1);
          return;
        }
        this.#scheduler.after(this.#random.between(RETRY_MS_MIN, RETRY_MS_MAX), () => next(at));
      });
    };
    next(0);
  }

  #members(): MemberAtRest[] {
    return this.#listed.flatMap(({ index, replica }) => {
      if (replica === undefined) return [];
      const { store, locks, context } = replica;
      const undecided: string[] = [];
      for (const coordinator of context.transactions.coordinators()) {
        for (const [number, known] of context.transactions.of(coordinator)) {
          if (typeof known !== "string" && known.undecided) {
            undecided.push(`${transactionName(coordinator, number)} (${known.state})`);
          }
        }
      }
      return [{
        name: `n${index}`,
        records: checkers.recordsIn(store),
        locks: locks.size,
        undecided,
        remembered: context.transactions.size,
      }];
    });
  }

  /** A request ends within its deadline, unless its node was not running. */
  #deadlines(): Violation[] {
    // By the slowest clock that is allowed.
    const limit = this.#scenario.timeoutMs / (1 - CLOCK_DRIFT_MAX) + DEADLINE_GRACE_MS;
    const pauses = this.#scenario.faults.filter((fault) =>
      fault.kind === "pause" || fault.kind === "suspend"
    );
    return this.#history.calls.flatMap((call) => {
      if (call.operation.token !== undefined) return []; // Several requests, each with a deadline.
      const isPaused = pauses.some(({ node, at, ms }) =>
        node === call.node && at < call.calledAtMs + limit && at + ms > call.calledAtMs
      );
      const end = Math.min(call.returnedAtMs, this.#scheduler.now);
      if (isPaused || end - call.calledAtMs <= limit) return [];
      return [{ checker: "deadline" as const, text: formatCall(call) }];
    });
  }

  /** By the value that is written: the ages under which it was prepared. */
  readonly #priorities = new Map<ByteString, Set<Stamp>>();

  #takeNote({ effects: [first], priority }: Prepare): void {
    if (first?.value === undefined) return;
    const value = bare(first.value);
    const known = this.#priorities.get(value) ?? new Set();
    this.#priorities.set(value, known.add(priority));
  }

  /** A retry keeps its priority, or it may starve. */
  #priorityChanges(): Violation[] {
    // Copies carry a value on into prepares of another call.
    // Repetitions under a token are requests of their own.
    if (["multi", "mixed", "once", "commands"].includes(this.#scenario.workload)) return [];
    const calls = new Map<ByteString, number>();
    for (const { operation: { name } } of this.#history.calls) {
      const value = / = (v\d+)/.exec(name)?.[1];
      if (value !== undefined) calls.set(value, (calls.get(value) ?? 0) + 1);
    }
    return [...this.#priorities].flatMap(([value, priorities]) => {
      if (priorities.size === 1 || calls.get(value) !== 1) return [];
      const text = `${value} was prepared with the priorities ${[...priorities].join(", ")}`;
      return [{ checker: "priority" as const, text }];
    });
  }

  // --- Counting ------------------------------------------------------------------------------

  #count(name: Happening | string): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1);
  }

  #allCounters(): Map<string, number> {
    const all = new Map(this.#counters);
    for (const [word, count] of this.#claims.counts) all.set(`outcome: ${word}`, count);
    for (const [word, count] of this.#changeLog.counts) all.set(word, count);
    for (const node of this.#nodes) {
      for (const counters of node.counters) addCounters(all, counters);
    }
    return all;
  }
}

/** Tells whether `node` runs in an earlier view than `latest`, which has no other node of its list. */
function isLost({ name, replica }: SimNode, latest: View): boolean {
  const view = replica?.membership.view;
  return view !== undefined && view.number > 0 && view.number < latest.number &&
    view.names.every((other, id) => other === "" || other === name || latest.names[id] !== other);
}

/** Returns the list that a cluster begins with, by id. */
function namesOfFounders({ nodes, changes }: Scenario): string[] {
  const places = changes?.reusesIds === true ? NODES_MAX : nodes;
  return Array.from({ length: places }, (_, id) => id < nodes ? nameOf(id) : "");
}

/** Returns the item at `place`, from 0 to 1, of `items`. */
function pickAt<Item>(items: readonly Item[], place: number): Item | undefined {
  return items[Math.floor(place * items.length)];
}

function addCounters(all: Map<string, number>, counters: Readonly<Counters>): void {
  for (const [name, count] of Object.entries(counters)) {
    all.set(name, (all.get(name) ?? 0) + count);
  }
}
