/**
 * Databases that other processes use, too: nodes of other ports, or tools that look at one.
 *
 * While one of them writes, or tidies up, the database is locked for the others, and an operation may
 * fail for that at any time. Nothing has come of it then: so it is done again, within bounds.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Logger } from "@std/log";
import { now } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { Seldom } from "../../seldom.ts";

/** How long the database may be locked by others, in milliseconds. */
export const LOCKED_MS_MAX = 10_000;

/**
 * An attempt and the pause before it count as this long at the most, in milliseconds: SQLite itself waits for
 * 5 s. What is longer is time for which this process was stopped, and others may have gone on since. So there
 * are always several attempts.
 */
const ATTEMPT_MS_MAX = 5000;

/** Pauses before the next attempt: from here, doubling, with jitter, up to there, in milliseconds. */
const PAUSE_MS_MIN = 1;
const PAUSE_MS_MAX = 50;

/** After this wait a line is logged, and again after each further one, in milliseconds. */
const WORTH_A_LINE_MS = 500;
const LINE_PAUSE_MS = 10_000;

/** Tells whether `error` says that others have the database locked: nothing was done then. */
export function isLocked(error: unknown): boolean {
  return /database (table |schema )?is locked|database is busy/i.test(messageOf(error));
}

/** How locked databases are waited for. */
export interface Patience {
  readonly place: string;
  readonly logger: Logger | undefined;
  readonly lockedMsMax?: number;
}

/**
 * Does `action` again while others have the database locked.
 *
 * @throws {Error} what `action` throws, if that is something else, or the time is over.
 */
export async function whileLocked<T>(patience: Patience, action: () => Promise<T>): Promise<T> {
  const { lockedMsMax = LOCKED_MS_MAX, place, logger } = patience;
  let countedAt = now();
  let waitedMs = 0;
  const line = new Seldom(LINE_PAUSE_MS);
  for (let pauseMs = PAUSE_MS_MIN;; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    try {
      return await action();
    } catch (error) {
      waitedMs += Math.min(now() - countedAt, ATTEMPT_MS_MAX);
      countedAt = now();
      if (!isLocked(error) || waitedMs > lockedMsMax) throw error;
      if (waitedMs > WORTH_A_LINE_MS) {
        line.say(() => logger?.warn(`another process has locked the journal ${place}: waiting`));
      }
    }
    await delay(pauseMs * (0.5 + Math.random()));
  }
}
