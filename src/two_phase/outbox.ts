/**
 * The effects of a step of the protocol, and what must be durable before what.
 *
 * A step appends records to the journal, sends messages and answers requests. If something may
 * happen only once a record is durable, the step hands it to {@linkcode Outbox.afterForce}, and a
 * later step does it, when the driver has reported that the journal is forced up to there. So a
 * message never leaves the protocol before what it promises is on disk, and a driver may carry out
 * effects in any order.
 *
 * @module
 */

import type { LeaseTerm } from "./lease.ts";
import type { ChangeOutcome, ChangeRequester } from "./member_changes.ts";
import type {
  Effect,
  JournalRecord,
  JournalSighting,
  Message,
  NodeId,
  NodeSet,
  View,
} from "./messages.ts";
import { NOBODY, only } from "./node_set.ts";
import { countsAsProgress } from "./peer_journals.ts";
import type { Outcome, Requester } from "./request.ts";
import type { SlownessChange } from "./slow_members.ts";
import type { Moment } from "./stillness.ts";
import type { Transaction } from "./state.ts";

/** A message and the nodes that it goes to. */
export interface Envelope {
  readonly to: NodeSet;
  readonly message: Message;
}

/** The answer to a request. */
export interface Answer {
  readonly requester: Requester;
  readonly outcome: Outcome;
  /**
   * When the lease of this read ends; `undefined` for answers that need no lease. The driver checks
   * again before it replies: a turn can outlive a lease.
   */
  readonly term: LeaseTerm | undefined;
}

/** The outcome for a client whose answer came too late for the lease. */
export const LEASE_OVER: Outcome = {
  kind: "rejected",
  obstacle: "down",
  reason: "this node may not answer reads now: its lease has run out",
};

/** An event for the log and the operator. */
export type ProtocolEvent =
  /** A view was installed here. */
  | { readonly type: "viewInstalled"; readonly view: View; readonly before: View }
  /** This node starts an attempt to have another view chosen. */
  | { readonly type: "viewChangeBegins"; readonly ballot: string; readonly reason: string }
  /**
   * The installed view has other nodes than `before`, or other learners: links to nodes that it does not
   * list end, and those to nodes that it lists begin. It comes after `viewInstalled`.
   */
  | { readonly type: "listChanged"; readonly view: View; readonly before: View }
  /**
   * The next view is chosen, and does not list this node. It goes over to it, and has nothing to do any
   * more, as soon as it hears that a majority of the list has it.
   */
  | { readonly type: "isRemoved"; readonly view: View }
  /** A peer turns out to be of another cluster: drop the link to it. */
  | { readonly type: "foreignPeer"; readonly peer: NodeId }
  /**
   * This node's journal is an older copy of the one that a peer has seen. It does not count, and
   * the replica does nothing until `startOver`.
   */
  | {
    readonly type: "olderCopy";
    readonly peer: NodeId;
    readonly own: JournalSighting;
    readonly seen: JournalSighting;
  }
  /**
   * A member that takes part says that this node's journal is an older copy: give the journal up.
   */
  | { readonly type: "startOver"; readonly peer: NodeId }
  /**
   * A peer knows of more records of this node's journal than it holds, though this node takes part:
   * the peer runs on a journal from elsewhere, and does not count.
   */
  | {
    readonly type: "contradicted";
    readonly peer: NodeId;
    readonly own: JournalSighting;
    readonly seen: JournalSighting;
  }
  /** A peer runs on an older copy of its journal: it does not count. */
  | { readonly type: "peerOnOlderCopy"; readonly peer: NodeId }
  /** This node takes part from now on: see `Membership.isVerified`. */
  | { readonly type: "verified" }
  /** All members have installed the view: writes may start. */
  | { readonly type: "complete" }
  /** The disk of a node, maybe this one's, is slow, or fast again: see `slow_members.ts`. */
  | { readonly type: "slowDisk" } & SlownessChange
  /**
   * Again a view was chosen without the joiner `peer`, as it was too late for it: it is let in after
   * `waitMs` at the earliest, unless it is needed for a majority.
   */
  | { readonly type: "joinerLate"; readonly peer: NodeId; readonly waitMs: number }
  /**
   * The wall clock of this node is so far ahead of the others, in milliseconds (behind, if negative),
   * that it takes no key for expired by itself; or it is right again.
   */
  | { readonly type: "clockIsOff"; readonly offMs: number }
  | { readonly type: "clockIsRight" };

