import { assertEquals } from "@std/assert";
import type { Session } from "../../../src/node/commands/command.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import {
  ErrorReply,
  OK,
  type RespValue,
  SimpleString,
  VerbatimString,
} from "../../../src/resp/value.ts";
import type { Effect } from "../../../src/two_phase/messages.ts";
import { EVERYTHING } from "../../../src/reserved_keys.ts";
import { Store } from "../../../src/two_phase/store.ts";
import { factsOf, NOW_MS, runWords, session, VERSION } from "./session.ts";

/** Runs a command against `state`; returns the reply, and what it would write. */
function run(
  words: readonly string[],
  state: Readonly<Record<string, string>> = {},
  of: Session = session(),
  expiresAtMs: Readonly<Record<string, number>> = {},
): { reply: RespValue; effects: readonly Effect[] } {
  const result = runWords(words, of);
  if ("reply" in result) return { reply: result.reply, effects: [] };
  if ("later" in result) throw new Error(`the reply of ${words.join(" ")} comes later`);
  const { request } = result;
  const read = (key: string) => state[key];
  const facts = factsOf(read, expiresAtMs);
  switch (request.kind) {
    case "read":
      return { reply: request.evaluate(read, facts) as RespValue, effects: [] };
    case "barrier": {
      const store = new Store(0);
      for (const [key, value] of Object.entries(state)) store.restore({ key, value, version: 1 });
      return { reply: request.evaluate(store) as RespValue, effects: [] };
    }
    case "write": {
      const { reply, effects } = request.evaluate(read, facts);
      // Events have a test of their own.
      const bare = effects.map(({ events: _events, ...effect }) => effect);
      return { reply: reply as RespValue, effects: bare };
    }
  }
}

const STATE = { a: "1", b: "two" };

