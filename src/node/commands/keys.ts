/**
 * Commands of keys, whatever they hold.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { SimpleString } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import type { KeyReader } from "../../two_phase/request.ts";
import { ALL_KEYS, type CommandResult, type CommandRow, ONE_KEY } from "./command.ts";

function del([, ...words]: readonly ByteString[]): CommandResult {
  const keys = [...new Set(words)];
  return {
    request: {
      kind: "write",
      keys,
      evaluate: (read) => {
        const effects: Effect[] = [];
        for (const key of keys) {
          if (read(key) !== undefined) effects.push({ key, value: undefined });
        }
        return { effects, reply: effects.length };
      },
    },
  };
}

/** EXISTS counts a key as often as it is named. */
function exists([, ...keys]: readonly ByteString[]): CommandResult {
  const count = (read: KeyReader) => keys.filter((key) => read(key) !== undefined).length;
  return { request: { kind: "read", keys: [...new Set(keys)], evaluate: count } };
}

/** TYPE: there are strings and nothing else. */
function type([, key = ""]: readonly ByteString[]): CommandResult {
  const nameOf = (read: KeyReader) => new SimpleString(read(key) === undefined ? "none" : "string");
  return { request: { kind: "read", keys: [key], evaluate: nameOf } };
}

const DEL: CommandRow = {
  name: "del",
  arity: -2,
  flags: ["write"],
  group: "generic",
  categories: ["keyspace"],
  keys: ALL_KEYS,
  summary: "Deletes keys",
  syntax: "key [key ...]",
  since: "1.0.0",
  run: del,
};

export const KEYS: readonly CommandRow[] = [
  DEL,
  // The name that the first dks had for it.
  { ...DEL, name: "delete", group: "dks", since: "0.1.0" },
  {
    name: "exists",
    arity: -2,
    flags: ["readonly", "fast"],
    group: "generic",
    categories: ["keyspace"],
    keys: ALL_KEYS,
    summary: "Counts which of the keys exist",
    syntax: "key [key ...]",
    since: "1.0.0",
    run: exists,
  },
  {
    name: "type",
    arity: 2,
    flags: ["readonly", "fast"],
    group: "generic",
    categories: ["keyspace"],
    keys: ONE_KEY,
    summary: "Returns what a key holds: string, or none if it does not exist",
    syntax: "key",
    since: "1.0.0",
    run: type,
  },
];