/** The answer to somebody who asked for a change of the list of nodes. */
export interface ChangeAnswer {
  readonly requester: ChangeRequester;
  readonly outcome: ChangeOutcome;
}

/** What a committed transaction has done to keys. */
export interface Change {
  readonly effects: readonly Effect[];
  /** The origin of the request, if it was made at this node. */
  readonly requester: Requester | undefined;
}

/** What the driver has to do after a step. */
export interface Effects {
  /** To be appended to the journal, in this order. */
  readonly records: readonly JournalRecord[];
  /** The position of the journal's last record: how many have ever been appended. */
  readonly position: number;
  /** The driver must force the journal up to `position`, and then report it to the protocol. */
  readonly force: boolean;
  /** To be sent, in this order for each receiver. May leave before the records are durable. */
  readonly sends: readonly Envelope[];
  readonly answers: readonly Answer[];
  readonly changeAnswers: readonly ChangeAnswer[];
  /** To be told behind the answers, which may have older values; empty unless they are wanted. */
  readonly changes: readonly Change[];
  readonly events: readonly ProtocolEvent[];
}

/** A role that waits for records to be durable. */
export interface ForceAwaiter {
  /** The last record that was appended for `transaction` is durable. */
  onDurable(transaction: Transaction): void;
}

/** An action that waits for a record to be durable. */
type Gate =
  | { readonly position: number; readonly role: ForceAwaiter; readonly transaction: Transaction }
  | { readonly position: number; readonly action: () => void };

/** A force that was requested and has not ended. */
interface ForceUnderWay {
  readonly position: number;
  readonly progress: number;
  readonly asked: Moment;
}

/** Collects the effects of one step, or of several. */
export class Outbox {
  #records: JournalRecord[] = [];
  #sends: Envelope[] = [];
  #answers: Answer[] = [];
  #changeAnswers: ChangeAnswer[] = [];
  #changes: Change[] = [];
  /** Whether changes are to be reported. */
  tellsChanges = false;
  #events: ProtocolEvent[] = [];
  #position = 0;
  #forced = 0;
  #forceWanted = 0;
  #forceAsked = 0;
  /** How many records of progress the journal has, durable or not: see `peer_journals.ts`. */
  #progress = 0;
  #durableProgress = 0;
  /** The oldest first. */
  #forcesUnderWay: ForceUnderWay[] = [];
  /** The actions that wait for records to be durable, in the order of the records. */
  readonly #gate: Gate[] = [];

  /** Returns how many records have ever been appended. */
  get position(): number {
    return this.#position;
  }

  /** Tells whether there is a record that no force, ended or under way, covers. */
  get hasUnforced(): boolean {
    return this.#position > this.#forceAsked;
  }

  /** Tells whether every appended record is durable. */
  get isAllDurable(): boolean {
    return this.#position === this.#forced;
  }

  /** Tells whether a driver has nothing to do. */
  get isEmpty(): boolean {
    return this.#records.length === 0 && this.#sends.length === 0 && this.#answers.length === 0 &&
      this.#changes.length === 0 && this.#changeAnswers.length === 0 &&
      this.#events.length === 0 && this.#forceWanted <= this.#forceAsked;
  }

  /** Appends a record, which will be durable after some later force. */
  append(record: JournalRecord): void {
    this.#records.push(record);
    this.#position++;
    if (countsAsProgress(record)) this.#progress++;
  }

  /** How far the journal has come, records that are not durable yet included. */
  get progress(): number {
    return this.#progress;
  }

  /** How far the journal has come, durably. */
  get durableProgress(): number {
    return this.#durableProgress;
  }

  /** Continues from the end of the recovered journal. */
  restoreProgress(progress: number): void {
    this.#progress = progress;
    this.#durableProgress = progress;
  }

  /** When the oldest force under way was requested; `undefined` if there is none. */
  get forcingSince(): Moment | undefined {
    return this.#forcesUnderWay[0]?.asked;
  }

