/**
 * The commands: name, number of words, flags, and what each one asks of the protocol.
 *
 * A handler turns words into an immediate reply, or into a request for the replica. It has no effects
 * of its own, so it can be tested without a node. Arity is as in Redis: the number of words with the
 * name, or at least that many where it is negative.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { isReserved, RESERVED_PREFIX } from "../../reserved_keys.ts";
import { KEYS_PER_COMMAND_MAX, TOKEN_BYTES_MAX } from "../../limits.ts";
import { ErrorReply, OK, type RespValue, SimpleString } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import type { Evaluation, KeyReader, Request, WriteRequest } from "../../two_phase/request.ts";
import { once } from "./once.ts";

/** What a connection knows of its client, and what a command may ask of the node. */
export interface Session {
  readonly id: number;
  name: ByteString;
  version: 2 | 3;
  /** Set by QUIT: the connection is closed behind the reply. */
  isClosing: boolean;
  readonly node: CommandHost;
}

/** What commands tell of the node. */
export interface CommandHost {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** Returns the text of INFO: of these sections, or of all. */
  info(sections: readonly string[]): string;
  /** Returns the JSON of DKS.STATUS. */
  status(): string;
  /** Returns the time of day in milliseconds. */
  nowMs(): number;
  /** Begins an export: an id and the number of keys are the reply. */
  beginExport(): Promise<RespValue>;
  /** Returns the next keys and values of an export. */
  nextOfExport(id: ByteString): Promise<RespValue>;
  /** Finds out how the transaction of this name ended. */
  outcome(transaction: string): Promise<RespValue>;
}

/** What a command comes to: a reply at once or later, or a request whose outcome is the reply. */
export type CommandResult =
  | { readonly reply: RespValue }
  | { readonly later: Promise<RespValue> }
  | { readonly request: Request };

/** What a command does: `admin` ones are answered by the node alone. */
export type CommandFlag = "read" | "write" | "admin";

/** One command. */
export interface Command {
  readonly name: string;
  readonly arity: number;
  readonly flag: CommandFlag;
  /** First key, last key (negative: from the end), step between keys; all 0 without keys. */
  readonly keys: readonly [first: number, last: number, step: number];
  readonly run: (words: readonly ByteString[], session: Session) => CommandResult;
}

const NO_KEYS: Command["keys"] = [0, 0, 0];
const ONE_KEY: Command["keys"] = [1, 1, 1];
const ALL_KEYS: Command["keys"] = [1, -1, 1];
const KEY_VALUE_PAIRS: Command["keys"] = [1, -1, 2];

/** The version of Redis whose protocol and error texts this follows. */
export const REDIS_VERSION = "7.0.15";

function error(message: string): CommandResult {
  return { reply: new ErrorReply("ERR", message) };
}

function reply(value: RespValue): CommandResult {
  return { reply: value };
}

// --- Keys and values ---------------------------------------------------------------------------

/** A read of one key whose reply is the value itself. */
function get([, key = ""]: readonly ByteString[]): CommandResult {
  return { request: { kind: "read", keys: [key], evaluate: (read) => read(key) ?? null } };
}

const REPLY_OK: { readonly reply: RespValue } = { reply: OK };

function set(words: readonly ByteString[]): CommandResult {
  const [, key = "", value = "", ...options] = words;
  if (options.length > 0) return setWithOptions(key, value, options);
  return { request: new BlindWrite([key], [{ key, value }]) };
}

/** A write that needs not know what was there before: the most frequent one, in one small object. */
class BlindWrite implements WriteRequest, Evaluation {
  readonly kind = "write";
  readonly reply = OK;

  constructor(readonly keys: readonly ByteString[], readonly effects: readonly Effect[]) {}

  evaluate(): Evaluation {
    return this;
  }
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
  if (words.length % 2 !== 0) return wrongArity("mset");
  const values = new Map<ByteString, ByteString>();
  for (let i = 0; i < words.length; i += 2) values.set(words[i] ?? "", words[i + 1] ?? "");
  const effects = Array.from(values, ([key, value]) => ({ key, value }));
  return { request: new BlindWrite([...values.keys()], effects) };
}

