/**
 * CLIENT: the connections of this node, and what each is to be like.
 *
 * @module
 */

import { type ByteString, fromText } from "../../byte_string.ts";
import { ErrorReply, Replies, VerbatimString } from "../../resp/value.ts";
import { error, errorRepeating, repeated, reply, REPLY_OK, tooManyWords } from "./arguments.ts";
import {
  type CommandFlag,
  type CommandHost,
  type CommandResult,
  type CommandRow,
  type CommandTable,
  featuresOf,
  NO_KEYS,
  type Session,
  SUBSCRIPTION_KINDS,
} from "./command.ts";
import { withHelp } from "./help.ts";
import { NOT_AN_INTEGER, parseInteger } from "./integers.ts";
import { SYNTAX_ERROR } from "./set_options.ts";
import { TRACKING } from "./tracking.ts";

/** The longest pause, in milliseconds: what a timer can wait for. */
const PAUSE_MS_MAX = 2 ** 31 - 1;

/** Nothing at all: the reply of a client that wants none. */
const NO_REPLY: CommandResult = reply(new Replies([]));

// --- What a client is like -----------------------------------------------------------------------

const BAD_NAME = "Client names cannot contain spaces, newlines or special characters.";

/** Tells whether a client may be called so. */
function isName(name: ByteString): boolean {
  return !/[^\x21-\x7e]/.test(name);
}

/** Returns the error for a name that no client may have; `undefined` for any other. */
export function whyNotName(name: ByteString): ErrorReply | undefined {
  return isName(name) ? undefined : new ErrorReply("ERR", BAD_NAME);
}

function setName([, , name = ""]: readonly ByteString[], session: Session): CommandResult {
  const refusal = whyNotName(name);
  if (refusal !== undefined) return { reply: refusal };
  session.name = name;
  return REPLY_OK;
}

/** CLIENT SETINFO <LIB-NAME name | LIB-VER version> */
function setInfo(
  [, , what = "", value = ""]: readonly ByteString[],
  session: Session,
): CommandResult {
  const field = what.toLowerCase();
  if (field !== "lib-name" && field !== "lib-ver") {
    return { reply: errorRepeating(`Unrecognized option '${repeated(what, Infinity)}'`) };
  }
  if (!isName(value)) {
    return error(`${field} cannot contain spaces, newlines or special characters.`);
  }
  if (field === "lib-name") session.libraryName = value;
  else session.libraryVersion = value;
  return REPLY_OK;
}

type Run = Required<CommandRow>["run"];

/** CLIENT NO-EVICT and NO-TOUCH: nothing is evicted here, and nothing touched; so it is only noted. */
function noting(set: (session: Session, isOn: boolean) => void): Run {
  return ([, , word = ""], session) => {
    const choice = word.toLowerCase();
    if (choice !== "on" && choice !== "off") return { reply: SYNTAX_ERROR };
    set(session, choice === "on");
    return REPLY_OK;
  };
}

/** CLIENT REPLY <ON | OFF | SKIP>: the gate has what follows go without a reply. */
function setReply([, , word = ""]: readonly ByteString[], session: Session): CommandResult {
  const { features } = session;
  switch (word.toLowerCase()) {
    case "on":
      if (features !== undefined) features.silence = undefined;
      return REPLY_OK;
    case "off":
      featuresOf(session).silence = "all";
      return NO_REPLY;
    case "skip":
      featuresOf(session).silence ??= "next";
      return NO_REPLY;
    default:
      if (features?.silence === undefined) return { reply: SYNTAX_ERROR };
      if (features.silence === "next") features.silence = undefined;
      return NO_REPLY;
  }
}

// --- All clients -----------------------------------------------------------------------------------

const TYPES: readonly string[] = ["normal", "master", "replica", "slave", "pubsub"];

function typeOf(session: Session): string {
  return countOf(session) > 0 ? "pubsub" : "normal";
}

/** How many subscriptions a client has. */
function countOf({ features }: Session): number {
  const subscriptions = features?.subscriptions;
  if (subscriptions === undefined) return 0;
  return SUBSCRIPTION_KINDS.reduce((sum, kind) => sum + subscriptions[kind].size, 0);
}

