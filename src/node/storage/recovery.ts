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
  /** A cluster was begun from it just now: nothing can be later. */
  readonly isTrusted?: boolean;
}

/**
 * Reads `journal`, before anything is appended to it.
 *
 * @param nowMs the monotonic clock, in milliseconds: by it the node counts how old reserved keys are
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
