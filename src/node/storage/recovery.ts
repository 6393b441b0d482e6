/**
 * What a node finds in its journal when it starts.
 *
 * @module
 */

import type { JournalRecord } from "../../two_phase/messages.ts";
import { Store } from "../../two_phase/store.ts";
import type { Journal } from "./journal.ts";

/** What a journal held. */
export interface Recovered {
  readonly store: Store;
  readonly records: readonly JournalRecord[];
  /** A new cluster was just started from it: nothing can be later. */
  readonly isTrusted?: boolean;
}

/**
 * Reads `journal`, before anything is appended to it.
 *
 * @param nowMs the monotonic clock, in milliseconds: the age of reserved keys counts from it
 * @throws {FatalError} if it cannot be read.
 */
export async function recover(journal: Journal, nowMs: number): Promise<Recovered> {
  const store = new Store(nowMs);
  const records: JournalRecord[] = [];
  await journal.recover({
    isRestored: (key) => store.get(key)?.value !== undefined,
    restoreEntry: (entry) => store.restore(entry),
    restoreRecord: (record) => records.push(record),
  });
  store.trackChanges();
  return { store, records };
}
