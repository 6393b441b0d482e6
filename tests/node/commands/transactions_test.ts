/** MULTI and WATCH: what EXEC makes of the commands between them. */

import { assert, assertEquals } from "@std/assert";
import { KEYS_PER_COMMAND_MAX, REPLY_BYTES_MAX } from "../../../src/limits.ts";
import { encodeReply } from "../../../src/resp/encoder.ts";
import {
  ErrorReply,
  NULL_ARRAY,
  OK,
  type RespValue,
  SimpleString,
} from "../../../src/resp/value.ts";
import { Database } from "./database.ts";
import { runWords, session } from "./session.ts";

const QUEUED = new SimpleString("QUEUED");
const ABORTED = new ErrorReply("EXECABORT", "Transaction discarded because of previous errors.");

/** Sends lines on one connection, each a command; returns the replies. */
function say(database: Database, lines: readonly string[], of = session()): RespValue[] {
  return lines.map((line) => database.run(line, of));
}

Deno.test("EXEC evaluates each command on what those before it have left", () => {
  const database = new Database();
  const replies = say(database, [
    "MULTI",
    "SET a 1",
    "GET a",
    "SET b 2 NX",
    "SET b 3 NX",
    "DEL a c",
    "EXISTS a b",
    "MGET a b",
    "EXEC",
  ]);
  assertEquals(replies.slice(0, -1), [OK, ...Array(7).fill(QUEUED)]);
  assertEquals(replies.at(-1), [OK, "1", OK, null, 1, 1, [null, "2"]]);
  assertEquals([database.value("a"), database.value("b")], [undefined, "2"]);
});

Deno.test("EXEC is one request over the keys of all commands, a read if all of them read", () => {
  const of = session();
  for (const line of ["WATCH w", "MULTI", "GET a", "MGET b a"]) {
    new Database().run(line, of);
  }
  assertEquals(of.features?.transaction?.order, "read");
  const result = runWords(["EXEC"], of);
  assert("request" in result && result.request.kind === "read");
  assertEquals([...result.request.keys].sort(), ["a", "b", "w"]);
  for (const line of ["MULTI", "GET a", "SET b 1"]) new Database().run(line, of);
  assertEquals(of.features?.transaction?.order, "write");
  const write = runWords(["EXEC"], of);
  assert("request" in write && write.request.kind === "write");
  assertEquals([...write.request.keys].sort(), ["a", "b"]);
});

Deno.test("a command that fails in EXEC has the others take effect", () => {
  const database = new Database();
  const [, , , , reply] = say(database, ["MULTI", "SET a 1 WHAT", "SET b 2", "GET b", "EXEC"]);
  assertEquals(reply, [new ErrorReply("ERR", "syntax error"), OK, "2"]);
});

Deno.test("a command that cannot be queued has EXEC do nothing", () => {
  for (
    const line of [
      "NOPE",
      "GET",
      "CLIENT NOPE",
      `GET ${"k".repeat(11)}`,
      "DBSIZE",
      "FLUSHALL",
      "EXEC x",
    ]
  ) {
    const database = new Database();
    const of = session();
    const replies = say(database, ["MULTI", "SET a 1", line, "SET a 2"], of);
    assert(replies[2] instanceof ErrorReply, line);
    if (line !== "EXEC x") assertEquals([replies[3], database.run("EXEC", of)], [QUEUED, ABORTED]);
    else assertEquals([replies[2].code, replies[3]], ["EXECABORT", OK]);
    assertEquals(database.value("a"), line === "EXEC x" ? "2" : undefined, line);
    assertEquals(
      say(database, ["MULTI", "SET a 3", "EXEC"], of).at(-1),
      [OK],
      "the next one is new",
    );
  }
});

