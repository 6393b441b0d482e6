/**
 * Commands of strings: a key with one value.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { EVENT } from "../../key_events.ts";
import { ErrorReply, OK } from "../../resp/value.ts";
import type { Effect, KeyRecord } from "../../two_phase/messages.ts";
import type { Evaluation } from "../../two_phase/request.ts";
import {
  BlindWrite,
  change,
  effectOf,
  error,
  integerOf,
  look,
  rewritten,
  unchanged,
  wrongArity,
} from "./arguments.ts";
import {
  ALL_KEYS,
  type CommandResult,
  type CommandRow,
  COUNTED_PAIRS,
  KEY_VALUE_PAIRS,
  ONE_KEY,
  type Session,
} from "./command.ts";
import { NOT_AN_INTEGER, parseInteger, toPlace } from "./integers.ts";
import {
  EXPIRES_AT_MAX_DIFFERS,
  expiresAt,
  parseExpiry,
  parseSetOptions,
  type SetOptions,
  SYNTAX_ERROR,
  TIME_UNITS,
  type TimeUnit,
} from "./set_options.ts";

/** How Redis says that a value would be too long. */
const TOO_LONG = "string exceeds maximum allowed size (proto-max-bulk-len)";

/** A read of one key whose reply is the value itself. */
function get([, key = ""]: readonly ByteString[]): CommandResult {
  return { request: { kind: "read", keys: [key], evaluate: (read) => read(key) ?? null } };
}

function set(words: readonly ByteString[]): CommandResult {
  const [, key = "", value = ""] = words;
  if (words.length > 3) return setWithOptions(key, value, words.slice(3));
  return { request: new BlindWrite([key], [{ key, value }]) };
}

/** SET with conditions, with a time to live, or with the old value as the reply. */
function setWithOptions(
  key: ByteString,
  value: ByteString,
  words: readonly ByteString[],
): CommandResult {
  const options = parseSetOptions(words, {
    name: "set",
    takes: ["NX", "XX", "GET", "KEEPTTL", "IFEQ", "IFNE"],
  });
  if (options instanceof ErrorReply) return { reply: options };
  const { expiry, returnsOld, keepsTtl } = options;
  if (expiry instanceof ErrorReply) return { reply: expiry };
  return change(key, (old, { nowMs }) => {
    const isSet = mayReplace(old, options);
    const answer = returnsOld ? old?.value ?? null : isSet ? OK : null;
    if (!isSet) return unchanged(answer);
    const expiresAtMs = expiry !== undefined
      ? expiresAt(expiry, nowMs)
      : keepsTtl
      ? old?.expiresAtMs
      : undefined;
    const effect = effectUntil(key, value, { expiresAtMs, nowMs });
    return { effects: [expiry === undefined ? effect : withExpiry(effect)], reply: answer };
  });
}

/** Returns the effect of a value that is good until then: of one that is over already, the deletion. */
function effectUntil(
  key: ByteString,
  value: ByteString,
  { expiresAtMs, nowMs }: { expiresAtMs: number | undefined; nowMs: number },
): Effect {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs
    ? { key, value: undefined }
    : effectOf(key, value, expiresAtMs);
}

/** Returns the effect of a SET that has set a time to live: that is an event of its own. */
function withExpiry(effect: Effect): Effect {
  const isOver = effect.value === undefined;
  return { ...effect, events: EVENT.set + EVENT.expire + (isOver ? EVENT.expired : "") };
}

/** Tells whether the conditions of a SET allow it in the place of `old`. */
function mayReplace(
  old: KeyRecord | undefined,
  { isNewOnly, isOldOnly, ifEqual, ifNotEqual }: SetOptions,
): boolean {
  if (isNewOnly && old !== undefined) return false;
  if (isOldOnly && old === undefined) return false;
  if (ifEqual !== undefined && old?.value !== ifEqual) return false;
  return ifNotEqual === undefined || old?.value !== ifNotEqual;
}

function setnx([, key = "", value = ""]: readonly ByteString[]): CommandResult {
  return change(
    key,
    (old) => old === undefined ? { effects: [{ key, value }], reply: 1 } : unchanged(0),
  );
}

/** SETEX and PSETEX: key time value. */
function setWithTime(
  [, key = "", time = "", value = ""]: readonly ByteString[],
  { name, unit }: { name: string; unit: TimeUnit },
): CommandResult {
  const expiry = parseExpiry(time, { unit, command: name });
  if (expiry instanceof ErrorReply) return { reply: expiry };
  return change(key, (_old, { nowMs }) => ({
    effects: [withExpiry(effectOf(key, value, expiresAt(expiry, nowMs)))],
    reply: OK,
  }));
}

