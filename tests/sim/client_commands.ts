/**
 * Operations that are commands of clients: the node's own code makes the requests, and a model that is
 * written apart from it says what the checker expects.
 *
 * In the model a value with a time to live has the name of that behind it, as `v1@7`: it goes along when
 * the value is counted up, copied or renamed, and whoever has it may vanish when the time comes.
 *
 * WATCH leaves a note for each of its keys, which only the model has: `absent`, or `clean` until somebody
 * writes the key, and then `dirty`. So it stands for a version without being one.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { CommandResult, RunnableCommand } from "../../src/node/commands/command.ts";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { TransactionQueue } from "../../src/node/commands/transaction_queue.ts";
import { ErrorReply, NULL_ARRAY, type RespValue, SimpleString } from "../../src/resp/value.ts";
import type { Effect } from "../../src/two_phase/messages.ts";
import type { KeyReader, Request } from "../../src/two_phase/request.ts";
import { session } from "../node/commands/session.ts";
import { bare, type Operation, show } from "./operations.ts";

/** The words of a command, and the name of the time to live of what it sets. */
export interface ClientCommand {
  readonly words: readonly ByteString[];
  readonly lifetime?: { readonly name: number; readonly ms: number } | undefined;
}

/** What none of the commands here looks at, but SCAN. */
const SESSION = session();

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
    finish: format,
    apply: (read) => {
      const keys = new ModelKeys(read);
      const reply = keys.carryOut(one);
      return { effects: keys.effects, reply };
    },
  };
}

/** MULTI, these commands, and EXEC: without WATCH. */
export function exec(commands: readonly ClientCommand[]): Operation {
  return execute(new TransactionQueue(), commands, []);
}

/** WATCH; perhaps a GET of the first key; then {@linkcode exec} on the same connection. */
export function watch(
  keys: readonly ByteString[],
  what: {
    session: number;
    looks: boolean;
    thinkMs: number;
    commands: readonly ClientCommand[];
  },
): Operation {
  const queue = new TransactionQueue();
  const result = queue.watch(keys);
  const notes = keys.map((key) => ({ note: `watch ${what.session} ${key}`, key }));
  const then = () => execute(queue, what.commands, notes);
  const [first = ""] = keys;
  const { thinkMs } = what;
  const look = { ...command({ words: ["GET", first] }), next: then, thinkMs };
  return {
    name: `WATCH ${keys.join(" ")}, session ${what.session}`,
    keys,
    notes,
    isRead: true,
    request: () => requestOf(result),
    finish: (versions) =>
      format("finish" in result ? result.finish?.(versions as RespValue) : undefined),
    ...(what.looks ? { next: () => look } : { next: then, thinkMs }),
    apply: (read) => ({
      effects: notes.map(({ note, key }) => ({
        key: note,
        value: read(key) === undefined ? "absent" : "clean",
      })),
      reply: "OK",
    }),
  };
}

function execute(
  queue: TransactionQueue,
  commands: readonly ClientCommand[],
  notes: NonNullable<Operation["notes"]>,
): Operation {
  const about = aboutAll(commands);
  // Made when it is asked for: by then WATCH has its answer.
  const made = () => {
    queue.begin();
    for (const { words } of commands) queue.add(runnable(words), words, SESSION);
    return requestOf(queue.execute(SESSION));
  };
  const isChanged = (read: KeyReader) =>
    notes.some(({ note, key }) =>
      read(note) === "absent" ? read(key) !== undefined : read(note) !== "clean"
    );
  return {
    ...about,
    name: `EXEC (${commands.map(nameOf).join("; ")})${
      notes.length === 0 ? "" : ` of ${notes.map(({ note }) => note).join(" ")}`
    }`,
    keys: [...new Set([...about.keys, ...notes.map(({ key }) => key)])],
    ...(notes.length === 0 ? {} : {
      notes,
      happening: (reply) =>
        reply === "nil" ? "a watched key has changed" : "no watched key has changed",
    }),
    request: made,
    finish: format,
    apply: (read) => {
      const forgotten = notes.map(({ note }): Effect => ({ key: note, value: undefined }));
      if (isChanged(read)) return { effects: forgotten, reply: "nil" };
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

function nameOf({ words }: ClientCommand): string {
  const [name, key, value, ...rest] = words;
  const shown = name === "SET" ? ["SET", key, "=", bare(value ?? ""), ...rest] : words;
  return shown.join(" ");
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
    held: commands.flatMap(({ lifetime }) =>
      lifetime === undefined
        ? []
        : [{ ms: lifetime.ms, ends: MOVING.map((key) => endOf(key, lifetime.name)) }]
    ),
  };
}

/**
 * The end of a time to live, at one of the keys that the value may have come to. A copy of the value
 * may come to the same key again when the first one has ended there: the nodes' clocks differ.
 */
function endOf(key: ByteString, lifetime: number): Operation {
  return {
    name: `end of @${lifetime} at ${key}`,
    keys: [key],
    isRead: false,
    repeats: true,
    apply: (read) => ({
      effects: read(key)?.endsWith(`@${lifetime}`) === true ? [{ key, value: undefined }] : [],
      reply: "OK",
    }),
  };
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
        this.#written.set(key, lifetime === undefined ? word : `${bare(word)}@${lifetime.name}`);
        return "OK";
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
    const [digits = "", ...lifetime] = old.split("@");
    if (!/^\d+$/.test(digits)) return "!value is not an integer or out of range";
    const value = String(Number(digits) + 1);
    this.#written.set(key, [value, ...lifetime].join("@"));
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