Deno.test("EXEC does nothing if a watched key has changed since WATCH, to whatever", () => {
  const rows: [changes: readonly string[], isDone: boolean][] = [
    [[], true],
    [["SET other 1"], true],
    [["SET a 2"], false],
    [["SET a 1"], false],
    [["DEL a"], false],
    [["SET b 1"], false],
    [["DEL b"], true],
  ];
  for (const [changes, isDone] of rows) {
    const database = new Database();
    const of = session();
    database.run("SET a 1");
    say(database, ["WATCH a", "WATCH b a"], of);
    say(database, changes);
    const reply = say(database, ["MULTI", "SET r 1", "PING", "EXEC"], of).at(-1);
    assertEquals(reply, isDone ? [OK, new SimpleString("PONG")] : NULL_ARRAY, changes.join());
    assertEquals(database.value("r"), isDone ? "1" : undefined);
  }
});

Deno.test("a watched key whose time to live is over has changed", () => {
  for (const lateMs of [-1, 0]) {
    const database = new Database();
    const of = session();
    database.records.set("a", { key: "a", value: "1", version: 1, expiresAtMs: 1_000_100 });
    database.run("WATCH a", of);
    database.nowMs = 1_000_100 + lateMs;
    const reply = say(database, ["MULTI", "SET r 1", "EXEC"], of).at(-1);
    assertEquals(reply, lateMs < 0 ? [OK] : NULL_ARRAY);
  }
});

Deno.test("EXEC, DISCARD and UNWATCH end what WATCH has begun", () => {
  for (const end of [["MULTI", "EXEC"], ["MULTI", "DISCARD"], ["UNWATCH"]]) {
    const database = new Database();
    const of = session();
    say(database, ["WATCH a", ...end], of);
    database.run("SET a 1");
    assertEquals(say(database, ["MULTI", "GET a", "EXEC"], of).at(-1), ["1"], end.join());
  }
});

Deno.test("EXEC does nothing after a WATCH that was not answered", () => {
  const database = new Database();
  const of = session();
  runWords(["WATCH", "a"], of); // Its request is rejected: nothing calls `finish`.
  assertEquals(say(database, ["MULTI", "SET a 1", "EXEC"], of).at(-1), NULL_ARRAY);
  assertEquals(say(database, ["MULTI", "SET a 1", "EXEC"], of).at(-1), [OK]);
});

Deno.test("what is no request runs when EXEC is answered, and not without that", () => {
  const of = session();
  for (const line of ["MULTI", "CLIENT SETNAME me", "SET a 1", "CLIENT GETNAME"]) {
    new Database().run(line, of);
  }
  const result = runWords(["EXEC"], of);
  assertEquals(of.name, "");
  assertEquals(new Database().carryOut(result), [OK, OK, "me"]);
  assertEquals(of.name, "me");
});

Deno.test("EXEC refuses more keys than a transaction may have", () => {
  const of = session();
  const database = new Database();
  database.run("MULTI", of);
  const half = KEYS_PER_COMMAND_MAX / 2;
  database.run(["DEL", ...Array.from({ length: half }, (_, at) => `a${at}`)], of);
  database.run(["DEL", ...Array.from({ length: half }, (_, at) => `b${at}`)], of);
  database.run("DEL c", of);
  const message = `more than ${KEYS_PER_COMMAND_MAX} keys in one transaction`;
  assertEquals(database.run("EXEC", of), new ErrorReply("ERR", message));
});

/** A value so long that a reply can have so many of it, and no more. */
function large(times: number): string {
  return "v".repeat(Math.floor(REPLY_BYTES_MAX / times) - 100);
}

Deno.test("EXEC does nothing if its reply would be too long", () => {
  const refusal = new ErrorReply(
    "ERR",
    `the replies of a transaction have at most ${REPLY_BYTES_MAX} bytes together`,
  );
  for (const end of ["EXEC", "DKS.ONCE t EXEC"]) {
    const database = new Database();
    database.records.set("a", { key: "a", value: large(9), version: 1 });
    const reads = Array.from({ length: 10 }, () => "GET a");
    const reply = say(database, ["MULTI", "INCR n", ...reads, end]).at(-1);
    assert(reply instanceof ErrorReply, "and no array of long strings");
    assertEquals([reply, database.value("n")], [refusal, undefined]);
  }
  const database = new Database();
  database.records.set("a", { key: "a", value: large(9), version: 1 });
  const reads = Array.from({ length: 9 }, () => "GET a");
  const reply = say(database, ["MULTI", "INCR n", ...reads, "EXEC"]).at(-1);
  assert(reply !== undefined && Array.isArray(reply) && reply.length === 10);
  assertEquals(encodeReply(reply, 2).length > 9 * large(9).length, true);
});

