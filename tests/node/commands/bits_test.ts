/** BITCOUNT, BITPOS and BITOP against what they mean, bit by bit. */

import { assert, assertEquals } from "@std/assert";
import { type ByteString, fromBytes } from "../../../src/byte_string.ts";
import { OK } from "../../../src/resp/value.ts";
import { Random } from "../../sim/random.ts";
import { Database } from "./database.ts";
import { session } from "./session.ts";

const random = new Random(1);

/** Returns a few bytes; many of them are all zeros or all ones. */
function someBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.pick([0, 0, 255, 255, random.integer(256)]));
}

/** Returns the bits of a value, as digits. */
function bitsOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
}

Deno.test("BITCOUNT and BITPOS look at every bit of a range, and at no other", () => {
  const database = new Database();
  const of = session();
  for (let round = 0; round < 2000; round++) {
    const bytes = someBytes(1 + random.integer(12));
    const bits = bitsOf(bytes);
    assertEquals(database.run(["SET", "k", fromBytes(bytes)], of), OK);
    const first = random.integer(bits.length);
    const last = first + random.integer(bits.length - first);
    const range = [String(first), String(last), "BIT"];
    const within = bits.slice(first, last + 1);
    assertEquals(
      database.run(["BITCOUNT", "k", ...range], of),
      within.replaceAll("0", "").length,
      `${bits} ${range}`,
    );
    for (const wanted of ["0", "1"]) {
      const at = within.indexOf(wanted);
      assertEquals(
        database.run(["BITPOS", "k", wanted, ...range], of),
        at < 0 ? -1 : first + at,
        `${bits} ${wanted} ${range}`,
      );
    }
    assertEquals(database.run(["BITCOUNT", "k"], of), bits.replaceAll("0", "").length);
  }
});

Deno.test("BITOP combines values of any lengths", () => {
  const database = new Database();
  const of = session();
  const value = (bytes: Uint8Array): ByteString => fromBytes(bytes);
  for (let round = 0; round < 500; round++) {
    const [a, b] = [someBytes(1 + random.integer(11)), someBytes(1 + random.integer(11))];
    database.run(["SET", "a", value(a)], of);
    database.run(["SET", "b", value(b)], of);
    const at = (bytes: Uint8Array, place: number) => bytes[place] ?? 0;
    const expected = (combine: (x: number, y: number) => number) =>
      Uint8Array.from(
        { length: Math.max(a.length, b.length) },
        (_, place) => combine(at(a, place), at(b, place)),
      );
    const results = {
      AND: expected((x, y) => x & y),
      OR: expected((x, y) => x | y),
      XOR: expected((x, y) => x ^ y),
    };
    for (const [name, result] of Object.entries(results)) {
      assertEquals(database.run(["BITOP", name, "to", "a", "b"], of), result.length);
      assertEquals(database.value("to"), value(result), name);
    }
    assertEquals(database.run(["BITOP", "NOT", "to", "a"], of), a.length);
    assertEquals(database.value("to"), value(a.map((byte) => ~byte)));
  }
});

Deno.test("BITOP and BITPOS take no longer than the bytes that they look at", () => {
  const database = new Database();
  const plain = session();
  const bytes = 4 * 1024 * 1024;
  const of = { ...plain, node: { ...plain.node, valueBytesMax: bytes } };
  assertEquals(database.run(["SET", "z", "\0".repeat(bytes)], of), OK);
  /** The shortest of several times: other programs and the collector make single ones longer. */
  const time = (times: number, words: readonly string[]) => {
    const all = Array.from({ length: 5 }, () => {
      const beganAt = performance.now();
      for (let i = 0; i < times; i++) database.run(words as readonly ByteString[], of);
      return performance.now() - beganAt;
    });
    return Math.min(...all);
  };
  const whole = time(1, ["BITPOS", "z", "1"]) + time(1, ["BITOP", "OR", "to", "z", "z"]);
  // One byte of the value each, and values that are missing.
  assert(time(100, ["BITPOS", "z", "1", "0", "0"]) < 10 * whole);
  assert(time(1, ["BITOP", "OR", "to", "z", ...Array<string>(1000).fill("x")]) < 10 * whole);
});
