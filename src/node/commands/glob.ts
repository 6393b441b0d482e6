/**
 * Patterns of names, as KEYS, SCAN and CONFIG GET take them: `*`, `?`, `[a-z]`, `[^a]` and `\`.
 *
 * Most names are compared byte by byte, and where what follows a star does not fit, that is tried again one
 * byte further. With some patterns that takes as many steps as the pattern and the name have bytes, multiplied.
 * So a name that takes long is compared in another way: all places in the pattern that may have been reached
 * are followed at once, 32 of them in a step (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { PATTERN_BYTES_MAX } from "../../limits.ts";
import { ErrorReply } from "../../resp/value.ts";

/** Steps that are taken byte by byte, for each byte of the name; and besides. */
const STEPS_PER_BYTE = 8;
const STEPS_BESIDES = 256;

/** A byte has so many codes. */
const CODES = 256;

/** Tells whether `name` is what `pattern` describes, byte by byte. */
export function matchesGlob(pattern: ByteString, name: ByteString): boolean {
  return new Glob(pattern).matches(name);
}

/** Returns the error for a pattern that is too long to compare many names with. */
export function whyNotPattern(pattern: ByteString): ErrorReply | undefined {
  if (pattern.length <= PATTERN_BYTES_MAX) return undefined;
  const message = `pattern of ${pattern.length} bytes, at most ${PATTERN_BYTES_MAX} are allowed`;
  return new ErrorReply("ERR", message);
}

/** A pattern, for many names. */
export class Glob {
  /** How many steps were taken, of some nanoseconds each. */
  steps = 0;
  readonly #pattern: ByteString;
  #places: Places | undefined;

  constructor(pattern: ByteString) {
    this.#pattern = pattern;
  }

  /** Tells whether `name` is what the pattern describes. */
  matches(name: ByteString): boolean {
    const found = this.#matchByByte(name);
    if (found !== undefined) return found;
    this.#places ??= new Places(this.#pattern);
    this.steps += this.#places.stepsFor(name);
    return this.#places.match(name);
  }

  /** Compares byte by byte; `undefined` if that takes too many steps. */
  #matchByByte(name: ByteString): boolean | undefined {
    const pattern = this.#pattern;
    const stepsMax = Math.max(
      STEPS_PER_BYTE * name.length + STEPS_BESIDES,
      // The other way has to be prepared, which takes about so long: few names are not worth that.
      CODES * pattern.length - this.steps,
    );
    let steps = 0;
    let at = 0;
    let from = 0;
    // Where to go on when what follows the last star does not fit: with one byte more for the star.
    let afterStar = -1;
    let starFrom = 0;
    while (from < name.length) {
      if (steps > stepsMax) return this.#took(steps, undefined);
      if (pattern[at] === "*") {
        while (pattern[at] === "*") at++;
        if (at >= pattern.length) return this.#took(steps, true);
        afterStar = at;
        starFrom = from;
        continue;
      }
      const next = at < pattern.length ? nextPlace(pattern, at, name.charCodeAt(from)) : 0;
      steps += Math.max(1, Math.abs(next) - at);
      if (next > 0) {
        at = next;
        from++;
      } else if (afterStar >= 0) {
        at = afterStar;
        from = ++starFrom;
      } else return this.#took(steps, false);
    }
    while (pattern[at] === "*") at++;
    return this.#took(steps, at >= pattern.length);
  }

  #took<Result>(steps: number, result: Result): Result {
    this.steps += steps;
    return result;
  }
}

/** 32 places are followed in a step. */
const PLACES_PER_WORD = 32;

/**
 * The places in a pattern: one before each byte that it describes, and one behind the last. A place that has
 * been reached is a bit that is set; a byte of the name takes each to the next one, if it fits, and leaves
 * those where they are that have a star.
 */
class Places {
  /** How many bytes the pattern describes, without what its stars stand for. */
  readonly #length: number;
  readonly #words: number;
  /** Those that a byte may lead to, for each code of it. */
  readonly #reachedBy: Int32Array;
  readonly #withStar: Int32Array;

