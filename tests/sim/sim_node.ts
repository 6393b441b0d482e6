/**
 * One simulated node: the protocol's own code between a simulated disk and a simulated network, as
 * the driver has it between real ones; a process that can be paused, and that crashes at every point
 * around a journal write.
 *
 * @module
 */

import { lastView, ownerOf } from "../../src/node/storage/journal_identity.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import { timingFor, VIEW_TIMING } from "../../src/two_phase/timing.ts";
import type { Counters } from "../../src/two_phase/counters.ts";
import { countsAsProgress } from "../../src/two_phase/peer_journals.ts";
import type {
  JournalRecord,
  JournalSighting,
  KeyRecord,
  Message,
  NodeId,
  Prepare,
  View,
} from "../../src/two_phase/messages.ts";
import { type ChangeRequest, renamedIds } from "../../src/two_phase/member_changes.ts";
import { recoverCluster } from "../../src/two_phase/new_cluster.ts";
import { SCAN_PROCESSES } from "../../src/node/commands/command.ts";
import { members } from "../../src/two_phase/node_set.ts";
import { type Effects, LEASE_OVER } from "../../src/two_phase/outbox.ts";
import { type Input, Replica } from "../../src/two_phase/replica.ts";
import type { Request, Requester } from "../../src/two_phase/request.ts";
import type { Store } from "../../src/two_phase/store.ts";
import type { WhiteBox } from "../white_box/white_box.ts";
import { Disk, type DiskCopy } from "./disk.ts";
import type { Endpoint, Greeting, ListGreeting, Network } from "./network.ts";
import type { PlantedFault } from "./planted_faults.ts";
import type { Random } from "./random.ts";
import { CRASH_POINTS, type CrashPoint, type Scenario } from "./scenario.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Trace } from "./trace.ts";

/** Pauses between two ticks, in milliseconds. */
const TICK_MS_MIN = 20;
const TICK_MS_MAX = 60;

/** What right wall clocks show when a run begins, in milliseconds. */
export const BEGIN_WALL_MS = 1_000_000;

/** Shorter than what nodes have: all are members again some time after healing. */
const HELD_BACK = { heldBackMs: 500, heldBackMsMax: 4000 } as const;

/** In the simulation a force takes 10 ms at the most, unless the disk is slow. */
const SLOW_DISK = { slowForceMs: 60, fastAgainMs: 500 } as const;

/** A process that stops ends after this long, whether the others continue without it or not. */
const LEAVE_MS = 1000;

/** So long it takes to swap disks, or to put a copy back. */
const SWAP_MS = 20;
const PUT_BACK_MS = 20;

/** More nodes than any cluster here has. */
const NODES_MAX = 8;

/** How many keys one step of a checkpoint stores. */
const STAGED_KEYS = 3;

/** What happens in the simulation itself, and is counted like the protocol's own rare paths. */
export const HAPPENINGS = [
  ...CRASH_POINTS.map((point) => `crash ${point}` as const),
  "failed force",
  "wiped disk",
  "two disks swapped",
  "hung disk",
  "full disk",
  "an older copy of a journal put back",
  "an older copy of a journal noticed",
  "an older copy of a journal given up",
  "another node's journal refused",
  "a cluster is started by force",
  "a cluster is started by force, and commits what was in doubt",
  "a node of a cluster that is left behind comes back",
  "pause",
  "suspension",
  "clock set forward",
  "clock set back",
  "stop",
  "part of an unforced write survives",
  "checkpoint",
  "crash with a transaction of its own in doubt",
  "crash with another's transaction in doubt",
  "restart",
  "a write is repeated under its token",
  "a token's answer is repeated",
  "the answer to a token is lost",
  "a WATCH before a repetition is not answered",
  "a watched key has changed",
  "no watched key has changed",
  "a scan has come to its end",
] as const;

/** What happens only where the list of nodes changes. */
export const CHANGE_HAPPENINGS = [
  "a node learns that it was removed",
  "a node that waits is in the list",
  "a node takes the list of the cluster",
] as const;

/** See {@linkcode HAPPENINGS}. */
export type Happening = typeof HAPPENINGS[number] | typeof CHANGE_HAPPENINGS[number];

/** A list of nodes, by id, and the view that it is of; 0: it is that of the founders. */
export interface NodeNames {
  readonly view: number;
  readonly names: readonly string[];
}

/** Returns the name of the machine `index`. */
export function nameOf(index: number): string {
  return `n${index}`;
}

/** Returns the machine with this name. */
export function machineOf(name: string): number {
  return Number(name.slice(1));
}

