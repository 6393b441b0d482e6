/**
 * Operations that are commands of clients: the node's own code makes the requests, and a model that is
 * written apart from it says what the checker expects.
 *
 * In the model a value with a time to live has the name of that behind it, as `v1@7`: it goes along when
 * the value is counted up, copied or renamed, and whoever has it may vanish when the time comes. One that
 * is over long after the run has an L, as `v1@L7`: of two such, the one with the higher number is longer,
 * whatever the clocks show. Where a value is made longer only its beginning counts.
 *
 * WATCH leaves a note for each of its keys, which only the model has: `absent`, or `clean` until somebody
 * writes the key, and then `dirty`. So it stands for a version without being one.
 *
 * A client that repeats DKS.ONCE EXEC watches its keys again. Which of its attempts counts nobody can know,
 * so each of them may be the one that has found a change, or none.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { CommandResult, RunnableCommand, Session } from "../../src/node/commands/command.ts";
import { VALUE_BYTES_MAX } from "../../src/limits.ts";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { TransactionQueue } from "../../src/node/commands/transaction_queue.ts";
import { ErrorReply, NULL_ARRAY, type RespValue, SimpleString } from "../../src/resp/value.ts";
import type { Effect } from "../../src/two_phase/messages.ts";
import type { KeyReader, Request } from "../../src/two_phase/request.ts";
import { session } from "../node/commands/session.ts";
import { bare, type Operation, PADDING, show, type Span } from "./operations.ts";

/** The words of a command, and the name of the time to live of what it sets. */
export interface ClientCommand {
  readonly words: readonly ByteString[];
  /** `undefined` for none; EXPIRE and its like then have a time that is over. */
  readonly lifetime?: Lifetime | undefined;
}

/** A time to live. */
export type Lifetime = Span & {
  /** A number; behind an L if it is over after the run. */
  readonly name: string;
};

/** Returns a time to live that is over after the run. */
export function longLifetime(number: number): Lifetime & { readonly ms: number } {
  return { name: `L${number}`, ms: 1e11 + number * 1e9 };
}

/** What few of the commands here look at. */
const SESSION = sessionOf();

function sessionOf(): Session {
  const plain = session();
  return { ...plain, node: { ...plain.node, valueBytesMax: VALUE_BYTES_MAX } };
}

const NO_FEATURES = {
  subscriptions: undefined,
  tracking: undefined,
  isCachingSaid: false,
  silence: undefined,
  isMonitor: false,
};

/** The keys whose values go from one to the other. */
export const MOVING: readonly ByteString[] = ["x0", "x1", "x2"];

/** Keys that are there for good when they have been set. */
export const STAYING: readonly ByteString[] = ["s0", "s1", "s2"];

const READS: ReadonlySet<ByteString> = new Set(["GET", "MGET"]);

/** One command, on its own. */
export function command(one: ClientCommand): Operation {
  const result = runnable(one.words).run(one.words, SESSION);
  return {
    ...aboutAll([one]),
    name: nameOf(one),
    request: () => requestOf(result),
    finish: (reply) => formatOf(one, reply),
    apply: (read) => {
      const keys = new ModelKeys(read);
      const reply = keys.carryOut(one);
      return { effects: keys.effects, reply };
    },
  };
}

/** DKS.ONCE, this token, and one command. */
export function once(one: ClientCommand, token: ByteString): Operation {
  return { ...command(one), ...underToken(one.words, token), isRead: false };
}

function underToken(
  words: readonly ByteString[],
  token: ByteString,
): Pick<Operation, "name" | "token" | "request"> {
  const all = ["DKS.ONCE", token, ...words];
  return {
    name: `once ${token}: ${nameOf({ words })}`,
    token,
    request: () => requestOf(runnable(all).run(all, SESSION)),
  };
}

/** MULTI, these commands, and EXEC: without WATCH. */
export function exec(commands: readonly ClientCommand[]): Operation {
  return execute(commands, { attempts: [unwatched()] });
}

/** MULTI, these commands, and DKS.ONCE token EXEC: without WATCH. */
export function execOnce(commands: readonly ClientCommand[], token: ByteString): Operation {
  return execute(commands, { attempts: [unwatched()], token });
}

/** FLUSHALL or FLUSHDB: the keys of this workload, and those of the last phase. */
export function flushAll(
  { name = "FLUSHALL", token }: { name?: string; token?: ByteString | undefined } = {},
): Operation {
  const result = runnable([name]).run([name], SESSION);
  const keys = [
    ...[...MOVING, ...STAYING],
    ...Array.from({ length: 16 }, (_, client) => `final${client}`),
  ];
  return {
    name,
    keys,
    isRead: false,
    isFlush: true,
    request: () => requestOf(result),
    finish: format,
    apply: () => ({ effects: keys.map((key) => ({ key, value: undefined })), reply: "OK" }),
    ...(token === undefined ? {} : underToken([name], token)),
  };
}

