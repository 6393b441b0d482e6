/**
 * Commands that Redis does not have.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { KEYS_PER_COMMAND_MAX, TOKEN_BYTES_MAX } from "../../limits.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import {
  BlindWrite,
  change,
  effectOf,
  error,
  integerOf,
  readRecord,
  reply,
  unchanged,
  wrongArity,
} from "./arguments.ts";
import {
  type Command,
  type CommandResult,
  type CommandRow,
  type CommandTable,
  NO_KEYS,
  ONE_KEY,
  type Session,
} from "./command.ts";
import { once } from "./once.ts";
import { expiresAt, parseExpiry, SYNTAX_ERROR, TIME_UNITS } from "./set_options.ts";
import type { WriteRequest } from "../../two_phase/request.ts";

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
  if (inner?.name === "exec") return execOnce(token, session);
  const isFit = inner?.order === "write" && inner.wraps === undefined && !isSecret(inner);
  if (inner?.run === undefined || !isFit) return { reply: notOnce(command) };
  const result = inner.run(command, session);
  if (!("request" in result) || result.request.kind !== "write") return result;
  return writeOnce(result.request, { token, command, session });
}

/**
 * Tells whether a command may have passwords among its words. It is kept out of logs by its own name, so no
 * other command carries it.
 */
export function isSecret({ flags }: Command): boolean {
  return flags.includes("admin") || flags.includes("no_auth");
}

/** The error for a command that DKS.ONCE does not carry. */
export function notOnce([name = ""]: readonly ByteString[]): ErrorReply {
  return new ErrorReply("ERR", `DKS.ONCE takes a command that writes, not ${quote(name)}`);
}

/** DKS.ONCE token EXEC: what was queued since MULTI takes effect once for the token. */
function execOnce(token: ByteString, session: Session): CommandResult {
  const transaction = session.features?.transaction;
  if (transaction?.isQueueing !== true) return error("EXEC without MULTI");
  const all = transaction.executeOnce(session);
  return "reply" in all ? all : writeOnce(all.write, { token, command: all.words, session });
}

function writeOnce(
  write: WriteRequest,
  by: { token: ByteString; command: readonly ByteString[]; session: Session },
): CommandResult {
  const { token, command, session } = by;
  if (write.keys.length >= KEYS_PER_COMMAND_MAX) {
    // The token is a key too, and peers accept no transaction with more keys.
    return error(`more than ${KEYS_PER_COMMAND_MAX - 1} keys in one command with a token`);
  }
  return { request: once(write, { token, command, nowMs: session.node.nowMs() }) };
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

/** DKS.GETV key: the version of a key and its value; 0 and nothing for a key that does not exist. */
function getv([, key = ""]: readonly ByteString[]): CommandResult {
  return readRecord(key, (record) => [record?.version ?? 0, record?.value ?? null]);
}

/** DKS.CAS key version value [PX milliseconds]: the new version, or nothing if there is another one. */
function cas(
  [, key = "", version = "", value = "", ...words]: readonly ByteString[],
): CommandResult {
  const number = integerOf(version);
  if (number instanceof ErrorReply) return { reply: number };
  const [option, time = "", ...more] = words;
  if (option !== undefined && (option.toUpperCase() !== "PX" || words.length < 2)) {
    return { reply: SYNTAX_ERROR };
  }
  if (more.length > 0) return { reply: SYNTAX_ERROR };
  const expiry = option === undefined
    ? undefined
    : parseExpiry(time, { unit: TIME_UNITS.PX, command: "dks.cas" });
  if (expiry instanceof ErrorReply) return { reply: expiry };
  return change(key, (old, facts) => {
    if (BigInt(old?.version ?? 0) !== number) return unchanged(null);
    const expiresAtMs = expiry === undefined ? undefined : expiresAt(expiry, facts.nowMs);
    return { effects: [effectOf(key, value, expiresAtMs)], reply: facts.version };
  });
}

/** DKS.IMPORT key value expiry [key value expiry ...]: in milliseconds since 1970, or nothing for none. */
function importCommand([, ...words]: readonly ByteString[]): CommandResult {
  if (words.length % 3 !== 0) return { reply: wrongArity("dks.import") };
  const effects = new Map<ByteString, Effect>();
  for (let i = 0; i < words.length; i += 3) {
    const [key = "", value = "", time = ""] = words.slice(i, i + 3);
    const expiry = time === ""
      ? undefined
      : parseExpiry(time, { unit: TIME_UNITS.PXAT, command: "dks.import" });
    if (expiry instanceof ErrorReply) return { reply: expiry };
    effects.set(key, effectOf(key, value, expiry?.ms));
  }
  return { request: new BlindWrite([...effects.keys()], [...effects.values()]) };
}

/** What all commands of this family have. */
const ROW = { group: "dks", categories: [], keys: NO_KEYS, since: "0.1.0" } as const;

/** @param table all commands: DKS.ONCE carries one of them */
export function dksCommands(table: CommandTable): readonly CommandRow[] {
  return [
    {
      ...ROW,
      name: "dks.once",
      arity: -3,
      flags: ["write", "movablekeys"],
      wraps: 2,
      summary: "Executes a write once for its token, however often it is sent",
      syntax: "token command [arg [arg ...]]",
      run: (words, session) => onceCommand(table, words, session),
    },
    {
      ...ROW,
      name: "dks.getv",
      arity: 2,
      flags: ["readonly", "fast"],
      keys: ONE_KEY,
      summary: "Returns the version of a key and its value",
      syntax: "key",
      since: "0.2.0",
      run: getv,
    },
    {
      ...ROW,
      name: "dks.cas",
      arity: -4,
      flags: ["write", "denyoom"],
      keys: ONE_KEY,
      summary: "Sets the value of a key that has this version, and returns its new one",
      syntax: "key version value [PX milliseconds]",
      since: "0.2.0",
      run: cas,
    },
    {
      ...ROW,
      name: "dks.import",
      arity: -4,
      flags: ["write", "denyoom"],
      keys: { first: 1, last: -1, step: 3 },
      summary: "Sets values that are good until a moment, or for good, all at once",
      syntax: "key value unix-time-milliseconds [key value unix-time-milliseconds ...]",
      since: "0.2.0",
      run: importCommand,
    },
    {
      ...ROW,
      name: "dks.status",
      arity: 1,
      flags: ["loading", "stale"],
      categories: ["dangerous"],
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
