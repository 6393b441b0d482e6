/**
 * How a node outside the view gets what the members hold.
 *
 * ```text
 *   joiner                                 source, a member
 *     │ joinRequest ──────────────────────────►
 *     │ ◄─────────── joinChunk 0, 1, 2, … all entries, while normal work goes on
 *     │ joinAcknowledged ─────────────────────► durable here
 *     │ ◄─────────── joinChunk …          the keys that changed meanwhile, until few are left
 *     │                                   the source begins a view change; after its own promise:
 *     │ ◄─────────── joinPart …, joinFinal(ballot)   what changed last, and what is undecided
 *     │ joinConfirmed(ballot) ────────────────► all of it is durable here
 * ```
 *
 * From then on the joiner is a proxy for its source. The source is frozen, so it neither votes nor
 * decides until the next view, and its report on the transactions of this view is final: the joiner
 * has the same entries, the same prepared transactions, and the source's report. Some node may have
 * accepted a view that lists the joiner, under any ballot. So the joiner keeps what it has until
 * the next view, whichever that is, and reports with every promise that it has joined.
 *
 * If the joiner crashes before that, it starts from empty. If the source crashes, the joiner starts
 * from empty at another member.
 *
 * @module
 */

import type { KeySet } from "../key_map.ts";
import { TRANSFER_BYTES_AHEAD } from "../limits.ts";
import type { Context } from "./context.ts";
import type {
  Ballot,
  Effect,
  JoinAcknowledged,
  JoinChunk,
  JoinFinal,
  JoinPart,
  JoinRequest,
  KeyRecord,
  NodeId,
  NodeSet,
  PreparedRecord,
  TransactionNumber,
  View,
} from "./messages.ts";
import { contains, members, NOBODY, only } from "./node_set.ts";
import type { Participant } from "./participant.ts";
import { transactionReportOf } from "./settlement.ts";
import type { Entry } from "./state.ts";
import type { ByteString } from "../byte_string.ts";

/**
 * A chunk, or a part of the final message, ends after the item with which it reaches this many
 * bytes.
 */
const CHUNK_BYTES = 128 * 1024;

/**
 * What an item counts for besides its keys and values: its version, lengths and flags. So a chunk
 * has at most CHUNK_BYTES / ITEM_BYTES items, however small they are: the receiver takes no more
 * than KEYS_PER_COMMAND_MAX.
 */
const ITEM_BYTES = 16;

/** No chunk is sent while this many chunks, or TRANSFER_BYTES_AHEAD, are in flight. */
const CHUNKS_AHEAD = 4;

/**
 * A joiner has caught up if at most this many keys and bytes are left to send, for which the view
 * change waits. With one key left it always has, however large the key. If more than that changes
 * in the time that a chunk and its acknowledgement take, both bounds are doubled, and once more,
 * up to SLACK_MAX times as much: that is still little for the time that the members wait.
 */
const CAUGHT_UP_KEYS = 500;
const CAUGHT_UP_BYTES = 1024 * 1024;
const SLACK_MAX = 8;

/**
 * A round sends the keys that have changed by its begin. The bounds are doubled if the keys of a
 * round are more than half as many as so many rounds before.
 */
const ROUNDS = 4;

/** A joiner that has received nothing for this long asks whether its source continues. */
const PATIENCE_MS = 1000;

/** A joiner that has asked its source this often, and received nothing, asks another member. */
const QUESTIONS_MAX = 10;

/** A joiner that has acknowledged nothing for this long is not waited for before a view change begins. */
const TAKING_MS = 3000;

/** A transfer to a node whose disk has taken nothing for this long is ended. */
const STUCK_MS_MAX = 10_000;

/**
 * A transfer is ended when more keys have changed since it began than there are, and than this: to begin
 * anew is no more to send, and a source must not keep ever more for a joiner that takes in nothing.
 */
const CHANGED_MIN = 10_000;

/** A node that has declined a transfer is offered none for this long, unless it asks for one. */
const OFFER_PAUSE_MS = 2000;

/** Instead of a chunk: the joiner does not want this transfer. */
const DECLINED = -1;

