/**
 * How nodes talk to each other: frames of messages.
 *
 * ```text
 * frame    = length (4 bytes, little-endian: bytes of the body) body
 * body     = message*
 * message  = kind (1 byte) fields
 * ```
 *
 * Integers are varints and byte strings have their length before them (`byte_writer.ts`). Messages
 * that say the same of consecutive transaction numbers, as votes, commits and aborts under load do,
 * are one run: kind, view, first number, count.
 *
 * | kind | message           | fields                                                              |
 * | ---- | ----------------- | ------------------------------------------------------------------- |
 * | 1    | prepare           | view, number, priority, version, effects, reads, follows            |
 * | 2    | vote yes, a run   | view, number, count                                                 |
 * | 3    | vote waiting, run | view, number, count                                                 |
 * | 4    | vote no           | view, number, reason                                                |
 * | 5    | commit, a run     | view, number, count                                                 |
 * | 6    | abort, a run      | view, number, count                                                 |
 * | 7    | abort acknowledged, a run | view, number, count                                         |
 * | 8    | settled           | view, upTo                                                          |
 * | 9    | forget            | view, upTo                                                          |
 * | 11   | recovered         | view, upTo, undecided                                               |
 * | 12   | heartbeat         | view, ballot, incarnation, round, position, 1 if stuck or 0         |
 * | 13   | heartbeat acknowledged | view, incarnation, round                                       |
 * | 14   | all others about views | JSON, as a byte string                                         |
 * | 15   | join chunk        | view, transfer, chunk, entries                                      |
 * | 32   | probe             | sequence, keys, requests a second, 1 with a lease or 0, chunks + 1  |
 * | 33   | probe answer      | sequence                                                            |
 *
 * What `recovered` names is given as the distance below `upTo`.
 *
 * An effect is a flag (1 with a value, 0 for a deletion), the key, and the value. What `follows`
 * names is given as the distance from the transaction's own number.
 *
 * @module
 */

import { ByteReader, MalformedError } from "../../byte_reader.ts";
import { ByteWriter } from "../../byte_writer.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_BYTES_TARGET,
  KEYS_PER_COMMAND_MAX,
  TRANSACTIONS_MAX,
} from "../../limits.ts";
import { fromText, toText } from "../../byte_string.ts";
import type {
  ControlMessage,
  Effect,
  Message,
  NoReason,
  Prepare,
  Stamp,
  TransactionNumber,
} from "../../two_phase/messages.ts";

/** The version of this format. Nodes of different versions do not talk to each other. */
export const PEER_PROTOCOL_VERSION = 6;

/** A link's own question whether the other end lives, with what a node tells of itself. */
export interface Probe {
  readonly type: "probe";
  readonly sequence: number;
  /** How many keys the node holds. */
  readonly keys: number;
  readonly requestsPerSecond: number;
  /** Whether the node may answer reads from its memory. */
  readonly hasLease: boolean;
  /** How many chunks the node has got, where it joins; `null` where it does not. */
  readonly chunks: number | null;
}

/** The answer to a {@linkcode Probe}. */
export interface ProbeAnswer {
  readonly type: "probeAnswer";
  readonly sequence: number;
}

/** Anything that goes over a link. */
export type LinkMessage = Message | Probe | ProbeAnswer;

const KIND = {
  prepare: 1,
  voteYes: 2,
  voteWaiting: 3,
  voteNo: 4,
  commit: 5,
  abort: 6,
  abortAcknowledged: 7,
  settled: 8,
  forget: 9,
  recovered: 11,
  heartbeat: 12,
  heartbeatAcknowledged: 13,
  control: 14,
  joinChunk: 15,
  probe: 32,
  probeAnswer: 33,
} as const;

/** The byte that a prepare begins with. */
export const PREPARE_KIND = KIND.prepare;

const NO_REASONS: readonly NoReason[] = ["conflict", "view", "follows", "aborted"];

/** Bytes of a frame's length. */
const HEADER_BYTES = 4;

/** A buffer that has grown beyond this is given back after its frame was sent. */
const KEPT_BYTES = 1024 * 1024;

