import { assertEquals } from "@std/assert";
import { bytesField, jsonOf } from "../../src/client/json.ts";
import {
  ErrorReply,
  NULL_ARRAY,
  type RespValue,
  SimpleString,
  VerbatimString,
} from "../../src/resp/value.ts";

Deno.test("jsonOf() has a form for every reply", () => {
  const table: readonly (readonly [RespValue, unknown])[] = [
    ["\xc3\xb6", "ö"],
    ["\xff", { base64: "/w==" }],
    [7, 7],
    [9007199254740993n, "9007199254740993"],
    [true, true],
    [null, null],
    [NULL_ARRAY, null],
    [new SimpleString("OK"), "OK"],
    [new VerbatimString("text"), "text"],
    [new ErrorReply("ERR", "no"), { error: "ERR no" }],
    [[1, ["a"], new Set(["b"])], [1, ["a"], ["b"]]],
    [new Map<RespValue, RespValue>([["a", 1]]), { a: 1 }],
    [new Map<RespValue, RespValue>([[1, 2]]), [[1, 2]]],
  ];
  for (const [reply, expected] of table) assertEquals(jsonOf(reply), expected);
});

Deno.test("bytesField() has base64 for what is not UTF-8", () => {
  assertEquals([bytesField("key", "k"), bytesField("key", "\xff")], [{ key: "k" }, {
    key64: "/w==",
  }]);
  assertEquals([bytesField("value", "v"), bytesField("value", "\xff")], [{ value: "v" }, {
    value64: "/w==",
  }]);
});