/** One transfer, at its source. */
interface Transfer {
  readonly id: number;
  /** Entries that are not sent yet; `undefined` once all are. */
  scan: Iterator<Entry> | undefined;
  /** Keys that have changed since the transfer started and were not sent since. */
  readonly changed: KeySet;
  /** What the bounds of having caught up are multiplied by. */
  slack: number;
  /** How many keys are left of the present round. */
  roundLeft: number;
  /** How many rounds have begun since `slack` was looked at, and how many keys had changed then. */
  rounds: number;
  changedThen: number;
  /** How often all keys had been deleted at once when it began: it begins again after another time. */
  readonly clears: number;
  nextChunk: number;
  acknowledged: number;
  /** Bytes of the chunks that were sent and not acknowledged, the oldest first. */
  readonly bytesAhead: number[];
  /** When the joiner has last acknowledged a chunk. */
  acknowledgedAt: number;
  /** Since when the disk of the joiner takes nothing; `undefined` if it does, as far as it has said. */
  stuckSince: number | undefined;
  /** The last ballot of this view for which the last part was sent; 0 for none. */
  finalFor: Ballot;
}

/** A member, as the source of transfers. */
export class TransferSource {
  readonly #context: Context;
  readonly #transfers = new Map<NodeId, Transfer>();
  /** When nodes declined a transfer, as they take another one; until they ask for one. */
  readonly #declinedAt = new Map<NodeId, number>();
  /** Joiners that were too late for a view, see {@linkcode isLate}, and how often. */
  readonly #late = new Map<NodeId, { readonly times: number; readonly until: number }>();
  #lastId: number;

  constructor(context: Context) {
    this.#context = context;
    // Ids of different processes must differ.
    this.#lastId = Math.floor(context.random() * 2 ** 40);
  }

  /** Joiners that hold almost everything. */
  get caughtUp(): NodeSet {
    let set = NOBODY;
    for (const [node, transfer] of this.#transfers) {
      if (this.#isCaughtUp(transfer)) set |= only(node);
    }
    return set;
  }

  /** Joiners that go on taking in what they are sent. */
  get sendingTo(): NodeSet {
    let set = NOBODY;
    for (const [node, { acknowledgedAt }] of this.#transfers) {
      if (this.#context.now - acknowledgedAt < TAKING_MS) set |= only(node);
    }
    return set;
  }

  /**
   * Tells whether views were chosen without `node` lately, the last one not long ago, though it had been
   * sent its last part, or let in after that: one more for its sake would stop all writes in vain.
   */
  isLate(node: NodeId): boolean {
    return this.#context.now < (this.#late.get(node)?.until ?? -Infinity);
  }

  /** The progress of the transfers: how many chunks each node has acknowledged. */
  get progress(): readonly { readonly node: NodeId; readonly chunks: number }[] {
    return [...this.#transfers].map(([node, { acknowledged }]) => ({
      node,
      chunks: acknowledged + 1,
    }));
  }

  /**
   * Starts a transfer that `node` has not asked for, unless it has lately declined one: another member is
   * sending it everything. Returns whether it started.
   */
  offerTransfer(node: NodeId): boolean {
    const declinedAt = this.#declinedAt.get(node) ?? -Infinity;
    return this.#context.now - declinedAt >= OFFER_PAUSE_MS && this.startTransfer(node);
  }

  /** Starts a transfer to `node` if there is none. Returns whether it started. */
  startTransfer(node: NodeId): boolean {
    const { membership, store, counters } = this.#context;
    const isInside = membership.isInside(node);
    const mayGive = membership.isMember && membership.isVerified && !membership.isLeaving;
    const mayTake = !isInside && !membership.hasHungDisk(node);
    if (!mayGive || !mayTake || this.#transfers.has(node)) {
      return false;
    }
    counters.transfers++;
    const transfer: Transfer = {
      id: ++this.#lastId,
      scan: store.entries(),
      changed: store.watch(),
      slack: 1,
      roundLeft: 0,
      rounds: 0,
      changedThen: Infinity,
      clears: store.clears,
      nextChunk: 0,
      acknowledged: -1,
      bytesAhead: [],
      acknowledgedAt: this.#context.now,
      stuckSince: undefined,
      finalFor: 0,
    };
    this.#transfers.set(node, transfer);
    this.#pump(node, transfer);
    return true;
  }

