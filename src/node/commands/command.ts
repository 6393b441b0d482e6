/**
 * What a command is: a row of data, and a pure function.
 *
 * The function turns words into a reply, or into a request for the protocol. It has side effects
 * only on its session, so it can be tested without a node. Everything else about a command is data,
 * in the terms of Redis 7 (redis.io, "Command key specifications", COMMAND DOCS): the gate, COMMAND
 * and the documents use it.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { RespValue, RespVersion } from "../../resp/value.ts";
import type { Request } from "../../two_phase/request.ts";

/** What a connection knows about its client, and what a command may ask of the node. */
export interface Session {
  readonly id: number;
  name: ByteString;
  version: RespVersion;
  /** Set by QUIT: the connection is closed after the reply. */
  isClosing: boolean;
  readonly node: CommandHost;
}

/** So many processes the cursors of SCAN tell apart: 8 bits beside the id of the node. */
export const SCAN_PROCESSES: number = 2 ** 13;

/** What commands ask of the node. */
export interface CommandHost {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** The bound on the memory of keys, in bytes; 0: none. */
  readonly memoryBytesMax: number;
  /** Tells whether the keys take more memory than they may. */
  isOutOfMemory(): boolean;
  /** Returns the text of INFO: of these sections, or of all. */
  info(sections: readonly string[]): string;
  /** Returns the JSON of DKS.STATUS. */
  status(): string;
  /** Returns the monotonic clock of this process, in milliseconds. */
  nowMs(): number;
  /** Tells this process from others in the cursors of SCAN: below {@linkcode SCAN_PROCESSES}. */
  scanProcess(): number;
  /** Returns a number from 0 up to but not including 1. */
  random(): number;
  /** Returns the keys that `isWanted` takes, as they stood at one moment. */
  keys(isWanted: (key: ByteString) => boolean): Promise<RespValue>;
  /** Starts an export: the reply is an id and the number of keys. */
  beginExport(): Promise<RespValue>;
  /** Returns the next keys and values of an export. */
  nextOfExport(id: ByteString): Promise<RespValue>;
  /** Finds out how the transaction of this name ended. */
  outcome(transaction: string): Promise<RespValue>;
}

/** The result of a command: a reply at once or later, or a request whose outcome is the reply. */
export type CommandResult =
  | { readonly reply: RespValue }
  | { readonly later: Promise<RespValue> }
  | { readonly request: Request };

/**
 * Redis's flags (COMMAND INFO). `readonly` and `write` also say what a command of one connection
 * waits for: a read for the writes before it, a write for the reads before it. The node answers a
 * command that has neither at once.
 */
export type CommandFlag =
  | "readonly"
  | "write"
  | "denyoom"
  | "admin"
  | "fast"
  | "loading"
  | "stale"
  | "noscript"
  | "no_auth"
  | "movablekeys";

/** Redis's groups (COMMAND DOCS), and one for what dks adds. */
export type CommandGroup =
  | "string"
  | "generic"
  | "bitmap"
  | "connection"
  | "server"
  | "cluster"
  | "dks";

/** Redis's ACL categories that do not follow from the flags: see {@linkcode categoriesOf}. */
export type CommandCategory = "keyspace" | "string" | "bitmap" | "connection" | "dangerous";

/**
 * The positions of the keys among the words: from `first` to `last` (negative: from the end) by
 * `step`.
 */
export interface KeyRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** Which word says how many keys there are, where one does: then `last` means nothing. */
  readonly countAt?: number;
}

export const NO_KEYS: KeyRange = { first: 0, last: 0, step: 0 };
export const ONE_KEY: KeyRange = { first: 1, last: 1, step: 1 };
export const ALL_KEYS: KeyRange = { first: 1, last: -1, step: 1 };
export const TWO_KEYS: KeyRange = { first: 1, last: 2, step: 1 };
export const KEY_VALUE_PAIRS: KeyRange = { first: 1, last: -1, step: 2 };
/** BITOP: behind the name of an operation. */
export const BITOP_KEYS: KeyRange = { first: 2, last: -1, step: 1 };
/** MSETEX: behind their number. */
export const COUNTED_PAIRS: KeyRange = { first: 2, last: 2, step: 2, countAt: 1 };

