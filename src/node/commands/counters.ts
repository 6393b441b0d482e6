/**
 * Commands that count: strings that are numbers.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { EVENT } from "../../key_events.ts";
import { ErrorReply } from "../../resp/value.ts";
import { change, error, rewritten, unchanged } from "./arguments.ts";
import { type CommandResult, type CommandRow, ONE_KEY } from "./command.ts";
import { addFloats, formatFloat, parseFloat } from "./extended_float.ts";
import {
  INTEGER_MAX,
  INTEGER_MIN,
  integerReply,
  NOT_AN_INTEGER,
  parseInteger,
} from "./integers.ts";

const NOT_A_FLOAT = new ErrorReply("ERR", "value is not a valid float");

/** Adds `amount` to the integer that a key holds. */
function add(key: ByteString, amount: bigint): CommandResult {
  return change(key, (old) => {
    const before = old?.value === undefined ? 0n : parseInteger(old.value);
    if (before === undefined) return unchanged(new ErrorReply("ERR", NOT_AN_INTEGER));
    const after = before + amount;
    if (after > INTEGER_MAX || after < INTEGER_MIN) {
      return unchanged(new ErrorReply("ERR", "increment or decrement would overflow"));
    }
    return {
      effects: [rewritten(key, String(after), { old, events: EVENT.incrby })],
      reply: integerReply(after),
    };
  });
}

function incrby([, key = "", word = ""]: readonly ByteString[]): CommandResult {
  const amount = parseInteger(word);
  return amount === undefined ? error(NOT_AN_INTEGER) : add(key, amount);
}

function decrby([, key = "", word = ""]: readonly ByteString[]): CommandResult {
  const amount = parseInteger(word);
  if (amount === undefined) return error(NOT_AN_INTEGER);
  return amount === INTEGER_MIN ? error("decrement would overflow") : add(key, -amount);
}

function incrbyfloat([, key = "", word = ""]: readonly ByteString[]): CommandResult {
  const amount = parseFloat(word);
  return change(key, (old) => {
    const before = parseFloat(old?.value ?? "0");
    if (before === undefined || amount === undefined) return unchanged(NOT_A_FLOAT);
    const after = addFloats(before, amount);
    if (after === "infinite") {
      return unchanged(new ErrorReply("ERR", "increment would produce NaN or Infinity"));
    }
    const value = formatFloat(after);
    return { effects: [rewritten(key, value, { old, events: EVENT.incrbyfloat })], reply: value };
  });
}

/** What all commands of this family have. */
const ROW = {
  group: "string",
  categories: ["string"],
  keys: ONE_KEY,
  flags: ["write", "denyoom", "fast"],
} as const;

export const COUNTERS: readonly CommandRow[] = [
  {
    ...ROW,
    name: "incr",
    arity: 2,
    summary: "Adds one to the integer that a key holds",
    syntax: "key",
    since: "1.0.0",
    run: ([, key = ""]) => add(key, 1n),
  },
  {
    ...ROW,
    name: "decr",
    arity: 2,
    summary: "Subtracts one from the integer that a key holds",
    syntax: "key",
    since: "1.0.0",
    run: ([, key = ""]) => add(key, -1n),
  },
  {
    ...ROW,
    name: "incrby",
    arity: 3,
    summary: "Adds to the integer that a key holds",
    syntax: "key increment",
    since: "1.0.0",
    run: incrby,
  },
  {
    ...ROW,
    name: "decrby",
    arity: 3,
    summary: "Subtracts from the integer that a key holds",
    syntax: "key decrement",
    since: "1.0.0",
    run: decrby,
  },
  {
    ...ROW,
    name: "incrbyfloat",
    arity: 3,
    summary: "Adds to the decimal number that a key holds",
    syntax: "key increment",
    since: "2.6.0",
    run: incrbyfloat,
  },
];
