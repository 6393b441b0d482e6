/**
 * What nodes say to each other, and what a node writes into its journal.
 *
 * Every message is a plain value: no functions, nothing shared, nothing that changes after it was
 * sent. Every message about a transaction carries the view that the transaction belongs to and the
 * transaction's number; the coordinator is the sender or the receiver of the message, as the table
 * in `README.md` says, so it is not repeated.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";

/**
 * What a node is called in messages and records: an integer from 0 to 30. When a cluster begins, a
 * node's id is its place in the sorted list of names. From then on views say which name has which
 * id. A node keeps its id for as long as the list has it; the id of one that is gone is only used again
 * when there is no other left.
 */
export type NodeId = number;

/** A set of nodes: bit `i` stands for the node with the id `i`. */
export type NodeSet = number;

/**
 * The number of a transaction, unique for its coordinator and for ever: incarnation · 2³² +
 * sequence. It grows with every transaction that the coordinator starts.
 */
export type TransactionNumber = number;

/** A reading of the hybrid clock: microseconds, an integer, see `hybrid_clock.ts`. */
export type Stamp = number;

/** What a transaction does to one key: a new value, or `undefined` for a deletion. */
export interface Effect {
  readonly key: ByteString;
  readonly value: ByteString | undefined;
  /** When the value expires, in milliseconds of wall-clock time since 1970; absent: never. */
  readonly expiresAtMs?: number | undefined;
  /** What happens to the key, as codes of `key_events.ts`; absent: what the value implies. */
  readonly events?: ByteString | undefined;
}

/**
 * A key and the last write to it, in the one form that memory, journal and transfers share. Without
 * a value the key was deleted.
 */
export interface KeyRecord extends Effect {
  /** The stamp of the transaction that wrote it: higher than that of any earlier write of the key. */
  readonly version: Stamp;
}

/** Coordinator → member: "can you commit this?" (Gray 1978, phase 1). */
export interface Prepare {
  readonly type: "prepare";
  readonly view: number;
  readonly number: TransactionNumber;
  /** Age of the request, kept over retries: the smaller stamp is the older one (wait-die). */
  readonly priority: Stamp;
  /** The version that every key written here gets. */
  readonly version: Stamp;
  readonly effects: readonly Effect[];
  /** Keys that were read and not written. They are locked, but readers do not wait for them. */
  readonly reads: readonly ByteString[];
  /** Undecided transactions of the same coordinator that hold one of the keys before this one. */
  readonly follows: readonly TransactionNumber[];
}

/**
 * Member → coordinator. `waiting` is not a vote: it says that the member is alive and a key is
 * busy.
 */
export interface Vote {
  readonly type: "vote";
  readonly view: number;
  readonly number: TransactionNumber;
  readonly vote: "yes" | "no" | "waiting";
  /** Why not; `none` with the other two. */
  readonly reason: NoReason | "none";
}

/**
 * Why a member votes no: `conflict`, an older transaction holds a key (wait-die); `view`, the
 * member is in another view; `follows`, it does not hold what this one follows; `aborted`, it
 * already knows of the abort.
 */
export type NoReason = "conflict" | "view" | "follows" | "aborted";

/** Coordinator → member: the transaction is committed (phase 2). */
export interface Commit {
  readonly type: "commit";
  readonly view: number;
  readonly number: TransactionNumber;
}

/** Coordinator → member: the transaction is aborted and never takes effect. */
export interface Abort {
  readonly type: "abort";
  readonly view: number;
  readonly number: TransactionNumber;
}

/** Member → coordinator: the abort is durable here, and the number is refused from now on. */
export interface AbortAcknowledged {
  readonly type: "abortAcknowledged";
  readonly view: number;
  readonly number: TransactionNumber;
}

/**
 * Coordinator → member: the request of this age, which was refused or aborted, does not come again: no
 * place in line need be kept for it.
 */
export interface Withdrawn {
  readonly type: "withdrawn";
  readonly view: number;
  readonly priority: Stamp;
}

