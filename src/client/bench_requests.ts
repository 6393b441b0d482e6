/**
 * The requests that `bench` sends: commands with places for a random key and for data.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";

/** What a command has in the place of a key, and of data. */
export const KEY_PLACE = "__key__";
export const DATA_PLACE = "__data__";

/** Digits of a key's number: `key:000000000042` has 16 bytes, like the keys of redis-benchmark. */
const KEY_DIGITS = 12;
const KEY_PREFIX = "key:";

/** The letters of data: six bits each, so that compression finds little in it. */
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Data is cut out of a random text at a random place before this many bytes. */
const POOL_BYTES = 4096;

/** Returns random keys, and random data of one size. */
export class RandomWords {
  readonly #keys: number;
  readonly #pool: string;
  readonly bytes: number;

  /** @param options `keys`: how many different keys there are; `bytes`: the size of data */
  constructor({ keys, bytes }: { keys: number; bytes: number }) {
    this.#keys = keys;
    this.bytes = bytes;
    const random = new Uint8Array(POOL_BYTES);
    crypto.getRandomValues(random);
    const text = Array.from(random, (byte) => LETTERS[byte % LETTERS.length]).join("");
    this.#pool = text.repeat(1 + Math.ceil(bytes / POOL_BYTES));
  }

  key(): ByteString {
    const number = Math.floor(Math.random() * this.#keys);
    return KEY_PREFIX + String(number).padStart(KEY_DIGITS, "0");
  }

  data(): ByteString {
    const at = Math.floor(Math.random() * POOL_BYTES);
    return this.#pool.slice(at, at + this.bytes);
  }
}

/** A command that can be encoded again and again, with other keys and data each time. */
export class RequestTemplate {
  /** The command's name, for the report. */
  readonly name: string;
  /** Text as it is sent, and between two pieces of it a key or data. */
  readonly #texts: readonly ByteString[];
  readonly #places: readonly (typeof KEY_PLACE | typeof DATA_PLACE)[];
  readonly #words: RandomWords;
  /** Length of one encoded request. */
  readonly bytes: number;

  /** @param words of the command; each may have {@linkcode KEY_PLACE} and {@linkcode DATA_PLACE} in it */
  constructor(words: readonly ByteString[], random: RandomWords) {
    this.#words = random;
    this.name = (words[0] ?? "").toUpperCase();
    const keyBytes = KEY_PREFIX.length + KEY_DIGITS;
    let text = `*${words.length}\r\n`;
    const texts: ByteString[] = [];
    const places: (typeof KEY_PLACE | typeof DATA_PLACE)[] = [];
    let placedBytes = 0;
    for (const word of words) {
      const pieces = word.split(/(__key__|__data__)/);
      const bytes = pieces.reduce((sum, piece, index) => {
        if (index % 2 === 0) return sum + piece.length;
        return sum + (piece === KEY_PLACE ? keyBytes : random.bytes);
      }, 0);
      text += `$${bytes}\r\n`;
      for (const [index, piece] of pieces.entries()) {
        if (index % 2 === 0) {
          text += piece;
          continue;
        }
        texts.push(text);
        text = "";
        places.push(piece === KEY_PLACE ? KEY_PLACE : DATA_PLACE);
        placedBytes += piece === KEY_PLACE ? keyBytes : random.bytes;
      }
      text += "\r\n";
    }
    texts.push(text);
    this.#texts = texts;
    this.#places = places;
    this.bytes = texts.reduce((sum, one) => sum + one.length, placedBytes);
  }

  /** Returns the request, with new random words, as it is sent. */
  encode(): ByteString {
    let request = this.#texts[0] ?? "";
    for (let at = 0; at < this.#places.length; at++) {
      request += this.#places[at] === KEY_PLACE ? this.#words.key() : this.#words.data();
      request += this.#texts[at + 1] ?? "";
    }
    return request;
  }
}