  constructor(pattern: ByteString) {
    // Where each byte is described.
    const begins: number[] = [];
    const starsAt = new Set<number>();
    for (let at = 0; at < pattern.length;) {
      if (pattern[at] === "*") {
        starsAt.add(begins.length);
        at++;
      } else {
        begins.push(at);
        at = Math.abs(nextPlace(pattern, at, 0));
      }
    }
    this.#length = begins.length;
    this.#words = Math.floor(begins.length / PLACES_PER_WORD) + 1;
    this.#withStar = new Int32Array(this.#words);
    for (const place of starsAt) add(this.#withStar, 0, place);
    this.#reachedBy = new Int32Array(CODES * this.#words);
    begins.forEach((begin, place) => {
      for (let code = 0; code < CODES; code++) {
        if (nextPlace(pattern, begin, code) > 0) {
          add(this.#reachedBy, code * this.#words, place + 1);
        }
      }
    });
  }

  /** Returns how many steps it takes at the most to compare `name`. */
  stepsFor(name: ByteString): number {
    return name.length * this.#words;
  }

  match(name: ByteString): boolean {
    const words = this.#words;
    const reachedBy = this.#reachedBy;
    const withStar = this.#withStar;
    const reached = new Int32Array(words);
    reached[0] = 1;
    for (let from = 0; from < name.length; from++) {
      const row = name.charCodeAt(from) * words;
      // From the end: what a word hands to the next one is what it was before.
      for (let word = words - 1; word >= 0; word--) {
        const before = reached[word] ?? 0;
        const handed = word > 0 ? (reached[word - 1] ?? 0) >>> (PLACES_PER_WORD - 1) : 0;
        reached[word] = (before << 1 | handed) & (reachedBy[row + word] ?? 0) |
          before & (withStar[word] ?? 0);
      }
    }
    return has(reached, this.#length);
  }
}

function add(words: Int32Array, from: number, place: number): void {
  const at = from + Math.floor(place / PLACES_PER_WORD);
  words[at] = (words[at] ?? 0) | 1 << place % PLACES_PER_WORD;
}

function has(words: Int32Array, place: number): boolean {
  const word = words[Math.floor(place / PLACES_PER_WORD)] ?? 0;
  return (word >>> place % PLACES_PER_WORD & 1) === 1;
}

/**
 * Returns where the pattern goes on behind what stands at `at`; negated if the byte `code` does not fit it.
 */
function nextPlace(pattern: ByteString, at: number, code: number): number {
  switch (pattern[at]) {
    case "?":
      return at + 1;
    case "[":
      return behindClass(pattern, at + 1, code);
    case "\\": {
      const place = at + 1 < pattern.length ? at + 1 : at;
      return pattern.charCodeAt(place) === code ? place + 1 : -(place + 1);
    }
    default:
      return pattern.charCodeAt(at) === code ? at + 1 : -(at + 1);
  }
}

/** A class that nothing ends goes on to the end of the pattern, as in Redis. */
function behindClass(pattern: ByteString, begin: number, code: number): number {
  const isNegated = pattern[begin] === "^";
  let isFound = false;
  let at = isNegated ? begin + 1 : begin;
  for (; at < pattern.length; at++) {
    if (pattern[at] === "\\" && at + 1 < pattern.length) {
      at++;
      if (pattern.charCodeAt(at) === code) isFound = true;
    } else if (pattern[at] === "]") break;
    else if (pattern[at + 1] === "-" && at + 2 < pattern.length) {
      const [a, b] = [pattern.charCodeAt(at), pattern.charCodeAt(at + 2)];
      if (code >= Math.min(a, b) && code <= Math.max(a, b)) isFound = true;
      at += 2;
    } else if (pattern.charCodeAt(at) === code) isFound = true;
  }
  return isFound === isNegated ? -(at + 1) : at + 1;
}
