/**
 * Decodes a server's replies, RESP2 and RESP3.
 *
 * @module
 */

import { type ByteString, toText } from "../byte_string.ts";
import { Latin1View } from "../latin1.ts";
import { ErrorReply, type RespValue, SimpleString } from "./value.ts";
import { ProtocolError } from "./command_decoder.ts";

/** How deep values may be nested. */
const DEPTH_MAX = 32;

/** Longest line: an error's text, or a number. */
const LINE_BYTES_MAX = 64 * 1024;

/** Longest bulk string. */
const BULK_BYTES_MAX = 512 * 1024 * 1024;

/** Most elements of one array. */
const ELEMENTS_MAX = 16 * 1024 * 1024;

const BUFFER_BYTES = 64 * 1024;

/** An array, map, set or push that is not complete yet. */
interface OpenAggregate {
  readonly kind: "array" | "map" | "attribute" | "push";
  missing: number;
  readonly values: RespValue[];
}

/** What one token of the stream is. */
type Token =
  | { readonly value: RespValue }
  | { readonly open: OpenAggregate }
  | undefined;

/** Turns a stream of bytes into values. */
export class ReplyDecoder {
  #buffer = new Uint8Array(BUFFER_BYTES);
  #view = new Latin1View(this.#buffer);
  #start = 0;
  #end = 0;
  readonly #open: OpenAggregate[] = [];
  /** A bulk string whose header has been read, and whether its first bytes are a format. */
  #bulk:
    | { readonly length: number; readonly isVerbatim: boolean; readonly isError: boolean }
    | null = null;

  /** Where the next bytes belong. Call {@linkcode received} with their number. */
  get space(): Uint8Array<ArrayBuffer> {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (this.#end === this.#buffer.length) this.#makeSpace();
    return this.#buffer.subarray(this.#end);
  }

  /** Records that `count` bytes were put into the {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
  }

  /** Returns the bytes that no value has used, and forgets them. */
  takeRest(): Uint8Array<ArrayBuffer> {
    const rest = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end;
    return rest;
  }

  /**
   * Returns the next reply. Pushes and attributes (RESP3) are read and dropped: this client asks
   * for neither.
   *
   * @returns `undefined` if no complete reply has arrived.
   * @throws {ProtocolError} if the bytes are not a reply, or exceed a limit.
   */
  next(): RespValue | undefined {
    for (;;) {
      const token = this.#token();
      if (token === undefined) return undefined;
      if ("open" in token) {
        if (token.open.missing > 0) {
          this.#open.push(token.open);
          if (this.#open.length > DEPTH_MAX) throw new ProtocolError("values are nested too deep");
          continue;
        }
        const value = close(token.open);
        if (value === undefined) continue;
        const whole = this.#add(value);
        if (whole !== undefined) return whole;
        continue;
      }
      const whole = this.#add(token.value);
      if (whole !== undefined) return whole;
    }
  }

  /** Adds `value` to the innermost open aggregate. Returns the value that is complete then. */
  #add(value: RespValue): RespValue | undefined {
    let added: RespValue | undefined = value;
    for (let open = this.#open.at(-1); open !== undefined; open = this.#open.at(-1)) {
      if (added !== undefined) {
        open.values.push(added);
        open.missing--;
      }
      if (open.missing > 0) return undefined;
      this.#open.pop();
      added = close(open);
    }
    return added;
  }

  #token(): Token {
    if (this.#bulk !== null) return this.#bulkToken();
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return { value: new SimpleString(rest) };
      case "-":
        return { value: toError(rest) };
      case ":":
        return { value: toExactInteger(rest) };
      case ",":
        return { value: toDouble(rest) };
      case "#":
        if (rest !== "t" && rest !== "f") throw new ProtocolError(`"${rest}" is no boolean`);
        return { value: rest === "t" };
      case "(":
        return { value: rest };
      case "_":
        return { value: null };
      case "$":
      case "=":
      case "!":
        return this.#beginBulk(line[0], toInteger(rest));
      case "*":
      case "~":
        return open("array", toInteger(rest));
      case ">":
        return open("push", toInteger(rest));
      case "%":
        return open("map", 2 * toInteger(rest));
      case "|":
        return open("attribute", 2 * toInteger(rest));
      default:
        throw new ProtocolError(`a reply cannot begin with ${JSON.stringify(line[0] ?? "")}`);
    }
  }

