/**
 * How a node outside the view comes to hold what its members hold.
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
 * From then on the joiner stands for its source. That is frozen, so it neither votes nor decides until
 * the next view, and whatever it will say of the transactions of this view it has said already: the
 * joiner has the same entries, the same prepared transactions, and the source's report. A view that
 * lists it may have been accepted somewhere, under whatever ballot. So it keeps what it has until the
 * next view is there, whichever that is, and with every promise says that it has joined.
 *
 * Crash before that of the joiner: it begins from empty. Of the source: so too, elsewhere.
 *
 * @module
 */

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
} from "./messages.ts";
import { members, NOBODY, only } from "./node_set.ts";
import type { Participant } from "./participant.ts";
import { transactionReportOf } from "./settlement.ts";
import type { Entry } from "./state.ts";
import type { ByteString } from "../byte_string.ts";

/** A chunk, or a part of what comes last, ends after the item that takes it to so many bytes. */
const CHUNK_BYTES = 128 * 1024;

/** No chunk is sent while so many, or so many bytes, are on their way. */
const CHUNKS_AHEAD = 4;
const BYTES_AHEAD = 1024 * 1024;

/**
 * With so few keys left to send, with so few bytes, a joiner has caught up: the view change waits for
 * them. With one key it has, however large.
 */
const CAUGHT_UP_KEYS = 500;
const CAUGHT_UP_BYTES = 1024 * 1024;

/** A joiner that has got nothing for this long asks whether its source is still at it. */
const PATIENCE_MS = 1000;

/** A joiner that has asked its source so often, and got nothing meanwhile, asks another member. */
const QUESTIONS_MAX = 10;

/** Instead of a chunk: the joiner does not want this transfer. */
const DECLINED = -1;

/** One transfer, at its source. */
interface Transfer {
  readonly id: number;
  /** Entries that were not looked at yet; `undefined` once all were. */
  scan: Iterator<Entry> | undefined;
  /** Keys that have changed since the transfer began, and were not sent since. */
  readonly changed: Set<ByteString>;
  nextChunk: number;
  acknowledged: number;
  /** Bytes of the chunks that were sent and not acknowledged, the oldest first. */
  readonly bytesAhead: number[];
  finalFor: Ballot;
}

/** A member, as the source of transfers. */
export class TransferSource {
  readonly #context: Context;
  readonly #transfers = new Map<NodeId, Transfer>();
  #lastId: number;

  constructor(context: Context) {
    this.#context = context;
    // Ids of different processes must not be taken for each other.
    this.#lastId = Math.floor(context.random() * 2 ** 40);
  }

