/**
 * One command on the command line: its result on standard output, its outcome as the exit code.
 *
 * @module
 */

import { type ByteString, fromBytes, fromText, toBytes, toText } from "../byte_string.ts";
import { UsageError } from "../errors.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { formatError, formatReply } from "./format.ts";
import { bytesField, jsonLine, jsonOf } from "./json.ts";
import type { Output } from "./terminal.ts";

/** The exit codes of `dks client`. */
export const EXIT = { ok: 0, notFound: 1, aborted: 1, usage: 2, failed: 3 } as const;

/** What a one-shot command works with. */
export interface OneShotContext {
  /** Sends a command, and again to another node if it cannot have taken effect. */
  readonly call: (words: readonly ByteString[]) => Promise<RespValue>;
  /** The same for a read, which may always be sent again. */
  readonly read: (words: readonly ByteString[]) => Promise<RespValue>;
  /** Sends a write, which is repeated under a token while its outcome is not known. */
  readonly write: (words: readonly ByteString[]) => Promise<RespValue>;
  readonly output: Output;
  /** Results are JSON. */
  readonly asJson: boolean;
  /** Returns all of standard input. */
  readonly readInput: () => Promise<Uint8Array>;
}

interface OneShotCommand {
  /** The usage, for the error. */
  readonly usage: string;
  /** The least and the most words after the name. */
  readonly words: readonly [min: number, max: number];
  readonly run: (words: readonly string[], context: OneShotContext) => Promise<number>;
}

const COMMANDS: Readonly<Record<string, OneShotCommand>> = {
  put: { usage: "put KEY VALUE (VALUE - reads standard input)", words: [2, 2], run: put },
  get: { usage: "get KEY", words: [1, 1], run: get },
  delete: { usage: "delete KEY...", words: [1, Infinity], run: remove },
  exists: { usage: "exists KEY", words: [1, 1], run: exists },
  outcome: { usage: "outcome ID", words: [1, 1], run: outcome },
  raw: { usage: "raw COMMAND [WORD...]", words: [1, Infinity], run: raw },
};

/** The names of the one-shot commands. */
export const ONE_SHOT_NAMES: readonly string[] = Object.keys(COMMANDS);

/**
 * Checks the words of a one-shot command before any connection is made.
 *
 * @throws {UsageError} if their number is wrong.
 */
export function checkOneShot(name: string, words: readonly string[]): void {
  const command = COMMANDS[name];
  if (command === undefined) {
    throw new UsageError(`no command "${name}"; dks client --help lists them`);
  }
  const [min, max] = command.words;
  if (words.length < min || words.length > max) {
    throw new UsageError(`wrong number of words: dks client ${command.usage}`);
  }
}

/** Runs a one-shot command that was checked. Returns the exit code. */
export async function runOneShot(
  name: string,
  words: readonly string[],
  context: OneShotContext,
): Promise<number> {
  checkOneShot(name, words);
  return await COMMANDS[name]?.run(words, context) ?? EXIT.usage;
}

async function put(words: readonly string[], context: OneShotContext): Promise<number> {
  const [key = "", word = ""] = words;
  const value = word === "-" ? fromBytes(await context.readInput()) : fromText(word);
  return await write(context, ["PUT", fromText(key), value], async () => {
    if (context.asJson) await tell(context, { ...bytesField("key", fromText(key)), isSet: true });
    else if (context.output.isTerminal) await context.output.write("OK\n");
    return EXIT.ok;
  });
}

async function get([key = ""]: readonly string[], context: OneShotContext): Promise<number> {
  return await read(context, ["GET", fromText(key)], async (reply) => {
    if (context.asJson) {
      const value = typeof reply === "string" ? bytesField("value", reply) : { value: null };
      await tell(context, { ...bytesField("key", fromText(key)), ...value });
      return typeof reply === "string" ? EXIT.ok : EXIT.notFound;
    }
    if (typeof reply !== "string") return await notFound(context, key);
    const { output } = context;
    await output.write(toBytes(reply));
    // A pipe gets the value and nothing else; at a terminal the prompt should start on a new line.
    if (output.isTerminal && !reply.endsWith("\n")) await output.write("\n");
    return EXIT.ok;
  });
}

async function remove(words: readonly string[], context: OneShotContext): Promise<number> {
  return await write(context, ["DELETE", ...words.map(fromText)], async (reply) => {
    if (context.asJson) {
      await tell(context, { deleted: reply });
      return reply === 0 ? EXIT.notFound : EXIT.ok;
    }
    if (reply === 0) return await notFound(context, words.join(", "));
    const isSeveral = words.length > 1;
    if (context.output.isTerminal || isSeveral) await context.output.write(`${reply}\n`);
    return EXIT.ok;
  });
}

async function exists([key = ""]: readonly string[], context: OneShotContext): Promise<number> {
  return await read(context, ["EXISTS", fromText(key)], async (reply) => {
    if (context.asJson) {
      await tell(context, { ...bytesField("key", fromText(key)), exists: reply === 1 });
    } else await context.output.write(reply === 1 ? "yes\n" : "no\n");
    return reply === 1 ? EXIT.ok : EXIT.notFound;
  });
}

/** Prints how the transaction that an error reply named has ended. */
async function outcome([id = ""]: readonly string[], context: OneShotContext): Promise<number> {
  return await read(context, ["DKS.OUTCOME", fromText(id)], async (reply) => {
    const text = typeof reply === "string" ? toText(reply) ?? reply : formatReply(reply);
    if (context.asJson) await tell(context, { transaction: id, outcome: text });
    else await context.output.write(`${text}\n`);
    if (text === "committed") return EXIT.ok;
    return text === "aborted" ? EXIT.aborted : EXIT.failed;
  });
}

async function raw(words: readonly string[], context: OneShotContext): Promise<number> {
  return await call(context, words.map(fromText), async (reply) => {
    if (context.asJson) await tell(context, jsonOf(reply));
    else await context.output.write(`${formatReply(reply)}\n`);
    return EXIT.ok;
  });
}

async function tell(context: OneShotContext, result: unknown): Promise<void> {
  await context.output.write(jsonLine(result));
}

async function notFound(context: OneShotContext, key: string): Promise<number> {
  await context.output.note(`not found: ${key}\n`);
  return EXIT.notFound;
}

/** Sends a command; a server's error goes to standard error. */
async function call(
  context: OneShotContext,
  words: readonly ByteString[],
  then: (reply: RespValue) => Promise<number>,
): Promise<number> {
  return await finish(context, await context.call(words), then);
}

/** The same for a read. */
async function read(
  context: OneShotContext,
  words: readonly ByteString[],
  then: (reply: RespValue) => Promise<number>,
): Promise<number> {
  return await finish(context, await context.read(words), then);
}

/** The same for a write. */
async function write(
  context: OneShotContext,
  words: readonly ByteString[],
  then: (reply: RespValue) => Promise<number>,
): Promise<number> {
  return await finish(context, await context.write(words), then);
}

async function finish(
  context: OneShotContext,
  reply: RespValue,
  then: (reply: RespValue) => Promise<number>,
): Promise<number> {
  if (!(reply instanceof ErrorReply)) return await then(reply);
  await context.output.note(`dks: ${formatError(reply)}\n`);
  return EXIT.failed;
}