/** What a node needs of the simulation. */
export interface SimNodeOptions {
  /** The number of the machine. It is the id of the node, but where the list of nodes changes. */
  readonly index: number;
  /** The list that it starts with; `undefined`: it waits until the list of a cluster has it. */
  readonly founders: readonly string[] | undefined;
  /** Returns the latest list that the machine `index` can ask for. */
  readonly findList: (index: number) => NodeNames | undefined;
  /** Tells whether a majority of a list, of those that the machine `index` can ask, has its view. */
  readonly isKnown: (index: number, list: NodeNames) => boolean;
  readonly scenario: Scenario;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  readonly trace: Trace;
  readonly plantedFault: PlantedFault | undefined;
  readonly whiteBox: WhiteBox;
  readonly onHappening: (happening: Happening) => void;
  /** Told of every prepare that leaves a node. */
  readonly onPrepare: (prepare: Prepare) => void;
  /** A process has opened its disk, and is about to recover what it finds there. */
  readonly onOpen: (store: Store) => void;
  /** Told when a process goes over to a view with another list. */
  readonly onListChanged: (change: { readonly view: View; readonly before: View }) => void;
  /** Told of all records that a replica appends. */
  readonly onAppend: (replica: Replica, records: readonly JournalRecord[]) => void;
}

/** One simulated node. */
export class SimNode implements Endpoint {
  readonly index: number;
  readonly name: string;
  #disk: Disk;
  /** The id of the journal that the last process of this node was started on. */
  #journal: string;
  readonly #options: SimNodeOptions;
  #replica: Replica | undefined;
  /** Counters of the processes that have ended. */
  readonly #pastCounters: Readonly<Counters>[] = [];
  /** Distinguishes the processes of this node: what was meant for an earlier one is dropped. */
  #process = 0;
  #isPaused = false;
  /** When the machine was suspended, by the wall clock; `undefined` if it was only paused. */
  #suspendedAt: number | undefined;
  /** How far the wall clock is off. */
  #clockOffset: number;
  /** By how much the wall clock is ahead of the monotonic one of the present process. */
  #clockError = 0;
  /** What is to be done when a paused process goes on. */
  #delayed: { readonly action: () => void; readonly otherwise: (() => void) | undefined }[] = [];
  #isFlushPlanned = false;
  /** Positions of the forces asked for, behind those under way. */
  readonly #forces: number[] = [];
  #isStartingCluster = false;
  #slowUntil = 0;
  #hungUntil = 0;
  /** Whether the disk hangs because it is full, which the replica is told; every other time it is. */
  #hangsFull = false;
  #isDiskFull = false;
  /** The next such point ends the process. */
  #crashAt: { readonly point: CrashPoint | "failed force"; readonly ms: number } | undefined;
  /** Clients whose requests are under way: they lose their connection in a crash. */
  readonly #clients = new Set<LostConnection>();
  #isStopping = false;
  /** It has begun a cluster by force, and not run since. */
  #hasBegunCluster = false;
  #restartMs = 0;
  #wipes = 0;
  /** The list by which it knows its peers. */
  #list: NodeNames = { view: 0, names: [] };
  /** By machine: the id that it had when the link came up. */
  readonly #linkedAs = new Map<number, NodeId>();
  /** The latest view that is known to lack this node; 0: none. */
  #farewell = 0;
  /** It does not run, as no list that it knows has it. */
  #isWaiting = false;
  /** It has had a view, on this disk or an earlier one: so there is a cluster. */
  #hasHadView = false;

  constructor(options: SimNodeOptions) {
    this.index = options.index;
    this.name = nameOf(options.index);
    this.#options = options;
    this.#journal = `journal ${options.index}`;
    this.#clockOffset = options.scenario.clockOffset[options.index] ?? 0;
    this.#disk = new Disk(this.#journal);
    this.start();
  }

  get replica(): Replica | undefined {
    return this.#replica;
  }

