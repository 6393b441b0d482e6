/**
 * Human-readable replies.
 *
 * @module
 */

import { dim, green, red, yellow } from "@std/fmt/colors";
import { type ByteString, quote, toText } from "../byte_string.ts";
import { ErrorReply, type RespValue, SimpleString } from "../resp/value.ts";

/** Most characters of a value that are shown before it is cut. */
const SHOWN_MAX = 4096;

/** Returns `value` in human-readable form, without a line break at the end. */
export function formatReply(value: RespValue, indent = ""): string {
  if (value === null) return dim("(not found)");
  if (value instanceof SimpleString) return green(value.text);
  if (value instanceof ErrorReply) return formatError(value);
  if (typeof value === "string") return formatBulk(value);
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    return yellow(String(value));
  }
  if (value instanceof Map) {
    if (value.size === 0) return dim("(empty)");
    return [...value].map(([key, item]) => {
      return `${indent}${formatReply(key)}: ${formatReply(item, `${indent}  `).trimStart()}`;
    }).join("\n");
  }
  const items = value as readonly RespValue[];
  if (items.length === 0) return dim("(empty)");
  const width = String(items.length).length;
  return items.map((item, index) => {
    const number = `${String(index + 1).padStart(width)}) `;
    const inner = formatReply(item, indent + " ".repeat(number.length));
    return `${index === 0 ? "" : indent}${dim(number)}${inner}`;
  }).join("\n");
}

/** Returns an error as one line: the code word, then the sentence. */
export function formatError(error: ErrorReply): string {
  return red(`${error.code} ${error.message}${hintOf(error)}`);
}

/** What the user of this program can do about an error; nothing for most. */
export function hintOf({ code }: ErrorReply): string {
  return code === "NOAUTH"
    ? " Say who you are: --user NAME --pass -, or redis://NAME:PASSWORD@HOST"
    : "";
}

/** Text of several lines (INFO) is shown as it is; everything else in quotes. */
function formatBulk(value: ByteString): string {
  const text = toText(value);
  if (text !== undefined && text.includes("\n") && !text.includes("\0")) {
    return text.replaceAll("\r\n", "\n").trimEnd();
  }
  return quote(value, SHOWN_MAX);
}
