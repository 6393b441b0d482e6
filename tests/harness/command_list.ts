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
    "lastsave latency lolwut memory module monitor psync replconf replicaof restore-asking role save shutdown " +
    "slaveof slowlog swapdb sync time",
  cluster: "asking cluster readonly readwrite",
};

/** Their subcommands, of those that have some here. */
const SUBCOMMANDS: Readonly<Record<string, string>> = {
  acl: "cat deluser dryrun genpass getuser help list load log save setuser users whoami",
  client: "caching getname getredir help id info kill list no-evict no-touch pause reply setinfo " +
    "setname tracking trackinginfo unblock unpause",
  command: "count docs getkeys getkeysandflags help info list",
  config: "get help resetstat rewrite set",
  latency: "doctor graph help histogram history latest reset",
  memory: "doctor help malloc-stats purge stats usage",
  module: "help list load loadex unload",
  object: "encoding freq help idletime refcount",
  pubsub: "channels help numpat numsub shardchannels shardnumsub",
  slowlog: "get help len reset",
};

/** Returns the subcommands of Redis 7.2 that a command has, as the list has them. */
export function subcommandsOf(name: string): readonly string[] {
  return SUBCOMMANDS[name]?.split(" ").map((one) => `${name}|${one}`) ?? [];
}

/** Returns the commands of Redis 7.2 in a group, as the list has them. */
export function commandsOfGroup(group: string): readonly string[] {
  return REDIS[group]?.split(" ") ?? [];
}

/** Returns the tables of all commands, before they are formatted. */
export function commandList(): string {
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
  return cells(command, differencesOf(command).length === 0 ? "yes" : "partly");
}

/** Returns what is other than in Redis, of the command and of its subcommands. */
function differencesOf({ name, differs, subcommands = [] }: Command): string[] {
  const missing = subcommandsOf(name).filter((one) =>
    !subcommands.some(({ name }) => name === one)
  );
  return [
    ...differs === undefined ? [] : [differs],
    ...missing.length === 0 ? [] : [`no ${missing.map(shownName).join(", ")}`],
    ...subcommands.flatMap((one) =>
      one.differs === undefined ? [] : [`${shownName(one.name)}: ${one.differs}`]
    ),
  ];
}

function shownName(name: string): string {
  return `\`${name.replace("|", " ").toUpperCase()}\``;
}

function cells(command: Command, word: string): string {
  const { name, syntax, summary, subcommands } = command;
  const usage = subcommands === undefined
    ? `${name.toUpperCase()} ${syntax}`.trim()
    : subcommands.map((one) => one.name.replace("|", " ").toUpperCase()).join(", ");
  const text = [summary, ...differencesOf(command)].join("; ");
  return `| \`${usage.replaceAll("|", "\\|")}\` | ${word} | ${text.replaceAll("|", "\\|")} |`;
}