/**
 * Member → coordinator: the outcome of every transaction of yours up to this number is durable
 * here.
 */
export interface Settled {
  readonly type: "settled";
  readonly view: number;
  readonly upTo: TransactionNumber;
}

/**
 * Coordinator → member: every member has settled my transactions up to this number (low-water
 * mark). They may be forgotten, and are refused from now on.
 */
export interface Forget {
  readonly type: "forget";
  readonly view: number;
  readonly upTo: TransactionNumber;
}

/**
 * Coordinator → member, after a restart or a new incarnation, and after everything that it sends
 * again: my transactions up to this number are aborted unless I have sent their decision or list
 * them here, because I have no record of them (presumed abort, Mohan et al. 1986, §3). Transactions
 * that I start from now on have higher numbers.
 */
export interface Recovered {
  readonly type: "recovered";
  readonly view: number;
  readonly upTo: TransactionNumber;
  /** Transactions that the coordinator continues. */
  readonly undecided: readonly TransactionNumber[];
}

/**
 * A ballot of the choice of views (Lamport 2001): round · 32 + node id, so that ballots are ordered
 * by round, then by node, across all view numbers. 0 means none.
 */
export type Ballot = number;

/** A transaction, named together with its coordinator. */
export interface TransactionId {
  readonly coordinator: NodeId;
  readonly number: TransactionNumber;
}

/** Which cluster a view belongs to. Messages of one cluster mean nothing in another. */
export interface ClusterId {
  /** Random; `""` in view 0, before the node knows its cluster. */
  readonly id: string;
  /** Absent if the nodes have started the cluster together. */
  readonly origin?: ClusterOrigin | undefined;
}

/** How one node started a cluster from its journal (`new_cluster.ts`). */
export interface ClusterOrigin {
  /** The name of that node. */
  readonly by: string;
  /** When, in milliseconds of wall-clock time. */
  readonly at: number;
  /** The first view of the cluster: that node is its only member. */
  readonly view: number;
}

/** A change of the list of nodes, as somebody asks for it. Nodes are given by their names. */
export type MemberChange =
  /** Adds a node: a learner first, and a member when it holds everything. */
  | { readonly kind: "add"; readonly name: string }
  /** Takes a node out of the list, dead or alive. */
  | { readonly kind: "remove"; readonly name: string }
  /** Adds `name` in the place of `replaces`, which leaves when `name` becomes a member. */
  | { readonly kind: "replace"; readonly name: string; readonly replaces: string }
  /** Takes a learner out of the list again. */
  | { readonly kind: "cancel"; readonly name: string };

/** A node in the list that does not count yet: it has an id and links, and is sent the keys. */
export interface Learner {
  readonly node: NodeId;
  /** The node that leaves the list when the learner becomes a member. */
  readonly replaces?: NodeId | undefined;
  /** Who asked for it, and when, in milliseconds of wall-clock time. */
  readonly by: string;
  readonly at: number;
}

/** What changed the list of nodes last. */
export interface ListChange {
  /** `admit`: a learner has become a member. */
  readonly kind: MemberChange["kind"] | "admit";
  readonly name: string;
  /** The name of the node that `name` replaces, or has replaced. */
  readonly replaces?: string | undefined;
  /** Who asked for it, and when, in milliseconds of wall-clock time. */
  readonly by: string;
  readonly at: number;
  /** The number of the view that made the change. */
  readonly view: number;
}

/** A view: the members of the cluster, and how the view before it ended. */
export interface View {
  /** 0 for a node that has not met the others yet: it accepts nothing. */
  readonly number: number;
  readonly cluster: ClusterId;
  /** The ballot under which it was chosen. */
  readonly ballot: Ballot;
  /** The names of the configured nodes, by id. `""`: no configured node has that id. */
  readonly names: readonly string[];
  readonly members: NodeSet;
  /** By node id: the id of the journal that counts for the node, member or not; `""` for none. */
  readonly journals: readonly string[];
  /** The undecided transactions of the view before that are committed. All others are aborted. */
  readonly commits: readonly TransactionId[];
  /** By node id: transactions of the node up to this number belong to earlier views. */
  readonly bases: readonly TransactionNumber[];
  /** Nodes of the list that do not count yet; absent or empty: none. */
  readonly learners?: readonly Learner[] | undefined;
  /** The last change of the list, by this view or an earlier one; absent: there was none. */
  readonly change?: ListChange | undefined;
}

