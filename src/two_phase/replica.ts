/**
 * One replica: the whole protocol of one node as a pure state machine.
 *
 * Inputs go into {@linkcode Replica.step}; effects come out of {@linkcode Replica.takeEffects}.
 * Several steps may be taken before the effects are, so that a turn of the event loop becomes one
 * journal write and one frame for each peer. Nothing here reads a clock, draws a random number or
 * waits: the same inputs give the same effects.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { checkpointRecords } from "./checkpoint.ts";
import type { Clocks } from "./clocks.ts";
import type { Context } from "./context.ts";
import { Coordinator } from "./coordinator.ts";
import { type Counters, newCounters } from "./counters.ts";
import { type Doubt, longDoubts } from "./doubt.ts";
import { HybridClock } from "./hybrid_clock.ts";
import { LockTable } from "./lock_table.ts";
import { LowWaterMarks } from "./low_water_mark.ts";
import { type ChangeRequest, isSameList, renamedIds } from "./member_changes.ts";
import { Membership, type PeerIdentity, type ProcessIdentity } from "./membership.ts";
import {
  type ControlMessage,
  incarnationBase,
  isControl,
  type JournalRecord,
  type JournalSighting,
  type Message,
  MESSAGE_RULES,
  type MessageRule,
  type NodeId,
  SEQUENCES_PER_INCARNATION,
  type View,
  type ViewInstalled,
} from "./messages.ts";
import { members, only } from "./node_set.ts";
import { NodeRecords } from "./nodes.ts";
import { type Effects, Outbox } from "./outbox.ts";
import { Participant } from "./participant.ts";
import { Reachability } from "./reachability.ts";
import { recover } from "./recovery.ts";
import { OLDER_COPY, whyLoading, whyNotReady } from "./refusals.ts";
import type { Refusal, Request, Requester } from "./request.ts";
import { settleAll } from "./settlement.ts";
import { SlowMembers } from "./slow_members.ts";
import { Stillness } from "./stillness.ts";
import { Store } from "./store.ts";
import type { Timing } from "./timing.ts";
import { TransferSource, TransferTarget } from "./transfer.ts";
import { ViewChange } from "./view_change.ts";
import { journalDigits, type NamedTransaction } from "./transaction_name.ts";
import { type KnownOutcome, TransactionTable } from "./transaction_table.ts";
import { WriteTimes } from "./write_times.ts";

/** What a replica needs before it starts. */
export interface ReplicaOptions {
  readonly self: NodeId;
  /** By id: the names of the configured nodes; `""` for an id that no node has. */
  readonly names: readonly string[];
  readonly identity: ProcessIdentity;
  readonly timing: Timing;
  /** Returns a number from 0 up to but not including 1. */
  readonly random: () => number;
  /** Both clocks at the start. */
  readonly now: Clocks;
  /** The store from before a restart; empty if there was none. */
  readonly store?: Store;
  /** The journal's records, in their order; empty if there was no journal. */
  readonly records?: readonly JournalRecord[];
  /** The operator has just started a new cluster from this node's records: nothing can be later. */
  readonly isTrusted?: boolean;
  /** After how many numbers a process takes another incarnation; for tests. */
  readonly sequencesMax?: number | undefined;
}

