/**
 * How the journal's records and entries are written as bytes.
 *
 * ```text
 * record = kind (1 byte) fields
 * entry  = flag (1 with a value, 0 for a deletion) version key [value]
 * ```
 *
 * | kind | record    | fields                                                             |
 * | ---- | --------- | ------------------------------------------------------------------ |
 * | 1    | prepared  | coordinator, the prepare as in `peer_codec.ts`                     |
 * | 2    | committed | coordinator, number                                                |
 * | 3    | aborted   | coordinator, number                                                |
 * | 127  | any other | the record as JSON, in UTF-8                                       |
 *
 * Integers are varints and byte strings have their length before them (`byte_writer.ts`). What
 * stands around a record, its length and a checksum, is the business of `journal_parts.ts`.
 *
 * The three records that every write needs are compact. All others are rare, and plain data: as JSON
 * a new one needs nothing here. A property that is `undefined` comes back as one that is not there.
 *
 * @module
 */

import { type ByteReader, MalformedError } from "../byte_reader.ts";
import { fromText, toText } from "../byte_string.ts";
import type { ByteWriter } from "../byte_writer.ts";
import { NODES_MAX } from "../limits.ts";
import type { JournalRecord, NodeIndex } from "../two_phase/messages.ts";
import type { ChangedEntry } from "./journal.ts";
import { encodePrepare, PREPARE_KIND, readPrepare } from "./peer_codec.ts";

const KIND = { prepared: 1, committed: 2, aborted: 3, json: 127 } as const;

/** Writes `record`. */
export function writeRecord(writer: ByteWriter, record: JournalRecord): void {
  switch (record.type) {
    case "prepared":
      writer.uint8(KIND.prepared);
      writer.varint(record.coordinator);
      encodePrepare(writer, record.prepare);
      return;
    case "committed":
    case "aborted":
      writer.uint8(KIND[record.type]);
      writer.varint(record.coordinator);
      writer.varint(record.number);
      return;
    default:
      writer.uint8(KIND.json);
      writer.byteString(fromText(JSON.stringify(record)));
  }
}

/**
 * Reads a record.
 *
 * @throws {MalformedError} where there is none.
 */
export function readRecord(reader: ByteReader): JournalRecord {
  const kind = reader.uint8();
  switch (kind) {
    case KIND.prepared: {
      const coordinator = readNode(reader);
      const prepareKind = reader.uint8();
      if (prepareKind !== PREPARE_KIND) {
        throw new MalformedError(`a prepared record holds a message of kind ${prepareKind}`);
      }
      return { type: "prepared", coordinator, prepare: readPrepare(reader) };
    }
    case KIND.committed:
      return { type: "committed", coordinator: readNode(reader), number: reader.varint() };
    case KIND.aborted:
      return { type: "aborted", coordinator: readNode(reader), number: reader.varint() };
    case KIND.json:
      return readJson(reader);
    default:
      throw new MalformedError(`an unknown kind of record: ${kind}`);
  }
}

function readNode(reader: ByteReader): NodeIndex {
  return reader.count(NODES_MAX - 1, "as the index of a node");
}

function readJson(reader: ByteReader): JournalRecord {
  const text = toText(reader.byteString());
  if (text === undefined) throw new MalformedError("a record is not text");
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || !("type" in value)) {
    throw new MalformedError("a record has no type");
  }
  const { type } = value;
  if (typeof type !== "string" || type in KIND) {
    throw new MalformedError(`a record cannot have the type ${JSON.stringify(type)}`);
  }
  // Its checksum says that it is what this program has written, so it is what it was then.
  return value as JournalRecord;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MalformedError("a record is not JSON");
  }
}

/** Writes `entry`. */
export function writeEntry(writer: ByteWriter, entry: ChangedEntry): void {
  writer.uint8(entry.value === undefined ? 0 : 1);
  writer.varint(entry.version);
  writer.byteString(entry.key);
  if (entry.value !== undefined) writer.byteString(entry.value);
}

/**
 * Reads an entry.
 *
 * @throws {MalformedError} where there is none.
 */
export function readEntry(reader: ByteReader): ChangedEntry {
  const flag = reader.uint8();
  if (flag > 1) throw new MalformedError(`an entry cannot have the flag ${flag}`);
  const version = reader.varint();
  const key = reader.byteString();
  return { key, value: flag === 1 ? reader.byteString() : undefined, version };
}
