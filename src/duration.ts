/**
 * Durations on the command line: `5s`, `500ms`, `1m`.
 *
 * @module
 */

import { UsageError } from "./errors.ts";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/**
 * Returns how many milliseconds `text` stands for.
 *
 * @param name the flag that it was given to, for the error
 * @throws {UsageError} if it is not a duration, or not positive.
 */
export function parseDurationMs(text: string, name: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ""];
  const value = Number(match?.[1]) * (unit ?? NaN);
  if (!(value > 0)) {
    throw new UsageError(`${name} takes a duration such as 5s or 500ms, not "${text}"`);
  }
  return value;
}