/** Node → node: this is the view that I have installed. Sent whenever a link comes up. */
export interface ViewInstalled {
  readonly type: "viewInstalled";
  readonly view: number;
  /** The id of the view's cluster. */
  readonly cluster: string;
  readonly isMember: boolean;
  /**
   * A majority has confirmed that the node's journal is not an older copy: it takes part in the
   * view.
   */
  readonly isVerified: boolean;
}

/**
 * Node → node, at a fixed interval: I am alive. `round` asks for an acknowledgement, for the lease.
 */
export interface Heartbeat {
  readonly type: "heartbeat";
  readonly view: number;
  /** The ballot of the sender's view. */
  readonly ballot: Ballot;
  readonly incarnation: number;
  readonly round: number;
  /** How far the sender's journal has come, durably: see `peer_journals.ts`. */
  readonly position: number;
  /**
   * The sender's disk is full, or a force has been under way there for longer than the suspicion time.
   */
  readonly isStuck: boolean;
  /** The nodes that the sender hears, itself among them: see `reachability.ts`. */
  readonly hears: NodeSet;
  /** How long a force takes at the sender on average, in whole milliseconds: see `slow_members.ts`. */
  readonly forceMs: number;
}

/** The receiver has promised no ballot above that of the heartbeat's view. */
export interface HeartbeatAcknowledged {
  readonly type: "heartbeatAcknowledged";
  readonly view: number;
  readonly incarnation: number;
  readonly round: number;
  /** The wall clock of the sender, in milliseconds since 1970, an integer: see `cluster_time.ts`. */
  readonly wallMs: number;
}

/** Node → node: I serve no more requests. */
export interface Leaving {
  readonly type: "leaving";
  readonly view: number;
  readonly incarnation: number;
}

/** Proposer → all: promise not to take part in a lower ballot (Paxos, phase 1a). */
export interface ViewPrepare {
  readonly type: "viewPrepare";
  readonly view: number;
  readonly ballot: Ballot;
  /**
   * Nodes that are to leave the list with this ballot: with its promise, each of them ends its lease for as
   * long as the view lasts. Absent: none.
   */
  readonly without?: NodeSet | undefined;
}

/** One transaction of the installed view, as a member knows it. */
export interface TableEntry extends TransactionId {
  readonly state: "prepared" | "committed" | "aborted";
  readonly follows: readonly TransactionNumber[];
}

/** What a member reports about the transactions of a view. */
export interface TransactionReport {
  /** All transactions of the installed view that are not forgotten. */
  readonly table: readonly TableEntry[];
  /** By coordinator: its low-water mark. */
  readonly marks: readonly TransactionNumber[];
}

/** Acceptor → proposer: the promise is durable, and this is what I know (phase 1b). */
export interface ViewPromise extends TransactionReport {
  readonly type: "viewPromise";
  readonly view: number;
  readonly ballot: Ballot;
  /** The journal in which it is durable: the promise counts if the view lists that journal. */
  readonly journal: string;
  readonly installed: View;
  /** Whether this node is a member of the view, and holds what members hold. */
  readonly isMember: boolean;
  /**
   * Whether this node is not a member but has joined in the view: its report is that of its source.
   */
  readonly isJoined: boolean;
  /** The proposal accepted last, if it is for a later view than the installed one. */
  readonly accepted: AcceptedProposal | undefined;
  /** The last number that this node gave a transaction. */
  readonly lastNumber: TransactionNumber;
  /**
   * By node: the incarnation whose heartbeat this process acknowledged last; for this node, its
   * own.
   */
  readonly acknowledged: readonly number[];
  /**
   * By node: the first incarnation that this process has met; 0 for none; for this node, its own.
   */
  readonly met: readonly number[];
  /**
   * How long this process has run, in milliseconds: what an earlier process acknowledged is older.
   */
  readonly uptimeMs: number;
  /** The process of this node answers no more reads in this view; absent: it may. */
  readonly readsNoMore?: true | undefined;
}

