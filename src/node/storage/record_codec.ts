/**
 * The bytes of the journal's records.
 *
 * ```text
 * record = kind (1 byte) fields
 * ```
 *
 * | kind | record           | fields                                                      |
 * | ---- | ---------------- | ----------------------------------------------------------- |
 * | 1    | prepared         | coordinator, the prepare as in `transaction_codec.ts` |
 * | 2    | committed, a run | coordinator, first number, count                            |
 * | 3    | aborted, a run   | coordinator, first number, count                            |
 * | 4    | transfer         | 1 if it is the first or 0, entries                          |
 * | 5    | joined           | ballot, entries, prepared, report, clock                    |
 * | 127  | any other        | the record as JSON, in UTF-8                                |
 *
 * Integers are varints and byte strings have their length before them (`byte_writer.ts`).
 * `journal_parts.ts` adds a record's length and a checksum.
 *
 * Records that every write needs, or that carry values, are compact, and those that say the same of
 * consecutive transactions, as under load, are one run. All others are rare plain data, written as
 * JSON: a new one needs no code here. A property that is `undefined` comes back as absent.
 *
 * @module
 */

import { type ByteReader, MalformedError } from "../../byte_reader.ts";
import { fromText, toText } from "../../byte_string.ts";
import type { ByteWriter } from "../../byte_writer.ts";
import { TRANSACTIONS_MAX } from "../../limits.ts";
import type { JournalRecord, KeyRecord } from "../../two_phase/messages.ts";
import {
  readKeyRecord,
  readPrepare,
  writeKeyRecord,
  writePrepare,
} from "../../transaction_codec.ts";
import {
  readItems,
  readNodeId,
  readPreparedRecord,
  readReport,
  writeItems,
  writePreparedRecord,
  writeReport,
} from "../../view_codec.ts";

const KIND = { prepared: 1, committed: 2, aborted: 3, transfer: 4, joined: 5, json: 127 } as const;

/** Most entries, or transactions, of one record. */
const ITEMS_MAX = 2 ** 32;

/**
 * Writes the records, each run of them as one item: `add` adds what its callback writes.
 *
 * @returns how many bytes that took, as `add` returns them.
 */
export function writeRecords(
  records: readonly JournalRecord[],
  add: (write: (writer: ByteWriter) => void) => number,
): number {
  let bytes = 0;
  for (let at = 0; at < records.length;) {
    const first = records[at];
    if (first === undefined) break;
    const count = runLength(records, at, first);
    bytes += add((writer) => writeRun(writer, first, count));
    at += count;
  }
  return bytes;
}

/**
 * How many records from `at` on, where `first` is, are one run: at most {@linkcode TRANSACTIONS_MAX}.
 */
function runLength(records: readonly JournalRecord[], at: number, first: JournalRecord): number {
  if (first.type !== "committed" && first.type !== "aborted") return 1;
  let count = 1;
  for (; count < TRANSACTIONS_MAX; count++) {
    const next = records[at + count];
    const continues = next !== undefined && next.type === first.type &&
      next.coordinator === first.coordinator && next.number === first.number + count;
    if (!continues) break;
  }
  return count;
}

function writeRun(writer: ByteWriter, record: JournalRecord, count: number): void {
  switch (record.type) {
    case "prepared":
      writer.uint8(KIND.prepared);
      writer.varint(record.coordinator);
      writePrepare(writer, record.prepare);
      return;
    case "committed":
    case "aborted":
      writer.uint8(KIND[record.type]);
      writer.varint(record.coordinator);
      writer.varint(record.number);
      writer.varint(count);
      return;
    case "transfer":
      writer.uint8(KIND.transfer);
      writer.uint8(record.isFirst ? 1 : 0);
      writeItems(writer, record.entries, (entry) => writeKeyRecord(writer, entry));
      return;
    case "joined":
      writer.uint8(KIND.joined);
      writer.varint(record.ballot);
      writeItems(writer, record.entries, (entry) => writeKeyRecord(writer, entry));
      writeItems(writer, record.prepared, (one) => writePreparedRecord(writer, one));
      writeReport(writer, record.report);
      writer.varint(record.clock);
      return;
    default:
      writer.uint8(KIND.json);
      writer.byteString(fromText(JSON.stringify(record)));
  }
}

/**
 * Reads one item that {@linkcode writeRecords} wrote, and passes its records to `receive`.
 *
 * @throws {MalformedError} if there is none.
 */
export function readRecords(reader: ByteReader, receive: (record: JournalRecord) => void): void {
  const kind = reader.uint8();
  switch (kind) {
    case KIND.prepared: {
      const coordinator = readNodeId(reader);
      receive({ type: "prepared", coordinator, prepare: readPrepare(reader) });
      return;
    }
    case KIND.committed:
    case KIND.aborted: {
      const type = kind === KIND.committed ? "committed" : "aborted";
      const coordinator = readNodeId(reader);
      const first = reader.varint();
      const count = reader.count(TRANSACTIONS_MAX, "records in a run");
      for (let i = 0; i < count; i++) receive({ type, coordinator, number: first + i });
      return;
    }
    case KIND.transfer:
      receive({ type: "transfer", isFirst: reader.uint8() === 1, entries: readEntries(reader) });
      return;
    case KIND.joined:
      receive({
        type: "joined",
        ballot: reader.varint(),
        entries: readEntries(reader),
        prepared: readItems(reader, ITEMS_MAX, "transactions", () => readPreparedRecord(reader)),
        report: readReport(reader),
        clock: reader.varint(),
      });
      return;
    case KIND.json:
      receive(readJson(reader));
      return;
    default:
      throw new MalformedError(`an unknown kind of record: ${kind}`);
  }
}

function readEntries(reader: ByteReader): readonly KeyRecord[] {
  return readItems(reader, ITEMS_MAX, "entries", () => readKeyRecord(reader));
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
  // Its checksum shows that this program wrote it, so it has the shape that it had then.
  return value as JournalRecord;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MalformedError("a record is not JSON");
  }
}
