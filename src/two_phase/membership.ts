/**
 * Which nodes belong to the cluster: the installed view, the links, the lease, and the missing
 * members.
 *
 * A view is a number, a set of members, and the outcomes of the view before it; `view_change.ts`
 * says how one is chosen. View 0 is the view of a node that has not met the others yet: it accepts
 * nothing.
 *
 * A node that starts on a journal takes no part until a majority has confirmed that no process has
 * got further with that journal (`peer_journals.ts`): it neither votes, nor promises, nor reads.
 *
 * A node that restarts with another journal has lost its promises. For this reason views list
 * journals: such a node is a stranger, what it says about views does not count, and it becomes a
 * member again only as a joiner.
 *
 * Views also say which cluster they belong to. From view 0 a node enters some cluster, and stays in
 * it: it has no link to nodes of another cluster, whatever they send.
 *
 * @module
 */

import type { Clocks } from "./clocks.ts";
import { ClusterTime } from "./cluster_time.ts";
import { Lease } from "./lease.ts";
import {
  type AcceptedProposal,
  type Ballot,
  type Heartbeat,
  type HeartbeatAcknowledged,
  isRecoveredCluster,
  type Joined,
  type JournalSighting,
  type Leaving,
  type MembershipRecord,
  type NodeId,
  type NodeSet,
  type View,
  type ViewInstalled,
} from "./messages.ts";
import { contains, members, NOBODY, only, setOf, size } from "./node_set.ts";
import type { NodeRecord, NodeRecords } from "./nodes.ts";
import type { Outbox } from "./outbox.ts";
import { isOlderCopy, PeerJournals } from "./peer_journals.ts";
import { configuredNodes, type Quorum, quorumForNext, quorumOf } from "./quorum.ts";
import type { Reachability } from "./reachability.ts";
import type { SlowMembers } from "./slow_members.ts";
import type { Stillness } from "./stillness.ts";
import type { Timing } from "./timing.ts";

/**
 * What a node says of itself when a link comes up. `position` is how far its journal had come when the
 * process began.
 */
export type PeerIdentity = JournalSighting;

/** What a process knows of itself before its journal is recovered. */
export type ProcessIdentity = Omit<PeerIdentity, "position">;

/** What {@linkcode Membership} needs. */
export interface MembershipOptions {
  readonly self: NodeId;
  /** By id: the names of the nodes that are configured; `""` for an id that no node has. */
  readonly names: readonly string[];
  readonly nodes: NodeRecords;
  readonly identity: ProcessIdentity;
  readonly timing: Timing;
  readonly outbox: Outbox;
  readonly stillness: Stillness;
  readonly reachability: Reachability;
  readonly slowMembers: SlowMembers;
}

/** Knows the installed view, and which of its members are up. */
export class Membership {
  readonly lease: Lease;
  /** What time it is for the cluster. */
  readonly time: ClusterTime = new ClusterTime();
  #isClockOff = false;
  /** What this node's disk records of the others' journals. */
  readonly peerJournals = new PeerJournals();
  /**
   * Set if this node has joined in the installed view: it holds everything that a frozen member
   * held.
   */
  joined: Joined | undefined;
  /** The same, once its record is durable and may be announced. */
  joinedDurably: Joined | undefined;
  /** A chosen view whose record is appended but not durable yet, so it is not installed. */
  installing: View | undefined;
  /**
   * How much higher the next start's incarnation will be than the number of starts on the journal.
   */
  offset = 0;
  readonly #self: NodeId;
  #identity: PeerIdentity;
  readonly #timing: Timing;
  readonly #outbox: Outbox;
  readonly #stillness: Stillness;
  readonly #nodes: NodeRecords;
  readonly #reachability: Reachability;
  readonly #slowMembers: SlowMembers;
  #view: View;
  #all: NodeSet;
  #quorum: Quorum;
  #promised: Ballot = 0;
  #promisedTo = "";
  #accepted: AcceptedProposal | undefined;
  #acceptedDurably: AcceptedProposal | undefined;
  /** Nodes that there is a connection to. */
  #connected: NodeSet;
  /** Those of them that are not known to be of another cluster. */
  #linked: NodeSet;
  #installed: NodeSet = NOBODY;
  #heartbeatAt = -Infinity;
  /** The nodes that this node heard when it sent the last heartbeat. */
  #heard: NodeSet = NOBODY;
  /** Peers that have reported that their disk hangs, or is full. */
  #stuck: NodeSet = NOBODY;
  #isLeaving = false;
  #isDiskFull = false;
  /** How many processes were started on this journal, this one included. */
  #starts = 0;
  #isVerified = false;
  /** An event has reported that this node can start over. */
  #isToStartOver = false;
  /** Peers that have said what they know of this node's journal. */
  #told: NodeSet = NOBODY;
  /** Peers that run on an older copy of their journal, as the disk of this node shows. */
  #olderCopies: NodeSet = NOBODY;
  /** Peers that contradict the majority that has vouched for this node's journal. */
  #contradicting: NodeSet = NOBODY;
  /** The view lists this node, but the node does not hold what members hold, so it is not one. */
  #isIncomplete = false;
  /** This process answers no more reads in the installed view: it is to leave the list. */
  #readsNoMore = false;
  /** The name of this node. */
  readonly #name: string;
  /** Ids that have another name than when the link to them came up, or none. */
  #renamed: NodeSet = NOBODY;
  #forgotAt = -Infinity;
  #wasComplete = false;
  /** Since this view the same nodes count, on the same journals, as far as this process knows. */
  #sameVotersSince = 0;