/** One time that a client sends EXEC. */
interface Attempt {
  readonly queue: TransactionQueue;
  readonly notes: NonNullable<Operation["notes"]>;
  /** WATCH was answered, or there is none. */
  isReady: boolean;
}

function unwatched(): Attempt {
  return { queue: new TransactionQueue(), notes: [], isReady: true };
}

/**
 * WATCH; perhaps a GET of the first key; then {@linkcode exec} on the same connection, or with a token
 * {@linkcode execOnce}.
 */
export function watch(
  keys: readonly ByteString[],
  what: {
    session: number;
    looks: boolean;
    thinkMs: number;
    commands: readonly ClientCommand[];
    token?: ByteString | undefined;
  },
): Operation {
  const { session, thinkMs, commands, token } = what;
  const { attempt, operation } = beginWatch(keys, String(session));
  const attempts = [attempt];
  const beforeRepetition = token === undefined ? undefined : () => {
    const again = beginWatch(keys, `${session}.${attempts.length}`);
    attempts.push(again.attempt);
    return again.operation;
  };
  const then = () => execute(commands, { attempts, token, beforeRepetition });
  const [first = ""] = keys;
  const look = { ...command({ words: ["GET", first] }), next: then, thinkMs };
  return { ...operation, ...(what.looks ? { next: () => look } : { next: then, thinkMs }) };
}

function beginWatch(
  keys: readonly ByteString[],
  session: string,
): { readonly attempt: Attempt; readonly operation: Operation } {
  const queue = new TransactionQueue();
  const result = queue.watch(keys);
  const notes = keys.map((key) => ({ note: `watch ${session} ${key}`, key }));
  const attempt: Attempt = { queue, notes, isReady: false };
  const operation: Operation = {
    name: `WATCH ${keys.join(" ")}, session ${session}`,
    keys,
    notes,
    isRead: true,
    request: () => requestOf(result),
    finish: (versions) => {
      attempt.isReady = true;
      return format("finish" in result ? result.finish?.(versions as RespValue) : undefined);
    },
    apply: (read) => ({
      effects: notes.map(({ note, key }) => ({
        key: note,
        value: read(key) === undefined ? "absent" : "clean",
      })),
      reply: "OK",
    }),
  };
  return { attempt, operation };
}

function execute(
  commands: readonly ClientCommand[],
  what: {
    /** Grows with each repetition: the last one is what is asked for next. */
    attempts: readonly Attempt[];
    token?: ByteString | undefined;
    beforeRepetition?: Operation["beforeRepetition"];
  },
): Operation {
  const { attempts, token, beforeRepetition } = what;
  const about = aboutAll(commands);
  const allNotes = () => attempts.flatMap(({ notes }) => notes);
  const isWatching = allNotes().length > 0;
  const nameOfAll = `EXEC (${commands.map(nameOf).join("; ")})${
    isWatching ? ` of ${allNotes().map(({ note }) => note).join(" ")}` : ""
  }`;
  /** Those that were asked for while nobody knew what WATCH has seen: they do nothing. */
  const blind = new Set<Attempt>();
  // Made when it is asked for: by then WATCH has its answer.
  const request = () => {
    const attempt = attempts.at(-1) ?? unwatched();
    if (!attempt.isReady) blind.add(attempt);
    const { queue } = attempt;
    queue.begin();
    for (const { words } of commands) queue.add(runnable(words), words, SESSION);
    if (token === undefined) return requestOf(queue.execute(SESSION));
    const of = { ...SESSION, features: { ...NO_FEATURES, transaction: queue } };
    const words = ["DKS.ONCE", token, "EXEC"];
    return requestOf(runnable(words).run(words, of));
  };
  // Each may be the one that counts, if its WATCH has come by then.
  const findsChange = (read: KeyReader, { notes }: Attempt) =>
    notes.some(({ note, key }) => {
      const noted = read(note);
      return noted === "absent" ? read(key) !== undefined : noted === "dirty";
    });
  const findsNone = (read: KeyReader, attempt: Attempt) =>
    !blind.has(attempt) && attempt.notes.every(({ note }) => read(note) !== undefined) &&
    !findsChange(read, attempt);
  return {
    ...about,
    isRead: about.isRead && token === undefined,
    name: token === undefined ? nameOfAll : `once ${token}: ${nameOfAll}`,
    keys: [...new Set([...about.keys, ...allNotes().map(({ key }) => key)])],
    token,
    beforeRepetition,
    get notes() {
      return isWatching ? allNotes() : undefined;
    },
    happening: (reply) =>
      !isWatching
        ? undefined
        : reply === "nil"
        ? "a watched key has changed"
        : "no watched key has changed",
    request,
    finish: (replies) =>
      Array.isArray(replies)
        ? commands.map((one, at) => formatOf(one, replies[at])).join(" ")
        : format(replies),
    apply: (read, _facts, seen) => {
      const forgotten = allNotes().map(({ note }): Effect => ({ key: note, value: undefined }));
      const mayRun = attempts.some((attempt) => findsNone(read, attempt));
      const mayNot = attempts.some((attempt) => blind.has(attempt) || findsChange(read, attempt));
      if (!mayRun || seen === "nil" && mayNot) {
        // Of one whose end is not known, that it does nothing is the same as never.
        const effects = seen === undefined ? [] : forgotten;
        return { effects, reply: mayNot ? "nil" : "too early" };
      }
      const keys = new ModelKeys(read);
      const reply = commands.map((one) => keys.carryOut(one)).join(" ");
      return { effects: [...keys.effects, ...forgotten], reply };
    },
  };
}

