/**
 * The driver: runs one replica with real time, a real journal and real links.
 *
 * Everything that happens within one turn of the event loop goes into the replica at once; the
 * driver carries out the effects when the turn ends. So everything that arrived together shares one
 * journal write and one frame for each peer, and a single request waits for no timer.
 *
 * @module
 */

import type { Clocks } from "../two_phase/clocks.ts";
import type { Outcome, Refusal, Request, Requester } from "../two_phase/request.ts";
import {
  type Answer,
  type Change,
  type Effects,
  LEASE_OVER,
  type ProtocolEvent,
} from "../two_phase/outbox.ts";
import type {
  JournalRecord,
  JournalSighting,
  KeyRecord,
  Message,
  NodeId,
  NodeSet,
} from "../two_phase/messages.ts";
import type { ChangeRequest } from "../two_phase/member_changes.ts";
import { type Input, MUST_WAIT, type Replica } from "../two_phase/replica.ts";
import type { PeerIdentity } from "../two_phase/membership.ts";
import { only } from "../two_phase/node_set.ts";
import type { Store } from "../two_phase/store.ts";
import type { ByteString } from "../byte_string.ts";
import { clocks } from "../clock.ts";
import { invariant } from "../invariant.ts";
import { OwnerWatch } from "./owner_watch.ts";
import type { CheckpointOptions, Journal } from "./storage/journal.ts";

/** How often the replica is told that time has passed. */
const TICK_MS = 20;

/** How often at most while nothing happens here but signs of life, and after how long of that. */
const IDLE_TICK_MS = 50;
const IDLE_AFTER_MS = 1000;

/** The messages that come from an idle cluster too. */
const SIGNS_OF_LIFE: ReadonlySet<Message["type"]> = new Set([
  "heartbeat",
  "heartbeatAcknowledged",
]);

/** How long what needs the journal's owner waits for the journal's answer, in milliseconds. */
const OWNER_WAIT_MS = 1000;

/** The outcome for a client whose answer waited for that in vain. */
const OWNER_UNKNOWN: Outcome = {
  kind: "rejected",
  obstacle: "down",
  reason: "this node has stood still, and its journal does not say yet whether it is still its own",
};

/** Carries messages to other nodes. */
export interface Transport {
  send(to: NodeSet, message: Message): void;
  /** All messages of this turn were added: send them. */
  flush(): void;
}

/** What may only leave once it is certain that the journal is this process's own. */
type Held =
  & {
    readonly since: number;
    /** The question to the journal that it waits for, see {@linkcode OwnerWatch.question}. */
    readonly question: number;
  }
  & (
    /** Read from memory. */
    | { readonly answer: Answer }
    /** Gives another node a lease. */
    | { readonly to: NodeSet; readonly message: Message }
  );