function getset([, key = "", value = ""]: readonly ByteString[]): CommandResult {
  return change(key, (old) => ({ effects: [{ key, value }], reply: old?.value ?? null }));
}

function getdel([, key = ""]: readonly ByteString[]): CommandResult {
  return change(
    key,
    (old) =>
      old === undefined
        ? unchanged(null)
        : { effects: [{ key, value: undefined }], reply: old.value ?? null },
  );
}

/** GETEX: GET, and another time to live. */
function getex([, key = "", ...words]: readonly ByteString[]): CommandResult {
  const options = parseSetOptions(words, { name: "getex", takes: ["PERSIST"] });
  if (options instanceof ErrorReply) return { reply: options };
  const { expiry, persists } = options;
  return change(key, (old, { nowMs }) => {
    // The error for a key that does not exist comes first, as in Redis.
    if (old?.value === undefined) return unchanged(null);
    if (persists && old.expiresAtMs !== undefined) {
      const effect = { key, value: old.value, events: EVENT.persist };
      return { effects: [effect], reply: old.value };
    }
    if (expiry === undefined) return unchanged(old.value);
    if (expiry instanceof ErrorReply) return unchanged(expiry);
    const expiresAtMs = expiresAt(expiry, nowMs);
    const effect = expiresAtMs <= nowMs
      ? { key, value: undefined }
      : { key, value: old.value, expiresAtMs, events: EVENT.expire };
    return { effects: [effect], reply: old.value };
  });
}

function delifeq([, key = "", value = ""]: readonly ByteString[]): CommandResult {
  return change(key, (old) => old?.value === value ? deleted(key) : unchanged(0));
}

/** DELEX key [IFEQ value | IFNE value] */
function delex([, key = "", option, value, ...more]: readonly ByteString[]): CommandResult {
  const condition = option?.toUpperCase();
  const isKnown = condition === undefined || condition === "IFEQ" || condition === "IFNE";
  if (!isKnown || (condition !== undefined && value === undefined) || more.length > 0) {
    return { reply: SYNTAX_ERROR };
  }
  return change(key, (old) => {
    if (old === undefined) return unchanged(0);
    const isMet = condition === undefined || (old.value === value) === (condition === "IFEQ");
    return isMet ? deleted(key) : unchanged(0);
  });
}

function deleted(key: ByteString): Evaluation {
  return { effects: [{ key, value: undefined }], reply: 1 };
}

function mget([, ...keys]: readonly ByteString[]): CommandResult {
  return {
    request: {
      kind: "read",
      keys: [...new Set(keys)],
      evaluate: (read) => keys.map((key) => read(key) ?? null),
    },
  };
}

/** Returns the pairs of keys and values among `words`; of a key that comes twice the last value. */
function pairsOf(words: readonly ByteString[]): Map<ByteString, ByteString> {
  const values = new Map<ByteString, ByteString>();
  for (let i = 0; i + 1 < words.length; i += 2) values.set(words[i] ?? "", words[i + 1] ?? "");
  return values;
}

function mset([, ...words]: readonly ByteString[]): CommandResult {
  if (words.length % 2 !== 0) return { reply: wrongArity("mset") };
  const values = pairsOf(words);
  const effects = Array.from(values, ([key, value]) => ({ key, value }));
  return { request: new BlindWrite([...values.keys()], effects) };
}

function msetnx([, ...words]: readonly ByteString[]): CommandResult {
  if (words.length % 2 !== 0) return { reply: wrongArity("msetnx") };
  return setAll(pairsOf(words), { isAllowed: (isThere) => !isThere, timeOf: () => undefined });
}

/** MSETEX numkeys key value [key value ...] [NX | XX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL] */
function msetex([, count = "", ...words]: readonly ByteString[]): CommandResult {
  const number = parseInteger(count);
  if (number === undefined || number <= 0n) {
    return error("invalid numkeys value");
  }
  const end = 2 * toPlace(number);
  if (end > words.length) return error("wrong number of key-value pairs");
  const options = parseSetOptions(words.slice(end), {
    name: "msetex",
    takes: ["NX", "XX", "KEEPTTL"],
  });
  if (options instanceof ErrorReply) return { reply: options };
  const { isNewOnly, isOldOnly, keepsTtl, expiry } = options;
  if (expiry instanceof ErrorReply) return { reply: expiry };
  return setAll(pairsOf(words.slice(0, end)), {
    isAllowed: (isThere) => isThere ? !isNewOnly : !isOldOnly,
    timeOf: (old, nowMs) =>
      expiry !== undefined ? expiresAt(expiry, nowMs) : keepsTtl ? old?.expiresAtMs : undefined,
  });
}

