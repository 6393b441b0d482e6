/**
 * Results as JSON, for programs (`--json`).
 *
 * @module
 */

import { type ByteString, toText } from "../byte_string.ts";
import {
  ErrorReply,
  NullArray,
  Push,
  Replies,
  type RespValue,
  SimpleString,
  VerbatimString,
} from "../resp/value.ts";

/** Returns a result as one line. */
export function jsonLine(result: unknown): string {
  return `${JSON.stringify(result)}\n`;
}

/** Returns a large result as lines that people can read, too. */
export function jsonText(result: unknown): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/** Returns the field `name` for a key or a value: `key64`, say, in base64, if it is not UTF-8. */
export function bytesField(name: "key" | "value", bytes: ByteString): Record<string, string> {
  const text = toText(bytes);
  return text === undefined ? { [`${name}64`]: btoa(bytes) } : { [name]: text };
}

/**
 * Returns a reply as JSON has it. A string that is not UTF-8 is an object with `base64`; an integer that a
 * number cannot hold, a string; an error inside a reply, an object with `error`; a map, an object, or an array
 * of pairs if not all its keys are texts.
 */
export function jsonOf(reply: RespValue): unknown {
  if (typeof reply === "string") return textOrBytes(reply);
  if (typeof reply === "bigint") return String(reply);
  if (typeof reply !== "object" || reply === null) return reply;
  if (reply instanceof SimpleString) return reply.text;
  if (reply instanceof VerbatimString) return textOrBytes(reply.text);
  if (reply instanceof ErrorReply) return { error: `${reply.code} ${reply.message}` };
  if (reply instanceof NullArray) return null;
  if (reply instanceof Push || reply instanceof Replies) return reply.values.map(jsonOf);
  if (reply instanceof Map) {
    const pairs = [...reply].map(([key, value]) => [jsonOf(key), jsonOf(value)] as const);
    return pairs.every(([key]) => typeof key === "string") ? Object.fromEntries(pairs) : pairs;
  }
  return [...reply as Iterable<RespValue>].map(jsonOf);
}

function textOrBytes(bytes: ByteString): unknown {
  return toText(bytes) ?? { base64: btoa(bytes) };
}