Deno.test("commands reply and write as their table says", () => {
  const set = (key: string, value?: string): Effect => ({ key, value });
  const rows: [words: string[], reply: RespValue, effects?: Effect[]][] = [
    [["get", "a"], "1"],
    [["GET", "x"], null],
    [["SET", "a", "9"], OK, [set("a", "9")]],
    [["Put", "a", "9"], OK, [set("a", "9")]],
    [["set", "x", "9", "NX"], OK, [set("x", "9")]],
    [["set", "a", "9", "nx"], null, []],
    [["set", "a", "9", "XX"], OK, [set("a", "9")]],
    [["set", "x", "9", "XX"], null, []],
    [["set", "a", "9", "GET"], "1", [set("a", "9")]],
    [["set", "x", "9", "XX", "GET"], null, []],
    [["set", "a", "9", "NX", "GET"], "1", []],
    [["set", "a", "9", "KEEPTTL"], OK, [set("a", "9")]],
    [["del", "a", "x", "b", "a"], 2, [set("a"), set("b")]],
    [["delete", "x"], 0, []],
    [["mget", "a", "x", "a"], ["1", null, "1"]],
    [["mset", "p", "1", "q", "2", "p", "3"], OK, [set("p", "3"), set("q", "2")]],
    [["exists", "a", "a", "x"], 2],
    [["type", "a"], new SimpleString("string")],
    [["type", "x"], new SimpleString("none")],
    [["strlen", "b"], 3],
    [["strlen", "x"], 0],
    [["set", "a", "9", "IFEQ", "1"], OK, [set("a", "9")]],
    [["set", "a", "9", "IFEQ", "2"], null, []],
    [["set", "x", "9", "IFEQ", "2", "GET"], null, []],
    [["set", "x", "9", "IFNE", "2"], OK, [set("x", "9")]],
    [["set", "a", "9", "IFNE", "1", "GET"], "1", []],
    [["set", "a", "9", "PX", "5"], OK, [{ key: "a", value: "9", expiresAtMs: NOW_MS + 5 }]],
    [["set", "a", "9", "EXAT", "5"], OK, [set("a")]],
    [["set", "a", "9", "EXAT", "5000"], OK, [{ key: "a", value: "9", expiresAtMs: 5_000_000 }]],
    [["dks.getv", "a"], [1, "1"]],
    [["dks.getv", "x"], [0, null]],
    [["dks.cas", "a", "1", "9"], VERSION, [set("a", "9")]],
    [["dks.cas", "a", "2", "9"], null, []],
    [["dks.cas", "x", "0", "9", "PX", "5"], VERSION, [
      { key: "x", value: "9", expiresAtMs: NOW_MS + 5 },
    ]],
    [["dks.import", "p", "1", "", "q", "2", "5"], OK, [
      set("p", "1"),
      { key: "q", value: "2", expiresAtMs: 5 },
    ]],
    [["flushall"], OK, [set(EVERYTHING)]],
    [["flushdb", "async"], OK, [set(EVERYTHING)]],
    [["scan", "0", "count", "1"], [String(2 ** 13 + 3), ["a"]]],
    [["scan", String(2 ** 13 + 3)], ["0", ["b"]]],
    [["scan", "0", "match", "[b-z]*"], ["0", ["b"]]],
    [["scan", "0", "type", "hash"], ["0", []]],
    [["delifeq", "a", "1"], 1, [set("a")]],
    [["delifeq", "a", "2"], 0, []],
    [["delex", "a"], 1, [set("a")]],
    [["delex", "a", "IFNE", "1"], 0, []],
    [["delex", "a", "ifne", "2"], 1, [set("a")]],
    [["delex", "x", "IFNE", "2"], 0, []],
    [["msetex", "2", "p", "1", "q", "2", "PX", "5", "NX"], 1, [
      { key: "p", value: "1", expiresAtMs: NOW_MS + 5 },
      { key: "q", value: "2", expiresAtMs: NOW_MS + 5 },
    ]],
    [["msetex", "1", "a", "9", "NX"], 0, []],
    [["msetex", "1", "x", "9", "XX"], 0, []],
    [["incr", "a"], 2, [set("a", "2")]],
    [["incrby", "a", "9223372036854775806"], 9223372036854775807n, [
      set("a", "9223372036854775807"),
    ]],
    [["incrbyfloat", "a", "0.1"], "1.1", [set("a", "1.1")]],
    [["rename", "a", "x"], OK, [set("a"), set("x", "1")]],
    [["rename", "a", "a"], OK, []],
    [["copy", "a", "b"], 0, []],
    [["copy", "a", "b", "REPLACE"], 1, [set("b", "1")]],
    [["dbsize"], 2],
    [["ping"], new SimpleString("PONG")],
    [["ping", "hi"], "hi"],
    [["echo", "hi"], "hi"],
    [["select", "0"], OK],
    [["client", "id"], 7],
    [["client", "getname"], null],
    [["client", "setinfo", "lib-name", "x"], OK],
    [["command", "count"], COMMANDS.all.length],
    [["config", "get", "save"], new Map([["save", ""]])],
    [["config", "get", "nothing*"], new Map()],
    [["info", "Server", "clients"], new VerbatimString("info server,clients")],
    [["dks.status"], "{}"],
  ];
  for (const [words, reply, effects = []] of rows) {
    assertEquals(run(words, STATE), { reply, effects }, words.join(" "));
  }
});