/** Writes the encoding of `prepare`, which goes to several peers, and into journals, as it is. */
export function encodePrepare(writer: ByteWriter, prepare: Prepare): void {
  const received = prepare instanceof ReceivedPrepare ? prepare.takeEncoding() : undefined;
  if (received !== undefined) {
    writer.raw(received);
    return;
  }
  writer.uint8(KIND.prepare);
  writer.varint(prepare.view);
  writer.varint(prepare.number);
  writer.varint(prepare.priority);
  writer.varint(prepare.version);
  writer.varint(prepare.effects.length);
  for (const effect of prepare.effects) writeEffect(writer, effect);
  writer.varint(prepare.reads.length);
  for (const key of prepare.reads) writer.byteString(key);
  writer.varint(prepare.follows.length);
  for (const number of prepare.follows) writer.varint(prepare.number - number);
}

function writeEffect(writer: ByteWriter, effect: Effect): void {
  writer.uint8(effect.value === undefined ? 0 : 1);
  writer.byteString(effect.key);
  if (effect.value !== undefined) writer.byteString(effect.value);
}

/**
 * A prepare that a peer has sent. It remembers where it was read from until it is asked for that once:
 * who is going to write it as it came need not encode it again. One that has waited until its buffer
 * was given up is encoded anew.
 */
class ReceivedPrepare implements Prepare {
  readonly type = "prepare";
  readonly view: number;
  readonly number: TransactionNumber;
  readonly priority: Stamp;
  readonly version: Stamp;
  readonly effects: Prepare["effects"];
  readonly reads: Prepare["reads"];
  readonly follows: Prepare["follows"];
  #buffer: ReadBuffer | undefined;
  readonly #start: number;
  readonly #end: number;

  /** @param encoding stands in `buffer` from `start` up to `end` */
  constructor(prepare: Prepare, encoding: { buffer: ReadBuffer; start: number; end: number }) {
    this.view = prepare.view;
    this.number = prepare.number;
    this.priority = prepare.priority;
    this.version = prepare.version;
    this.effects = prepare.effects;
    this.reads = prepare.reads;
    this.follows = prepare.follows;
    this.#buffer = encoding.buffer;
    this.#start = encoding.start;
    this.#end = encoding.end;
  }

  /** Returns the encoding, as long as it is there, and lets go of it. */
  takeEncoding(): Uint8Array | undefined {
    const encoding = this.#buffer?.bytes?.subarray(this.#start, this.#end);
    this.#buffer = undefined;
    return encoding;
  }
}

/** What a {@linkcode FrameReader} reads from; `undefined` once it was given up. */
interface ReadBuffer {
  bytes: Uint8Array | undefined;
}

/** Collects messages for one peer into frames, one behind the other. */
export class FrameWriter {
  readonly #writer = new ByteWriter(4096);
  /** Where the frame begins that is being filled. */
  #start = 0;
  #runKind = 0;
  #runView = 0;
  #runFirst: TransactionNumber = 0;
  #runCount = 0;

  constructor() {
    this.#writer.uint32(0);
  }

  get isEmpty(): boolean {
    return this.#writer.length === HEADER_BYTES && this.#runCount === 0;
  }

  /** How many bytes all frames have so far. */
  get length(): number {
    return this.#writer.length;
  }

  /** Adds a message that was encoded before. */
  addEncoded(message: Uint8Array): void {
    this.#beginMessage();
    this.#writer.raw(message);
  }