/** SCAN from `cursor`, and on until all keys are told. */
export function scan(id: number, count: number, cursor: ByteString = "0"): Operation {
  const words = ["SCAN", cursor, "COUNT", String(count)];
  return {
    name: `SCAN ${cursor}, scan ${id}`,
    keys: [],
    isRead: true,
    scan: id,
    request: (scanProcess) => {
      const node = { ...SESSION.node, scanProcess: () => scanProcess };
      const result = runnable(words).run(words, { ...SESSION, node });
      if (!("reply" in result)) return requestOf(result);
      // The process is another one by now, and refuses the cursor.
      return { kind: "barrier", isExact: false, evaluate: () => result.reply };
    },
    finish: format,
    happening: (reply) => cursorOf(reply) === "0" ? "a scan has come to its end" : undefined,
    next: (reply) => {
      const next = cursorOf(reply);
      return next === undefined || next === "0" ? undefined : scan(id, count, next);
    },
    apply: () => ({ effects: [], reply: "" }),
  };
}

/** Returns the cursor in the reply of a {@linkcode scan}; `undefined` if that is an error. */
export function cursorOf(reply: string): ByteString | undefined {
  return /^\d+/.exec(reply)?.[0];
}

function runnable([name = ""]: readonly ByteString[]): RunnableCommand {
  const found = COMMANDS.named(name);
  if (found?.run === undefined) throw new RangeError(`no command ${name}`);
  return { ...found, run: found.run };
}

/** Returns a request that planted faults may copy. */
function requestOf(result: CommandResult): Request {
  if (!("request" in result)) throw new Error("it asks nothing of the protocol");
  const { request } = result;
  switch (request.kind) {
    case "read":
      return { ...request, evaluate: (read, facts) => request.evaluate(read, facts) };
    case "write":
      return {
        kind: "write",
        keys: request.keys,
        evaluate: (read, facts) => request.evaluate(read, facts),
      };
    case "barrier":
      return request;
  }
}

function format(reply: unknown): string {
  if (reply === null) return "-";
  if (reply === NULL_ARRAY) return "nil";
  if (reply instanceof SimpleString) return reply.text;
  if (reply instanceof ErrorReply) return `!${reply.message}`;
  return Array.isArray(reply) ? reply.map(format).join(" ") : bare(String(reply));
}

/** As {@linkcode format}; the length that APPEND tells is not known to the model. */
function formatOf({ words: [name] }: ClientCommand, reply: unknown): string {
  return name === "APPEND" && typeof reply === "number" ? "appended" : format(reply);
}

function nameOf({ words }: ClientCommand): string {
  const [name, key, value, ...rest] = words;
  const isOfValue = name === "SET" || name === "APPEND";
  return (isOfValue ? [name, key, "=", bare(value ?? ""), ...rest] : words).join(" ");
}

function keysOf({ words: [name, ...rest] }: ClientCommand): readonly ByteString[] {
  if (name === "MGET") return rest;
  const isOfTwo = name === "RENAME" || name === "RENAMENX" || name === "COPY";
  return rest.slice(0, isOfTwo ? 2 : 1);
}

function aboutAll(
  commands: readonly ClientCommand[],
): Pick<Operation, "keys" | "isRead" | "held"> {
  return {
    keys: [...new Set(commands.flatMap(keysOf))],
    isRead: commands.every(({ words: [name = ""] }) => READS.has(name)),
    held: commands.flatMap(({ lifetime }) => {
      if (lifetime === undefined) return [];
      const { name, ...span } = lifetime;
      return [{ ...span, ends: MOVING.map((key) => endOf(key, name)) }];
    }),
  };
}

/**
 * The end of a time to live, at one of the keys that the value may have come to. A copy of the value
 * may come to the same key again when the first one has ended there: the nodes' clocks differ.
 */