/** Sets all keys, if that is allowed for each of them; the reply is 1 or 0. */
function setAll(
  values: ReadonlyMap<ByteString, ByteString>,
  { isAllowed, timeOf }: {
    isAllowed: (isThere: boolean) => boolean;
    timeOf: (old: KeyRecord | undefined, nowMs: number) => number | undefined;
  },
): CommandResult {
  return {
    request: {
      kind: "write",
      keys: [...values.keys()],
      evaluate: (_read, facts) => {
        const effects: Effect[] = [];
        for (const [key, value] of values) {
          const old = facts.recordOf(key);
          if (!isAllowed(old !== undefined)) return unchanged(0);
          const expiresAtMs = timeOf(old, facts.nowMs);
          const effect = effectUntil(key, value, { expiresAtMs, nowMs: facts.nowMs });
          effects.push(expiresAtMs === undefined ? effect : withExpiry(effect));
        }
        return { effects, reply: 1 };
      },
    },
  };
}

function append([, key = "", tail = ""]: readonly ByteString[], { node }: Session): CommandResult {
  return change(key, (old) => {
    const value = (old?.value ?? "") + tail;
    if (value.length > node.valueBytesMax) return unchanged(new ErrorReply("ERR", TOO_LONG));
    return { effects: [rewritten(key, value, { old, events: EVENT.append })], reply: value.length };
  });
}

function strlen([, key = ""]: readonly ByteString[]): CommandResult {
  return look(key, (value) => value?.length ?? 0);
}

/** GETRANGE and SUBSTR: places from the end are negative. */
function getrange([, key = "", from = "", to = ""]: readonly ByteString[]): CommandResult {
  const [start, end] = [parseInteger(from), parseInteger(to)];
  if (start === undefined || end === undefined) return error(NOT_AN_INTEGER);
  return look(key, (value = "") => {
    if (start < 0n && end < 0n && start > end) return "";
    const place = (at: bigint) => Math.max(0, at < 0n ? value.length + toPlace(at) : toPlace(at));
    return value.slice(place(start), place(end) + 1);
  });
}

function setrange(
  [, key = "", at = "", part = ""]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const number = integerOf(at);
  if (number instanceof ErrorReply) return { reply: number };
  if (number < 0n) return error("offset is out of range");
  const offset = toPlace(number);
  return change(key, (old) => {
    const before = old?.value ?? "";
    if (part.length === 0) return unchanged(before.length);
    if (offset + part.length > node.valueBytesMax) {
      return unchanged(new ErrorReply("ERR", TOO_LONG));
    }
    const value = before.slice(0, offset).padEnd(offset, "\0") + part +
      before.slice(offset + part.length);
    return {
      effects: [rewritten(key, value, { old, events: EVENT.setrange })],
      reply: value.length,
    };
  });
}

/** What most commands of this family have. */
const ROW = { group: "string", categories: ["string"], keys: ONE_KEY } as const;
const READ = { ...ROW, flags: ["readonly", "fast"] } as const;
const SLOW_READ = { ...ROW, flags: ["readonly"] } as const;
const WRITE = { ...ROW, flags: ["write", "denyoom"] } as const;
const FAST_WRITE = { ...ROW, flags: ["write", "denyoom", "fast"] } as const;
const FAST_DELETION = { ...ROW, flags: ["write", "fast"] } as const;

const TIME_SYNTAX =
  "EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds";

const SET: CommandRow = {
  ...WRITE,
  name: "set",
  arity: -3,
  summary: "Sets the value of a key",
  syntax: `key value [NX | XX | IFEQ value | IFNE value] [GET] [${TIME_SYNTAX} | KEEPTTL]`,
  since: "1.0.0",
  differs: `IFEQ and IFNE are as in later servers; ${EXPIRES_AT_MAX_DIFFERS}`,
  run: set,
};

const GETRANGE: CommandRow = {
  ...SLOW_READ,
  name: "getrange",
  arity: 4,
  summary: "Returns a part of the value of a key",
  syntax: "key start end",
  since: "2.4.0",
  run: getrange,
};