  constructor(options: MembershipOptions) {
    const { names, self, timing } = options;
    this.lease = new Lease(timing.leaseMs);
    this.#self = self;
    this.#name = names[self] ?? "";
    this.#identity = { ...options.identity, position: 0 };
    this.#timing = timing;
    this.#outbox = options.outbox;
    this.#stillness = options.stillness;
    this.#nodes = options.nodes;
    this.#reachability = options.reachability;
    this.#slowMembers = options.slowMembers;
    this.#nodes.of(self).met = this.#identity;
    this.#connected = only(self);
    this.#linked = only(self);
    this.#view = {
      number: 0,
      cluster: { id: "" },
      ballot: 0,
      names,
      members: NOBODY,
      journals: names.map(() => ""),
      commits: [],
      bases: names.map(() => 0),
    };
    this.#all = configuredNodes(this.#view);
    this.#quorum = quorumOf(this.#view);
  }

  // --- The view ------------------------------------------------------------------------------

  get view(): View {
    return this.#view;
  }

  get members(): NodeSet {
    return this.#view.members;
  }

  /** All configured nodes. */
  get all(): NodeSet {
    return this.#all;
  }

  /** All configured nodes but this one. */
  get others(): NodeSet {
    return this.#all & ~only(this.#self);
  }

  /** The quorum of the configured nodes that count. */
  get quorum(): Quorum {
    return this.#quorum;
  }

  /** Returns the name of `node`. */
  nameOf(node: NodeId): string {
    return this.#view.names[node] ?? "";
  }

  /** Returns the names of `nodes`, in order, as a sentence lists them. */
  namesOf(nodes: NodeSet | readonly NodeId[]): string {
    const ids = typeof nodes === "number" ? members(nodes) : nodes;
    return ids.map((node) => this.nameOf(node)).join(", ");
  }

  /** The highest ballot promised: this node takes part in no lower one. */
  get promised(): Ballot {
    return this.#promised;
  }

  /** The journal of the proposer that has the promise; `""` if the ballot came with a view. */
  get promisedTo(): string {
    return this.#promisedTo;
  }

  /** The proposal accepted last, while it is for a later view than the installed one. */
  get accepted(): AcceptedProposal | undefined {
    return this.#accepted;
  }

  /** The same, once it is durable and may be announced. */
  get acceptedDurably(): AcceptedProposal | undefined {
    return this.#acceptedDurably;
  }

  /** Tells whether this node, with the journal that it has, is a member of the installed view. */
  get isMember(): boolean {
    return this.#isListed(this.#view) && !this.#isIncomplete;
  }

  #isListed(view: View): boolean {
    return contains(view.members, this.#self) &&
      view.journals[this.#self] === this.#identity.journal;
  }

  /**
   * Tells whether this node holds what a member of `view` must hold: it was a member of the view
   * before, or has joined in it. A node that missed the view before does not.
   */
  #isComplete(view: View): boolean {
    const isNext = this.#view.number === view.number - 1;
    return view.number === 1 || isNext && (this.isMember || this.joined !== undefined);
  }

  /** While this node's promise is above its view, it neither votes nor decides. */
  get isFrozen(): boolean {
    return this.#promised > this.#view.ballot;
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** The installed view does not list this node: it was removed, and serves nothing. */
  get isRemoved(): boolean {
    return this.#view.number > 0 && this.#view.names[this.#self] !== this.#name;
  }

  /**
   * Tells whether what comes from `node` is from the node that the installed view lists under that id. A
   * link may be that of one that has been removed since it came up.
   */
  lists(node: NodeId): boolean {
    return this.#view.number === 0 ||
      (this.#view.names[node] ?? "") !== "" && !contains(this.#renamed, node);
  }

  /**
   * When this process last forgot which heartbeats of a node it had acknowledged, because that node has
   * another journal or its id another node; `-Infinity` if it has not. Monotonic, in milliseconds.
   */
  get forgotAt(): number {
    return this.#forgotAt;
  }

  /** Another node has the id of `node` now, or none: what was known of it is over. */
  forgetRenamed(node: NodeId, now: number): void {
    if (this.#nodes.of(node).acknowledged > 0) this.#forgotAt = now;
    this.onPeerDown(node);
    this.#renamed |= only(node);
    this.#olderCopies &= ~only(node);
    this.#contradicting &= ~only(node);
    this.#told &= ~only(node);
    this.#nodes.forget(node);
  }

  /** This process answers no more reads in the installed view, as it is to leave the list. */
  giveUpReading(): void {
    this.#readsNoMore = true;
    this.lease.end();
  }

  /** See {@linkcode giveUpReading}. */
  get readsNoMore(): boolean {
    return this.#readsNoMore;
  }

  /** Raises the promise; `journal` is that of the proposer. */
  promise(ballot: Ballot, journal: string): void {
    if (ballot <= this.#promised) return;
    this.#promised = ballot;
    this.#promisedTo = journal;
  }

  accept(accepted: AcceptedProposal): void {
    this.promise(accepted.ballot, accepted.journal);
    this.#accepted = accepted;
  }

  /** The record of `accepted` is durable. */
  acceptedIsDurable(accepted: AcceptedProposal): void {
    if (this.#accepted === accepted) this.#acceptedDurably = accepted;
  }

  /** Restores an accepted proposal from the journal. */
  restoreAccepted(accepted: AcceptedProposal): void {
    this.accept(accepted);
    this.#acceptedDurably = accepted;
  }

  /** Installs a view that was chosen, and is durable here. */
  install(view: View, now: number): void {
    const before = this.#view;
    this.restore(view);
    this.#readsNoMore = false;
    this.lease.end();
    this.#installed = this.isMember ? only(this.#self) : NOBODY;
    for (const node of members(this.#linked & this.others)) {
      if (this.#isInSameView(node)) this.#installed |= only(node);
    }
    for (const node of members(view.members)) this.#hear(this.#nodes.of(node), now);
    this.#forgetLeaving(before, view);
    this.#heartbeatAt = -Infinity;
    // A node that the view removes waits for that, see `ViewChange`.
    this.announce(this.#connected & ~only(this.#self));
    this.#verify(); // Other nodes may count now.
    this.#startOverIfPossible();
    this.#reportComplete();
  }

  /**
   * A member readmitted after leaving is alive. Clear the old notice, or a node that met only the
   * earlier process would exclude it from the very next view. If its disk is new and its
   * incarnations start from 1 again, that node would not even wait for the lease that the member
   * may hold by then.
   */
  #forgetLeaving(before: View, view: View): void {
    for (const node of members(view.members)) {
      const wasMember = contains(before.members, node) &&
        before.journals[node] === view.journals[node];
      const isMet = contains(this.#linked, node) && this.counts(node);
      if (!wasMember && !isMet) this.#nodes.of(node).left = 0;
    }
  }

  /** Restores a view from the journal. */
  restore(view: View): void {
    this.#isIncomplete = this.#isListed(view) && !this.#isComplete(view);
    const quorum = quorumOf(view);
    const isSame = quorum.nodes === this.#quorum.nodes &&
      members(quorum.nodes).every((node) => view.journals[node] === this.#view.journals[node]);
    if (!isSame) this.#sameVotersSince = view.number;
    this.#view = view;
    this.#all = configuredNodes(view);
    this.#quorum = quorum;
    // By this view it is a member, or it is outside and has to join again.
    this.restoreJoined(undefined);
    this.#dropForeign();
    this.promise(view.ballot, "");
    const proposal = this.#accepted?.proposal;
    if (proposal === undefined) return;
    // Before its first view, a node may have accepted a view of another cluster.
    const isForeign = proposal.cluster.id !== view.cluster.id;
    if (proposal.number > view.number && !isForeign) return;
    this.#accepted = undefined;
    this.#acceptedDurably = undefined;
  }

  /** How this node identifies itself to its peers. */
  get identity(): PeerIdentity {
    return this.#identity;
  }

  /** Restores from the journal what this node holds as a joiner. */
  restoreJoined(joined: Joined | undefined): void {
    this.joined = joined;
    this.joinedDurably = joined;
  }

  /** Restores the membership state of a checkpoint. */
  restoreMembership(record: MembershipRecord): void {
    // In view 0 the list is that with which the process starts: the one of before may have been changed.
    if (record.view.number > 0) this.restore(record.view);
    this.restoreJoined(record.joined);
    this.offset = record.offset;
    this.#isIncomplete = this.#isListed(record.view) && !record.isMember;
  }

  /** Tells whether `node`, with the journal that it says it has now, is a member. */
  isInside(node: NodeId): boolean {
    return contains(this.#view.members, node) && this.counts(node) && !this.#saysItIsOutside(node);
  }

  #saysItIsOutside(node: NodeId): boolean {
    const { announced } = this.#nodes.of(node);
    return announced?.view === this.#view.number && !announced.isMember;
  }

  /** The offset with which the start after this one has a higher incarnation than `incarnation`. */
  offsetFor(incarnation: number): number {
    return Math.max(this.offset, incarnation - this.#starts);
  }

  /** This process continues with numbers of a later incarnation. */
  startIncarnation(incarnation: number): void {
    this.#identity = { ...this.#identity, incarnation };
    this.#nodes.of(this.#self).met = this.#identity;
  }

  /**
   * `node` says that it continues with numbers of a later incarnation than when its link came up.
   */
  #noteIncarnation(node: NodeId, incarnation: number): void {
    const record = this.#nodes.of(node);
    const { met } = record;
    if (met !== undefined && incarnation > met.incarnation) record.met = { ...met, incarnation };
  }

  /**
   * Begins, after recovery.
   *
   * @param how `isTrusted`: nothing can be later than the journal. Either there was nothing to
   * recover, or the operator has just started a new cluster from it.
   */
  start({ isTrusted }: { isTrusted: boolean }): void {
    const { incarnation } = this.#identity;
    this.#starts = incarnation;
    this.#identity = {
      ...this.#identity,
      incarnation: incarnation + this.offset,
      position: this.#outbox.progress,
    };
    this.#nodes.of(this.#self).met = this.#identity;
    // No process has got further with this journal, so there is nothing to ask the others.
    if (isTrusted) this.#isVerified = true;
    this.#verify();
    if (this.isMember) this.#installed |= only(this.#self);
    this.#reportComplete();
  }

  // --- Links ---------------------------------------------------------------------------------

  /** The nodes that this one has a link to, and itself. None of them is of another cluster. */
  get linked(): NodeSet {
    return this.#linked;
  }

  /** The members that are linked and in this node's view, this one among them. */
  get ready(): NodeSet {
    return this.#linked & this.#installed & this.#view.members;
  }

  /** The members that stand in the way of a write: not linked, or not in the view yet. */
  get missing(): NodeId[] {
    return members(this.#view.members & ~this.ready);
  }

  /** What `node` said of itself when its link last came up. */
  identityOf(node: NodeId): PeerIdentity | undefined {
    return this.#nodes.of(node).met;
  }

  /** Tells whether what `node` says about views counts: `view` lists the journal that it has. */
  counts(node: NodeId, view: View = this.#view): boolean {
    if (this.isDistrusted(node)) return false;
    // In view 0 no node is part of a cluster yet: all nodes count, and all are needed.
    const { met } = this.#nodes.of(node);
    if (view.number === 0) return met !== undefined;
    return met?.journal === view.journals[node];
  }

  /**
   * Tells whether `view` is of the cluster of this node. In view 0 the node is in no cluster, and
   * may enter any.
   */
  isOwnCluster(view: View): boolean {
    const own = this.installing ?? this.#view;
    return own.number === 0 || view.cluster.id === own.cluster.id;
  }

  /**
   * Tells whether `node` says that it is of another cluster. Then nothing else that it says counts.
   */
  isForeign(node: NodeId): boolean {
    const { announced } = this.#nodes.of(node);
    return announced !== undefined && announced.view > 0 && this.#view.number > 0 &&
      announced.cluster !== this.#view.cluster.id;
  }

  /** Drops the links to nodes that turn out to be of another cluster. */
  #dropForeign(): void {
    for (const node of members(this.#linked & this.others)) {
      if (!this.isForeign(node)) continue;
      this.#linked &= ~only(node);
      this.#installed &= ~only(node);
      this.#outbox.report({ type: "foreignPeer", peer: node });
    }
  }

  /**
   * Tells whether `node`, which is in an earlier view, may be shown the installed one. A node that
   * has lost its quorum shows it only to nodes that count in it: a new node in the place of one may
   * be meant for another cluster, which continues without this one's members.
   */
  mayShowView(node: NodeId): boolean {
    if (this.counts(node)) return true;
    return quorumForNext(this.#view).isReachedBy(this.#counting(this.#linked));
  }

  /** Those of `nodes` whose word counts. */
  #counting(nodes: NodeSet): NodeSet {
    return setOf(members(nodes).filter((node) => this.counts(node)));
  }

  /** The linked nodes that say they are in a view already. */
  get preceding(): NodeId[] {
    return members(this.#linked).filter((node) => (this.#nodes.of(node).announced?.view ?? 0) > 0);
  }

  /**
   * This node has started a new cluster by force, which has too few members yet to serve requests.
   */
  get isGathering(): boolean {
    return isRecoveredCluster(this.#view) && !this.#quorum.isReachedBy(this.#view.members);
  }

  /**
   * A link has come up.
   *
   * @param about what the peer says of itself, and what its disk records of this node's journal
   */
  onPeerUp(
    node: NodeId,
    { identity, known, now }: {
      identity: PeerIdentity;
      known: JournalSighting | undefined;
      now: number;
    },
  ): void {
    this.#renamed &= ~only(node);
    this.#told |= only(node);
    this.#connected |= only(node);
    this.#linked |= only(node);
    this.#installed &= ~only(node);
    const record = this.#nodes.of(node);
    record.announced = undefined;
    if (record.met?.journal !== identity.journal) {
      // Another journal counts its incarnations from the start again.
      const hasAcknowledged = record.acknowledged > 0;
      if (hasAcknowledged) this.#forgotAt = now;
      record.acknowledged = 0;
      record.left = 0;
      record.firstMet = hasAcknowledged ? 0 : identity.incarnation;
    }
    record.met = identity;
    this.#judge(node, identity);
    this.#hearOfOwn(node, known);
    this.#see(node, identity, now);
    if (!this.isOlderCopy) this.announce(only(node));
    this.#verify();
  }

  /**
   * `node` says what its disk records of this node's journal.
   *
   * A node that takes part continues, whatever it hears: a majority has vouched for its journal, so
   * a peer that knows more of it runs on a journal from elsewhere. If two nodes each know more of
   * the other's journal, that proves nothing about either.
   */
  #hearOfOwn(node: NodeId, seen: JournalSighting | undefined): void {
    const record = this.#nodes.of(node);
    const isLater = seen !== undefined && isOlderCopy(this.#identity, seen);
    record.accusation = isLater ? seen : undefined;
    this.#contradicting &= ~only(node);
    if (!isLater) return;
    const own = this.#identity;
    if (this.#isVerified) {
      this.#contradicting |= only(node);
      this.#outbox.report({ type: "contradicted", peer: node, own, seen });
    } else if (this.#isAccuser(record)) {
      this.#outbox.report({ type: "olderCopy", peer: node, own, seen });
    }
  }

  /**
   * Tells whether the node of `record` knows of more records of this node's journal than it holds.
   */
  #isAccuser(record: NodeRecord): boolean {
    return record.accusation !== undefined && !contains(this.#olderCopies, record.id) &&
      !this.isForeign(record.id);
  }

  /**
   * This node's journal is an older copy, and a member that takes part says so: this node can give
   * the journal up, and join from empty. Before there is such a member, it might be the best copy
   * that is left.
   *
   * The node that knows of the later records need not be such a member, and may be gone: if a majority takes
   * part without this node, its copy is not needed.
   *
   * A node that takes part does the same once a view has left it out: then it holds nothing, and with
   * another journal nobody distrusts it.
   */
  #startOverIfPossible(): void {
    const isOlderCopy = this.isOlderCopy;
    const isOutside = this.#isVerified && this.#view.number > 0 && !this.isMember &&
      this.joined === undefined;
    if (this.#isToStartOver || !isOlderCopy && !isOutside) return;
    const takingPart = [...this.#nodes.all()].filter((record) => this.#takesPart(record));
    const isMajority = this.#quorum.isReachedBy(setOf(takingPart.map(({ id }) => id)));
    const heeded = takingPart.find((record) =>
      isOlderCopy ? isMajority || this.#isAccuser(record) : record.accusation !== undefined
    );
    if (heeded === undefined) return;
    this.#isToStartOver = true;
    this.#outbox.report({ type: "startOver", peer: heeded.id });
  }

  /** Tells whether a node has said that it takes part, in a view no earlier than this node's. */
  #takesPart({ id, announced }: NodeRecord): boolean {
    if (announced?.isVerified !== true || this.isForeign(id)) return false;
    // A node that is in no view yet has nothing to lose. What is behind may never hear of a later view.
    const { number } = this.#view;
    return number === 0 || announced.isMember && announced.view >= number;
  }

  /** Checks whether a peer runs on an older copy of its journal. */
  #judge(node: NodeId, identity: PeerIdentity): void {
    const seen = this.peerJournals.of(node);
    this.#olderCopies &= ~only(node);
    if (seen === undefined || !isOlderCopy(identity, seen)) return;
    this.#olderCopies |= only(node);
    this.#outbox.report({ type: "peerOnOlderCopy", peer: node });
  }

  /** Records how far the journal of a peer has come, if it is the one that counts. */
  #see(node: NodeId, seen: JournalSighting, now: number): void {
    if (!this.counts(node)) return;
    const record = this.peerJournals.see(node, seen, now);
    if (record !== undefined) this.#outbox.append(record);
  }

  /**
   * Tells whether this node takes part: a majority of the nodes (nodes whose journals count, or
   * that say they are members) have told it what they know of its journal, and none of them knows
   * of more than it holds.
   */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /** Tells whether `node` runs on an older copy of its journal. */
  hasOlderCopy(node: NodeId): boolean {
    return contains(this.#olderCopies, node);
  }

  /**
   * Tells whether nothing that `node` says counts, whichever journal the view lists: it runs on an older
   * copy of its journal, or on one from elsewhere.
   */
  isDistrusted(node: NodeId): boolean {
    return contains(this.#olderCopies | this.#contradicting, node);
  }

  /**
   * Another node knows of more records of this node's journal than it holds. So it is an older
   * copy, and this node does nothing and says nothing.
   */
  get isOlderCopy(): boolean {
    if (this.#isVerified) return false;
    for (const record of this.#nodes.all()) if (this.#isAccuser(record)) return true;
    return false;
  }

  #verify(): void {
    if (this.#isVerified || this.isOlderCopy) return;
    let vouching = this.counts(this.#self) ? only(this.#self) : NOBODY;
    for (const node of members(this.#told & this.#linked)) {
      const { announced } = this.#nodes.of(node);
      // Perhaps only a view later than this node's lists its journal.
      const isInView = (announced?.view ?? 0) > 0 && announced?.isMember === true;
      if (this.hasOlderCopy(node)) continue;
      if (this.counts(node) || isInView) vouching |= only(node);
    }
    const isEnough = isRecoveredCluster(this.#view)
      ? this.#isEnoughInRecovered(vouching)
      : this.#quorum.isReachedBy(vouching);
    if (!isEnough) return;
    this.#isVerified = true;
    for (const node of members(this.#linked & this.others)) {
      if (this.#isInSameView(node)) this.#installed |= only(node);
    }
    this.announce(this.#connected & this.others);
    this.#outbox.report({ type: "verified" });
    this.#reportComplete();
  }

  /**
   * The first view of a recovered cluster lists one journal. The owner of that journal cannot know
   * whether a later view was chosen, unless it hears from so many others that a member of the later
   * view must be among them. Any other node is outside, and may hear from any node.
   */
  #isEnoughInRecovered(vouching: NodeSet): boolean {
    if (!this.counts(this.#self)) return vouching !== NOBODY;
    const { size: nodes, needed } = this.#quorum;
    const heard = size(this.#told & this.#linked & this.others & ~this.#olderCopies);
    return heard >= Math.min(nodes - 1, nodes - needed + 1);
  }

  onPeerDown(node: NodeId): void {
    this.#connected &= ~only(node);
    this.#linked &= ~only(node);
    this.#installed &= ~only(node);
    this.#stuck &= ~only(node);
    this.#nodes.of(node).announced = undefined;
    this.time.forget(node);
  }

  /** @returns whether the peer is a member of the same view as this node. */
  onViewInstalled(from: NodeId, message: ViewInstalled): boolean {
    this.#nodes.of(from).announced = message;
    this.#dropForeign();
    this.#startOverIfPossible();
    // By what it had said it was of another cluster, and now it is not.
    if (contains(this.#connected, from) && !this.isForeign(from)) this.#linked |= only(from);
    this.#verify();
    if (!this.#isInSameView(from)) {
      this.#installed &= ~only(from);
      return false;
    }
    this.#installed |= only(from);
    this.#reportComplete();
    return true;
  }

  #isInSameView(node: NodeId): boolean {
    const { announced } = this.#nodes.of(node);
    return this.#isVerified && announced?.isMember === true && announced.isVerified &&
      announced.view === this.#view.number && this.isMember && !this.isForeign(node) &&
      contains(this.#view.members, node) && this.counts(node);
  }

  announce(to: NodeSet): void {
    const { number: view, cluster: { id: cluster } } = this.#view;
    const { isMember, isVerified } = this;
    this.#outbox.send(to, { type: "viewInstalled", view, cluster, isMember, isVerified });
  }

  #reportComplete(): void {
    if (this.#wasComplete || !this.mayWrite) return;
    this.#wasComplete = true;
    this.#outbox.report({ type: "complete" });
  }

  // --- What may be done ----------------------------------------------------------------------

  /** Tells whether this node may answer reads from its memory, at `now` by both clocks. */
  mayRead(now: Clocks): boolean {
    return this.isMember && this.#isVerified && !this.#readsNoMore && this.lease.holds(now);
  }

  /** Tells whether a write can now go to all members. */
  get mayWrite(): boolean {
    return this.isMember && this.#isVerified && !this.isFrozen && !this.#isLeaving &&
      !this.#isDiskFull && !this.isGathering && this.ready === this.#view.members &&
      this.stuckMembers === NOBODY;
  }

  // --- Heartbeats ----------------------------------------------------------------------------

  /** A message has come from `node`. */
  onHeard(node: NodeId, now: number): void {
    if (this.counts(node)) this.#hear(this.#nodes.of(node), now);
  }

  #hear({ heard }: NodeRecord, now: number): void {
    heard.at = now;
    heard.stoodStillMs = this.#stillness.totalMs;
  }

  /** `node` has taken in a part of what is sent to it, and more waits to be sent. */
  onTaken(node: NodeId, now: number): void {
    this.#nodes.of(node).took = { at: now, stoodStillMs: this.#stillness.totalMs };
  }

  /** Those of `nodes` that were still taking in what is sent to them, within the suspicion time. */
  stillTaking(nodes: NodeSet, now: number): NodeSet {
    let set = NOBODY;
    for (const node of members(nodes)) {
      const { took } = this.#nodes.of(node);
      if (this.#stillness.msSince(took, now) < this.#timing.suspicionMs) set |= only(node);
    }
    return set;
  }

  #isSilent(node: NodeId, now: number): boolean {
    const { heard } = this.#nodes.of(node);
    return this.#stillness.msSince(heard, now) > this.#timing.suspicionMs;
  }

  /** Says so if the wall clock of this node is wrong, or right again. */
  #compareClocks(now: Clocks): void {
    const isOff = !this.time.mayExpire(now);
    if (isOff === this.#isClockOff) return;
    this.#isClockOff = isOff;
    if (isOff) this.#outbox.report({ type: "clockIsOff", offMs: this.time.offMs(now) });
    else this.#outbox.report({ type: "clockIsRight" });
  }

  /** Starts a heartbeat round if it is due. */
  onTick(now: Clocks): void {
    this.lease.endIfClocksParted(now);
    const hears = this.#reachability.heard(now.monotonicMs) & this.#linked;
    // That this node hears another one is told at once: it may be what a joiner waits for.
    const isDue = now.monotonicMs - this.#heartbeatAt >= this.#timing.heartbeatMs;
    if (!isDue && (hears & ~this.#heard) === NOBODY) return;
    this.#heard = hears;
    this.#heartbeatAt = now.monotonicMs;
    this.#compareClocks(now);
    const { number: view, ballot } = this.#view;
    const mayCount = this.#isVerified && !this.isFrozen && !this.#isLeaving && this.isMember &&
      !this.#readsNoMore;
    const own = mayCount ? only(this.#self) : NOBODY;
    const round = this.lease.begin({ sentAt: now, own, quorum: this.#quorum });
    const { incarnation } = this.#identity;
    const to = this.#linked & this.others;
    const position = this.#outbox.durableProgress;
    const isStuck = this.isStuck(now.monotonicMs);
    const { ownForceMs: forceMs } = this.#slowMembers;
    this.#onForceTime(this.#self, forceMs, now.monotonicMs);
    this.#outbox.send(to, {
      type: "heartbeat",
      view,
      ballot,
      incarnation,
      round,
      position,
      isStuck,
      hears,
      forceMs,
    });
  }

  #onForceTime(node: NodeId, forceMs: number, now: number): void {
    const change = this.#slowMembers.onTold(node, forceMs, now);
    if (change !== undefined) this.#outbox.report({ type: "slowDisk", ...change });
  }

  /**
   * Tells whether nothing becomes durable here: the disk is full, or a force has been under way for longer
   * than the suspicion time.
   */
  isStuck(now: number): boolean {
    const { forcingSince } = this.#outbox;
    return this.#isDiskFull || forcingSince !== undefined &&
        this.#stillness.msSince(forcingSince, now) > this.#timing.suspicionMs;
  }

  /** Nothing becomes durable here until there is room on the disk. */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** The disk of this node is full, or has room again: the others are told with the next tick. */
  onRoom(isDiskFull: boolean): void {
    this.#isDiskFull = isDiskFull;
    this.#heartbeatAt = -Infinity;
  }

  onHeartbeat(from: NodeId, message: Heartbeat, now: Clocks): void {
    const { view, ballot, incarnation, round, position } = message;
    this.#stuck = message.isStuck ? this.#stuck | only(from) : this.#stuck & ~only(from);
    this.#reachability.onHeartbeat(from, message.hears);
    this.#onForceTime(from, message.forceMs, now.monotonicMs);
    this.#noteIncarnation(from, incarnation);
    const record = this.#nodes.of(from);
    const { met } = record;
    if (met !== undefined) this.#see(from, { ...met, incarnation, position }, now.monotonicMs);
    if (!this.#isVerified) return;
    // Whoever chooses the view after the sender's waits for no lease that begins after this node's promise.
    // That is judged by views: ballots may be lower in a later view, as two lists need share no majority.
    if (view < this.#view.number) return;
    if (view === this.#view.number ? this.isFrozen : this.#promised > ballot) return;
    if (incarnation < record.acknowledged) return;
    record.acknowledged = incarnation;
    const wallMs = Math.max(0, Math.floor(now.wallMs));
    const type = "heartbeatAcknowledged";
    this.#outbox.send(only(from), { type, view, incarnation, round, wallMs });
  }

  onHeartbeatAcknowledged(from: NodeId, message: HeartbeatAcknowledged, now: Clocks): void {
    if (message.view !== this.#view.number || !this.counts(from) || this.#isLeaving) return;
    if (this.#readsNoMore) return;
    if (message.incarnation !== this.#identity.incarnation) return;
    const sentAt = this.lease.acknowledge(from, message.round);
    if (sentAt === undefined) return;
    this.time.onSample(from, {
      peerWallMs: message.wallMs,
      sentAtMs: sentAt.monotonicMs,
      receivedAtMs: now.monotonicMs,
    });
  }

  // --- Leaving -------------------------------------------------------------------------------

  /** This node serves no more requests: the others need not wait for it. */
  leave(): void {
    this.#isLeaving = true;
    this.lease.end();
    const { number: view } = this.#view;
    const { incarnation } = this.#identity;
    this.#outbox.send(this.#linked & this.others, { type: "leaving", view, incarnation });
  }

  onLeaving(from: NodeId, message: Leaving): void {
    this.#noteIncarnation(from, message.incarnation);
    if (!this.counts(from)) return;
    const record = this.#nodes.of(from);
    record.left = message.incarnation;
    record.leftIn = message.view;
  }

  /**
   * The incarnation of `node` that has said it serves no more requests; 0 for none. It counts only if the
   * same nodes chose and gave leases then: a later process may have a lease in an earlier view, by
   * nodes that do not count now, or that were enough then.
   */
  leftIncarnation(node: NodeId): number {
    const { left, leftIn } = this.#nodes.of(node);
    return leftIn >= this.#sameVotersSince ? left : 0;
  }

  /** Tells whether the present process of `node` has said that it serves no more requests. */
  hasLeft(node: NodeId): boolean {
    if (node === this.#self) return this.#isLeaving;
    const { met, left } = this.#nodes.of(node);
    return met !== undefined && met.incarnation > 0 && left === met.incarnation;
  }

  // --- Missing members ----------------------------------------------------------------------

  /** Members that have been silent for the suspicion time, or are leaving. */
  suspected(now: number): NodeSet {
    let set = NOBODY;
    for (const node of members(this.#view.members & this.others)) {
      if (this.#isSilent(node, now) || this.#saysItIsOut(node)) set |= only(node);
    }
    return set;
  }

  /** Tells whether `node` is suspected only because nothing was heard of it. */
  isOnlySilent(node: NodeId, now: number): boolean {
    return this.#isSilent(node, now) && !this.#saysItIsOut(node);
  }

  /**
   * Tells whether `node` has said something for which it is to be left out. A node on an older copy of its
   * journal has: it may have forgotten what it had prepared.
   */
  #saysItIsOut(node: NodeId): boolean {
    return this.hasLeft(node) || this.#saysItIsOutside(node) || this.hasHungDisk(node) ||
      this.hasOlderCopy(node);
  }

  /** The linked members that have said that their disk hangs, or is full. */
  get stuckMembers(): NodeSet {
    return this.#stuck & this.ready;
  }

  /** Tells whether `node`, which is linked, has said that its disk hangs, or is full. */
  hasHungDisk(node: NodeId): boolean {
    return contains(this.#stuck & this.#linked, node);
  }

  /** The configured nodes whose word counts and that were heard from lately, this one included. */
  reachable(now: number): NodeSet {
    let set = NOBODY;
    for (const node of members(this.all)) {
      if (node === this.#self) {
        if (this.counts(node)) set |= only(node);
      } else if (!this.#isSilent(node, now)) set |= only(node);
    }
    return set;
  }

  /** Tells whether too few nodes can be reached to choose another view. */
  isBelowMajority(now: number): boolean {
    return this.#view.number > 0 && !this.#quorum.isReachedBy(this.reachable(now));
  }

  /** The nodes that are missing if there is no majority. */
  unreachable(now: number): NodeId[] {
    return members(this.#quorum.nodes & ~this.reachable(now) & ~only(this.#self));
  }
}
