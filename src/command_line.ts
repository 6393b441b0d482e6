/**
 * Reads command lines: known flags, and clear errors for anything else.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "./errors.ts";

/** The flags of a command. */
export interface FlagNames {
  /** Flags that take a value. */
  readonly values: readonly string[];
  /** Flags that take none. */
  readonly switches: readonly string[];
  /** Short names. */
  readonly alias?: Readonly<Record<string, string>>;
}

/** A parsed command line. */
export interface CommandLine {
  /** The words that belong to no flag, in order. */
  readonly words: readonly string[];
  /** Returns the value of a flag, or `undefined` if it was not given. */
  value(name: string): string | undefined;
  /** Tells whether a switch was given. */
  has(name: string): boolean;
}

/**
 * Reads `args`.
 *
 * @param options `stopsAtWord`: everything after the first word belongs to it, flags included
 * @throws {UsageError} if a flag is unknown, lacks its value, or is given twice.
 */
export function readCommandLine(
  args: readonly string[],
  flags: FlagNames,
  options: { stopsAtWord?: boolean } = {},
): CommandLine {
  const { stopsAtWord = false } = options;
  const parsed = parseArgs(withDashes(args, flags, stopsAtWord), {
    string: [...flags.values, "_"],
    boolean: [...flags.switches],
    collect: [...flags.values], // So that a repeated flag can be detected.
    alias: flags.alias ?? {},
    stopEarly: stopsAtWord,
    unknown: (argument: string, key?: string) => {
      if (key === undefined || argument === "-") return true;
      throw new UsageError(`unknown option ${JSON.stringify(argument)}`);
    },
  });
  const values = new Map<string, string>();
  for (const name of flags.values) {
    const given = parsed[name];
    if (!Array.isArray(given) || given.length === 0) continue;
    if (given.length > 1) throw new UsageError(`--${name} was given more than once`);
    const [value] = given;
    if (value === "") throw new UsageError(`--${name} needs a value`);
    values.set(name, String(value));
  }
  return {
    words: parsed._.map(String),
    value: (name) => values.get(name),
    has: (name) => parsed[name] === true,
  };
}

/** Returns `args` with each `--flag -` as `--flag=-`: a dash alone is a value, and means a standard stream. */
function withDashes(
  args: readonly string[],
  { values, alias = {} }: FlagNames,
  stopsAtWord: boolean,
): string[] {
  const result: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const isWord = !arg.startsWith("-") || arg === "-";
    if (arg === "--" || (isWord && stopsAtWord)) return [...result, ...args.slice(at)];
    const name = arg.startsWith("--") ? arg.slice(2) : alias[arg.slice(1)] ?? "";
    const value = args[at + 1];
    if (isWord || !values.includes(name) || value === undefined) result.push(arg);
    else {
      result.push(...value === "-" ? [`--${name}=-`] : [arg, value]);
      at++;
    }
  }
  return result;
}

/**
 * Returns the integer that `text` names.
 *
 * @param options `name`: the flag, for the error; `min`, `max`: the bounds
 * @throws {UsageError} if it is not an integer, or out of bounds.
 */
export function parseInteger(
  text: string,
  options: { name: string; min: number; max: number },
): number {
  const { name, min, max } = options;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`${name} takes an integer from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