  add(message: LinkMessage): void {
    switch (message.type) {
      case "vote":
        if (message.vote === "no") this.#addNo(message);
        else {
          const kind = message.vote === "yes" ? KIND.voteYes : KIND.voteWaiting;
          this.#addToRun(kind, message.view, message.number);
        }
        return;
      case "commit":
      case "abort":
      case "abortAcknowledged":
        this.#addToRun(KIND[message.type], message.view, message.number);
        return;
    }
    this.#beginMessage();
    const writer = this.#writer;
    if (message.type === "prepare") {
      encodePrepare(writer, message);
      return;
    }
    switch (message.type) {
      case "viewInstalled":
      case "leaving":
      case "viewPrepare":
      case "viewPromise":
      case "viewRefuse":
      case "viewAbandoned":
      case "viewAccept":
      case "viewAccepted":
      case "viewInstall":
      case "joinRequest":
      case "joinAcknowledged":
      case "joinFinal":
      case "joinConfirmed":
        // Rare, and of many shapes. Keys and values are byte strings, which JSON carries as they are.
        writer.uint8(KIND.control);
        writer.byteString(fromText(JSON.stringify(message)));
        return;
    }
    writer.uint8(KIND[message.type]);
    switch (message.type) {
      case "settled":
      case "forget":
        writer.varint(message.view);
        writer.varint(message.upTo);
        return;
      case "heartbeat":
        writer.varint(message.view);
        writer.varint(message.ballot);
        writer.varint(message.incarnation);
        writer.varint(message.round);
        writer.varint(message.position);
        writer.varint(message.isStuck ? 1 : 0);
        return;
      case "heartbeatAcknowledged":
        writer.varint(message.view);
        writer.varint(message.incarnation);
        writer.varint(message.round);
        return;
      case "joinChunk":
        writer.varint(message.view);
        writer.varint(message.transfer);
        writer.varint(message.chunk);
        writer.varint(message.entries.length);
        for (const entry of message.entries) {
          writeEffect(writer, entry);
          writer.varint(entry.version);
        }
        return;
      case "recovered":
        writer.varint(message.view);
        writer.varint(message.upTo);
        writer.varint(message.undecided.length);
        for (const number of message.undecided) writer.varint(message.upTo - number);
        return;
      case "probe":
        writer.varint(message.sequence);
        writer.varint(message.keys);
        writer.varint(message.requestsPerSecond);
        writer.varint(message.hasLease ? 1 : 0);
        writer.varint(message.chunks === null ? 0 : message.chunks + 1);
        return;
      case "probeAnswer":
        writer.varint(message.sequence);
        return;
    }
  }

  /** Returns all frames. They share memory with the writer, which must be reset after use. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#endRun();
    this.#endFrame();
    return this.#writer.bytes;
  }

  /** Begins anew. */
  reset(): void {
    this.#writer.reset(KEPT_BYTES);
    this.#writer.uint32(0);
    this.#start = 0;
    this.#runCount = 0;
  }

  #endFrame(): void {
    this.#writer.setUint32(this.#start, this.#writer.length - this.#start - HEADER_BYTES);
  }

  #beginMessage(): void {
    this.#endRun();
    this.#endLongFrame();
  }

  #endLongFrame(): void {
    if (this.#writer.length - this.#start < FRAME_BYTES_TARGET) return;
    this.#endFrame();
    this.#start = this.#writer.length;
    this.#writer.uint32(0);
  }

  #addNo(message: { view: number; number: TransactionNumber; reason: NoReason | "none" }): void {
    this.#beginMessage();
    this.#writer.uint8(KIND.voteNo);
    this.#writer.varint(message.view);
    this.#writer.varint(message.number);
    this.#writer.uint8(message.reason === "none" ? 0 : NO_REASONS.indexOf(message.reason));
  }

  #addToRun(kind: number, view: number, number: TransactionNumber): void {
    const continues = this.#runCount > 0 && this.#runCount < TRANSACTIONS_MAX &&
      kind === this.#runKind && view === this.#runView &&
      number === this.#runFirst + this.#runCount;
    if (continues) {
      this.#runCount++;
      return;
    }
    this.#endRun();
    this.#runKind = kind;
    this.#runView = view;
    this.#runFirst = number;
    this.#runCount = 1;
  }

  #endRun(): void {
    if (this.#runCount === 0) return;
    this.#endLongFrame();
    this.#writer.uint8(this.#runKind);
    this.#writer.varint(this.#runView);
    this.#writer.varint(this.#runFirst);
    this.#writer.varint(this.#runCount);
    this.#runCount = 0;
  }
}

/** Bytes of a reader's buffer, where no frame needs more. */
const BUFFER_BYTES = 64 * 1024;

/** A buffer with less space than this is left behind. */
const SPACE_BYTES_MIN = 16 * 1024;

/**
 * Turns the stream of bytes from one peer into messages.
 *
 * What was read is never written over, as prepares refer to it ({@linkcode encodePrepare}): a buffer is
 * filled once, and given up when the one after it is full. So a link has two of them at the most,
 * whoever may still wait for a lock.
 */
