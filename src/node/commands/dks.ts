/**
 * Commands that Redis does not have.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { KEYS_PER_COMMAND_MAX, TOKEN_BYTES_MAX } from "../../limits.ts";
import { error, reply, wrongArity } from "./arguments.ts";
import {
  type CommandResult,
  type CommandRow,
  type CommandTable,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { once } from "./once.ts";

/** DKS.ONCE token command…: a write that takes effect once for its token. */
function onceCommand(
  table: CommandTable,
  words: readonly ByteString[],
  session: Session,
): CommandResult {
  const [, token = "", ...command] = words;
  if (token.length === 0 || token.length > TOKEN_BYTES_MAX) {
    return error(`a token has 1 to ${TOKEN_BYTES_MAX} bytes, not ${token.length}`);
  }
  const inner = table.find(command);
  if (inner?.run === undefined || inner.order !== "write" || inner.wraps !== undefined) {
    return error(`DKS.ONCE takes a command that writes, not ${quote(command[0] ?? "")}`);
  }
  const result = inner.run(command, session);
  if (!("request" in result) || result.request.kind !== "write") return result;
  if (result.request.keys.length >= KEYS_PER_COMMAND_MAX) {
    // The token is a key too, and peers accept no transaction with more keys.
    return error(`more than ${KEYS_PER_COMMAND_MAX - 1} keys in one command with a token`);
  }
  return { request: once(result.request, { token, command, nowMs: session.node.nowMs() }) };
}

function status(_words: readonly ByteString[], { node }: Session): CommandResult {
  return reply(node.status());
}

function outcome([, transaction = ""]: readonly ByteString[], { node }: Session): CommandResult {
  return { later: node.outcome(transaction) };
}

/**
 * DKS.EXPORT starts an export of all keys, DKS.EXPORT id returns the next keys and their values.
 */
function exportCommand(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, id] = words;
  if (words.length > 2) return { reply: wrongArity("dks.export") };
  return { later: id === undefined ? node.beginExport() : node.nextOfExport(id) };
}

/** What all commands of this family have. */
const ROW = { group: "dks", categories: [], keys: NO_KEYS, since: "0.1.0" } as const;

/** @param table all commands: DKS.ONCE carries one of them */
export function dksCommands(table: CommandTable): readonly CommandRow[] {
  return [
    {
      ...ROW,
      name: "dks.once",
      arity: -4,
      flags: ["write", "denyoom", "movablekeys"],
      wraps: 2,
      summary: "Executes a write once for its token, however often it is sent",
      syntax: "token command [arg [arg ...]]",
      run: (words, session) => onceCommand(table, words, session),
    },
    {
      ...ROW,
      name: "dks.status",
      arity: 1,
      flags: ["loading", "stale"],
      summary: "Returns the cluster as the node sees it, as JSON",
      syntax: "",
      run: status,
    },
    {
      ...ROW,
      name: "dks.export",
      arity: -1,
      flags: ["readonly"],
      categories: ["keyspace", "dangerous"],
      summary: "Starts an export of all keys as they are at one moment, or returns its next part",
      syntax: "[id]",
      run: exportCommand,
    },
    {
      ...ROW,
      name: "dks.outcome",
      arity: 2,
      flags: ["readonly"],
      summary: "Returns how a transaction ended",
      syntax: "transaction",
      run: outcome,
    },
  ];
}