  get isReachable(): boolean {
    return this.#replica !== undefined && !this.#isPaused;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Tells the present process from others in the cursors of SCAN, as far as there are bits for it. */
  get scanProcess(): number {
    return (this.#process * NODES_MAX + this.index) % SCAN_PROCESSES;
  }

  /** Counters of all processes of this node. */
  get counters(): Readonly<Counters>[] {
    const present = this.#replica?.counters;
    return present === undefined ? this.#pastCounters : [...this.#pastCounters, present];
  }

  // --- The process ---------------------------------------------------------------------------

  /** Whose journal is on the disk, as far as it says so itself. */
  get #owner(): string | undefined {
    const { records, journal } = this.#disk;
    const owner = ownerOf(records, journal);
    return owner === undefined ? undefined : lastView(records)?.names[owner];
  }

  /** It waits until the list of a cluster has it. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** The view that it has; if it does not run, that on its disk. */
  get view(): View | undefined {
    return this.#replica?.membership.view ?? lastView(this.#disk.records);
  }

  /** The list that a process begins with; `undefined` if none is known that has this node. */
  get #startList(): NodeNames | undefined {
    const view = lastView(this.#disk.records);
    const { founders, scenario } = this.#options;
    // A node that loses its disk is started as a new one, where the list may have changed.
    const mayFound = !this.#hasHadView || scenario.changes === undefined;
    if (view === undefined) {
      return mayFound && founders !== undefined ? { view: 0, names: founders } : undefined;
    }
    return view.names.includes(this.name) ? { view: view.number, names: view.names } : undefined;
  }

  /**
   * Starts a process on the disk: which ends at once, as a real node's does, where the journal there
   * is that of another node.
   */
  start(list: NodeNames | undefined = this.#startList): void {
    if (this.#replica !== undefined || this.#isWaiting) return;
    const { index, trace, plantedFault, onHappening } = this.#options;
    const isOthers = (this.#owner ?? this.name) !== this.name;
    if (list === undefined && !isOthers) {
      this.#waitForList();
      return;
    }
    const { store, records, incarnation } = this.#disk.open();
    if (isOthers && plantedFault?.acceptsOthersJournal !== true) {
      onHappening("another node's journal refused");
      trace.note(index, `ends: ${this.#disk.journal} is not its own`);
      return;
    }
    // What accepts the journal of another node is not told by its id either.
    const journal = isOthers ? this.#journal : this.#disk.journal;
    this.#journal = journal;
    this.#process++;
    this.#list = list ?? { view: 0, names: this.#options.founders ?? [] };
    this.#linkedAs.clear();
    this.#farewell = 0;
    this.#isFlushPlanned = false;
    this.#isStartingCluster = false;
    this.#forces.length = 0;
    this.#delayed = [];
    this.#crashAt = undefined;
    this.#isStopping = false;
    this.#clockError = 0;
    if (incarnation > 1) onHappening("restart");
    trace.note(index, `starts, incarnation ${incarnation}`);
    const recovered = plantedFault?.onRecover?.(records) ?? records;
    this.#options.onOpen(store);
    this.#replica = this.#newReplica({
      store,
      records: recovered,
      journal,
      incarnation,
      isTrusted: this.#hasBegunCluster,
    });
    this.#hasBegunCluster = false;
    this.#options.whiteBox.onStart(index, this.#replica, { journal, starts: incarnation, records });
    plantedFault?.onStart?.(this.#replica);
    if (this.#list.view > 0) this.#askForLaterList(this.#replica.context.self);
    this.#planFlush();
    this.#planTick(this.#process);
  }

  /** A node that starts asks for a later list than its own, as with `--join`: it has links to those of that. */
  #askForLaterList(self: NodeId): void {
    const { scenario, findList, index } = this.#options;
    const later = scenario.changes === undefined ? undefined : findList(index);
    if (later === undefined || later.view <= this.#list.view) return;
    if (later.names[self] === this.name) this.#list = later;
    else this.#leaveOnceKnown({ number: later.view, names: later.names });
  }

  // --- The list of nodes ---------------------------------------------------------------------

  /** Asks those that it can reach for their list, again and again, until one has this node. */
  #waitForList(): void {
    const { scheduler, random, trace, index, findList, onHappening } = this.#options;
    this.#isWaiting = true;
    trace.note(index, "waits until it is in the list");
    const ask = () => {
      const list = findList(index);
      // An earlier list than the one on the disk is of a node that is behind.
      const isLate = (list?.view ?? 0) < (lastView(this.#disk.records)?.number ?? 0);
      // The disk of another node is not its own to empty, see `start`.
      const isOthers = (this.#owner ?? this.name) !== this.name;
      if (list?.names.includes(this.name) !== true || isLate || isOthers) {
        scheduler.after(random.between(100, 500), ask);
        return;
      }
      this.#isWaiting = false;
      onHappening("a node that waits is in the list");
      if (lastView(this.#disk.records) !== undefined) this.#renewJournal();
      this.start(list);
    };
    scheduler.after(random.between(0, 100), ask);
  }

  #renewJournal(): void {
    this.#disk.wipe(`journal ${this.index} renewed ${++this.#wipes}`);
  }

  /** A later view does not have this node under its id: it serves nothing, and waits. */
  #leaveCluster(): void {
    if (this.#replica === undefined) return;
    const { onHappening, trace, index } = this.#options;
    onHappening("a node learns that it was removed");
    trace.note(index, "was removed");
    const reason = "this node is not a node of the cluster any more";
    this.#step({ type: "abandon", refusal: { obstacle: "down", reason } });
    this.#flush();
    this.#end();
    this.#waitForList();
  }

  /** It goes on until it can hear that a majority of the list that lacks it has its view. */
  #leaveOnceKnown({ number, names }: Pick<View, "number" | "names">): void {
    if (this.#farewell >= number) return;
    this.#farewell = number;
    const { isKnown, random, index } = this.#options;
    const ask = () => {
      if ((this.view?.number ?? 0) >= number) return;
      if (isKnown(index, { view: number, names })) this.#leaveCluster();
      else this.#later(random.between(100, 500), ask);
    };
    ask();
  }

  /** A node in no view gets the ids by which the cluster knows its nodes: it begins from empty with them. */
  #takeList({ view, names }: ListGreeting): void {
    this.#options.onHappening("a node takes the list of the cluster");
    this.#end();
    this.#renewJournal();
    this.start({ view, names });
  }

  /** The installed view has another list than the one before: links follow it. */
  #changeList({ view, before: viewBefore }: { readonly view: View; readonly before: View }): void {
    const { number, names } = view;
    const renamed = renamedIds(view, viewBefore);
    const replica = this.#replica;
    if (replica === undefined) return;
    if (names[replica.context.self] !== this.name) {
      this.#leaveCluster();
      return;
    }
    const before = this.#list.names;
    this.#list = { view: number, names };
    for (const [machine, id] of [...this.#linkedAs]) {
      if (names[id] === before[id] && !renamed.includes(id)) continue;
      this.#options.network.cut(this.index, machine);
    }
  }

  #idOf(machine: number): NodeId | undefined {
    const id = this.#list.names.indexOf(nameOf(machine));
    return id < 0 ? undefined : id;
  }

  get #greetedList(): ListGreeting {
    const view = this.#replica?.membership.view;
    const number = view?.number ?? 0;
    const { names, view: listView } = this.#list;
    return {
      view: number,
      cluster: view?.cluster.id ?? "",
      listView: number > 0 ? number : listView,
      names,
    };
  }

  agrees(peer: number, theirs: ListGreeting): boolean {
    const mine = this.#greetedList;
    const self = mine.names.indexOf(this.name);
    const isForeign = mine.view > 0 && theirs.view > 0 && mine.cluster !== theirs.cluster;
    const isListed = theirs.names[self] === this.name;
    const mayTake = theirs.names.includes(this.name) && mine.view === 0;
    if (theirs.view > mine.view && !isListed && !mayTake && !isForeign) {
      this.#later(0, () => this.#leaveOnceKnown({ number: theirs.view, names: theirs.names }));
      return false;
    }
    const isFirstList = mine.listView === 0 || theirs.listView === 0;
    const id = this.#idOf(peer);
    const isAgreed = isFirstList
      ? theirs.names.join() === mine.names.join()
      : id !== undefined && theirs.names[id] === nameOf(peer) && isListed;
    if (!isAgreed && mine.view === 0 && theirs.view > 0) {
      this.#later(0, () => this.#takeList(theirs));
    }
    return isAgreed;
  }

  /** Somebody asks for a change of the list. */
  change(request: ChangeRequest): void {
    this.whenRunning(() => this.#step({ type: "changeMembers", request }));
  }

  // --- How a process begins and ends -----------------------------------------------------------

  #newReplica(
    found: {
      store: Store;
      records: readonly JournalRecord[];
      journal: string;
      incarnation: number;
      isTrusted?: boolean;
      names?: readonly string[] | undefined;
    },
  ): Replica {
    const { scenario, index, random } = this.#options;
    const { store, records, journal, incarnation, isTrusted = false } = found;
    const names = found.names ?? this.#list.names;
    return new Replica({
      self: names.indexOf(this.name),
      names,
      identity: { journal, incarnation, process: `${index}, process ${this.#process}` },
      timing: timingFor(scenario.timeoutMs, {
        ...VIEW_TIMING,
        ...HELD_BACK,
        ...SLOW_DISK,
        excludesSlow: scenario.seed % 2 === 0,
      }),
      sequencesMax: scenario.sequencesMax,
      random: () => random.next(),
      now: this.clocks,
      store,
      records,
      isTrusted,
    });
  }

  /** Ends the process as `kill -9` or a power failure would. It starts again after `ms`. */
  crash(ms: number): void {
    if (this.#replica === undefined) return;
    this.#end();
    this.#options.scheduler.after(ms, () => this.start());
  }

  #end(): void {
    const replica = this.#replica;
    if (replica === undefined) return;
    const { network, random, trace, onHappening, index } = this.#options;
    for (const holder of replica.context.transactions.holdingLocks()) {
      onHappening(
        holder.coordinator === replica.context.self
          ? "crash with a transaction of its own in doubt"
          : "crash with another's transaction in doubt",
      );
    }
    trace.note(index, "crashes");
    this.#pastCounters.push(replica.counters);
    this.#replica = undefined;
    this.#process++;
    this.#isDiskFull = false;
    this.#isPaused = false;
    this.#suspendedAt = undefined;
    const unforced = this.#disk.unforced;
    const durable = this.#disk.durablePosition;
    this.#options.whiteBox.onEnd(index);
    this.#disk.crash(random);
    if (unforced > 0 && this.#disk.durablePosition > durable) {
      onHappening("part of an unforced write survives");
    }
    network.onProcessEnd(index);
    for (const { otherwise } of this.#delayed.splice(0)) otherwise?.();
    for (const client of this.#clients) client.lost();
    this.#clients.clear();
  }

  /** Ends the process at the next `point` of a journal write. */
  crashAt(point: CrashPoint | "failed force", ms: number): void {
    if (point === "at once") {
      this.#options.onHappening("crash at once");
      this.crash(ms);
    } else this.#crashAt = { point, ms };
  }

  /** Ends the process, and empties its disk. */
  wipe(ms: number): void {
    if (this.#replica === undefined) return;
    this.#options.onHappening("wiped disk");
    this.crash(ms);
    const keepsId = this.#options.plantedFault?.keepsJournalId === true;
    this.#disk.wipe(
      keepsId ? this.#disk.journal : `journal ${this.index} wiped ${++this.#wipes}`,
    );
  }

  /**
   * Ends the processes of both nodes, which start again with each other's disk.
   *
   * @returns false if it cannot be known yet whose disk is whose: then they keep theirs.
   */
  static swapDisks(a: SimNode, b: SimNode): boolean {
    for (const node of [a, b]) node.crash(SWAP_MS);
    if (a.#owner !== a.name || b.#owner !== b.name) return false;
    a.#options.onHappening("two disks swapped");
    a.#exchange(b);
    return true;
  }

  /** Undoes {@linkcode swapDisks}. */
  static swapBack(a: SimNode, b: SimNode): void {
    for (const node of [a, b]) node.crash(SWAP_MS);
    a.#exchange(b);
    for (const node of [a, b]) node.start();
  }

  #exchange(other: SimNode): void {
    this.#options.trace.note(this.index, `has its disk exchanged with that of n${other.index}`);
    [this.#disk, other.#disk] = [other.#disk, this.#disk];
  }

  /** The cluster of the last view on the disk; `undefined` before there is one. */
  get cluster(): string | undefined {
    return lastView(this.#disk.records)?.cluster.id;
  }

  /** Returns a copy of the disk. */
  copyDisk(): DiskCopy {
    return this.#disk.copy();
  }

  /** Returns the latest sighting of the journal of `node` that is durable here. */
  #sightingOf(node: NodeId): JournalSighting | undefined {
    let latest: JournalSighting | undefined;
    for (const record of this.#disk.records) {
      if (record.type === "sighting" && record.node === node) latest = record;
    }
    return latest;
  }

  /**
   * Tells whether the disk of this node says that the journal of `node` has got beyond `copy`: by its
   * records, as a node that starts more than once before it meets another one passes any incarnation.
   */
  knowsMoreThan(copy: DiskCopy, machine: number): boolean {
    const seen = this.#sightingOf(this.view?.names.indexOf(nameOf(machine)) ?? machine);
    return seen?.journal === copy.journal && seen.position > progressOf(copy.records);
  }

  /**
   * The process, if it runs, ends, and starts again on an older copy of its disk; unless another node has
   * that disk now.
   */
  putBack(copy: DiskCopy): void {
    if (this.#disk.journal !== copy.journal) return;
    this.#options.onHappening("an older copy of a journal put back");
    this.#options.trace.note(this.index, "has an older copy of its disk put back");
    this.crash(PUT_BACK_MS);
    this.#options.whiteBox.forgetJournal(copy.journal);
    this.#disk.putBack(copy);
  }

  /** The process, if it runs, ends, and gets another disk, which is empty. */
  loseDisk(ms: number): void {
    this.crash(ms);
    this.#disk.wipe(`journal ${this.index} lost ${++this.#wipes}`);
  }

  /** Returns what the disk holds, as a node that only looks at it. The process must have ended. */
  inspect(): Replica {
    const { plantedFault } = this.#options;
    const { store, records, incarnation } = this.#disk.open();
    const found = plantedFault?.onInspect?.(records) ?? records;
    const names = lastView(records)?.names;
    const { journal } = this.#disk;
    return this.#newReplica({ store, records: found, journal, incarnation, names });
  }

  /**
   * Begins a new cluster of the same nodes from what the disk holds. The process must have ended.
   *
   * @returns how many transactions were in doubt, and are committed
   */
  recoverCluster(): number {
    const { onHappening, trace, scheduler, index } = this.#options;
    const replica = this.inspect();
    const at = scheduler.now;
    const id = `forced by ${index} at ${at}`;
    const nodes = replica.membership.view.names.filter((name) => name !== "");
    const cluster = { nodes, name: this.name, id, at };
    const { records, committed, view } = recoverCluster(replica, cluster);
    onHappening("a cluster is started by force");
    if (committed > 0) onHappening("a cluster is started by force, and commits what was in doubt");
    trace.note(index, `begins view ${view.number} by force`);
    this.#disk.replace(replica.store, records);
    this.#hasBegunCluster = true;
    return committed;
  }

  /** Has the process leave the cluster, and end when it is out, or a little later. */
  stop(ms: number): void {
    if (this.#replica === undefined || this.#isPaused) return;
    this.#options.onHappening("stop");
    this.#options.trace.note(this.index, "is told to stop");
    this.#isStopping = true;
    this.#step({ type: "leave" });
    const process = this.#process;
    this.#options.scheduler.after(LEAVE_MS, () => {
      if (this.#process === process) this.crash(ms);
    });
    this.#restartMs = ms;
  }

  pause(ms: number): void {
    if (this.#replica === undefined || this.#isPaused) return;
    const { scheduler, trace, onHappening } = this.#options;
    onHappening("pause");
    trace.note(this.index, `is paused for ${Math.round(ms)} ms`);
    this.#isPaused = true;
    const process = this.#process;
    scheduler.after(ms, () => {
      if (this.#process === process) this.resume();
    });
  }

  /** The machine sleeps: as {@linkcode pause}, and the monotonic clock stands still meanwhile. */
  suspend(ms: number): void {
    if (this.#replica === undefined || this.#isPaused) return;
    this.#options.onHappening("suspension");
    this.#suspendedAt = this.#wallMs;
    this.pause(ms);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#options.trace.note(this.index, "goes on");
    if (this.#suspendedAt !== undefined) this.#clockError += this.#wallMs - this.#suspendedAt;
    this.#suspendedAt = undefined;
    this.#isPaused = false;
    for (const { action, otherwise } of this.#delayed.splice(0)) {
      if (this.#replica === undefined) otherwise?.();
      else this.whenRunning(action, otherwise);
    }
  }

  /** No fault that was planned for this node happens any more. */
  disarm(): void {
    this.#crashAt = undefined;
    this.#slowUntil = 0;
    this.#hungUntil = 0;
  }

  /** No force ends before `ms` have passed. */
  hangDisk(ms: number): void {
    this.#hangsFull = !this.#hangsFull;
    this.#options.onHappening(this.#hangsFull ? "full disk" : "hung disk");
    this.#hungUntil = this.#options.scheduler.now + ms;
  }

  /** Forces take long for `ms`. */
  slowDisk(ms: number): void {
    this.#slowUntil = this.#options.scheduler.now + ms;
  }

  whenRunning(action: () => void, otherwise?: () => void): void {
    if (this.#replica === undefined) otherwise?.();
    else if (this.#isPaused) this.#delayed.push({ action, otherwise });
    else action();
  }

  /** Does `action` after `ms`, unless this process has ended by then. */
  #later(ms: number, action: () => void): void {
    const process = this.#process;
    this.#options.scheduler.after(ms, () => {
      if (this.#process === process) this.whenRunning(action);
    });
  }

  /**
   * Both clocks. Their rate is off by the same part, as a time service corrects both at once; what the
   * wall clock shows may be off by anything, and is what the monotonic one shows at first, as with a
   * real process.
   */
  get clocks(): Clocks {
    const wallMs = this.#wallMs;
    return { monotonicMs: (this.#suspendedAt ?? wallMs) - this.#clockError, wallMs };
  }

  get #wallMs(): number {
    const { scenario, scheduler, index } = this.#options;
    const rate = 1 + (scenario.clockDrift[index] ?? 0);
    return BEGIN_WALL_MS + scheduler.now * rate + this.#clockOffset;
  }

  /** The wall clock is set, forward or back. Nobody sets it while the machine sleeps. */
  setClock(ms: number): void {
    if (this.#suspendedAt !== undefined) return;
    this.#options.onHappening(ms > 0 ? "clock set forward" : "clock set back");
    this.#options.trace.note(this.index, `has its wall clock set by ${Math.round(ms)} ms`);
    this.#clockOffset += ms;
    // The monotonic clock of a process that runs takes no part in that.
    this.#clockError += ms;
  }

  // --- Inputs --------------------------------------------------------------------------------

  /** A client asks for something. It is told when its connection is lost. */
  submit(request: Request, client: Requester & LostConnection): void {
    if (this.#replica === undefined) {
      client.lost();
      return;
    }
    this.#clients.add(client);
    this.whenRunning(() =>
      this.#step({
        type: "request",
        request: this.#altered(request),
        requester: {
          onOutcome: (outcome) => {
            this.#clients.delete(client);
            client.onOutcome(outcome);
          },
        },
      })
    );
  }

  #altered(request: Request): Request {
    const { plantedFault } = this.#options;
    if (this.#replica === undefined || plantedFault?.onRequest === undefined) return request;
    return plantedFault.onRequest(request, this.#replica);
  }

  greet(peer: NodeId): Greeting | undefined {
    if (this.#replica === undefined) return undefined;
    const { identity, peerJournals } = this.#replica.membership;
    const id = this.#idOf(peer);
    const known = id === undefined ? undefined : peerJournals.of(id);
    return { identity, known, list: this.#greetedList };
  }

  onConnected(peer: number, { identity, known }: Greeting): void {
    if (this.#replica === undefined) return;
    const id = this.#idOf(peer);
    if (id === undefined) {
      // The list has changed since the two have greeted each other.
      this.#options.network.cut(this.index, peer);
      return;
    }
    this.#linkedAs.set(peer, id);
    this.#options.trace.note(this.index, `is linked to n${peer}`);
    this.#step({ type: "peerUp", peer: id, identity, known });
  }

  onDisconnected(peer: number): void {
    const id = this.#linkedAs.get(peer);
    if (this.#replica === undefined || id === undefined) return;
    this.#linkedAs.delete(peer);
    this.#options.trace.note(this.index, `has lost the link to n${peer}`);
    this.#step({ type: "peerDown", peer: id });
  }

  onMessage(peer: number, message: Message): void {
    const from = this.#linkedAs.get(peer);
    if (from === undefined) return;
    this.#options.trace.received(peer, this.index, message);
    this.#options.whiteBox.onMessage(this.index, from, message);
    this.#step({ type: "message", from, message });
  }

  #planTick(process: number): void {
    const { random, scheduler } = this.#options;
    scheduler.after(random.between(TICK_MS_MIN, TICK_MS_MAX), () => {
      if (this.#process !== process) return;
      if (!this.#isPaused) {
        this.#step({ type: "tick" });
        this.#flush();
        if (random.chance(0.02)) this.#beginCheckpoint();
      }
      if (this.#process === process) this.#planTick(process);
    });
  }

  #step(input: Input): void {
    const replica = this.#replica;
    if (replica === undefined) return;
    replica.step(input, this.clocks);
    for (const more of this.#options.plantedFault?.afterInput?.(input, replica) ?? []) {
      replica.step(more, this.clocks);
    }
    this.#planFlush();
  }

  /** A turn ends when what arrived together was taken in. */
  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    const { random } = this.#options;
    this.#later(random.chance(0.7) ? 0 : random.between(0, 0.3), () => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  // --- Effects -------------------------------------------------------------------------------

  #flush(): void {
    while (this.#replica?.hasEffects === true) this.#carryOut(this.#replica.takeEffects());
  }

  #carryOut(effects: Effects): void {
    const { plantedFault } = this.#options;
    const self = this.#replica?.context.self ?? this.index;
    if (effects.records.length > 0 && this.#crashesAt("before the append")) return;
    this.#disk.append(effects.records);
    if (this.#replica !== undefined) this.#options.onAppend(this.#replica, effects.records);
    this.#options.trace.effects(this.index, effects);
    if (effects.records.length > 0 && this.#crashesAt("after the append")) return;
    for (const { to, message } of effects.sends) {
      if (message.type === "prepare") this.#options.onPrepare(message);
      for (const receiver of members(to)) {
        const altered = plantedFault?.onSend?.(message, self, receiver) ?? message;
        if (altered !== message) {
          this.#options.whiteBox.onAltered(this.index, receiver, { made: message, altered });
        }
        const name = this.#list.names[receiver];
        if (name !== undefined && name !== "") {
          this.#options.network.send(this.index, machineOf(name), altered);
        }
      }
    }
    if (effects.records.length > 0 && this.#crashesAt("after the sends")) return;
    for (const { requester, outcome, term } of effects.answers) {
      const now = plantedFault?.leaseClocks?.(this.clocks) ?? this.clocks;
      const isLate = term?.holds(now) === false && plantedFault?.ignoresLeaseEnd !== true;
      requester.onOutcome(isLate ? LEASE_OVER : outcome);
    }
    for (const { requester, outcome } of effects.changeAnswers) requester.onChangeOutcome(outcome);
    for (const event of effects.events) {
      if (event.type === "viewInstalled") {
        this.#hasHadView = true;
        const { number, members: set, names } = event.view;
        const list = members(set).map((node) => names[node]).join(" ");
        this.#options.trace.note(this.index, `installs view ${number} of ${list}`);
        const isOut = (set & (1 << self)) === 0;
        if (this.#isStopping && isOut) this.#later(0, () => this.crash(this.#restartMs));
      } else if (event.type === "listChanged") {
        this.#options.onListChanged(event);
        this.#later(0, () => this.#changeList(event));
      } else if (event.type === "isRemoved") this.#leaveOnceKnown(event.view);
      else if (event.type === "olderCopy") {
        this.#options.onHappening("an older copy of a journal noticed");
      } else if (event.type === "startOver") {
        this.#options.onHappening("an older copy of a journal given up");
        this.#later(0, () => this.loseDisk(PUT_BACK_MS));
      } else if (event.type === "viewChangeBegins") {
        const { ballot, reason } = event;
        this.#options.trace.note(this.index, `begins ballot ${ballot}: ${reason}`);
      }
    }
    if (!effects.force || this.#replica === undefined) return;
    if (plantedFault?.skipsForce?.(effects, self) === true) {
      this.#step({ type: "forced", position: effects.position });
    }
    this.#forces.push(effects.position);
    this.#force();
  }

  /** One write is under way at a time; what is asked for meanwhile is the next one. */
  #force(): void {
    const position = this.#forces.at(-1);
    if (this.#isStartingCluster || position === undefined) return;
    this.#forces.length = 0;
    this.#isStartingCluster = true;
    const { scheduler, scenario, random } = this.#options;
    const slowness = scheduler.now < this.#slowUntil ? random.between(100, 1500) : 0;
    this.#later(random.skewed(0, scenario.forceMsMax) + slowness, () => {
      this.#afterHanging(() => this.#endForce(position));
    });
  }

  /** Does `then` when the disk hangs no more. */
  #afterHanging(then: () => void): void {
    const left = this.#hungUntil - this.#options.scheduler.now;
    const isDiskFull = left > 0 && this.#hangsFull;
    if (isDiskFull !== this.#isDiskFull) {
      this.#isDiskFull = isDiskFull;
      this.#step({ type: "room", isDiskFull });
    }
    if (left <= 0) then();
    else this.#later(Math.min(left, 50), () => this.#afterHanging(then));
  }

  #endForce(position: number): void {
    const { plantedFault } = this.#options;
    if (this.#crashesAt("during the force")) return;
    if (this.#crashAt?.point === "failed force" && plantedFault?.ignoresFailedForce === true) {
      this.#crashAt = undefined;
      this.#disk.lose(position - this.#disk.durablePosition);
    }
    if (this.#crashesAt("failed force")) return;
    const records = this.#disk.makeDurable(position - this.#disk.durablePosition);
    this.#options.whiteBox.onDurable(this.index, records);
    this.#isStartingCluster = false;
    if (this.#crashesAt("after the force")) return;
    this.#step({ type: "forced", position });
    this.#force();
  }

  #crashesAt(point: CrashPoint | "failed force"): boolean {
    const planned = this.#crashAt;
    if (planned?.point !== point) return false;
    this.#options.onHappening(point === "failed force" ? point : `crash ${point}`);
    this.#options.trace.note(this.index, `has come to its crash ${point}`);
    this.crash(planned.ms);
    return true;
  }

  // --- Checkpoints ---------------------------------------------------------------------------

  #beginCheckpoint(): void {
    const replica = this.#replica;
    if (replica === undefined || this.#disk.isCheckpointing) return;
    const { plantedFault, trace, index } = this.#options;
    trace.note(index, "begins a checkpoint");
    const tail = replica.checkpoint();
    const replacesAll = replica.store.takeCleared();
    this.#disk.beginCheckpoint(plantedFault?.onCheckpoint?.(tail) ?? tail, { replacesAll });
    this.#stage([...replica.store.takeChanged()]);
  }

  /** Stores some of the entries, as they are now, and goes on a little later. */
  #stage(keys: string[]): void {
    const { random, onHappening, trace, index } = this.#options;
    this.#later(random.between(0, 5), () => {
      if (this.#crashesAt("during a checkpoint")) return;
      for (const key of keys.splice(0, STAGED_KEYS)) {
        const record = this.#replica?.store.recordOf(key);
        if (record !== undefined) this.#disk.stage(record);
      }
      if (keys.length > 0 || !this.#disk.mayEndCheckpoint) {
        this.#stage(keys);
        return;
      }
      const isCurrent = ({ key, value, version }: KeyRecord) => {
        const entry = this.#replica?.store.get(key);
        return entry?.version === version && entry.value === value;
      };
      this.#disk.endCheckpoint(isCurrent);
      onHappening("checkpoint");
      trace.note(index, "ends a checkpoint");
      this.#crashesAt("after a checkpoint");
    });
  }
}

/** Returns how far a journal with these records has come. */
function progressOf(records: readonly JournalRecord[]): number {
  return records.reduce((progress, record) => {
    if (record.type === "position") return record.position;
    return countsAsProgress(record) ? progress + 1 : progress;
  }, 0);
}

/** A client that must know when its connection is lost. */
export interface LostConnection {
  lost(): void;
}
