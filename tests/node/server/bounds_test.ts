import { assertEquals } from "@std/assert";
import { OutputQueue } from "../../../src/output_queue.ts";
import { SharedBound } from "../../../src/node/server/shared_bound.ts";
import { encodeReply, encodeValue, replyBytes } from "../../../src/resp/encoder.ts";
import {
  ErrorReply,
  NULL_ARRAY,
  OK,
  Push,
  Replies,
  type RespValue,
  VerbatimString,
} from "../../../src/resp/value.ts";

const MIB = 1024 * 1024;

Deno.test("OutputQueue.take() returns what was appended, in order, in strings of a bounded length", () => {
  const queue = new OutputQueue();
  const large = "x".repeat(8 * MIB);
  // As one string this would be longer than any string of the engine can be.
  for (let i = 0; i < 100; i++) {
    queue.append(large);
    queue.append(`+${i}\r\n`);
  }
  assertEquals(queue.bytes > 800 * MIB, true);
  let index = 0;
  for (let text = queue.take(); text !== ""; text = queue.take()) {
    assertEquals(text.length <= 16 * MIB, true);
    for (const line of text.split(large).join("").split("\r\n")) {
      if (line !== "") assertEquals(line, `+${index++}`);
    }
  }
  assertEquals([index, queue.bytes], [100, 0]);
});

Deno.test("SharedBound refuses those above an equal part once the sum is above the bound", () => {
  const bound = new SharedBound(10 * MIB);
  const [large, small, idle] = [bound.share(), bound.share(), bound.share()];
  assertEquals(idle.set(1000), true);
  assertEquals(large.set(9 * MIB), true);
  assertEquals(small.set(2 * MIB), true, "the sum is too large, but this part is small");
  assertEquals(large.set(9 * MIB + 1), false);
  assertEquals(large.set(0), true);
  assertEquals(small.set(9 * MIB), true);
});

Deno.test("encodeReply() returns an error that names the limit when the reply is too large", () => {
  const value = "x".repeat(8 * MIB);
  assertEquals(encodeReply([value, "y"], 2).length > 8 * MIB, true);
  assertEquals(
    encodeReply(Array.from({ length: 70 }, () => value), 2),
    "-ERR a reply of 587203405 bytes, at most 75497472 are allowed: ask for fewer keys at once\r\n",
  );
});

Deno.test("replyBytes() is no less than what the encoding has, and not much more", () => {
  const values: RespValue[] = [
    "",
    "x".repeat(1000),
    0,
    -1.2345678901234567e-300,
    -(2n ** 63n),
    null,
    true,
    false,
    OK,
    new ErrorReply("ERR", "é€𝄞"),
    new ErrorReply("ERR", "\xff", true),
    NULL_ARRAY,
    new Push(["a", 1]),
    new Replies(["a", 1]),
    new VerbatimString("x".repeat(96)),
    new Set(["a", "b"]),
    new Map<RespValue, RespValue>([["a", 1], ["b", ["c", null]]]),
  ];
  for (const value of [...values, values]) {
    for (const version of [2, 3] as const) {
      const { length } = encodeValue(value, version);
      const most = length + 32 * values.length;
      const bytes = replyBytes(value);
      assertEquals([bytes >= length, bytes <= most], [true, true], `${String(value)}: ${bytes}`);
    }
  }
});
