/**
 * One replica: the whole protocol of one node as a pure state machine.
 *
 * Inputs go in by {@linkcode Replica.step}; what is to be done comes out of
 * {@linkcode Replica.takeEffects}. Several steps may be taken before the effects are, so that a turn
 * of the event loop becomes one journal write and one frame for each peer. Nothing here reads a
 * clock, draws a random number or waits: the same inputs give the same effects.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { checkpointRecords } from "./checkpoint.ts";
import { type Context, type Counters, newCounters, type Timing } from "./context.ts";
import { Coordinator } from "./coordinator.ts";
import { HybridClock } from "./hybrid_clock.ts";
import { LockTable } from "./lock_table.ts";
import { Membership, type PeerIdentity } from "./membership.ts";
import {
  incarnationBase,
  type JournalRecord,
  type Message,
  type NodeIndex,
  type TransactionNumber,
  type ViewInstalled,
} from "./messages.ts";
import { type Effects, Outbox } from "./outbox.ts";
import { Participant } from "./participant.ts";
import { recover } from "./recovery.ts";
import type { Client, Request } from "./request.ts";
import { Store } from "./store.ts";
import { type KnownOutcome, TransactionTable } from "./transaction_table.ts";

/** What a replica has to know before it starts. */
export interface ReplicaOptions {
  readonly self: NodeIndex;
  /** What the configured nodes are called in messages for people, by index. */
  readonly names: readonly string[];
  readonly identity: PeerIdentity;
  readonly timing: Timing;
  /** Returns a number from 0 up to but not including 1. */
  readonly random: () => number;
  /** The local clock, in milliseconds. */
  readonly now: number;
  /** What was stored before a restart; empty where there is nothing. */
  readonly store?: Store;
  /** The journal's records, in their order; none where there is nothing. */
  readonly records?: readonly JournalRecord[];
}

/** Something that has happened. */
export type Input =
  /** A client asks for something. */
  | { readonly type: "request"; readonly request: Request; readonly client: Client }
  /** A message has arrived on the link from `from`. */
  | { readonly type: "message"; readonly from: NodeIndex; readonly message: Message }
  /** A link has come up: what was sent on an earlier one may be lost. */
  | { readonly type: "peerUp"; readonly peer: NodeIndex; readonly identity: PeerIdentity }
  /** The link is gone. */
  | { readonly type: "peerDown"; readonly peer: NodeIndex }
  /** The journal is durable up to and including record number `position`. */
  | { readonly type: "forced"; readonly position: number }
  /** Time has passed. To be given every few milliseconds. */
  | { readonly type: "tick" };

/** What {@linkcode Replica.peek} returns where a read has to be submitted as a request. */
export const MUST_WAIT: unique symbol = Symbol("must wait");

/** The protocol of one node. */
export class Replica {
  /** What the roles share. For tests and the simulator; everybody else has the getters below. */
  readonly context: Context;
  readonly #coordinator: Coordinator;
  readonly #participant: Participant;

  constructor(options: ReplicaOptions) {
    const outbox = new Outbox();
    const store = options.store ?? new Store();
    this.context = {
      self: options.self,
      nodes: options.names.length,
      names: options.names,
      timing: options.timing,
      clock: new HybridClock(),
      store,
      locks: new LockTable(options.self, store),
      transactions: new TransactionTable(options.names.length),
      membership: new Membership({
        self: options.self,
        nodes: options.names.length,
        journal: options.identity.journal,
        outbox,
      }),
      outbox,
      counters: newCounters(),
      random: options.random,
      now: options.now,
    };
    this.#coordinator = new Coordinator(this.context, options.identity.incarnation);
    this.#participant = new Participant(this.context);
    recover({
      context: this.context,
      coordinator: this.#coordinator,
      participant: this.#participant,
      incarnation: options.identity.incarnation,
      records: options.records ?? [],
    });
  }

  /** What there is to see from outside: the view, the keys, the counters. Not to be changed. */
  get membership(): Membership {
    return this.context.membership;
  }

  get store(): Store {
    return this.context.store;
  }

  get locks(): LockTable {
    return this.context.locks;
  }

  get counters(): Readonly<Counters> {
    return this.context.counters;
  }

  /** How many requests are not answered yet. */
  get requests(): number {
    return this.#coordinator.requests;
  }

