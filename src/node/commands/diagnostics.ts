/**
 * Commands with which people and tools look into a server: what a key takes and how it is held, the time,
 * the role, and how many other nodes hold what was written.
 *
 * @module
 */

import { type ByteString, fromText } from "../../byte_string.ts";
import { DEBUG_SLEEP_MS_MAX, KEY_OVERHEAD_BYTES } from "../../limits.ts";
import { ErrorReply, type RespValue, VerbatimString } from "../../resp/value.ts";
import { REDIS_VERSION, VERSION } from "../../version.ts";
import {
  error,
  errorRepeating,
  integerOf,
  readRecord,
  repeated,
  reply,
  REPLY_OK,
} from "./arguments.ts";
import {
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  type KeyRange,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { withHelp } from "./help.ts";
import { parseInteger } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** A string of this length at the most is one that Redis keeps inside of its object. */
const EMBEDDED_BYTES_MAX = 44;

/** Redis has one object for each of the integers below this, and says so of their references. */
const SHARED_INTEGERS = 10_000n;
const SHARED_REFERENCES = 2 ** 31 - 1;

// --- OBJECT ------------------------------------------------------------------------------------------

/** Returns how Redis would hold a string that was set in one piece. */
function encodingOf(value: ByteString): string {
  if (parseInteger(value) !== undefined) return "int";
  return value.length <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

function referencesOf(value: ByteString): number {
  const integer = parseInteger(value);
  const isShared = integer !== undefined && integer >= 0n && integer < SHARED_INTEGERS;
  return isShared ? SHARED_REFERENCES : 1;
}

const NO_FREQUENCY = new ErrorReply(
  "ERR",
  "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when " +
    "switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

/** A read of the key that OBJECT and MEMORY USAGE name; null for a missing one. */
function lookAt(
  key: ByteString,
  tell: (value: ByteString, about: { ageMs: number }) => RespValue,
): CommandResult {
  return readRecord(key, (record, { nowMs }) => {
    if (record?.value === undefined) return null;
    return tell(record.value, { ageMs: Math.max(0, nowMs - record.version / 1000) });
  });
}

/** Behind a subcommand. */
const SECOND_KEY: KeyRange = { first: 2, last: 2, step: 1 };

const OBJECT_ROW = {
  group: "generic",
  categories: ["keyspace"],
  keys: SECOND_KEY,
  flags: ["readonly"],
  arity: 3,
  syntax: "key",
} as const;

const OBJECT: CommandRow = {
  ...OBJECT_ROW,
  name: "object",
  categories: [],
  keys: NO_KEYS,
  flags: [],
  arity: -2,
  summary: "Commands about how values are held",
  syntax: "subcommand",
  since: "2.2.3",
  subcommands: withHelp("object", [
    {
      ...OBJECT_ROW,
      name: "object|encoding",
      summary: "Returns how Redis would hold a value that was set in one piece",
      since: "2.2.3",
      differs:
        "a value that APPEND, SETRANGE or a command of bits has made is `raw` in Redis, however short",
      run: ([, , key = ""]) => lookAt(key, encodingOf),
    },
    {
      ...OBJECT_ROW,
      name: "object|freq",
      summary: "Says that frequencies are not kept",
      since: "4.0.0",
      run: ([, , key = ""]) => lookAt(key, () => NO_FREQUENCY),
    },
    {
      ...OBJECT_ROW,
      name: "object|idletime",
      summary: "Returns for how many seconds a key was not written",
      since: "2.2.3",
      differs: "reads are not noted: it is the time since the last write",
      run: ([, , key = ""]) => lookAt(key, (_value, { ageMs }) => Math.floor(ageMs / 1000)),
    },
    {
      ...OBJECT_ROW,
      name: "object|refcount",
      summary: "Returns 1, or what Redis says of small integers",
      since: "2.2.3",
      differs: "of a small integer that a counter has made Redis says 1",
      run: ([, , key = ""]) => lookAt(key, referencesOf),
    },
  ]),
};

// --- MEMORY ------------------------------------------------------------------------------------------

/** MEMORY USAGE key [SAMPLES count] */
function memoryUsage(words: readonly ByteString[]): CommandResult {
  const [, , key = "", ...options] = words;
  if (options.length > 0) {
    const [option = "", count = ""] = options;
    if (option.toLowerCase() !== "samples" || options.length !== 2) return { reply: SYNTAX_ERROR };
    const samples = integerOf(count);
    if (samples instanceof ErrorReply) return { reply: samples };
    if (samples < 0n) return { reply: SYNTAX_ERROR };
  }
  return lookAt(key, (value) => key.length + value.length + KEY_OVERHEAD_BYTES);
}

function memoryDoctor(_words: readonly ByteString[], { node }: Session): CommandResult {
  const { usedBytes, boundBytes, heapBytes, residentBytes } = node.memory();
  const percent = boundBytes === 0 ? undefined : Math.round(100 * usedBytes / boundBytes);
  const share = percent === undefined ? "without a bound" : `${percent} % of --max-memory`;
  const text = `The keys take about ${usedBytes} bytes, ${share}. The engine's heap has ` +
    `${heapBytes} bytes, the process ${residentBytes}.` +
    (percent !== undefined && percent >= 90 ? " Writes are refused at 100 %." : "");
  return reply(new VerbatimString(fromText(text)));
}

function memoryStats(_words: readonly ByteString[], { node }: Session): CommandResult {
  const { usedBytes, peakBytes, keys, valueBytes, heapBytes, residentBytes } = node.memory();
  return reply(
    new Map<RespValue, RespValue>([
      ["peak.allocated", peakBytes],
      ["total.allocated", usedBytes],
      ["keys.count", keys],
      ["keys.bytes-per-key", keys === 0 ? 0 : Math.floor(usedBytes / keys)],
      ["dataset.bytes", valueBytes],
      ["allocator.allocated", heapBytes],
      ["allocator.resident", residentBytes],
    ]),
  );
}

/** Answered by the node at once, in whatever state it is. */
const ALWAYS: readonly CommandFlag[] = ["loading", "stale"];

/** What most of these have. */
const ROW = { group: "server", categories: [], keys: NO_KEYS, flags: ALWAYS } as const;

const MEMORY: CommandRow = {
  ...ROW,
  name: "memory",
  arity: -2,
  flags: [],
  summary: "Commands about memory",
  syntax: "subcommand",
  since: "4.0.0",
  subcommands: withHelp("memory", [
    {
      ...ROW,
      name: "memory|usage",
      arity: -3,
      flags: ["readonly"],
      keys: SECOND_KEY,
      summary: "Returns about how many bytes a key and its value take",
      syntax: "key [SAMPLES count]",
      since: "4.0.0",
      differs: "as `--max-memory` counts them",
      run: memoryUsage,
    },
    {
      ...ROW,
      name: "memory|doctor",
      arity: 2,
      summary: "Says what takes memory",
      syntax: "",
      since: "4.0.0",
      run: memoryDoctor,
    },
    {
      ...ROW,
      name: "memory|stats",
      arity: 2,
      summary: "Returns figures of memory",
      syntax: "",
      since: "4.0.0",
      differs: "those that dks has",
      run: memoryStats,
    },
  ]),
};

// --- Others ------------------------------------------------------------------------------------------

const MODULE: CommandRow = {
  ...ROW,
  name: "module",
  arity: -2,
  flags: [],
  summary: "Commands about modules",
  syntax: "subcommand",
  since: "4.0.0",
  subcommands: withHelp("module", [{
    ...ROW,
    name: "module|list",
    arity: 2,
    flags: ["admin", "noscript"],
    summary: "Returns no modules: there are none",
    syntax: "",
    since: "4.0.0",
    run: () => reply([]),
  }]),
};

function time(_words: readonly ByteString[], { node }: Session): CommandResult {
  const ms = node.wallMs();
  const seconds = Math.floor(ms / 1000);
  return reply([String(seconds), String(Math.floor((ms - 1000 * seconds) * 1000))]);
}

/** LOLWUT [VERSION version]: of each version there is the same, without a picture. */
function lolwut([, option = "", version]: readonly ByteString[]): CommandResult {
  if (option.toLowerCase() === "version" && version !== undefined) {
    const number = integerOf(version);
    if (number instanceof ErrorReply) return { reply: number };
  }
  return reply(new VerbatimString(`Redis ver. ${REDIS_VERSION}, dks ${VERSION}\n`));
}

/** Checks a number of nodes and a timeout. Returns the error for what is wrong. */
function whyNotWait(numbers: readonly ByteString[], timeout: ByteString): ErrorReply | undefined {
  for (const word of numbers) {
    const number = integerOf(word);
    if (number instanceof ErrorReply) return number;
    if (number < 0n) return new ErrorReply("ERR", "value is out of range, must be positive");
  }
  const ms = parseInteger(timeout);
  if (ms === undefined) return new ErrorReply("ERR", "timeout is not an integer or out of range");
  return ms < 0n ? new ErrorReply("ERR", "timeout is negative") : undefined;
}

/**
 * WAIT number timeout: all other members of the view hold what was acknowledged, so nobody waits. It comes
 * behind the connection's own writes.
 */
function wait([, number = "", timeout = ""]: readonly ByteString[], { node }: Session) {
  if (parseInteger(number) === undefined) {
    return error("value is not an integer or out of range");
  }
  const refusal = whyNotWait([], timeout);
  return refusal === undefined ? reply(node.otherMembers()) : { reply: refusal };
}

/** WAITAOF numlocal numreplicas timeout: what was acknowledged is on the members' disks. */
function waitAof(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, local = "", others = "", timeout = ""] = words;
  const refusal = whyNotWait([local, others], timeout);
  if (refusal !== undefined) return { reply: refusal };
  if ((parseInteger(local) ?? 0n) > 1n) {
    return error("value is out of range, must be between 0 and 1");
  }
  const { isEphemeral } = node;
  if (isEphemeral && local !== "0") {
    return error("WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
  }
  return reply(isEphemeral ? [0, 0] : [1, node.otherMembers()]);
}

/** As Redis refuses it. */
const NO_DEBUG = new ErrorReply(
  "ERR",
  'DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run ' +
    "it from a local connection, otherwise you need to set this option in the configuration file, " +
    "and then restart the server.",
);

/** DEBUG SLEEP seconds */
function debug(
  [, subcommand = "", ...more]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  if (node.standStill === undefined) return { reply: NO_DEBUG };
  const [seconds = ""] = more;
  if (subcommand.toUpperCase() !== "SLEEP" || more.length !== 1) {
    const shown = repeated(subcommand);
    return {
      reply: errorRepeating(`unknown subcommand or wrong number of arguments for '${shown}'`),
    };
  }
  if (!/^\d+(\.\d+)?$/.test(seconds)) return error("value is not a valid float");
  const ms = 1000 * Number(seconds);
  if (ms > DEBUG_SLEEP_MS_MAX) {
    return error(`a node stands still for ${DEBUG_SLEEP_MS_MAX / 1000} seconds at the most`);
  }
  node.standStill(ms);
  return REPLY_OK;
}

export const DIAGNOSTICS: readonly CommandRow[] = [
  OBJECT,
  MEMORY,
  MODULE,
  {
    ...ROW,
    name: "time",
    arity: 1,
    flags: [...ALWAYS, "fast"],
    summary: "Returns the node's wall-clock time: seconds, and microseconds",
    syntax: "",
    since: "2.6.0",
    run: time,
  },
  {
    ...ROW,
    name: "role",
    arity: 1,
    flags: ["noscript", ...ALWAYS, "fast"],
    categories: ["admin", "dangerous"],
    summary: "Returns master: every member takes writes",
    syntax: "",
    since: "2.8.12",
    run: () => reply(["master", 0, []]),
  },
  {
    ...ROW,
    name: "lolwut",
    arity: -1,
    flags: ["readonly", "fast"],
    // It reads no key.
    waits: "none",
    summary: "Returns the version",
    syntax: "[VERSION version]",
    since: "5.0.0",
    differs: "without a picture",
    run: lolwut,
  },
  {
    ...ROW,
    name: "wait",
    group: "generic",
    categories: ["connection"],
    arity: 3,
    flags: ["noscript"],
    waits: "alone",
    summary: "Returns the number of other members, which all hold what was written",
    syntax: "numreplicas timeout",
    since: "3.0.0",
    differs: "nobody waits: an acknowledged write is at all members",
    run: wait,
  },
  {
    ...ROW,
    name: "waitaof",
    group: "generic",
    categories: ["connection"],
    arity: 4,
    flags: ["noscript"],
    waits: "alone",
    summary:
      "Returns how many disks hold what was written: this node's, and those of other members",
    syntax: "numlocal numreplicas timeout",
    since: "7.2.0",
    differs: "nobody waits: an acknowledged write is on the disks of all members",
    run: waitAof,
  },
  {
    ...ROW,
    name: "debug",
    arity: -2,
    flags: ["admin", "noscript", ...ALWAYS],
    summary: "Has the node stand still",
    syntax: "SLEEP seconds",
    since: "1.0.0",
    differs: "`SLEEP` alone, and refused without `--enable-debug-command`",
    run: debug,
  },
];