  onRequest(from: NodeId, { transfer }: JoinRequest): void {
    // The transfer continues: chunks are on their way, or the joiner is still processing them.
    if (transfer !== 0 && this.#transfers.get(from)?.id === transfer) return;
    this.#end(from); // The joiner has dropped any earlier transfer.
    this.#declinedAt.delete(from);
    // It will ask again. If the view needs it for a majority, the proposer begins the transfer.
    if (this.#isHeldBack(from)) this.#context.counters.heldBack++;
    else this.startTransfer(from);
  }

  /** It is not let in for now, because of its disk or its links. */
  #isHeldBack(node: NodeId): boolean {
    const { membership, reachability, slowMembers, now } = this.#context;
    return contains(slowMembers.toLeaveOut, node) ||
      !reachability.isWelcome(node, membership.members, now);
  }

  onAcknowledged(from: NodeId, message: JoinAcknowledged): void {
    const transfer = this.#transfers.get(from);
    if (transfer?.id !== message.transfer) return;
    if (message.chunk === DECLINED) {
      this.#end(from);
      this.#declinedAt.set(from, this.#context.now);
      return;
    }
    for (; transfer.acknowledged < message.chunk; transfer.acknowledged++) {
      transfer.bytesAhead.shift();
      transfer.acknowledgedAt = this.#context.now;
    }
    if (!this.#isOvertaken(transfer)) this.#pump(from, transfer);
  }

  onTick(): void {
    for (const [node, transfer] of this.#transfers) {
      if (this.#isInVain(node, transfer)) this.#end(node); // The joiner asks again once it can go on.
      else if (!this.#isOvertaken(transfer)) {
        // What changes while it is kept waiting is no reason to allow for more.
        if (this.isLate(node) || this.#isHeldBack(node)) forgetRounds(transfer);
        this.#pump(node, transfer);
      } else {
        this.#end(node);
        this.startTransfer(node);
      }
    }
  }

  onPeerDown(node: NodeId): void {
    this.#end(node);
    this.#declinedAt.delete(node);
    this.#late.delete(node); // Its next process may have another disk.
  }

  /** Ends the transfers to nodes that are members now; all of them if this node is an outsider. */
  onInstalled(before: View): void {
    const { membership } = this.#context;
    for (const [node, transfer] of [...this.#transfers]) {
      const isOver = membership.isInside(node) || !membership.isMember;
      if (!isOver && transfer.finalFor > 0) {
        this.#onLate(node);
        // What was left for the last part may have been too much.
        transfer.slack = 1;
        forgetRounds(transfer);
      }
      transfer.finalFor = 0;
      if (isOver) this.#end(node);
    }
    for (const node of members(before.members & ~membership.members)) {
      if (this.#timesLate(node) > 0 && !membership.hasLeft(node)) this.#onLate(node);
    }
  }

  /** How often `node` was late, until that is long ago. */
  #timesLate(node: NodeId): number {
    const { timing, now } = this.#context;
    const { times, until } = this.#late.get(node) ?? { times: 0, until: -Infinity };
    return now - until < 2 * timing.heldBackMsMax ? times : 0;
  }

  /** The view has come without `node`, which was sent its last part for it, or was late for an earlier one. */
  #onLate(node: NodeId): void {
    const { timing, outbox, counters, now } = this.#context;
    const times = this.#timesLate(node);
    // Once may be by chance: a link was slow, or a force.
    const waitMs = times === 0
      ? 0
      : Math.min(timing.heldBackMs * 2 ** (times - 1), timing.heldBackMsMax);
    this.#late.set(node, { times: times + 1, until: now + waitMs });
    counters.joinsLate++;
    if (waitMs > 0) outbox.report({ type: "joinerLate", peer: node, waitMs });
  }

  /**
   * After this node's own promise of `ballot`: sends the rest to those of `nodes` that have caught up.
   */
  sendFinals(ballot: Ballot, nodes: NodeSet): void {
    const { outbox, membership, counters } = this.#context;
    for (const [node, transfer] of this.#transfers) {
      if (!contains(nodes, node) || !this.#isCaughtUp(transfer)) continue;
      if (transfer.finalFor === ballot) continue;
      transfer.finalFor = ballot;
      counters.finals++;
      const view = membership.view.number;
      const parts = this.#partsOf(transfer.changed);
      const last = parts.pop() ?? { entries: [], prepared: [] };
      for (const [part, content] of parts.entries()) {
        const message = { type: "joinPart", view, transfer: transfer.id, ballot, part } as const;
        outbox.send(only(node), { ...message, ...content });
      }
      outbox.send(only(node), {
        type: "joinFinal",
        view,
        transfer: transfer.id,
        ballot,
        parts: parts.length,
        ...last,
        report: transactionReportOf(this.#context),
        clock: this.#context.clock.last,
      });
    }
  }

  /** Returns what is left for a joiner, in parts of few bytes each. */
  #partsOf(changed: Iterable<ByteString>): Part[] {
    const parts: { entries: KeyRecord[]; prepared: PreparedRecord[] }[] = [];
    let bytes = Infinity;
    const partFor = (more: number) => {
      if (bytes >= CHUNK_BYTES) {
        parts.push({ entries: [], prepared: [] });
        bytes = 0;
      }
      bytes += more;
      return parts.at(-1);
    };
    for (const entry of this.#entriesNow(changed)) partFor(bytesOf(entry))?.entries.push(entry);
    for (const record of this.#undecided()) {
      partFor(bytesOfPrepared(record))?.prepared.push(record);
    }
    return parts;
  }

  /** Sends chunks as fast as the joiner acknowledges them. */
  #pump(node: NodeId, transfer: Transfer): void {
    const { outbox, membership } = this.#context;
    const { bytesAhead } = transfer;
    const sum = () => bytesAhead.reduce((all, bytes) => all + bytes, 0);
    while (bytesAhead.length < CHUNKS_AHEAD && sum() < TRANSFER_BYTES_AHEAD) {
      const entries = this.#nextEntries(transfer);
      if (entries === undefined) return;
      bytesAhead.push(entries.reduce((all, entry) => all + bytesOf(entry), 0));
      outbox.send(only(node), {
        type: "joinChunk",
        view: membership.view.number,
        transfer: transfer.id,
        chunk: transfer.nextChunk++,
        entries,
      });
    }
  }

  #nextEntries(transfer: Transfer): KeyRecord[] | undefined {
    const entries: KeyRecord[] = [];
    let bytes = 0;
    for (; transfer.scan !== undefined && bytes < CHUNK_BYTES;) {
      const { value: entry, done } = transfer.scan.next();
      if (done === true) {
        transfer.scan = undefined;
        break;
      }
      const record = this.#context.store.recordOf(entry.key);
      entries.push(record);
      bytes += bytesOf(record);
    }
    // The first chunk is sent even if it is empty: it tells the joiner to start.
    if (entries.length > 0 || transfer.nextChunk === 0) return entries;
    return this.#isLittle(transfer) ? undefined : this.#takeChanged(transfer);
  }

  /** So little has changed since that the view change may wait for it. */
  #isLittle({ changed, slack }: Transfer): boolean {
    if (changed.size <= 1) return true;
    return changed.size <= CAUGHT_UP_KEYS * slack &&
      this.#bytesOfAll(changed) <= CAUGHT_UP_BYTES * slack;
  }

  #takeChanged(transfer: Transfer): KeyRecord[] {
    const { changed } = transfer;
    if (transfer.roundLeft <= 0) beginRound(transfer);
    const taken: ByteString[] = [];
    let bytes = 0;
    for (const key of changed) {
      if (bytes >= CHUNK_BYTES) break;
      taken.push(key);
      bytes += this.#bytesAt(key);
    }
    const entries = this.#entriesNow(taken);
    for (const key of taken) changed.delete(key);
    transfer.roundLeft -= taken.length;
    return entries;
  }

  #entriesNow(keys: Iterable<ByteString>): KeyRecord[] {
    const { store } = this.#context;
    return Array.from(keys, (key) => store.recordOf(key));
  }

  #undecided(): PreparedRecord[] {
    return this.#context.transactions.holdingLocks()
      .filter(({ state }) => state === "prepared")
      .sort((a, b) => a.grantOrder - b.grantOrder)
      .flatMap(({ coordinator, prepare }) =>
        prepare === undefined ? [] : [{ type: "prepared", coordinator, prepare }]
      );
  }