  /** Joiners that hold all but a little. */
  get caughtUp(): NodeSet {
    let set = NOBODY;
    for (const [node, transfer] of this.#transfers) {
      if (this.#isCaughtUp(transfer)) set |= only(node);
    }
    return set;
  }

  /** How far the transfers are: by node, how many chunks were acknowledged. */
  get progress(): readonly { readonly node: NodeId; readonly chunks: number }[] {
    return [...this.#transfers].map(([node, { acknowledged }]) => ({
      node,
      chunks: acknowledged + 1,
    }));
  }

  /** Begins a transfer to `node`, where there is none. Returns whether it began. */
  startTransfer(node: NodeId): boolean {
    const { membership, store, counters } = this.#context;
    const isInside = membership.isInside(node);
    const mayGive = membership.isMember && membership.isVerified && !membership.isLeaving;
    if (!mayGive || isInside || this.#transfers.has(node)) {
      return false;
    }
    counters.transfers++;
    const transfer: Transfer = {
      id: ++this.#lastId,
      scan: store.entries(),
      changed: store.watch(),
      nextChunk: 0,
      acknowledged: -1,
      bytesAhead: [],
      finalFor: 0,
    };
    this.#transfers.set(node, transfer);
    this.#pump(node, transfer);
    return true;
  }

  onRequest(from: NodeId, { transfer }: JoinRequest): void {
    // It goes on: what was sent is on its way, or the joiner is still busy with it.
    if (transfer !== 0 && this.#transfers.get(from)?.id === transfer) return;
    this.#end(from); // The joiner knows nothing of an earlier one any more.
    this.startTransfer(from);
  }

  onAcknowledged(from: NodeId, message: JoinAcknowledged): void {
    const transfer = this.#transfers.get(from);
    if (transfer?.id !== message.transfer) return;
    if (message.chunk === DECLINED) {
      this.#end(from);
      return;
    }
    for (; transfer.acknowledged < message.chunk; transfer.acknowledged++) {
      transfer.bytesAhead.shift();
    }
    this.#pump(from, transfer);
  }

  onTick(): void {
    for (const [node, transfer] of this.#transfers) this.#pump(node, transfer);
  }

  onPeerDown(node: NodeId): void {
    this.#end(node);
  }

  /** Transfers to those who are members now have served their purpose; so have all of an outsider. */
  onInstalled(): void {
    const { membership } = this.#context;
    for (const node of [...this.#transfers.keys()]) {
      if (membership.isInside(node) || !membership.isMember) this.#end(node);
    }
  }

  /** After this node's own promise of `ballot`: sends those who have caught up what is left. */
  sendFinals(ballot: Ballot): void {
    const { outbox, membership, counters } = this.#context;
    for (const [node, transfer] of this.#transfers) {
      if (!this.#isCaughtUp(transfer) || transfer.finalFor === ballot) continue;
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
  #partsOf(changed: ReadonlySet<ByteString>): Part[] {
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
      const more = record.prepare.effects.reduce((sum, effect) => sum + bytesOf(effect), 0);
      partFor(more)?.prepared.push(record);
    }
    return parts;
  }

  /** Sends chunks, as far as the joiner keeps up. */
  #pump(node: NodeId, transfer: Transfer): void {
    const { outbox, membership } = this.#context;
    const { bytesAhead } = transfer;
    const sum = () => bytesAhead.reduce((all, bytes) => all + bytes, 0);
    while (bytesAhead.length < CHUNKS_AHEAD && sum() < BYTES_AHEAD) {
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
    // The first chunk is sent even where there is nothing: it tells the joiner to begin.
    if (entries.length > 0 || transfer.nextChunk === 0) return entries;
    const { changed } = transfer;
    const isLittle = changed.size <= CAUGHT_UP_KEYS && this.#bytesOfAll(changed) <= CAUGHT_UP_BYTES;
    return isLittle ? undefined : this.#takeChanged(changed);
  }

  #takeChanged(changed: Set<ByteString>): KeyRecord[] {
    const taken: ByteString[] = [];
    let bytes = 0;
    for (const key of changed) {
      if (bytes >= CHUNK_BYTES) break;
      taken.push(key);
      bytes += key.length + (this.#context.store.get(key)?.value?.length ?? 0);
    }
    const entries = this.#entriesNow(taken);
    for (const key of taken) changed.delete(key);
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

  /** Everything was looked at and has arrived, and little has changed since. */
  #isCaughtUp({ scan, nextChunk, acknowledged, changed }: Transfer): boolean {
    const isSent = scan === undefined && acknowledged === nextChunk - 1;
    return isSent && changed.size <= CAUGHT_UP_KEYS &&
      (changed.size <= 1 || this.#bytesOfAll(changed) <= CAUGHT_UP_BYTES);
  }

  #bytesOfAll(keys: Iterable<ByteString>): number {
    let bytes = 0;
    for (const key of keys) {
      bytes += key.length + (this.#context.store.get(key)?.value?.length ?? 0);
    }
    return bytes;
  }

  #end(node: NodeId): void {
    const transfer = this.#transfers.get(node);
    if (transfer === undefined) return;
    this.#context.store.unwatch(transfer.changed);
    this.#transfers.delete(node);
  }
}

/** A part of what a joiner is sent last. */
type Part = Pick<JoinFinal, "entries" | "prepared">;

/** Returns how many bytes the key and the value have. */
function bytesOf({ key, value }: Effect): number {
  return key.length + (value?.length ?? 0);
}

/** Parts of what a source sends last, as they have come. */
interface CollectedParts {
  readonly transfer: number;
  readonly ballot: Ballot;
  count: number;
  readonly entries: KeyRecord[];
  readonly prepared: PreparedRecord[];
}

/** What a joiner tells when it holds everything. */
export interface JoinHost {
  /** The last number that this node gave a transaction. */
  readonly lastNumber: TransactionNumber;
  /** It is durable that this node has joined. */
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
  /** When something was got or asked last. */
  #progressAt = -Infinity;
  /** How often the source was asked since it has sent something. */
  #questions = 0;
  /** The last part of the transfer was taken in: there is nothing more to come of it. */
  #isComplete = false;
  /** What has come of what comes last, before its end. */
  #parts: CollectedParts | undefined;
  /** The last part of a transfer from a source in a view that has not come here yet. */
  #finalAhead: { readonly from: NodeId; readonly message: JoinFinal } | undefined;

  constructor(context: Context, participant: Participant, host: JoinHost) {
    this.#context = context;
    this.#participant = participant;
    this.#host = host;
  }

  /** How many chunks have come; `undefined` while there is no transfer. */
  get chunks(): number | undefined {
    return this.#source === undefined ? undefined : this.#nextChunk;
  }

  /** Asks a member to be let in, when nothing comes by itself. */
  onTick(): void {
    const { membership, now, random, outbox } = this.#context;
    if (!membership.isVerified) return;
    if (membership.view.number === 0 || membership.isMember || membership.isLeaving) {
      this.#source = undefined;
      return;
    }
    // Who has joined has all there is to get: whoever changes the view next lets it in.
    if (membership.joined !== undefined || now - this.#progressAt < PATIENCE_MS) return;
    const candidates = members(membership.linked & membership.others & membership.members)
      .filter((node) => membership.isInside(node));
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

  /** A part of a large message has come from `from`: it takes its time, and is not to be asked. */
  onMessagePart(from: NodeId): void {
    if (this.#source !== from) return;
    this.#progressAt = this.#context.now;
    this.#questions = 0;
  }

  onChunk(from: NodeId, message: JoinChunk): void {
    const { membership, outbox, store, now } = this.#context;
    const { transfer, chunk, entries } = message;
    if (membership.isMember || membership.view.number === 0) return;
    // Who has joined got all of this view: more would be of a later one, which is to settle first.
    if (membership.joined !== undefined) {
      this.#decline(from, transfer);
      return;
    }
    if (chunk === 0) {
      this.#source = from;
      this.#transfer = transfer;
      this.#nextChunk = 0;
      this.#isComplete = false;
      this.#participant.dropAll();
      store.clear();
    }
    if (this.#source !== from || this.#transfer !== transfer || this.#nextChunk !== chunk) {
      this.#decline(from, transfer);
      return;
    }
    this.#parts = undefined;
    this.#finalAhead = undefined; // This was sent after it, so it is of a later view still.
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

  /** This node builds from another transfer: `from` need not go on with this one. */
  #decline(from: NodeId, transfer: number): void {
    const { membership, outbox } = this.#context;
    const view = membership.view.number;
    outbox.send(only(from), { type: "joinAcknowledged", view, transfer, chunk: DECLINED });
  }

  /** The view has changed: what was sent for it may have come before it. */
  onInstalled(): void {
    const { membership } = this.#context;
    const ahead = this.#finalAhead;
    this.#finalAhead = undefined;
    if (this.#isComplete) this.#source = undefined;
    this.#isComplete = false;
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
      // What is undecided is so in the source's view: another one would settle it here otherwise. It
      // is kept until that view has come; one that is on its way to the disk has come for the journal.
      counters.finalsAhead++;
      this.#finalAhead = { from, message };
      membership.announce(only(from));
      return;
    }
    this.#progressAt = now;
    this.#isComplete = true;
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
      this.#host.hasJoined(); // Whoever has this node's promise knows of it no other way.
      if (this.#transfer !== transfer || membership.isMember) return;
      const { lastNumber } = this.#host;
      const view = membership.view.number;
      outbox.send(only(from), { type: "joinConfirmed", view, transfer, ballot, lastNumber });
    });
  }
}

/** Writes entries that come from another node over what is there. */
export function writeTransferred(
  { store, clock }: Pick<Context, "store" | "clock">,
  entries: readonly KeyRecord[],
): void {
  for (const entry of entries) {
    clock.observe(entry.version); // This node's own writes of the key must come after it.
    store.restore(entry);
  }
}