/** What commands of one connection wait for: see {@linkcode CommandFlag}. */
export type CommandOrder = "read" | "write" | "none";

/** One command, or a subcommand of one, as its family defines it. */
export interface CommandRow {
  /** In lower case; that of a subcommand follows its command's, such as `client|id`. */
  readonly name: string;
  /** The number of words with the name, or at least that many if it is negative. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  readonly group: CommandGroup;
  readonly categories: readonly CommandCategory[];
  readonly keys: KeyRange;
  /** One sentence without a full stop, as in COMMAND DOCS. */
  readonly summary: string;
  /** The words after the name, as a manual writes them. */
  readonly syntax: string;
  /** The first version of Redis that has it; of dks, if Redis does not have it. */
  readonly since: string;
  /** What is other than in Redis, for `docs/commands.md`. */
  readonly differs?: string;
  /**
   * The index of the word at which another command starts, which also passes the gate: DKS.ONCE
   * token command….
   */
  readonly wraps?: number;
  /** Rows of their own; the second word names one of them. */
  readonly subcommands?: readonly CommandRow[];
  /** Absent for a command that needs a subcommand. */
  readonly run?: (words: readonly ByteString[], session: Session) => CommandResult;
}

/** A row of the table of all commands. */
export interface Command extends CommandRow {
  readonly order: CommandOrder;
  /** It is refused when the keys take more memory than they may. */
  readonly needsMemory: boolean;
  readonly subcommands?: readonly Command[];
}

/** All commands, for commands that describe commands or carry one. */
export interface CommandTable {
  /** Returns the command that the first words name, or its subcommand; `undefined` for none. */
  find(words: readonly ByteString[]): Command | undefined;
  /** Returns the command of this name, case-insensitive, ignoring subcommands. */
  named(name: ByteString): Command | undefined;
  /** All commands, without their subcommands. */
  readonly all: readonly Command[];
}

/** Returns the row of the table for a row of a family. */
export function commandOf({ subcommands, ...row }: CommandRow): Command {
  const { flags } = row;
  const order = flags.includes("write") ? "write" : flags.includes("readonly") ? "read" : "none";
  const command: Command = { ...row, order, needsMemory: flags.includes("denyoom") };
  return subcommands === undefined
    ? command
    : { ...command, subcommands: subcommands.map(commandOf) };
}

/** Returns all of Redis's ACL categories that a command is in, as `@name`. */
export function categoriesOf({ flags, categories }: CommandRow): string[] {
  return [
    ...categories,
    ...flags.includes("write") ? ["write"] : [],
    ...flags.includes("readonly") ? ["read"] : [],
    ...flags.includes("admin") ? ["admin", "dangerous"] : [],
    flags.includes("fast") ? "fast" : "slow",
  ].map((name) => `@${name}`);
}

/** Returns the keys among `words`, in their order, as often as they appear. */
export function keysOf({ keys }: CommandRow, words: readonly ByteString[]): ByteString[] {
  const { first, step } = keys;
  if (step === 0) return [];
  const end = endOfKeys(keys, words);
  return words.filter((_, at) => at >= first && at <= end && (at - first) % step === 0);
}

/** Returns the index of the last key among `words`. */
export function endOfKeys(
  { first, last, step, countAt }: KeyRange,
  words: readonly ByteString[],
): number {
  if (countAt !== undefined) {
    const count = Number(words[countAt]);
    return Number.isSafeInteger(count)
      ? Math.min(first + (count - 1) * step, words.length - 1)
      : first - 1;
  }
  return last < 0 ? words.length + last : last;
}
