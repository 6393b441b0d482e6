/**
 * The bytes to be written to one socket, in order.
 *
 * It is kept in a few long strings rather than in many short ones: the engine only records the
 * parts of a concatenation, and copies each byte once, when the string is written into a socket's
 * buffer. Strings are bounded, as the engine allows at most 512 MiB.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** Pieces are put together up to this length; a longer one stands alone. */
const STRING_BYTES_MAX = 256 * 1024;

/** Pieces that wait for a socket. */
export class OutputQueue {
  #first: ByteString = "";
  readonly #others: ByteString[] = [];
  #bytes = 0;

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds `piece` at the end. */
  append(piece: ByteString): void {
    this.#bytes += piece.length;
    if (this.#others.length === 0 && fits(this.#first, piece)) {
      this.#first += piece;
      return;
    }
    const last = this.#others.length - 1;
    const other = this.#others[last];
    if (other !== undefined && fits(other, piece)) this.#others[last] = other + piece;
    else this.#others.push(piece);
  }

  /** Takes the first string to write; an empty string if there is none. */
  take(): ByteString {
    const first = this.#first;
    this.#first = this.#others.shift() ?? "";
    this.#bytes -= first.length;
    return first;
  }
}

function fits(text: ByteString, piece: ByteString): boolean {
  return text.length === 0 || text.length + piece.length <= STRING_BYTES_MAX;
}
