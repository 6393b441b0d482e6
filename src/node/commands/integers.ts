/**
 * Signed 64-bit integers, as Redis counts with them.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";

/** The highest and the lowest integer. */
export const INTEGER_MAX = 2n ** 63n - 1n;
export const INTEGER_MIN = -(2n ** 63n);

/** How Redis says that a word is no integer of 64 bits. */
export const NOT_AN_INTEGER = "value is not an integer or out of range";

/** An integer has this many digits at the most. */
const DIGITS_MAX = 19;

/**
 * Returns the integer that `word` is, written in the one way that Redis takes: no blank, no plus sign,
 * no leading zero, and no minus before zero. `undefined` for anything else.
 */
export function parseInteger(word: ByteString): bigint | undefined {
  if (word.length > DIGITS_MAX + 1 || !/^(0|-?[1-9][0-9]*)$/.test(word)) return undefined;
  const value = BigInt(word);
  return value > INTEGER_MAX || value < INTEGER_MIN ? undefined : value;
}

/** Returns `value` for a reply: a number if that is exact. */
export function integerReply(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Returns `value` as a number, or the nearest exact one: enough for places in a string. */
export function toPlace(value: bigint): number {
  if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER;
  return value < Number.MIN_SAFE_INTEGER ? Number.MIN_SAFE_INTEGER : Number(value);
}