  /** The joiner has taken in nothing for too long, or too little, and this node has to keep too much for it. */
  #isInVain(node: NodeId, transfer: Transfer): boolean {
    const { membership, store, now } = this.#context;
    if (membership.hasHungDisk(node)) transfer.stuckSince ??= now;
    else transfer.stuckSince = undefined;
    if (now - (transfer.stuckSince ?? now) >= STUCK_MS_MAX) return true;
    // One that goes on taking what it is sent comes to its end, however much changes.
    if (now - transfer.acknowledgedAt < STUCK_MS_MAX) return false;
    return transfer.changed.size > Math.max(store.size, CHANGED_MIN);
  }

  /** All keys were deleted at once since: the joiner must forget what it was sent, and begin again. */
  #isOvertaken({ clears }: Transfer): boolean {
    return clears !== this.#context.store.clears;
  }

  /** Every entry was sent and acknowledged, and little has changed since. */
  #isCaughtUp(transfer: Transfer): boolean {
    const { scan, nextChunk, acknowledged } = transfer;
    if (this.#isOvertaken(transfer)) return false;
    return scan === undefined && acknowledged === nextChunk - 1 && this.#isLittle(transfer);
  }

  #bytesOfAll(keys: Iterable<ByteString>): number {
    let bytes = 0;
    for (const key of keys) bytes += this.#bytesAt(key);
    return bytes;
  }

  #bytesAt(key: ByteString): number {
    return bytesOf({ key, value: this.#context.store.get(key)?.value });
  }

  #end(node: NodeId): void {
    const transfer = this.#transfers.get(node);
    if (transfer === undefined) return;
    this.#context.store.unwatch(transfer.changed);
    this.#transfers.delete(node);
  }
}

