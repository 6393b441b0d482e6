/**
 * How the program ends when it cannot go on.
 *
 * Both errors carry one sentence for people, without a full stop, which names the value at fault.
 * `main.ts` prints it as one line, without a stack trace, and exits.
 *
 * @module
 */

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The program cannot do what it was told: exit code 1. */
export class FatalError extends Error {
  override name = "FatalError";
}

/** Returns what `error` says, in one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s*\n\s*/g, " ");
}
