/** The code words that clients act on by themselves. */

import { assertEquals } from "@std/assert";
import { replyOf } from "../../../src/node/server/outcome_reply.ts";
import { isRejection, isWithoutEffect } from "../../../src/client/refusals.ts";
import { encodeValue } from "../../../src/resp/encoder.ts";
import { ErrorReply } from "../../../src/resp/value.ts";
import type { Outcome } from "../../../src/two_phase/request.ts";

const DOWN: Outcome = { kind: "rejected", obstacle: "down", reason: "no majority" };
const BUSY: Outcome = { kind: "rejected", obstacle: "busy", reason: "a key is locked" };
const LOADING: Outcome = { kind: "rejected", obstacle: "loading", reason: "no link to n2" };
const ABORTED: Outcome = { kind: "aborted", reason: "no vote", transaction: "1.1.2.abcdef" };
const OPEN: Outcome = { kind: "indeterminate", reason: "no vote", transaction: "1.1.2.abcdef" };

Deno.test("replyOf() starts with an error code of Redis if nothing has happened, and only then", () => {
  const texts = [DOWN, BUSY, LOADING, ABORTED, OPEN].map((one) => encodeValue(replyOf(one), 2));
  assertEquals(texts, [
    "-CLUSTERDOWN REJECTED no majority\r\n",
    "-TRYAGAIN REJECTED a key is locked\r\n",
    "-LOADING REJECTED no link to n2\r\n",
    "-TRYAGAIN ABORTED no vote (transaction 1.1.2.abcdef)\r\n",
    "-INDETERMINATE no vote (transaction 1.1.2.abcdef)\r\n",
  ]);
});

Deno.test("isRejection() and isWithoutEffect() read dks's own word after that", () => {
  const replies = [DOWN, BUSY, LOADING, ABORTED, OPEN].map(replyOf);
  assertEquals(replies.map(isRejection), [true, true, true, false, false]);
  assertEquals(replies.map(isWithoutEffect), [true, true, true, true, false]);
  const others = [
    new ErrorReply("ERR", "REJECTED no"),
    "REJECTED no",
    new ErrorReply("TRYAGAIN", "x"),
  ];
  assertEquals(others.map(isWithoutEffect), [false, false, false]);
  assertEquals(isRejection(new ErrorReply("LOADING", "this node is starting")), true);
  assertEquals(isRejection(new ErrorReply("ERR", "max number of clients reached")), true);
});
