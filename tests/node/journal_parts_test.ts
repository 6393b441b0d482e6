import { assertEquals, assertThrows } from "@std/assert";
import { MalformedError } from "../../src/byte_reader.ts";
import {
  cutIntoParts,
  ItemReader,
  ItemWriter,
  PART_BYTES_MAX,
  seal,
  unseal,
} from "../../src/node/journal_parts.ts";
import { splits } from "../split.ts";

const ITEMS = ["", "one", "x".repeat(300), "end"];

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
  const items = Array.from({ length: 100 }, (_, index) => String(index).repeat(2000));
  const writer = written(items);
  const parts = writer.takeFull();
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

Deno.test("unseal() throws when any byte of a part has changed", () => {
  const part = seal(Uint8Array.of(1, 2, 3));
  for (let at = 0; at < part.length; at++) {
    const damaged = part.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assertThrows(() => unseal(damaged), MalformedError, "its checksum is wrong");
  }
  assertThrows(() => unseal("text"), MalformedError, "it is no byte array");
  assertThrows(() => unseal(Uint8Array.of(1)), MalformedError, "it is no byte array");
});

Deno.test("cutIntoParts() makes no part of nothing", () => {
  assertEquals(cutIntoParts(new Uint8Array()), []);
});