/** All keys that have changed so far are to be sent: allows for more if they do not become fewer. */
function beginRound(transfer: Transfer): void {
  const { size } = transfer.changed;
  transfer.roundLeft = size;
  if (++transfer.rounds < ROUNDS) return;
  if (size > transfer.changedThen / 2) transfer.slack = Math.min(2 * transfer.slack, SLACK_MAX);
  transfer.rounds = 0;
  transfer.changedThen = size;
}

function forgetRounds(transfer: Transfer): void {
  transfer.rounds = 0;
  transfer.changedThen = Infinity;
}

/** A part of what a joiner is sent last. */
type Part = Pick<JoinFinal, "entries" | "prepared">;

/** Returns about how many bytes the key and the value need in a message. */
function bytesOf({ key, value }: Effect): number {
  return key.length + (value?.length ?? 0) + ITEM_BYTES;
}

/** Returns about how many bytes a prepared record needs in a message. */
function bytesOfPrepared({ prepare: { effects, reads, follows } }: PreparedRecord): number {
  const ofEffects = effects.reduce((sum, effect) => sum + bytesOf(effect), 0);
  const ofReads = reads.reduce((sum, key) => sum + key.length + ITEM_BYTES, 0);
  return ITEM_BYTES + ofEffects + ofReads + follows.length * ITEM_BYTES;
}

/** Parts of what a source sends last, as they have come. */
interface CollectedParts {
  readonly transfer: number;
  readonly ballot: Ballot;
  count: number;
  readonly entries: KeyRecord[];
  readonly prepared: PreparedRecord[];
}

/** What a joiner calls when it holds everything. */
export interface JoinHost {
  /** The last number that this node gave a transaction. */
  readonly lastNumber: TransactionNumber;
  /** The record that this node has joined is durable. */
  hasJoined(): void;
}

/** A node outside the view, as the target of a transfer. */
export class TransferTarget {
  readonly #context: Context;
  readonly #participant: Participant;
  readonly #host: JoinHost;
  #source: NodeId | undefined;
  #transfer = 0;
  #nextChunk = 0;
  /** When something was last received or asked. */
  #progressAt = -Infinity;
  /** How often the source was asked since it last sent something; QUESTIONS_MAX if it is in vain. */
  #questions = 0;
  /** What has come of what comes last, before its end. */
  #parts: CollectedParts | undefined;
  /** Chunks from the source in a view that this node, which has joined in an earlier one, does not have yet. */
  readonly #chunksAhead: JoinChunk[] = [];
  /** The last part of a transfer from a source in a view that this node does not have yet. */
  #finalAhead: { readonly from: NodeId; readonly message: JoinFinal } | undefined;

  constructor(context: Context, participant: Participant, host: JoinHost) {
    this.#context = context;
    this.#participant = participant;
    this.#host = host;
  }

  /** How many chunks have arrived; `undefined` while there is no transfer. */
  get chunks(): number | undefined {
    return this.#source === undefined ? undefined : this.#nextChunk;
  }

