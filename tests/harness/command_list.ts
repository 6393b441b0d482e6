/**
 * The list of commands in `docs/commands.md`: which of Redis 7.2 there are, and what differs.
 *
 * @module
 */

import type { Command } from "../../src/node/commands/command.ts";
import { COMMANDS } from "../../src/node/commands/table.ts";

/** The commands of Redis 7.2, by group. */
const REDIS: Readonly<Record<string, string>> = {
  string: "append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget " +
    "mset msetnx psetex set setex setnx setrange strlen substr",
  generic: "copy del dump exists expire expireat expiretime keys migrate move object persist " +
    "pexpire pexpireat pexpiretime pttl randomkey rename renamenx restore scan sort sort_ro " +
    "touch ttl type unlink wait waitaof",
  bitmap: "bitcount bitfield bitfield_ro bitop bitpos getbit setbit",
  hyperloglog: "pfadd pfcount pfdebug pfmerge pfselftest",
  transactions: "discard exec multi unwatch watch",
  pubsub: "psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe " +
    "unsubscribe",
  connection: "auth client echo hello ping quit reset select",
  server: "acl bgrewriteaof bgsave command config dbsize debug failover flushall flushdb info " +
    "lastsave latency lolwut memory module monitor psync replconf replicaof role save shutdown " +
    "slaveof slowlog swapdb sync time",
  cluster: "asking cluster readonly readwrite",
};

/** What stands around the list in the document. */
export const LIST_BEGIN = "<!-- commands: written by scripts/commands.ts -->";
export const LIST_END = "<!-- end of commands -->";

/** Returns `document` with the list as it must be. */
export function withCommandList(document: string): string {
  const begin = document.indexOf(LIST_BEGIN);
  const end = document.indexOf(LIST_END);
  if (begin < 0 || end < begin) throw new Error("the document has no place for the list");
  return `${document.slice(0, begin)}${LIST_BEGIN}\n\n${commandList()}\n${document.slice(end)}`;
}

function commandList(): string {
  const known = new Set(Object.values(REDIS).flatMap((names) => names.split(" ")));
  const groups = Object.entries(REDIS).map(([group, names]) =>
    section(group, names.split(" ").map(rowOf))
  );
  const own = COMMANDS.all.filter(({ name }) => !known.has(name))
    .map((command) => cells(command, "dks"));
  return [...groups, section("dks and later servers", own)].join("\n");
}

function section(title: string, rows: readonly string[]): string {
  return [
    `### ${title[0]?.toUpperCase()}${title.slice(1)}`,
    "",
    "| command | | what it does, and what differs |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function rowOf(name: string): string {
  const command = COMMANDS.named(name);
  if (command === undefined) return `| \`${name.toUpperCase()}\` | no | |`;
  const isWhole = command.differs === undefined && command.subcommands === undefined;
  return cells(command, isWhole ? "yes" : "partly");
}

function cells(command: Command, word: string): string {
  const { name, syntax, summary, differs, subcommands } = command;
  const usage = subcommands === undefined
    ? `${name.toUpperCase()} ${syntax}`.trim()
    : subcommands.map((one) => one.name.replace("|", " ").toUpperCase()).join(", ");
  const text = differs === undefined ? summary : `${summary}; ${differs}`;
  return `| \`${usage.replaceAll("|", "\\|")}\` | ${word} | ${text.replaceAll("|", "\\|")} |`;
}
