/**
 * CLIENT TRACKING and what belongs to it: a client keeps what it has read, and is told when that changes.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply, OK, type RespValue } from "../../resp/value.ts";
import { error, errorRepeating, integerOf, repeated, reply, REPLY_OK } from "./arguments.ts";
import {
  type Command,
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  featuresOf,
  keysOf,
  NO_KEYS,
  type RunnableCommand,
  type Session,
  type TrackingState,
} from "./command.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

interface TrackingOptions {
  redirect: Session | undefined;
  isBroadcast: boolean;
  isOptIn: boolean;
  isOptOut: boolean;
  isNoLoop: boolean;
  prefixes: ByteString[];
}

/** CLIENT TRACKING <ON | OFF> [REDIRECT id] [PREFIX prefix]… [BCAST] [OPTIN] [OPTOUT] [NOLOOP] */
function tracking(words: readonly ByteString[], session: Session): CommandResult {
  const options = parseOptions(words.slice(3), session);
  if (options instanceof ErrorReply) return { reply: options };
  switch ((words[2] ?? "").toUpperCase()) {
    case "ON":
      return { reply: turnOn(options, session) ?? OK };
    case "OFF":
      stopTracking(session);
      return REPLY_OK;
    default:
      return { reply: SYNTAX_ERROR };
  }
}

function parseOptions(
  words: readonly ByteString[],
  { node }: Session,
): TrackingOptions | ErrorReply {
  const options: TrackingOptions = {
    redirect: undefined,
    isBroadcast: false,
    isOptIn: false,
    isOptOut: false,
    isNoLoop: false,
    prefixes: [],
  };
  for (let at = 0; at < words.length; at++) {
    const next = words[at + 1];
    const word = (words[at] ?? "").toUpperCase();
    if (word === "REDIRECT" && next !== undefined) {
      at++;
      if (options.redirect !== undefined) {
        return new ErrorReply("ERR", "A client can only redirect to a single other client");
      }
      const id = integerOf(next);
      if (id instanceof ErrorReply) return id;
      options.redirect = node.sessionOf(Number(id));
      if (options.redirect === undefined) {
        return new ErrorReply("ERR", "The client ID you want redirect to does not exist");
      }
    } else if (word === "PREFIX" && next !== undefined) {
      at++;
      options.prefixes.push(next);
    } else if (word === "BCAST") options.isBroadcast = true;
    else if (word === "OPTIN") options.isOptIn = true;
    else if (word === "OPTOUT") options.isOptOut = true;
    else if (word === "NOLOOP") options.isNoLoop = true;
    else return SYNTAX_ERROR;
  }
  return options;
}

function turnOn(options: TrackingOptions, session: Session): ErrorReply | undefined {
  const { isBroadcast, isOptIn, isOptOut, isNoLoop, redirect } = options;
  const features = featuresOf(session);
  const before = features.tracking;
  const refusal = whyNot(options, before);
  if (refusal !== undefined) return errorRepeating(refusal);
  const wanted = isBroadcast && options.prefixes.length === 0 ? [""] : options.prefixes;
  const prefixes = [...new Set([...before?.prefixes ?? [], ...wanted])].sort();
  const refused = session.node.tracking.start(session, prefixes);
  if (refused !== undefined) return refused;
  const mode = isOptIn ? "optIn" : isOptOut ? "optOut" : "all";
  features.tracking = { redirect, isBroadcast, mode, isNoLoop, prefixes };
  return undefined;
}

function whyNot(options: TrackingOptions, before: TrackingState | undefined): string | undefined {
  const { isBroadcast, isOptIn, isOptOut, prefixes } = options;
  if (!isBroadcast && prefixes.length > 0) {
    return "PREFIX option requires BCAST mode to be enabled";
  }
  const again = "before disabling tracking for this client, and then re-enabling it with a " +
    "different mode.";
  if (before !== undefined && before.isBroadcast !== isBroadcast) {
    return `You can't switch BCAST mode on/off ${again}`;
  }
  if (isBroadcast && (isOptIn || isOptOut)) {
    return "OPTIN and OPTOUT are not compatible with BCAST";
  }
  if (isOptIn && isOptOut) return "You can't specify both OPTIN mode and OPTOUT mode";
  if (isOptIn && before?.mode === "optOut" || isOptOut && before?.mode === "optIn") {
    return `You can't switch OPTIN/OPTOUT mode ${again}`;
  }
  return whyOverlaps(prefixes, before?.prefixes ?? []);
}

/** Tells why a client may not track `prefixes` besides those of before: any two of them overlap. */
function whyOverlaps(
  prefixes: readonly ByteString[],
  before: readonly ByteString[],
): string | undefined {
  const overlap = (one: ByteString, other: ByteString) =>
    one.startsWith(other) || other.startsWith(one);
  const error = (prefix: ByteString, what: string, other: ByteString) =>
    `Prefix '${repeated(prefix, Infinity)}' overlaps with ${what} prefix ` +
    `'${repeated(other, Infinity)}'. Prefixes for a single client must not overlap.`;
  for (const [at, prefix] of prefixes.entries()) {
    const old = before.find((one) => overlap(one, prefix));
    if (old !== undefined) return error(prefix, "an existing", old);
    const other = prefixes.slice(at + 1).find((one) => overlap(one, prefix));
    if (other !== undefined) return error(prefix, "another provided", other);
  }
  return undefined;
}