/** EXISTS counts a key as often as it is named. */
function exists([, ...keys]: readonly ByteString[]): CommandResult {
  const count = (read: KeyReader) => keys.filter((key) => read(key) !== undefined).length;
  return { request: { kind: "read", keys: [...new Set(keys)], evaluate: count } };
}

function strlen([, key = ""]: readonly ByteString[]): CommandResult {
  return {
    request: { kind: "read", keys: [key], evaluate: (read) => read(key)?.length ?? 0 },
  };
}

function dbsize(): CommandResult {
  return { request: { kind: "barrier", isExact: false, evaluate: (store) => store.size } };
}

/** DKS.ONCE token command…: a write that takes effect once for its token. */
function onceCommand(words: readonly ByteString[], session: Session): CommandResult {
  const [, token = "", ...command] = words;
  if (token.length === 0 || token.length > TOKEN_BYTES_MAX) {
    return error(`a token has 1 to ${TOKEN_BYTES_MAX} bytes, not ${token.length}`);
  }
  const [name = ""] = command;
  const inner = findCommand(name);
  if (inner !== undefined && (inner.flag !== "write" || inner.run === onceCommand)) {
    return error(`DKS.ONCE takes a command that writes, not ${quote(name)}`);
  }
  const result = runCommand(inner, command, session);
  if (!("request" in result) || result.request.kind !== "write") return result;
  if (result.request.keys.length >= KEYS_PER_COMMAND_MAX) {
    // The token is a key too, and peers take no transaction of more.
    return error(`more than ${KEYS_PER_COMMAND_MAX - 1} keys in one command with a token`);
  }
  return { request: once(result.request, { token, command, nowMs: session.node.nowMs() }) };
}

// --- The connection ----------------------------------------------------------------------------

const PONG = new SimpleString("PONG");

function ping(words: readonly ByteString[]): CommandResult {
  if (words.length > 2) return wrongArity("ping");
  return reply(words[1] ?? PONG);
}

function echo([, message = ""]: readonly ByteString[]): CommandResult {
  return reply(message);
}

function select([, index = ""]: readonly ByteString[]): CommandResult {
  if (!/^-?\d+$/.test(index)) return error("value is not an integer or out of range");
  return index === "0" ? REPLY_OK : error("DB index is out of range");
}

function quit(_words: readonly ByteString[], session: Session): CommandResult {
  session.isClosing = true;
  return REPLY_OK;
}

/** HELLO [version [AUTH user password] [SETNAME name]] */
function hello(words: readonly ByteString[], session: Session): CommandResult {
  const [, versionWord, ...options] = words;
  let { version, name } = session;
  if (versionWord !== undefined) {
    if (versionWord !== "2" && versionWord !== "3") {
      return { reply: new ErrorReply("NOPROTO", "unsupported protocol version") };
    }
    version = versionWord === "2" ? 2 : 3;
  }
  for (let i = 0; i < options.length;) {
    const option = (options[i] ?? "").toUpperCase();
    const value = options[i + 1];
    if (option === "AUTH" && options.length >= i + 3) return noPassword();
    if (option !== "SETNAME" || value === undefined) {
      return error(`Syntax error in HELLO option ${quote(options[i] ?? "")}`);
    }
    name = value;
    i += 2;
  }
  session.version = version;
  session.name = name;
  return reply(
    new Map<RespValue, RespValue>([
      ["server", "redis"],
      ["version", REDIS_VERSION],
      ["proto", version],
      ["id", session.id],
      ["mode", "standalone"],
      ["role", "master"],
      ["modules", []],
    ]),
  );
}

function noPassword(): CommandResult {
  return error("AUTH called, but dks has no passwords: keep its port inside a trusted network");
}

