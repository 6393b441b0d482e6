/**
 * How the program ends when it cannot continue.
 *
 * Both errors carry one human-readable sentence without a full stop, which names the value at
 * fault. `main.ts` prints it as one line, without a stack trace, and exits.
 *
 * @module
 */

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The program cannot do what it was asked to do: exit code 1. */
export class FatalError extends Error {
  override name = "FatalError";
}

/** Returns the message of `error`, in one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s*\n\s*/g, " ");
}
