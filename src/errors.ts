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

/** A connection is not TLS as it should be: the other end is another than it should be, or speaks it wrong. */
export class TlsError extends Error {
  override name: string = "TlsError";
}

/** The other end does not speak TLS at all. */
export class NoTlsError extends TlsError {
  override name = "NoTlsError";
}

/** Returns the message of `error`, in one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s*\n\s*/g, " ");
}
