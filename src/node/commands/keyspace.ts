/**
 * Commands of all keys: to list them, to pick one, and to delete all.
 *
 * A cursor of SCAN is the place of a key in the order in which the keys of this node were made, with a
 * number of this process behind it:
 *
 * ```text
 * cursor = place · 2¹³ + number of the process
 * ```
 *
 * A key that is there from the beginning of a scan to its end keeps its place, so it is returned. Another
 * node, or this one after a restart, has another order, and refuses the cursor.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { SCAN_LOOKS_MAX, SCAN_WORK_MAX } from "../../limits.ts";
import { EVERYTHING, isReserved } from "../../reserved_keys.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { Store } from "../../two_phase/store.ts";
import { BlindWrite, error, integerOf } from "./arguments.ts";
import {
  type CommandResult,
  type CommandRow,
  NO_KEYS,
  SCAN_PROCESSES,
  type Session,
} from "./command.ts";
import { Glob, whyNotPattern } from "./glob.ts";
import { toPlace } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** How many keys SCAN looks at if it is not told. */
const COUNT = 10n;

/** The highest cursor that clients may send: 64 bits without a sign. */
const CURSOR_MAX = 2n ** 64n - 1n;

interface ScanOptions {
  pattern: Glob | undefined;
  count: bigint;
  /** Strings are all that there is: another type has no keys. */
  isOfStrings: boolean;
}

/** SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
function scan(
  [, cursorWord = "", ...words]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const cursor = parseCursor(cursorWord);
  if (cursor === undefined) return error("invalid cursor");
  const options = parseOptions(words);
  if (options instanceof ErrorReply) return { reply: options };
  const process = BigInt(node.scanProcess());
  if (cursor !== 0n && cursor % BigInt(SCAN_PROCESSES) !== process) return foreignCursor();
  const place = Number(cursor / BigInt(SCAN_PROCESSES));
  return {
    request: {
      kind: "barrier",
      isExact: false,
      evaluate: (store) => {
        if (place > store.lastOrder) return FOREIGN_CURSOR;
        const { keys, next } = scanFrom(store, place, options);
        return [
          next === undefined ? "0" : String(BigInt(next) * BigInt(SCAN_PROCESSES) + process),
          keys,
        ];
      },
    },
  };
}

const FOREIGN_CURSOR = new ErrorReply(
  "ERR",
  "this cursor is of another node, or of before its restart: begin the scan again with cursor 0",
);

function foreignCursor(): CommandResult {
  return { reply: FOREIGN_CURSOR };
}

/** Returns the cursor that C reads: up to a zero byte, 0 if there is nothing, from the end if it is negative. */
function parseCursor(word: ByteString): bigint | undefined {
  const [text = ""] = word.split("\0", 1);
  const [, sign, digits] = /^([+-]?)0*(\d{1,20})$/.exec(text === "" ? "0" : text) ?? [];
  if (digits === undefined) return undefined;
  const size = BigInt(digits);
  if (size > CURSOR_MAX) return undefined;
  return sign === "-" ? BigInt.asUintN(64, -size) : size;
}

function parseOptions(words: readonly ByteString[]): ScanOptions | ErrorReply {
  const options: ScanOptions = { pattern: undefined, count: COUNT, isOfStrings: true };
  for (let i = 0; i < words.length; i += 2) {
    const name = (words[i] ?? "").toUpperCase();
    const value = words[i + 1];
    if (value === undefined) return SYNTAX_ERROR;
    if (name === "COUNT") {
      const count = integerOf(value);
      if (count instanceof ErrorReply) return count;
      if (count < 1n) return SYNTAX_ERROR;
      options.count = count;
    } else if (name === "MATCH") {
      const refusal = whyNotPattern(value);
      if (refusal !== undefined) return refusal;
      options.pattern = value === "*" ? undefined : new Glob(value);
    } else if (name === "TYPE") options.isOfStrings = value.toLowerCase() === "string";
    else return SYNTAX_ERROR;
  }
  return options;
}

