/**
 * The choice of the next view: single-decree Paxos for each view number, among the configured nodes
 * (Lamport 2001; Liskov & Cowling 2012 for what a view is; Gray & Lamport 2006 for why what a
 * majority shows is stable).
 *
 * ```text
 *   proposer                                   acceptors
 *      │ own promise durable
 *      │ 1 viewPrepare(ballot) ──────────────────► promise durable, then frozen, then the table
 *      │ ◄────────────────────── viewPromise 2
 *      │   members, outcomes
 *      │ 3 viewAccept(ballot, proposal) ─────────► accepted record durable
 *      │ ◄────────────────────── viewAccepted 4
 *      │   a majority: chosen; wait for the leases of nodes left out
 *      │ 5 viewInstall(view) ────────────────────► view record durable, outcomes applied, go on
 * ```
 *
 * Any failure of an attempt (a higher ballot somewhere, silence) ends it; the proposer tries again
 * after a random time with a higher round. This loses nothing: promises and accepted proposals
 * stay.
 *
 * Crash points: a promise, an accepted proposal and a view count only when they are durable, and a
 * node tells others of them only then. That includes the proposer itself: it uses a ballot only
 * once its own promise of it is durable, so no later process can use the same ballot for another
 * proposal. A ballot also belongs to the journal of its proposer: a node that has lost its disk may
 * use a number again, and nodes that promised that number to the earlier journal refuse it.
 *
 * A node that was frozen is frozen again after a restart.
 *
 * The list of nodes changes with a view, too (`member_changes.ts`). The nodes that count in view k
 * choose view k + 1, and with it the list that chooses view k + 2. So a node accepts a proposal for
 * number n only if it has view n − 1, or its record of it is on its way to the disk: else it would
 * forget what it has accepted for a number before, which may have been chosen.
 *
 * @module
 */

import type { Context } from "./context.ts";
import {
  type Ballot,
  ballotName,
  ballotOf,
  incarnationOf,
  type NodeId,
  type NodeSet,
  proposerOf,
  roundOf,
  type TransactionId,
  type TransactionNumber,
  type View,
  type ViewAbandoned,
  type ViewAccept,
  type ViewAccepted,
  type ViewInstall,
  type ViewInstalled,
  type ViewPrepare,
  type ViewPromise,
  type ViewRefuse,
} from "./messages.ts";
import { leaseWaitMs } from "./lease.ts";
import {
  admitLearners,
  type ChangeOutcome,
  type ChangeRequest,
  idOf,
  type NodeList,
  planChange,
  whyAlready,
  whyNoMajority,
} from "./member_changes.ts";
import { contains, members, NOBODY, only, setOf, size } from "./node_set.ts";
import type { NodeRecord } from "./nodes.ts";
import { configuredNodes, quorumForNext, quorumOf, voters } from "./quorum.ts";
import { whyHopeless, whyLoading } from "./refusals.ts";
import { settle, transactionReportOf } from "./settlement.ts";
import type { TransferSource } from "./transfer.ts";

/**
 * An attempt in which nothing has happened for this long is given up, in milliseconds: no node has promised
 * or accepted anything. Slow disks are given more time.
 */
const ATTEMPT_MS = 1000;

/**
 * How many forces of the slowest disk are waited for in addition: a node forces its promise and what it
 * accepts, and each of the two may have to wait for a force that is under way.
 */
const FORCES_IN_ATTEMPT = 4;

/**
 * A node that is not the first one lets so many forces of the slowest disk pass before its own attempt: it
 * hears nothing of that of the first one until the promise of that node is durable.
 */
const FORCES_BEFORE_ATTEMPT = 2;

/** Once a majority has promised, the proposer waits this long for the others. */
const STRAGGLERS_MS = 150;

/** The proposer waits this long for joiners, if there is a majority without them. */
const JOINERS_MS = 800;

/** How long an attempt may take if there is no majority without joiners. */
const ATTEMPT_WITH_JOINERS_MS = 60_000;

/** Longest random pause before an attempt. */
const PAUSE_MS = 150;

/**
 * If another proposer has frozen this node for a lease and this long, and for what its disk and the others'
 * need in addition, this node makes an attempt itself.
 */
const FROZEN_MS = 1000;

/** A change of the list that somebody has asked this node for. */
interface AskedChange {
  readonly request: ChangeRequest;
  /** When it was asked for, by the wall clock, in whole milliseconds. */
  readonly at: number;
  /** It is answered by then, by the local clock. */
  readonly until: number;
  /** A proposal has it, so it may happen even if this node gives it up. */
  isProposed: boolean;
  /** That was proposed for a view that this node has missed, so it may have happened. */
  isMissed: boolean;
}

/** A chosen view that removes this node: see `ViewChange.install`. */
interface Farewell {
  readonly view: View;
  /** Nodes of its list that have said that they have it, or a later one. */
  known: NodeSet;
}

/** An attempt of this node to have a view chosen. */
interface Attempt {
  readonly ballot: Ballot;
  readonly beganAt: number;
  /** When a node last promised or accepted for the first time. */
  progressAt: number;
  /** Nodes that have promised, maybe more than once. */
  promised: NodeSet;
  /** By node. The proposer asks others only once its own promise is among them. */
  readonly promises: Map<NodeId, ViewPromise>;
  majorityAt: number;
  lastPromiseAt: number;
  /** Joiners that have confirmed for this ballot, and the last number that each has given. */
  readonly confirmed: Map<NodeId, TransactionNumber>;
  proposal: View | undefined;
  accepts: NodeSet;
  /** When the leases of the old view will have run out; set once the proposal is chosen. */
  installAt: number | undefined;
  /** Nodes that lacked the installed view, and to which this node has sent it. */
  caughtUp: NodeSet;
  /** Nodes that are to leave the list: see `ViewPrepare.without`. */
  readonly without: NodeSet;
}

/** The messages about the choice of views. */
export type ViewChangeMessage =
  | ViewPrepare
  | ViewPromise
  | ViewRefuse
  | ViewAbandoned
  | ViewAccept
  | ViewAccepted
  | ViewInstall;

/** What {@linkcode ViewChange} needs from the replica. */
export interface ViewChangeHost {
  /** The last number that this node gave a transaction. */
  readonly lastNumber: TransactionNumber;
  /** Members that have not answered a prepare within the suspicion time. */
  silentMembers(): NodeSet;
  /** The installed view has changed. */
  onInstalled(before: View, wasMember: boolean): void;
}