/** A proposal, and the ballot under which it was accepted. */
export interface AcceptedProposal {
  readonly ballot: Ballot;
  /** The journal of the node that proposed it. */
  readonly journal: string;
  readonly proposal: View;
}

/** Acceptor → proposer: no, I have promised this ballot. */
export interface ViewRefuse {
  readonly type: "viewRefuse";
  readonly view: number;
  readonly ballot: Ballot;
  readonly promised: Ballot;
}

/** Proposer → all: I have given up this ballot. Nodes that promised it may try another one. */
export interface ViewAbandoned {
  readonly type: "viewAbandoned";
  readonly view: number;
  readonly ballot: Ballot;
}

/** Proposer → all: accept this view (phase 2a). */
export interface ViewAccept {
  readonly type: "viewAccept";
  readonly view: number;
  readonly ballot: Ballot;
  readonly proposal: View;
}

/** Acceptor → proposer: my acceptance is durable (phase 2b). */
export interface ViewAccepted {
  readonly type: "viewAccepted";
  readonly view: number;
  readonly ballot: Ballot;
}

/** Any node → one that has not installed it: this view was chosen. */
export interface ViewInstall {
  readonly type: "viewInstall";
  readonly view: number;
  readonly chosen: View;
}

/**
 * Outsider → member: let me in. Starts a transfer, or asks whether the transfer continues of which
 * the outsider has a part.
 */
export interface JoinRequest {
  readonly type: "joinRequest";
  readonly view: number;
  /** The transfer from that member of which the outsider has a part; 0 for none. */
  readonly transfer: number;
}

/** Member → joiner: a part of the entries. Chunk 0 also says: drop what you had. */
export interface JoinChunk {
  readonly type: "joinChunk";
  readonly view: number;
  /** Chosen by the member. */
  readonly transfer: number;
  readonly chunk: number;
  readonly entries: readonly KeyRecord[];
}

/** Joiner → member: everything up to this chunk is durable here. */
export interface JoinAcknowledged {
  readonly type: "joinAcknowledged";
  readonly view: number;
  readonly transfer: number;
  readonly chunk: number;
}

/** Proposer → joiner, after the proposer's own promise: a part of what does not fit into the last one. */
export interface JoinPart {
  readonly type: "joinPart";
  readonly view: number;
  readonly transfer: number;
  readonly ballot: Ballot;
  /** Counted from 0. */
  readonly part: number;
  readonly entries: readonly KeyRecord[];
  readonly prepared: readonly PreparedRecord[];
}

/**
 * Proposer → joiner, after the proposer's own promise: the rest of the entries, and the undecided
 * transactions. The last part of a transfer.
 */
export interface JoinFinal {
  readonly type: "joinFinal";
  readonly view: number;
  readonly transfer: number;
  readonly ballot: Ballot;
  /** How many {@linkcode JoinPart}s belong before it. */
  readonly parts: number;
  readonly entries: readonly KeyRecord[];
  readonly prepared: readonly PreparedRecord[];
  /** What the proposer reports in its own promise of this ballot. */
  readonly report: TransactionReport;
  /**
   * The highest stamp that the proposer has given or seen: no write of this view has a higher
   * version. The entries alone do not show it, because a deletion leaves none.
   */
  readonly clock: Stamp;
}

/** Joiner → proposer: I hold everything up to the freeze of this ballot. */
export interface JoinConfirmed {
  readonly type: "joinConfirmed";
  readonly view: number;
  readonly transfer: number;
  readonly ballot: Ballot;
  /** The last number that the joiner gave a transaction. */
  readonly lastNumber: TransactionNumber;
}

