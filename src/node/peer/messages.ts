/**
 * The bytes of each message between nodes: its kind (1 byte), then its fields.
 *
 * Integers are varints and byte strings have their length before them (`byte_writer.ts`). Messages
 * that say the same of consecutive transaction numbers, as votes, commits and aborts under load do,
 * are one *run*: kind, view, first number, count.
 *
 * | kind | message                   | fields                                                       |
 * | ---- | ------------------------- | ------------------------------------------------------------ |
 * | 1    | prepare                   | as in `transaction_codec.ts`                                 |
 * | 2    | vote yes, a run           | view, number, count                                          |
 * | 3    | vote waiting, a run       | view, number, count                                          |
 * | 4    | vote no                   | view, number, reason                                         |
 * | 5    | commit, a run             | view, number, count                                          |
 * | 6    | abort, a run              | view, number, count                                          |
 * | 7    | abort acknowledged, a run | view, number, count                                          |
 * | 8    | settled                   | view, upTo                                                   |
 * | 9    | forget                    | view, upTo                                                   |
 * | 11   | recovered                 | view, upTo, undecided                                        |
 * | 12   | heartbeat                 | view, ballot, incarnation, round, position, 1 if stuck or 0  |
 * | 13   | heartbeat acknowledged    | view, incarnation, round                                     |
 * | 14   | the rest                  | the message as JSON, a byte string                           |
 * | 15   | join chunk                | view, transfer, chunk, entries                               |
 * | 16   | join part                 | view, transfer, ballot, part, entries, prepared              |
 * | 17   | join final                | view, transfer, ballot, parts, entries, prepared, report, clock |
 * | 18   | view promise              | all fields of it, see there                                  |
 * | 19   | view accept               | view, ballot, proposal                                       |
 * | 20   | view install              | view, chosen                                                 |
 * | 21   | withdrawn                 | view, priority                                               |
 * | 32   | probe                     | sequence, keys, requests a second, 1 with a lease or 0, chunks + 1 |
 * | 33   | probe answer              | sequence                                                     |
 * | 34   | taken                     | bytes                                                        |
 * | 35   | publication               | kind of channel, channel, message                            |
 * | 36   | subscriptions             | announcement, changes: kind, name, listeners                 |
 * | 37   | subscriptions known       | announcement                                                 |
 *
 * The numbers in `recovered` are given as the distance below `upTo`. Views and reports are as in
 * `view_codec.ts`.
 *
 * {@linkcode CODECS} has one row for each type of message: a type without one does not compile.
 *
 * All this is as {@linkcode PROTOCOL_NEWEST} has it. Each codec is told which version the link has that it
 * writes to or reads from, so that one of the version before gets what that one knows (`protocols.ts`). What
 * `transaction_codec.ts` and `view_codec.ts` write also stands in journals, and is the same in all versions: a
 * new field goes behind it.
 *
 * @module
 */

import { type ByteReader, MalformedError } from "../../byte_reader.ts";
import { fromText, toText } from "../../byte_string.ts";
import type { ByteWriter } from "../../byte_writer.ts";
import { NODES_MAX, TRANSACTIONS_MAX } from "../../limits.ts";
import { SUBSCRIPTION_KINDS, type SubscriptionKind } from "../commands/command.ts";
import type {
  Publication,
  SubscriptionChange,
  Subscriptions,
  SubscriptionsKnown,
} from "../pubsub/messages.ts";
import {
  type ReadBuffer,
  readKeyRecord,
  readList,
  readPrepare,
  writeKeyRecord,
  writePrepare,
} from "../../transaction_codec.ts";
import {
  readItems,
  readNumbers,
  readPreparedRecord,
  readReport,
  readText,
  readView,
  writeItems,
  writeNumbers,
  writePreparedRecord,
  writeReport,
  writeText,
  writeView,
} from "../../view_codec.ts";
import type {
  KeyRecord,
  MessageByType,
  NoReason,
  PreparedRecord,
  TransactionNumber,
  ViewPromise,
  Vote,
} from "../../two_phase/messages.ts";

/** What a node reports about itself with every probe. */
export interface NodeReport {
  /** How many keys the node holds. */
  readonly keys: number;
  readonly requestsPerSecond: number;
  /** Whether it may answer reads from its memory. */
  readonly hasLease: boolean;
  /** How many chunks it has received, if it joins; else `null`. */
  readonly chunks: number | null;
}

