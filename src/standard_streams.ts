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
