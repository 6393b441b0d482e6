/**
 * Floating-point numbers with 64 bits of precision, as Redis has them on most machines (the C type
 * `long double` of x86): INCRBYFLOAT must give the same digits.
 *
 * A number is `mantissa · 2^exponent`. Numbers below 2⁻¹⁶³⁸² are not rounded as that machine would, unless
 * they would be 0, and so no numbers to Redis; the others are printed as 0 anyway.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";

/** A number: `mantissa · 2^exponent`, or an infinity. */
export type ExtendedFloat = { readonly mantissa: bigint; readonly exponent: number } | "infinite";

/** Bits of a mantissa. */
const PRECISION = 64;

/** Numbers of this many bits before the point are infinite. */
const BITS_MAX = 16_384;

/** What is no more than two to this is 0 to that machine: half of its smallest number. */
const NOTHING_EXPONENT = -16_446;

/** Digits behind the point that are printed, before zeros at the end are left away. */
const DIGITS = 17n;

/** Redis takes fewer characters than this than 5 KiB. */
const WORD_BYTES_MAX = 5119;

/** Powers of ten, and of two, beyond these are infinite, or 0. */
const TEN_EXPONENT_MAX = 5000;
const TWO_EXPONENT_MAX = 17_000;

/** Returns the number that `word` is, as C reads it; `undefined` if it is none. */
export function parseFloat(word: ByteString): ExtendedFloat | undefined {
  if (word.length > WORD_BYTES_MAX) return undefined;
  if (/^[+-]?inf(inity)?$/i.test(word)) return "infinite";
  const value = /^[+-]?0x/i.test(word) ? parseHexadecimal(word) : parseDecimal(word);
  // What is out of range is no number to Redis.
  return value === undefined || value === "infinite" || isNothing(value) ? undefined : value;
}

/** Tells whether a number that is not 0 would be rounded to 0. */
function isNothing({ mantissa, exponent }: Exclude<ExtendedFloat, "infinite">): boolean {
  if (mantissa === 0n) return false;
  const size = mantissa < 0n ? -mantissa : mantissa;
  const top = bits(size) + exponent - 1;
  return top < NOTHING_EXPONENT ||
    (top === NOTHING_EXPONENT && size === 1n << BigInt(bits(size) - 1));
}

function parseDecimal(word: ByteString): ExtendedFloat | undefined {
  const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(word);
  const [, sign = "", whole = "", fraction = "", power = "0"] = found ?? [];
  if (found === null || whole.length + fraction.length === 0) return undefined;
  const size = BigInt(whole + fraction);
  const digits = sign === "-" ? -size : size;
  const tens = Number(power) - fraction.length;
  if (digits === 0n) return { mantissa: 0n, exponent: 0 };
  if (Math.abs(String(size).length + tens) > TEN_EXPONENT_MAX) return undefined;
  return tens >= 0
    ? rounded(digits * 10n ** BigInt(tens), 0)
    : quotient(digits, 10n ** BigInt(-tens));
}

/** The exponent is one of two, and in decimals. */
function parseHexadecimal(word: ByteString): ExtendedFloat | undefined {
  const found = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i.exec(word);
  const [, sign = "", whole = "", fraction = "", power = "0"] = found ?? [];
  if (found === null || whole.length + fraction.length === 0) return undefined;
  const exponent = Number(power) - 4 * fraction.length;
  const size = BigInt(`0x${whole}${fraction}`);
  if (size === 0n) return { mantissa: 0n, exponent: 0 };
  if (Math.abs(bits(size) + exponent) > TWO_EXPONENT_MAX) return undefined;
  return rounded(sign === "-" ? -size : size, exponent);
}

/** Returns the sum of `a` and `b`. */
export function addFloats(a: ExtendedFloat, b: ExtendedFloat): ExtendedFloat {
  if (a === "infinite" || b === "infinite") return "infinite";
  const exponent = Math.min(a.exponent, b.exponent);
  const at = (x: { mantissa: bigint; exponent: number }) =>
    x.mantissa << BigInt(x.exponent - exponent);
  return rounded(at(a) + at(b), exponent);
}

/** Returns `value` in decimals, with 17 digits behind the point and no zeros at the end. */
export function formatFloat({ mantissa, exponent }: Exclude<ExtendedFloat, "infinite">): string {
  const scaled = mantissa * 10n ** DIGITS;
  const shifted = exponent >= 0
    ? scaled << BigInt(exponent)
    : dividedToEven(scaled, BigInt(-exponent));
  const isNegative = shifted < 0n;
  const digits = String(isNegative ? -shifted : shifted).padStart(Number(DIGITS) + 1, "0");
  const point = digits.length - Number(DIGITS);
  const text = `${digits.slice(0, point)}.${digits.slice(point)}`.replace(/\.?0+$/, "");
  return isNegative ? `-${text}` : text;
}

/** Returns `numerator / denominator` with the precision of a number. */
function quotient(numerator: bigint, denominator: bigint): ExtendedFloat {
  // So many more bits that what is left of the division only says whether there was anything.
  const extra = Math.max(0, PRECISION + 2 + bits(denominator) - bits(numerator));
  const scaled = numerator << BigInt(extra);
  const whole = scaled / denominator;
  const isExact = whole * denominator === scaled;
  const sticky = isExact ? 0n : numerator < 0n ? -1n : 1n;
  return rounded(whole * 4n + sticky, -extra - 2);
}

/** Returns `mantissa · 2^exponent`, rounded to the nearest number, of two to the even one. */
function rounded(mantissa: bigint, exponent: number): ExtendedFloat {
  const surplus = bits(mantissa) - PRECISION;
  const kept = surplus > 0 ? dividedToEven(mantissa, BigInt(surplus)) : mantissa;
  const shift = Math.max(0, surplus);
  if (bits(kept) + exponent + shift > BITS_MAX) return "infinite";
  return { mantissa: kept, exponent: exponent + shift };
}

/** Returns `value / 2^shift`, rounded to the nearest integer, of two to the even one. */
function dividedToEven(value: bigint, shift: bigint): bigint {
  const size = value < 0n ? -value : value;
  const whole = size >> shift;
  const rest = size - (whole << shift);
  const half = 1n << (shift - 1n);
  const isUp = rest > half || (rest === half && (whole & 1n) === 1n);
  const result = isUp ? whole + 1n : whole;
  return value < 0n ? -result : result;
}

function bits(value: bigint): number {
  return (value < 0n ? -value : value).toString(2).length;
}
