/**
 * What must hold. A condition that does not is a fault of the program, not of its input: the process must
 * end rather than go on with it.
 *
 * @module
 */

/** Something does not hold that the program rests on. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/** @throws {InvariantError} where `condition` does not hold; `message` says what should be. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
