/**
 * Commands of the connection itself.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply, type RespValue, SimpleString } from "../../resp/value.ts";
import { REDIS_VERSION } from "../../version.ts";
import { auth } from "./acl.ts";
import { whyNotName } from "./clients.ts";
import { NOT_AN_INTEGER, parseInteger } from "./integers.ts";
import { rejected } from "./rejections.ts";
import { isSubscriber, unsubscribeAll } from "./pubsub.ts";
import { stopTracking } from "./tracking.ts";
import { error, errorRepeating, repeated, reply, REPLY_OK, wrongArity } from "./arguments.ts";
import {
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  NO_KEYS,
  type Session,
} from "./command.ts";

const PONG = new SimpleString("PONG");

function ping(words: readonly ByteString[], session: Session): CommandResult {
  if (words.length > 2) return { reply: wrongArity("ping") };
  const reason = session.node.whyLoading();
  if (reason !== undefined) return { reply: rejected({ obstacle: "loading", reason }) };
  if (isSubscriber(session)) return reply(["pong", words[1] ?? ""]);
  return reply(words[1] ?? PONG);
}

function echo([, message = ""]: readonly ByteString[]): CommandResult {
  return reply(message);
}

function select([, index = ""]: readonly ByteString[]): CommandResult {
  const number = parseInteger(index);
  if (number === undefined) return error(NOT_AN_INTEGER);
  if (BigInt.asIntN(32, number) !== number) {
    return error("value is out of range, value must between -2147483648 and 2147483647");
  }
  return number === 0n ? REPLY_OK : error("DB index is out of range");
}

function quit(_words: readonly ByteString[], session: Session): CommandResult {
  session.isClosing = true;
  return REPLY_OK;
}

const RESET = new SimpleString("RESET");

/** RESET: the connection is as it was when it began. */
function reset(_words: readonly ByteString[], session: Session): CommandResult {
  unsubscribeAll(session);
  stopTracking(session);
  session.features = undefined;
  session.version = 2;
  session.name = "";
  session.isNoEvict = false;
  session.isNoTouch = false;
  session.node.access.begin(session);
  return reply(RESET);
}

/** HELLO [version [AUTH user password] [SETNAME name]]: as in Redis 7.0, what stands before an error counts. */
function hello(words: readonly ByteString[], session: Session): CommandResult {
  const [, versionWord, ...options] = words;
  let { version } = session;
  if (versionWord !== undefined) {
    if (parseInteger(versionWord) === undefined) {
      return error("Protocol version is not an integer or out of range");
    }
    if (versionWord !== "2" && versionWord !== "3") {
      return { reply: new ErrorReply("NOPROTO", "unsupported protocol version") };
    }
    version = versionWord === "2" ? 2 : 3;
  }
  for (let i = 0; i < options.length;) {
    const option = (options[i] ?? "").toUpperCase();
    const value = options[i + 1];
    if (option === "AUTH" && options.length >= i + 3) {
      const [user, password = ""] = options.slice(i + 1);
      const by = { name: user, password, command: words[0] ?? "" };
      const refusal = session.node.access.authenticate(session, by);
      if (refusal !== undefined) return { reply: refusal };
      i += 3;
      continue;
    }
    if (option !== "SETNAME" || value === undefined) {
      const shown = repeated(options[i] ?? "", Infinity);
      return { reply: errorRepeating(`Syntax error in HELLO option '${shown}'`) };
    }
    const refusal = whyNotName(value);
    if (refusal !== undefined) return { reply: refusal };
    session.name = value;
    i += 2;
  }
  if (session.restriction !== undefined && !session.isAuthenticated) {
    return { reply: HELLO_NEEDS_AUTH };
  }
  session.version = version;
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

const HELLO_NEEDS_AUTH = new ErrorReply(
  "NOAUTH",
  "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> " +
    "<pass> option can be used to authenticate the client and select the RESP protocol version at " +
    "the same time",
);

/** Answered by the node at once, in whatever state it is. */
const ALWAYS: readonly CommandFlag[] = ["noscript", "loading", "stale", "fast", "allow_busy"];

/** What all commands of this family have. */
const ROW = { group: "connection", categories: ["connection"], keys: NO_KEYS } as const;

export const CONNECTION: readonly CommandRow[] = [
  {
    ...ROW,
    name: "ping",
    isForSubscribers: true,
    arity: -1,
    flags: ["fast"],
    summary: "Returns PONG, or the message",
    syntax: "[message]",
    differs: "a node that has not joined the cluster answers `LOADING`",
    since: "1.0.0",
    run: ping,
  },
  {
    ...ROW,
    name: "echo",
    arity: 2,
    flags: ["loading", "stale", "fast"],
    summary: "Returns the message",
    syntax: "message",
    since: "1.0.0",
    run: echo,
  },
  {
    ...ROW,
    name: "select",
    arity: 2,
    flags: ["loading", "stale", "fast"],
    summary: "Selects the database",
    syntax: "index",
    since: "1.0.0",
    differs: "there is database 0 and no other",
    run: select,
  },
  {
    ...ROW,
    name: "quit",
    isForSubscribers: true,
    arity: -1,
    inMulti: "runs",
    flags: ["no_auth", ...ALWAYS],
    summary: "Closes the connection",
    syntax: "",
    since: "1.0.0",
    run: quit,
  },
  {
    ...ROW,
    name: "reset",
    arity: 1,
    flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
    waits: "alone",
    inMulti: "runs",
    isForSubscribers: true,
    summary: "Ends MULTI, WATCH and subscriptions, and forgets the name and the version",
    syntax: "",
    since: "6.2.0",
    run: reset,
  },
  {
    ...ROW,
    name: "hello",
    arity: -1,
    flags: ["no_auth", ...ALWAYS],
    summary: "Selects the version of the protocol, and describes the server",
    syntax: "[protover [AUTH username password] [SETNAME clientname]]",
    since: "6.0.0",
    run: hello,
  },
  {
    ...ROW,
    name: "auth",
    arity: -2,
    flags: ["no_auth", ...ALWAYS],
    summary: "Authenticates the client",
    syntax: "[username] password",
    since: "1.0.0",
    differs: "refused for a while where many attempts have failed",
    run: auth,
  },
];
