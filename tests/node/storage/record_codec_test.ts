import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader, MalformedError } from "../../../src/byte_reader.ts";
import { fromBytes } from "../../../src/byte_string.ts";
import { ByteWriter } from "../../../src/byte_writer.ts";
import { readRecords, writeRecords } from "../../../src/node/storage/record_codec.ts";
import { TRANSACTIONS_MAX } from "../../../src/limits.ts";
import { type JournalRecord, transactionNumber } from "../../../src/two_phase/messages.ts";

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
      effects: [
        { key: ALL_BYTES, value: ALL_BYTES, expiresAtMs: 1_790_000_000_000 },
        { key: "", value: undefined },
      ],
      reads: ["r1", "r2"],
      follows: [NUMBER - 2, NUMBER - 1],
    },
  },
  { type: "committed", coordinator: 0, number: NUMBER },
  { type: "aborted", coordinator: 2, number: 2 ** 53 - 1 },
  {
    type: "transfer",
    isFirst: true,
    entries: [
      { key: ALL_BYTES, value: ALL_BYTES, version: 5, expiresAtMs: 9 },
      { key: "gone", value: undefined, version: 2 ** 53 - 1 },
    ],
  },
  { type: "transfer", isFirst: false, entries: [] },
  {
    type: "joined",
    ballot: 97,
    entries: [{ key: "k", value: "v", version: 7 }],
    prepared: [{
      type: "prepared",
      coordinator: 3,
      prepare: {
        type: "prepare",
        view: 4,
        number: NUMBER,
        priority: 1,
        version: 2,
        effects: [{ key: "k", value: ALL_BYTES }],
        reads: [],
        follows: [],
      },
    }],
    report: {
      table: [
        { coordinator: 0, number: NUMBER, state: "prepared", follows: [NUMBER - 3] },
        { coordinator: 30, number: 9, state: "committed", follows: [] },
        { coordinator: 1, number: 8, state: "aborted", follows: [] },
      ],
      marks: [0, NUMBER],
    },
    clock: 1_790_000_000_000_001,
  },
  UNKNOWN as JournalRecord,
];

function bytesOf(write: (writer: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  write(writer);
  return writer.bytes.slice();
}

/** Returns the bytes of each item that the records make. */
function itemsOf(records: readonly JournalRecord[]): Uint8Array<ArrayBuffer>[] {
  const items: Uint8Array<ArrayBuffer>[] = [];
  const total = writeRecords(records, (write) => {
    const item = bytesOf(write);
    items.push(item);
    return item.length;
  });
  assertEquals(total, items.reduce((sum, { length }) => sum + length, 0));
  return items;
}

function recordsOf(items: readonly Uint8Array<ArrayBuffer>[]): JournalRecord[] {
  const records: JournalRecord[] = [];
  for (const item of items) {
    const reader = new ByteReader(item);
    readRecords(reader, (record) => records.push(record));
    assertEquals(reader.left, 0);
  }
  return records;
}

function committed(number: number, coordinator = 0): JournalRecord {
  return { type: "committed", coordinator, number };
}

Deno.test("readRecords() returns what writeRecords() was given", () => {
  const items = itemsOf(RECORDS);
  assertEquals(items.length, RECORDS.length);
  assertEquals(recordsOf(items), RECORDS);
});

Deno.test("writeRecords() makes one item of what says the same of consecutive transactions", () => {
  const records: JournalRecord[] = [
    committed(NUMBER),
    committed(NUMBER + 1),
    committed(NUMBER + 2),
    committed(NUMBER + 4), // a gap
    committed(NUMBER + 5, 1), // of another coordinator
    { type: "aborted", coordinator: 1, number: NUMBER + 6 },
    { type: "aborted", coordinator: 1, number: NUMBER + 7 },
    committed(NUMBER + 8, 1),
    committed(NUMBER + 8, 1), // the same once more
  ];
  const items = itemsOf(records);
  assertEquals(items.length, 6);
  assertEquals(recordsOf(items), records);
});

Deno.test("writeRecords() ends a run at the length that readRecords() accepts", () => {
  const records = Array.from({ length: TRANSACTIONS_MAX + 1 }, (_, i) => committed(NUMBER + i));
  const items = itemsOf(records);
  assertEquals(items.length, 2);
  assertEquals(recordsOf(items), records);
});

Deno.test("readRecords() throws when an item ends too early, wherever that is", () => {
  for (const item of itemsOf(RECORDS)) {
    for (let length = 0; length < item.length; length++) {
      assertThrows(() => recordsOf([item.slice(0, length)]), MalformedError);
    }
  }
});

Deno.test("readRecords() throws when a record makes no sense", () => {
  function expectMalformed(bytes: Uint8Array<ArrayBuffer>, message: string): void {
    assertThrows(() => recordsOf([bytes]), MalformedError, message);
  }
  const json = (text: string) =>
    bytesOf((writer) => {
      writer.uint8(127);
      writer.byteString(text);
    });
  expectMalformed(Uint8Array.of(99), "an unknown kind of record: 99");
  expectMalformed(Uint8Array.of(2, 31, 1), "31 as the id of a node, but 30 is the most");
  expectMalformed(
    Uint8Array.of(2, 0, 1, 129, 128, 1),
    "16385 records in a run, but 16384 is the most",
  );
  expectMalformed(json("{"), "a record is not JSON");
  expectMalformed(json("\xff"), "a record is not text");
  expectMalformed(json("[]"), "a record has no type");
  expectMalformed(json("null"), "a record has no type");
  expectMalformed(json('{"type":1}'), "a record cannot have the type 1");
  expectMalformed(json('{"type":"committed"}'), 'a record cannot have the type "committed"');
});
