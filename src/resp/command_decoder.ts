/**
 * Decoding commands as Redis clients send them: arrays of bulk strings, and inline commands.
 *
 * The decoder owns the buffer that the socket reads into, so that no byte is copied twice. An
 * incomplete command is a value (`undefined`), not an error; the decoder continues where it
 * stopped, so a command costs the same in one piece as in a thousand. Everything is bounded before
 * memory is allocated for it: a client can make this node hold only what it has sent.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { Latin1View } from "../latin1.ts";
import { ARGUMENTS_MAX, COMMAND_BYTES_MAX, INLINE_BYTES_MAX } from "../limits.ts";

/** A client has sent something that is not a command. Nothing after it can be understood. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** Bytes of a buffer that holds no partial command. */
const BUFFER_BYTES = 16 * 1024;

/**
 * Memory that a word takes in addition to its bytes, roughly: a string's header, and its place in a
 * list.
 */
const WORD_BYTES = 64;

/** Longest line that announces a count or a length. */
const HEADER_BYTES_MAX = 32;

const CR = 0x0d;
const LF = 0x0a;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const ZERO = 0x30;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const BACKSLASH = 0x5c;

/** Turns a stream of bytes into commands. */
export class CommandDecoder {
  #bulkBytesMax: number;
  #commandBytesMax: number;
  #argumentsMax: number = ARGUMENTS_MAX;
  #buffer = new Uint8Array(BUFFER_BYTES);
  #view = new Latin1View(this.#buffer);
  #start = 0;
  #end = 0;
  /** The arguments read so far of an incomplete command, and how many are missing. */
  #words: ByteString[] = [];
  #missing = 0;
  #wordBytes = 0;
  /** The length of the bulk string whose header has been read; -1 for none. */
  #bulk = -1;

  /**
   * @param bulkBytesMax most bytes of one argument
   * @param commandBytesMax most bytes of all arguments of one command
   */
  constructor(bulkBytesMax: number, commandBytesMax = COMMAND_BYTES_MAX) {
    this.#bulkBytesMax = bulkBytesMax;
    this.#commandBytesMax = commandBytesMax;
  }

  /** Sets what a command may have that begins from now on. */
  bound(
    bounds: {
      readonly bulkBytesMax: number;
      readonly commandBytesMax: number;
      readonly argumentsMax: number;
    },
  ): void {
    this.#bulkBytesMax = bounds.bulkBytesMax;
    this.#commandBytesMax = bounds.commandBytesMax;
    this.#argumentsMax = bounds.argumentsMax;
  }

  /** How many bytes of memory the decoder holds for incomplete commands. */
  get heldBytes(): number {
    return this.#buffer.length + this.#wordBytes + WORD_BYTES * this.#words.length;
  }

  /** Where the next bytes belong. Call {@linkcode received} with their number. */
  get space(): Uint8Array<ArrayBuffer> {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
      if (this.#buffer.length > BUFFER_BYTES && this.#bulk < 0) {
        this.#replaceBuffer(new Uint8Array(BUFFER_BYTES));
      }
      return this.#buffer;
    }
    if (this.#end === this.#buffer.length) this.#makeSpace();
    return this.#buffer.subarray(this.#end);
  }

  /** Records that `count` bytes were put into the {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
  }

  /** Returns the bytes that no command has used, and forgets them. */
  takeRest(): Uint8Array<ArrayBuffer> {
    const rest = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end;
    return rest;
  }