  /** Asks a member for admission, if nothing comes by itself. */
  onTick(): void {
    const { membership, now, random, outbox } = this.#context;
    if (!membership.isVerified) return;
    const asks = membership.view.number > 0 && !membership.isMember && !membership.isRemoved;
    if (!asks || membership.isLeaving) {
      this.#source = undefined;
      return;
    }
    // It could make nothing durable of what it is sent, and the sources would keep all that changes.
    if (membership.isStuck(now)) return;
    // A node that has joined holds everything: the next view change admits it.
    if (membership.joined !== undefined || now - this.#progressAt < PATIENCE_MS) return;
    const candidates = this.#candidates;
    const isAtIt = this.#source !== undefined && candidates.includes(this.#source) &&
      this.#questions < QUESTIONS_MAX;
    const others = candidates.length === 1
      ? candidates
      : candidates.filter((node) => node !== this.#source);
    const source = isAtIt ? this.#source : others[Math.floor(random() * others.length)];
    if (source === undefined) return;
    this.#progressAt = now;
    this.#questions++;
    const transfer = isAtIt ? this.#transfer : 0;
    outbox.send(only(source), { type: "joinRequest", view: membership.view.number, transfer });
  }

  /** The link is gone: a source at its other end has ended the transfer. */
  onPeerDown(node: NodeId): void {
    if (this.#source === node) this.#questions = QUESTIONS_MAX;
  }

  /** The members that may send this node everything. */
  get #candidates(): NodeId[] {
    const { membership } = this.#context;
    return members(membership.linked & membership.others & membership.members)
      .filter((node) => membership.isInside(node));
  }

  /**
   * Tells whether the source can be expected to go on: it is a member that is heard, and has not left
   * question after question unanswered.
   */
  get #isServed(): boolean {
    const { membership, now } = this.#context;
    const source = this.#source;
    return source !== undefined && this.#questions < QUESTIONS_MAX &&
      this.#candidates.includes(source) && !contains(membership.suspected(now), source);
  }

  /** A part of a large message has come from `from`: it takes its time, and is not to be asked. */
  onMessagePart(from: NodeId): void {
    // Of a source whose first chunk has not come whole, this node does not know that it is one.
    const isNext = !this.#isServed && this.#candidates.includes(from);
    if (this.#source !== from && !isNext) return;
    this.#progressAt = this.#context.now;
    if (this.#source === from) this.#questions = 0;
  }

  onChunk(from: NodeId, message: JoinChunk): void {
    const { membership, outbox, store, now } = this.#context;
    const { transfer, chunk, entries } = message;
    if (membership.isMember || membership.view.number === 0) return;
    // A node that has joined has everything of this view. More belongs to a later view, which must
    // settle this one first.
    if (membership.joined !== undefined) {
      this.#keepAhead(from, message);
      return;
    }
    if (chunk === 0) {
      // Two members that propose in turns would else undo each other's transfers for ever.
      if (this.#source !== from && this.#isServed) {
        this.#decline(from, transfer);
        return;
      }
      this.#source = from;
      this.#transfer = transfer;
      this.#nextChunk = 0;
      this.#chunksAhead.length = 0;
      this.#participant.dropAll();
      store.clear();
    }
    if (this.#source !== from || this.#transfer !== transfer || this.#nextChunk !== chunk) {
      this.#decline(from, transfer);
      return;
    }
    this.#parts = undefined;
    this.#finalAhead = undefined; // This was sent after it, so it belongs to an even later view.
    this.#nextChunk = chunk + 1;
    this.#progressAt = now;
    this.#questions = 0;
    writeTransferred(this.#context, entries);
    outbox.append({ type: "transfer", isFirst: chunk === 0, entries });
    outbox.whenDurable(() => {
      const view = membership.view.number;
      // The source could not know before this that there is something to do.
      if (this.#transfer === transfer) this.#progressAt = this.#context.now;
      outbox.send(only(from), { type: "joinAcknowledged", view, transfer, chunk });
    });
  }

  /**
   * Keeps a chunk until the view of its source has come: without it the source would have to begin again
   * with a joiner that was late for a view.
   */
  #keepAhead(from: NodeId, message: JoinChunk): void {
    const { membership, now } = this.#context;
    const { transfer, chunk, view } = message;
    const isNext = this.#source === from && this.#transfer === transfer &&
      chunk === this.#nextChunk + this.#chunksAhead.length;
    const mayKeep = view > membership.view.number && this.#chunksAhead.length < CHUNKS_AHEAD;
    if (!isNext || !mayKeep) {
      this.#decline(from, transfer);
      return;
    }
    this.#progressAt = now;
    this.#chunksAhead.push(message);
    this.#finalAhead = undefined; // This was sent after it.
    membership.announce(only(from));
  }

  /** This node uses another transfer: `from` can stop this one. */
  #decline(from: NodeId, transfer: number): void {
    const { membership, outbox } = this.#context;
    const view = membership.view.number;
    outbox.send(only(from), { type: "joinAcknowledged", view, transfer, chunk: DECLINED });
  }

  /** The view has changed: messages sent in it may have arrived before it. */
  onInstalled(): void {
    const { membership } = this.#context;
    const source = this.#source;
    const chunks = this.#chunksAhead.splice(0);
    const ahead = this.#finalAhead;
    this.#finalAhead = undefined;
    if (source !== undefined) { for (const chunk of chunks) this.onChunk(source, chunk); }
    if (ahead?.message.view === membership.view.number) {
      this.onFinal(ahead.from, ahead.message);
    }
  }

  onPart(from: NodeId, { transfer, ballot, part, entries, prepared }: JoinPart): void {
    if (this.#context.membership.isMember) return;
    if (this.#source !== from || this.#transfer !== transfer) {
      this.#decline(from, transfer);
      return;
    }
    this.#progressAt = this.#context.now;
    if (part === 0) {
      this.#parts = { transfer, ballot, count: 0, entries: [], prepared: [] };
    }
    const parts = this.#parts;
    if (parts?.transfer !== transfer || parts.ballot !== ballot || parts.count !== part) return;
    parts.count++;
    for (const entry of entries) parts.entries.push(entry);
    for (const record of prepared) parts.prepared.push(record);
  }

  /** Returns `message` with all its parts in it; `undefined` if they have not come. */
  #withParts(message: JoinFinal): JoinFinal | undefined {
    if (message.parts === 0) return message;
    const parts = this.#parts;
    this.#parts = undefined;
    const isWhole = parts?.transfer === message.transfer && parts.ballot === message.ballot &&
      parts.count === message.parts;
    if (!isWhole) return undefined;
    return {
      ...message,
      parts: 0,
      entries: [...parts.entries, ...message.entries],
      prepared: [...parts.prepared, ...message.prepared],
    };
  }

  onFinal(from: NodeId, final: JoinFinal): void {
    const { membership, outbox, clock, now, counters } = this.#context;
    if (membership.isMember) return;
    if (this.#source !== from || this.#transfer !== final.transfer) {
      this.#decline(from, final.transfer);
      return;
    }
    const message = this.#withParts(final);
    if (message === undefined) return;
    const { transfer, ballot, entries, prepared, report } = message;
    const stamp = message.clock;
    if (message.view !== membership.view.number || membership.installing !== undefined) {
      // The undecided transactions belong to the source's view, and another view would settle them
      // wrongly here. So keep the message until that view has come. While the record of a view is
      // being written, what is appended now follows it in the journal, so wait for that view, too.
      counters.finalsAhead++;
      this.#finalAhead = { from, message };
      membership.announce(only(from));
      return;
    }
    this.#progressAt = now;
    counters.joins++;
    this.#participant.dropAll();
    clock.observe(stamp);
    writeTransferred(this.#context, entries);
    for (const record of prepared) this.#participant.restore(record);
    const joined = { ballot, report };
    membership.joined = joined;
    outbox.append({ type: "joined", ballot, entries, prepared, report, clock: stamp });
    outbox.whenDurable(() => {
      if (membership.joined !== joined) return;
      membership.joinedDurably = joined;
      // The proposer that has this node's promise learns of it only this way.
      this.#host.hasJoined();
      if (this.#transfer !== transfer || membership.isMember) return;
      const { lastNumber } = this.#host;
      const view = membership.view.number;
      outbox.send(only(from), { type: "joinConfirmed", view, transfer, ballot, lastNumber });
    });
  }
}

/** Overwrites the store with entries from another node. */
export function writeTransferred(
  { store, clock }: Pick<Context, "store" | "clock">,
  entries: readonly KeyRecord[],
): void {
  for (const entry of entries) {
    clock.observe(entry.version); // This node's own writes of the key must get higher versions.
    store.restore(entry);
  }
}
