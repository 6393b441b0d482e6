/**
 * Reads what `byte_writer.ts` writes.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";
import { Latin1View } from "./latin1.ts";

/** The bytes are not what they should be: cut off, too long, or nonsense. */
export class MalformedError extends Error {
  override name = "MalformedError";
}

/** Reads a byte array from front to end; every method throws {@linkcode MalformedError} past it. */
export class ByteReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: Latin1View;
  #at: number;
  #end: number;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new Latin1View(bytes);
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** Continues at `start`, up to but not including `end`. */
  window(start: number, end: number): void {
    this.#at = start;
    this.#end = end;
  }

  /** Where the next byte is read, in the whole array. */
  get at(): number {
    return this.#at;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  uint8(): number {
    const value = this.#at < this.#end ? this.#bytes[this.#at++] : undefined;
    if (value === undefined) throw new MalformedError("the data ends in the middle of a number");
    return value;
  }

  /** Reads an integer from 0 to 2⁵³ - 1. */
  varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      factor *= 128;
    }
    throw new MalformedError("a number is longer than 53 bits");
  }

  /** Reads an integer from 0 to `max`; `name` is what it counts. */
  count(max: number, name: string): number {
    const value = this.varint();
    if (value > max) throw new MalformedError(`${value} ${name}, but ${max} is the most`);
    return value;
  }

  byteString(): ByteString {
    const length = this.varint();
    const start = this.#at;
    if (length > this.#end - start) {
      throw new MalformedError(`a string of ${length} bytes, but only ${this.left} are left`);
    }
    this.#at = start + length;
    return this.#view.slice(start, this.#at);
  }
}
