/**
 * What is to be written to one socket, in order.
 *
 * It is kept in a few long strings rather than in many short ones: the engine only notes what a sum
 * is made of, and copies each byte once, when the string is written into a socket's buffer. No string
 * grows without a bound, as the engine has none of more than 512 MiB.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** Pieces are put together up to this length; a longer one stands alone. */
const STRING_BYTES_MAX = 16 * 1024 * 1024;

/** Pieces that wait for a socket. */
export class OutputQueue {
  #first: ByteString = "";
  readonly #others: ByteString[] = [];
  #bytes = 0;

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds `piece` behind all others. */
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

  /** Takes out what is to be written first; an empty string where nothing is. */
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
