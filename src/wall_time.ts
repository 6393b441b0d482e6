/**
 * Moments of wall-clock time, for people.
 *
 * @module
 */

/** Returns the moment `ms` milliseconds after 1970 as ISO 8601 in UTC; at most 8.64e15. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
