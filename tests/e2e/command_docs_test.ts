/** What COMMAND DOCS of Redis tells: which commands there are, and what follows their names. */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { type RespValue, SimpleString } from "../../src/resp/value.ts";
import { hasRedis, RedisServer } from "../differential/redis_server.ts";
import { commandsOfGroup, subcommandsOf } from "../harness/command_list.ts";
import { freePorts } from "../harness/cluster.ts";
import { execute } from "../harness/processes.ts";
import { runWords } from "../node/commands/session.ts";

interface Argument {
  readonly name: string;
  readonly type: string;
  readonly token?: string;
  readonly flags?: readonly string[];
  readonly arguments?: readonly Argument[];
}

interface Docs {
  readonly group: string;
  readonly arguments?: readonly Argument[];
  readonly subcommands?: Readonly<Record<string, Docs>>;
}

/** Returns what COMMAND DOCS of Redis answers. */
async function docsOfRedis(): Promise<Record<string, Docs>> {
  const [port = 0] = freePorts(1);
  const redis = await RedisServer.start(port);
  try {
    const { stdout } = await execute("redis-cli", [
      "-p",
      String(port),
      "--json",
      "COMMAND",
      "DOCS",
    ]);
    return JSON.parse(stdout);
  } finally {
    await redis.stop();
  }
}

/** Returns a reply as JSON would have it. */
function plain(value: RespValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, one]) => [plain(key), plain(one)]));
  }
  if (value instanceof Set || Array.isArray(value)) return [...value].map(plain);
  return value instanceof SimpleString ? value.text : value;
}

/** Returns what a prompt shows of arguments: names of blocks and choices are not shown. */
function shown(all: readonly Argument[] = []): unknown[] {
  return all.map(({ name, type, token, flags = [], arguments: inner }) => ({
    ...inner === undefined && type !== "pure-token" ? { name } : {},
    type,
    token,
    flags: flags.toSorted(),
    inner: inner === undefined ? undefined : shown(inner),
  }));
}

function equal(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Groups of which the documents list every command. */
const GROUPS = ["string", "generic", "transactions", "connection", "server", "pubsub", "bitmap"];

Deno.test({
  name: "docs/commands.md lists every command of Redis in the groups that dks is about",
  ignore: !hasRedis(),
  fn: async () => {
    const redis = await docsOfRedis();
    for (const group of [...GROUPS, "hyperloglog"]) {
      const names = Object.keys(redis).filter((name) => redis[name]?.group === group);
      const missing = names.filter((name) => !commandsOfGroup(group).includes(name));
      assertEquals([group, ...missing], [group]);
    }
    for (const { name, subcommands } of COMMANDS.all) {
      const known = Object.keys(redis[name]?.subcommands ?? {});
      if (subcommands === undefined || known.length === 0) continue;
      const missing = known.filter((one) => !subcommandsOf(name).includes(one));
      assertEquals([name, ...missing], [name]);
    }
  },
});

/** Commands with other arguments than in Redis 7.0, and why. */
const DIFFERING: Readonly<Record<string, string>> = {
  "set": "it has IFEQ and IFNE",
  "client|kill": "it has MAXAGE, and TYPE is a name",
  "debug": "Redis tells none",
  "cluster": "Redis tells none here, but those of its subcommands",
  "incrbyfloat": "an increment is an integer: the type goes by the name",
  "setbit": "a value is a string: the type goes by the name",
  "bitfield": "a value is a string: the type goes by the name",
  // As in Redis 7.2.
  "bitop": "the operations by name",
  "lcs": "MINMATCHLEN min-match-len",
  "command|getkeys": "command [arg [arg ...]]",
  // Redis has a block around what is alone in it.
  "psubscribe": "pattern",
  "client|list": "client-id",
  "config|get": "parameter",
};

Deno.test({
  name: "COMMAND DOCS tells the arguments that Redis tells",
  ignore: !hasRedis(),
  fn: async () => {
    const redis = await docsOfRedis();
    const result = runWords(["COMMAND", "DOCS"]);
    assert("reply" in result);
    const dks = plain(result.reply) as Record<string, Docs>;
    const differing: string[] = [];
    const compare = (name: string, own?: Docs, other?: Docs) => {
      if (own === undefined || other === undefined) return;
      if (!equal(shown(own.arguments), shown(other.arguments))) differing.push(name);
      for (const [name, docs] of Object.entries(own.subcommands ?? {})) {
        compare(name, docs, other.subcommands?.[name]);
      }
    };
    for (const { name } of COMMANDS.all) compare(name, dks[name], redis[name]);
    assertEquals(differing.sort(), Object.keys(DIFFERING).sort());
  },
});
