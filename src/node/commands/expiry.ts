/**
 * Commands of the time to live of a key.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { EVENT } from "../../key_events.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { KeyRecord } from "../../two_phase/messages.ts";
import { change, errorRepeating, integerOf, readRecord, repeated, unchanged } from "./arguments.ts";
import { type CommandResult, type CommandRow, ONE_KEY } from "./command.ts";
import {
  EXPIRES_AT_MAX_DIFFERS,
  expiresAt,
  TIME_UNITS,
  type TimeUnit,
  toExpiry,
} from "./set_options.ts";

/** What TTL and the like answer for a key that does not exist, and for one that does not expire. */
const NO_KEY = -2;
const NO_EXPIRY = -1;

const CONDITIONS = ["NX", "XX", "GT", "LT"] as const;
type Condition = typeof CONDITIONS[number];

/** Returns the conditions among `words`, or an error in the words of Redis. */
function parseConditions(words: readonly ByteString[]): Set<Condition> | ErrorReply {
  const found = new Set<Condition>();
  for (const word of words) {
    const condition = CONDITIONS.find((one) => one === word.toUpperCase());
    if (condition === undefined) {
      return errorRepeating(`Unsupported option ${repeated(word, word.length)}`);
    }
    found.add(condition);
  }
  if (found.has("NX") && found.size > 1) {
    const message = "NX and XX, GT or LT options at the same time are not compatible";
    return new ErrorReply("ERR", message);
  }
  if (found.has("GT") && found.has("LT")) {
    return new ErrorReply("ERR", "GT and LT options at the same time are not compatible");
  }
  return found;
}

/** EXPIRE and its like: key time [NX | XX | GT | LT] */
function expire(
  [, key = "", time = "", ...words]: readonly ByteString[],
  { name, unit }: { name: string; unit: TimeUnit },
): CommandResult {
  const conditions = parseConditions(words);
  if (conditions instanceof ErrorReply) return { reply: conditions };
  const number = integerOf(time);
  if (number instanceof ErrorReply) return { reply: number };
  const expiry = toExpiry(number, { unit, command: name });
  if (expiry instanceof ErrorReply) return { reply: expiry };
  return change(key, (old, { nowMs }) => {
    if (old?.value === undefined) return unchanged(0);
    const expiresAtMs = expiresAt(expiry, nowMs);
    if (![...conditions].every((one) => isMet(one, old, expiresAtMs))) return unchanged(0);
    const effect = expiresAtMs <= nowMs
      ? { key, value: undefined }
      : { key, value: old.value, expiresAtMs, events: EVENT.expire };
    return { effects: [effect], reply: 1 };
  });
}

/** A key that does not expire has a time that no other is beyond. */
function isMet(condition: Condition, old: KeyRecord, expiresAtMs: number): boolean {
  switch (condition) {
    case "NX":
      return old.expiresAtMs === undefined;
    case "XX":
      return old.expiresAtMs !== undefined;
    case "GT":
      return old.expiresAtMs !== undefined && expiresAtMs > old.expiresAtMs;
    case "LT":
      return old.expiresAtMs === undefined || expiresAtMs < old.expiresAtMs;
  }
}

function persist([, key = ""]: readonly ByteString[]): CommandResult {
  return change(
    key,
    (old) =>
      old?.expiresAtMs === undefined
        ? unchanged(0)
        : { effects: [{ key, value: old.value, events: EVENT.persist }], reply: 1 },
  );
}

/** TTL and the like: `answer` makes the reply of when the key expires, and of the present time. */
function lifetime(
  [, key = ""]: readonly ByteString[],
  answer: (expiresAtMs: number, nowMs: number) => number,
): CommandResult {
  return readRecord(key, (record, { nowMs }) => {
    if (record === undefined) return NO_KEY;
    const { expiresAtMs } = record;
    return expiresAtMs === undefined ? NO_EXPIRY : answer(expiresAtMs, nowMs);
  });
}

const seconds = (ms: number) => Math.floor((ms + 500) / 1000);

/** What most commands of this family have. */
const ROW = { group: "generic", categories: ["keyspace"], keys: ONE_KEY } as const;
const WRITE = { ...ROW, flags: ["write", "fast"] } as const;
const READ = { ...ROW, flags: ["readonly", "fast"], arity: 2, syntax: "key" } as const;

const HOW = { summary: "Sets the time to live of a key", since: "1.0.0" } as const;
const DIFFERS = EXPIRES_AT_MAX_DIFFERS;

export const EXPIRY: readonly CommandRow[] = [
  {
    ...WRITE,
    ...HOW,
    name: "expire",
    arity: -3,
    syntax: "key seconds [NX | XX | GT | LT]",
    differs: DIFFERS,
    run: (words) => expire(words, { name: "expire", unit: TIME_UNITS.EX }),
  },
  {
    ...WRITE,
    ...HOW,
    name: "pexpire",
    arity: -3,
    syntax: "key milliseconds [NX | XX | GT | LT]",
    since: "2.6.0",
    differs: DIFFERS,
    run: (words) => expire(words, { name: "pexpire", unit: TIME_UNITS.PX }),
  },
  {
    ...WRITE,
    ...HOW,
    name: "expireat",
    arity: -3,
    syntax: "key unix-time-seconds [NX | XX | GT | LT]",
    since: "1.2.0",
    differs: DIFFERS,
    run: (words) => expire(words, { name: "expireat", unit: TIME_UNITS.EXAT }),
  },
  {
    ...WRITE,
    ...HOW,
    name: "pexpireat",
    arity: -3,
    syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
    since: "2.6.0",
    differs: DIFFERS,
    run: (words) => expire(words, { name: "pexpireat", unit: TIME_UNITS.PXAT }),
  },
  {
    ...WRITE,
    name: "persist",
    arity: 2,
    summary: "Has a key expire no more",
    syntax: "key",
    since: "2.2.0",
    run: persist,
  },
  {
    ...READ,
    name: "ttl",
    summary: "Returns the time to live of a key in seconds",
    since: "1.0.0",
    run: (words) => lifetime(words, (at, nowMs) => seconds(at - nowMs)),
  },
  {
    ...READ,
    name: "pttl",
    summary: "Returns the time to live of a key in milliseconds",
    since: "2.6.0",
    run: (words) => lifetime(words, (at, nowMs) => Math.max(0, at - nowMs)),
  },
  {
    ...READ,
    name: "expiretime",
    summary: "Returns when a key expires, in seconds since 1970",
    since: "7.0.0",
    run: (words) => lifetime(words, seconds),
  },
  {
    ...READ,
    name: "pexpiretime",
    summary: "Returns when a key expires, in milliseconds since 1970",
    since: "7.0.0",
    run: (words) => lifetime(words, (at) => at),
  },
];