/** A link's own question whether the peer is alive. */
export interface Probe extends NodeReport {
  readonly type: "probe";
  readonly sequence: number;
}

/** The answer to a {@linkcode Probe}. */
export interface ProbeAnswer {
  readonly type: "probeAnswer";
  readonly sequence: number;
}

/** The sender has processed this many bytes from this link since its last such message. */
export interface Taken {
  readonly type: "taken";
  readonly bytes: number;
}

/** Every message that goes over a link, by its type. */
export interface LinkMessageByType extends MessageByType {
  readonly probe: Probe;
  readonly probeAnswer: ProbeAnswer;
  readonly taken: Taken;
  readonly publication: Publication;
  readonly subscriptions: Subscriptions;
  readonly subscriptionsKnown: SubscriptionsKnown;
}

/** The types of messages that go over a link. */
export type LinkMessageType = keyof LinkMessageByType;

/** Any message that goes over a link. */
export type LinkMessage = LinkMessageByType[LinkMessageType];

/** Collects messages in a form that can be sent. */
export interface MessageSink {
  /** The version of the protocol that the messages are for. */
  readonly protocol: number;
  /** Returns the writer for one message, which begins with its kind. */
  begin(kind: number): ByteWriter;
  /** Adds a message that says the same of consecutive numbers. */
  addToRun(kind: number, view: number, number: TransactionNumber): void;
}

/** What messages are read from. */
export interface MessageSource {
  /** The version of the protocol that the messages are of. */
  readonly protocol: number;
  readonly reader: ByteReader;
  readonly buffer: ReadBuffer;
}

type Receive<Message> = (message: Message) => void;

/** How messages of one type are written and read. */
interface Codec<Message> {
  /** The kinds that the type has. */
  readonly kinds: readonly number[];
  write(sink: MessageSink, message: Message): void;
  read(source: MessageSource, receive: Receive<Message>, kind: number): void;
}

/** A codec for messages with one kind. */
function plain<Message>(
  kind: number,
  write: (writer: ByteWriter, message: Message, protocol: number) => void,
  read: (reader: ByteReader, source: MessageSource) => Message,
): Codec<Message> {
  return {
    kinds: [kind],
    write: (sink, message) => write(sink.begin(kind), message, sink.protocol),
    read: (source, receive) => receive(read(source.reader, source)),
  };
}

/** A codec for messages that say the same of consecutive numbers. */
function run<Message extends { readonly view: number; readonly number: TransactionNumber }>(
  kind: number,
  make: (view: number, number: TransactionNumber) => Message,
): Codec<Message> {
  return {
    kinds: [kind],
    write: (sink, { view, number }) => sink.addToRun(kind, view, number),
    read: ({ reader }, receive) => {
      readRun(reader, (view, number) => receive(make(view, number)));
    },
  };
}

function readRun(
  reader: ByteReader,
  receive: (view: number, number: TransactionNumber) => void,
): void {
  const view = reader.varint();
  const first = reader.varint();
  const count = reader.count(TRANSACTIONS_MAX, "messages in a run");
  for (let i = 0; i < count; i++) receive(view, first + i);
}

const JSON_KIND = 14;

/**
 * A codec for rare messages of many shapes. Keys and values are byte strings, which JSON carries
 * unchanged. Only the type is checked, as a peer of the same version wrote the message.
 */
function json<Type extends LinkMessageType>(type: Type): Codec<LinkMessageByType[Type]> {
  return {
    kinds: [],
    write: (sink, message) => {
      sink.begin(JSON_KIND).byteString(fromText(JSON.stringify(message)));
    },
    read: () => {
      throw new MalformedError(`a message ${type} comes as JSON`);
    },
  };
}

const VOTE_KIND = { yes: 2, waiting: 3, no: 4 } as const;

const NO_REASONS: readonly NoReason[] = ["conflict", "view", "follows", "aborted"];

