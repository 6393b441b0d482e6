/** The one form in which nodes, journals and transfers write keys and transactions. */

import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader, MalformedError } from "../src/byte_reader.ts";
import { fromBytes } from "../src/byte_string.ts";
import { ByteWriter } from "../src/byte_writer.ts";
import { InvariantError } from "../src/invariant.ts";
import {
  readKeyRecord,
  readPrepare,
  writeKeyRecord,
  writePrepare,
} from "../src/transaction_codec.ts";
import { type KeyRecord, type Prepare, transactionNumber } from "../src/two_phase/messages.ts";

const ALL_BYTES = fromBytes(Uint8Array.from({ length: 256 }, (_, index) => index));
const NUMBER = transactionNumber(3, 7);

function bytesOf(write: (writer: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  write(writer);
  return writer.bytes.slice();
}

/** Checks that `read` throws wherever the bytes end too early. */
function assertNeedsAll(bytes: Uint8Array<ArrayBuffer>, read: (reader: ByteReader) => unknown) {
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => read(new ByteReader(bytes.slice(0, length))), MalformedError);
  }
}

Deno.test("readKeyRecord() returns what writeKeyRecord() was given", () => {
  const records: readonly KeyRecord[] = [
    { key: ALL_BYTES, value: ALL_BYTES, version: 1_790_000_000_000_001 },
    { key: "", value: "", version: 0, expiresAtMs: 2 ** 53 - 1 },
    { key: "soon", value: "v", version: 1, expiresAtMs: 0 },
    { key: "gone", value: undefined, version: 7 },
  ];
  for (const record of records) {
    const bytes = bytesOf((writer) => writeKeyRecord(writer, record));
    assertEquals(readKeyRecord(new ByteReader(bytes)), record);
    assertNeedsAll(bytes, readKeyRecord);
  }
});

Deno.test("readKeyRecord() refuses flags that nothing is written with", () => {
  for (const flags of [2, 6, 8, 255]) {
    assertThrows(
      () => readKeyRecord(new ByteReader(Uint8Array.of(flags, 0, 0))),
      MalformedError,
      `the flags ${flags}`,
    );
  }
});

Deno.test("readPrepare() returns what writePrepare() was given", () => {
  const prepare: Prepare = {
    type: "prepare",
    view: 4,
    number: NUMBER,
    priority: 1_790_000_000_000_000,
    version: 1_790_000_000_000_001,
    effects: [
      { key: ALL_BYTES, value: ALL_BYTES, expiresAtMs: 1_790_000_000_000 },
      { key: "gone", value: undefined },
      { key: "counted", value: "2", events: "\x08" },
      { key: "all", value: "2", expiresAtMs: 3, events: "\0\x02" },
    ],
    reads: ["r1", "r2"],
    follows: [NUMBER - 2, NUMBER - 1],
  };
  const bytes = bytesOf((writer) => writePrepare(writer, prepare));
  assertEquals(readPrepare(new ByteReader(bytes)), prepare);
  assertNeedsAll(bytes, (reader) => readPrepare(reader));
});

Deno.test("ByteWriter.varint() writes what ByteReader.varint() reads, and throws for all else", () => {
  for (const number of [0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52, 2 ** 53 - 1]) {
    assertEquals(new ByteReader(bytesOf((writer) => writer.varint(number))).varint(), number);
  }
  for (const number of [-1, 0.5, 2 ** 33 + 0.5, 2 ** 53, 2 ** 53 + 2, Infinity, -Infinity, NaN]) {
    assertThrows(() => new ByteWriter().varint(number), InvariantError, `${number}`);
  }
});
