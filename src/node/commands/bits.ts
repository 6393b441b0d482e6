/**
 * Commands of bits: a string as a row of bits, the highest bit of the first byte first.
 *
 * @module
 */

import { type ByteString, fromBytes } from "../../byte_string.ts";
import { EVENT } from "../../key_events.ts";
import { BITOP_BYTES_MAX } from "../../limits.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { KeyReader } from "../../two_phase/request.ts";
import { change, error, integerOf, look, rewritten, unchanged } from "./arguments.ts";
import {
  BITOP_KEYS,
  type CommandResult,
  type CommandRow,
  ONE_KEY,
  type Session,
} from "./command.ts";
import { parseInteger, toPlace } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** How Redis says that there can be no such bit. */
export const NO_SUCH_BIT = "bit offset is not an integer or out of range";

/** Returns the place that `word` gives to a bit; `undefined` if no value may have one there. */
export function bitPlace(word: ByteString, { valueBytesMax }: Session["node"]): number | undefined {
  const offset = parseInteger(word);
  if (offset === undefined || offset < 0n) return undefined;
  const place = toPlace(offset);
  return Math.floor(place / 8) < valueBytesMax ? place : undefined;
}

/** Returns the bit at `place`; 0 behind the end. */
function bitAt(value: ByteString, place: number): 0 | 1 {
  const byte = Math.floor(place / 8);
  if (byte >= value.length) return 0;
  return ((value.charCodeAt(byte) >> (7 - place % 8)) & 1) === 1 ? 1 : 0;
}

function setbit(
  [, key = "", offset = "", word = ""]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const place = bitPlace(offset, node);
  if (place === undefined) return error(NO_SUCH_BIT);
  if (word !== "0" && word !== "1") return error("bit is not an integer or out of range");
  return change(key, (old) => {
    const before = old?.value ?? "";
    const bit = bitAt(before, place);
    const at = Math.floor(place / 8);
    if (at < before.length && String(bit) === word) return unchanged(bit);
    const mask = 0x80 >> (place % 8);
    const byte = (at < before.length ? before.charCodeAt(at) : 0) & ~mask |
      (word === "1" ? mask : 0);
    const value = before.slice(0, at).padEnd(at, "\0") + String.fromCharCode(byte) +
      before.slice(at + 1);
    return { effects: [rewritten(key, value, { old, events: EVENT.setbit })], reply: bit };
  });
}

function getbit(
  [, key = "", offset = ""]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const place = bitPlace(offset, node);
  if (place === undefined) return error(NO_SUCH_BIT);
  return look(key, (value = "") => bitAt(value, place));
}

// --- BITCOUNT and BITPOS -----------------------------------------------------------------------

/** How many bits of two bytes are set, by the two as one number: that takes half the time of one by one. */
const BITS_SET: Uint8Array = bitsSetOfPairs();

function bitsSetOfPairs(): Uint8Array {
  const bits = new Uint8Array(65_536);
  for (let pair = 1; pair < bits.length; pair++) bits[pair] = (bits[pair >> 1] ?? 0) + (pair & 1);
  return bits;
}

/** A range of a value, in bytes or bits, with places from the end as negative numbers. */
interface Range {
  readonly start: bigint;
  readonly end: bigint;
  readonly isOfBits: boolean;
}

/** The first and the last bit of a range in a value; nothing if the first is behind the last. */
interface BitRange {
  readonly first: number;
  readonly last: number;
}

/** Which place of a range goes wrong first is as in Redis: the commands differ in it. */
type RangeOrder = "unit last" | "unit before end";

/** Returns the range that `words` give: start, end, and BYTE or BIT. */
function parseRange(words: readonly ByteString[], order: RangeOrder): Range | ErrorReply {
  const [from = "0", to = "-1", unit = "BYTE"] = words;
  const [start, end] = [integerOf(from), integerOf(to)];
  const isOfBits = unit.toUpperCase() === "BIT";
  const isUnit = isOfBits || unit.toUpperCase() === "BYTE";
  if (start instanceof ErrorReply) return start;
  if (order === "unit before end" && !isUnit) return SYNTAX_ERROR;
  if (end instanceof ErrorReply) return end;
  if (!isUnit && !isBackwards(start, end)) return SYNTAX_ERROR;
  return { start, end, isOfBits };
}

/** Both places count from the end, and the first is behind the last. */
function isBackwards(start: bigint, end: bigint): boolean {
  return start < 0n && end < 0n && start > end;
}

