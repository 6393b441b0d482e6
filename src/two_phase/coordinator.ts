/**
 * The coordinator: runs the requests of this node's clients as transactions.
 *
 * The life of a write, with the design's numbers (`docs/protocol.md`, "Writes"):
 *
 * 1. It takes the locks of its keys here, or waits in line for them. Only then is it evaluated; if
 *    it reads what uncommitted transactions write, it follows them.
 * 2. Its prepared record is appended here, and the prepare goes to all other members.
 * 3. When all members have voted yes (this one by making the record durable) and everything that it
 *    follows is committed, it is committed: its effects are applied, the client gets its answer,
 *    and the members get the commit.
 * 4. A no vote or its deadline aborts it, and all that follow it. When the abort is durable, the
 *    coordinator sends it to the members. If the reason was a conflict, the request gets a place in
 *    line for its next attempt at once, so that no other request overtakes it, and continues when
 *    all members have acknowledged the abort. Otherwise it is answered once a majority has.
 *
 * Comments in the code mark the crash points, and say what recovery finds there.
 *
 * @module
 */

import { REQUESTS_MAX, TRANSACTIONS_MAX } from "../limits.ts";
import type { Context } from "./context.ts";
import { applyEffects, keysOnlyRead, withDeletions } from "./effects.ts";
import { EvaluationView } from "./evaluation.ts";
import { invariant } from "../invariant.ts";
import type { LeaseTerm } from "./lease.ts";
import type { LowWaterMarks } from "./low_water_mark.ts";
import {
  type AbortAcknowledged,
  type Effect,
  type NodeId,
  type NodeSet,
  type Prepare,
  type PreparedRecord,
  type TransactionNumber,
  type View,
  type Vote,
} from "./messages.ts";
import { contains, members, NOBODY, only } from "./node_set.ts";
import { PendingRequest, PendingRequests } from "./pending_requests.ts";
import type { ForceAwaiter } from "./outbox.ts";
import { OwnNumbers } from "./own_numbers.ts";
import { assertOwn, missedBy, OwnTransaction, requestOf } from "./own_transaction.ts";
import { restorePrepared } from "./prepared.ts";
import { Reads } from "./reads.ts";
import {
  DISK_FULL,
  isHopeless,
  KEY_IN_DOUBT,
  TOO_MANY_REQUESTS,
  whyHopeless,
  whyInLine,
  whyParked,
  whyUndecided,
} from "./refusals.ts";
import type { Outcome, ReadRequest, Refusal, Request, Requester, WriteRequest } from "./request.ts";
import { Transaction, withFollowers } from "./state.ts";
import { RetryPauses } from "./retry_pauses.ts";
import { nameForClients } from "./transaction_name.ts";
import type { AbortReason } from "./write_times.ts";

/** Runs the requests of one node's clients. */
export class Coordinator implements ForceAwaiter {
  readonly #context: Context;
  readonly #marks: LowWaterMarks;
  readonly #reads: Reads;
  readonly #view: EvaluationView;
  readonly #pending = new PendingRequests();
  /**
   * Requests that were given up and wait for a majority to acknowledge the abort; the oldest first.
   */
  readonly #closing = new PendingRequests();
  /**
   * Requests that wait until they may begin. Answered ones stay until the next pass over the list.
   */
  #parked: PendingRequest[] = [];
  readonly #pauses: RetryPauses;
  /** Aborted transactions that not all members have acknowledged yet: few, if any. */
  readonly #unacknowledged = new Set<OwnTransaction>();
  /** Transactions in line or running. */
  #active = 0;
  readonly #numbers: OwnNumbers;