/** Takes part in the choice of views, as acceptor and as proposer. */
export class ViewChange {
  readonly #context: Context;
  readonly #host: ViewChangeHost;
  readonly #source: TransferSource;
  /** When this process began, by the local clock. */
  readonly #startedAt: number;
  #attempt: Attempt | undefined;
  #highestRound = 0;
  /** The earliest time of the next attempt. */
  #tryAt = -Infinity;
  /** When the highest promise was made, or what its proposer proposed was accepted. */
  #promisedAt = -Infinity;
  /** What somebody has asked for, and has no answer to yet. */
  #asked: AskedChange | undefined;
  /** What removes this node from the list, until this node goes over to it. */
  #farewell: Farewell | undefined;
  /** Since when this node leaves it to others to exclude a silent node; `undefined` if it does not. */
  #deferredSince: number | undefined;

  constructor(context: Context, host: ViewChangeHost, source: TransferSource) {
    this.#context = context;
    this.#host = host;
    this.#source = source;
    this.#startedAt = context.now;
  }

  // --- When to try ---------------------------------------------------------------------------

  onTick(): void {
    this.#answerAsked();
    if (this.#attempt !== undefined) this.#advance(this.#attempt);
    if (this.#attempt === undefined) this.#tryIfNeeded();
  }

  #tryIfNeeded(): void {
    const { membership, now, random } = this.#context;
    const seen = this.#reason();
    const reason = seen ?? this.#whyJoin();
    if (reason === undefined) {
      this.#tryAt = -Infinity;
      return;
    }
    // Without its disk a node can promise nothing: the members would freeze in vain, and could read no more.
    const promising = members(membership.linked).filter((node) =>
      membership.counts(node) && !membership.hasHungDisk(node)
    );
    if (!isEnoughFor(membership.view, setOf(promising))) return;
    if (this.#isTooEarly(setOf(promising))) return;
    if (this.#tryAt === -Infinity) {
      // If several nodes see the same, one of them is usually first.
      const isAtOnce = this.#isFirstLinked || this.#asked !== undefined;
      if (isAtOnce) this.#tryAt = now;
      // That a joiner has caught up only its source sees; after a long pause it would not be so any more.
      else if (seen === undefined) this.#tryAt = now + random() * PAUSE_MS;
      else this.#pause(PAUSE_MS);
    }
    if (now >= this.#tryAt) this.#begin(reason);
  }

  /**
   * Tells whether a majority needs joiners to which this node is still sending everything. If the members
   * froze now, they could not read until that is done.
   */
  #isTooEarly(promising: NodeSet): boolean {
    const { membership: { isFrozen, members: inView, quorum } } = this.#context;
    const whole = promising & inView | this.#source.caughtUp;
    if (isFrozen || quorum.isReachedBy(whole)) return false;
    return quorum.isReachedBy(whole | this.#source.sendingTo & promising);
  }

  // --- Changes of the list -------------------------------------------------------------------

  /** Somebody asks for a change of the list of nodes. */
  onChangeRequest(request: ChangeRequest): void {
    const { membership, outbox, now, clocks, timing } = this.#context;
    const at = Math.max(0, Math.floor(clocks.wallMs));
    const outcome = this.#outcomeAtOnce(request, at);
    if (outcome !== undefined) {
      outbox.answerChange(request.requester, outcome);
      return;
    }
    this.#asked = {
      request,
      at,
      until: now + timing.timeoutMs,
      isProposed: false,
      isMissed: false,
    };
    if (!membership.isFrozen) this.#tryAt = -Infinity;
  }

  /** Returns how a request ends that can be answered at once. */
  #outcomeAtOnce({ change, by }: ChangeRequest, at: number): ChangeOutcome | undefined {
    const { membership, now } = this.#context;
    const { view } = membership;
    const refused = (reason: string) => ({ kind: "refused", reason }) as const;
    const loading = whyLoading(this.#context);
    if (loading !== undefined) return refused(loading);
    const isHopeless = membership.isLeaving || membership.isGathering || membership.isDiskFull ||
      membership.isBelowMajority(now);
    if (isHopeless) return refused(whyHopeless(this.#context).reason);
    if (this.#asked !== undefined) {
      const { by: other } = this.#asked.request;
      return refused(`this node is making another change, which ${other} has asked for`);
    }
    const plan = planChange(view, change, { by, at, view: view.number + 1 });
    if (plan.kind === "none") return { kind: "done", view: view.number, wasSo: plan.reason };
    if (plan.kind === "refused") return plan;
    const tooFew = whyNoMajority(plan.list, this.#live);
    return tooFew === undefined ? undefined : refused(tooFew);
  }

  /** The members that are there, and hold everything. */
  get #live(): NodeSet {
    const { membership, now } = this.#context;
    return membership.ready & ~membership.suspected(now);
  }

  /** Answers whoever has asked for a change, if it is done or can be done no more, or the time is over. */
  #answerAsked(): void {
    const asked = this.#asked;
    if (asked === undefined) return;
    const outcome = this.#outcomeOf(asked);
    if (outcome === undefined) return;
    this.#asked = undefined;
    this.#context.outbox.answerChange(asked.request.requester, outcome);
  }

  #outcomeOf(asked: AskedChange): ChangeOutcome | undefined {
    const { membership, now } = this.#context;
    const { view } = membership;
    const { at, request: { change, by } } = asked;
    const already = whyAlready(view, change);
    if (already !== undefined) {
      const isOwn = view.change?.at === at && view.change.by === by;
      return { kind: "done", view: view.number, ...isOwn ? {} : { wasSo: already } };
    }
    if (asked.isMissed) {
      return {
        kind: "indeterminate",
        reason: "this node missed a view that may have made the change",
      };
    }
    // What is proposed for the next number may still be chosen. After that number is given, it cannot.
    const isUnderWay = asked.isProposed || this.#attempt?.proposal !== undefined;
    if (!isUnderWay && !membership.isFrozen) {
      const plan = planChange(view, change, { by, at, view: view.number + 1 });
      if (plan.kind === "refused") return plan;
      // Else one view after the other would be chosen without the change, and each stops the writes.
      const tooFew = plan.kind === "list" ? whyNoMajority(plan.list, view.members) : undefined;
      if (tooFew !== undefined) return { kind: "refused", reason: tooFew };
    }
    if (now < asked.until && !membership.isRemoved) return undefined;
    const reason = "no view with the change was chosen in time";
    return asked.isProposed
      ? { kind: "indeterminate", reason: `${reason}, and one may still be` }
      : { kind: "refused", reason };
  }

  /** Everything that is asked of this replica ends: it is given up. */
  abandon(reason: string): void {
    const asked = this.#asked;
    if (asked === undefined) return;
    this.#asked = undefined;
    const outcome = { kind: asked.isProposed ? "indeterminate" : "refused", reason } as const;
    this.#context.outbox.answerChange(asked.request.requester, outcome);
  }

  /** The nodes that the next view is to take out of the list. */
  get #toLeave(): NodeSet {
    const { membership: { view } } = this.#context;
    let set = NOBODY;
    const change = this.#asked?.request.change;
    if (change?.kind === "remove") {
      const node = idOf(view, change.name);
      if (node !== undefined) set |= only(node);
    }
    for (const { node, replaces } of view.learners ?? []) {
      if (replaces !== undefined && contains(this.#source.caughtUp, node)) set |= only(replaces);
    }
    return set;
  }

  /** The nodes that learners that have caught up are to replace. */
  get #replaced(): NodeSet {
    const { membership: { view } } = this.#context;
    return setOf((view.learners ?? []).flatMap(({ replaces }) => replaces ?? []));
  }

  /** Returns the lists that the view after `view` may have, the better ones first. */
  #listsAfter(view: View): NodeList[] {
    const asked = this.#asked;
    if (asked === undefined) return [view];
    const { at, request: { change, by } } = asked;
    const plan = planChange(view, change, { by, at, view: view.number + 1 });
    return plan.kind === "list" ? [plan.list, view] : [view];
  }

  get #isFirstLinked(): boolean {
    const { membership, self } = this.#context;
    const suspected = membership.suspected(this.#context.now);
    const candidates = membership.view.number === 0
      ? membership.all
      : this.#best(suspected) & membership.linked & ~suspected;
    return (candidates & -candidates) === only(self);
  }

  /**
   * Tells whether another proposer has this node's promise, is linked and heard, and has not had it for
   * long.
   */
  get #isAnotherAtIt(): boolean {
    const { membership, now, self, timing } = this.#context;
    const proposer = proposerOf(membership.promised);
    if (!membership.isFrozen || proposer === self || !contains(membership.linked, proposer)) {
      return false;
    }
    // Nothing comes over its link any more: it may have been cut off, or stand still.
    if (membership.isOnlySilent(proposer, now)) return false;
    const patienceMs = FROZEN_MS + FORCES_IN_ATTEMPT * this.#forceMs;
    return now - this.#promisedAt < timing.leaseMs + patienceMs;
  }