function isOfType(session: Session, type: string): boolean {
  return typeOf(session) === type.toLowerCase();
}

function flagsOf(session: Session): string {
  const { features, isClosing } = session;
  const tracking = features?.tracking;
  const flags = [
    countOf(session) > 0 ? "P" : "",
    features?.transaction?.isQueueing === true ? "x" : "",
    features?.isMonitor === true ? "O" : "",
    tracking !== undefined ? "t" : "",
    tracking?.redirect?.isClosing === true ? "R" : "",
    tracking?.isBroadcast === true ? "B" : "",
    session.isNoEvict ? "e" : "",
    session.isNoTouch ? "T" : "",
    isClosing ? "c" : "",
  ].join("");
  return flags === "" ? "N" : flags;
}

/** Returns the line of a client in CLIENT LIST; figures that dks does not have are left out. */
export function lineOf(session: Session, table: CommandTable): ByteString {
  const { features, connection, node } = session;
  const { subscriptions, transaction, tracking } = features ?? {};
  const { inputBytes, outputBytes } = connection;
  const queuedBytes = transaction?.bytes ?? 0;
  const seconds = (sinceMs: number) => Math.max(0, Math.floor((node.nowMs() - sinceMs) / 1000));
  const fields: readonly (readonly [string, string | number])[] = [
    ["id", session.id],
    ["addr", connection.address],
    ["laddr", connection.localAddress],
    ["name", session.name],
    ["age", seconds(connection.connectedAtMs)],
    ["idle", seconds(connection.usedAtMs)],
    ["flags", flagsOf(session)],
    ["db", 0],
    ["sub", subscriptions?.channel.size ?? 0],
    ["psub", subscriptions?.pattern.size ?? 0],
    ["ssub", subscriptions?.shard.size ?? 0],
    ["multi", transaction?.isQueueing === true ? transaction.queued : -1],
    ["multi-mem", queuedBytes],
    ["omem", outputBytes],
    ["tot-mem", inputBytes + queuedBytes + outputBytes],
    ["cmd", table.withIndex(session.lastCommand)?.name ?? "NULL"],
    ["user", session.user],
    ["redir", tracking === undefined ? -1 : tracking.redirect?.id ?? 0],
    ["resp", session.version],
    ["lib-name", session.libraryName],
    ["lib-ver", session.libraryVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(" ") + "\n";
}

/** CLIENT LIST [TYPE type | ID id [id ...]] */
function list(
  table: CommandTable,
  words: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const [, , option, ...values] = words;
  const all = [...node.sessions()].sort((a, b) => a.id - b.id);
  const text = (chosen: readonly Session[]) =>
    reply(new VerbatimString(chosen.map((one) => lineOf(one, table)).join("")));
  if (option === undefined) return text(all);
  const [first = ""] = values;
  if (option.toLowerCase() === "type" && values.length === 1) {
    if (!TYPES.includes(first.toLowerCase())) return { reply: unknownType(first) };
    return text(all.filter((one) => isOfType(one, first)));
  }
  if (option.toLowerCase() !== "id" || values.length === 0) return { reply: SYNTAX_ERROR };
  const ids = new Set(values.map(parseInteger));
  if (ids.has(undefined)) return error("Invalid client ID");
  return text(all.filter(({ id }) => ids.has(BigInt(id))));
}

function unknownType(type: ByteString): ErrorReply {
  return errorRepeating(`Unknown client type '${repeated(type, Infinity)}'`);
}

function idOf(word: ByteString): number | undefined {
  const value = parseInteger(word);
  return value === undefined || value <= 0n ? undefined : Number(value);
}

/** A condition on clients, or the error for one that there is not. */
type Filter = ((session: Session) => boolean) | ErrorReply;

function filterOf(option: string, value: ByteString, { access }: CommandHost): Filter {
  switch (option) {
    case "id": {
      const id = idOf(value);
      return id === undefined
        ? new ErrorReply("ERR", "client-id should be greater than 0")
        : (one) => one.id === id;
    }
    case "maxage": {
      const seconds = idOf(value);
      return seconds === undefined
        ? new ErrorReply("ERR", "maxage is not an integer or out of range")
        : ({ connection, node }) => node.nowMs() - connection.connectedAtMs >= 1000 * seconds;
    }
    case "type":
      return TYPES.includes(value.toLowerCase())
        ? (one) => isOfType(one, value)
        : unknownType(value);
    case "addr":
      return ({ connection }) => connection.address === value;
    case "laddr":
      return ({ connection }) => connection.localAddress === value;
    case "user":
      return access.has(value)
        ? ({ user }) => user === value
        : errorRepeating(`No such user '${repeated(value, Infinity)}'`);
    default:
      return SYNTAX_ERROR;
  }
}

/** CLIENT KILL address, or with conditions that all hold. */
function kill(words: readonly ByteString[], session: Session): CommandResult {
  if (words.length === 3) {
    const [, , address] = words;
    const found = [...session.node.sessions()].find((one) => one.connection.address === address);
    if (found === undefined) return error("No such client");
    end(found, session);
    return REPLY_OK;
  }
  const options = words.slice(2);
  if (options.length % 2 !== 0) return { reply: SYNTAX_ERROR };
  const filters: ((session: Session) => boolean)[] = [];
  let isSkippingSelf = true;
  for (let at = 0; at < options.length; at += 2) {
    const option = (options[at] ?? "").toLowerCase();
    const value = options[at + 1] ?? "";
    if (option === "skipme") {
      const choice = value.toLowerCase();
      if (choice !== "yes" && choice !== "no") return { reply: SYNTAX_ERROR };
      isSkippingSelf = choice === "yes";
      continue;
    }
    const filter = filterOf(option, value, session.node);
    if (filter instanceof ErrorReply) return { reply: filter };
    filters.push(filter);
  }
  const killed = [...session.node.sessions()].filter((one) =>
    !(isSkippingSelf && one === session) && filters.every((holds) => holds(one))
  );
  for (const one of killed) end(one, session);
  return reply(killed.length);
}

/** Closes a connection; that of the client itself behind the reply. */
function end(session: Session, self: Session): void {
  if (session === self) session.isClosing = true;
  else session.connection.close();
}

/** CLIENT PAUSE timeout [WRITE | ALL] */
function pause(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, , timeout = "", mode = "all", ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  const choice = mode.toLowerCase();
  if (choice !== "all" && choice !== "write") {
    return error("CLIENT PAUSE mode must be WRITE or ALL");
  }
  const ms = parseInteger(timeout);
  if (ms === undefined) return error("timeout is not an integer or out of range");
  if (ms < 0n) return error("timeout is negative");
  if (ms > BigInt(PAUSE_MS_MAX)) return error("timeout is out of range");
  node.pauseClients(choice === "all" ? "all" : "writes", Number(ms));
  return REPLY_OK;
}

/** CLIENT UNBLOCK id [TIMEOUT | ERROR]: no command of dks blocks, so nobody ever is. */
function unblock(words: readonly ByteString[]): CommandResult {
  const [, , id = "", mode = "timeout", ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  if (!["timeout", "error"].includes(mode.toLowerCase())) {
    return error("CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  return parseInteger(id) === undefined ? error(NOT_AN_INTEGER) : reply(0);
}

/** Answered by the node at once, in whatever state it is. */
const ALWAYS: readonly CommandFlag[] = ["noscript", "loading", "stale"];
const ADMIN: readonly CommandFlag[] = ["admin", ...ALWAYS];

/** What all commands of this family have. */
const ROW = { group: "connection", categories: ["connection"], keys: NO_KEYS } as const;

function rows(table: CommandTable): readonly CommandRow[] {
  return [
    {
      ...ROW,
      name: "client|id",
      arity: 2,
      flags: ALWAYS,
      summary: "Returns the id of the connection",
      syntax: "",
      since: "5.0.0",
      run: (_words, { id }) => reply(id),
    },
    {
      ...ROW,
      name: "client|getname",
      arity: 2,
      flags: ALWAYS,
      summary: "Returns the name of the connection",
      syntax: "",
      since: "2.6.9",
      run: (_words, { name }) => reply(name === "" ? null : name),
    },
    {
      ...ROW,
      name: "client|setname",
      arity: 3,
      flags: ALWAYS,
      summary: "Sets the name of the connection",
      syntax: "connection-name",
      since: "2.6.9",
      run: setName,
    },
    {
      ...ROW,
      name: "client|setinfo",
      arity: 4,
      flags: ALWAYS,
      summary: "Notes the client's library, for CLIENT LIST",
      syntax: "<LIB-NAME libname | LIB-VER libver>",
      since: "7.2.0",
      run: setInfo,
    },
    {
      ...ROW,
      name: "client|info",
      arity: 2,
      flags: ALWAYS,
      summary: "Describes the connection, as CLIENT LIST does",
      syntax: "",
      since: "6.2.0",
      run: (_words, session) => reply(new VerbatimString(lineOf(session, table))),
    },
    {
      ...ROW,
      name: "client|list",
      arity: -2,
      flags: ADMIN,
      summary: "Describes the connections of this node, a line each",
      syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
      since: "2.4.0",
      differs: "without `fd` and what Redis's buffers hold",
      run: (words, session) => list(table, words, session),
    },
    {
      ...ROW,
      name: "client|kill",
      arity: -3,
      flags: ADMIN,
      summary: "Closes connections of this node",
      syntax: "<ip:port | <[ID client-id] | [TYPE type] | [USER username] | [ADDR ip:port] | " +
        "[LADDR ip:port] | [SKIPME yes/no] | [MAXAGE maxage] ...>>",
      since: "2.4.0",
      run: kill,
    },
    {
      ...ROW,
      name: "client|pause",
      arity: -3,
      flags: ADMIN,
      summary: "Holds back the commands of this node's clients, or their writes",
      syntax: "timeout [WRITE | ALL]",
      since: "3.0.0",
      differs: "at this node only: other nodes go on",
      run: pause,
    },
    {
      ...ROW,
      name: "client|unpause",
      arity: 2,
      flags: ADMIN,
      summary: "Ends what CLIENT PAUSE has begun",
      syntax: "",
      since: "6.2.0",
      run: (_words, { node }) => {
        node.unpauseClients();
        return REPLY_OK;
      },
    },
    {
      ...ROW,
      name: "client|unblock",
      arity: -3,
      flags: ADMIN,
      summary: "Returns 0: no command blocks",
      syntax: "client-id [TIMEOUT | ERROR]",
      since: "5.0.0",
      run: unblock,
    },
    {
      ...ROW,
      name: "client|reply",
      arity: 3,
      flags: ALWAYS,
      inMulti: "runs",
      summary: "Says whether the client gets replies",
      syntax: "<ON | OFF | SKIP>",
      since: "3.2.0",
      differs:
        "between MULTI and EXEC it takes effect at once: Redis queues it, and then replies to EXEC " +
        "with an array that lacks elements",
      run: setReply,
    },
    {
      ...ROW,
      name: "client|no-evict",
      arity: 3,
      flags: ADMIN,
      summary: "Is noted: dks evicts no clients",
      syntax: "<ON | OFF>",
      since: "7.0.0",
      run: noting((session, isOn) => session.isNoEvict = isOn),
    },
    {
      ...ROW,
      name: "client|no-touch",
      arity: 3,
      flags: ALWAYS,
      summary: "Is noted: dks keeps no times of access",
      syntax: "<ON | OFF>",
      since: "7.2.0",
      run: noting((session, isOn) => session.isNoTouch = isOn),
    },
    ...TRACKING,
  ];
}

/** CLIENT, with the names of all commands from `table`. */
export function clientCommand(table: CommandTable): CommandRow {
  return {
    ...ROW,
    name: "client",
    categories: [],
    arity: -2,
    flags: [],
    summary: "Commands about connections",
    syntax: "subcommand",
    since: "2.4.0",
    subcommands: withHelp("client", rows(table)),
  };
}

/** Returns an address and a port as CLIENT LIST shows them. */
export function shownAddress(address: { hostname: string; port: number } | undefined): ByteString {
  if (address === undefined) return "?:0";
  const { hostname, port } = address;
  return fromText(hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`);
}