function bitsOf({ start, end, isOfBits }: Range, value: ByteString): BitRange {
  const units = isOfBits ? value.length * 8 : value.length;
  const place = (at: bigint) => Math.max(0, at < 0n ? units + toPlace(at) : toPlace(at));
  const last = Math.min(place(end), units - 1);
  return isOfBits ? { first: place(start), last } : { first: place(start) * 8, last: last * 8 + 7 };
}

/** BITCOUNT key [start end [BYTE | BIT]] */
function bitcount([, key = "", ...words]: readonly ByteString[]): CommandResult {
  return look(key, (value) => {
    if (value === undefined) return 0;
    if (words.length === 1 || words.length > 3) return SYNTAX_ERROR;
    const range = parseRange(words, "unit last");
    if (range instanceof ErrorReply) return range;
    return isBackwards(range.start, range.end) ? 0 : countBits(value, bitsOf(range, value));
  });
}

function countBits(value: ByteString, { first, last }: BitRange): number {
  if (first > last) return 0;
  const firstByte = Math.floor(first / 8);
  const lastByte = Math.floor(last / 8);
  const before = value.charCodeAt(firstByte) & ~(0xff >> (first % 8));
  const behind = value.charCodeAt(lastByte) & ~(0xff << (7 - last % 8));
  let count = -(BITS_SET[before & 0xff] ?? 0) - (BITS_SET[behind & 0xff] ?? 0);
  let at = firstByte;
  for (; at < lastByte; at += 2) {
    count += BITS_SET[value.charCodeAt(at) << 8 | value.charCodeAt(at + 1)] ?? 0;
  }
  return at === lastByte ? count + (BITS_SET[value.charCodeAt(at)] ?? 0) : count;
}

/** BITPOS key bit [start [end [BYTE | BIT]]] */
function bitpos([, key = "", word = "", ...words]: readonly ByteString[]): CommandResult {
  const bit = integerOf(word);
  if (bit instanceof ErrorReply) return { reply: bit };
  if (bit !== 0n && bit !== 1n) return error("The bit argument must be 1 or 0.");
  const wanted = bit === 1n ? 1 : 0;
  return look(key, (value) => {
    if (value === undefined) return wanted === 1 ? -1 : 0;
    if (words.length > 3) return SYNTAX_ERROR;
    const range = parseRange(words, "unit before end");
    if (range instanceof ErrorReply) return range;
    const bits = bitsOf(range, value);
    if (bits.first > bits.last) return -1;
    const found = findBit(value, wanted, bits);
    if (found !== undefined) return found;
    // Behind the end of a value there are zeros, unless the range has an end.
    return wanted === 0 && words.length < 2 ? bits.last + 1 : -1;
  });
}

function findBit(value: ByteString, wanted: 0 | 1, { first, last }: BitRange): number | undefined {
  for (let place = first; place <= last;) {
    if (place % 8 === 0) {
      const next = 8 *
        endOfSame(
          value,
          { at: place / 8, end: Math.floor(last / 8) + 1 },
          wanted === 1 ? 0x00 : 0xff,
        );
      if (next > place) {
        place = next;
        continue;
      }
    }
    if (bitAt(value, place) === wanted) return place;
    place++;
  }
  return undefined;
}

/** Returns where the first byte is, from `at` on, that is another than `byte`; or the end. */
function endOfSame(
  value: ByteString,
  { at, end }: { at: number; end: number },
  byte: number,
): number {
  const pair = byte << 8 | byte;
  let place = at;
  while (
    place + 1 < end && (value.charCodeAt(place) << 8 | value.charCodeAt(place + 1)) === pair
  ) {
    place += 2;
  }
  return place < end && value.charCodeAt(place) === byte ? place + 1 : place;
}

// --- BITOP -------------------------------------------------------------------------------------

/** Four bytes at a time: a function for each byte would take ten times as long. */
const OPERATIONS: Readonly<Record<string, (to: Uint32Array, other: Uint32Array) => void>> = {
  AND: (to, other) => {
    for (let i = 0; i < other.length; i++) to[i] = (to[i] ?? 0) & (other[i] ?? 0);
  },
  OR: (to, other) => {
    for (let i = 0; i < other.length; i++) to[i] = (to[i] ?? 0) | (other[i] ?? 0);
  },
  XOR: (to, other) => {
    for (let i = 0; i < other.length; i++) to[i] = (to[i] ?? 0) ^ (other[i] ?? 0);
  },
};

