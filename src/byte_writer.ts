/**
 * Writing numbers and byte strings into a growing byte array.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";
import { InvariantError } from "./invariant.ts";
import { writeLatin1 } from "./latin1.ts";

/** Collects bytes; numbers are little-endian. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param capacity the initial capacity in bytes; it grows as needed */
  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** What was written. Shares memory with the writer: valid until the next write or reset. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Empties the writer; frees memory beyond `capacityMax` bytes. */
  reset(capacityMax = Infinity): void {
    this.#length = 0;
    if (this.#bytes.length > capacityMax) this.#bytes = new Uint8Array(capacityMax);
  }

  /** Drops what was written from `length` on. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.setUint32(this.#length, value);
    this.#length += 4;
  }

  /** Overwrites four bytes that were written before. */
  setUint32(at: number, value: number): void {
    this.#bytes[at] = value & 0xff;
    this.#bytes[at + 1] = (value >>> 8) & 0xff;
    this.#bytes[at + 2] = (value >>> 16) & 0xff;
    this.#bytes[at + 3] = value >>> 24;
  }

  /**
   * Writes an integer from 0 to 2⁵³ - 1 in seven bits a byte, the lowest first (LEB128).
   *
   * @throws {InvariantError} if `value` is another number: no reader would accept it.
   */
  varint(value: number): void {
    if (value >>> 0 !== value && !(value >= 0 && Number.isSafeInteger(value))) {
      throw new InvariantError(`${value} is no integer from 0 to 2^53 - 1`);
    }
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80000000) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Writes the length of `value` as a varint, then its bytes. */
  byteString(value: ByteString): void {
    this.varint(value.length);
    this.#reserve(value.length);
    writeLatin1(this.#bytes, this.#length, value);
    this.#length += value.length;
  }

  /** Writes `bytes` as they are. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