/** An event that the replica handles. */
export type Input =
  /** A client asks for something. */
  | { readonly type: "request"; readonly request: Request; readonly requester: Requester }
  /** Somebody asks for a change of the list of nodes. */
  | { readonly type: "changeMembers"; readonly request: ChangeRequest }
  /** A message has arrived on the link from `from`. */
  | { readonly type: "message"; readonly from: NodeId; readonly message: Message }
  /** A link has come up: messages on an earlier one may be lost. */
  | {
    readonly type: "peerUp";
    readonly peer: NodeId;
    readonly identity: PeerIdentity;
    /** What the peer's disk records of this node's journal; `undefined` for nothing. */
    readonly known?: JournalSighting | undefined;
  }
  /** The link is gone. */
  | { readonly type: "peerDown"; readonly peer: NodeId }
  /** A part of a large message has come from a linked peer: it lives. */
  | { readonly type: "messagePart"; readonly from: NodeId }
  /** A linked peer has taken in a part of what is sent to it, and more waits to be sent. */
  | { readonly type: "taken"; readonly peer: NodeId }
  /** The journal is durable up to and including record number `position`. */
  | { readonly type: "forced"; readonly position: number }
  /**
   * The disk is full, or has room again. While it is full, no force ends, and nothing is lost: what was
   * appended is made durable once there is room.
   */
  | { readonly type: "room"; readonly isDiskFull: boolean }
  /** The process is about to end: the others need not wait for it. */
  | { readonly type: "leave" }
  /** This replica is given up: everything that was asked of it is answered. The last input. */
  | { readonly type: "abandon"; readonly refusal: Refusal }
  /** Time has passed. Give one every few milliseconds. */
  | { readonly type: "tick" };

/** What one node knows of a transaction's end. */
export interface OutcomeAnswer {
  readonly outcome: KnownOutcome;
  /** The view that the node has installed, and whether it is a member of that. */
  readonly view: number;
  readonly isMember: boolean;
  /** How many nodes are a majority in that view. */
  readonly needed: number;
}

/**
 * Messages from peers that came before this node takes part: for each peer the last message of each
 * type, as a later one replaces an earlier one. So they stay few, however long that takes.
 */
class HeldBack {
  readonly #messages = new Map<string, { from: NodeId; message: ControlMessage }>();

  add(from: NodeId, message: ControlMessage): void {
    // Acknowledgements do not count: this node has no lease.
    if (message.type === "heartbeatAcknowledged") return;
    const place = `${from} ${message.type}`;
    // Moves the type to the end: the order is that of the last messages.
    this.#messages.delete(place);
    this.#messages.set(place, { from, message });
  }

  forget(peer: NodeId): void {
    for (const [place, { from }] of this.#messages) {
      if (from === peer) this.#messages.delete(place);
    }
  }

  takeAll(): { readonly from: NodeId; readonly message: ControlMessage }[] {
    const all = [...this.#messages.values()];
    this.#messages.clear();
    return all;
  }
}

/** A node on an older copy of its journal only keeps track of which nodes are up. */
function isHeededByOlderCopy(input: Input): boolean {
  if (input.type === "message") return input.message.type === "viewInstalled";
  return input.type !== "tick" && input.type !== "forced";
}

/** What {@linkcode Replica.peek} returns if the read must be submitted as a request. */
export const MUST_WAIT: unique symbol = Symbol("must wait");

/** The protocol of one node. */
export class Replica {
  /** What the roles share. For tests and the simulator; other code uses the getters below. */
  readonly context: Context;
  readonly #coordinator: Coordinator;
  readonly #participant: Participant;
  readonly #marks: LowWaterMarks;
  readonly #source: TransferSource;
  readonly #target: TransferTarget;
  readonly #viewChange: ViewChange;
  /** Messages that came before this node takes part, in their order. */
  readonly #heldBack = new HeldBack();
  /**
   * Whose message came last, at this very time, with nothing in between that could change whether it counts:
   * a frame holds many messages, and one of them is enough to know that their sender lives.
   */
  #heardFrom: NodeId | undefined;