/** Every message from one node to another, by its type. */
export interface MessageByType {
  readonly prepare: Prepare;
  readonly vote: Vote;
  readonly commit: Commit;
  readonly abort: Abort;
  readonly abortAcknowledged: AbortAcknowledged;
  readonly withdrawn: Withdrawn;
  readonly settled: Settled;
  readonly forget: Forget;
  readonly recovered: Recovered;
  readonly viewInstalled: ViewInstalled;
  readonly heartbeat: Heartbeat;
  readonly heartbeatAcknowledged: HeartbeatAcknowledged;
  readonly leaving: Leaving;
  readonly viewPrepare: ViewPrepare;
  readonly viewPromise: ViewPromise;
  readonly viewRefuse: ViewRefuse;
  readonly viewAbandoned: ViewAbandoned;
  readonly viewAccept: ViewAccept;
  readonly viewAccepted: ViewAccepted;
  readonly viewInstall: ViewInstall;
  readonly joinRequest: JoinRequest;
  readonly joinChunk: JoinChunk;
  readonly joinAcknowledged: JoinAcknowledged;
  readonly joinPart: JoinPart;
  readonly joinFinal: JoinFinal;
  readonly joinConfirmed: JoinConfirmed;
}

/** The types of messages. */
export type MessageType = keyof MessageByType;

/** Every message from one node to another. */
export type Message = MessageByType[MessageType];

/** What holds for all messages of one type. */
export interface MessageRule {
  /**
   * `transaction`: it has a meaning only between members of the sender's view. `view`: it is about
   * views, and valid in every view.
   */
  readonly about: "transaction" | "view";
  /**
   * A node handles it even before it takes part: it says which nodes are up, and asks for nothing.
   */
  readonly isHeededAtOnce?: true;
  /**
   * It need not wait behind what was sent before it, which may be large. What it asserts was true when
   * it was sent, so whatever was sent earlier only seems to take longer.
   */
  readonly mayOvertake?: true;
  /**
   * What the sender must have on its disk before it sends one: see `outbox.ts`. `nothing`: after a
   * crash the message counts as never sent, or is sent again.
   */
  readonly durableFirst: string;
}

/** What holds for the messages of each type. */
export const MESSAGE_RULES = {
  prepare: { about: "transaction", durableFirst: "nothing" },
  vote: { about: "transaction", durableFirst: "with yes, the prepared record" },
  commit: { about: "transaction", durableFirst: "the prepared record" },
  abort: { about: "transaction", durableFirst: "the aborted record" },
  abortAcknowledged: { about: "transaction", durableFirst: "the aborted record" },
  withdrawn: { about: "transaction", durableFirst: "nothing" },
  settled: { about: "transaction", durableFirst: "the outcomes that it reports" },
  forget: { about: "transaction", durableFirst: "its own outcomes up to the mark" },
  recovered: { about: "transaction", durableFirst: "the incarnation that it starts" },
  viewInstalled: { about: "view", isHeededAtOnce: true, durableFirst: "the view record" },
  heartbeat: {
    about: "view",
    isHeededAtOnce: true,
    mayOvertake: true,
    durableFirst: "the records up to its position",
  },
  heartbeatAcknowledged: { about: "view", mayOvertake: true, durableFirst: "nothing" },
  leaving: { about: "view", isHeededAtOnce: true, durableFirst: "nothing" },
  viewPrepare: { about: "view", durableFirst: "its own promise of the ballot" },
  viewPromise: { about: "view", durableFirst: "the promise, and all that it reports" },
  viewRefuse: { about: "view", durableFirst: "nothing" },
  viewAbandoned: { about: "view", durableFirst: "nothing" },
  viewAccept: { about: "view", durableFirst: "its own promise of the ballot" },
  viewAccepted: { about: "view", durableFirst: "the accepted record" },
  viewInstall: { about: "view", durableFirst: "nothing" },
  joinRequest: { about: "view", durableFirst: "nothing" },
  joinChunk: { about: "view", durableFirst: "nothing" },
  joinAcknowledged: { about: "view", durableFirst: "the transfer record" },
  joinPart: { about: "view", durableFirst: "its own promise of the ballot" },
  joinFinal: { about: "view", durableFirst: "its own promise of the ballot" },
  joinConfirmed: { about: "view", durableFirst: "the joined record" },
} as const satisfies { readonly [Type in MessageType]: MessageRule };