/** BITOP <AND | OR | XOR | NOT> destkey key [key ...] */
function bitop([, word = "", to = "", ...from]: readonly ByteString[]): CommandResult {
  const name = word.toUpperCase();
  const operation = OPERATIONS[name];
  if (operation === undefined && name !== "NOT") return { reply: SYNTAX_ERROR };
  if (name === "NOT" && from.length !== 1) {
    return error("BITOP NOT must be called with a single source key.");
  }
  return {
    request: {
      kind: "write",
      keys: [...new Set([to, ...from])],
      evaluate: (read) => {
        const values = valuesOf(read, from);
        if (values instanceof ErrorReply) return unchanged(values);
        const length = Math.max(...values.map((value) => value.length));
        if (length === 0) {
          const effects = read(to) === undefined ? [] : [{ key: to, value: undefined }];
          return { effects, reply: 0 };
        }
        const bytes = combine(values, length, operation);
        return { effects: [{ key: to, value: fromBytes(bytes) }], reply: length };
      },
    },
  };
}

function valuesOf(read: KeyReader, keys: readonly ByteString[]): ByteString[] | ErrorReply {
  const values: ByteString[] = [];
  let bytes = 0;
  for (const key of keys) {
    const value = read(key) ?? "";
    bytes += value.length;
    if (bytes > BITOP_BYTES_MAX) {
      return new ErrorReply("ERR", `BITOP takes ${BITOP_BYTES_MAX} bytes at most, these are more`);
    }
    values.push(value);
  }
  return values;
}

/** @param operation `undefined` for NOT */
function combine(
  [first = "", ...others]: readonly ByteString[],
  length: number,
  operation: ((to: Uint32Array, other: Uint32Array) => void) | undefined,
): Uint8Array {
  const result = wordsOf(first, length);
  if (operation === undefined) {
    for (let i = 0; i < result.length; i++) result[i] = ~(result[i] ?? 0);
  } else {
    // No longer than each value is: or many short ones beside a long one would take for ever.
    for (const other of others) operation(result, wordsOf(other, other.length));
    const shortest = others.reduce((least, { length }) => Math.min(least, length), length);
    if (operation === OPERATIONS["AND"]) result.fill(0, Math.ceil(shortest / 4));
  }
  return new Uint8Array(result.buffer, 0, length);
}

/** Returns the bytes of `value`, and zeros up to `length` bytes, as numbers of four bytes. */
function wordsOf(value: ByteString, length: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  const whole = value.length >> 2;
  // Every machine that this runs on has the lowest byte of a number first.
  for (let i = 0, at = 0; i < whole; i++, at += 4) {
    words[i] = value.charCodeAt(at) | value.charCodeAt(at + 1) << 8 |
      value.charCodeAt(at + 2) << 16 | value.charCodeAt(at + 3) << 24;
  }
  const bytes = new Uint8Array(words.buffer);
  for (let at = 4 * whole; at < value.length; at++) bytes[at] = value.charCodeAt(at);
  return words;
}

/** What most commands of this family have. */
const ROW = { group: "bitmap", categories: ["bitmap"], keys: ONE_KEY } as const;

export const BITS: readonly CommandRow[] = [
  {
    ...ROW,
    name: "setbit",
    arity: 4,
    flags: ["write", "denyoom"],
    summary: "Sets or clears a bit of the value of a key, and returns the old one",
    syntax: "key offset value",
    since: "2.2.0",
    run: setbit,
  },
  {
    ...ROW,
    name: "getbit",
    arity: 3,
    flags: ["readonly", "fast"],
    summary: "Returns a bit of the value of a key",
    syntax: "key offset",
    since: "2.2.0",
    run: getbit,
  },
  {
    ...ROW,
    name: "bitcount",
    arity: -2,
    flags: ["readonly"],
    summary: "Counts the bits that are set in the value of a key",
    syntax: "key [start end [BYTE | BIT]]",
    since: "2.6.0",
    run: bitcount,
  },
  {
    ...ROW,
    name: "bitpos",
    arity: -3,
    flags: ["readonly"],
    summary: "Returns the place of the first bit that is set, or clear",
    syntax: "key bit [start [end [BYTE | BIT]]]",
    since: "2.8.7",
    run: bitpos,
  },
  {
    ...ROW,
    name: "bitop",
    arity: -4,
    flags: ["write", "denyoom"],
    keys: BITOP_KEYS,
    summary: "Combines the bits of keys, and stores the result",
    syntax: "<AND | OR | XOR | NOT> destkey key [key ...]",
    since: "2.6.0",
    differs: `the values have ${BITOP_BYTES_MAX} bytes at most, together`,
    run: bitop,
  },
];
