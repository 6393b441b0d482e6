/**
 * Standard input and standard output, with human-readable errors: a full disk behind `> FILE` and a folder
 * behind `< FOLDER` are no faults of the program.
 *
 * @module
 */

import { messageOf, UsageError } from "./errors.ts";

const encoder = new TextEncoder();

/** Standard input or standard output does not do what is asked of it. */
export class StreamError extends Error {
  override name = "StreamError";
}

/** Nobody reads standard output any more, as in `dks client get k | head -c 10`: no reason to complain. */
export class ClosedPipeError extends StreamError {
  override name = "ClosedPipeError";
}

/**
 * Writes all of `data` to standard output.
 *
 * @throws {StreamError} if that fails.
 */
export async function writeOutput(data: string | Uint8Array): Promise<void> {
  let rest = typeof data === "string" ? encoder.encode(data) : data;
  try {
    while (rest.length > 0) rest = rest.subarray(await Deno.stdout.write(rest));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new ClosedPipeError(messageOf(error));
    throw new StreamError(`cannot write to standard output: ${messageOf(error)}`);
  }
}

/** Writes a note to standard error. If that cannot be done, there is nobody to tell. */
export async function writeNote(text: string): Promise<void> {
  try {
    let rest = encoder.encode(text);
    while (rest.length > 0) rest = rest.subarray(await Deno.stderr.write(rest));
  } catch {
    // The exit code tells.
  }
}

/**
 * Returns all of standard input.
 *
 * @param bytesMax the most bytes that it may have
 * @throws {UsageError} if it is a folder, or has more bytes.
 * @throws {StreamError} if reading fails.
 */
export async function readInput(bytesMax = Infinity): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for await (const piece of Deno.stdin.readable) {
      length += piece.length;
      if (length > bytesMax) break;
      pieces.push(piece);
    }
  } catch (error) {
    throw describeReadError(error);
  }
  if (length > bytesMax) throw new UsageError(`standard input has more than ${bytesMax} bytes`);
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Most bytes of a secret that is typed, or on standard input. */
const SECRET_BYTES_MAX = 64 * 1024;

/**
 * Returns the first line of standard input. At a terminal `prompt` asks for it, and it is not shown.
 *
 * @throws {UsageError} if it is empty, too long, or no text.
 * @throws {StreamError} if reading fails.
 */
export async function readSecret(prompt: string): Promise<string> {
  const bytes = Deno.stdin.isTerminal()
    ? await readUnseen(prompt)
    : await readInput(SECRET_BYTES_MAX);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError("the line on standard input is not UTF-8");
  }
  const [line = ""] = text.split(/\r?\n/, 1);
  if (line === "") throw new UsageError("the first line of standard input is empty");
  return line;
}

/** The keys that end a line, take back a character, and end the program. */
const ENTER = ["\r", "\n"];
const BACKSPACE = ["\x7f", "\b"];
const INTERRUPT = ["\x03", "\x04"];

async function readUnseen(prompt: string): Promise<Uint8Array> {
  await writeNote(prompt);
  const typed: number[] = [];
  const key = new Uint8Array(1);
  Deno.stdin.setRaw(true);
  try {
    while (typed.length < SECRET_BYTES_MAX && await Deno.stdin.read(key) !== null) {
      const [code = 0] = key;
      const character = String.fromCharCode(code);
      if (ENTER.includes(character)) break;
      if (INTERRUPT.includes(character)) throw new StreamError("nothing was typed");
      if (!BACKSPACE.includes(character)) typed.push(code);
      // All bytes of the last character: the further ones begin with the bits 10.
      else while (((typed.pop() ?? 0) & 0xc0) === 0x80);
    }
  } finally {
    Deno.stdin.setRaw(false);
    await writeNote("\n");
  }
  return Uint8Array.from(typed);
}

/**
 * Returns the lines of standard input as they come, without their ends.
 *
 * @throws {UsageError} if it is a folder.
 * @throws {StreamError} if reading fails.
 */
export async function* readInputLines(): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const bytes of Deno.stdin.readable) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    throw describeReadError(error);
  }
  if (rest !== "") yield rest;
}

function describeReadError(error: unknown): Error {
  return error instanceof Deno.errors.IsADirectory
    ? new UsageError("standard input is a folder: it has to be a file or a pipe")
    : new StreamError(`cannot read standard input: ${messageOf(error)}`);
}
