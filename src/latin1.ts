/**
 * Cuts byte strings out of byte arrays, and writes them into byte arrays, fast.
 *
 * `Buffer` has a native conversion to strings that is ten times as fast as any loop here. Its short
 * form `latin1Slice` is not in the type declarations, though Node and Deno both have it; if it is
 * missing, the documented `toString("latin1")` does the same in twice the time.
 *
 * It has none to bytes: `latin1Write` is a loop in JavaScript. The native encoder of UTF-8 is fast for ASCII
 * only. For all else there is base64, of which the engine knows both ways: twenty times as fast as a loop.
 *
 * @module
 */

import { Buffer } from "node:buffer";

interface Latin1Slice {
  latin1Slice?(start: number, end: number): string;
}

/** A byte array from which byte strings can be cut. */
export class Latin1View {
  readonly #buffer: Buffer & Latin1Slice;

  /** @param bytes looked at, not copied: later changes are seen */
  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Returns the bytes from `start` up to but not including `end`. */
  slice(start: number, end: number): string {
    return this.#buffer.latin1Slice?.(start, end) ?? this.#buffer.toString("latin1", start, end);
  }
}

const utf8Encoder = new TextEncoder();

/** Up to this many characters a loop is faster than a native conversion. */
const LOOP_MAX = 128;

/** How many characters are converted at once: the base64 of more would not be short-lived memory. */
const PIECE_MAX = 12 * 1024;

/** Before a piece is taken for ASCII, so many characters of it are looked at. */
const PROBE_MAX = 8;

/**
 * Writes the bytes of `value` into `target` from `at` on, which must have room for them.
 *
 * Text is mostly ASCII, whose UTF-8 encoding is itself: so that is tried first, and kept if it wrote one byte
 * for each character. The first piece that is not ASCII ends the attempts: they cost more than they save.
 */
export function writeLatin1(target: Uint8Array, at: number, value: string): void {
  const { length } = value;
  if (length <= LOOP_MAX) {
    writeByLoop(target, at, value);
    return;
  }
  let isAscii = true;
  for (let from = 0; from < length; from += PIECE_MAX) {
    const piece = length <= PIECE_MAX ? value : value.slice(from, from + PIECE_MAX);
    const place = target.subarray(at + from, at + from + piece.length);
    isAscii &&= isAsciiWritten(place, piece);
    if (!isAscii) writeByBase64(place, piece);
  }
}

/** Writes `piece` if it is ASCII, and tells whether it is. `place` may have been written to anyway. */
function isAsciiWritten(place: Uint8Array, piece: string): boolean {
  for (let i = 0; i < PROBE_MAX; i++) if (piece.charCodeAt(i) > 0x7f) return false;
  const { read, written } = utf8Encoder.encodeInto(piece, place);
  return read === piece.length && written === piece.length;
}

function writeByBase64(place: Uint8Array, piece: string): void {
  try {
    place.setFromBase64(btoa(piece));
  } catch {
    writeByLoop(place, 0, piece); // A character is no byte: its low byte counts, as in short strings.
  }
}

function writeByLoop(target: Uint8Array, at: number, value: string): void {
  for (let i = 0; i < value.length; i++) target[at + i] = value.charCodeAt(i);
}
