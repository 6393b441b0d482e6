/**
 * What commands have in common: replies, and errors in Redis's words.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { ErrorReply, OK, type RespValue } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import type { Evaluation, WriteRequest } from "../../two_phase/request.ts";
import type { CommandResult } from "./command.ts";

export const REPLY_OK: CommandResult = { reply: OK };

export function reply(value: RespValue): CommandResult {
  return { reply: value };
}

export function error(message: string): CommandResult {
  return { reply: new ErrorReply("ERR", message) };
}

export function wrongArity(name: string): ErrorReply {
  return new ErrorReply("ERR", `wrong number of arguments for '${name}' command`);
}

export function unknownCommand(words: readonly ByteString[]): ErrorReply {
  const [name = "", ...args] = words;
  const shown = args.slice(0, 8).map((word) => quote(word, 32)).join(" ");
  return new ErrorReply(
    "ERR",
    `unknown command ${quote(name)}, with args beginning with: ${shown}`,
  );
}

export function unknownSubcommand(name: string, subcommand: ByteString): ErrorReply {
  return new ErrorReply("ERR", `unknown subcommand ${quote(subcommand)} of ${name.toUpperCase()}`);
}

/** A write that needs not know what was there before: the most frequent one, in one small object. */
export class BlindWrite implements WriteRequest, Evaluation {
  readonly kind = "write";
  readonly reply = OK;

  constructor(readonly keys: readonly ByteString[], readonly effects: readonly Effect[]) {}

  evaluate(): Evaluation {
    return this;
  }
}