  /** What takes the forces under way so long is over: they count as requested at `now`. */
  restartForces(now: Moment): void {
    this.#forcesUnderWay = this.#forcesUnderWay.map((force) => ({ ...force, asked: now }));
  }

  /**
   * Requests a force of everything appended so far, then calls `role.onDurable(transaction)`. Only
   * the last call for a transaction counts: it covers what the transaction waited for before.
   */
  afterForce(role: ForceAwaiter, transaction: Transaction): void {
    transaction.awaitedPosition = this.#position;
    this.#forceWanted = this.#position;
    this.#gate.push({ position: this.#position, role, transaction });
  }

  /**
   * Has everything appended so far forced, and does `action` after that, and after whatever waited
   * before it: an action that is asked for by another one must not find less done than is durable.
   */
  whenDurable(action: () => void): void {
    if (this.#position <= this.#forced && this.#gate.length === 0) {
      action();
      return;
    }
    this.#forceWanted = this.#position;
    this.#gate.push({ position: this.#position, action });
  }

  /** Requests a force of everything appended so far. */
  force(): void {
    this.#forceWanted = this.#position;
  }

  /** Runs what waited for the journal to be durable up to `position`. */
  forced(position: number): void {
    if (position > this.#forced) this.#forced = position;
    for (let one = this.#forcesUnderWay[0]; one !== undefined; one = this.#forcesUnderWay[0]) {
      if (one.position > this.#forced) break;
      this.#durableProgress = one.progress;
      this.#forcesUnderWay.shift();
    }
    let done = 0;
    for (; done < this.#gate.length; done++) {
      const entry = this.#gate[done];
      if (entry === undefined || entry.position > this.#forced) break;
      if ("action" in entry) entry.action();
      else if (entry.transaction.awaitedPosition === entry.position) {
        entry.role.onDurable(entry.transaction);
      }
    }
    this.#gate.splice(0, done);
  }

  send(to: NodeSet, message: Message): void {
    if (to !== 0) this.#sends.push({ to, message });
  }

  /**
   * The link to `peer` is gone, or another one is there: what was to be sent on the one before is lost
   * with it. On the next one it would come before what the protocol says there first.
   */
  linkChanged(peer: NodeId): void {
    const others = ~only(peer);
    if ((this.receivers & only(peer)) === 0) return;
    this.#sends = this.#sends.map(({ to, message }) => ({ to: to & others, message }))
      .filter(({ to }) => to !== NOBODY);
  }

  /** @param term the term of the lease that the answer needs */
  answer(requester: Requester, outcome: Outcome, term?: LeaseTerm): void {
    this.#answers.push({ requester, outcome, term });
  }

  answerChange(requester: ChangeRequester, outcome: ChangeOutcome): void {
    this.#changeAnswers.push({ requester, outcome });
  }

  /** A transaction with these effects is committed here. To be called if {@linkcode tellsChanges}. */
  change(effects: readonly Effect[], requester?: Requester): void {
    this.#changes.push({ effects, requester });
  }

  report(event: ProtocolEvent): void {
    this.#events.push(event);
  }

  /** Returns the nodes that a message is about to go to. */
  get receivers(): NodeSet {
    let all = 0;
    for (const envelope of this.#sends) all |= envelope.to;
    return all;
  }

  /**
   * Returns the effects collected since the last call, and clears them; `now` is the present time.
   */
  take(now: Moment): Effects {
    const effects = {
      records: this.#records,
      position: this.#position,
      force: this.#forceWanted > this.#forceAsked,
      sends: this.#sends,
      answers: this.#answers,
      changeAnswers: this.#changeAnswers,
      changes: this.#changes,
      events: this.#events,
    };
    if (effects.force) {
      this.#forceAsked = this.#position;
      this.#forcesUnderWay.push({
        position: this.#position,
        progress: this.#progress,
        asked: now,
      });
    }
    if (this.#records.length > 0) this.#records = [];
    if (this.#sends.length > 0) this.#sends = [];
    if (this.#answers.length > 0) this.#answers = [];
    if (this.#changeAnswers.length > 0) this.#changeAnswers = [];
    if (this.#changes.length > 0) this.#changes = [];
    if (this.#events.length > 0) this.#events = [];
    return effects;
  }
}
