/**
 * CONFIG: the parameters of Redis's that mean something here. What can be set is set at this node, until
 * it ends.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { UsageError } from "../../errors.ts";
import type { ErrorReply, RespValue } from "../../resp/value.ts";
import { error, errorRepeating, repeated, reply, REPLY_OK } from "./arguments.ts";
import {
  type CommandFlag,
  type CommandHost,
  type CommandResult,
  type CommandRow,
  NO_KEYS,
  type Session,
  type TlsPart,
} from "./command.ts";
import { Glob, whyNotPattern } from "./glob.ts";
import { withHelp } from "./help.ts";
import { parseInteger } from "./integers.ts";
import { limitAt, LIMITS } from "./limit_table.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** A parameter: how it reads, and how it is set, if it can be. */
interface Parameter {
  get(node: CommandHost): string;
  /** Checks `value`. Returns what sets it, or why it cannot be. */
  readonly parse?: (
    value: ByteString,
    node: CommandHost,
    /** By name: all that is set at once. */
    all: ReadonlyMap<string, string>,
  ) => (() => void) | string;
}

/** A parameter that never changes. */
function fixed(value: string): Parameter {
  return { get: () => value };
}

/** A parameter that is an integer within bounds. */
function integer(
  bounds: { readonly min: number; readonly max: number },
  access: { get(node: CommandHost): number; set(node: CommandHost, value: number): void },
): Parameter {
  const { min, max } = bounds;
  return {
    get: (node) => String(access.get(node)),
    parse: (value, node) => {
      const number = parseInteger(value);
      if (number === undefined) return "argument couldn't be parsed into an integer";
      if (number < BigInt(min) || number > BigInt(max)) {
        return `argument must be between ${min} and ${max} inclusive`;
      }
      return () => access.set(node, Number(number));
    },
  };
}

/** A part of the certificate, which has to go with the others. */
function tlsPart(part: TlsPart): [name: string, parameter: Parameter] {
  return [part, {
    get: ({ settings: { tls } }) => tls?.get(part) ?? "",
    parse: (_value, { settings: { tls } }, all) => {
      if (tls === undefined) return "this node was started without a certificate";
      return tls.whyNot(all) ?? (() => tls.set(all));
    },
  }];
}

const INT_MAX = 2 ** 31 - 1;

const PARAMETERS: ReadonlyMap<string, Parameter> = new Map<string, Parameter>([
  ...LIMITS.map((limit): [string, Parameter] => [
    limit.name,
    { get: (node) => limitAt(limit, node) },
  ]),
  ["appendonly", { get: (node) => node.isEphemeral ? "no" : "yes" }],
  ["databases", fixed("1")],
  [
    "latency-monitor-threshold",
    integer({ min: 0, max: Number.MAX_SAFE_INTEGER }, {
      get: ({ latency }) => latency.thresholdMs,
      set: ({ latency }, ms) => latency.thresholdMs = ms,
    }),
  ],
  ["maxmemory", {
    get: ({ settings }) => String(settings.memoryBytesMax),
    parse: (value, { settings }) => {
      try {
        const bytes = settings.parseMemoryBytes(value);
        return () => settings.memoryBytesMax = bytes;
      } catch (failure) {
        if (!(failure instanceof UsageError)) throw failure;
        return "argument must be a memory value";
      }
    },
  }],
  ["maxmemory-policy", fixed("noeviction")],
  ["notify-keyspace-events", {
    get: (node) => node.keyEvents(),
    parse: (value, node) =>
      node.isKeyEvents(value)
        ? () => void node.setKeyEvents(value)
        : "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
  }],
  ["save", fixed("")],
  [
    "slowlog-log-slower-than",
    integer({ min: -1, max: Number.MAX_SAFE_INTEGER }, {
      get: ({ settings }) => settings.slowMicros,
      set: ({ settings }, micros) => settings.slowMicros = micros,
    }),
  ],
  [
    "slowlog-max-len",
    integer({ min: 0, max: 1_000_000 }, {
      get: ({ slowLog }) => slowLog.lengthMax,
      set: ({ slowLog }, length) => slowLog.lengthMax = length,
    }),
  ],
  tlsPart("tls-cert"),
  tlsPart("tls-key"),
  tlsPart("tls-ca"),
  [
    "timeout",
    integer({ min: 0, max: INT_MAX }, {
      get: ({ settings: { idleMsMax } }) =>
        idleMsMax === Infinity ? 0 : Math.ceil(idleMsMax / 1000),
      set: ({ settings }, seconds) =>
        settings.idleMsMax = seconds === 0 ? Infinity : seconds * 1000,
    }),
  ],
]);