Deno.test("EXEC tells what it has done when a command that runs late has too long a reply", () => {
  const database = new Database();
  database.records.set("a", { key: "a", value: large(2), version: 1 });
  const of = session();
  say(database, ["MULTI", "INCR n", "GET a"], of);
  for (let i = 0; i < 2; i++) database.run(["ECHO", large(2).slice(0, -1000)], of);
  say(database, ["CLIENT SETNAME me", "ECHO x"], of);
  const reply = database.run("EXEC", of);
  assert(Array.isArray(reply));
  const [n, a, first, second, ...rest] = reply;
  assertEquals([n, a?.length, first?.length], [1, large(2).length, large(2).length - 1000]);
  assert(second instanceof ErrorReply, "no room for it");
  assertEquals(rest, [OK, "x"]);
  assertEquals(encodeReply(reply, 2)[0], "*");
  assertEquals(database.value("n"), "1");
});

Deno.test("DKS.ONCE token EXEC carries a transaction out once", () => {
  const database = new Database();
  const lines = ["MULTI", "GET a", "SET a 1", "DKS.ONCE t EXEC"];
  assertEquals(say(database, lines).at(-1), [null, OK]);
  database.run("SET a 2");
  assertEquals(say(database, lines).at(-1), [null, OK], "the answer of then");
  assertEquals(database.value("a"), "2");
  const other = say(database, ["MULTI", "SET a 3", "DKS.ONCE t EXEC"]).at(-1);
  assert(other instanceof ErrorReply && other.code === "ERR");
  const message = "DKS.ONCE EXEC takes commands of keys, not PING";
  assertEquals(
    say(database, ["MULTI", "PING", "DKS.ONCE u EXEC"]).at(-1),
    new ErrorReply("ERR", message),
  );
  assertEquals(
    database.run("DKS.ONCE u EXEC"),
    new ErrorReply("ERR", "EXEC without MULTI"),
  );
  const inside = say(database, ["MULTI", "DKS.ONCE v SET b 1", "DKS.ONCE v SET b 1", "EXEC"]);
  assertEquals(inside.at(-1), [OK, OK]);
});

Deno.test("DKS.ONCE token EXEC asks the token first if a WATCH was not answered", () => {
  const database = new Database();
  const lines = ["MULTI", "INCR a", "DKS.ONCE t EXEC"];
  assertEquals(say(database, lines).at(-1), [1]);
  const of = session();
  assert("request" in runWords(["WATCH", "a"], of), "and no answer comes");
  assertEquals(say(database, lines, of).at(-1), [1], "it was done the first time");
  runWords(["WATCH", "a"], of);
  const others = ["MULTI", "INCR a", "DKS.ONCE u EXEC"];
  assertEquals(say(database, others, of).at(-1), NULL_ARRAY);
  assertEquals(say(database, others, of).at(-1), NULL_ARRAY, "the answer of then");
  assertEquals(database.value("a"), "1");
});

Deno.test("MULTI in MULTI, WATCH in MULTI, and EXEC and DISCARD without it are errors", () => {
  const rows: [lines: string[], message: string][] = [
    [["EXEC"], "EXEC without MULTI"],
    [["DISCARD"], "DISCARD without MULTI"],
    [["MULTI", "MULTI"], "MULTI calls can not be nested"],
    [["MULTI", "WATCH a"], "WATCH inside MULTI is not allowed"],
  ];
  for (const [lines, message] of rows) {
    const of = session();
    assertEquals(say(new Database(), lines, of).at(-1), new ErrorReply("ERR", message));
    if (lines.length > 1) assertEquals(new Database().run("EXEC", of), []);
  }
});
