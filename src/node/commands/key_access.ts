/**
 * What commands do with the values of their keys: read them, write them, both, or neither. Users may be
 * allowed the one and not the other (ACL's `%R~` and `%W~`).
 *
 * As in Redis, to learn whether a key exists, or how long its value is, is to read nothing; a command that
 * writes without telling anything of what was there only writes.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { type Command, keysOf } from "./command.ts";

/** What a command does with the value of a key. */
export interface KeyAccess {
  readonly key: ByteString;
  readonly reads: boolean;
  readonly writes: boolean;
}

/** `R`: it reads, `W`: it writes, `RW`: both; empty: neither. */
type Need = "" | "R" | "W" | "RW";

/** SET and PUT tell the old value, or whether it is another one, if they are asked to. */
const needsOfSet = (words: readonly ByteString[]): readonly Need[] =>
  words.slice(3).some((word) => /^(get|ifeq|ifne)$/i.test(word)) ? ["RW"] : ["W"];

/** Of the commands that do not just read (`readonly`) or both read and write (`write`): for each key. */
const NEEDS: Readonly<
  Record<string, readonly Need[] | ((words: readonly ByteString[]) => readonly Need[])>
> = {
  set: needsOfSet,
  put: needsOfSet,
  setnx: ["W"],
  setex: ["W"],
  psetex: ["W"],
  mset: ["W"],
  msetnx: ["W"],
  msetex: ["W"],
  append: ["W"],
  setrange: ["W"],
  strlen: [""],
  exists: [""],
  touch: [""],
  type: [""],
  watch: [""],
  "object|encoding": [""],
  "object|freq": [""],
  "object|idletime": [""],
  "object|refcount": [""],
  "memory|usage": [""],
  del: ["W"],
  delete: ["W"],
  unlink: ["W"],
  delex: (words) => words.length > 2 ? ["RW"] : ["W"],
  expire: ["W"],
  pexpire: ["W"],
  expireat: ["W"],
  pexpireat: ["W"],
  persist: ["W"],
  rename: ["RW", "W"],
  renamenx: ["RW", "W"],
  copy: ["R", "W"],
  bitop: ["W", "R"],
  bitfield: (words) => words.slice(2).some((word) => /^(set|incrby)$/i.test(word)) ? ["RW"] : ["R"],
  "dks.import": ["W"],
};

/** Returns what the command in `words` does with each of its keys. */
export function keyAccesses(command: Command, words: readonly ByteString[]): KeyAccess[] {
  const row = NEEDS[command.name];
  const needs = typeof row === "function" ? row(words) : row;
  const all: Need = command.flags.includes("write") ? "RW" : "R";
  return keysOf(command, words).map((key, at) => {
    const need = needs === undefined ? all : needs[Math.min(at, needs.length - 1)] ?? all;
    return { key, reads: need.includes("R"), writes: need.includes("W") };
  });
}
