/**
 * Byte strings: how keys and values are held in memory.
 *
 * A {@linkcode ByteString} is a JavaScript string in which every character stands for one byte
 * (U+0000..U+00FF), as the WebIDL type of the same name. Strings are immutable, compare by content,
 * are cheap to cut and to use as a `Map` key, and need a quarter of the memory of a `Uint8Array` of
 * a hundred bytes. This module is the only place that turns them into text and back; sockets use
 * {@linkcode file://./byte_writer.ts} and {@linkcode file://./byte_reader.ts}.
 *
 * @module
 */

import { Latin1View, writeLatin1 } from "./latin1.ts";

/** A string of which every character is one byte, U+0000 to U+00FF. */
export type ByteString = string;

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns the byte string that holds `bytes`. */
export function fromBytes(bytes: Uint8Array): ByteString {
  return new Latin1View(bytes).slice(0, bytes.length);
}

/** Returns the bytes that `value` holds. */
export function toBytes(value: ByteString): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(value.length);
  writeLatin1(bytes, 0, value);
  return bytes;
}

/** Returns the byte string of the UTF-8 encoding of `text`. */
export function fromText(text: string): ByteString {
  return isAscii(text) ? text : fromBytes(utf8Encoder.encode(text));
}

/**
 * Returns the text that `value` holds in UTF-8.
 *
 * @returns the text, or `undefined` if the bytes are not UTF-8.
 */
export function toText(value: ByteString): string | undefined {
  if (isAscii(value)) return value;
  try {
    return utf8Decoder.decode(toBytes(value));
  } catch {
    return undefined;
  }
}

/**
 * Returns `value` in human-readable form for messages: its text, cut after `charactersMax`
 * characters, with control characters and bytes that are not text written as `\xNN`, in quotes.
 */
export function quote(value: ByteString, charactersMax = 64): string {
  const cut = value.length > charactersMax;
  const head = cut ? value.slice(0, charactersMax) : value;
  const text = toText(head) ?? head;
  let result = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (character === "\\" || character === '"') result += `\\${character}`;
    else if (character === "\n") result += "\\n";
    else if (character === "\r") result += "\\r";
    else if (character === "\t") result += "\\t";
    else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (text === head && code > 0x7e)) {
      result += `\\x${code.toString(16).padStart(2, "0")}`;
    } else result += character;
  }
  return `"${result}"${cut ? `… (${value.length} bytes)` : ""}`;
}

/** Tells whether every character of `text` is below U+0080, so that its UTF-8 encoding is itself. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return false;
  }
  return true;
}
