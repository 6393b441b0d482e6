import { assertEquals, assertThrows } from "@std/assert";
import { toBytes } from "../../src/byte_string.ts";
import { ProtocolError } from "../../src/resp/command_decoder.ts";
import { encodeValue } from "../../src/resp/encoder.ts";
import { ReplyDecoder } from "../../src/resp/reply_decoder.ts";
import { ErrorReply, type RespValue, SimpleString } from "../../src/resp/value.ts";
import { feed, splits } from "../harness/split.ts";

function decodeAll(pieces: readonly Uint8Array[]): RespValue[] {
  const decoder = new ReplyDecoder();
  const values: RespValue[] = [];
  for (const piece of pieces) {
    feed(decoder, piece, () => {
      for (let value = decoder.next(); value !== undefined; value = decoder.next()) {
        values.push(value);
      }
    });
  }
  return values;
}

const VALUES: RespValue[] = [
  "bulk",
  "",
  "\x00\xff\r\n",
  0,
  -7,
  null,
  new SimpleString("OK"),
  new ErrorReply("ERR", "no such thing"),
  [],
  ["a", null, [1, ["deep"]]],
  new Map<RespValue, RespValue>([["k", "v"], ["n", 1]]),
];

Deno.test("ReplyDecoder.next() returns what encodeValue() was given when it is split anywhere", () => {
  const input = VALUES.map((value) => encodeValue(value, 3)).join("");
  for (const pieces of splits(input)) assertEquals(decodeAll(pieces), VALUES);
});

Deno.test("encodeValue() has version 2 write nulls, booleans and maps as version 2 knows them", () => {
  assertEquals(encodeValue(null, 2), "$-1\r\n");
  assertEquals(encodeValue(true, 2), ":1\r\n");
  assertEquals(encodeValue(new Map([["k", "v"]]), 2), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
  assertEquals(encodeValue(1.5, 2), "$3\r\n1.5\r\n");
  assertEquals(encodeValue(new ErrorReply("ERR", "two\r\nlines"), 2), "-ERR two  lines\r\n");
  assertEquals(encodeValue(2n ** 63n - 1n, 2), ":9223372036854775807\r\n");
});

Deno.test("ReplyDecoder.next() reads what only other servers send", () => {
  const table: [input: string, value: RespValue][] = [
    ["*-1\r\n", null],
    ["_\r\n", null],
    ["#t\r\n", true],
    [",1.5\r\n", 1.5],
    [",inf\r\n", Infinity],
    ["(12345678901234567890\r\n", "12345678901234567890"],
    ["=7\r\ntxt:abc\r\n", "abc"],
    ["!9\r\nERR nope!\r\n", new ErrorReply("ERR", "nope!")],
    ["~1\r\n:1\r\n", [1]],
    [">2\r\n+a\r\n+b\r\n:5\r\n", 5],
    ["|1\r\n+a\r\n+b\r\n:5\r\n", 5],
    ["-LOADING\r\n", new ErrorReply("LOADING", "")],
  ];
  for (const [input, value] of table) assertEquals(decodeAll([toBytes(input)]), [value], input);
});

Deno.test("ReplyDecoder.next() throws when the input is no reply", () => {
  const hostile = [
    "hello\r\n",
    ":1x\r\n",
    "$5\r\nabcdefgh\r\n",
    "$-2\r\n",
    "$99999999999\r\n",
    "*99999999999\r\n",
    "#x\r\n",
    "+a\n",
    "*1\r\n".repeat(40),
  ];
  for (const input of hostile) {
    assertThrows(() => decodeAll([toBytes(input)]), ProtocolError, undefined, input.slice(0, 20));
  }
});