  /** @param options `sequencesMax`: after this many numbers, the node takes another incarnation */
  constructor(
    context: Context,
    options: { readonly marks: LowWaterMarks; readonly sequencesMax: number },
  ) {
    this.#context = context;
    this.#marks = options.marks;
    this.#numbers = new OwnNumbers(context, options.sequencesMax);
    this.#pauses = new RetryPauses(() => context.random());
    this.#view = new EvaluationView(context);
    this.#reads = new Reads(context, this.#view, {
      lineUp: (pending, request) => this.#lineUp(pending, request),
      lineUpToExpire: (pending, request) => this.#lineUpToExpire(pending, request),
      park: (pending) => this.#park(pending),
      dispatch: (pending) => this.#dispatch(pending),
      finish: (pending, outcome, term) => this.#finish(pending, outcome, term),
    });
  }

  /** The last number that a transaction got. */
  get lastNumber(): TransactionNumber {
    return this.#numbers.last;
  }

  /**
   * Members that have not answered a prepare within the suspicion time. A member that is still taking in
   * what is sent to it may not have got the prepare yet.
   */
  silentMembers(): NodeSet {
    const { membership, now, timing, stillness } = this.#context;
    let silent = NOBODY;
    for (let one = this.#pending.first; one !== undefined; one = one.next) {
      if (now - one.arrivedAt < timing.suspicionMs) break; // All others are even younger.
      const { transaction } = one;
      if (one.state !== "running" || !(transaction instanceof OwnTransaction)) continue;
      if (!transaction.isPreparedOrPreparing) continue;
      if (stillness.msSince(transaction.sent, now) < timing.suspicionMs) continue;
      silent |= membership.members & ~transaction.heardOf;
    }
    silent &= membership.others;
    return silent & ~membership.stillTaking(silent, now);
  }

  /** Members from which no yes vote has come for `transaction`, which this node coordinates. */
  missingVotes(transaction: Transaction): NodeId[] {
    assertOwn(transaction);
    return members(this.#context.membership.members & ~transaction.votes);
  }

  /** How many requests are not answered yet. */
  get requests(): number {
    return this.#pending.size + this.#closing.size;
  }

  /** Accepts a request. Its answer goes through the outbox, perhaps at once. */
  submit(request: Request, requester: Requester): void {
    const { clock, now } = this.#context;
    const pending = new PendingRequest(request, requester, clock.tick(now), now);
    if (this.requests >= REQUESTS_MAX) {
      this.#pending.add(pending);
      this.#reject(pending, TOO_MANY_REQUESTS);
      return;
    }
    this.#pending.add(pending);
    this.#dispatch(pending);
  }

  /** Gives up and answers what is overdue, and continues what has finished its pause. */
  onTick(): void {
    const { now, timing } = this.#context;
    const giveUpAge = timing.timeoutMs - timing.giveUpMs;
    for (let first = this.#pending.first; first !== undefined; first = this.#pending.first) {
      if (now - first.arrivedAt < giveUpAge) break;
      this.#giveUp(first);
    }
    for (let first = this.#closing.first; first !== undefined; first = this.#closing.first) {
      if (now - first.arrivedAt < timing.timeoutMs) break;
      this.#answerClosing(first, false);
    }
    this.#reads.onTick();
    if (this.#parked.length > 0) this.#rejectHopeless();
    if (this.#active < TRANSACTIONS_MAX) this.onMembershipChange();
    for (const transaction of this.#pauses.takeOver(now)) this.#makeReady(transaction);
  }

  /** Rejects requests that cannot be served, so that no client waits for a lost majority. */
  #rejectHopeless(): void {
    if (!isHopeless(this.#context)) return;
    const why = whyHopeless(this.#context);
    for (const pending of this.#parked.splice(0)) {
      if (pending.state !== "parked") continue;
      this.#context.counters.belowMajority++;
      // A parked request that was tried before has nothing in doubt: it waits for another attempt.
      this.#reject(pending, why);
    }
  }

  /** Answers every request: this node serves nothing from now on, because of `refusal`. */
  abandonAll(refusal: Refusal): void {
    for (const pending of [...this.#pending.all(), ...this.#closing.all()]) {
      if (pending.number === 0) this.#reject(pending, refusal);
      else {
        this.#finish(pending, {
          kind: "indeterminate",
          reason: refusal.reason,
          transaction: this.#nameOf(pending.number),
        });
      }
    }
    this.#parked = [];
    this.#pauses.clear();
  }

  /** Starts the parked requests that can start now. */
  onMembershipChange(): void {
    if (this.#parked.length === 0) return;
    const waiting = this.#parked.filter((pending) => pending.state === "parked");
    waiting.sort((a, b) => a.priority - b.priority);
    this.#parked = [];
    for (const pending of waiting) this.#dispatch(pending);
  }

  /** Sends everything that `node` may have missed, in the order of the numbers. */
  onPeerReady(node: NodeId): void {
    const { transactions, self, outbox, counters } = this.#context;
    if (this.#context.membership.isFrozen) return;
    const { settledBy } = this.#context.nodes.of(node);
    const { number: view } = this.#context.membership.view;
    for (const [number, known] of transactions.of(self)) {
      if (known === "committed" && number <= settledBy) continue;
      const message = missedBy(node, { view, number, known });
      if (message === undefined) continue;
      counters.resent++;
      outbox.send(only(node), message);
    }
    this.#numbers.onPeerReady(node);
  }

  // --- Recovery ------------------------------------------------------------------------------

  /** Starts giving numbers of `incarnation`. */
  start(incarnation: number): void {
    this.#numbers.start(incarnation);
  }

  /** Restores a transaction of this node as in doubt. */
  restore(record: PreparedRecord): void {
    const { self, membership } = this.#context;
    restorePrepared(this.#context, record, (entries) => {
      const transaction = new OwnTransaction(self, undefined, record.prepare.priority, entries);
      // Before the crash, the prepare may have gone to any node.
      transaction.sentTo = membership.others;
      this.#active++;
      return transaction;
    });
  }

  /** Records that a view has settled all transactions restored so far. */
  restoredView(): void {
    this.#active = 0;
  }

  /** Records that a restored transaction turned out to be decided. */
  restoredOutcome(): void {
    this.#active--;
  }

  /**
   * Resumes the transactions that were undecided at the crash. They have no deadline, as their
   * clients may have been answered. One that follows an aborted one is aborted; the others wait for
   * their votes.
   */
  resume(): void {
    const { transactions, self, membership, counters } = this.#context;
    // The next view ends them. Until then, what this node reported must not change.
    if (membership.isFrozen) return;
    const open: OwnTransaction[] = [];
    for (const [, known] of transactions.of(self)) {
      if (known instanceof OwnTransaction && known.state === "prepared") open.push(known);
    }
    for (const transaction of open) {
      counters.recoveredOwn++;
      for (const number of transaction.follows) {
        const leader = transactions.get(self, number);
        if (leader instanceof OwnTransaction) transaction.openLeaders++;
      }
    }
    for (const transaction of open) {
      const leaders = transaction.follows.map((number) => transactions.get(self, number));
      if (leaders.includes("aborted") && transaction.state === "prepared") {
        const reason = "it follows one that was aborted";
        this.#abort(transaction, { reason, why: "leader", isRetried: false });
      }
    }
    for (const transaction of open) {
      if (transaction.state === "prepared") this.#countVote(transaction, self);
    }
  }

  #dispatch(pending: PendingRequest): void {
    const { membership, clocks, counters } = this.#context;
    const { request } = pending;
    if (isHopeless(this.#context)) {
      counters.belowMajority++;
      this.#reject(pending, whyHopeless(this.#context));
    } else if (membership.isDiskFull && request.kind === "write") {
      this.#reject(pending, DISK_FULL);
    } else if (!membership.mayRead(clocks)) {
      counters.readsWithoutLease++;
      this.#park(pending);
    } else if (request.kind === "read") this.#reads.read(pending, request);
    else if (request.kind === "barrier") this.#reads.waitForPrepared(pending, request);
    else this.#lineUp(pending, request);
  }

  #park(pending: PendingRequest): void {
    pending.state = "parked";
    this.#parked.push(pending);
  }

  // --- Locks and evaluation ------------------------------------------------------------------

  #lineUp(pending: PendingRequest, request: WriteRequest | ReadRequest): void {
    const mustWait = mustWrite(pending) && !this.#context.membership.mayWrite;
    // Parked requests are older: overtaking them could reorder the writes of one client.
    if (mustWait || this.#active >= TRANSACTIONS_MAX || this.#isParkedBefore(pending)) {
      this.#park(pending);
      return;
    }
    const transaction = this.#begin(pending, request);
    transaction.isAlone = !mustWrite(pending);
    if (this.#context.locks.acquire(transaction) === "held") this.onGranted(transaction);
  }

  #isParkedBefore(pending: PendingRequest): boolean {
    const last = this.#parked.at(-1);
    return last !== undefined && last.priority < pending.priority;
  }

  #begin(pending: PendingRequest, request: WriteRequest | ReadRequest): OwnTransaction {
    const { self, store } = this.#context;
    const [first] = request.keys;
    const entries = request.keys.length === 1 && first !== undefined
      ? [store.entryOf(first)] // The most frequent case, done without a closure.
      : request.keys.map((key) => store.entryOf(key));
    const transaction = new OwnTransaction(self, pending, pending.priority, entries);
    pending.transaction = transaction;
    pending.state = "inLine";
    this.#active++;
    return transaction;
  }

  /** The locks of `transaction`, which this node coordinates, are held: evaluates and prepares it. */
  onGranted(transaction: Transaction): void {
    assertOwn(transaction);
    const pending = requestOf(transaction);
    const { request } = pending;
    const { membership, counters } = this.#context;
    invariant(request.kind !== "barrier", "a barrier takes no locks");
    if (mustWrite(pending) && !(membership.mayWrite && this.#numbers.hasNext)) {
      // A link broke meanwhile. Nothing was sent, so nothing happened: release the locks and wait
      // for the link.
      this.#leave(transaction);
      this.#park(pending);
      return;
    }
    const leaders = this.#leaders(transaction);
    const view = this.#view;
    view.begin(transaction);
    const evaluation = request.kind === "read"
      ? { effects: NO_EFFECTS, reply: request.evaluate(view.read, view) }
      : request.evaluate(view.read, view);
    view.lookAtReplaced(evaluation.effects, transaction.entries);
    const effects = view.expired.size === 0
      ? evaluation.effects
      : withDeletions(evaluation.effects, view.expired);
    if (effects.length > 0 && !mustWrite(pending)) {
      this.#leave(transaction);
      this.#lineUpToExpire(pending, request);
      return;
    }
    if (effects.length === 0) {
      this.#leave(transaction);
      if (leaders.length > 0 && request.keys.length > 1) this.#lineUpAlone(pending, request);
      else this.#answerWhenCommitted(pending, leaders, evaluation.reply);
      return;
    }
    counters.expiries += view.expired.size;
    transaction.reply = evaluation.reply;
    this.#prepare(transaction, leaders, effects);
  }

  /** The undecided transactions, all of this node, that held a key of `transaction` before it. */
  #leaders(transaction: OwnTransaction): OwnTransaction[] {
    const leaders: OwnTransaction[] = [];
    for (const { lock } of transaction.entries) {
      const leader = lock?.holders[lock.holders.lastIndexOf(transaction) - 1];
      if (leader instanceof OwnTransaction && !leaders.includes(leader)) leaders.push(leader);
    }
    return leaders;
  }

  /**
   * A read has found keys whose time to live is over. It becomes a write that deletes them, and is
   * answered after that. Of the readers of one key only the first has anything to delete: the others
   * follow it, and find the key gone.
   */
  #lineUpToExpire(pending: PendingRequest, request: WriteRequest | ReadRequest): void {
    pending.expires = true;
    this.#lineUp(pending, request);
  }

  /**
   * Values that were read from several keys, some of them undecided, may never have existed
   * together: by the time the undecided ones are committed, other transactions may have written the
   * rest. So the request waits in line until all of its keys are free at one moment.
   */
  #lineUpAlone(pending: PendingRequest, request: WriteRequest | ReadRequest): void {
    this.#context.counters.evaluationsAlone++;
    const transaction = this.#begin(pending, request);
    transaction.isAlone = true;
    if (this.#context.locks.acquire(transaction) === "held") this.onGranted(transaction);
  }

  /**
   * Answers an evaluation of one key that needs no commit, once everything that it read is
   * committed; evaluates it again if some of that is aborted.
   */
  #answerWhenCommitted(
    pending: PendingRequest,
    leaders: readonly OwnTransaction[],
    reply: unknown,
  ): void {
    pending.transaction = undefined;
    if (leaders.length === 0) {
      this.#reads.answer(pending, reply);
      return;
    }
    this.#context.counters.evaluationsThatWaited++;
    this.#reads.observe(pending, leaders, () => {
      if (!pending.isStale) {
        this.#reads.answer(pending, reply);
        return;
      }
      this.#context.counters.evaluationsRedone++;
      this.#dispatch(pending);
    });
  }

  // --- Phase 1 -------------------------------------------------------------------------------

  #prepare(
    transaction: OwnTransaction,
    leaders: readonly OwnTransaction[],
    effects: Prepare["effects"],
  ): void {
    const { membership, transactions, outbox, self, now, counters, stillness } = this.#context;
    const number = this.#numbers.give();
    const prepare: Prepare = {
      type: "prepare",
      view: membership.view.number,
      number,
      priority: transaction.priority,
      version: this.#view.version,
      effects,
      reads: keysOnlyRead(transaction.entries, effects),
      follows: leaders.length === 0 ? NO_NUMBERS : leaders.map((leader) => leader.number),
    };
    const pending = requestOf(transaction);
    transaction.fill(prepare);
    pending.state = "running";
    pending.number = number;
    pending.attempts++;
    pending.hasPlaces = false;
    if (pending.attempts > 1) counters.retries++;
    if (leaders.length > 0) counters.chained++;
    for (const leader of leaders) leader.addFollower(transaction);
    transaction.openLeaders = leaders.length;
    transactions.add(transaction, number);

    // Crash before the record is durable: this node has no trace of it. Members that have the
    // prepare get "aborted" from the next process (presumed abort). No client was answered.
    outbox.append({ type: "prepared", coordinator: self, prepare });
    transaction.transitionTo("preparing");
    transaction.preparedAt = now;
    transaction.sent = stillness.moment(now);
    transaction.sentTo = membership.ready & membership.others;
    outbox.send(transaction.sentTo, prepare);
    outbox.afterForce(this, transaction);
  }

  /** The last record appended for `transaction` is durable. */
  onDurable(transaction: Transaction): void {
    assertOwn(transaction);
    if (transaction.state === "preparing") this.#onPreparedHere(transaction);
    else if (transaction.state === "aborting") this.#onAbortDurable(transaction);
  }

  /** The prepared record of this node is durable: its own vote. */
  #onPreparedHere(transaction: OwnTransaction): void {
    // Crash from here on: recovery resumes as the coordinator, and sends the prepare again.
    transaction.transitionTo("prepared");
    const { self, now, writeTimes } = this.#context;
    writeTimes.force.add(now - transaction.preparedAt);
    this.#countVote(transaction, self);
  }

  onVote(from: NodeId, vote: Vote): void {
    const { transactions, self, counters } = this.#context;
    const transaction = transactions.get(self, vote.number);
    if (!(transaction instanceof OwnTransaction)) {
      counters.stale++;
      return;
    }
    transaction.heardOf |= only(from);
    if (!transaction.isPreparedOrPreparing) {
      counters.votesAfterAbort++;
      return;
    }
    if (vote.vote === "yes") this.#countVote(transaction, from);
    else if (vote.vote === "no") this.#onNo(transaction, from, vote);
  }

  #countVote(transaction: OwnTransaction, member: NodeId): void {
    transaction.votes |= only(member);
    this.#commitIfComplete(transaction);
  }

  #onNo(transaction: OwnTransaction, from: NodeId, vote: Vote): void {
    const name = this.#context.membership.nameOf(from);
    const reason = vote.reason === "conflict"
      ? `an older transaction holds a key at ${name}, or is in line for it`
      : `${name} refused it (${vote.reason})`;
    const why = vote.reason === "none" ? "aborted" : vote.reason;
    this.#abort(transaction, { reason, why, isRetried: true });
  }

  // --- Phase 2: commit -----------------------------------------------------------------------

  /** The commit rule: every member of the view is prepared, and all leaders are committed. */
  #commitIfComplete(transaction: OwnTransaction): void {
    if (!this.#isComplete(transaction)) return;
    const ready = [transaction];
    for (let one = ready.shift(); one !== undefined; one = ready.shift()) {
      this.#commit(one);
      for (const follower of one.followers ?? []) {
        if (!(follower instanceof OwnTransaction)) continue;
        follower.openLeaders--;
        if (this.#isComplete(follower)) ready.push(follower);
      }
    }
  }

  #isComplete(transaction: OwnTransaction): boolean {
    const { membership } = this.#context;
    return transaction.votes === membership.members && transaction.openLeaders === 0 &&
      transaction.state === "prepared" && !membership.isFrozen;
  }

  #commit(transaction: OwnTransaction): void {
    const { store, outbox, membership, self, counters, transactions, now, writeTimes } = this
      .#context;
    const { pending, number, view } = transaction;
    transaction.transitionTo("committed");
    // Need not be forced: recovery collects the votes again, and decides the same.
    outbox.append({ type: "committed", coordinator: self, number });
    applyEffects(store, transaction);
    if (outbox.tellsChanges) outbox.change(transaction.effects, pending?.requester);
    this.#leave(transaction);
    transactions.discardTransaction(self, number, "committed");
    transactions.settle(self, number);
    counters.commits++;
    writeTimes.onCommit(now, transaction);
    if (pending === undefined) counters.recoveredCommits++;
    else {
      if (pending.attempts > 1) counters.commitsAfterRetry++;
      this.#answer(pending, transaction.reply);
    }
    // A member that is not ready gets it once it is ready: in order, behind earlier commits.
    outbox.send(membership.ready & membership.others, {
      type: "commit",
      view,
      number,
    });
    transaction.tellObservers("committed");
  }

  // --- Phase 2: abort ------------------------------------------------------------------------

  /**
   * Aborts `transaction` and all that follow it. Followers are tried again, as the reason is not
   * theirs.
   */
  #abort(
    transaction: OwnTransaction,
    cause: { reason: string; why: AbortReason; isRetried: boolean },
  ): void {
    const { outbox, self, counters, transactions, writeTimes } = this.#context;
    for (const one of withFollowers(transaction)) {
      assertOwn(one);
      one.isRetried = one === transaction ? cause.isRetried : true;
      if (one.pending === undefined) counters.recoveredAborts++;
      else {
        one.pending.failure = one === transaction
          ? cause.reason
          : `it follows ${this.#nameOf(transaction.number)}, which was aborted`;
      }
      if (one !== transaction) counters.abortedWithLeader++;
      counters.aborts++;
      writeTimes.aborts[one === transaction ? cause.why : "leader"]++;
      one.transitionTo("aborting");
      // Crash before this is durable: recovery resumes the transaction, and may commit it. No node
      // or client has been told that it is aborted.
      outbox.append({ type: "aborted", coordinator: self, number: one.number });
      transactions.settle(self, one.number);
      outbox.afterForce(this, one);
    }
  }

  #onAbortDurable(transaction: OwnTransaction): void {
    const { outbox, membership, self } = this.#context;
    const { pending } = transaction;
    transaction.transitionTo("aborted");
    transaction.acknowledged |= only(self);
    if (pending !== undefined) pending.hasPlaces = true;
    if (transaction.isRetried && pending?.state === "running") {
      this.#keepPlace(transaction, pending);
    }
    this.#leave(transaction);
    // A frozen node announces no decision. The abort is durable, so its promise will report it.
    const told = membership.isFrozen ? NOBODY : membership.ready & membership.others;
    outbox.send(told, { type: "abort", view: transaction.view, number: transaction.number });
    transaction.tellObservers("aborted");
    this.#unacknowledged.add(transaction);
    this.#onAcknowledged(transaction);
  }

  /**
   * All members have settled this node's transactions up to `upTo`. This acknowledges their aborts
   * too, even if the acknowledgement itself was lost with a link.
   */
  onAllSettled(upTo: TransactionNumber): void {
    for (const transaction of this.#unacknowledged) {
      if (transaction.number > upTo) continue;
      transaction.acknowledged = this.#context.membership.members;
      this.#onAcknowledged(transaction);
    }
  }

  /**
   * Puts the next attempt in line before the locks are free, so that no other request overtakes it.
   */
  #keepPlace(transaction: OwnTransaction, pending: PendingRequest): void {
    invariant(pending.request.kind !== "barrier", "a barrier is never prepared");
    const next = this.#begin(pending, pending.request);
    next.ready = false;
    next.before = transaction;
    transaction.after = next;
    this.#context.locks.acquire(next);
  }

  onAbortAcknowledged(from: NodeId, message: AbortAcknowledged): void {
    const { transactions, self, counters } = this.#context;
    const transaction = transactions.get(self, message.number);
    if (!(transaction instanceof OwnTransaction) || transaction.state !== "aborted") {
      counters.stale++;
      return;
    }
    transaction.acknowledged |= only(from);
    this.#onAcknowledged(transaction);
  }

  #onAcknowledged(transaction: OwnTransaction): void {
    const { pending, after } = transaction;
    const { self, membership, transactions } = this.#context;
    if (pending?.state === "closing" && pending.transaction === transaction) {
      if (this.#isAbortKnown(transaction)) this.#answerClosing(pending, true);
    }
    if (transaction.acknowledged !== membership.members) return;
    this.#unacknowledged.delete(transaction);
    transactions.discardTransaction(self, transaction.number, "aborted");
    if (after !== undefined) this.#pauseOrResume(after);
  }

  /**
   * A majority of the nodes will report that the transaction is aborted there or not prepared, so
   * no view change can commit it.
   */
  #isAbortKnown(transaction: OwnTransaction): boolean {
    const { membership, self } = this.#context;
    const neverAsked = membership.others & ~transaction.sentTo;
    if (!contains(transaction.acknowledged, self)) return false;
    const notPrepared = (transaction.acknowledged | neverAsked) & membership.members;
    return membership.quorum.isReachedBy(notPrepared);
  }

  #pauseOrResume(next: OwnTransaction): void {
    next.before = undefined;
    if (!this.#pauses.begin(next, this.#context.now)) this.#makeReady(next);
  }

  #makeReady(transaction: OwnTransaction): void {
    const { pending } = transaction;
    if (pending?.transaction !== transaction) return; // Given up meanwhile.
    if (pending.state !== "inLine") return;
    transaction.ready = true;
    this.#context.locks.reconsider(transaction);
  }

  // --- The end of a request ------------------------------------------------------------------

  /** Releases the locks, or the place in line. */
  #leave(transaction: OwnTransaction): void {
    this.#context.locks.release(transaction);
    this.#active--;
  }

  /** The deadline is near: ends what can be ended, and finds out how the rest ended. */
  #giveUp(pending: PendingRequest): void {
    const { transaction } = pending;
    this.#context.counters.givenUp++;
    switch (pending.state) {
      case "parked":
        this.#reject(pending, whyParked(this.#context));
        return;
      case "observing":
        this.#reject(pending, KEY_IN_DOUBT);
        return;
      case "inLine":
        this.#giveUpInLine(pending);
        return;
      case "running":
        invariant(transaction instanceof OwnTransaction, "a running request has a transaction");
        this.#close(pending);
        // A frozen node decides nothing: the view change will, perhaps in time.
        if (this.#context.membership.isFrozen) pending.failure ||= "the view is being changed";
        else if (transaction.isPreparedOrPreparing) {
          const reason = whyUndecided(this.#context, this.missingVotes(transaction));
          this.#abort(transaction, { reason, why: "deadline", isRetried: false });
        }
        return;
      default:
        throw new Error(`a request that is ${pending.state} cannot be given up`);
    }
  }

  #giveUpInLine(pending: PendingRequest): void {
    const { transaction } = pending;
    invariant(transaction instanceof OwnTransaction, "a request in line has a transaction");
    const { before } = transaction;
    const ahead = whyInLine(this.#context, transaction);
    this.#leave(transaction);
    if (before === undefined) {
      pending.transaction = undefined;
      if (pending.attempts === 0) this.#reject(pending, ahead);
      else this.#finish(pending, this.#abortedOutcome(pending));
      return;
    }
    pending.transaction = before;
    this.#close(pending);
    if (this.#isAbortKnown(before)) this.#answerClosing(pending, true);
  }

  #close(pending: PendingRequest): void {
    this.#pending.remove(pending);
    this.#closing.add(pending);
    pending.state = "closing";
  }

  #answerClosing(pending: PendingRequest, isKnown: boolean): void {
    if (isKnown) {
      this.#finish(pending, this.#abortedOutcome(pending));
      return;
    }
    const { transaction } = pending;
    const isDecided = transaction instanceof OwnTransaction && !transaction.isPreparedOrPreparing;
    const open = isDecided ? "the abort is not known to a majority yet" : "the next view decides";
    this.#finish(pending, {
      kind: "indeterminate",
      reason: `${pending.failure}; ${open}`,
      transaction: this.#nameOf(pending.number),
    });
  }

  #abortedOutcome(pending: PendingRequest): Outcome {
    return {
      kind: "aborted",
      reason: pending.failure,
      transaction: this.#nameOf(pending.number),
    };
  }

  /** The name by which clients know a transaction of this node. */
  #nameOf(number: TransactionNumber): string {
    const { self, membership } = this.#context;
    return nameForClients({ coordinator: self, number }, membership.identity.journal);
  }

  #reject(pending: PendingRequest, refusal: Refusal): void {
    this.#finish(pending, { kind: "rejected", ...refusal });
  }

  #answer(pending: PendingRequest, reply: unknown): void {
    this.#finish(pending, { kind: "answered", reply });
  }

  #finish(pending: PendingRequest, outcome: Outcome, term?: LeaseTerm): void {
    const { outbox, counters, transactions, self, membership } = this.#context;
    invariant(pending.state !== "finished", "a request is answered once");
    (pending.state === "closing" ? this.#closing : this.#pending).remove(pending);
    pending.state = "finished";
    pending.transaction = undefined;
    pending.stopObserving?.();
    pending.stopObserving = undefined;
    // A frozen node sends nothing of transactions, and the next view forgets all places.
    if (pending.hasPlaces && !membership.isFrozen) {
      const { view, ready, others } = membership;
      outbox.send(ready & others, {
        type: "withdrawn",
        view: view.number,
        priority: pending.priority,
      });
    }
    if ("transaction" in outcome) {
      const known = outcome.kind === "aborted" ? outcome.kind : undefined;
      transactions.keepOutcome(self, pending.number, known);
    }
    counters[outcome.kind]++;
    outbox.answer(pending.requester, outcome, term);
  }

  // --- A new view ----------------------------------------------------------------------------

  /**
   * Own transactions that a view may end: undecided, or aborted without a majority that knows it.
   */
  unsettled(): OwnTransaction[] {
    const { transactions, self } = this.#context;
    const unsettled: OwnTransaction[] = [];
    for (const [, known] of transactions.of(self)) {
      if (known instanceof OwnTransaction) unsettled.push(known);
    }
    return unsettled;
  }

  /**
   * All transactions of the view before are settled; `unsettled` are those of this node that were
   * not settled until now. Answers the clients that wait, or starts their requests again.
   *
   * The view may have committed what this node had aborted by itself, if no majority knew of the
   * abort. And the node does not know the outcomes of views that it has missed.
   */
  onViewInstalled(unsettled: readonly OwnTransaction[], before: View): void {
    const { membership, counters, self } = this.#context;
    const { view } = membership;
    const committed = new Set(
      view.commits.filter(({ coordinator }) => coordinator === self).map(({ number }) => number),
    );
    for (const transaction of unsettled) {
      const { pending } = transaction;
      if (pending === undefined || pending.state === "finished") continue;
      if (view.number > before.number + 1) {
        counters.outcomesMissed++;
        this.#leaveLine(pending);
        this.#finish(pending, {
          kind: "indeterminate",
          reason: "this node missed the view that settled it",
          transaction: this.#nameOf(transaction.number),
        });
      } else if (committed.has(transaction.number)) {
        if (transaction.state === "aborted") counters.ownAbortsOverruled++;
        counters.ownSettledByCommit++;
        this.#leaveLine(pending);
        this.#answer(pending, transaction.reply);
      } else {
        counters.ownSettledByAbort++;
        pending.failure = `a change to view ${view.number} aborted it`;
      }
    }
    // Nothing else that a request did in the old view is still in doubt.
    for (const pending of this.#closing.all()) {
      const known = pending.transaction;
      if (known?.state === "aborted") this.#answerClosing(pending, true);
    }
    this.#unacknowledged.clear();
    this.#pauses.clear();
    this.#parked = [];
    for (const pending of this.#pending.all()) this.#startOver(pending);
    this.#active = 0;
    this.#parked.sort((a, b) => a.priority - b.priority);
    const { bases } = membership.view;
    this.#numbers.onViewInstalled(bases[self] ?? 0);
    this.#marks.onViewInstalled(bases[self] ?? 0);
    this.onMembershipChange();
  }

  #startOver(pending: PendingRequest): void {
    // The transactions that it observes notify it, and it then finds that there is no lease.
    if (pending.state === "observing") return;
    this.#leaveLine(pending);
    this.#park(pending);
  }

  /** Gives up the place of `pending` in line, if it has one. */
  #leaveLine(pending: PendingRequest): void {
    const { transaction } = pending;
    if (pending.state === "inLine" && transaction !== undefined) {
      this.#context.locks.release(transaction);
    }
    pending.transaction = undefined;
  }
}

/** A request that may come to effects: a write, or a read that has found keys to delete. */
function mustWrite({ request, expires }: PendingRequest): boolean {
  return request.kind === "write" || expires;
}

const NO_EFFECTS: readonly Effect[] = [];
const NO_NUMBERS: readonly TransactionNumber[] = [];