  /** How many transactions are known: undecided, or decided and not forgotten. */
  get transactions(): number {
    return this.context.transactions.size;
  }

  /** Returns what this node knows of the end of a transaction. */
  outcomeOf(coordinator: NodeIndex, number: TransactionNumber): KnownOutcome {
    return this.context.transactions.outcomeOf(coordinator, number);
  }

  /** Tells whether {@linkcode takeEffects} would return anything to do. */
  get hasEffects(): boolean {
    return !this.context.outbox.isEmpty;
  }

  /** Returns the records that a checkpoint at this moment needs, see `checkpoint.ts`. */
  checkpoint(): JournalRecord[] {
    return checkpointRecords(this.context);
  }

  /**
   * Reads one key without a request, where that needs no waiting.
   *
   * @returns the value, `undefined` where the key does not exist, or {@linkcode MUST_WAIT}.
   */
  peek(key: ByteString): ByteString | undefined | typeof MUST_WAIT {
    const { membership, locks, store } = this.context;
    if (!membership.mayRead) return MUST_WAIT;
    const entry = store.get(key);
    if (entry?.lock !== undefined && locks.lastWriter(entry, locks.grants) !== undefined) {
      return MUST_WAIT;
    }
    return entry?.value;
  }

  /** Takes in what has happened; `nowMs` is the local clock, which never goes back. */
  step(input: Input, nowMs: number): void {
    this.context.now = nowMs;
    switch (input.type) {
      case "request":
        this.#coordinator.submit(input.request, input.client);
        break;
      case "message":
        this.#onMessage(input.from, input.message);
        break;
      case "peerUp":
        this.#onPeerUp(input.peer, input.identity);
        break;
      case "peerDown":
        this.context.membership.onPeerDown(input.peer);
        break;
      case "forced":
        this.context.transactions.forced(input.position);
        this.context.outbox.forced(input.position);
        break;
      case "tick":
        this.#onTick();
        break;
    }
    this.#serveLine();
  }

  /** Returns what is to be done, and forgets it. */
  takeEffects(): Effects {
    const { outbox, transactions, membership } = this.context;
    const receivers = outbox.receivers & membership.ready;
    this.#coordinator.beforeSending(receivers);
    this.#participant.beforeSending(receivers);
    const effects = outbox.take();
    if (effects.force) transactions.forceBegins(effects.position);
    return effects;
  }

  #onMessage(from: NodeIndex, message: Message): void {
    const { membership, counters } = this.context;
    switch (message.type) {
      case "viewInstalled":
        this.#onViewInstalled(from, message);
        return;
      case "prepare":
        this.#participant.onPrepare(from, message);
        return;
      default:
        // Whatever is said about another view than the installed one has no meaning here.
        if (message.view !== membership.view.number) {
          counters.stale++;
          return;
        }
    }
    switch (message.type) {
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
      case "settled":
        this.#coordinator.onSettled(from, message);
        return;
      case "forget":
        this.#participant.onForget(from, message);
        return;
      case "recovered":
        this.#participant.onRecovered(from, message);
        return;
    }
  }

  #onPeerUp(peer: NodeIndex, identity: PeerIdentity): void {
    const { transactions, membership } = this.context;
    transactions.begin(peer, incarnationBase(identity.incarnation));
    membership.onPeerUp(peer, identity);
    this.#coordinator.onMembershipChange();
  }

  /** A member says that it is in this node's view: only now does it heed what is said in it. */
  #onViewInstalled(from: NodeIndex, message: ViewInstalled): void {
    const { membership } = this.context;
    if (membership.onViewInstalled(from, message)) {
      this.#participant.onPeerReady(from);
      this.#coordinator.onPeerReady(from);
    }
    this.#coordinator.onMembershipChange();
  }

  #onTick(): void {
    this.#coordinator.onTick();
    const { outbox, membership, transactions } = this.context;
    // Outcomes are not forced by themselves; when nothing else forces them, this does.
    if (outbox.hasUnforced) outbox.force();
    else if (outbox.isAllDurable) transactions.allDurable();
    const ready = membership.ready & membership.others;
    this.#coordinator.beforeSending(ready);
    this.#participant.beforeSending(ready);
  }

  /** Goes on with everybody who got locks, or lost a place in line, by what was done. */
  #serveLine(): void {
    const { locks, self, counters } = this.context;
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
