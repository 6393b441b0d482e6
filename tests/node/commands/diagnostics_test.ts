/** What tools look up of keys and of the server: texts as Redis 7.0.15 gives them, where it determines them. */

import { assert, assertEquals } from "@std/assert";
import type { Session } from "../../../src/node/commands/command.ts";
import { KEY_OVERHEAD_BYTES } from "../../../src/limits.ts";
import { encodeValue } from "../../../src/resp/encoder.ts";
import { ErrorReply, OK, type RespValue, VerbatimString } from "../../../src/resp/value.ts";
import { factsOf, NOW_MS, runWords, session } from "./session.ts";

const error = (message: string) => new ErrorReply("ERR", message);
const SYNTAX = error("syntax error");

/** What is answered by a node whose keys have these values. */
function ask(
  line: string,
  options: { values?: Readonly<Record<string, string>>; of?: Session } = {},
): RespValue {
  const { values = {}, of = session() } = options;
  const result = runWords(line.split(" "), of);
  if ("reply" in result) return result.reply;
  assert("request" in result && result.request.kind === "read", line);
  const read = (key: string) => values[key];
  return result.request.evaluate(read, factsOf(read)) as RespValue;
}

const VALUES = { i: "12", big: "10000", s: "abc", l: "v".repeat(45), m: "v".repeat(44), n: "-1" };

Deno.test("OBJECT and MEMORY USAGE tell how a value is held, and null for a missing key", () => {
  const rows: readonly (readonly [line: string, reply: RespValue])[] = [
    ["OBJECT ENCODING i", "int"],
    ["OBJECT ENCODING s", "embstr"],
    ["OBJECT ENCODING m", "embstr"],
    ["OBJECT ENCODING l", "raw"],
    ["OBJECT ENCODING none", null],
    ["OBJECT REFCOUNT i", 2147483647],
    ["OBJECT REFCOUNT big", 1],
    ["OBJECT REFCOUNT n", 1],
    ["OBJECT REFCOUNT s", 1],
    ["OBJECT IDLETIME s", NOW_MS / 1000 - 1],
    ["OBJECT IDLETIME none", null],
    ["OBJECT FREQ none", null],
    ["MEMORY USAGE s", 4 + KEY_OVERHEAD_BYTES],
    ["MEMORY USAGE s SAMPLES 5", 4 + KEY_OVERHEAD_BYTES],
    ["MEMORY USAGE none", null],
    ["MEMORY USAGE s SAMPLES", SYNTAX],
    ["MEMORY USAGE s SAMPLES -1", SYNTAX],
    ["MEMORY USAGE s SAMPLES x", error("value is not an integer or out of range")],
    ["MEMORY USAGE s FOO 1", SYNTAX],
    ["OBJECT foo k", error("unknown subcommand 'foo'. Try OBJECT HELP.")],
    ["OBJECT ENCODING", error("wrong number of arguments for 'object|encoding' command")],
  ];
  for (const [line, expected] of rows) assertEquals(ask(line, { values: VALUES }), expected, line);
  const refused = ask("OBJECT FREQ s", { values: VALUES });
  assert(refused instanceof ErrorReply && refused.message.startsWith("An LFU maxmemory policy is"));
});

Deno.test("WAIT and WAITAOF count the other members, and wait for nobody", () => {
  const rows: readonly (readonly [line: string, reply: RespValue])[] = [
    ["WAIT 0 0", 4],
    ["WAIT 9 0", 4],
    ["WAIT -1 5", 4],
    ["WAIT x 0", error("value is not an integer or out of range")],
    ["WAIT 0 x", error("timeout is not an integer or out of range")],
    ["WAIT 0 -1", error("timeout is negative")],
    ["WAITAOF 1 2 0", [1, 4]],
    ["WAITAOF 2 0 0", error("value is out of range, must be between 0 and 1")],
    ["WAITAOF -1 0 0", error("value is out of range, must be positive")],
  ];
  for (const [line, expected] of rows) assertEquals(ask(line), expected, line);
  const of = session();
  const ephemeral = { ...of, node: { ...of.node, isEphemeral: true } };
  assertEquals(ask("WAITAOF 0 1 0", { of: ephemeral }), [0, 0]);
  assertEquals(
    ask("WAITAOF 1 0 0", { of: ephemeral }),
    error("WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
  );
});

Deno.test("a server tells its time, role, memory and modules, and refuses DEBUG", () => {
  assertEquals(ask("TIME"), ["1234567890", "123500"]);
  assertEquals(ask("ROLE"), ["master", 0, []]);
  assertEquals(ask("MODULE LIST"), []);
  const stats = ask("MEMORY STATS");
  assert(stats instanceof Map);
  assertEquals([stats.get("keys.count"), stats.get("keys.bytes-per-key")], [3, 200]);
  const doctor = ask("MEMORY DOCTOR");
  assert(doctor instanceof VerbatimString);
  assertEquals(
    doctor.text,
    "The keys take about 600 bytes, 60 % of --max-memory. The engine's heap has 5000 bytes, the " +
      "process 9000.",
  );
  const refusal = encodeValue(ask("DEBUG SLEEP 0"), 2);
  assert(refusal.startsWith("-ERR DEBUG command not allowed. If the enable-debug-command option"));
  assertEquals(ask("CONFIG REWRITE"), error("The server is running without a config file"));
  for (const name of ["OBJECT", "MEMORY", "MODULE", "CONFIG"]) {
    const help = encodeValue(ask(`${name} HELP`), 2);
    assert(help.includes(`+${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`));
    assertEquals(ask(`${name} NOPE`), error(`unknown subcommand 'NOPE'. Try ${name} HELP.`));
  }
});

Deno.test("DEBUG SLEEP has the node stand still, if that is allowed", () => {
  const of = session();
  const slept: number[] = [];
  const allowed = { ...of, node: { ...of.node, standStill: (ms: number) => void slept.push(ms) } };
  for (const line of ["DEBUG SLEEP 0.5", "debug sleep 60"]) {
    assertEquals(ask(line, { of: allowed }), OK);
  }
  assertEquals(slept, [500, 60_000]);
  const rows: [line: string, message: string][] = [
    ["DEBUG SLEEP 61", "a node stands still for 60 seconds at the most"],
    ["DEBUG SLEEP -1", "value is not a valid float"],
    ["DEBUG SLEEP x", "value is not a valid float"],
    ["DEBUG SLEEP", "unknown subcommand or wrong number of arguments for 'SLEEP'"],
    ["DEBUG JMAP", "unknown subcommand or wrong number of arguments for 'JMAP'"],
  ];
  for (const [line, message] of rows) assertEquals(ask(line, { of: allowed }), error(message));
  assertEquals(slept.length, 2);
});

Deno.test("a human-readable text is a verbatim string in version 3, and any other in version 2", () => {
  const text = ask("INFO server");
  assertEquals(encodeValue(text, 3), "=15\r\ntxt:info server\r\n");
  assertEquals(encodeValue(text, 2), "$11\r\ninfo server\r\n");
});