/** Returns the keys behind `place`, and the place of the last one looked at if there are more. */
function scanFrom(
  store: Store,
  place: number,
  { pattern, count, isOfStrings }: ScanOptions,
): { readonly keys: ByteString[]; readonly next: number | undefined } {
  const keys: ByteString[] = [];
  const looksMax = Math.min(toPlace(count), SCAN_LOOKS_MAX);
  let looks = 0;
  let last = place;
  let bytes = 0;
  for (const { key, value, order } of store.behind(place)) {
    // A long key takes longer to look at, and so may a pattern.
    const work = bytes + (pattern?.steps ?? 0);
    if (looks >= looksMax || work >= SCAN_WORK_MAX) return { keys, next: last };
    looks++;
    bytes += key.length;
    last = order;
    if (value === undefined || isReserved(key) || !isOfStrings) continue;
    if (pattern === undefined || pattern.matches(key)) keys.push(key);
  }
  return { keys, next: undefined };
}

function keys([, pattern = ""]: readonly ByteString[], { node }: Session): CommandResult {
  const refusal = whyNotPattern(pattern);
  return refusal === undefined ? { later: node.keys(new Glob(pattern)) } : { reply: refusal };
}

function randomkey(_words: readonly ByteString[], { node }: Session): CommandResult {
  const fraction = node.random();
  return {
    request: {
      kind: "barrier",
      isExact: false,
      evaluate: (store) => {
        const found = store.entryAt(fraction);
        if (found === undefined) return null;
        // What is only locked has no value, and what is reserved is not told: the next one will do.
        for (const place of [found.order - 1, 0]) {
          for (const { key, value } of store.behind(place)) {
            if (value !== undefined && !isReserved(key)) return key;
          }
        }
        return null;
      },
    },
  };
}

/** FLUSHDB and FLUSHALL [ASYNC | SYNC]: one write, however many keys there are. */
function flush([, ...words]: readonly ByteString[]): CommandResult {
  const [mode] = words;
  const isKnown = mode === undefined || /^(a?sync)$/i.test(mode);
  if (words.length > 1 || !isKnown) return { reply: SYNTAX_ERROR };
  return { request: new BlindWrite([EVERYTHING], [{ key: EVERYTHING, value: undefined }]) };
}

/** What all commands of this family have. */
const ROW = { group: "generic", keys: NO_KEYS } as const;

const FLUSH: CommandRow = {
  ...ROW,
  name: "flushdb",
  arity: -1,
  flags: ["write"],
  group: "server",
  categories: ["keyspace", "dangerous"],
  summary: "Deletes all keys, in one write",
  syntax: "[ASYNC | SYNC]",
  since: "1.0.0",
  run: flush,
};

export const KEYSPACE: readonly CommandRow[] = [
  {
    ...ROW,
    name: "keys",
    arity: 2,
    flags: ["readonly"],
    categories: ["keyspace", "dangerous"],
    summary: "Returns all keys that a pattern describes, as they stood at one moment",
    syntax: "pattern",
    since: "1.0.0",
    differs: "a pattern has at most 1024 bytes",
    run: keys,
  },
  {
    ...ROW,
    name: "scan",
    arity: -2,
    flags: ["readonly"],
    categories: ["keyspace"],
    summary: "Returns the keys, some at a time",
    syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
    since: "2.8.0",
    differs:
      "a cursor is good at the node that gave it, until that restarts, and refused elsewhere; " +
      "patterns have at most 1024 bytes",
    run: scan,
  },
  {
    ...ROW,
    name: "randomkey",
    arity: 1,
    flags: ["readonly"],
    categories: ["keyspace"],
    summary: "Returns a key, whichever",
    syntax: "",
    since: "1.0.0",
    run: randomkey,
  },
  FLUSH,
  { ...FLUSH, name: "flushall" },
];