/** Ends what CLIENT TRACKING ON has begun. */
export function stopTracking(session: Session): void {
  if (session.features?.tracking === undefined) return;
  session.features.tracking = undefined;
  session.features.isCachingSaid = false;
  session.node.tracking.stop(session);
}

/** CLIENT CACHING <YES | NO>: about the next command. */
function caching([, , word = ""]: readonly ByteString[], session: Session): CommandResult {
  const { features } = session;
  if (features?.tracking === undefined) {
    return error(
      "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or " +
        "OPTOUT mode enabled",
    );
  }
  const choice = word.toLowerCase();
  if (choice !== "yes" && choice !== "no") return { reply: SYNTAX_ERROR };
  const { mode } = features.tracking;
  if (choice === "yes" && mode !== "optIn") {
    return error("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
  }
  if (choice === "no" && mode !== "optOut") {
    return error("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  }
  features.isCachingSaid = true;
  return REPLY_OK;
}

function redirectOf({ features }: Session): number {
  const state = features?.tracking;
  return state === undefined ? -1 : state.redirect?.id ?? 0;
}

function trackingInfo(_words: readonly ByteString[], session: Session): CommandResult {
  const { tracking: state, isCachingSaid = false } = session.features ?? {};
  const flags = state === undefined ? ["off"] : [
    "on",
    ...state.isBroadcast ? ["bcast"] : [],
    ...state.mode === "all" ? [] : [state.mode.toLowerCase()],
    ...isCachingSaid && state.mode === "optIn" ? ["caching-yes"] : [],
    ...isCachingSaid && state.mode === "optOut" ? ["caching-no"] : [],
    ...state.isNoLoop ? ["noloop"] : [],
    ...state.redirect?.isClosing === true ? ["broken_redirect"] : [],
  ];
  return reply(
    new Map<RespValue, RespValue>([
      ["flags", new Set<RespValue>(flags)],
      ["redirect", redirectOf(session)],
      ["prefixes", state?.prefixes ?? []],
    ]),
  );
}

/**
 * Runs a command of a client that tracks keys: what it reads is noted when it is answered, unless the
 * client has chosen otherwise.
 */
export function runTracked(
  command: RunnableCommand,
  words: readonly ByteString[],
  session: Session,
): CommandResult {
  const isWanted = notesReads(session);
  const result = command.run(words, session);
  endCaching(command, session);
  if (!isWanted || !("request" in result)) return result;
  const reads = readKeys(command, words);
  if (reads.length === 0) return result;
  const { finish } = result;
  return {
    ...result,
    finish: (answer) => {
      session.node.tracking.onRead(session, reads);
      return finish === undefined ? answer : finish(answer);
    },
  };
}

/** What CLIENT CACHING says is of the next command that is none of CLIENT's, and of all that a MULTI has. */
export function endCaching(command: Command | undefined, { features }: Session): void {
  if (features === undefined || features.transaction?.isQueueing === true) return;
  if (command?.name.startsWith("client|") !== true) features.isCachingSaid = false;
}

/** Tells whether what the client reads now is noted. */
export function notesReads({ features }: Session): boolean {
  const { tracking, isCachingSaid } = features ?? {};
  if (tracking === undefined || tracking.isBroadcast) return false;
  if (tracking.mode === "optIn") return isCachingSaid === true;
  return tracking.mode === "all" || isCachingSaid !== true;
}

function readKeys(command: Command, words: readonly ByteString[]): readonly ByteString[] {
  return command.order === "read" ? keysOf(command, words) : [];
}

/** What all of these have. */
const ROW = {
  group: "connection",
  categories: ["connection"],
  keys: NO_KEYS,
  flags: ["noscript", "loading", "stale"] satisfies CommandFlag[],
  since: "6.0.0",
} as const;

/** Subcommands of CLIENT. */
export const TRACKING: readonly CommandRow[] = [
  {
    ...ROW,
    name: "client|tracking",
    arity: -3,
    // What was read before is answered before.
    waits: "alone",
    summary: "Sends the client invalidations for keys that it has read, or that have a prefix",
    syntax: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] " +
      "[OPTOUT] [NOLOOP]",
    run: tracking,
  },
  {
    ...ROW,
    name: "client|caching",
    arity: 3,
    summary: "Says whether the keys of the next command are tracked",
    syntax: "<YES | NO>",
    run: caching,
  },
  {
    ...ROW,
    name: "client|getredir",
    arity: 2,
    summary: "Returns the client that gets the invalidations: 0 for this one, -1 for none",
    syntax: "",
    run: (_words, session) => reply(redirectOf(session)),
  },
  {
    ...ROW,
    name: "client|trackinginfo",
    arity: 2,
    summary: "Returns how keys are tracked for the connection",
    syntax: "",
    since: "6.2.0",
    run: trackingInfo,
  },
];
