/**
 * Periodic work that may take longer than its period.
 *
 * @module
 */

/**
 * Returns `action` as a function that does nothing while an earlier call of it is under way: on a file
 * system that hangs, calls would pile up.
 */
export function oneAtATime(action: () => Promise<void>): () => Promise<void> {
  let isUnderWay = false;
  return async () => {
    if (isUnderWay) return;
    isUnderWay = true;
    try {
      await action();
    } finally {
      isUnderWay = false;
    }
  };
}
