/**
 * Feeding a decoder its input in every possible way.
 *
 * @module
 */

import { toBytes } from "../../src/byte_string.ts";

/** A decoder that has its own buffer. */
export interface Feedable {
  readonly space: Uint8Array;
  received(count: number): void;
}

/** Puts all of `bytes` into the decoder, as often as it has space, and calls `drain` after each. */
export function feed(decoder: Feedable, bytes: Uint8Array, drain: () => void): void {
  for (let rest = bytes; rest.length > 0;) {
    const { space } = decoder;
    const count = Math.min(space.length, rest.length);
    space.set(rest.subarray(0, count));
    decoder.received(count);
    drain();
    rest = rest.subarray(count);
  }
}

/** Yields all ways to cut `input` into two, and the one into single bytes. */
export function* splits(input: string | Uint8Array): Generator<Uint8Array[]> {
  const bytes = typeof input === "string" ? toBytes(input) : input;
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (byte) => Uint8Array.of(byte));
}