/** The types of messages about views, which are valid in every view. */
export type ControlType = {
  [Type in MessageType]: typeof MESSAGE_RULES[Type]["about"] extends "view" ? Type : never;
}[MessageType];

/** A message about views, which is valid in every view. */
export type ControlMessage = MessageByType[ControlType];

/** Tells messages about views from those about transactions. */
export function isControl(message: Message): message is ControlMessage {
  return MESSAGE_RULES[message.type].about === "view";
}

/** The transaction holds its locks here; needed before a yes vote (Mohan et al. 1986, §2). */
export interface PreparedRecord {
  readonly type: "prepared";
  readonly coordinator: NodeId;
  readonly prepare: Prepare;
}

/**
 * The transaction has taken effect here. Never forced by itself: if it is lost, recovery asks
 * again.
 */
export interface CommittedRecord {
  readonly type: "committed";
  readonly coordinator: NodeId;
  readonly number: TransactionNumber;
}

/** The transaction never takes effect. Durable before any node or client is told. */
export interface AbortedRecord {
  readonly type: "aborted";
  readonly coordinator: NodeId;
  readonly number: TransactionNumber;
}

/** The node has installed this view. */
export interface ViewRecord {
  readonly type: "view";
  readonly view: View;
}

/** The node takes part in no lower ballot. A promise is never withdrawn. */
export interface PromiseRecord {
  readonly type: "promise";
  readonly ballot: Ballot;
  /** The journal of the proposer: the promise holds for no other journal. */
  readonly journal: string;
}

/** The node has accepted this proposal. */
export interface AcceptedRecord extends AcceptedProposal {
  readonly type: "accepted";
}

/**
 * A joiner has received these entries. The first part of a transfer replaces everything that it
 * had.
 */
export interface TransferRecord {
  readonly type: "transfer";
  readonly isFirst: boolean;
  readonly entries: readonly KeyRecord[];
}

/**
 * A joiner holds everything that its source held when the source froze. It stays so in this view.
 */
export interface Joined {
  /** The ballot for which the source was frozen. */
  readonly ballot: Ballot;
  /**
   * What the source reported about the transactions then, and reports as long as the view lasts.
   */
  readonly report: TransactionReport;
}

/**
 * A joiner holds everything up to the freeze of `ballot`: what it received before, these entries,
 * and these undecided transactions.
 */
export interface JoinedRecord extends Joined {
  readonly type: "joined";
  readonly entries: readonly KeyRecord[];
  readonly prepared: readonly PreparedRecord[];
  /** As in {@linkcode JoinFinal}. */
  readonly clock: Stamp;
}

/**
 * The low-water mark of a coordinator, as this node knows it. May be lost: then outcomes are kept
 * for longer than necessary.
 */
export interface MarkRecord {
  readonly type: "mark";
  readonly coordinator: NodeId;
  readonly upTo: TransactionNumber;
}

/** The node's view, promise and accepted proposal. Part of every checkpoint; settles nothing. */
export interface MembershipRecord {
  readonly type: "membership";
  readonly view: View;
  readonly isMember: boolean;
  /** What it holds as a joiner; `undefined` if it is not one, or has not received everything. */
  readonly joined: Joined | undefined;
  /** See {@linkcode OffsetRecord}. */
  readonly offset: number;
}

/**
 * The node has lost an earlier journal. The offset is added to the new journal's incarnation so
 * that transaction numbers stay unique.
 */
export interface OffsetRecord {
  readonly type: "offset";
  readonly incarnations: number;
}

/** No stamp given or seen before was above this. Part of every checkpoint. */
export interface ClockRecord {
  readonly type: "clock";
  readonly stamp: Stamp;
}

