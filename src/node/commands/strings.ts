/**
 * Commands of strings: a key with one value.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { OK } from "../../resp/value.ts";
import { BlindWrite, error, wrongArity } from "./arguments.ts";
import {
  ALL_KEYS,
  type CommandResult,
  type CommandRow,
  KEY_VALUE_PAIRS,
  ONE_KEY,
} from "./command.ts";

/** A read of one key whose reply is the value itself. */
function get([, key = ""]: readonly ByteString[]): CommandResult {
  return { request: { kind: "read", keys: [key], evaluate: (read) => read(key) ?? null } };
}

function set(words: readonly ByteString[]): CommandResult {
  const [, key = "", value = "", ...options] = words;
  if (options.length > 0) return setWithOptions(key, value, options);
  return { request: new BlindWrite([key], [{ key, value }]) };
}

interface SetOptions {
  readonly isNewOnly: boolean;
  readonly isOldOnly: boolean;
  readonly returnsOld: boolean;
}

/** SET with NX (only a new key), XX (only an old one), GET (reply with the old value), KEEPTTL. */
function setWithOptions(
  key: ByteString,
  value: ByteString,
  words: readonly ByteString[],
): CommandResult {
  const options = words.map((word) => word.toUpperCase());
  const expiry = options.find((option) => ["EX", "PX", "EXAT", "PXAT"].includes(option));
  if (expiry !== undefined) return error(`SET with ${expiry} is not supported: keys do not expire`);
  const isKnown = options.every((option) => ["NX", "XX", "GET", "KEEPTTL"].includes(option));
  const { isNewOnly, isOldOnly, returnsOld }: SetOptions = {
    isNewOnly: options.includes("NX"),
    isOldOnly: options.includes("XX"),
    returnsOld: options.includes("GET"),
  };
  if (!isKnown || (isNewOnly && isOldOnly)) return error("syntax error");
  return {
    request: {
      kind: "write",
      keys: [key],
      evaluate: (read) => {
        const old = read(key);
        const isSet = !(isNewOnly && old !== undefined) && !(isOldOnly && old === undefined);
        const answer = returnsOld ? old ?? null : isSet ? OK : null;
        return { effects: isSet ? [{ key, value }] : [], reply: answer };
      },
    },
  };
}

function mget([, ...keys]: readonly ByteString[]): CommandResult {
  return {
    request: {
      kind: "read",
      keys: [...new Set(keys)],
      evaluate: (read) => keys.map((key) => read(key) ?? null),
    },
  };
}

function mset([, ...words]: readonly ByteString[]): CommandResult {
  if (words.length % 2 !== 0) return { reply: wrongArity("mset") };
  const values = new Map<ByteString, ByteString>();
  for (let i = 0; i < words.length; i += 2) values.set(words[i] ?? "", words[i + 1] ?? "");
  const effects = Array.from(values, ([key, value]) => ({ key, value }));
  return { request: new BlindWrite([...values.keys()], effects) };
}

function strlen([, key = ""]: readonly ByteString[]): CommandResult {
  return {
    request: { kind: "read", keys: [key], evaluate: (read) => read(key)?.length ?? 0 },
  };
}

const GET: CommandRow = {
  name: "get",
  arity: 2,
  flags: ["readonly", "fast"],
  group: "string",
  categories: ["string"],
  keys: ONE_KEY,
  summary: "Returns the value of a key",
  syntax: "key",
  since: "1.0.0",
  run: get,
};

const SET: CommandRow = {
  name: "set",
  arity: -3,
  flags: ["write", "denyoom"],
  group: "string",
  categories: ["string"],
  keys: ONE_KEY,
  summary: "Sets the value of a key",
  syntax: "key value [NX | XX] [GET] [KEEPTTL]",
  since: "1.0.0",
  run: set,
};

export const STRINGS: readonly CommandRow[] = [
  GET,
  SET,
  // The name that the first dks had for it.
  { ...SET, name: "put", group: "dks", since: "0.1.0" },
  {
    name: "mget",
    arity: -2,
    flags: ["readonly", "fast"],
    group: "string",
    categories: ["string"],
    keys: ALL_KEYS,
    summary: "Returns the values of several keys, as they stood at one moment",
    syntax: "key [key ...]",
    since: "1.0.0",
    run: mget,
  },
  {
    name: "mset",
    arity: -3,
    flags: ["write", "denyoom"],
    group: "string",
    categories: ["string"],
    keys: KEY_VALUE_PAIRS,
    summary: "Sets the values of several keys, all at once",
    syntax: "key value [key value ...]",
    since: "1.0.1",
    run: mset,
  },
  {
    name: "strlen",
    arity: 2,
    flags: ["readonly", "fast"],
    group: "string",
    categories: ["string"],
    keys: ONE_KEY,
    summary: "Returns how many bytes the value of a key has",
    syntax: "key",
    since: "2.2.0",
    run: strlen,
  },
];
