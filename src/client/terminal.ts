/**
 * Writes to standard output and standard error, and knows the terminal's width and colours.
 *
 * @module
 */

import { setColorEnabled } from "@std/fmt/colors";
import { writeNote, writeOutput } from "../standard_streams.ts";

/** The size to assume if the terminal's is not known. */
const COLUMNS = 80;
const ROWS = 24;

/** Where a command writes to. */
export interface Output {
  /**
   * Writes the command's result.
   *
   * @throws {StreamError} if that fails.
   */
  write(data: string | Uint8Array): Promise<void>;
  /** Writes notes for the user, separate from the result. */
  note(text: string): Promise<void>;
  /** Tells whether the output is a terminal. */
  readonly isTerminal: boolean;
}

/** The process's own standard output and standard error. */
export const standardOutput: Output = {
  write: writeOutput,
  note: writeNote,
  get isTerminal() {
    return Deno.stdout.isTerminal();
  },
};

/** Returns how many columns the terminal has, or a usual number if there is none. */
export function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || COLUMNS; // Some terminals have no size, and say 0.
  } catch {
    return COLUMNS;
  }
}

/** Returns how many rows the terminal has, or a usual number if there is none. */
export function terminalRows(): number {
  try {
    return Deno.consoleSize().rows || ROWS;
  } catch {
    return ROWS;
  }
}

/** Enables colours only at a terminal, unless the user has disabled them. */
export function setUpColors(): void {
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
}