function client(words: readonly ByteString[], session: Session): CommandResult {
  const subcommand = (words[1] ?? "").toUpperCase();
  switch (subcommand) {
    case "ID":
      return reply(session.id);
    case "GETNAME":
      return reply(session.name === "" ? null : session.name);
    case "SETNAME":
      if (words.length !== 3) return wrongArity("client|setname");
      if (/[^\x21-\x7e]/.test(words[2] ?? "")) {
        return error("Client names cannot contain spaces, newlines or special characters.");
      }
      session.name = words[2] ?? "";
      return REPLY_OK;
    case "SETINFO":
      return words.length === 4 ? REPLY_OK : wrongArity("client|setinfo");
    default:
      return unknownSubcommand("CLIENT", words[1] ?? "");
  }
}

// --- The server --------------------------------------------------------------------------------

/** What clients and tools ask for before they begin; nothing here can be set. */
function configParameters(session: Session): Map<string, string> {
  return new Map([
    ["appendonly", "no"],
    ["databases", "1"],
    ["maxmemory", "0"],
    ["proto-max-bulk-len", String(session.node.valueBytesMax)],
    ["save", ""],
    ["timeout", "0"],
  ]);
}

function config(words: readonly ByteString[], session: Session): CommandResult {
  if ((words[1] ?? "").toUpperCase() !== "GET") return unknownSubcommand("CONFIG", words[1] ?? "");
  if (words.length < 3) return wrongArity("config|get");
  const patterns = words.slice(2).map(globToRegExp);
  const found = [...configParameters(session)].filter(([name]) =>
    patterns.some((pattern) => pattern.test(name))
  );
  return reply(new Map<RespValue, RespValue>(found));
}

/** Returns the regular expression for a pattern with `*` and `?`, in any case of letters. */
function globToRegExp(pattern: ByteString): RegExp {
  const source = pattern.replaceAll(
    /[\\^$.|?*+()[\]{}]/g,
    (sign) => sign === "*" ? ".*" : sign === "?" ? "." : `\\${sign}`,
  );
  return new RegExp(`^${source}$`, "i");
}

function info(words: readonly ByteString[], session: Session): CommandResult {
  return reply(session.node.info(words.slice(1).map((word) => word.toLowerCase())));
}

function status(_words: readonly ByteString[], session: Session): CommandResult {
  return reply(session.node.status());
}

function outcome([, transaction = ""]: readonly ByteString[], session: Session): CommandResult {
  return { later: session.node.outcome(transaction) };
}

/** DKS.EXPORT begins an export of all keys, DKS.EXPORT id returns the next ones and their values. */
function exportCommand(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, id] = words;
  if (words.length > 2) return wrongArity("dks.export");
  return { later: id === undefined ? node.beginExport() : node.nextOfExport(id) };
}

function commandCommand(words: readonly ByteString[]): CommandResult {
  const subcommand = (words[1] ?? "").toUpperCase();
  switch (subcommand) {
    case "":
      return reply([...COMMANDS.values()].map(describe));
    case "COUNT":
      return reply(COMMANDS.size);
    case "LIST":
      return reply([...COMMANDS.keys()]);
    case "DOCS":
      return reply(new Map());
    case "INFO": {
      const names = words.length > 2 ? words.slice(2) : [...COMMANDS.keys()];
      return reply(names.map((name) => {
        const command = COMMANDS.get(name.toLowerCase());
        return command === undefined ? null : describe(command);
      }));
    }
    default:
      return unknownSubcommand("COMMAND", words[1] ?? "");
  }
}

function describe(command: Command): RespValue {
  const flag = command.flag === "read" ? "readonly" : command.flag;
  return [command.name, command.arity, [new SimpleString(flag)], ...command.keys];
}

// --- The table ---------------------------------------------------------------------------------

function wrongArity(name: string): CommandResult {
  return error(`wrong number of arguments for '${name}' command`);
}

function unknownSubcommand(name: string, subcommand: ByteString): CommandResult {
  return error(`unknown subcommand ${quote(subcommand)} of ${name}`);
}

type Row = readonly [
  name: string,
  arity: number,
  flag: CommandFlag,
  keys: Command["keys"],
  run: Command["run"],
];