  #beginBulk(kind: string, length: number): Token {
    if (length === -1) return { value: null };
    if (length < 0 || length > BULK_BYTES_MAX) {
      throw new ProtocolError(`a bulk string cannot have ${length} bytes`);
    }
    this.#bulk = { length, isVerbatim: kind === "=", isError: kind === "!" };
    return this.#bulkToken();
  }

  #bulkToken(): Token {
    const bulk = this.#bulk;
    if (bulk === null || this.#end - this.#start < bulk.length + 2) return undefined;
    const end = this.#start + bulk.length;
    if (this.#buffer[end] !== 0x0d || this.#buffer[end + 1] !== 0x0a) {
      throw new ProtocolError(`a bulk string of ${bulk.length} bytes does not end there`);
    }
    const text = this.#view.slice(this.#start, end);
    this.#start = end + 2;
    this.#bulk = null;
    if (bulk.isError) return { value: toError(text) };
    return { value: bulk.isVerbatim ? text.slice(4) : text };
  }

  #line(): ByteString | undefined {
    const held = this.#buffer.subarray(this.#start, this.#end);
    const at = held.indexOf(0x0a);
    if (at < 0) {
      if (held.length > LINE_BYTES_MAX) throw new ProtocolError("a line is too long");
      return undefined;
    }
    if (held[at - 1] !== 0x0d) throw new ProtocolError("a line does not end in CR LF");
    const line = this.#view.slice(this.#start, this.#start + at - 1);
    this.#start += at + 1;
    return line;
  }

  #makeSpace(): void {
    const held = this.#end - this.#start;
    const isMostlyFree = this.#start >= this.#buffer.length / 2;
    const target = isMostlyFree ? this.#buffer : new Uint8Array(this.#buffer.length * 2);
    target.set(this.#buffer.subarray(this.#start, this.#end));
    if (!isMostlyFree) {
      this.#buffer = target;
      this.#view = new Latin1View(target);
    }
    this.#start = 0;
    this.#end = held;
  }
}

function open(kind: OpenAggregate["kind"], length: number): Token {
  if (length < 0 && kind === "array") return { value: null };
  if (length < 0 || length > ELEMENTS_MAX) {
    throw new ProtocolError(`an array cannot have ${length} elements`);
  }
  return { open: { kind, missing: length, values: [] } };
}

function close(aggregate: OpenAggregate): RespValue | undefined {
  const { kind, values } = aggregate;
  if (kind === "push" || kind === "attribute") return undefined;
  if (kind === "array") return values;
  const map = new Map<RespValue, RespValue>();
  for (let i = 0; i + 1 < values.length; i += 2) map.set(values[i] ?? null, values[i + 1] ?? null);
  return map;
}

function toError(text: ByteString): ErrorReply {
  const blank = text.indexOf(" ");
  const code = blank < 0 ? text : text.slice(0, blank);
  const message = blank < 0 ? "" : text.slice(blank + 1);
  return new ErrorReply(code, toText(message) ?? message);
}

function toInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ProtocolError(`"${text}" is no integer`);
  return Number(text);
}

/** An integer of 64 bits may exceed what a number holds exactly. */
function toExactInteger(text: string): number | bigint {
  const number = toInteger(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function toDouble(text: string): number {
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  if (text === "nan") return NaN;
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) throw new ProtocolError(`"${text}" is no number`);
  return value;
}