const vote: Codec<Vote> = {
  kinds: Object.values(VOTE_KIND),
  write: (sink, message) => {
    if (message.vote !== "no") {
      sink.addToRun(VOTE_KIND[message.vote], message.view, message.number);
      return;
    }
    const writer = sink.begin(VOTE_KIND.no);
    writer.varint(message.view);
    writer.varint(message.number);
    writer.uint8(message.reason === "none" ? 0 : NO_REASONS.indexOf(message.reason));
  },
  read: ({ reader }, receive, kind) => {
    if (kind !== VOTE_KIND.no) {
      const said = kind === VOTE_KIND.yes ? "yes" : "waiting";
      readRun(reader, (view, number) => {
        receive({ type: "vote", view, number, vote: said, reason: "none" });
      });
      return;
    }
    const view = reader.varint();
    const number = reader.varint();
    const reason = NO_REASONS[reader.uint8()];
    if (reason === undefined) throw new MalformedError("an unknown reason for a no vote");
    receive({ type: "vote", view, number, vote: "no", reason });
  },
};

/** One row for each type of message. */
const CODECS: { readonly [Type in LinkMessageType]: Codec<LinkMessageByType[Type]> } = {
  prepare: plain(1, writePrepare, (reader, { buffer }) => readPrepare(reader, buffer)),
  vote,
  commit: run(5, (view, number) => ({ type: "commit", view, number })),
  abort: run(6, (view, number) => ({ type: "abort", view, number })),
  abortAcknowledged: run(7, (view, number) => ({ type: "abortAcknowledged", view, number })),
  withdrawn: plain(21, (writer, { view, priority }) => {
    writer.varint(view);
    writer.varint(priority);
  }, (reader) => ({ type: "withdrawn", view: reader.varint(), priority: reader.varint() })),
  settled: plain(8, (writer, { view, upTo }) => {
    writer.varint(view);
    writer.varint(upTo);
  }, (reader) => ({ type: "settled", view: reader.varint(), upTo: reader.varint() })),
  forget: plain(9, (writer, { view, upTo }) => {
    writer.varint(view);
    writer.varint(upTo);
  }, (reader) => ({ type: "forget", view: reader.varint(), upTo: reader.varint() })),
  recovered: plain(11, (writer, { view, upTo, undecided }) => {
    writer.varint(view);
    writer.varint(upTo);
    writer.varint(undecided.length);
    for (const number of undecided) writer.varint(upTo - number);
  }, (reader) => {
    const view = reader.varint();
    const upTo = reader.varint();
    const count = reader.count(TRANSACTIONS_MAX, "transactions");
    const undecided = Array.from({ length: count }, () => upTo - reader.varint());
    return { type: "recovered", view, upTo, undecided };
  }),
  heartbeat: plain(12, (writer, message) => {
    writer.varint(message.view);
    writer.varint(message.ballot);
    writer.varint(message.incarnation);
    writer.varint(message.round);
    writer.varint(message.position);
    writer.varint(message.isStuck ? 1 : 0);
    writer.varint(message.hears);
    writer.varint(message.forceMs);
  }, (reader) => ({
    type: "heartbeat",
    view: reader.varint(),
    ballot: reader.varint(),
    incarnation: reader.varint(),
    round: reader.varint(),
    position: reader.varint(),
    isStuck: reader.varint() === 1,
    hears: reader.varint(),
    forceMs: reader.varint(),
  })),
  heartbeatAcknowledged: plain(13, (writer, message) => {
    writer.varint(message.view);
    writer.varint(message.incarnation);
    writer.varint(message.round);
    writer.varint(message.wallMs);
  }, (reader) => ({
    type: "heartbeatAcknowledged",
    view: reader.varint(),
    incarnation: reader.varint(),
    round: reader.varint(),
    wallMs: reader.varint(),
  })),
  viewInstalled: json("viewInstalled"),
  leaving: json("leaving"),
  viewPrepare: json("viewPrepare"),
  viewPromise: plain(18, writePromise, readPromise),
  viewRefuse: json("viewRefuse"),
  viewAbandoned: json("viewAbandoned"),
  viewAccept: plain(19, (writer, { view, ballot, proposal }) => {
    writer.varint(view);
    writer.varint(ballot);
    writeView(writer, proposal);
  }, (reader) => ({
    type: "viewAccept",
    view: reader.varint(),
    ballot: reader.varint(),
    proposal: readView(reader),
  })),
  viewAccepted: json("viewAccepted"),
  viewInstall: plain(20, (writer, { view, chosen }) => {
    writer.varint(view);
    writeView(writer, chosen);
  }, (reader) => ({ type: "viewInstall", view: reader.varint(), chosen: readView(reader) })),
  joinRequest: json("joinRequest"),
  joinChunk: plain(15, (writer, message) => {
    writer.varint(message.view);
    writer.varint(message.transfer);
    writer.varint(message.chunk);
    writeEntries(writer, message.entries);
  }, (reader) => ({
    type: "joinChunk",
    view: reader.varint(),
    transfer: reader.varint(),
    chunk: reader.varint(),
    entries: readEntries(reader),
  })),
  joinAcknowledged: json("joinAcknowledged"),
  joinPart: plain(16, (writer, message) => {
    writer.varint(message.view);
    writer.varint(message.transfer);
    writer.varint(message.ballot);
    writer.varint(message.part);
    writeEntries(writer, message.entries);
    writePrepared(writer, message.prepared);
  }, (reader) => ({
    type: "joinPart",
    view: reader.varint(),
    transfer: reader.varint(),
    ballot: reader.varint(),
    part: reader.varint(),
    entries: readEntries(reader),
    prepared: readPrepared(reader),
  })),
  joinFinal: plain(17, (writer, message) => {
    writer.varint(message.view);
    writer.varint(message.transfer);
    writer.varint(message.ballot);
    writer.varint(message.parts);
    writeEntries(writer, message.entries);
    writePrepared(writer, message.prepared);
    writeReport(writer, message.report);
    writer.varint(message.clock);
  }, (reader) => ({
    type: "joinFinal",
    view: reader.varint(),
    transfer: reader.varint(),
    ballot: reader.varint(),
    parts: reader.varint(),
    entries: readEntries(reader),
    prepared: readPrepared(reader),
    report: readReport(reader),
    clock: reader.varint(),
  })),
  joinConfirmed: json("joinConfirmed"),
  probe: plain(32, (writer, message) => {
    writer.varint(message.sequence);
    writer.varint(message.keys);
    writer.varint(message.requestsPerSecond);
    writer.varint(message.hasLease ? 1 : 0);
    writer.varint(message.chunks === null ? 0 : message.chunks + 1);
  }, (reader) => ({
    type: "probe",
    sequence: reader.varint(),
    keys: reader.varint(),
    requestsPerSecond: reader.varint(),
    hasLease: reader.varint() === 1,
    chunks: chunksFrom(reader.varint()),
  })),
  publication: plain(35, (writer, { kind, channel, message }) => {
    writer.uint8(SUBSCRIPTION_KINDS.indexOf(kind));
    writer.byteString(channel);
    writer.byteString(message);
  }, (reader) => ({
    type: "publication",
    kind: readKind(reader) === "shard" ? "shard" : "channel",
    channel: reader.byteString(),
    message: reader.byteString(),
  })),
  subscriptions: plain(36, (writer, { announcement, changes }) => {
    writer.varint(announcement);
    writer.varint(changes.length);
    for (const [kind, name, listeners] of changes) {
      writer.uint8(SUBSCRIPTION_KINDS.indexOf(kind));
      writer.byteString(name);
      writer.varint(listeners);
    }
  }, (reader) => ({
    type: "subscriptions",
    announcement: reader.varint(),
    changes: readList(
      reader,
      "subscriptions",
      (): SubscriptionChange => [readKind(reader), reader.byteString(), reader.varint()],
    ),
  })),
  subscriptionsKnown: plain(37, (writer, { announcement }) => writer.varint(announcement), (
    reader,
  ) => ({ type: "subscriptionsKnown", announcement: reader.varint() })),
  probeAnswer: plain(33, (writer, { sequence }) => writer.varint(sequence), (reader) => ({
    type: "probeAnswer",
    sequence: reader.varint(),
  })),
  taken: plain(34, (writer, { bytes }) => writer.varint(bytes), (reader) => ({
    type: "taken",
    bytes: reader.varint(),
  })),
};