export const STRINGS: readonly CommandRow[] = [
  {
    ...READ,
    name: "get",
    arity: 2,
    summary: "Returns the value of a key",
    syntax: "key",
    since: "1.0.0",
    run: get,
  },
  SET,
  // The name that the first dks had for it.
  { ...SET, name: "put", group: "dks", since: "0.1.0" },
  {
    ...FAST_WRITE,
    name: "setnx",
    arity: 3,
    summary: "Sets the value of a key that does not exist",
    syntax: "key value",
    since: "1.0.0",
    run: setnx,
  },
  {
    ...WRITE,
    name: "setex",
    arity: 4,
    summary: "Sets the value of a key, and its time to live in seconds",
    syntax: "key seconds value",
    since: "2.0.0",
    differs: EXPIRES_AT_MAX_DIFFERS,
    run: (words) => setWithTime(words, { name: "setex", unit: TIME_UNITS.EX }),
  },
  {
    ...WRITE,
    name: "psetex",
    arity: 4,
    summary: "Sets the value of a key, and its time to live in milliseconds",
    syntax: "key milliseconds value",
    since: "2.6.0",
    differs: EXPIRES_AT_MAX_DIFFERS,
    run: (words) => setWithTime(words, { name: "psetex", unit: TIME_UNITS.PX }),
  },
  {
    ...FAST_WRITE,
    name: "getset",
    arity: 3,
    summary: "Sets the value of a key, and returns the old one",
    syntax: "key value",
    since: "1.0.0",
    run: getset,
  },
  {
    ...FAST_DELETION,
    name: "getdel",
    arity: 2,
    summary: "Deletes a key, and returns its value",
    syntax: "key",
    since: "6.2.0",
    run: getdel,
  },
  {
    ...FAST_DELETION,
    name: "getex",
    arity: -2,
    summary: "Returns the value of a key, and sets its time to live",
    syntax: `key [${TIME_SYNTAX} | PERSIST]`,
    since: "6.2.0",
    differs: EXPIRES_AT_MAX_DIFFERS,
    run: getex,
  },
  {
    ...FAST_DELETION,
    name: "delifeq",
    arity: 3,
    group: "dks",
    summary: "Deletes a key if its value is this one",
    syntax: "key value",
    since: "0.2.0",
    run: delifeq,
  },
  {
    ...FAST_DELETION,
    name: "delex",
    arity: -2,
    group: "dks",
    summary: "Deletes a key, if its value is this one or another one",
    syntax: "key [IFEQ value | IFNE value]",
    since: "0.2.0",
    run: delex,
  },
  {
    ...READ,
    name: "mget",
    arity: -2,
    keys: ALL_KEYS,
    summary: "Returns the values of several keys, as of one moment",
    syntax: "key [key ...]",
    since: "1.0.0",
    run: mget,
  },
  {
    ...WRITE,
    name: "mset",
    arity: -3,
    keys: KEY_VALUE_PAIRS,
    summary: "Sets the values of several keys, all at once",
    syntax: "key value [key value ...]",
    since: "1.0.1",
    run: mset,
  },
  {
    ...WRITE,
    name: "msetnx",
    arity: -3,
    keys: KEY_VALUE_PAIRS,
    summary: "Sets the values of several keys, if none of them exists",
    syntax: "key value [key value ...]",
    since: "1.0.1",
    run: msetnx,
  },
  {
    ...WRITE,
    name: "msetex",
    arity: -4,
    group: "dks",
    keys: COUNTED_PAIRS,
    summary: "Sets the values of several keys and their time to live, all at once",
    syntax: `numkeys key value [key value ...] [NX | XX] [${TIME_SYNTAX} | KEEPTTL]`,
    since: "0.2.0",
    run: msetex,
  },
  {
    ...FAST_WRITE,
    name: "append",
    arity: 3,
    summary: "Appends to the value of a key",
    syntax: "key value",
    since: "2.0.0",
    run: append,
  },
  {
    ...READ,
    name: "strlen",
    arity: 2,
    summary: "Returns the length of a key's value in bytes",
    syntax: "key",
    since: "2.2.0",
    run: strlen,
  },
  GETRANGE,
  { ...GETRANGE, name: "substr", since: "1.0.0" },
  {
    ...WRITE,
    name: "setrange",
    arity: 4,
    summary: "Overwrites a part of the value of a key",
    syntax: "key offset value",
    since: "2.2.0",
    run: setrange,
  },
];
