import { crc32 } from "node:zlib";
import { assertEquals, assertThrows } from "@std/assert";
import { MalformedError } from "../../../src/byte_reader.ts";
import { fromBytes } from "../../../src/byte_string.ts";
import {
  cutIntoParts,
  ItemReader,
  ItemWriter,
  PART_BYTES_MAX,
  seal,
  unseal,
} from "../../../src/node/storage/journal_parts.ts";
import { splits } from "../../harness/split.ts";

const ITEMS = ["", "one", "x".repeat(300), "end"];

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length));
}

function written(items: readonly string[]): ItemWriter {
  const writer = new ItemWriter();
  for (const item of items) writer.add((bytes) => bytes.byteString(item));
  return writer;
}

function read(contents: Iterable<Uint8Array>): { items: string[]; held: number } {
  const reader = new ItemReader();
  const items: string[] = [];
  for (const content of contents) reader.push(content, (bytes) => items.push(bytes.byteString()));
  return { items, held: reader.held };
}

Deno.test("ItemReader.push() returns the items when they are split anywhere", () => {
  const [part] = written(ITEMS).takeAll().after;
  for (const pieces of splits(unseal(part))) assertEquals(read(pieces), { items: ITEMS, held: 0 });
});

Deno.test("ItemReader.held counts the bytes of an item that has not ended", () => {
  const [part] = written(["whole", "half"]).takeAll().after;
  const content = unseal(part);
  assertEquals(read([content.subarray(0, content.length - 1)]), { items: ["whole"], held: 8 });
});

Deno.test("ItemReader.push() throws when an item is not read to its end", () => {
  const [part] = written(["item"]).takeAll().after;
  assertThrows(
    () => new ItemReader().push(unseal(part), (bytes) => bytes.uint8()),
    MalformedError,
    "4 bytes too many",
  );
});

Deno.test("ItemWriter cuts into parts that the store takes, and keeps what fills none", () => {
  const items = Array.from({ length: 100 }, () => fromBytes(randomBytes(4000)));
  const writer = written(items);
  const parts = writer.takeFull();
  // What is random does not become shorter.
  assertEquals(parts.every((part) => part.length === PART_BYTES_MAX), true);
  parts.push(...writer.takeAll().after);
  assertEquals(writer.length, 0);
  assertEquals(read(parts.map(unseal)), { items, held: 0 });
});

Deno.test("ItemWriter.takeAll() lets a part end at the boundary", () => {
  const writer = written(["before"]);
  const boundary = writer.length;
  writer.add((bytes) => bytes.byteString("after"));
  const { before, after } = writer.takeAll(boundary);
  assertEquals(read(before.map(unseal)).items, ["before"]);
  assertEquals(read(after.map(unseal)).items, ["after"]);
});

Deno.test("seal() judges by the middle whether long content is worth compressing", () => {
  const length = 60 * 1024 - 5;
  const middle = length / 2 - 4096;
  const isShorter = (bytes: Uint8Array<ArrayBuffer>) => {
    const part = seal(bytes);
    assertEquals(fromBytes(unseal(part)), fromBytes(bytes));
    return part.length < length;
  };
  const bytes = new Uint8Array(length).fill(120);
  bytes.set(randomBytes(8192), middle);
  assertEquals(isShorter(bytes), false);
  const others = randomBytes(length);
  others.fill(120, middle, middle + 8192);
  assertEquals(isShorter(others), true);
});

Deno.test("unseal() returns what seal() was given, short or long, compressible or not", () => {
  for (const length of [0, 1, 8 * 1024 - 1, 8 * 1024, 60 * 1024 - 5]) {
    for (const bytes of [new Uint8Array(length).fill(120), randomBytes(length)]) {
      const part = seal(bytes);
      assertEquals(fromBytes(unseal(part)), fromBytes(bytes));
      assertEquals(part.length <= length + 5, true);
    }
  }
});

Deno.test("seal() compresses a part if that is possible and worth it", () => {
  assertEquals(seal(new Uint8Array(8 * 1024)).length < 100, true);
  assertEquals(seal(new Uint8Array(8 * 1024 - 1)).length, 8 * 1024 + 4);
  assertEquals(seal(randomBytes(60 * 1024 - 5)).length, PART_BYTES_MAX);
});

Deno.test("unseal() throws when any byte of a part has changed", () => {
  for (const part of [seal(Uint8Array.of(1, 2, 3)), seal(new Uint8Array(10_000))]) {
    for (let at = 0; at < part.length; at++) {
      const damaged = part.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      assertThrows(() => unseal(damaged), MalformedError, "its checksum is wrong");
    }
  }
  assertThrows(() => unseal("text"), MalformedError, "it is no byte array");
  assertThrows(() => unseal(Uint8Array.of(1, 2, 3, 4)), MalformedError, "it is no byte array");
});

Deno.test("unseal() throws when a part has a coding that it does not know", () => {
  const part = seal(Uint8Array.of(1, 2, 3));
  part[4] = 2;
  new DataView(part.buffer).setUint32(0, crc32(part.subarray(4)), true);
  assertThrows(() => unseal(part), MalformedError, "it has an unknown coding: 2");
});

Deno.test("cutIntoParts() makes no part of nothing", () => {
  assertEquals(cutIntoParts(new Uint8Array()), []);
});
