/**
 * Invariants. If one does not hold, the program is at fault, not its input: the process must end
 * rather than continue.
 *
 * @module
 */

/** An invariant of the program does not hold. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/** @throws {InvariantError} if `condition` does not hold; `message` says what should. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
