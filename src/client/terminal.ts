/**
 * Writing to standard output and standard error, and what a terminal is told of.
 *
 * @module
 */

import { setColorEnabled } from "@std/fmt/colors";

/** Columns that a text must fit in where nothing is known of the terminal. */
const COLUMNS = 80;

const encoder = new TextEncoder();

/** Where a command writes to. */
export interface Output {
  /** Writes what the command was asked for. */
  write(data: string | Uint8Array): Promise<void>;
  /** Writes what a person should know besides. */
  note(text: string): Promise<void>;
  /** Tells whether a person reads what is written. */
  readonly isTerminal: boolean;
}

/** The process's own standard output and standard error. */
export const standardOutput: Output = {
  write: (data) => writeTo(Deno.stdout, data),
  note: (text) => writeTo(Deno.stderr, text),
  get isTerminal() {
    return Deno.stdout.isTerminal();
  },
};

async function writeTo(
  stream: { write(bytes: Uint8Array): Promise<number> },
  data: string | Uint8Array,
): Promise<void> {
  let rest = typeof data === "string" ? encoder.encode(data) : data;
  while (rest.length > 0) rest = rest.subarray(await stream.write(rest));
}

/** Returns how many columns the terminal has, or a usual number where there is none. */
export function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || COLUMNS; // Some terminals have no size, and say 0.
  } catch {
    return COLUMNS;
  }
}

/** Has colours written only where a person sees them and has not said otherwise. */
export function setUpColors(): void {
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
}
