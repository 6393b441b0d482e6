/**
 * Commands for keys of any type.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { EVENT } from "../../key_events.ts";
import { ErrorReply, OK, SimpleString } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import type { KeyReader } from "../../two_phase/request.ts";
import { effectOf, error, unchanged } from "./arguments.ts";
import { ALL_KEYS, type CommandResult, type CommandRow, ONE_KEY, TWO_KEYS } from "./command.ts";
import { NOT_AN_INTEGER, parseInteger } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

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

/** EXISTS and TOUCH count a key as often as it is named. */
function exists([, ...keys]: readonly ByteString[]): CommandResult {
  const count = (read: KeyReader) => keys.filter((key) => read(key) !== undefined).length;
  return { request: { kind: "read", keys: [...new Set(keys)], evaluate: count } };
}

/** TYPE: strings are the only type. */
function type([, key = ""]: readonly ByteString[]): CommandResult {
  const nameOf = (read: KeyReader) => new SimpleString(read(key) === undefined ? "none" : "string");
  return { request: { kind: "read", keys: [key], evaluate: nameOf } };
}

const NO_SUCH_KEY = new ErrorReply("ERR", "no such key");

/** RENAME and RENAMENX: the time to live goes with the value. */
function rename(
  [, from = "", to = ""]: readonly ByteString[],
  { isNewOnly }: { isNewOnly: boolean },
): CommandResult {
  const done = isNewOnly ? 1 : OK;
  return {
    request: {
      kind: "write",
      keys: [...new Set([from, to])],
      evaluate: (read, facts) => {
        const old = facts.recordOf(from);
        if (old?.value === undefined) return unchanged(NO_SUCH_KEY);
        if (isNewOnly && read(to) !== undefined) return unchanged(0);
        if (from === to) return unchanged(done);
        const effects = [
          { key: from, value: undefined, events: EVENT.renameFrom },
          { ...effectOf(to, old.value, old.expiresAtMs), events: EVENT.renameTo },
        ];
        return { effects, reply: done };
      },
    },
  };
}

/** COPY source destination [DB destination-db] [REPLACE] */
function copy([, from = "", to = "", ...words]: readonly ByteString[]): CommandResult {
  let replaces = false;
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] ?? "").toUpperCase();
    const next = words[i + 1];
    if (word === "REPLACE") replaces = true;
    else if (word === "DB" && next !== undefined) {
      const database = parseInteger(next);
      if (database === undefined) return error(NOT_AN_INTEGER);
      if (database !== 0n) return error("DB index is out of range");
      i++;
    } else return { reply: SYNTAX_ERROR };
  }
  if (from === to) return error("source and destination objects are the same");
  return {
    request: {
      kind: "write",
      keys: [from, to],
      evaluate: (read, facts) => {
        const old = facts.recordOf(from);
        if (old?.value === undefined) return unchanged(0);
        if (!replaces && read(to) !== undefined) return unchanged(0);
        return {
          effects: [{ ...effectOf(to, old.value, old.expiresAtMs), events: EVENT.copyTo }],
          reply: 1,
        };
      },
    },
  };
}

/** What most commands of this family have. */
const ROW = { group: "generic", categories: ["keyspace"] } as const;

const DEL: CommandRow = {
  ...ROW,
  name: "del",
  arity: -2,
  flags: ["write"],
  keys: ALL_KEYS,
  summary: "Deletes keys",
  syntax: "key [key ...]",
  since: "1.0.0",
  run: del,
};

const EXISTS: CommandRow = {
  ...ROW,
  name: "exists",
  arity: -2,
  flags: ["readonly", "fast"],
  keys: ALL_KEYS,
  summary: "Counts how many of the keys exist",
  syntax: "key [key ...]",
  since: "1.0.0",
  run: exists,
};

export const KEYS: readonly CommandRow[] = [
  DEL,
  // The name that the first dks had for it.
  { ...DEL, name: "delete", group: "dks", since: "0.1.0" },
  { ...DEL, name: "unlink", flags: ["write", "fast"], since: "4.0.0" },
  EXISTS,
  {
    ...EXISTS,
    name: "touch",
    summary: "Counts how many of the keys exist; there is no time of last use that it could change",
    since: "3.2.1",
  },
  {
    ...ROW,
    name: "type",
    arity: 2,
    flags: ["readonly", "fast"],
    keys: ONE_KEY,
    summary: "Returns what a key holds: string, or none if it does not exist",
    syntax: "key",
    since: "1.0.0",
    run: type,
  },
  {
    ...ROW,
    name: "rename",
    arity: 3,
    flags: ["write"],
    keys: TWO_KEYS,
    summary: "Gives a key another name, in the place of what has that name",
    syntax: "key newkey",
    since: "1.0.0",
    run: (words) => rename(words, { isNewOnly: false }),
  },
  {
    ...ROW,
    name: "renamenx",
    arity: 3,
    flags: ["write", "fast"],
    keys: TWO_KEYS,
    summary: "Gives a key another name that no key has",
    syntax: "key newkey",
    since: "1.0.0",
    run: (words) => rename(words, { isNewOnly: true }),
  },
  {
    ...ROW,
    name: "copy",
    arity: -3,
    flags: ["write", "denyoom"],
    keys: TWO_KEYS,
    summary: "Copies the value of a key and its time to live to another key",
    syntax: "source destination [DB destination-db] [REPLACE]",
    since: "6.2.0",
    differs: "there is database 0 and no other",
    run: copy,
  },
];