function writeEntries(writer: ByteWriter, entries: readonly KeyRecord[]): void {
  writeItems(writer, entries, (entry) => writeKeyRecord(writer, entry));
}

function readEntries(reader: ByteReader): readonly KeyRecord[] {
  return readList(reader, "entries", () => readKeyRecord(reader));
}

function writePrepared(writer: ByteWriter, prepared: readonly PreparedRecord[]): void {
  writeItems(writer, prepared, (record) => writePreparedRecord(writer, record));
}

function readPrepared(reader: ByteReader): readonly PreparedRecord[] {
  const max = NODES_MAX * TRANSACTIONS_MAX;
  return readItems(reader, max, "transactions", () => readPreparedRecord(reader));
}

function writePromise(writer: ByteWriter, promise: ViewPromise): void {
  writer.varint(promise.view);
  writer.varint(promise.ballot);
  writeText(writer, promise.journal);
  writeView(writer, promise.installed);
  writer.uint8(promise.isMember ? 1 : 0);
  writer.uint8(promise.isJoined ? 1 : 0);
  const { accepted } = promise;
  writer.uint8(accepted === undefined ? 0 : 1);
  if (accepted !== undefined) {
    writer.varint(accepted.ballot);
    writeText(writer, accepted.journal);
    writeView(writer, accepted.proposal);
  }
  writer.varint(promise.lastNumber);
  writeNumbers(writer, promise.acknowledged);
  writeNumbers(writer, promise.met);
  writer.varint(Math.floor(promise.uptimeMs));
  writer.uint8(promise.readsNoMore === true ? 1 : 0);
  writeReport(writer, promise);
}