function configGet([, , ...words]: readonly ByteString[], { node }: Session): CommandResult {
  const found = new Map<RespValue, RespValue>();
  const refusal = words.map(whyNotPattern).find((one) => one !== undefined);
  if (refusal !== undefined) return { reply: refusal };
  const patterns = words.map((word) => word.toLowerCase());
  const globs = patterns.map((pattern) => new Glob(pattern));
  for (const [name, parameter] of PARAMETERS) {
    const at = globs.findIndex((glob) => glob.matches(name));
    if (at < 0) continue;
    // As in Redis, one that is named without a pattern is called as the client has written it.
    found.set(patterns[at] === name ? words[at] ?? name : name, parameter.get(node));
  }
  return reply(found);
}

/** CONFIG SET: all parameters, or none. */
function configSet([, , ...words]: readonly ByteString[], { node }: Session): CommandResult {
  if (words.length % 2 !== 0) return { reply: SYNTAX_ERROR };
  const setters = new Map<string, () => void>();
  const all = new Map<string, string>();
  for (let at = 0; at < words.length; at += 2) {
    all.set((words[at] ?? "").toLowerCase(), words[at + 1] ?? "");
  }
  for (let at = 0; at < words.length; at += 2) {
    const word = words[at] ?? "";
    const name = word.toLowerCase();
    const parameter = PARAMETERS.get(name);
    if (parameter === undefined) {
      return {
        reply: errorRepeating(
          `Unknown option or number of arguments for CONFIG SET - '${repeated(word, Infinity)}'`,
        ),
      };
    }
    if (parameter.parse === undefined) return { reply: failed(name, "can't set immutable config") };
    if (setters.has(name)) return { reply: failed(name, "duplicate parameter") };
    const setter = parameter.parse(words[at + 1] ?? "", node, all);
    if (typeof setter === "string") return { reply: failed(name, setter) };
    setters.set(name, setter);
  }
  for (const set of setters.values()) set();
  return REPLY_OK;
}

function failed(name: ByteString, reason: string): ErrorReply {
  return errorRepeating(
    `CONFIG SET failed (possibly related to argument '${name}') - ${reason}`,
  );
}

const ADMIN: readonly CommandFlag[] = ["admin", "noscript", "loading", "stale"];

/** What all of these have. */
const ROW = { group: "server", categories: [], keys: NO_KEYS, flags: ADMIN } as const;

export const CONFIG: CommandRow = {
  ...ROW,
  name: "config",
  arity: -2,
  flags: [],
  summary: "Commands about the configuration",
  syntax: "subcommand",
  since: "2.0.0",
  subcommands: withHelp("config", [
    {
      ...ROW,
      name: "config|get",
      arity: -3,
      summary: "Returns the parameters whose names match the patterns",
      syntax: "parameter [parameter ...]",
      since: "2.0.0",
      run: configGet,
    },
    {
      ...ROW,
      name: "config|set",
      arity: -4,
      summary: "Sets parameters of this node, until it ends",
      syntax: "parameter value [parameter value ...]",
      since: "2.0.0",
      differs: [...PARAMETERS].filter(([, { parse }]) => parse !== undefined)
        .map(([name]) => `\`${name}\``).join(", "),
      run: configSet,
    },
    {
      ...ROW,
      name: "config|resetstat",
      arity: 2,
      summary: "Sets the counters of INFO to 0",
      syntax: "",
      since: "2.0.0",
      differs: "not those of the protocol between the nodes",
      run: (_words, { node }) => {
        node.resetStatistics();
        return REPLY_OK;
      },
    },
    {
      ...ROW,
      name: "config|rewrite",
      arity: 2,
      summary: "Says that there is no file to write",
      syntax: "",
      since: "2.8.0",
      run: () => error("The server is running without a config file"),
    },
  ]),
};