export class FrameReader {
  #buffer: Uint8Array<ArrayBuffer>;
  #reader: ByteReader;
  /** The buffer, and the one before it, as prepares refer to them. */
  #present: ReadBuffer;
  #previous: ReadBuffer = { bytes: undefined };
  #start = 0;
  #end = 0;

  /** @param received what came on the connection before it turned to frames */
  constructor(received: Uint8Array = new Uint8Array()) {
    this.#buffer = new Uint8Array(Math.max(BUFFER_BYTES, received.length));
    this.#present = { bytes: this.#buffer };
    this.#reader = new ByteReader(this.#buffer);
    this.#buffer.set(received);
    this.#end = received.length;
  }

  /** Where the next bytes belong. Call {@linkcode received} with how many came. */
  get space(): Uint8Array<ArrayBuffer> {
    const held = this.#end - this.#start;
    const isFull = this.#buffer.length - this.#end < SPACE_BYTES_MIN;
    const isTooLarge = held === 0 && this.#buffer.length > KEPT_BYTES;
    if (isFull || isTooLarge) {
      this.#replaceBuffer(Math.max(BUFFER_BYTES, 2 * held));
      this.#start = 0;
      this.#end = held;
    }
    return this.#end === 0 ? this.#buffer : this.#buffer.subarray(this.#end);
  }