/** A process of a node on its journal, and how far the journal had come. */
export interface JournalSighting {
  /** Random id of the journal, made with it. */
  readonly journal: string;
  /** The incarnation of the process, from 1: higher at each start on this journal. */
  readonly incarnation: number;
  /** Random id of the process. */
  readonly process: string;
  /** How many records of `countsAsProgress` the journal had. */
  readonly position: number;
}

/** This node has met a process of another node, or heard how far its journal has come. */
export interface SightingRecord extends JournalSighting {
  readonly type: "sighting";
  readonly node: NodeId;
}

/** How far the journal had come at a checkpoint: the last record of every checkpoint. */
export interface PositionRecord {
  readonly type: "position";
  readonly position: number;
}

/** Everything that a node writes into its journal. */
export type JournalRecord =
  | PreparedRecord
  | CommittedRecord
  | AbortedRecord
  | ViewRecord
  | PromiseRecord
  | AcceptedRecord
  | TransferRecord
  | JoinedRecord
  | MembershipRecord
  | OffsetRecord
  | MarkRecord
  | ClockRecord
  | SightingRecord
  | PositionRecord;

/** Tells whether `view` is the first one of a cluster that was started by force. */
export function isRecoveredCluster(view: View): boolean {
  return view.number > 0 && view.cluster.origin?.view === view.number;
}

/** Ballots of one round. */
const BALLOTS_PER_ROUND = 32;

/** Returns the ballot of `node` in `round`. */
export function ballotOf(round: number, node: NodeId): Ballot {
  return round * BALLOTS_PER_ROUND + node;
}

/** Returns the round of `ballot`. */
export function roundOf(ballot: Ballot): number {
  return Math.floor(ballot / BALLOTS_PER_ROUND);
}

/** Returns the node that uses `ballot`. */
export function proposerOf(ballot: Ballot): NodeId {
  return ballot % BALLOTS_PER_ROUND;
}

/** Returns a ballot in human-readable form. */
export function ballotName(ballot: Ballot): string {
  return `${roundOf(ballot)}.${proposerOf(ballot)}`;
}

/** How many sequence numbers an incarnation has. */
const SEQUENCES = 2 ** 32;

/** Highest sequence number of an incarnation. */
export const SEQUENCE_MAX = SEQUENCES - 1;

/**
 * A process that has given this many numbers takes another incarnation. The limit leaves enough
 * numbers until the new incarnation is durable.
 */
export const SEQUENCES_PER_INCARNATION = SEQUENCES - 2 ** 24;

/** Highest incarnation: numbers must stay below 2⁵³ to be exact integers. */
export const INCARNATION_MAX = 2 ** 21 - 1;

/** Returns the transaction number of `sequence` in `incarnation`. */
export function transactionNumber(incarnation: number, sequence: number): TransactionNumber {
  return incarnationBase(incarnation) + sequence;
}

/** There are no transactions up to this number: incarnations start with 1. */
export const NOTHING_BEFORE: TransactionNumber = SEQUENCES;

/** Returns the number below the first one of `incarnation`. */
export function incarnationBase(incarnation: number): TransactionNumber {
  return incarnation * SEQUENCES;
}

/** Returns the incarnation in which a coordinator gave `number`. */
export function incarnationOf(number: TransactionNumber): number {
  return Math.floor(number / SEQUENCES);
}

/** Returns the place of `number` in its incarnation. */
export function sequenceOf(number: TransactionNumber): number {
  return number % SEQUENCES;
}

/** Returns the number below the first one of the incarnation that gave `number`. */
export function baseOf(number: TransactionNumber): TransactionNumber {
  return incarnationBase(incarnationOf(number));
}

/**
 * Returns how a transaction is written in logs and tables: `node.incarnation.sequence`. Clients get
 * another name, see `transaction_name.ts`.
 */
export function transactionName(coordinator: NodeId, number: TransactionNumber): string {
  return `${coordinator}.${incarnationOf(number)}.${sequenceOf(number)}`;
}
