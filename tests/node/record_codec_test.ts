import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader, MalformedError } from "../../src/byte_reader.ts";
import { fromBytes } from "../../src/byte_string.ts";
import { ByteWriter } from "../../src/byte_writer.ts";
import type { ChangedEntry } from "../../src/node/journal.ts";
import { readEntry, readRecord, writeEntry, writeRecord } from "../../src/node/record_codec.ts";
import { type JournalRecord, transactionNumber } from "../../src/two_phase/messages.ts";

const ALL_BYTES = fromBytes(Uint8Array.from({ length: 256 }, (_, index) => index));
const NUMBER = transactionNumber(3, 7);

/** A record of a type that the codec has never heard of. */
const UNKNOWN: unknown = {
  type: "promised",
  ballot: { round: 3, node: 1 },
  text: `Zürich \u{1F41D} ${ALL_BYTES}`,
  list: [1, null, true, 2 ** 53 - 1],
};

const RECORDS: readonly JournalRecord[] = [
  {
    type: "prepared",
    coordinator: 30,
    prepare: {
      type: "prepare",
      view: 4,
      number: NUMBER,
      priority: 1_790_000_000_000_000,
      version: 1_790_000_000_000_001,
      effects: [{ key: ALL_BYTES, value: ALL_BYTES }, { key: "", value: undefined }],
      reads: ["r1", "r2"],
      follows: [NUMBER - 2, NUMBER - 1],
    },
  },
  { type: "committed", coordinator: 0, number: NUMBER },
  { type: "aborted", coordinator: 2, number: 2 ** 53 - 1 },
  UNKNOWN as JournalRecord,
];

function bytesOf(write: (writer: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  write(writer);
  return writer.bytes.slice();
}

Deno.test("readRecord() returns what writeRecord() was given", () => {
  for (const record of RECORDS) {
    const reader = new ByteReader(bytesOf((writer) => writeRecord(writer, record)));
    assertEquals(readRecord(reader), record);
    assertEquals(reader.left, 0);
  }
});

Deno.test("readRecord() throws when a record ends too early, wherever that is", () => {
  for (const record of RECORDS) {
    const bytes = bytesOf((writer) => writeRecord(writer, record));
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => readRecord(new ByteReader(bytes.slice(0, length))), MalformedError);
    }
  }
});

Deno.test("readRecord() throws when a record makes no sense", () => {
  function expectMalformed(bytes: Uint8Array<ArrayBuffer>, message: string): void {
    assertThrows(() => readRecord(new ByteReader(bytes)), MalformedError, message);
  }
  const json = (text: string) =>
    bytesOf((writer) => {
      writer.uint8(127);
      writer.byteString(text);
    });
  expectMalformed(Uint8Array.of(99), "an unknown kind of record: 99");
  expectMalformed(Uint8Array.of(2, 31, 1), "31 as the index of a node, but 30 is the most");
  expectMalformed(Uint8Array.of(1, 0, 2), "a prepared record holds a message of kind 2");
  expectMalformed(json("{"), "a record is not JSON");
  expectMalformed(json("\xff"), "a record is not text");
  expectMalformed(json("[]"), "a record has no type");
  expectMalformed(json("null"), "a record has no type");
  expectMalformed(json('{"type":1}'), "a record cannot have the type 1");
  expectMalformed(json('{"type":"committed"}'), 'a record cannot have the type "committed"');
});

Deno.test("readEntry() returns what writeEntry() was given, and throws when it ends too early", () => {
  const entries: readonly ChangedEntry[] = [
    { key: ALL_BYTES, value: ALL_BYTES, version: 1_790_000_000_000_001 },
    { key: "", value: "", version: 0 },
    { key: "gone", value: undefined, version: 7 },
  ];
  for (const entry of entries) {
    const bytes = bytesOf((writer) => writeEntry(writer, entry));
    assertEquals(readEntry(new ByteReader(bytes)), entry);
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => readEntry(new ByteReader(bytes.slice(0, length))), MalformedError);
    }
  }
  assertThrows(() => readEntry(new ByteReader(Uint8Array.of(2))), MalformedError, "the flag 2");
});
