/**
 * BITFIELD: integers of any width, at any place of a string.
 *
 * @module
 */

import { type ByteString, fromBytes } from "../../byte_string.ts";
import { writeLatin1 } from "../../latin1.ts";
import { EVENT } from "../../key_events.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import { change, error, integerOf, look, rewritten, unchanged } from "./arguments.ts";
import { NO_SUCH_BIT } from "./bits.ts";
import { type CommandResult, type CommandRow, ONE_KEY, type Session } from "./command.ts";
import { integerReply, parseInteger, toPlace } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** What becomes of an integer that does not fit. */
type Overflow = "WRAP" | "SAT" | "FAIL";

/** A type of integers, such as `i8` or `u63`. */
interface FieldType {
  readonly isSigned: boolean;
  readonly bits: number;
}

/** One thing to do. */
interface Operation {
  readonly kind: "GET" | "SET" | "INCRBY";
  readonly type: FieldType;
  /** The place of its first bit. */
  readonly offset: number;
  /** What is set or added. */
  readonly operand: bigint;
  readonly overflow: Overflow;
}

const NO_TYPE = new ErrorReply(
  "ERR",
  "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

function parseType(word: ByteString): FieldType | undefined {
  const isSigned = word[0] === "i";
  if (!isSigned && word[0] !== "u") return undefined;
  const bits = parseInteger(word.slice(1));
  if (bits === undefined || bits < 1n || bits > (isSigned ? 64n : 63n)) return undefined;
  return { isSigned, bits: Number(bits) };
}

/** `#n` counts in fields of the type's width. */
function parseOffset(
  word: ByteString,
  { bits }: FieldType,
  { valueBytesMax }: Session["node"],
): number | undefined {
  const isOfFields = word.startsWith("#");
  const number = parseInteger(isOfFields ? word.slice(1) : word);
  if (number === undefined || number < 0n) return undefined;
  const offset = toPlace(isOfFields ? number * BigInt(bits) : number);
  return Math.floor(offset / 8) < valueBytesMax ? offset : undefined;
}

function isOverflow(word: string): word is Overflow {
  return word === "WRAP" || word === "SAT" || word === "FAIL";
}

/** Returns what `words` ask for, or an error in the words of Redis. */
function parse(words: readonly ByteString[], node: Session["node"]): Operation[] | ErrorReply {
  const operations: Operation[] = [];
  let overflow: Overflow = "WRAP";
  for (let i = 0; i < words.length;) {
    const kind = (words[i] ?? "").toUpperCase();
    const left = words.length - i - 1;
    if (kind === "OVERFLOW" && left >= 1) {
      const word = (words[i + 1] ?? "").toUpperCase();
      if (!isOverflow(word)) return new ErrorReply("ERR", "Invalid OVERFLOW type specified");
      overflow = word;
      i += 2;
      continue;
    }
    const isKnown = kind === "GET" && left >= 2 ||
      (kind === "SET" || kind === "INCRBY") && left >= 3;
    if (!isKnown) return SYNTAX_ERROR;
    const type = parseType(words[i + 1] ?? "");
    if (type === undefined) return NO_TYPE;
    const offset = parseOffset(words[i + 2] ?? "", type, node);
    if (offset === undefined) return new ErrorReply("ERR", NO_SUCH_BIT);
    const operand = kind === "GET" ? 0n : integerOf(words[i + 3] ?? "");
    if (operand instanceof ErrorReply) return operand;
    operations.push({ kind: kind as Operation["kind"], type, offset, operand, overflow });
    i += kind === "GET" ? 3 : 4;
  }
  return operations;
}

/** The bytes of a value that is being worked on: those that the operations are about, and no others. */
class Bits {
  readonly #before: ByteString;
  /** The first byte, and how many there are of the value with all that is written. */
  readonly #first: number;
  readonly #length: number;
  readonly #bytes: Uint8Array;

  constructor(value: ByteString, operations: readonly Operation[]) {
    const written = operations.filter(({ kind }) => kind !== "GET").map(endOf);
    this.#before = value;
    this.#length = Math.max(value.length, ...written);
    const firsts = operations.map(({ offset }) => Math.floor(offset / 8));
    this.#first = Math.min(this.#length, ...firsts);
    const end = Math.min(this.#length, Math.max(0, ...operations.map(endOf)));
    this.#bytes = new Uint8Array(Math.max(0, end - this.#first));
    writeLatin1(this.#bytes, 0, value.slice(this.#first, end));
  }

  /** The value as it is now. */
  get value(): ByteString {
    const end = this.#first + this.#bytes.length;
    return this.#before.slice(0, this.#first).padEnd(this.#first, "\0") +
      fromBytes(this.#bytes) + this.#before.slice(end).padEnd(this.#length - end, "\0");
  }

  get({ isSigned, bits }: FieldType, offset: number): bigint {
    let value = 0n;
    for (let place = offset; place < offset + bits; place++) {
      const byte = this.#bytes[Math.floor(place / 8) - this.#first] ?? 0;
      value = value << 1n | BigInt(byte >> (7 - place % 8) & 1);
    }
    return isSigned ? BigInt.asIntN(bits, value) : value;
  }

  set({ bits }: FieldType, offset: number, value: bigint): void {
    for (let i = 0; i < bits; i++) {
      const place = offset + i;
      const at = Math.floor(place / 8) - this.#first;
      const mask = 0x80 >> (place % 8);
      const isOne = (value >> BigInt(bits - 1 - i) & 1n) === 1n;
      this.#bytes[at] = (this.#bytes[at] ?? 0) & ~mask | (isOne ? mask : 0);
    }
  }
}

/** Returns how many bytes a value has that ends with the field of an operation. */
function endOf({ offset, type }: Operation): number {
  return Math.ceil((offset + type.bits) / 8);
}

/** Returns `value` as the type holds it; `undefined` if it does not fit and must. */
function fit(
  value: bigint,
  { isSigned, bits }: FieldType,
  overflow: Overflow,
): bigint | undefined {
  const max = 2n ** BigInt(isSigned ? bits - 1 : bits) - 1n;
  const min = isSigned ? -max - 1n : 0n;
  if (value >= min && value <= max) return value;
  switch (overflow) {
    case "FAIL":
      return undefined;
    case "SAT":
      return value > max ? max : min;
    case "WRAP":
      return isSigned ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  }
}

function carryOut(
  bits: Bits,
  { kind, type, offset, operand, overflow }: Operation,
): RespValue {
  const before = bits.get(type, offset);
  if (kind === "GET") return integerReply(before);
  // An unsigned field takes a negative operand of SET as the unsigned number of the same bits.
  const given = kind === "SET" && !type.isSigned ? BigInt.asUintN(64, operand) : operand;
  const after = fit(kind === "SET" ? given : before + given, type, overflow);
  if (after === undefined) return null;
  bits.set(type, offset, after);
  return integerReply(kind === "SET" ? before : after);
}

/** BITFIELD key [GET type offset | [OVERFLOW …] <SET | INCRBY> type offset value] ... */
function bitfield(
  [, key = "", ...words]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const operations = parse(words, node);
  if (operations instanceof ErrorReply) return { reply: operations };
  const writes = operations.filter(({ kind }) => kind !== "GET");
  if (Math.max(0, ...writes.map(endOf)) > node.valueBytesMax) return error(NO_SUCH_BIT);
  return change(key, (old) => {
    const before = old?.value ?? "";
    const bits = new Bits(before, operations);
    const replies = operations.map((operation) => carryOut(bits, operation));
    if (writes.length === 0) return unchanged(replies);
    const { value } = bits;
    if (value === old?.value) return unchanged(replies);
    // As in Redis, the value has grown all the same if nothing fits, and that is no event.
    const isDone = operations.some(({ kind }, at) => kind !== "GET" && replies[at] !== null);
    const events = isDone ? EVENT.setbit : "";
    return { effects: [rewritten(key, value, { old, events })], reply: replies };
  });
}

function bitfieldRo(
  [, key = "", ...words]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const operations = parse(words, node);
  if (operations instanceof ErrorReply) return { reply: operations };
  if (operations.some(({ kind }) => kind !== "GET")) {
    return error("BITFIELD_RO only supports the GET subcommand");
  }
  return look(key, (value = "") => {
    const bits = new Bits(value, operations);
    return operations.map((operation) => carryOut(bits, operation));
  });
}

/** What both commands have. */
const ROW = {
  group: "bitmap",
  categories: ["bitmap"],
  keys: ONE_KEY,
  arity: -2,
} as const;

export const BITFIELDS: readonly CommandRow[] = [
  {
    ...ROW,
    name: "bitfield",
    flags: ["write", "denyoom"],
    summary: "Reads and writes integers of any width in the value of a key",
    syntax:
      "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value |" +
      " INCRBY encoding offset increment> ...]",
    since: "3.2.0",
    differs:
      "a signed field that is set to a number near −2⁶³ and saturates gets its lowest one; " +
      "Redis gives it the highest",
    run: bitfield,
  },
  {
    ...ROW,
    name: "bitfield_ro",
    flags: ["readonly", "fast"],
    summary: "Reads integers of any width in the value of a key",
    syntax: "key [GET encoding offset [GET encoding offset ...]]",
    since: "6.0.0",
    run: bitfieldRo,
  },
];
