/**
 * Patterns of names, as KEYS, SCAN and CONFIG GET take them: `*`, `?`, `[a-z]`, `[^a]` and `\`.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";

/** Tells whether `name` is what `pattern` describes, byte by byte. */
export function matchesGlob(pattern: ByteString, name: ByteString): boolean {
  let at = 0;
  let from = 0;
  // Where to go on when what follows the last star does not fit: with one byte more for the star.
  let afterStar = -1;
  let starFrom = 0;
  while (from < name.length) {
    if (pattern[at] === "*") {
      while (pattern[at] === "*") at++;
      if (at >= pattern.length) return true;
      afterStar = at;
      starFrom = from;
      continue;
    }
    const next = at < pattern.length ? matchOne(pattern, at, name.charCodeAt(from)) : undefined;
    if (next !== undefined) {
      at = next;
      from++;
    } else if (afterStar >= 0) {
      at = afterStar;
      from = ++starFrom;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at >= pattern.length;
}

/** Returns where the pattern goes on if what stands at `at` fits the byte. */
function matchOne(pattern: ByteString, at: number, code: number): number | undefined {
  switch (pattern[at]) {
    case "?":
      return at + 1;
    case "[":
      return matchClass(pattern, at + 1, code);
    case "\\": {
      const place = at + 1 < pattern.length ? at + 1 : at;
      return pattern.charCodeAt(place) === code ? place + 1 : undefined;
    }
    default:
      return pattern.charCodeAt(at) === code ? at + 1 : undefined;
  }
}

/** A class that nothing ends goes on to the end of the pattern, as in Redis. */
function matchClass(pattern: ByteString, begin: number, code: number): number | undefined {
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
  return isFound === isNegated ? undefined : at + 1;
}
