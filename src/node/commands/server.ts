/**
 * Commands of the server: what it is, what it holds, and which commands it knows.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { type RespValue, SimpleString, VerbatimString } from "../../resp/value.ts";
import { error, reply } from "./arguments.ts";
import {
  categoriesOf,
  type Command,
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  type CommandTable,
  keysOf,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { withHelp } from "./help.ts";
import { CONFIG } from "./configuration.ts";
import { MONITORING } from "./monitoring.ts";
import { Glob, whyNotPattern } from "./glob.ts";
import { type Argument, argumentsOf } from "./syntax.ts";

function dbsize(): CommandResult {
  return { request: { kind: "barrier", isExact: false, evaluate: (store) => store.size } };
}

function info(words: readonly ByteString[], { node }: Session): CommandResult {
  return reply(new VerbatimString(node.info(words.slice(1).map((word) => word.toLowerCase()))));
}

// --- COMMAND -------------------------------------------------------------------------------------

/** Returns what COMMAND INFO says about a command (redis.io, COMMAND, "10 elements"); sets as in Redis. */
function infoOf(command: Command): RespValue {
  const { name, arity, flags, keys, subcommands = [] } = command;
  return [
    name,
    arity,
    wordsOf(flags),
    keys.first,
    keys.last,
    keys.step,
    wordsOf(categoriesOf(command)),
    wordsOf([]),
    new Set(keySpecs(command)),
    subcommands.length === 0 ? wordsOf([]) : subcommands.map(infoOf),
  ];
}

function wordsOf(list: readonly string[]): ReadonlySet<RespValue> {
  return new Set(list.map((word) => new SimpleString(word)));
}

/** How keys are found, in the form of Redis 7: by an index, and then in a range. */
function keySpecs({ keys, flags }: Command): RespValue[] {
  const { first, last, step, countAt } = keys;
  if (step === 0) return [];
  const access = flags.includes("write") ? ["RW", "update"] : ["RO", "access"];
  const map = (entries: readonly (readonly [string, RespValue])[]) =>
    new Map<RespValue, RespValue>(entries);
  const range = map([
    ["type", "range"],
    [
      "spec",
      map([["lastkey", last < 0 ? last : last - first], ["keystep", step], ["limit", 0]]),
    ],
  ]);
  const byCount = map([
    ["type", "keynum"],
    ["spec", map([["keynumidx", 0], ["firstkey", 1], ["keystep", step]])],
  ]);
  return [map([
    ["flags", wordsOf(access)],
    ["begin_search", map([["type", "index"], ["spec", map([["index", countAt ?? first]])]])],
    ["find_keys", countAt === undefined ? range : byCount],
  ])];
}

/** Returns what COMMAND DOCS says about a command. */
function docsOf({ summary, since, group, syntax, subcommands = [] }: Command): RespValue {
  const docs = new Map<RespValue, RespValue>([
    ["summary", summary],
    ["since", since],
    ["group", group],
  ]);
  // As in Redis, those of a command with subcommands are told of the subcommands.
  const all = subcommands.length > 0 ? [] : argumentsOf(syntax);
  if (all.length > 0) docs.set("arguments", all.map(argumentDocs));
  if (subcommands.length > 0) {
    const all = subcommands.map((one) => [one.name, docsOf(one)] as const);
    docs.set("subcommands", new Map<RespValue, RespValue>(all));
  }
  return docs;
}

/** Returns what COMMAND DOCS says about an argument, in the form and order of Redis 7.0. */
function argumentDocs(argument: Argument): RespValue {
  const { name, type, token, isOptional, isMultiple, isMultipleToken, arguments: inner } = argument;
  const docs = new Map<RespValue, RespValue>([["name", name], ["type", type]]);
  if (type === "key") docs.set("key_spec_index", 0);
  if (token !== undefined) docs.set("token", token);
  const flags = [
    ...isOptional === true ? ["optional"] : [],
    ...isMultiple === true ? ["multiple"] : [],
    ...isMultipleToken === true ? ["multiple_token"] : [],
  ];
  if (flags.length > 0) {
    docs.set("flags", new Set<RespValue>(flags.map((flag) => new SimpleString(flag))));
  }
  if (inner !== undefined) docs.set("arguments", inner.map(argumentDocs));
  return docs;
}

/** COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>] */
function commandList(table: CommandTable, words: readonly ByteString[]): CommandResult {
  const [, , filter, by = "", value = "", ...more] = words;
  if (filter === undefined) return reply(table.all.map(({ name }) => name));
  if (filter.toUpperCase() !== "FILTERBY" || value === "" || more.length > 0) {
    return error("syntax error");
  }
  const all = table.all.flatMap((command) => [command, ...command.subcommands ?? []]);
  const named = (is: (command: Command) => boolean) =>
    reply(all.filter(is).map(({ name }) => name));
  switch (by.toUpperCase()) {
    case "MODULE":
      return reply([]);
    case "ACLCAT":
      return named((command) => categoriesOf(command).includes(`@${value.toLowerCase()}`));
    case "PATTERN": {
      const refusal = whyNotPattern(value);
      if (refusal !== undefined) return { reply: refusal };
      const glob = new Glob(value.toLowerCase());
      return named(({ name }) => glob.matches(name));
    }
    default:
      return error("syntax error");
  }
}

