/** The table of commands as data, and what COMMAND tells of it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  categoriesOf,
  type Command,
  endOfKeys,
  keysOf,
} from "../../../src/node/commands/command.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import { ErrorReply, type RespValue, SimpleString } from "../../../src/resp/value.ts";
import { runWords } from "./session.ts";

const EVERY: readonly Command[] = COMMANDS.all.flatMap((command) => [
  command,
  ...command.subcommands ?? [],
]);

function reply(...words: string[]): RespValue {
  const result = runWords(words);
  assert("reply" in result);
  return result.reply;
}

const simple = (...words: string[]) => words.map((word) => new SimpleString(word));

Deno.test("each command has a name of its own, in lower case, and what the manual needs", () => {
  const names = EVERY.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const command of EVERY) {
    const { name, arity, summary, since, keys, flags, run, subcommands } = command;
    assertMatch(name, /^[a-z._]+(\|[a-z-]+)?$/);
    assertMatch(summary, /^[A-Z].*[^.]$/, name);
    assertMatch(since, /^\d+\.\d+\.\d+$/, name);
    assert(arity !== 0 && (run !== undefined || subcommands !== undefined), name);
    assert(
      keys.first < Math.abs(arity) &&
        endOfKeys(keys, Array.from({ length: Math.abs(arity) }, () => "1")) < Math.abs(arity),
      name,
    );
    assertEquals(new Set(flags).size, flags.length, name);
    assert(!(flags.includes("write") && flags.includes("readonly")), name);
  }
  for (const { name, subcommands = [] } of COMMANDS.all) {
    for (const one of subcommands) assert(one.name.startsWith(`${name}|`), one.name);
  }
});

Deno.test("find() takes a name in any case of letters, and a subcommand by the second word", () => {
  for (const word of ["get", "GET", "Get"]) assertEquals(COMMANDS.find([word])?.name, "get");
  assertEquals(COMMANDS.find(["CLIENT", "ID"])?.name, "client|id");
  assertEquals(COMMANDS.find(["command"])?.name, "command");
  assertEquals(COMMANDS.find(["client", "nope"]), undefined);
  assertEquals(COMMANDS.find(["client|id"]), undefined, "that is no name on the wire");
  assertEquals(COMMANDS.find([]), undefined);
});

Deno.test("a command of one connection waits for what its flags say", () => {
  const orders = Object.fromEntries(COMMANDS.all.map(({ name, order }) => [name, order]));
  assertEquals([orders["get"], orders["set"], orders["ping"]], ["read", "write", "none"]);
  assertEquals([orders["dks.once"], orders["dks.export"]], ["write", "read"]);
});

Deno.test("COMMAND INFO tells ten things of a command, as Redis 7 does", () => {
  const [info, none] = reply("COMMAND", "INFO", "mset", "nope") as RespValue[];
  assertEquals(none, null);
  assertEquals(info, [
    "mset",
    -3,
    new Set(simple("write", "denyoom")),
    1,
    -1,
    2,
    new Set(simple("@string", "@write", "@slow")),
    new Set(),
    new Set([
      new Map<RespValue, RespValue>([
        ["flags", new Set(simple("RW", "update"))],
        [
          "begin_search",
          new Map<RespValue, RespValue>([["type", "index"], [
            "spec",
            new Map([["index", 1]]),
          ]]),
        ],
        [
          "find_keys",
          new Map<RespValue, RespValue>([
            ["type", "range"],
            ["spec", new Map([["lastkey", -1], ["keystep", 2], ["limit", 0]])],
          ]),
        ],
      ]),
    ]),
    new Set(),
  ]);
  const all = reply("COMMAND") as RespValue[][];
  assertEquals(all.length, COMMANDS.all.length);
  assertEquals(reply("COMMAND", "COUNT"), COMMANDS.all.length);
  assertEquals(reply("command", "info"), reply("command"));
  const [client] = reply("COMMAND", "INFO", "client") as RespValue[][];
  const subcommands = client?.[9] as RespValue[][];
  assert(subcommands.some(([name]) => name === "client|setname"));
});

Deno.test("COMMAND DOCS tells what a command does, and says nothing of one that is none", () => {
  const docs = reply("COMMAND", "DOCS", "GET", "nope", "client|id");
  assert(docs instanceof Map);
  assertEquals([...docs.keys()], ["get", "client|id"]);
  const get = docs.get("get");
  assert(get instanceof Map);
  assertEquals(get.get("summary"), "Returns the value of a key");
  assertEquals([get.get("since"), get.get("group")], ["1.0.0", "string"]);
  const key = new Map<RespValue, RespValue>([["name", "key"], ["type", "key"], [
    "key_spec_index",
    0,
  ]]);
  assertEquals(get.get("arguments"), [key]);
  const all = reply("COMMAND", "DOCS");
  assert(all instanceof Map);
  assertEquals(all.size, COMMANDS.all.length);
});

Deno.test("COMMAND LIST lists all, or those of a category or a pattern", () => {
  assertEquals(reply("COMMAND", "LIST"), COMMANDS.all.map(({ name }) => name));
  assertEquals(reply("COMMAND", "LIST", "FILTERBY", "PATTERN", "m?et"), ["mget", "mset"]);
  const writes = EVERY.filter((one) => categoriesOf(one).includes("@write")).map(({ name }) =>
    name
  );
  assertEquals(reply("COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"), writes);
  assertEquals(reply("COMMAND", "LIST", "FILTERBY", "MODULE", "x"), []);
  assertEquals(
    reply("COMMAND", "LIST", "FILTERBY", "x", "y"),
    new ErrorReply("ERR", "syntax error"),
  );
});

Deno.test("COMMAND GETKEYS finds the keys, those of a command inside another one too", () => {
  const rows: [words: string[], keys: RespValue][] = [
    [["get", "a"], ["a"]],
    [["MSET", "a", "1", "b", "2"], ["a", "b"]],
    [["del", "a", "b", "a"], ["a", "b", "a"]],
    [["dks.once", "t", "mset", "a", "1", "b", "2"], ["a", "b"]],
    [["msetex", "2", "a", "1", "b", "2", "NX"], ["a", "b"]],
    [["bitop", "and", "a", "b", "c"], ["a", "b", "c"]],
    [["ping", "x"], new ErrorReply("ERR", "The command has no key arguments")],
    [["get"], new ErrorReply("ERR", "wrong number of arguments for 'command|getkeys' command")],
    [["nope", "a"], new ErrorReply("ERR", "Invalid command specified")],
    [["get", "a", "b"], new ErrorReply("ERR", "Invalid number of arguments specified for command")],
  ];
  for (const [words, keys] of rows) {
    assertEquals(reply("COMMAND", "GETKEYS", ...words), keys, words.join(" "));
  }
  const mset = COMMANDS.named("mset");
  assert(mset !== undefined);
  assertEquals(keysOf(mset, ["mset", "a", "1"]), ["a"]);
});