  /** Takes note that `count` bytes were put into the {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
  }

  /**
   * Hands every message of every frame that has arrived whole to `receive`.
   *
   * @throws {MalformedError} where the bytes are no frames: the link cannot go on.
   */
  drain(receive: (message: LinkMessage) => void): void {
    while (this.#end - this.#start >= HEADER_BYTES) {
      const length = this.#frameLength();
      if (length > FRAME_BYTES_MAX) {
        throw new MalformedError(`a frame of ${length} bytes, at most ${FRAME_BYTES_MAX}`);
      }
      const bodyStart = this.#start + HEADER_BYTES;
      const bodyEnd = bodyStart + length;
      if (bodyEnd > this.#end) return;
      this.#reader.window(bodyStart, bodyEnd);
      while (this.#reader.left > 0) readMessage(this.#reader, this.#present, receive);
      this.#start = bodyEnd;
    }
  }

  #frameLength(): number {
    let length = 0;
    for (let i = HEADER_BYTES - 1; i >= 0; i--) {
      length = length * 256 + (this.#buffer[this.#start + i] ?? 0);
    }
    return length;
  }

  #replaceBuffer(size: number): void {
    const buffer = new Uint8Array(size);
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    // One that a long message has made large is not kept for those who may refer to it.
    if (this.#buffer.length > KEPT_BYTES) this.#present.bytes = undefined;
    this.#buffer = buffer;
    this.#reader = new ByteReader(buffer);
    this.#previous.bytes = undefined;
    this.#previous = this.#present;
    this.#present = { bytes: buffer };
  }
}

function readMessage(
  reader: ByteReader,
  buffer: ReadBuffer,
  receive: (message: LinkMessage) => void,
): void {
  const kind = reader.uint8();
  switch (kind) {
    case KIND.prepare: {
      const start = reader.at - 1;
      const prepare = readPrepare(reader);
      receive(new ReceivedPrepare(prepare, { buffer, start, end: reader.at }));
      return;
    }
    case KIND.voteYes:
    case KIND.voteWaiting: {
      const vote = kind === KIND.voteYes ? "yes" : "waiting";
      readRun(reader, (view, number) => {
        receive({ type: "vote", view, number, vote, reason: "none" });
      });
      return;
    }
    case KIND.voteNo: {
      const view = reader.varint();
      const number = reader.varint();
      const reason = NO_REASONS[reader.uint8()];
      if (reason === undefined) throw new MalformedError("an unknown reason for a no vote");
      receive({ type: "vote", view, number, vote: "no", reason });
      return;
    }
    case KIND.commit:
      readRun(reader, (view, number) => receive({ type: "commit", view, number }));
      return;
    case KIND.abort:
      readRun(reader, (view, number) => receive({ type: "abort", view, number }));
      return;
    case KIND.abortAcknowledged:
      readRun(reader, (view, number) => receive({ type: "abortAcknowledged", view, number }));
      return;
    case KIND.settled:
      receive({ type: "settled", view: reader.varint(), upTo: reader.varint() });
      return;
    case KIND.forget:
      receive({ type: "forget", view: reader.varint(), upTo: reader.varint() });
      return;
    case KIND.heartbeat:
      receive({
        type: "heartbeat",
        view: reader.varint(),
        ballot: reader.varint(),
        incarnation: reader.varint(),
        round: reader.varint(),
        position: reader.varint(),
        isStuck: reader.varint() === 1,
      });
      return;
    case KIND.heartbeatAcknowledged:
      receive({
        type: "heartbeatAcknowledged",
        view: reader.varint(),
        incarnation: reader.varint(),
        round: reader.varint(),
      });
      return;
    case KIND.control:
      receive(readControl(reader));
      return;
    case KIND.joinChunk: {
      const view = reader.varint();
      const transfer = reader.varint();
      const chunk = reader.varint();
      const entries = readList(reader, "entries", () => {
        return { ...readEffect(reader), version: reader.varint() };
      });
      receive({ type: "joinChunk", view, transfer, chunk, entries });
      return;
    }
    case KIND.recovered: {
      const view = reader.varint();
      const upTo = reader.varint();
      const count = reader.count(TRANSACTIONS_MAX, "transactions");
      const undecided = Array.from({ length: count }, () => upTo - reader.varint());
      receive({ type: "recovered", view, upTo, undecided });
      return;
    }
    case KIND.probe:
      receive({
        type: "probe",
        sequence: reader.varint(),
        keys: reader.varint(),
        requestsPerSecond: reader.varint(),
        hasLease: reader.varint() === 1,
        chunks: chunksFrom(reader.varint()),
      });
      return;
    case KIND.probeAnswer:
      receive({ type: "probeAnswer", sequence: reader.varint() });
      return;
    default:
      throw new MalformedError(`an unknown kind of message: ${kind}`);
  }
}

/** 0 stands for none, as chunks are counted from 0. */
function chunksFrom(number: number): number | null {
  return number === 0 ? null : number - 1;
}

/** Types of messages that go as JSON. */
const CONTROL_TYPES: ReadonlySet<string> = new Set<ControlMessage["type"]>([
  "viewInstalled",
  "leaving",
  "viewPrepare",
  "viewPromise",
  "viewRefuse",
  "viewAbandoned",
  "viewAccept",
  "viewAccepted",
  "viewInstall",
  "joinRequest",
  "joinAcknowledged",
  "joinFinal",
  "joinConfirmed",
]);

/** Reads what a peer of the same version has written: its shape is not looked at further. */
function readControl(reader: ByteReader): ControlMessage {
  const text = toText(reader.byteString());
  try {
    const message: unknown = JSON.parse(text ?? "");
    if (isControlMessage(message)) return message;
  } catch {
    // Falls through to the error below.
  }
  throw new MalformedError("a message about views that cannot be read");
}

function isControlMessage(value: unknown): value is ControlMessage {
  return typeof value === "object" && value !== null && "type" in value &&
    CONTROL_TYPES.has(String(value.type));
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

/** Reads what {@linkcode encodePrepare} has written, after the byte that says so. */
export function readPrepare(reader: ByteReader): Prepare {
  const view = reader.varint();
  const number = reader.varint();
  const priority = reader.varint();
  const version = reader.varint();
  const effects = readList(reader, "effects", () => readEffect(reader));
  const reads = readList(reader, "keys", () => reader.byteString());
  const follows = readList(reader, "transactions", () => number - reader.varint());
  return { type: "prepare", view, number, priority, version, effects, reads, follows };
}

function readEffect(reader: ByteReader): Effect {
  const flag = reader.uint8();
  if (flag > 1) throw new MalformedError(`an effect cannot have the flag ${flag}`);
  const key = reader.byteString();
  return { key, value: flag === 1 ? reader.byteString() : undefined };
}

const NOTHING: readonly never[] = [];

function readList<Item>(reader: ByteReader, name: string, read: () => Item): readonly Item[] {
  const count = reader.count(KEYS_PER_COMMAND_MAX, name);
  if (count === 0) return NOTHING;
  const items: Item[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}