Deno.test("commands reply with an error that names the value when the input is bad", () => {
  const rows: [words: string[], code: string, message: string][] = [
    [["frobnicate", "x"], "ERR", "unknown command 'frobnicate', with args beginning with: 'x' "],
    [["get"], "ERR", "wrong number of arguments for 'get' command"],
    [["get", "a", "b"], "ERR", "wrong number of arguments for 'get' command"],
    [["mset", "a", "1", "b"], "ERR", "wrong number of arguments for 'mset' command"],
    [["set", "a", "1", "NX", "XX"], "ERR", "syntax error"],
    [["set", "a", "1", "WHAT"], "ERR", "syntax error"],
    [["set", "a", "1", "EX"], "ERR", "syntax error"],
    [["set", "a", "1", "EX", "0"], "ERR", "invalid expire time in 'set' command"],
    [["set", "a", "1", "EX", "x"], "ERR", "value is not an integer or out of range"],
    [["set", "a", "1", "EX", "9", "KEEPTTL"], "ERR", "syntax error"],
    [["set", "a", "1", "PXAT", "9007199254740992"], "ERR", "invalid expire time in 'set' command"],
    [["set", "a", "1", "IFEQ", "1", "NX"], "ERR", "syntax error"],
    [["flushall", "now"], "ERR", "syntax error"],
    [["scan", "x"], "ERR", "invalid cursor"],
    [["scan", "0", "count", "0"], "ERR", "syntax error"],
    [
      ["scan", String(2 ** 13 + 4)],
      "ERR",
      "this cursor is of another node, or of before its restart: begin the scan again with cursor 0",
    ],
    [
      ["scan", String(2 ** 43 + 3)],
      "ERR",
      "this cursor is of another node, or of before its restart: begin the scan again with cursor 0",
    ],
    [["incrby", "a", "01"], "ERR", "value is not an integer or out of range"],
    [["incr", "b"], "ERR", "value is not an integer or out of range"],
    [["incrbyfloat", "b", "1"], "ERR", "value is not a valid float"],
    [
      ["append", "a", "v".repeat(20)],
      "ERR",
      "string exceeds maximum allowed size (proto-max-bulk-len)",
    ],
    [["setbit", "a", "160", "1"], "ERR", "bit offset is not an integer or out of range"],
    [["msetex", "2", "a", "1"], "ERR", "wrong number of key-value pairs"],
    [["rename", "x", "y"], "ERR", "no such key"],
    [["set", "k".repeat(11), "1"], "ERR", "key of 11 bytes, at most 10 are allowed"],
    [["get", "\0dks:x"], "ERR", 'keys that begin with "\\x00dks:" are reserved for dks'],
    [
      ["mset", "a", "1", "\0dks:", "1"],
      "ERR",
      'keys that begin with "\\x00dks:" are reserved for dks',
    ],
    [["set", "a", "v".repeat(21)], "ERR", "value of 21 bytes, at most 20 are allowed"],
    [["mset", "a", "1", "b", "v".repeat(21)], "ERR", "value of 21 bytes, at most 20 are allowed"],
    [["mget", "a", "k".repeat(11)], "ERR", "key of 11 bytes, at most 10 are allowed"],
    [["select", "1"], "ERR", "DB index is out of range"],
    [["select", "x"], "ERR", "value is not an integer or out of range"],
    [["dks.export", "a", "b"], "ERR", "wrong number of arguments for 'dks.export' command"],
    [["hello", "4"], "NOPROTO", "unsupported protocol version"],
    [["hello", "3", "FOO"], "ERR", "Syntax error in HELLO option 'FOO'"],
    [["client", "nope"], "ERR", "unknown subcommand 'nope'. Try CLIENT HELP."],
    [["config", "nope", "a"], "ERR", "unknown subcommand 'nope'. Try CONFIG HELP."],
    [
      ["config", "set", "foo", "1"],
      "ERR",
      "Unknown option or number of arguments for CONFIG SET - 'foo'",
    ],
    [
      ["config", "set", "Notify-Keyspace-Events", "?"],
      "ERR",
      "CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - " +
      "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
    ],
    [
      ["auth", "secret"],
      "ERR",
      "AUTH <password> called without any password configured for the default user. Are you sure " +
      "your configuration is correct?",
    ],
  ];
  for (const [words, code, message] of rows) {
    assertEquals(run(words, STATE).reply, new ErrorReply(code, message), words.join(" "));
  }
});

Deno.test("HELLO switches the version and sets the name, all or nothing", () => {
  const own = session();
  const { reply } = run(["hello", "3", "setname", "me"], {}, own);
  assertEquals(reply instanceof Map && reply.get("proto"), 3);
  assertEquals([own.version, own.name], [3, "me"]);
  run(["hello", "2", "setname"], {}, own);
  assertEquals([own.version, own.name], [3, "me"]);
});

Deno.test("QUIT closes the connection after its reply", () => {
  const own = session();
  assertEquals(run(["quit"], {}, own).reply, OK);
  assertEquals(own.isClosing, true);
});

Deno.test("PING says why the node has not joined the cluster", () => {
  const of = session();
  const joining = { ...of, node: { ...of.node, whyLoading: () => "no link to n2" } };
  assertEquals(runWords(["PING", "x"], joining), {
    reply: new ErrorReply("LOADING", "REJECTED no link to n2"),
  });
});
