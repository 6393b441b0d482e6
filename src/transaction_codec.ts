/**
 * The bytes of transactions and keys: one form for messages between nodes, the journal, and
 * transfers.
 *
 * ```text
 * prepare    = view number priority version effects reads follows
 * effect     = flags key [value] [expiresAtMs] [events]
 *                                                   flags: 1 with a value, 2 with an expiry,
 *                                                   4 with events
 * key record = effect version
 * ```
 *
 * A list has its length before it. Integers are varints and byte strings have their length before
 * them (`byte_writer.ts`). The numbers in `follows` are given as the distance from the
 * transaction's own number.
 *
 * @module
 */

import { type ByteReader, MalformedError } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { KEYS_PER_COMMAND_MAX } from "./limits.ts";
import type { Effect, KeyRecord, Prepare, Stamp, TransactionNumber } from "./two_phase/messages.ts";

const HAS_VALUE = 1;
const HAS_EXPIRY = 2;
const HAS_EVENTS = 4;

/** An encoding of at least this many bytes is kept for a while: see {@linkcode writePrepare}. */
const KEPT_ENCODING_BYTES = 64 * 1024;

/** The last large prepare that was written, and its encoding. */
let lastLarge: { readonly prepare: WeakRef<Prepare>; readonly encoding: Uint8Array } | undefined;

/**
 * Writes `prepare`. A prepare from a peer is written in the received bytes, if they are still
 * there. A large one goes to the journal and to the peers in one turn, and is encoded once.
 */
export function writePrepare(writer: ByteWriter, prepare: Prepare): void {
  const received = prepare instanceof ReceivedPrepare ? prepare.takeEncoding() : undefined;
  if (received !== undefined) {
    writer.raw(received);
    return;
  }
  if (lastLarge?.prepare.deref() === prepare) {
    writer.raw(lastLarge.encoding);
    lastLarge = undefined;
    return;
  }
  const start = writer.length;
  encodePrepare(writer, prepare);
  if (writer.length - start >= KEPT_ENCODING_BYTES) {
    lastLarge = { prepare: new WeakRef(prepare), encoding: writer.bytes.slice(start) };
  }
}

function encodePrepare(writer: ByteWriter, prepare: Prepare): void {
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

/**
 * Reads what {@linkcode writePrepare} wrote.
 *
 * @param buffer the buffer of `reader`, if the prepare should remember it: see
 * {@linkcode ReadBuffer}
 * @throws {MalformedError} if there is no prepare.
 */
export function readPrepare(reader: ByteReader, buffer?: ReadBuffer): Prepare {
  const start = reader.at;
  const view = reader.varint();
  const number = reader.varint();
  const priority = reader.varint();
  const version = reader.varint();
  const effects = readList(reader, "effects", () => readEffect(reader));
  const reads = readList(reader, "keys", () => reader.byteString());
  const follows = readList(reader, "transactions", () => number - reader.varint());
  const prepare = { type: "prepare", view, number, priority, version, effects, reads, follows };
  return buffer === undefined
    ? prepare as Prepare
    : new ReceivedPrepare(prepare as Prepare, { buffer, start, end: reader.at });
}

/** Bytes that prepares were read from; `undefined` once they were released. */
export interface ReadBuffer {
  bytes: Uint8Array | undefined;
}

/**
 * A prepare from a peer. It remembers the received bytes until they are taken once, so that a
 * member can write them into its journal without encoding the prepare again. If its buffer was
 * released meanwhile, it is encoded again.
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

  /** Returns the encoding if it is still there, and releases it. */
  takeEncoding(): Uint8Array | undefined {
    const encoding = this.#buffer?.bytes?.subarray(this.#start, this.#end);
    this.#buffer = undefined;
    return encoding;
  }
}

/** Writes a key with its value, or its deletion, and its version. */
export function writeKeyRecord(writer: ByteWriter, record: KeyRecord): void {
  writeEffect(writer, record);
  writer.varint(record.version);
}

/**
 * Reads what {@linkcode writeKeyRecord} wrote.
 *
 * @throws {MalformedError} if there is none.
 */
export function readKeyRecord(reader: ByteReader): KeyRecord {
  const { key, value, expiresAtMs } = readEffect(reader);
  const version = reader.varint();
  return expiresAtMs === undefined ? { key, value, version } : { key, value, version, expiresAtMs };
}

function writeEffect(writer: ByteWriter, { key, value, expiresAtMs, events }: Effect): void {
  const flags = (value === undefined ? 0 : HAS_VALUE) |
    (expiresAtMs === undefined ? 0 : HAS_EXPIRY) | (events === undefined ? 0 : HAS_EVENTS);
  writer.uint8(flags);
  writer.byteString(key);
  if (value !== undefined) writer.byteString(value);
  if (expiresAtMs !== undefined) writer.varint(expiresAtMs);
  if (events !== undefined) writer.byteString(events);
}

function readEffect(reader: ByteReader): Effect {
  const flags = reader.uint8();
  // Only a key that exists can expire.
  const isOfMissing = (flags & HAS_VALUE) === 0;
  if (flags > (HAS_VALUE | HAS_EXPIRY | HAS_EVENTS) || isOfMissing && (flags & HAS_EXPIRY) !== 0) {
    throw new MalformedError(`a key cannot have the flags ${flags}`);
  }
  const key = reader.byteString();
  const value = (flags & HAS_VALUE) !== 0 ? reader.byteString() : undefined;
  // Most have no expiry: give all of them the same shape, wherever they come from.
  const effect = (flags & HAS_EXPIRY) === 0
    ? { key, value }
    : { key, value, expiresAtMs: reader.varint() };
  return (flags & HAS_EVENTS) === 0 ? effect : { ...effect, events: reader.byteString() };
}

const NOTHING: readonly never[] = [];

/** Reads a list with at most `KEYS_PER_COMMAND_MAX` items; `name` says what they are. */
export function readList<Item>(
  reader: ByteReader,
  name: string,
  read: () => Item,
): readonly Item[] {
  const count = reader.count(KEYS_PER_COMMAND_MAX, name);
  if (count === 0) return NOTHING;
  const items: Item[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}