  /**
   * How long a force of the slowest disk takes, on average, in milliseconds. One that takes longer than the
   * suspicion time is that of a disk that hangs, for which nobody waits.
   */
  get #forceMs(): number {
    const { membership, slowMembers, timing } = this.#context;
    const forces = members(membership.linked).map((node) => slowMembers.forceMsOf(node) ?? 0);
    return Math.min(Math.max(0, ...forces), timing.suspicionMs);
  }

  /** Waits for a random time of up to `ms` before the next attempt; longer, if another node is to be first. */
  #pause(ms: number): void {
    const { now, random } = this.#context;
    const forces = this.#isFirstLinked ? 0 : FORCES_BEFORE_ATTEMPT;
    this.#tryAt = now + random() * ms + forces * this.#forceMs;
  }

  /** Tells whether this node may propose a view now, if there is a reason. */
  get #mayPropose(): boolean {
    const { membership, now } = this.#context;
    if (membership.isLeaving || !membership.isVerified) return false;
    if (membership.isStuck(now)) return false; // Without its disk it can promise nothing.
    if (this.#isAnotherAtIt) return false;
    // The next view is chosen, and only waits for the disk, or for others to have it.
    return membership.installing === undefined && this.#farewell === undefined;
  }

  /** Returns why there should be another view, or `undefined` if there is no reason. */
  #reason(): string | undefined {
    const { membership, now } = this.#context;
    if (!this.#mayPropose) return undefined;
    // A node that is already in a view sends it as soon as it may.
    if (membership.view.number === 0) {
      return membership.preceding.length > 0 ? undefined : "the nodes have met";
    }
    if (!membership.isMember) return undefined;
    const suspected = this.#worthLeavingOut(membership.suspected(now) | this.#host.silentMembers());
    if (membership.isFrozen) {
      return this.#mayBegin(suspected) ? "a view change was not finished" : undefined;
    }
    if (suspected !== NOBODY && this.#isUpToThisNode(suspected)) {
      return this.#whySuspected(members(suspected)).join(", ");
    }
    if (suspected === NOBODY) this.#deferredSince = undefined;
    if (this.#asked !== undefined) {
      const { change, by } = this.#asked.request;
      const { kind, name } = change;
      const what = kind === "replace" ? `${change.replaces} by ${name}` : name;
      return `${by} asks to ${kind} ${what}`;
    }
    const slow = this.#slow(suspected);
    return slow === NOBODY ? undefined : `slow disk at ${membership.namesOf(slow)}`;
  }

  /** Returns which joiners can join; `undefined` if none can, or too few. */
  #whyJoin(): string | undefined {
    const { membership } = this.#context;
    if (!this.#mayPropose || !membership.isMember || membership.isFrozen) return undefined;
    const joiners = this.#welcome;
    const needed = membership.isGathering ? membership.quorum.needed - 1 : 1;
    if (size(joiners) < needed) return undefined;
    return `${membership.namesOf(joiners)} can join`;
  }

  /**
   * Returns those of `suspected` that are worth a view change. A member that says it will stop, or
   * whose disk takes nothing, stays if too few are left without it; otherwise the same view would be
   * chosen again and again, or the members froze in vain, and could not read any more.
   */
  #worthLeavingOut(suspected: NodeSet): NodeSet {
    if (suspected === NOBODY) return NOBODY;
    const { membership } = this.#context;
    const leaving = membership.linked & setOf(
      members(suspected).filter((node) => membership.hasLeft(node) || membership.hasHungDisk(node)),
    );
    const staying = (membership.members & membership.linked | this.#source.caughtUp) & ~leaving;
    return membership.quorum.isReachedBy(staying) ? suspected : suspected & ~leaving;
  }

  /** Members to leave out for their slow disks, if a majority is left; a slow node leaves it to others. */
  #slow(suspected: NodeSet): NodeSet {
    const { membership, slowMembers, self } = this.#context;
    const slow = slowMembers.toLeaveOut & membership.members;
    const fast = membership.members & membership.linked & ~suspected & ~slow;
    return !contains(slow, self) && membership.quorum.isReachedBy(fast) ? slow : NOBODY;
  }

  /**
   * Joiners that have caught up, hear all members, were not too late for a view just now, and whose disk is
   * not slow, full or stuck.
   */
  get #welcome(): NodeSet {
    const { membership, reachability, slowMembers, now } = this.#context;
    const candidates = this.#source.caughtUp & ~slowMembers.toLeaveOut & membership.all;
    if (candidates === NOBODY) return NOBODY;
    // Whom a learner replaces, it need not hear.
    const stay = membership.members & ~this.#replaced;
    return setOf(
      members(candidates).filter((node) =>
        !membership.hasHungDisk(node) && !this.#source.isLate(node) &&
        reachability.isWelcome(node, stay, now)
      ),
    );
  }

  /**
   * Tells whether this node is to begin, as members are `suspected`. If others hear those that are only
   * silent here, a link is cut; and nothing is to be done if there is no better view meanwhile.
   */
  #isUpToThisNode(suspected: NodeSet): boolean {
    const { membership, now } = this.#context;
    const isCut = members(suspected).every((node) => membership.isOnlySilent(node, now));
    if (!isCut) return true;
    if (this.#best(suspected) !== membership.members) return this.#mayBegin(suspected);
    this.#deferredSince = undefined;
    return false;
  }

  /** Tells whether this node hears all nodes that should be members. If not, others try first. */
  #mayBegin(suspected: NodeSet): boolean {
    const { membership, self, now, timing } = this.#context;
    const best = this.#best(suspected);
    if (contains(best, self) && (best & ~(membership.linked & ~suspected)) === NOBODY) return true;
    this.#deferredSince ??= now;
    return now - this.#deferredSince > timing.suspicionMs + timing.leaseMs;
  }

  /** The best members for as long as the network is as it is. */
  #best(suspected: NodeSet): NodeSet {
    const { membership, reachability } = this.#context;
    const { quorum } = membership;
    const heard = membership.members & ~suspected;
    return reachability.best(membership.members, { quorum, heard });
  }

  #whySuspected(nodes: readonly NodeId[]): string[] {
    const { membership } = this.#context;
    const leaving = nodes.filter((node) => membership.hasLeft(node));
    const older = nodes.filter((node) => !leaving.includes(node) && membership.hasOlderCopy(node));
    const stuck = nodes.filter((node) =>
      ![...leaving, ...older].includes(node) && membership.hasHungDisk(node)
    );
    const silent = nodes.filter((node) => ![...leaving, ...older, ...stuck].includes(node));
    return [
      ...leaving.length > 0 ? [`${membership.namesOf(leaving)} stops`] : [],
      ...older.length > 0 ? [`an older copy at ${membership.namesOf(older)}`] : [],
      ...stuck.length > 0 ? [`the disk hangs or is full at ${membership.namesOf(stuck)}`] : [],
      ...silent.length > 0 ? [`no answer from ${membership.namesOf(silent)}`] : [],
    ];
  }

  // --- Phase 1: promises ---------------------------------------------------------------------

  #begin(reason: string): void {
    const { membership, self, outbox, now, counters } = this.#context;
    const round = Math.max(this.#highestRound, roundOf(membership.promised)) + 1;
    const ballot = ballotOf(round, self);
    this.#highestRound = round;
    counters.viewAttempts++;
    this.#attempt = {
      ballot,
      beganAt: now,
      progressAt: now,
      promised: NOBODY,
      promises: new Map(),
      majorityAt: Infinity,
      lastPromiseAt: now,
      confirmed: new Map(),
      proposal: undefined,
      accepts: NOBODY,
      installAt: undefined,
      caughtUp: NOBODY,
      without: this.#toLeave,
    };
    outbox.report({ type: "viewChangeBegins", ballot: ballotName(ballot), reason });
    if (contains(this.#attempt.without, self)) membership.giveUpReading();
    this.#promise(self, ballot);
    // Crash before this is durable: no other node knows the ballot.
    outbox.whenDurable(() => {
      if (this.#attempt?.ballot === ballot) {
        this.#ask(membership.linked & membership.others, ballot);
      }
    });
  }

  #ask(nodes: NodeSet, ballot: Ballot): void {
    const { membership, outbox } = this.#context;
    const without = this.#attempt?.without ?? NOBODY;
    outbox.send(nodes, {
      type: "viewPrepare",
      view: membership.view.number,
      ballot,
      ...without === NOBODY ? {} : { without },
    });
  }

  /** Ends the attempt, and waits a random time before the next one. */
  #giveUp(): void {
    const { counters, membership, outbox } = this.#context;
    counters.viewAttemptsGivenUp++;
    if (this.#attempt !== undefined) {
      const { ballot } = this.#attempt;
      const view = membership.view.number;
      outbox.send(membership.linked & membership.others, { type: "viewAbandoned", view, ballot });
    }
    this.#attempt = undefined;
    this.#pause(PAUSE_MS * 2);
  }

  onViewPrepare(from: NodeId, message: ViewPrepare): void {
    const { membership, outbox, counters, self } = this.#context;
    const { ballot } = message;
    this.#highestRound = Math.max(this.#highestRound, roundOf(ballot));
    const isToLeave = contains(message.without ?? NOBODY, self) &&
      message.view === membership.view.number;
    if (this.#isPromisedTo(from, ballot)) {
      if (isToLeave) membership.giveUpReading();
      outbox.whenDurable(() => this.#sendPromise(from, ballot)); // The proposer asks for it again.
      return;
    }
    if (ballot <= membership.promised) {
      counters.viewRefusals++;
      const { promised, view: { number: view } } = membership;
      outbox.send(only(from), { type: "viewRefuse", view, ballot, promised });
      return;
    }
    if (this.#attempt !== undefined) this.#giveUp();
    if (isToLeave) membership.giveUpReading();
    this.#promise(from, ballot);
  }

  /**
   * Tells whether the latest promise is for `ballot`, and was made to `proposer` on its present
   * journal.
   */
  #isPromisedTo(proposer: NodeId, ballot: Ballot): boolean {
    const { membership } = this.#context;
    return ballot === membership.promised && proposerOf(ballot) === proposer &&
      membership.promisedTo === membership.identityOf(proposer)?.journal;
  }

  /** Makes a promise durable, then tells the proposer. */
  #promise(proposer: NodeId, ballot: Ballot): void {
    const { membership, outbox, counters } = this.#context;
    const journal = membership.identityOf(proposer)?.journal ?? "";
    membership.promise(ballot, journal);
    this.#promisedAt = this.#context.now;
    counters.promises++;
    outbox.append({ type: "promise", ballot, journal });
    // From here on this node neither votes nor decides. Records that are being written come before
    // the promise; the votes for them are never sent.
    outbox.whenDurable(() => this.#sendPromise(proposer, ballot));
  }

  /** Tells whether this node has given its word for a later ballot: by a promise, or with a view. */
  #isOver(ballot: Ballot): boolean {
    const { membership } = this.#context;
    return membership.promised !== ballot || (membership.installing?.ballot ?? 0) > ballot;
  }

  #sendPromise(proposer: NodeId, ballot: Ballot): void {
    const { membership, self, outbox, now } = this.#context;
    // Once the view of this ballot is installed, the table is of that view: there is no report to tell.
    if (this.#isOver(ballot) || !membership.isFrozen) return;
    const promise: ViewPromise = {
      type: "viewPromise",
      view: membership.view.number,
      ballot,
      journal: membership.identity.journal,
      installed: membership.view,
      isMember: membership.isMember,
      isJoined: membership.joinedDurably !== undefined,
      accepted: membership.acceptedDurably,
      ...membership.joinedDurably?.report ?? transactionReportOf(this.#context),
      lastNumber: this.#host.lastNumber,
      // A node acknowledges its own rounds without a message: its entry is its incarnation.
      acknowledged: this.#ofNodes((record) => record.acknowledged),
      met: this.#ofNodes((record) => record.firstMet),
      uptimeMs: now - Math.max(this.#startedAt, membership.forgotAt),
      ...membership.readsNoMore ? { readsNoMore: true } : {},
    };
    if (proposer === self) this.onViewPromise(self, promise);
    else outbox.send(only(proposer), promise);
  }

  /** Returns, by id, what `of` returns for the node's record; for this node, its incarnation. */
  #ofNodes(of: (record: NodeRecord) => number): number[] {
    const { membership, nodes, self } = this.#context;
    return membership.view.names.map((_, node) =>
      node === self ? membership.identity.incarnation : of(nodes.of(node))
    );
  }

  /** Sends the promise again, because it now reports more. */
  promiseAgain(): void {
    const { membership, outbox } = this.#context;
    const { promised } = membership;
    if (!membership.isFrozen) return;
    outbox.whenDurable(() => this.#sendPromise(proposerOf(promised), promised));
  }

  onViewRefuse(_from: NodeId, message: ViewRefuse): void {
    this.#highestRound = Math.max(this.#highestRound, roundOf(message.promised));
    if (this.#attempt?.ballot === message.ballot) this.#giveUp();
  }

  /** The proposer that has this node's promise has given up the attempt. */
  #onAbandoned(ballot: Ballot): void {
    const { membership } = this.#context;
    if (membership.promised !== ballot || this.#promisedAt === -Infinity) return;
    this.#promisedAt = -Infinity;
    this.#pause(PAUSE_MS);
  }

  onViewPromise(from: NodeId, message: ViewPromise): void {
    const attempt = this.#attempt;
    if (attempt === undefined || message.ballot !== attempt.ballot) return;
    if (attempt.proposal !== undefined) return;
    if (!contains(attempt.promised, from)) attempt.progressAt = this.#context.now;
    attempt.promised |= only(from);
    attempt.promises.set(from, message);
    attempt.lastPromiseAt = this.#context.now;
    this.#advance(attempt);
  }

  /** A joiner holds everything up to the freeze of this attempt. */
  onConfirmed(joiner: NodeId, ballot: Ballot, lastNumber: TransactionNumber): void {
    if (this.#attempt?.ballot !== ballot) return;
    this.#attempt.confirmed.set(joiner, lastNumber);
    this.#advance(this.#attempt);
  }

  // --- Phase 2: the proposal -----------------------------------------------------------------

  #advance(attempt: Attempt): void {
    const { now } = this.#context;
    if (attempt.installAt !== undefined) {
      if (now >= attempt.installAt) this.#finish(attempt);
      return;
    }
    if (attempt.proposal === undefined) {
      const proposal = this.#proposalFor(attempt);
      if (this.#attempt !== attempt) return;
      if (proposal !== undefined) {
        this.#propose(attempt, proposal);
        return;
      }
    }
    const isOver = this.#needsJoiners(attempt)
      ? now - attempt.beganAt > ATTEMPT_WITH_JOINERS_MS
      : now - attempt.progressAt > ATTEMPT_MS + FORCES_IN_ATTEMPT * this.#forceMs;
    if (isOver) this.#giveUp();
  }

  /** The highest view that any node that has promised has installed. */
  #highest(attempt: Attempt): View {
    let highest = this.#context.membership.view;
    for (const { installed } of attempt.promises.values()) {
      if (installed.number > highest.number) highest = installed;
    }
    return highest;
  }

  /**
   * Tells whether `promise`, which `node` gave, counts in `view`: the view must list the node's
   * journal. Nor does one count that came before the node turned out to be on an older copy of its
   * journal: it may have forgotten what it had prepared, or accepted.
   */
  #counts({ journal }: ViewPromise, node: NodeId, view: View): boolean {
    // In view 0 no node is part of a cluster yet: all nodes count, and all are needed.
    if (view.number === 0) return true;
    return journal === view.journals[node] && !this.#context.membership.isDistrusted(node);
  }

  /** Members of `view` that have promised, and have installed it. */
  #answering(attempt: Attempt, view: View): NodeId[] {
    return [...attempt.promises].flatMap(([node, promise]) =>
      promise.isMember && contains(view.members, node) && this.#counts(promise, node, view) &&
        promise.installed.number === view.number
        ? [node]
        : []
    );
  }

  /** Nodes outside `view` that have joined in it: each of them is a proxy for a frozen member. */
  #joined(attempt: Attempt, view: View): NodeId[] {
    return [...attempt.promises].flatMap(([node, { installed, isJoined }]) =>
      isJoined && installed.number === view.number ? [node] : []
    );
  }

  /** Tells whether the remaining members need joiners for a majority. */
  #needsJoiners(attempt: Attempt): boolean {
    const { membership } = this.#context;
    if (membership.view.number === 0 || attempt.majorityAt === Infinity) return false;
    const answering = this.#answering(attempt, this.#highest(attempt));
    return !membership.quorum.isReachedBy(setOf(answering));
  }

  /** Returns the proposal, or `undefined` if it is too early to make one. */
  #proposalFor(attempt: Attempt): View | undefined {
    const { membership, self, now, counters } = this.#context;
    if (!attempt.promises.has(self)) return undefined;
    const view = this.#highest(attempt);
    const counting = [...attempt.promises].flatMap(([node, promise]) =>
      this.#counts(promise, node, view) ? [node] : []
    );
    if (!isEnoughFor(view, setOf(counting))) return undefined;
    if (view.number > membership.view.number) {
      // Another proposer was faster, and this node had not heard of it.
      counters.viewsMissed++;
      this.install(view);
      this.#giveUp();
      return undefined;
    }
    // Sends the view to a node that has not installed it: the node then promises again. What it has promised
    // before says nothing of this view, which it may come to have under a later ballot than this one.
    const lagging = counting.filter((node) => {
      const { installed = view } = attempt.promises.get(node) ?? {};
      return installed.number < view.number;
    });
    for (const node of lagging) {
      if (contains(attempt.caughtUp, node)) continue;
      attempt.caughtUp |= only(node);
      counters.laggingMembers++;
      this.#sendChosen(only(node), view);
    }
    if (!isEnoughFor(view, setOf(counting) & ~setOf(lagging))) return undefined;
    if (attempt.majorityAt === Infinity) attempt.majorityAt = now;
    const accepted = this.#acceptedFor(attempt, view);
    if (accepted !== undefined) {
      counters.proposalsRepeated++;
      return { ...accepted, ballot: attempt.ballot };
    }
    if (view.number === 0) return this.#firstView(attempt);
    return this.#nextView(attempt, view);
  }

  /**
   * Returns a proposal for the next view that may have been chosen: it must be proposed again
   * unchanged.
   */
  #acceptedFor(attempt: Attempt, view: View): View | undefined {
    let latest: { ballot: Ballot; proposal: View } | undefined;
    for (const [node, promise] of attempt.promises) {
      const { accepted } = promise;
      if (accepted === undefined || !this.#counts(promise, node, view)) continue;
      if (accepted.proposal.number !== view.number + 1) continue;
      if (latest === undefined || accepted.ballot > latest.ballot) latest = accepted;
    }
    return latest?.proposal;
  }

  #firstView(attempt: Attempt): View {
    const { membership } = this.#context;
    const { names } = membership.view;
    return {
      number: 1,
      // The id of a journal is random, and a journal that has left view 0 never starts again.
      cluster: { id: membership.identity.journal },
      ballot: attempt.ballot,
      names,
      members: membership.all,
      journals: names.map((_, node) => attempt.promises.get(node)?.journal ?? ""),
      commits: [],
      bases: names.map((_, node) => attempt.promises.get(node)?.lastNumber ?? 0),
    };
  }

  #nextView(attempt: Attempt, view: View): View | undefined {
    const { membership, now, counters, slowMembers } = this.#context;
    const { quorum } = membership;
    const answering = this.#answering(attempt, view);
    if (answering.length === 0) return undefined;
    const isAllThere = members(view.members & membership.linked).every((node) =>
      answering.includes(node) || !membership.counts(node, view) || membership.hasHungDisk(node)
    );
    const waited = now - attempt.majorityAt;
    if (!isAllThere && waited < STRAGGLERS_MS) return undefined;
    const joined = this.#joined(attempt, view);
    const reporting = [...answering, ...joined];
    const isEnough = quorum.isReachedBy(setOf(reporting));
    const joining = isEnough ? this.#welcome : this.#source.caughtUp;
    this.#bringJoiners(attempt, { whole: reporting, joining });
    const confirmed = [...new Set([...attempt.confirmed.keys(), ...joined])]
      .filter((node) => !answering.includes(node));
    const awaited = joining & ~setOf(confirmed);
    if (awaited !== NOBODY && waited < JOINERS_MS) return undefined;
    const whole = setOf([...answering, ...confirmed]);
    // A member that is about to stop is left out at once, if enough are left without it.
    const staying = whole & ~setOf(members(whole).filter((node) => membership.hasLeft(node)));
    const connected = this.#connected(staying, setOf(answering));
    const fast = connected & ~slowMembers.toLeaveOut;
    if (fast !== connected && quorum.isReachedBy(fast)) counters.slowExcluded++;
    const found = this.#membersOf(view, [fast, connected, staying, whole]);
    if (found === undefined) return undefined;
    const { list: { names, learners = [], change }, set } = found;
    if (found.isAsked && this.#asked !== undefined) this.#asked.isProposed = true;
    counters.proxies += joined.filter((node) => !attempt.confirmed.has(node)).length;
    const isLearner = (node: NodeId) => learners.some((learner) => learner.node === node);
    return {
      number: view.number + 1,
      cluster: view.cluster,
      ballot: attempt.ballot,
      names,
      members: set,
      journals: names.map((name, node) =>
        name === "" || isLearner(node)
          ? ""
          : joined.includes(node)
          ? attempt.promises.get(node)?.journal ?? ""
          : confirmed.includes(node)
          ? membership.identityOf(node)?.journal ?? ""
          : view.journals[node] ?? ""
      ),
      commits: this.#commits(attempt, reporting),
      bases: names.map((_, node) => this.#baseOf(attempt, node)),
      ...learners.length > 0 ? { learners } : {},
      ...change === undefined ? {} : { change },
    };
  }

  /**
   * Returns the members and the list of the view after `view`: the first of `sets` that is a majority of the
   * nodes that count in its own list, so that whoever chooses the view after it knows how it ended.
   */
  #membersOf(
    view: View,
    sets: readonly NodeSet[],
  ): { readonly set: NodeSet; readonly list: NodeList; readonly isAsked: boolean } | undefined {
    for (const base of this.#listsAfter(view)) {
      for (const nodes of sets) {
        const list = admitLearners(base, nodes, view.number + 1);
        const set = nodes & voters(list);
        if (quorumOf(list).isReachedBy(set)) return { set, list, isAsked: base !== view };
      }
    }
    return undefined;
  }

  /**
   * Of `nodes`, those that hear each other. This node hears whoever has answered; joiners are let in only
   * if they hear all members.
   */
  #connected(nodes: NodeSet, answering: NodeSet): NodeSet {
    const { membership, reachability, self, counters } = this.#context;
    const { quorum } = membership;
    const best = reachability.best(nodes & answering, { quorum, heard: answering });
    const out = nodes & answering & ~best;
    // A joiner may make up the majority.
    if (!contains(best, self) || !quorum.isReachedBy(best)) return nodes;
    if (out !== NOBODY) counters.disconnectedExcluded++;
    return nodes & ~out;
  }

  /** Sends the rest to joiners. If too few nodes hold everything, starts transfers to outsiders. */
  #bringJoiners(
    attempt: Attempt,
    { whole, joining }: { whole: readonly NodeId[]; joining: NodeSet },
  ): void {
    const { membership, self, counters } = this.#context;
    if (!membership.isMember || !attempt.promises.has(self)) return;
    if (!membership.quorum.isReachedBy(setOf(whole))) {
      for (const node of members(membership.linked & membership.others)) {
        if (whole.includes(node) || !attempt.promises.has(node)) continue;
        if (this.#source.offerTransfer(node)) counters.joinersForced++;
      }
    }
    this.#source.sendFinals(attempt.ballot, joining);
  }

  /** The outcomes of the undecided transactions of the view, by the termination rule. */
  #commits(attempt: Attempt, reporting: readonly NodeId[]): readonly TransactionId[] {
    const { counters } = this.#context;
    const promises = reporting.flatMap((node) => attempt.promises.get(node) ?? []);
    const { commits, aborts } = settle(promises);
    counters.settledByCommit += commits.length;
    counters.settledByAbort += aborts.length;
    return commits;
  }

  /** Up to where the numbers of `node` belong to views before the next one. */
  #baseOf(attempt: Attempt, node: NodeId): TransactionNumber {
    const { membership } = this.#context;
    let base = membership.view.bases[node] ?? 0;
    base = Math.max(base, attempt.promises.get(node)?.lastNumber ?? 0);
    base = Math.max(base, attempt.confirmed.get(node) ?? 0);
    for (const { table, marks } of attempt.promises.values()) {
      base = Math.max(base, marks[node] ?? 0);
      for (const { coordinator, number } of table) {
        if (coordinator === node && number > base) base = number;
      }
    }
    return base;
  }

  #propose(attempt: Attempt, proposal: View): void {
    const { membership, outbox, self } = this.#context;
    attempt.proposal = proposal;
    attempt.progressAt = this.#context.now;
    // A node alone has a lease that does not end by itself, whatever is waited for.
    if (!contains(proposal.members, self)) membership.giveUpReading();
    const { ballot } = attempt;
    const message: ViewAccept = {
      type: "viewAccept",
      view: membership.view.number,
      ballot,
      proposal,
    };
    outbox.send(membership.linked & membership.others, message);
    this.onViewAccept(self, message);
  }

  onViewAccept(from: NodeId, message: ViewAccept): void {
    const { membership, outbox, self, counters } = this.#context;
    const { ballot, proposal } = message;
    this.#highestRound = Math.max(this.#highestRound, roundOf(ballot));
    const view = membership.view.number;
    const isOthers = ballot === membership.promised && !this.#isPromisedTo(from, ballot);
    if (ballot < membership.promised || isOthers) {
      counters.viewRefusals++;
      outbox.send(only(from), { type: "viewRefuse", view, ballot, promised: membership.promised });
      return;
    }
    if (!membership.isOwnCluster(proposal)) {
      counters.foreign++;
      return;
    }
    if (proposal.number <= view) return; // It, or a later one, is already installed here.
    const latest = Math.max(view, membership.installing?.number ?? 0);
    if (proposal.number > latest + 1) {
      // This node may have accepted another proposal before, which was chosen: it must not forget that one.
      membership.announce(only(from));
      return;
    }
    if (this.#attempt !== undefined && this.#attempt.ballot < ballot) this.#giveUp();
    const journal = membership.identityOf(from)?.journal ?? "";
    const accepted = { ballot, proposal, journal };
    if (membership.accepted?.ballot !== ballot) this.#promisedAt = this.#context.now;
    membership.accept(accepted);
    outbox.append({ type: "accepted", ...accepted });
    outbox.whenDurable(() => {
      membership.acceptedIsDurable(accepted);
      if (this.#isOver(ballot)) return;
      if (from === self) this.onViewAccepted(self, { type: "viewAccepted", view, ballot });
      else outbox.send(only(from), { type: "viewAccepted", view, ballot });
    });
  }

  onViewAccepted(from: NodeId, message: ViewAccepted): void {
    const attempt = this.#attempt;
    const { membership, now, counters } = this.#context;
    if (attempt?.proposal === undefined || attempt.ballot !== message.ballot) return;
    if (attempt.installAt !== undefined || !membership.counts(from)) return;
    if (!contains(attempt.accepts, from)) attempt.progressAt = now;
    attempt.accepts |= only(from);
    if (!quorumForNext(membership.view).isReachedBy(attempt.accepts)) return;
    // Chosen. A process that is left out may still read until its lease is over. So may the one on the
    // journal that counts, where the view lists another journal: what that one says is not its word.
    const { members: staying, journals } = attempt.proposal;
    const isReplaced = (node: NodeId) => journals[node] !== membership.view.journals[node];
    const excluded = members(membership.members).filter((node) =>
      !contains(staying, node) || isReplaced(node)
    );
    const readers = excluded.filter((node) =>
      contains(staying, node) || !this.#hasGivenUpReading(attempt, node)
    );
    if (excluded.length > readers.length) counters.leasesGivenUp++;
    attempt.installAt = readers.length === 0
      ? now
      : attempt.lastPromiseAt + leaseWaitMs(this.#context.timing);
    if (readers.length > 0) counters.leasesWaitedFor++;
    this.#advance(attempt);
  }

  /**
   * Tells whether `node` has said that it reads no more, with its promise or as it stops, and no later
   * incarnation of it can have a lease, because the nodes that may have acknowledged one are not a majority.
   *
   * A node that has promised from this view acknowledges nothing more in it, and reports what its process
   * has acknowledged. (One that had not installed the view may install it under a later ballot.) What an
   * earlier process of it acknowledged does not matter in two cases. Either that process ended longer ago
   * than a lease holds. Or the present one met `node` before `node` left: a later incarnation of `node`
   * started after that, so after the earlier process had ended.
   */
  #hasGivenUpReading(attempt: Attempt, node: NodeId): boolean {
    const { membership, timing } = this.#context;
    const promised = attempt.promises.get(node);
    const { view } = membership;
    // A process on another journal says nothing of the one on the journal that counts; nor does one that has
    // the view only since it promised.
    const isOfView = promised !== undefined && this.#counts(promised, node, view) &&
      promised.installed.number === view.number;
    const gaveUp = isOfView && promised.readsNoMore === true ? promised.acknowledged[node] ?? 0 : 0;
    const left = Math.max(membership.leftIncarnation(node), gaveUp);
    if (left === 0) return false;
    const withoutLease = [...attempt.promises].flatMap(([acceptor, promise]) => {
      const met = promise.met[node] ?? 0;
      const hasSeenAll = promise.uptimeMs >= leaseWaitMs(timing) || met > 0 && met <= left;
      const isLower = (promise.acknowledged[node] ?? 0) <= left;
      const isFrozen = promise.installed.number === view.number;
      // It may have promised from another journal than the one that it is linked with now.
      const isTold = membership.counts(acceptor) && this.#counts(promise, acceptor, view);
      return isFrozen && isTold && hasSeenAll && isLower ? [acceptor] : [];
    });
    return !membership.quorum.isReachedBy(membership.all & ~setOf(withoutLease));
  }

  // --- Installing ----------------------------------------------------------------------------

  #finish(attempt: Attempt): void {
    const { membership } = this.#context;
    const { proposal } = attempt;
    if (proposal === undefined) return;
    this.#attempt = undefined;
    this.#tryAt = -Infinity;
    this.#sendChosen(membership.linked & membership.others, proposal);
    this.install(proposal);
  }

  #sendChosen(to: NodeSet, chosen: View): void {
    this.#context.outbox.send(to, { type: "viewInstall", view: chosen.number, chosen });
  }

  #onViewInstall(chosen: View): void {
    const { number } = this.#context.membership.view;
    // This node has the view under an earlier ballot, and is frozen for the ballot that this
    // message ends.
    if (chosen.number <= number) this.#onAbandoned(chosen.ballot);
    else this.install(chosen);
  }

  /**
   * Makes a chosen view durable, then switches to it.
   *
   * A node that the view removes does so last, when a majority of the new list has the view. Until then the
   * others may need this node, to hear of the view or to have it chosen once more; afterwards it ends.
   */
  install(view: View): void {
    const { membership, outbox, self, counters } = this.#context;
    if (
      view.number <= membership.view.number || view.number <= (membership.installing?.number ?? 0)
    ) return;
    if (!membership.isOwnCluster(view)) {
      counters.foreign++;
      return;
    }
    if (this.#isRemovedBy(view)) {
      if (view.number > (this.#farewell?.view.number ?? 0)) this.#beginFarewell(view);
      if (!quorumOf(view).isReachedBy(this.#farewell?.known ?? NOBODY)) return;
    }
    membership.installing = view;
    const base = view.bases[self] ?? 0;
    // Also outside the view: once a later view admits this node, it gives numbers above the base.
    if (base > this.#host.lastNumber) {
      membership.offset = incarnationOf(base);
      outbox.append({ type: "offset", incarnations: membership.offset });
    }
    outbox.append({ type: "view", view });
    outbox.whenDurable(() => {
      if (membership.installing === view) membership.installing = undefined;
      this.#goOver(view);
    });
  }

  /** Tells whether this node is in the list of the installed view, and not in that of `view`. */
  #isRemovedBy({ names }: View): boolean {
    const { membership, self } = this.#context;
    const { view } = membership;
    return view.number > 0 && !membership.isRemoved && names[self] !== view.names[self];
  }

  /** `view` removes this node: it tells the others, and notes which of them have it. */
  #beginFarewell(view: View): void {
    const { membership, nodes, outbox } = this.#context;
    const peers = membership.linked & membership.others;
    const known = setOf(
      members(peers).filter((node) => (nodes.of(node).announced?.view ?? 0) >= view.number),
    );
    this.#farewell = { view, known };
    // Nobody else may be left who can tell it: its peers hear in its heartbeats that it is where they are.
    this.#sendChosen(peers & ~known, view);
    outbox.report({ type: "isRemoved", view });
  }

  #goOver(view: View): void {
    const { membership, counters } = this.#context;
    const { view: before, isMember: wasMember } = membership;
    if (view.number <= before.number) return;
    counters.viewsInstalled++;
    if (view.number >= (this.#farewell?.view.number ?? 0)) this.#farewell = undefined;
    if (this.#attempt !== undefined && this.#attempt.ballot <= view.ballot) {
      this.#attempt = undefined;
      this.#tryAt = -Infinity;
    } else if ((this.#attempt?.proposal?.number ?? Infinity) <= view.number) {
      // The attempt is for this view under a later ballot, which froze others. It can lead to
      // nothing now: give it up, so that they do not wait for it.
      this.#giveUp();
    }
    membership.install(view, this.#context.now);
    this.#host.onInstalled(before, wasMember);
    // Still frozen for a later ballot: send that promise again.
    // Its record may come after that of the view. A node that does not take part yet promises nothing.
    if (membership.isFrozen && membership.isVerified) this.promiseAgain();
    const asked = this.#asked;
    if (asked !== undefined) {
      asked.isMissed ||= asked.isProposed && view.number > before.number + 1;
      asked.isProposed &&= this.#attempt?.proposal !== undefined;
    }
    this.#answerAsked();
  }

  /** A link is up: the peer may have missed what this attempt asked for. */
  onPeerUp(peer: NodeId): void {
    const attempt = this.#attempt;
    const { membership, self, outbox } = this.#context;
    if (attempt === undefined || attempt.installAt !== undefined) return;
    // The peer may have a new, empty journal: a node that has joined says so again.
    attempt.confirmed.delete(peer);
    // Or an older copy of its journal: then it has forgotten what it had accepted.
    if (!membership.counts(peer)) attempt.accepts &= ~only(peer);
    // Not after the proposal: the promises also say which nodes may still have a lease.
    const { ballot, proposal } = attempt;
    if (proposal === undefined && attempt.promises.get(peer)?.isJoined === true) {
      attempt.promises.delete(peer);
    }
    // Otherwise all linked nodes are asked as soon as this node's own promise is durable.
    if (attempt.promises.has(self)) this.#ask(only(peer), ballot);
    if (proposal !== undefined) {
      const view = membership.view.number;
      outbox.send(only(peer), { type: "viewAccept", view, ballot, proposal });
    }
  }

  /** `peer` is in the view `theirs`: if that is an earlier one, this node sends it the latest that it knows. */
  catchUp(peer: NodeId, theirs: number): void {
    const { membership, outbox } = this.#context;
    const { view } = membership;
    const farewell = this.#farewell;
    if (farewell !== undefined) {
      if (theirs >= farewell.view.number) {
        farewell.known |= only(peer);
        this.install(farewell.view);
      } else if (membership.mayShowView(peer)) this.#sendChosen(only(peer), farewell.view);
      return;
    }
    if (theirs >= view.number || !membership.mayShowView(peer)) return;
    this.#sendChosen(only(peer), view);
    // It could not accept this node's proposal before.
    const { ballot, proposal } = this.#attempt ?? {};
    if (ballot === undefined || proposal === undefined || proposal.number !== view.number + 1) {
      return;
    }
    outbox.send(only(peer), { type: "viewAccept", view: view.number, ballot, proposal });
  }

  /** Sends the installed view, which does not list `peer`, to it: so it learns that it was removed. */
  tellUnlisted(peer: NodeId, { view: theirs, cluster }: ViewInstalled): void {
    const { membership: { view } } = this.#context;
    if (theirs >= view.number || theirs === 0 || cluster !== view.cluster.id) return;
    this.#sendChosen(only(peer), view);
  }

  /** Handles a message about the choice of views. */
  onMessage(from: NodeId, message: ViewChangeMessage): void {
    switch (message.type) {
      case "viewPrepare":
        this.onViewPrepare(from, message);
        return;
      case "viewPromise":
        this.onViewPromise(from, message);
        return;
      case "viewRefuse":
        this.onViewRefuse(from, message);
        return;
      case "viewAbandoned":
        this.#onAbandoned(message.ballot);
        return;
      case "viewAccept":
        this.onViewAccept(from, message);
        return;
      case "viewAccepted":
        this.onViewAccepted(from, message);
        return;
      case "viewInstall":
        this.#onViewInstall(message.chosen);
        return;
      default:
        message satisfies never;
    }
  }
}

/**
 * Tells whether the promises of `nodes` are enough: for view 1 all are needed, or a node with a
 * wiped disk might start the cluster again.
 */
function isEnoughFor(view: View, nodes: NodeSet): boolean {
  const all = configuredNodes(view);
  return view.number === 0 ? (nodes & all) === all : quorumForNext(view).isReachedBy(nodes);
}