  /**
   * Returns the next command: its name and its arguments.
   *
   * @returns `undefined` if no complete command has arrived.
   * @throws {ProtocolError} if the bytes are not a command, or exceed a limit.
   */
  next(): ByteString[] | undefined {
    while (this.#start < this.#end) {
      if (this.#missing === 0) {
        const begun = this.#buffer[this.#start] === ASTERISK ? this.#beginArray() : this.#inline();
        if (begun === undefined) return undefined;
        if (begun.length > 0) return begun;
        if (this.#missing === 0) continue; // An empty line or an empty array: nothing to do.
      }
      const words = this.#readBulks();
      if (words !== undefined) return words;
      if (this.#missing > 0) return undefined;
    }
    return undefined;
  }

  /** Reads `*count`. Returns an empty list when it is read, `undefined` while it is incomplete. */
  #beginArray(): ByteString[] | undefined {
    const wrong = "invalid multibulk length";
    const count = this.#header(wrong);
    if (count === undefined) return undefined;
    if (count > this.#argumentsMax) {
      throw new ProtocolError(`${wrong}: ${count}, at most ${this.#argumentsMax}`);
    }
    this.#words = [];
    this.#wordBytes = 0;
    this.#missing = Math.max(count, 0);
    return [];
  }

  #readBulks(): ByteString[] | undefined {
    while (this.#missing > 0) {
      if (this.#bulk < 0 && !this.#beginBulk()) return undefined;
      const end = this.#start + this.#bulk;
      if (end + 2 > this.#end) return undefined;
      if (this.#buffer[end] !== CR || this.#buffer[end + 1] !== LF) {
        throw new ProtocolError(`a bulk string of ${this.#bulk} bytes does not end there`);
      }
      this.#words.push(this.#view.slice(this.#start, end));
      this.#wordBytes += this.#bulk;
      this.#start = end + 2;
      this.#bulk = -1;
      this.#missing--;
    }
    const words = this.#words;
    this.#words = [];
    this.#wordBytes = 0;
    return words;
  }

  /** Reads `$length`. */
  #beginBulk(): boolean {
    if (this.#start === this.#end) return false;
    const byte = this.#buffer[this.#start] ?? 0;
    if (byte !== DOLLAR) {
      throw new ProtocolError(`expected '$', got '${String.fromCharCode(byte)}'`);
    }
    const wrong = "invalid bulk length";
    const length = this.#header(wrong);
    if (length === undefined) return false;
    if (length < 0) throw new ProtocolError(wrong);
    if (length > this.#bulkBytesMax) {
      throw new ProtocolError(
        `${wrong}: ${length} bytes, at most ${this.#bulkBytesMax} are allowed`,
      );
    }
    if (this.#wordBytes + length > this.#commandBytesMax) {
      throw new ProtocolError(`a command of more than ${this.#commandBytesMax} bytes`);
    }
    this.#bulk = length;
    return true;
  }

  /**
   * Reads a line of one character and a decimal number, without zeros before it.
   *
   * @param wrong what is said of any other line, in Redis's words
   */
  #header(wrong: string): number | undefined {
    let at = this.#start + 1;
    const isNegative = this.#buffer[at] === 0x2d;
    if (isNegative) at++;
    const first = at;
    let value = 0;
    for (; at < this.#end; at++) {
      const digit = (this.#buffer[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at - this.#start > HEADER_BYTES_MAX) throw new ProtocolError(wrong);
    if (at + 1 >= this.#end) {
      if (at < this.#end && this.#buffer[at] !== CR) throw new ProtocolError(wrong);
      return undefined;
    }
    const hasZero = this.#buffer[first] === ZERO && (isNegative || at > first + 1);
    const isLine = this.#buffer[at] === CR && this.#buffer[at + 1] === LF;
    if (at === first || hasZero || !isLine || !Number.isSafeInteger(value)) {
      throw new ProtocolError(wrong);
    }
    this.#start = at + 2;
    return isNegative ? -value : value;
  }

  /** Reads a line of words. An empty list: an empty line. */
  #inline(): ByteString[] | undefined {
    const at = this.#buffer.subarray(this.#start, this.#end).indexOf(LF);
    if (at < 0 || at > INLINE_BYTES_MAX) {
      if (at > 0 || this.#end - this.#start > INLINE_BYTES_MAX) {
        throw new ProtocolError("too big inline request");
      }
      return undefined;
    }
    const lineEnd = this.#start + at;
    const end = this.#buffer[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    const line = this.#buffer.slice(this.#start, Math.max(end, this.#start));
    this.#start = lineEnd + 1;
    return splitInline(line);
  }

  #makeSpace(): void {
    const held = this.#end - this.#start;
    if (this.#start >= this.#buffer.length / 2) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const grown = new Uint8Array(this.#buffer.length * 2);
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#replaceBuffer(grown);
    }
    this.#start = 0;
    this.#end = held;
  }

  #replaceBuffer(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.#view = new Latin1View(buffer);
  }
}

/**
 * Splits an inline command into words as Redis does: blanks between words, 'single' and "double"
 * quotes around blanks, and in the latter `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH`. A word may end in quotes
 * that begin within it. A zero byte is a blank; Redis waits for ever behind one.
 *
 * @throws {ProtocolError} if a quote is not closed, or something follows it in its word.
 */
export function splitInline(line: Uint8Array): ByteString[] {
  const words: ByteString[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++;
    if (at >= line.length) return words;
    let word = "";
    for (; at < line.length && !isBlank(line[at]) && !isQuote(line[at]); at++) {
      word += String.fromCharCode(line[at] ?? 0);
    }
    const quote = line[at];
    if (quote !== undefined && isQuote(quote)) {
      at++;
      while (line[at] !== quote) {
        if (at >= line.length) throw new ProtocolError(UNBALANCED);
        const [text, next] = quotedCharacter(line, at, quote);
        word += text;
        at = next;
      }
      at++;
      if (at < line.length && !isSpace(line[at])) throw new ProtocolError(UNBALANCED);
    }
    words.push(word);
  }
}

const UNBALANCED = "unbalanced quotes in request";

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x6e, "\n"],
  [0x72, "\r"],
  [0x74, "\t"],
  [0x62, "\b"],
  [0x61, "\x07"],
]);

function quotedCharacter(line: Uint8Array, at: number, quote: number): [string, number] {
  const byte = line[at] ?? 0;
  const following = line[at + 1];
  if (byte !== BACKSLASH || following === undefined) return [String.fromCharCode(byte), at + 1];
  if (quote === APOSTROPHE) {
    return following === APOSTROPHE ? ["'", at + 2] : ["\\", at + 1];
  }
  if (following === 0x78) {
    const digits = String.fromCharCode(line[at + 2] ?? 0, line[at + 3] ?? 0);
    if (/^[0-9a-fA-F]{2}$/.test(digits)) {
      return [String.fromCharCode(Number.parseInt(digits, 16)), at + 4];
    }
  }
  return [ESCAPES.get(following) ?? String.fromCharCode(following), at + 2];
}

function isQuote(byte: number | undefined): boolean {
  return byte === QUOTE || byte === APOSTROPHE;
}

/** What ends a word. */
function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === CR || byte === 0;
}

/** What may stand between words, and behind quotes: vertical tabs and form feeds, too. */
function isSpace(byte: number | undefined): boolean {
  return isBlank(byte) || byte === 0x0b || byte === 0x0c;
}