  constructor(options: ReplicaOptions) {
    const outbox = new Outbox();
    const store = options.store ?? new Store(options.now.monotonicMs);
    const nodes = new NodeRecords(options.now.monotonicMs);
    const stillness = new Stillness(options.timing.suspicionMs);
    const { self, timing } = options;
    const reachability = new Reachability({ self, timing, stillness });
    const startedAt = options.now.monotonicMs;
    const slowMembers = new SlowMembers({ self, timing, startedAt });
    const transactions = new TransactionTable();
    this.context = {
      self,
      nodes,
      reachability,
      slowMembers,
      timing,
      clock: new HybridClock(),
      store,
      locks: new LockTable(self, store, () => transactions.holdingLocks()),
      transactions,
      membership: new Membership({
        self,
        names: options.names,
        identity: options.identity,
        timing,
        nodes,
        outbox,
        stillness,
        reachability,
        slowMembers,
      }),
      outbox,
      counters: newCounters(),
      writeTimes: new WriteTimes(),
      stillness,
      random: options.random,
      now: options.now.monotonicMs,
      clocks: options.now,
    };
    const { sequencesMax = SEQUENCES_PER_INCARNATION } = options;
    this.#marks = new LowWaterMarks(this.context, (upTo) => this.#coordinator.onAllSettled(upTo));
    this.#coordinator = new Coordinator(this.context, { marks: this.#marks, sequencesMax });
    this.#participant = new Participant(this.context);
    const coordinator = this.#coordinator;
    this.#source = new TransferSource(this.context);
    this.#target = new TransferTarget(this.context, this.#participant, {
      get lastNumber() {
        return coordinator.lastNumber;
      },
      hasJoined: () => this.#viewChange.promiseAgain(),
    });
    this.#viewChange = new ViewChange(this.context, {
      get lastNumber() {
        return coordinator.lastNumber;
      },
      silentMembers: () => coordinator.silentMembers(),
      onInstalled: (before, wasMember) => this.#onInstalled(before, wasMember),
    }, this.#source);
    recover({
      context: this.context,
      coordinator: this.#coordinator,
      participant: this.#participant,
      records: options.records ?? [],
      isTrusted: options.isTrusted ?? false,
    });
  }

  /** What is visible from outside: the view, the keys, the counters. Callers must not change it. */
  get membership(): Membership {
    return this.context.membership;
  }

  get store(): Store {
    return this.context.store;
  }

  get locks(): LockTable {
    return this.context.locks;
  }

  /** How long the forces of the nodes take. */
  get slowMembers(): Pick<SlowMembers, "forceMsOf" | "isSlow"> {
    return this.context.slowMembers;
  }

  get counters(): Readonly<Counters> {
    return this.context.counters;
  }

  /** How long writes take; callers must not change it. */
  get writeTimes(): WriteTimes {
    return this.context.writeTimes;
  }

  /** How many requests are not answered yet. */
  get requests(): number {
    return this.#coordinator.requests;
  }

  /** How many transactions are known: undecided, or decided and not forgotten. */
  get transactions(): number {
    return this.context.transactions.size;
  }

  /**
   * Returns the transactions that have been in doubt here for long, the oldest first: see
   * `doubt.ts`.
   */
  longDoubts(): Doubt[] {
    return longDoubts(this.context, this.#coordinator);
  }

  /** Returns what this node knows of the end of a transaction, and the view it knows it from. */
  outcomeOf(asked: NamedTransaction): OutcomeAnswer {
    const { membership } = this.context;
    const { view, isMember, isVerified } = membership;
    return {
      outcome: this.#outcomeOf(asked),
      view: view.number,
      isMember: isMember && isVerified,
      needed: membership.quorum.needed,
    };
  }

  #outcomeOf({ coordinator, number, digits }: NamedTransaction): KnownOutcome {
    const { membership, transactions, self } = this.context;
    const { view, identity } = membership;
    const journal = coordinator === self ? identity.journal : view.journals[coordinator] ?? "";
    // The name means another journal's transaction of that number, not the one known here.
    if (journalDigits(journal) !== digits) return "unknown";
    const isCommitted = view.commits.some((one) =>
      one.coordinator === coordinator && one.number === number
    );
    return isCommitted ? "committed" : transactions.outcomeOf(coordinator, number);
  }

  /** Tells whether {@linkcode takeEffects} would return anything to do. */
  get hasEffects(): boolean {
    return !this.context.outbox.isEmpty;
  }

  /** Has every committed change told in {@linkcode Effects.changes}, or none. */
  tellChanges(isWanted: boolean): void {
    this.context.outbox.tellsChanges = isWanted;
  }

  /** Returns the records that a checkpoint at this moment needs, see `checkpoint.ts`. */
  checkpoint(): JournalRecord[] {
    return checkpointRecords(this.context);
  }

  /**
   * Reads one key without a request, if the read need not wait.
   *
   * @param now what both clocks have shown: after the request had come, and nothing has changed here since.
   * So the value was the latest then, however long the process stands still before it is answered
   * @returns the value, `undefined` if the key does not exist, or {@linkcode MUST_WAIT}.
   */
  peek(key: ByteString, now: Clocks): ByteString | undefined | typeof MUST_WAIT {
    const { membership, locks, store } = this.context;
    const entry = store.get(key);
    const isLocked = entry?.lock !== undefined || locks.clearing !== undefined;
    if (isLocked && locks.lastWriter(entry, locks.grants) !== undefined) return MUST_WAIT;
    const value = entry?.value;
    const expiresAtMs = entry?.expiresAtMs;
    if (expiresAtMs !== undefined && expiresAtMs <= now.wallMs) return MUST_WAIT;
    return membership.mayRead(now) ? value : MUST_WAIT;
  }

  /** The progress of transfers from this node, by node, in chunks. */
  get transfers(): readonly { readonly node: NodeId; readonly chunks: number }[] {
    return this.#source.progress;
  }

  /** How many chunks this node has received, while it joins. */
  get chunksReceived(): number | undefined {
    return this.#target.chunks;
  }

  /** Why this node has not joined the cluster, or not again; `undefined` if it has. */
  get whyLoading(): string | undefined {
    return whyLoading(this.context);
  }

  /** Why this node answers no reads at this moment; `undefined` if it is a member with a lease. */
  whyNotReady(clocks: Clocks): string | undefined {
    return whyNotReady(this.context, clocks);
  }

  /** Handles `input`, at `now` by both clocks. */
  step(input: Input, now: Clocks): void {
    const { membership } = this.context;
    const wasVerified = membership.isVerified;
    // Ticks come much more often: if one is this late, the whole process was held up.
    const paused = now.monotonicMs - this.context.now;
    if (paused > this.context.timing.heartbeatMs) this.context.stillness.addStandstill(paused);
    if (input.type !== "message" || now.monotonicMs !== this.context.now) {
      this.#heardFrom = undefined;
    }
    this.context.now = now.monotonicMs;
    this.context.clocks = now;
    this.context.store.nowMs = now.monotonicMs;
    if (membership.isOlderCopy && !isHeededByOlderCopy(input)) return;
    switch (input.type) {
      case "request":
        this.#coordinator.submit(input.request, input.requester);
        break;
      case "changeMembers":
        this.#viewChange.onChangeRequest(input.request);
        break;
      case "message":
        this.#onMessage(input.from, input.message);
        break;
      case "peerUp":
        this.#onPeerUp(input);
        break;
      case "peerDown":
        this.context.outbox.linkChanged(input.peer);
        this.context.membership.onPeerDown(input.peer);
        this.context.reachability.onPeerDown(input.peer);
        this.#source.onPeerDown(input.peer);
        this.#target.onPeerDown(input.peer);
        this.#heldBack.forget(input.peer);
        break;
      case "taken":
        membership.onTaken(input.peer, this.context.now);
        break;
      case "messagePart":
        if (!membership.isForeign(input.from)) membership.onHeard(input.from, this.context.now);
        this.#target.onMessagePart(input.from);
        break;
      case "room":
        this.#onRoom(input.isDiskFull);
        break;
      case "leave":
        this.context.membership.leave();
        break;
      case "abandon":
        this.#coordinator.abandonAll(input.refusal);
        this.#viewChange.abandon(input.refusal.reason);
        return; // Nothing is granted, and nothing begins, from now on.
      case "forced":
        this.context.transactions.forced(input.position);
        this.#onForced(input.position);
        break;
      case "tick":
        this.#onTick();
        break;
    }
    if (!wasVerified && membership.isVerified) this.#onVerified();
    this.#serveLine();
  }

  /** This node takes part from now on: acts as if all links had come up just now. */
  #onVerified(): void {
    const { membership } = this.context;
    for (const node of members(membership.ready & membership.others)) this.#onPeerReady(node);
    for (const { from, message } of this.#heldBack.takeAll()) this.#onControl(from, message);
    this.#coordinator.onMembershipChange();
  }

  #onPeerReady(node: NodeId): void {
    this.#marks.onPeerReady(node);
    this.#coordinator.onPeerReady(node);
  }

  /** Returns the effects collected so far, and clears them. */
  takeEffects(): Effects {
    const { outbox, transactions, membership, now, stillness } = this.context;
    this.#marks.beforeSending(outbox.receivers & membership.ready);
    const effects = outbox.take(stillness.moment(now));
    if (effects.force) transactions.forceBegins(effects.position);
    return effects;
  }

  /** Something came from a peer. Returns false if it is not to be heeded, as the peer is of another cluster. */
  #hear(from: NodeId, message: Message): boolean {
    const { membership, reachability, counters, now } = this.context;
    if (!membership.lists(from)) {
      this.#onUnlisted(from, message);
      return false;
    }
    if (membership.isForeign(from) && message.type !== "viewInstalled") {
      counters.foreign++;
      return false;
    }
    membership.onHeard(from, now);
    reachability.onHeard(from, now);
    this.#heardFrom = from;
    return true;
  }

  /**
   * A node that the installed view does not list says something. It may know a later view; and if it is
   * behind, it gets this one, and learns that it was removed. Nothing else that it says counts.
   */
  #onUnlisted(from: NodeId, message: Message): void {
    const { membership, counters } = this.context;
    counters.stale++;
    if (message.type === "viewInstall" && this.#isHeeded(message)) {
      this.#viewChange.onMessage(from, message);
    } else if (message.type === "viewInstalled" && membership.isVerified) {
      this.#viewChange.tellUnlisted(from, message);
    }
  }

  #onMessage(from: NodeId, message: Message): void {
    const { membership, counters } = this.context;
    if (from !== this.#heardFrom && !this.#hear(from, message)) return;
    if (isControl(message)) {
      this.#heardFrom = undefined;
      if (this.#isHeeded(message)) this.#onControl(from, message);
      else this.#heldBack.add(from, message);
      return;
    }
    // A frozen node neither sends nor handles messages about transactions. Messages about a view
    // other than the installed one mean nothing either; but a prepare in such a view gets a no.
    const isStale = message.view !== membership.view.number && message.type !== "prepare";
    if (membership.isFrozen || !membership.isMember || !membership.isVerified || isStale) {
      counters.stale++;
      return;
    }
    switch (message.type) {
      case "prepare":
        this.#participant.onPrepare(from, message);
        return;
      case "vote":
        this.#coordinator.onVote(from, message);
        return;
      case "commit":
        this.#participant.onCommit(from, message);
        return;
      case "abort":
        this.#participant.onAbort(from, message);
        return;
      case "abortAcknowledged":
        this.#coordinator.onAbortAcknowledged(from, message);
        return;
      case "withdrawn":
        this.context.locks.givePlace(from, message.priority);
        return;
      case "settled":
        this.#marks.onSettled(from, message.upTo);
        return;
      case "forget":
        this.#marks.onForget(from, message.upTo);
        return;
      case "recovered":
        this.#participant.onRecovered(from, message);
        return;
      default:
        message satisfies never;
    }
  }

  /**
   * Tells whether this node acts on `message`, though it may not take part yet. A view with other nodes is
   * one: those of the list that this node knows may be gone, and the others can vouch for its journal.
   */
  #isHeeded(message: ControlMessage): boolean {
    const { isVerified, view } = this.context.membership;
    const rule: MessageRule = MESSAGE_RULES[message.type];
    if (isVerified || rule.isHeededAtOnce === true) return true;
    return message.type === "viewInstall" && view.number > 0 && !isSameList(message.chosen, view);
  }

  #onControl(from: NodeId, message: ControlMessage): void {
    const { membership, clocks } = this.context;
    switch (message.type) {
      case "viewInstalled":
        this.#onViewInstalled(from, message);
        return;
      case "heartbeat":
        // A node that learns that this one is behind sends it the view.
        if (message.view > membership.view.number) membership.announce(only(from));
        membership.onHeartbeat(from, message, clocks);
        return;
      case "heartbeatAcknowledged": {
        const couldRead = membership.mayRead(clocks);
        membership.onHeartbeatAcknowledged(from, message, clocks);
        if (!couldRead && membership.mayRead(clocks)) this.#coordinator.onMembershipChange();
        return;
      }
      case "leaving":
        membership.onLeaving(from, message);
        return;
      case "joinRequest":
        this.#source.onRequest(from, message);
        return;
      case "joinChunk":
        this.#target.onChunk(from, message);
        return;
      case "joinAcknowledged":
        this.#source.onAcknowledged(from, message);
        return;
      case "joinPart":
        this.#target.onPart(from, message);
        return;
      case "joinFinal":
        this.#target.onFinal(from, message);
        return;
      case "joinConfirmed":
        this.#viewChange.onConfirmed(from, message.ballot, message.lastNumber);
        return;
      case "viewPrepare":
      case "viewPromise":
      case "viewRefuse":
      case "viewAbandoned":
      case "viewAccept":
      case "viewAccepted":
      case "viewInstall":
        this.#viewChange.onMessage(from, message);
        return;
      default:
        message satisfies never;
    }
  }

  #onPeerUp({ peer, identity, known }: Input & { readonly type: "peerUp" }): void {
    const { transactions, membership, outbox, now } = this.context;
    outbox.linkChanged(peer);
    membership.onPeerUp(peer, { identity, known, now });
    if (membership.isOlderCopy) {
      this.#coordinator.abandonAll(OLDER_COPY);
      return;
    }
    this.#viewChange.onPeerUp(peer);
    if (membership.counts(peer)) {
      transactions.startIncarnation(peer, incarnationBase(identity.incarnation));
    }
    this.#coordinator.onMembershipChange();
  }

  /**
   * A peer says which view it is in. If it is this node's view, the peer handles its messages from
   * now on.
   */
  #onViewInstalled(from: NodeId, message: ViewInstalled): void {
    const { membership } = this.context;
    if (membership.onViewInstalled(from, message)) this.#onPeerReady(from);
    if (membership.isOlderCopy) return;
    if (!membership.isForeign(from)) this.#viewChange.catchUp(from, message.view);
    this.#coordinator.onMembershipChange();
  }

  /** The installed view has changed: it settled everything of the one before. */
  #onInstalled(before: View, wasMember: boolean): void {
    const { membership, store, transactions, outbox, counters } = this.context;
    const { view } = membership;
    this.#forgetRenamed(view, before);
    const unsettled = this.#coordinator.unsettled();
    const isNext = view.number === before.number + 1;
    const ended = settleAll(this.context, { view, isNext });
    if (wasMember && !membership.isMember) {
      // This node cannot know what the members do without it, so it joins from empty. A node that
      // was already outside keeps what has been transferred so far.
      counters.exclusions++;
      store.clear();
    } else if (membership.isMember && !wasMember && view.number > 1) counters.admissions++;
    for (const node of members(membership.all)) {
      const incarnation = membership.identityOf(node)?.incarnation;
      // A node met on another journal than the view lists gives numbers from the view's base on.
      if (incarnation === undefined || !membership.counts(node)) continue;
      transactions.startIncarnation(node, incarnationBase(incarnation));
      transactions.close(node, []); // The view settled everything before it.
    }
    this.#source.onInstalled(before);
    this.#target.onInstalled();
    outbox.report({ type: "viewInstalled", view, before });
    // The list may have changed and be the same again: what runs the replica may know of that in between.
    const isUnchanged = view.change?.view === before.change?.view && isSameList(view, before);
    if (!isUnchanged) outbox.report({ type: "listChanged", view, before });
    for (const node of members(membership.ready & membership.others)) this.#onPeerReady(node);
    this.#coordinator.onViewInstalled(unsettled, before);
    for (const transaction of ended) {
      transaction.tellObservers(transaction.state === "committed" ? "committed" : "aborted");
    }
  }

  /** Ids that have another name than in the view `before`, or none, are those of other nodes. */
  #forgetRenamed(view: View, before: View): void {
    const { outbox, membership, reachability, slowMembers, self } = this.context;
    for (const node of renamedIds(view, before)) {
      if (node === self) continue;
      // What waits to be sent to the one that has left may still leave; it is not for another one.
      if ((view.names[node] ?? "") !== "") outbox.linkChanged(node);
      membership.forgetRenamed(node, this.context.now);
      reachability.forget(node);
      slowMembers.forget(node);
      this.#source.onPeerDown(node);
      this.#target.onPeerDown(node);
      this.#heldBack.forget(node);
    }
  }

  #onForced(position: number): void {
    const { outbox, slowMembers, stillness, now } = this.context;
    const asked = outbox.forcingSince;
    if (asked !== undefined) slowMembers.onForced(stillness.msSince(asked, now), now);
    outbox.forced(position);
  }

  #onRoom(isDiskFull: boolean): void {
    const { outbox, stillness, membership, now } = this.context;
    // The wait for room says nothing of how fast the disk is.
    if (!isDiskFull) outbox.restartForces(stillness.moment(now));
    membership.onRoom(isDiskFull);
    this.#coordinator.onMembershipChange();
  }

  #onTick(): void {
    const { outbox, membership, transactions, reachability, slowMembers, clocks } = this.context;
    reachability.onTick(membership.all, clocks.monotonicMs);
    membership.onTick(clocks);
    this.#viewChange.onTick();
    this.#source.onTick();
    this.#target.onTick();
    this.#coordinator.onTick();
    this.context.locks.givePlacesOver(this.context.now);
    // The record means nothing by itself; what its force takes is what is asked for.
    if (slowMembers.isProbeDue(clocks.monotonicMs) && outbox.isAllDurable) {
      outbox.append({ type: "clock", stamp: this.context.clock.last });
    }
    // Outcomes are not forced by themselves. If nothing else forces them, this does.
    if (outbox.hasUnforced) outbox.force();
    else if (outbox.isAllDurable) transactions.allDurable();
    this.#marks.beforeSending(membership.ready & membership.others);
  }

  /**
   * Continues the transactions that got locks, or lost a place in line, in this step. A frozen node
   * grants nothing: what it reported with its promise must not change. The next view ends every
   * transaction in line.
   */
  #serveLine(): void {
    const { locks, self, counters, membership } = this.context;
    if (membership.isFrozen) return;
    for (let event = locks.next(); event !== undefined; event = locks.next()) {
      const { transaction } = event;
      if (event.what === "refused") this.#participant.onRefusedInLine(transaction);
      else if (transaction.coordinator === self) {
        counters.grantsFromLine++;
        this.#coordinator.onGranted(transaction);
      } else this.#participant.onGranted(transaction);
    }
  }
}
