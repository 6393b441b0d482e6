/**
 * Encodes values and commands of the Redis protocol.
 *
 * The result is a byte string. Pieces of it are best concatenated with `+`: the engine then only
 * records the pieces, and copies each byte once, when the whole is written into a socket's buffer.
 *
 * @module
 */

import { type ByteString, fromText } from "../byte_string.ts";
import { REPLY_BYTES_MAX } from "../limits.ts";
import {
  EncodedArray,
  ErrorReply,
  NullArray,
  Push,
  Replies,
  type RespValue,
  type RespVersion,
  SimpleString,
  VerbatimString,
} from "./value.ts";

/** Returns `value` as a bulk string. */
export function encodeBulk(value: ByteString): ByteString {
  return `$${value.length}\r\n${value}\r\n`;
}

/** Returns the encoding of no value. */
export function encodeNull(version: RespVersion): ByteString {
  return version === 2 ? "$-1\r\n" : "_\r\n";
}

/** Returns the encoding of `value`; version 2 has maps as flat arrays and booleans as 0 and 1. */
export function encodeValue(value: RespValue, version: RespVersion): ByteString {
  if (typeof value === "string") return encodeBulk(value);
  if (typeof value === "number") return encodeNumber(value, version);
  if (typeof value === "bigint") return `:${value}\r\n`;
  if (value === null) return encodeNull(version);
  if (typeof value === "boolean") {
    if (version === 2) return value ? ":1\r\n" : ":0\r\n";
    return value ? "#t\r\n" : "#f\r\n";
  }
  if (value instanceof SimpleString) return `+${oneLine(value.text)}\r\n`;
  if (value instanceof ErrorReply) {
    const message = value.isBinary ? value.message : fromText(value.message);
    return `-${value.code} ${oneLine(message)}\r\n`;
  }
  if (value instanceof NullArray) return version === 2 ? "*-1\r\n" : encodeNull(version);
  if (value instanceof Push) return encodeList(version === 2 ? "*" : ">", value.values, version);
  if (value instanceof Replies) {
    return value.values.map((one) => encodeValue(one, version)).join("");
  }
  if (value instanceof VerbatimString) {
    return version === 2
      ? encodeBulk(value.text)
      : `=${value.text.length + 4}\r\ntxt:${value.text}\r\n`;
  }
  if (value instanceof EncodedArray) return `*${value.length}\r\n${value.elements}`;
  if (value instanceof Set) return encodeList(version === 2 ? "*" : "~", [...value], version);
  if (value instanceof Map) return encodeMap(value, version);
  return encodeList("*", value as readonly RespValue[], version);
}

/** A push that goes to many connections. It is encoded once for each version. */
export class EncodedPush {
  readonly #push: Push | SimpleString;
  readonly #encodings: [version2?: ByteString, version3?: ByteString] = [];

  /** @param told the values of the push, or a line that looks like a reply, as what MONITOR shows does */
  constructor(told: readonly RespValue[] | SimpleString) {
    this.#push = told instanceof SimpleString ? told : new Push(told);
  }

  /** Returns the encoding in `version`. */
  in(version: RespVersion): ByteString {
    return this.#encodings[version === 2 ? 0 : 1] ??= encodeValue(this.#push, version);
  }
}

/** Returns the encoding of a reply, or of an error instead if the reply would exceed the limit. */
export function encodeReply(value: RespValue, version: RespVersion): ByteString {
  if (Array.isArray(value) || value instanceof EncodedArray) {
    const bytes = replyBytes(value);
    if (bytes > REPLY_BYTES_MAX) return encodeValue(tooLong(bytes), version);
  }
  return encodeValue(value, version);
}

/** Returns the error in the place of a reply that would have so many bytes: it has at most 128. */
export function tooLong(bytes: number): ErrorReply {
  const message =
    `a reply of ${bytes} bytes, at most ${REPLY_BYTES_MAX} are allowed: ask for fewer keys at once`;
  return new ErrorReply("ERR", message);
}

/** Returns how many bytes the encoding of a reply has, or a few more; in either version. */
export function replyBytes(value: RespValue): number {
  if (typeof value === "string") return lineBytes(value.length) + value.length + 2;
  if (value === null || typeof value === "boolean" || value instanceof NullArray) return 5;
  if (typeof value === "number" || typeof value === "bigint") return NUMBER_BYTES_MAX;
  if (value instanceof SimpleString) return value.text.length + 3;
  if (value instanceof ErrorReply) return value.code.length + 3 * value.message.length + 4;
  if (value instanceof VerbatimString) return lineBytes(value.text.length) + value.text.length + 7;
  if (value instanceof EncodedArray) return lineBytes(value.length) + value.elements.length;
  if (value instanceof Push || value instanceof Replies) return listBytes(value.values);
  if (value instanceof Map) return listBytes([...value].flat());
  return listBytes(value instanceof Set ? [...value] : value as readonly RespValue[]);
}

/** Most bytes of the encoding of a number: of a double in version 2, which is a string. */
const NUMBER_BYTES_MAX = 32;

function listBytes(values: readonly RespValue[]): number {
  let bytes = lineBytes(values.length);
  for (const value of values) bytes += replyBytes(value);
  return bytes;
}

/** Returns the length of a line of one character and `number`. */
function lineBytes(number: number): number {
  return String(number).length + 3;
}

/** Returns a command as clients send it: an array of bulk strings. */
export function encodeCommand(words: readonly ByteString[]): ByteString {
  let result = `*${words.length}\r\n`;
  for (const word of words) result += encodeBulk(word);
  return result;
}

function encodeNumber(value: number, version: RespVersion): ByteString {
  if (Number.isInteger(value)) return `:${value}\r\n`;
  return version === 2 ? encodeBulk(String(value)) : `,${value}\r\n`;
}

function encodeList(
  sign: "*" | ">" | "~",
  values: readonly RespValue[],
  version: RespVersion,
): ByteString {
  let result = `${sign}${values.length}\r\n`;
  for (const value of values) result += encodeValue(value, version);
  return result;
}

function encodeMap(map: ReadonlyMap<RespValue, RespValue>, version: RespVersion): ByteString {
  let result = version === 2 ? `*${2 * map.size}\r\n` : `%${map.size}\r\n`;
  for (const [key, value] of map) {
    result += encodeValue(key, version) + encodeValue(value, version);
  }
  return result;
}

function oneLine(text: string): string {
  return text.includes("\n") || text.includes("\r") ? text.replaceAll(/[\r\n]/g, " ") : text;
}