function endOf(key: ByteString, lifetime: string): Operation {
  return {
    name: `end of @${lifetime} at ${key}`,
    keys: [key],
    isRead: false,
    repeats: true,
    apply: (read) => ({
      effects: lifetimeOf(read(key)) === lifetime ? [{ key, value: undefined }] : [],
      reply: "OK",
    }),
  };
}

/** A value of the model, in its parts. */
interface ModelValue {
  /** Its beginning, as it is shown. */
  readonly text: string;
  readonly lifetime: string | undefined;
  /** More is behind its beginning. */
  readonly isLong: boolean;
}

function parse(value: ByteString): ModelValue {
  const [text = "", lifetime] = bare(value).split("@");
  return { text, lifetime, isLong: value.includes(PADDING) };
}

function join({ text, lifetime, isLong }: ModelValue): ByteString {
  return text + (lifetime === undefined ? "" : `@${lifetime}`) + (isLong ? PADDING : "");
}

function lifetimeOf(value: ByteString | undefined): string | undefined {
  return value === undefined ? undefined : parse(value).lifetime;
}

/** Tells whether a time to live may be replaced by another one. */
function isMet(
  condition: ByteString | undefined,
  old: string | undefined,
  now: string | undefined,
): boolean {
  switch (condition) {
    case undefined:
      return true;
    case "NX":
      return old === undefined;
    case "XX":
      return old !== undefined;
    case "GT":
      return old !== undefined && lengthOf(now) > lengthOf(old);
    case "LT":
      return old === undefined || lengthOf(now) < lengthOf(old);
    default:
      throw new RangeError(`the model has no condition ${condition}`);
  }
}

/** Only those of after the run are compared, and with short ones, and with what is over. */
function lengthOf(lifetime: string | undefined): number {
  if (lifetime === undefined) return -1;
  return lifetime.startsWith("L") ? Number(lifetime.slice(1)) : 0;
}

/** What commands do in the model, one after the other. */
class ModelKeys {
  readonly #read: KeyReader;
  readonly #written = new Map<ByteString, ByteString | undefined>();

  constructor(read: KeyReader) {
    this.#read = read;
  }

  get effects(): readonly Effect[] {
    return [...this.#written].map(([key, value]) => ({ key, value }));
  }

  #get(key: ByteString): ByteString | undefined {
    return this.#written.has(key) ? this.#written.get(key) : this.#read(key);
  }

  /** Returns the reply, as {@linkcode format} shows it. */
  carryOut({ words, lifetime }: ClientCommand): string {
    const [name, key = "", word = "", option] = words;
    const old = this.#get(key);
    switch (name) {
      case "GET":
        return show(old);
      case "MGET":
        return words.slice(1).map((one) => show(this.#get(one))).join(" ");
      case "SET":
        this.#written.set(key, join({ ...parse(word), lifetime: lifetime?.name }));
        return "OK";
      case "GETDEL":
        if (old !== undefined) this.#written.set(key, undefined);
        return show(old);
      case "APPEND": {
        const { text, ...rest } = parse(old ?? "");
        this.#written.set(key, join({ ...rest, text: rest.isLong ? text : text + word }));
        return "appended";
      }
      case "EXPIRE":
      case "PEXPIRE":
      case "EXPIREAT":
      case "PEXPIREAT": {
        const name = lifetime?.name;
        if (old === undefined || !isMet(option, lifetimeOf(old), name)) return "0";
        const value = name === undefined ? undefined : join({ ...parse(old), lifetime: name });
        this.#written.set(key, value);
        return "1";
      }
      case "PERSIST":
        if (lifetimeOf(old) === undefined) return "0";
        this.#written.set(key, join({ ...parse(old ?? ""), lifetime: undefined }));
        return "1";
      case "DEL":
        if (old === undefined) return "0";
        this.#written.set(key, undefined);
        return "1";
      case "INCR":
        return this.#increment(key, old ?? "0");
      case "RENAME":
        return this.#move(key, word) ? "OK" : "!no such key";
      case "RENAMENX":
        if (old !== undefined && this.#get(word) !== undefined) return "0";
        return this.#move(key, word) ? "1" : "!no such key";
      case "COPY":
        if (old === undefined || option !== "REPLACE" && this.#get(word) !== undefined) return "0";
        this.#written.set(word, old);
        return "1";
      default:
        throw new RangeError(`the model has no ${name}`);
    }
  }

  #increment(key: ByteString, old: ByteString): string {
    const { text, lifetime, isLong } = parse(old);
    if (!/^\d+$/.test(text) || isLong) return "!value is not an integer or out of range";
    const value = String(Number(text) + 1);
    this.#written.set(key, join({ text: value, lifetime, isLong }));
    return value;
  }

  #move(from: ByteString, to: ByteString): boolean {
    const value = this.#get(from);
    if (value === undefined) return false;
    this.#written.set(from, undefined);
    this.#written.set(to, value);
    return true;
  }
}
