/**
 * What commands have in common: replies, and errors in Redis's words.
 *
 * @module
 */

import { type ByteString, toText } from "../../byte_string.ts";
import { ErrorReply, OK, type RespValue } from "../../resp/value.ts";
import type { Effect, KeyRecord } from "../../two_phase/messages.ts";
import type { Evaluation, KeyFacts, WriteRequest } from "../../two_phase/request.ts";
import { NOT_AN_INTEGER, parseInteger } from "./integers.ts";
import type { CommandResult } from "./command.ts";

export const REPLY_OK: CommandResult = { reply: OK };

export function reply(value: RespValue): CommandResult {
  return { reply: value };
}

export function error(message: string): CommandResult {
  return { reply: new ErrorReply("ERR", message) };
}

/** A read of one key: `answer` makes the reply of its record, which a missing key has none of. */
export function readRecord(
  key: ByteString,
  answer: (record: KeyRecord | undefined, facts: KeyFacts) => RespValue,
): CommandResult {
  return {
    request: {
      kind: "read",
      keys: [key],
      evaluate: (_read, facts) => answer(facts.recordOf(key), facts),
    },
  };
}

export function wrongArity(name: string): ErrorReply {
  return new ErrorReply("ERR", `wrong number of arguments for '${name}' command`);
}

/** How much of an unknown name, and of its arguments together, an error repeats. */
const REPEATED_BYTES = 128;

/** The error for a command that does not exist, in the words of Redis. */
export function unknownCommand(words: readonly ByteString[]): ErrorReply {
  const [name = "", ...args] = words;
  let shown = "";
  for (const word of args) {
    if (shown.length >= REPEATED_BYTES) break;
    shown += `'${repeated(word, REPEATED_BYTES - shown.length)}' `;
  }
  const message = `unknown command '${repeated(name)}', with args beginning with: ${shown}`;
  return errorRepeating(message);
}

/** The error for a subcommand that does not exist, in the words of Redis. */
export function unknownSubcommand(name: string, subcommand: ByteString): ErrorReply {
  const message = `unknown subcommand '${repeated(subcommand)}'. Try ${name.toUpperCase()} HELP.`;
  return errorRepeating(message);
}

/** The error for too many words behind a subcommand, in the words of Redis. */
export function tooManyWords([name = "", subcommand = ""]: readonly ByteString[]): ErrorReply {
  const message =
    `unknown subcommand or wrong number of arguments for '${repeated(subcommand)}'. ` +
    `Try ${name.toUpperCase()} HELP.`;
  return errorRepeating(message);
}

/**
 * Returns an error whose message repeats what a client has sent, whatever bytes that is; but, as in Redis, no
 * line ends behind it.
 */
export function errorRepeating(message: ByteString): ErrorReply {
  // Not by a pattern: one that looks for the end tries at every line end, and a word may have millions.
  let end = message.length;
  while (end > 0 && "\r\n".includes(message[end - 1] ?? "")) end--;
  const trimmed = message.slice(0, end);
  const text = toText(trimmed);
  return text === undefined ? new ErrorReply("ERR", trimmed, true) : new ErrorReply("ERR", text);
}

/** Returns what an error repeats of a word: up to a zero byte, as Redis does. */
export function repeated(word: ByteString, bytesMax = REPEATED_BYTES): ByteString {
  const [head = ""] = word.slice(0, bytesMax).split("\0", 1);
  return head;
}

/** Returns the 64-bit integer that `word` is, or the reply that says it is none. */
export function integerOf(word: ByteString): bigint | ErrorReply {
  return parseInteger(word) ?? new ErrorReply("ERR", NOT_AN_INTEGER);
}

/** Returns an evaluation that changes nothing. */
export function unchanged(value: RespValue): Evaluation {
  return { effects: [], reply: value };
}

/** Returns the effect of another value for a key that keeps its time to live. */
export function rewritten(
  key: ByteString,
  value: ByteString,
  by: { readonly old: KeyRecord | undefined; readonly events: ByteString },
): Effect {
  return { ...effectOf(key, value, by.old?.expiresAtMs), events: by.events };
}

/** Returns the effect that gives `key` a value, until `expiresAtMs` or for good. */
export function effectOf(
  key: ByteString,
  value: ByteString,
  expiresAtMs: number | undefined,
): Effect {
  return expiresAtMs === undefined ? { key, value } : { key, value, expiresAtMs };
}

/** A write of one key that depends on what the key holds. */
export function change(
  key: ByteString,
  evaluate: (old: KeyRecord | undefined, facts: KeyFacts) => Evaluation,
): CommandResult {
  return {
    request: {
      kind: "write",
      keys: [key],
      evaluate: (_read, facts) => evaluate(facts.recordOf(key), facts),
    },
  };
}

/** A read of one key. */
export function look(
  key: ByteString,
  evaluate: (value: ByteString | undefined) => RespValue,
): CommandResult {
  return { request: { kind: "read", keys: [key], evaluate: (read) => evaluate(read(key)) } };
}

/** A write that does not depend on the old value: the most frequent one, in one small object. */
export class BlindWrite implements WriteRequest, Evaluation {
  readonly kind = "write";
  readonly reply = OK;

  constructor(readonly keys: readonly ByteString[], readonly effects: readonly Effect[]) {}

  evaluate(): Evaluation {
    return this;
  }
}