function readPromise(reader: ByteReader): ViewPromise {
  return {
    type: "viewPromise",
    view: reader.varint(),
    ballot: reader.varint(),
    journal: readText(reader),
    installed: readView(reader),
    isMember: reader.uint8() === 1,
    isJoined: reader.uint8() === 1,
    accepted: reader.uint8() === 0 ? undefined : {
      ballot: reader.varint(),
      journal: readText(reader),
      proposal: readView(reader),
    },
    lastNumber: reader.varint(),
    acknowledged: readNumbers(reader),
    met: readNumbers(reader),
    uptimeMs: reader.varint(),
    ...reader.uint8() === 1 ? { readsNoMore: true } : {},
    ...readReport(reader),
  };
}

function readKind(reader: ByteReader): SubscriptionKind {
  const kind = SUBSCRIPTION_KINDS[reader.uint8()];
  if (kind === undefined) throw new MalformedError("an unknown kind of subscription");
  return kind;
}

/** 0 stands for none: the number sent is one more than the count of chunks. */
function chunksFrom(number: number): number | null {
  return number === 0 ? null : number - 1;
}

type Read = Codec<LinkMessage>["read"];

/** By kind: the function that reads it. */
const READ_BY_KIND: readonly (Read | undefined)[] = byKind();

function byKind(): readonly (Read | undefined)[] {
  const readers: (Read | undefined)[] = Array.from({ length: 256 }, () => undefined);
  for (const { kinds, read } of Object.values(CODECS)) {
    for (const kind of kinds) readers[kind] = read as Read;
  }
  readers[JSON_KIND] = ({ reader }, receive) => receive(readJson(reader));
  return readers;
}

/** Adds `message` to `sink`. */
export function writeMessage<Type extends LinkMessageType>(
  sink: MessageSink,
  message: LinkMessageByType[Type] & { readonly type: Type },
): void {
  CODECS[message.type].write(sink, message);
}

/**
 * Reads one message, or a run of them, and passes each to `receive`.
 *
 * @throws {MalformedError} if there is none.
 */
export function readMessages(source: MessageSource, receive: Receive<LinkMessage>): void {
  const kind = source.reader.uint8();
  const read = READ_BY_KIND[kind];
  if (read === undefined) throw new MalformedError(`an unknown kind of message: ${kind}`);
  read(source, receive, kind);
}

function readJson(reader: ByteReader): LinkMessage {
  const text = toText(reader.byteString());
  try {
    const message: unknown = JSON.parse(text ?? "");
    if (isJsonMessage(message)) return message;
  } catch {
    // Falls through to the error below.
  }
  throw new MalformedError("a message about views that cannot be read");
}

function isJsonMessage(value: unknown): value is LinkMessage {
  if (typeof value !== "object" || value === null || !("type" in value)) return false;
  const { type } = value;
  return typeof type === "string" && Object.hasOwn(CODECS, type) &&
    CODECS[type as LinkMessageType].kinds.length === 0;
}