const TABLE: readonly Row[] = [
  ["get", 2, "read", ONE_KEY, get],
  ["set", -3, "write", ONE_KEY, set],
  ["put", -3, "write", ONE_KEY, set],
  ["del", -2, "write", ALL_KEYS, del],
  ["delete", -2, "write", ALL_KEYS, del],
  ["mget", -2, "read", ALL_KEYS, mget],
  ["mset", -3, "write", KEY_VALUE_PAIRS, mset],
  ["exists", -2, "read", ALL_KEYS, exists],
  ["strlen", 2, "read", ONE_KEY, strlen],
  ["dbsize", 1, "read", NO_KEYS, dbsize],
  ["ping", -1, "admin", NO_KEYS, ping],
  ["echo", 2, "admin", NO_KEYS, echo],
  ["select", 2, "admin", NO_KEYS, select],
  ["quit", -1, "admin", NO_KEYS, quit],
  ["hello", -1, "admin", NO_KEYS, hello],
  ["auth", -2, "admin", NO_KEYS, noPassword],
  ["client", -2, "admin", NO_KEYS, client],
  ["command", -1, "admin", NO_KEYS, commandCommand],
  ["config", -2, "admin", NO_KEYS, config],
  ["info", -1, "admin", NO_KEYS, info],
  // Its keys stand where those of its command do; `onceCommand` has them checked.
  ["dks.once", -4, "write", NO_KEYS, onceCommand],
  ["dks.status", 1, "admin", NO_KEYS, status],
  ["dks.export", -1, "read", NO_KEYS, exportCommand],
  ["dks.outcome", 2, "read", NO_KEYS, outcome],
];

/** All commands by name, in lower case. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map(
  TABLE.map(([name, arity, flag, keys, run]) => [name, { name, arity, flag, keys, run }]),
);

/** Returns the command that `word` names, in any case of letters. */
export function findCommand(word: ByteString): Command | undefined {
  return COMMANDS.get(word) ?? COMMANDS_IN_CAPITALS.get(word) ?? COMMANDS.get(word.toLowerCase());
}

const COMMANDS_IN_CAPITALS: ReadonlyMap<string, Command> = new Map(
  Array.from(COMMANDS.values(), (command) => [command.name.toUpperCase(), command]),
);

/**
 * Returns what the command in `words` comes to, or an error: an unknown command, a wrong number of
 * words, a key or a value over the limit.
 */
export function runCommand(
  command: Command | undefined,
  words: readonly ByteString[],
  session: Session,
): CommandResult {
  if (command === undefined) return unknownCommand(words);
  const { arity, name } = command;
  if (arity >= 0 ? words.length !== arity : words.length < -arity) return wrongArity(name);
  return findBadWord(command, words, session) ?? command.run(words, session);
}

function unknownCommand(words: readonly ByteString[]): CommandResult {
  const [name = "", ...args] = words;
  const shown = args.slice(0, 8).map((word) => quote(word, 32)).join(" ");
  return error(`unknown command ${quote(name)}, with args beginning with: ${shown}`);
}

/** A key or a value that is too large, or a key that is not for users. */
function findBadWord(
  command: Command,
  words: readonly ByteString[],
  session: Session,
): CommandResult | undefined {
  const [first, last, step] = command.keys;
  if (step === 0) return undefined;
  const { keyBytesMax, valueBytesMax } = session.node;
  const end = last < 0 ? words.length + last : last;
  if ((end - first) / step >= KEYS_PER_COMMAND_MAX) {
    return error(`more than ${KEYS_PER_COMMAND_MAX} keys in one command`);
  }
  for (let i = first; i < words.length; i++) {
    const isKey = i <= end && (i - first) % step === 0;
    const max = isKey ? keyBytesMax : valueBytesMax;
    const { length } = words[i] ?? "";
    if (length > max) {
      return error(`${isKey ? "key" : "value"} of ${length} bytes, at most ${max} are allowed`);
    }
    if (isKey && isReserved(words[i] ?? "")) {
      return error(`keys that begin with ${quote(RESERVED_PREFIX)} are kept for dks itself`);
    }
  }
  return undefined;
}