/** Runs one replica. */
export class Driver {
  readonly replica: Replica;
  readonly #journal: Journal;
  readonly #transport: Transport;
  readonly #onEvent: (event: ProtocolEvent) => void;
  readonly #onChanges: ((changes: readonly Change[]) => void) | undefined;
  readonly #onLateAnswers: (() => void) | undefined;
  readonly #onTick: ((lateMs: number, nowMs: number) => void) | undefined;
  readonly #clocks: () => Clocks;
  readonly #ownerWatch: OwnerWatch;
  /** In their order. */
  #held: Held[] = [];
  readonly #takeActivity: () => boolean;
  #tickedAt = Infinity;
  /** The time between two ticks. */
  #tickMs = TICK_MS;
  /** Something has come from another node, besides signs of life, since the last tick. */
  #isActive = true;
  /** When a tick has found anything that had happened, last. */
  #activeAt = Infinity;
  #replies: (() => void)[] = [];
  #afterFlush: (() => void)[] = [];
  /** The start of the present turn. */
  #turnBeganAt: Clocks;
  #isFlushScheduled = false;
  #isFlushing = false;
  /** Why no write is taken any more; `undefined` while they are. */
  #refusesWrites: Refusal | undefined;
  /** Why no requests are accepted at all, if so. */
  #refusesAll: Refusal | undefined;
  /** Why nothing is done any more; `undefined` while this driver runs. */
  #stopped: Refusal | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: {
    replica: Replica;
    journal: Journal;
    transport: Transport;
    onEvent: (event: ProtocolEvent) => void;
    /** Transactions were committed: told if {@linkcode Replica.tellChanges} has asked for it. */
    onChanges?: (changes: readonly Change[]) => void;
    /** Reads were answered with what was there some time before: changes since then were told already. */
    onLateAnswers?: () => void;
    /** The driver's timer has fired, so many milliseconds late. */
    onTick?: (lateMs: number, nowMs: number) => void;
    /** Tells whether clients have sent anything, or were sent anything, since the last call. */
    takeActivity?: () => boolean;
    /** Reads both clocks; for tests. */
    clocks?: () => Clocks;
  }) {
    this.replica = options.replica;
    this.#journal = options.journal;
    this.#transport = options.transport;
    this.#onEvent = options.onEvent;
    this.#onChanges = options.onChanges;
    this.#onLateAnswers = options.onLateAnswers;
    this.#onTick = options.onTick;
    this.#takeActivity = options.takeActivity ?? (() => true);
    this.#clocks = options.clocks ?? clocks;
    this.#turnBeganAt = this.#clocks();
    this.#ownerWatch = new OwnerWatch({
      confirm: () => this.#journal.confirmOwner(),
      now: this.#turnBeganAt,
      onConfirmed: (question) => this.#releaseHeld(question),
    });
  }

  /** Starts telling the replica the time. */
  start(): void {
    // Nobody has watched for standstills since the journal was recovered.
    this.#ownerWatch.suspect(this.#clocks());
    this.#timer = setInterval(() => this.tick(), this.#tickMs);
    this.#scheduleFlush();
  }

  /** An idle node wakes up less often: most of what it costs is waking up. */
  #adjustTicks(now: number): void {
    const { heartbeatMs } = this.replica.context.timing;
    if (this.#takeActivity() || this.#isActive) this.#activeAt = now;
    this.#isActive = false;
    const idleMs = Math.max(TICK_MS, Math.min(IDLE_TICK_MS, heartbeatMs / 4));
    const tickMs = now - this.#activeAt < IDLE_AFTER_MS ? TICK_MS : idleMs;
    if (tickMs === this.#tickMs || this.#timer === undefined) return;
    this.#tickMs = tickMs;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.tick(), tickMs);
  }

  /** Tells the replica that time has passed. */
  tick(): void {
    const at = this.#clocks();
    const { monotonicMs } = at;
    this.#onTick?.(Math.max(0, monotonicMs - this.#tickedAt - this.#tickMs), monotonicMs);
    this.#tickedAt = monotonicMs;
    this.#adjustTicks(monotonicMs);
    this.#ownerWatch.onTick(at);
    this.#refuseHeld(({ since }) => monotonicMs - since > OWNER_WAIT_MS, OWNER_UNKNOWN);
    this.#step({ type: "tick" });
    this.flush();
  }

  /**
   * Ends this driver, because of `refusal`: whatever was asked of it is answered, and nothing that comes
   * later is heeded, the end of a force neither.
   */
  stop(refusal: Refusal): void {
    if (this.#stopped !== undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#step({ type: "abandon", refusal });
    this.#refuseHeld(() => true, { kind: "rejected", ...refusal });
    this.#stopped = refusal;
    this.flush();
  }

  /** From now on, writes are answered with `refusal`; reads go on. */
  refuseWrites(refusal: Refusal): void {
    this.#refusesWrites = refusal;
  }

  /** From now on, requests are answered with `refusal`; those under way go on. */
  refuseAll(refusal: Refusal): void {
    this.#refusesAll = refusal;
  }

  /** Submits a client's request; `requester` gets the outcome. */
  submit(request: Request, requester: Requester): void {
    const refusal = this.#stopped ?? this.#refusesAll ??
      (request.kind === "write" ? this.#refusesWrites : undefined);
    if (refusal !== undefined) {
      requester.onOutcome({ kind: "rejected", ...refusal });
      return;
    }
    this.#step({ type: "request", request, requester });
  }

  /** Asks for a change of the list of nodes. */
  changeMembers(request: ChangeRequest): void {
    if (this.#stopped === undefined) this.#step({ type: "changeMembers", request });
    else {
      const { reason } = this.#stopped;
      request.requester.onChangeOutcome({ kind: "refused", reason });
    }
  }

  /** Receives a message from another node. */
  receive(from: NodeId, message: Message): void {
    if (!SIGNS_OF_LIFE.has(message.type)) this.#isActive = true;
    this.#step({ type: "message", from, message });
  }

  /** Records that a part of a large message has arrived from another node. */
  receivePart(from: NodeId): void {
    this.#step({ type: "messagePart", from });
  }

  /** Another node has taken in a part of what is sent to it, and more waits to be sent. */
  peerTook(peer: NodeId): void {
    this.#step({ type: "taken", peer });
  }

  peerUp(
    peer: NodeId,
    said: { readonly identity: PeerIdentity; readonly known: JournalSighting | undefined },
  ): void {
    this.#dropHeldFor(peer);
    this.#step({ type: "peerUp", peer, ...said });
  }

  peerDown(peer: NodeId): void {
    this.#dropHeldFor(peer);
    this.#step({ type: "peerDown", peer });
  }

  /** Runs `reply`, which sends answers of this turn to a client, when all of them are ready. */
  replyLater(reply: () => void): void {
    this.#replies.push(reply);
    this.#scheduleFlush();
  }

  /** Runs `action` at the end of this turn, after the turn's answers and messages. */
  afterTurn(action: () => void): void {
    this.#afterFlush.push(action);
    this.#scheduleFlush();
  }

  /**
   * Makes the journal replace its records by a checkpoint. Resolves when that is done.
   *
   * @throws {FatalError} if the journal fails; the node already knows then.
   */
  async checkpoint(): Promise<void> {
    // The replica's state and the appended records must match at this moment.
    this.flush();
    const { replica } = this;
    invariant(!replica.hasEffects && !this.#isFlushing, "a checkpoint begins between two turns");
    await this.#journal.checkpoint(checkpointOf(replica.store, replica.checkpoint()));
  }

  #step(input: Input): void {
    if (this.#stopped !== undefined) return;
    this.#scheduleFlush();
    this.replica.step(input, this.#turnBeganAt);
  }

  /**
   * Starts a turn if none is under way: it ends when everything that is ready has been received.
   */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled || this.#isFlushing) return;
    this.#isFlushScheduled = true;
    // Read the clocks once a turn: that is a call into the runtime, and a turn is short.
    this.#turnBeganAt = this.#clocks();
    queueMicrotask(() => this.flush());
  }

  /** Answers the clients, except for reads whose lease has run out since they were computed. */
  #answer(answers: readonly Answer[]): void {
    // One reading of the clocks is enough for all: they were computed before it.
    let now: Clocks | undefined;
    for (const answer of answers) {
      const { requester, outcome, term } = answer;
      if (term === undefined) {
        requester.onOutcome(outcome);
        continue;
      }
      now ??= this.#clocks();
      if (!this.#ownerWatch.isSureAt(now)) this.#hold({ answer });
      else requester.onOutcome(term.holds(now) ? outcome : LEASE_OVER);
    }
  }

  #send(to: NodeSet, message: Message): void {
    // All else that another process on this journal must not contradict is durable, and a force tells.
    const givesLease = message.type === "heartbeatAcknowledged";
    if (givesLease && !this.#ownerWatch.isSureAt(this.#clocks())) this.#hold({ to, message });
    else this.#transport.send(to, message);
  }

  #hold(what: { answer: Answer } | { to: NodeSet; message: Message }): void {
    const since = this.#clocks().monotonicMs;
    const { question } = this.#ownerWatch;
    if (this.#stopped === undefined) this.#held.push({ ...what, since, question });
    else if ("answer" in what) {
      what.answer.requester.onOutcome({ kind: "rejected", ...this.#stopped });
    }
  }

  /** The journal was this process's own when all was held that waits for this question, or an earlier one. */
  #releaseHeld(question: number): void {
    if (this.#stopped !== undefined) return;
    const released = this.#held.filter((one) => one.question <= question);
    if (released.length === 0) return;
    this.#held = this.#held.filter((one) => one.question > question);
    const now = this.#clocks();
    for (const one of released) {
      if (!("answer" in one)) {
        this.#transport.send(one.to, one.message);
        continue;
      }
      const { requester, outcome, term } = one.answer;
      requester.onOutcome(term?.holds(now) === false ? LEASE_OVER : outcome);
    }
    if (released.some((one) => "answer" in one)) this.#onLateAnswers?.();
    this.#scheduleFlush();
  }

  /** What is held for `peer` was meant for the link that is gone. */
  #dropHeldFor(peer: NodeId): void {
    this.#held = this.#held.flatMap((one): Held[] => {
      if (!("to" in one)) return [one];
      const to = one.to & ~only(peer);
      return to === 0 ? [] : [{ ...one, to }];
    });
  }

  /** Answers the held reads that `isMeant` chooses with `outcome`, and drops such messages. */
  #refuseHeld(isMeant: (held: Held) => boolean, outcome: Outcome): void {
    if (this.#held.length === 0) return;
    const refused = this.#held.filter(isMeant);
    this.#held = this.#held.filter((one) => !isMeant(one));
    for (const one of refused) if ("answer" in one) one.answer.requester.onOutcome(outcome);
  }

  /** Reads both clocks, for {@linkcode peek}. */
  readClocks(): Clocks {
    return this.#clocks();
  }

  /**
   * Reads one key without a request, if the read need not wait.
   *
   * @param at when the clocks were read: after the client had sent the request, and nothing else was done since
   */
  peek(key: ByteString, at: Clocks): ByteString | undefined | typeof MUST_WAIT {
    const isRefused = (this.#stopped ?? this.#refusesAll) !== undefined;
    if (isRefused || !this.#ownerWatch.isSureAt(at)) return MUST_WAIT;
    return this.replica.peek(key, at);
  }

  /** The journal has no room on its disk, or has room again. */
  onRoom(isDiskFull: boolean): void {
    this.#step({ type: "room", isDiskFull });
  }

  /** The process is about to end: the others need not wait for it. */
  leave(): void {
    this.#step({ type: "leave" });
    this.flush();
  }

  /** Carries out all effects and actions, until there are none: an action may bring about effects. */
  flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushScheduled = false;
    this.#isFlushing = true;
    do {
      // Replies leave first: a client waits for its own, and no node waits for a commit. What comes of them
      // goes into the same frames.
      do {
        while (this.replica.hasEffects) this.#carryOut(this.replica.takeEffects());
        const replies = this.#replies;
        this.#replies = [];
        for (const reply of replies) reply();
      } while (this.replica.hasEffects || this.#replies.length > 0);
      this.#transport.flush();
      const actions = this.#afterFlush;
      this.#afterFlush = [];
      for (const action of actions) action();
    } while (this.replica.hasEffects || this.#replies.length > 0 || this.#afterFlush.length > 0);
    this.#isFlushing = false;
  }

  #carryOut(effects: Effects): void {
    if (effects.records.length > 0) this.#journal.append(effects.records);
    for (const { to, message } of effects.sends) this.#send(to, message);
    this.#answer(effects.answers);
    for (const { requester, outcome } of effects.changeAnswers) requester.onChangeOutcome(outcome);
    if (effects.changes.length > 0) this.#onChanges?.(effects.changes);
    for (const event of effects.events) this.#onEvent(event);
    if (!effects.force) return;
    // The prepares should be on the network while the disk forces.
    this.#journal.force(() => {
      this.#step({ type: "forced", position: effects.position });
    });
  }
}

/** Returns what a checkpoint of `store` needs, with `tail` replacing all records. */
export function checkpointOf(store: Store, tail: readonly JournalRecord[]): CheckpointOptions {
  return {
    tail,
    replacesAll: store.takeCleared(),
    changed: recordsOf(store, store.takeChanged()),
    isCurrent: ({ key, value, version, expiresAtMs }) => {
      const entry = store.get(key);
      return entry?.version === version && entry.value === value &&
        entry.expiresAtMs === expiresAtMs;
    },
    liveKeys: store.sizeWithReserved,
    liveBytes: store.bytes,
  };
}

/** The keys as they are when they are read. */
function* recordsOf(store: Store, keys: Iterable<ByteString>): Generator<KeyRecord> {
  for (const key of keys) yield store.recordOf(key);
}