/** COMMAND GETKEYS command [argument ...] */
function commandGetKeys(table: CommandTable, words: readonly ByteString[]): CommandResult {
  const inner = words.slice(2);
  const command = table.find(inner);
  if (command === undefined) return error("Invalid command specified");
  const { arity } = command;
  if (arity >= 0 ? inner.length !== arity : inner.length < -arity) {
    return error("Invalid number of arguments specified for command");
  }
  const wrapped = command.wraps === undefined ? undefined : table.find(inner.slice(command.wraps));
  const keys = wrapped === undefined
    ? keysOf(command, inner)
    : keysOf(wrapped, inner.slice(command.wraps));
  return keys.length === 0 ? error("The command has no key arguments") : reply(keys);
}

function byName(
  table: CommandTable,
  names: readonly ByteString[],
  tell: (command: Command) => RespValue,
): (readonly [ByteString, RespValue | undefined])[] {
  return names.map((name) => {
    const command = table.find(name.split("|"));
    return [name.toLowerCase(), command === undefined ? undefined : tell(command)];
  });
}

/** Answered by the node at once, in whatever state it is. */
const ALWAYS: readonly CommandFlag[] = ["loading", "stale"];

/** What all commands of this family have. */
const ROW = { group: "server", categories: [], keys: NO_KEYS } as const;

const DBSIZE: CommandRow = {
  ...ROW,
  name: "dbsize",
  arity: 1,
  flags: ["readonly", "fast"],
  categories: ["keyspace"],
  summary: "Counts the keys",
  syntax: "",
  since: "1.0.0",
  run: dbsize,
};

const INFO: CommandRow = {
  ...ROW,
  name: "info",
  arity: -1,
  flags: ALWAYS,
  categories: ["dangerous"],
  summary: "Returns what the node is doing, in sections",
  syntax: "[section [section ...]]",
  since: "1.0.0",
  differs: "the fields that dks has, and its own",
  run: info,
};

/** COMMAND describes all commands, itself included. */
function commandCommand(table: CommandTable): CommandRow {
  const row = { ...ROW, flags: ALWAYS, categories: ["connection"] } as const;
  return {
    ...row,
    name: "command",
    arity: -1,
    summary: "Describes all commands",
    syntax: "[subcommand]",
    since: "2.8.13",
    run: () => reply(table.all.map(infoOf)),
    subcommands: withHelp("command", [
      {
        ...row,
        name: "command|count",
        arity: 2,
        summary: "Counts the commands",
        syntax: "",
        since: "2.8.13",
        run: () => reply(table.all.length),
      },
      {
        ...row,
        name: "command|list",
        arity: -2,
        summary: "Returns the names of the commands",
        syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        since: "7.0.0",
        run: (words) => commandList(table, words),
      },
      {
        ...row,
        name: "command|info",
        arity: -2,
        summary: "Describes commands",
        syntax: "[command-name [command-name ...]]",
        since: "2.8.13",
        differs:
          "without tips and notes; all keys that are read have the flags `RO access`, those " +
          "that are written `RW update`; shard channels are no keys",
        run: ([, , ...names]) =>
          reply(
            names.length === 0
              ? table.all.map(infoOf)
              : byName(table, names, infoOf).map(([, told]) => told ?? null),
          ),
      },
      {
        ...row,
        name: "command|docs",
        arity: -2,
        summary: "Documents commands",
        syntax: "[command-name [command-name ...]]",
        since: "7.0.0",
        differs: "in dks's own words, without `complexity` and `history`",
        run: ([, , ...names]) => {
          const wanted = names.length === 0 ? table.all.map(({ name }) => name) : names;
          return reply(
            new Map<RespValue, RespValue>(
              byName(table, wanted, docsOf).flatMap(([name, told]) =>
                told === undefined ? [] : [[name, told] as const]
              ),
            ),
          );
        },
      },
      {
        ...row,
        name: "command|getkeys",
        arity: -4,
        summary: "Returns the keys of a command",
        syntax: "command [arg [arg ...]]",
        since: "2.8.13",
        run: (words) => commandGetKeys(table, words),
      },
    ]),
  };
}

/** @param table all commands, these included */
export function serverCommands(table: CommandTable): readonly CommandRow[] {
  return [DBSIZE, commandCommand(table), CONFIG, INFO, ...MONITORING];
}
