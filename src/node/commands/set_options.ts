/**
 * The options that SET, GETEX and MSETEX have in common: conditions, and times to live.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply } from "../../resp/value.ts";
import { INTEGER_MIN, NOT_AN_INTEGER, parseInteger } from "./integers.ts";

export const SYNTAX_ERROR: ErrorReply = new ErrorReply("ERR", "syntax error");

/** A unit of time of a command, and whether it counts from now. */
export interface TimeUnit {
  readonly ms: 1n | 1000n;
  readonly isRelative: boolean;
}

/** How a time to live is given, by the name of the option. */
export const TIME_UNITS = {
  EX: { ms: 1000n, isRelative: true },
  PX: { ms: 1n, isRelative: true },
  EXAT: { ms: 1000n, isRelative: false },
  PXAT: { ms: 1n, isRelative: false },
} as const satisfies Record<string, TimeUnit>;

/** A time to live as a command gives it, before it is known what time it is. */
export interface Expiry {
  /** In milliseconds. */
  readonly ms: number;
  /** From now on; else since 1970. */
  readonly isRelative: boolean;
}

/** The highest time of an expiry, in milliseconds since 1970: the last one that a number holds. */
export const EXPIRES_AT_MS_MAX: number = Number.MAX_SAFE_INTEGER;

/** What that means for a client, in `docs/commands.md`. */
export const EXPIRES_AT_MAX_DIFFERS = "the highest time is 2⁵³ − 1 ms after 1970";

/** Room for the present time in what a relative time comes to: the year 5138. */
const NOW_MS_MAX = 10n ** 14n;

/** Returns when `expiry` is over, at `nowMs`; in milliseconds since 1970. */
export function expiresAt({ ms, isRelative }: Expiry, nowMs: number): number {
  return isRelative ? nowMs + ms : ms;
}

/** The options of a command. */
export interface SetOptions {
  readonly isNewOnly: boolean;
  readonly isOldOnly: boolean;
  readonly returnsOld: boolean;
  readonly keepsTtl: boolean;
  /** GETEX: the key does not expire any more. */
  readonly persists: boolean;
  /** `undefined` for none, an error for one that is no time. */
  readonly expiry: Expiry | ErrorReply | undefined;
  /** Only if the value is this one. */
  readonly ifEqual: ByteString | undefined;
  /** Only if the value is not this one. */
  readonly ifNotEqual: ByteString | undefined;
}

/** Which options a command takes besides EX, PX, EXAT and PXAT. */
export type OptionName = "NX" | "XX" | "GET" | "KEEPTTL" | "PERSIST" | "IFEQ" | "IFNE";

/**
 * Reads options.
 *
 * @param words the words behind the key and the value
 * @param command its name is told if the time is none, `takes` says which options it has
 * @returns the options, or an error in the words of Redis
 */
export function parseSetOptions(
  words: readonly ByteString[],
  { name, takes }: { name: string; takes: readonly OptionName[] },
): SetOptions | ErrorReply {
  const found = new Set<OptionName>();
  let unit: keyof typeof TIME_UNITS | undefined;
  let time: ByteString = "";
  let ifEqual: ByteString | undefined;
  let ifNotEqual: ByteString | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] ?? "").toUpperCase();
    const next = words[i + 1];
    if (isTimeUnit(word)) {
      // The same unit again is taken; the last one counts.
      if (next === undefined || (unit !== undefined && unit !== word)) return SYNTAX_ERROR;
      unit = word;
      time = next;
      i++;
      continue;
    }
    const option = takes.find((one) => one === word);
    if (option === undefined) return SYNTAX_ERROR;
    if (option === "IFEQ" || option === "IFNE") {
      if (next === undefined || found.has("IFEQ") || found.has("IFNE")) return SYNTAX_ERROR;
      if (option === "IFEQ") ifEqual = next;
      else ifNotEqual = next;
      i++;
    }
    found.add(option);
  }
  const conditions = ["NX", "XX", "IFEQ", "IFNE"] as const;
  const lifetimes = ["KEEPTTL", "PERSIST"] as const;
  const count = (names: readonly OptionName[]) => names.filter((one) => found.has(one)).length;
  if (count(conditions) > 1 || count(lifetimes) + Number(unit !== undefined) > 1) {
    return SYNTAX_ERROR;
  }
  const expiry = unit === undefined
    ? undefined
    : parseExpiry(time, { unit: TIME_UNITS[unit], command: name });
  return {
    isNewOnly: found.has("NX"),
    isOldOnly: found.has("XX"),
    returnsOld: found.has("GET"),
    keepsTtl: found.has("KEEPTTL"),
    persists: found.has("PERSIST"),
    expiry,
    ifEqual,
    ifNotEqual,
  };
}

function isTimeUnit(word: string): word is keyof typeof TIME_UNITS {
  return Object.hasOwn(TIME_UNITS, word);
}

/** Returns the time to live that `word` gives: more than nothing, and not beyond all times. */
export function parseExpiry(
  word: ByteString,
  { unit, command }: { unit: TimeUnit; command: string },
): Expiry | ErrorReply {
  const value = parseInteger(word);
  if (value === undefined) return new ErrorReply("ERR", NOT_AN_INTEGER);
  return value <= 0n ? invalidExpiry(command) : toExpiry(value, { unit, command });
}

/** Returns `value` as a time to live: one that is long over, too; an error for one beyond all times. */
export function toExpiry(
  value: bigint,
  { unit, command }: { unit: TimeUnit; command: string },
): Expiry | ErrorReply {
  const ms = value * unit.ms;
  const max = BigInt(EXPIRES_AT_MS_MAX) - (unit.isRelative ? NOW_MS_MAX : 0n);
  if (ms > max || ms < INTEGER_MIN) return invalidExpiry(command);
  return { ms: Number(ms < -max ? -max : ms), isRelative: unit.isRelative };
}

function invalidExpiry(command: string): ErrorReply {
  return new ErrorReply("ERR", `invalid expire time in '${command}' command`);
}
