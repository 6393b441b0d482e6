/**
 * What a node finds in its journal when it starts.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type {
  JournalRecord,
  KeyRecord,
  PreparedRecord,
  TransactionId,
} from "../../two_phase/messages.ts";
import { Store } from "../../two_phase/store.ts";
import { type Journal, MemoryJournal } from "./journal.ts";

/** What a journal held. */
export interface Recovered {
  readonly store: Store;
  readonly records: readonly JournalRecord[];
  /** An entry of before the node dropped all of them to join. It is not in `store`. */
  readonly kept?: KeyRecord | undefined;
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
  let kept: KeyRecord | undefined;
  await journal.recover({
    isRestored: (key) => store.get(key)?.value !== undefined,
    restoreEntry: (entry) => store.restore(entry),
    restoreKept: (entry) => kept = entry,
    restoreRecord: (record) => records.push(record),
  });
  trackChangesFor(journal, store);
  return { store, records, kept };
}

/**
 * Returns what a key had at the end of a journal whose records are not replayed yet. What is in doubt
 * there counts, as it may have been acknowledged. While a node that joins holds only a part, it is what the
 * key had before, if that was kept.
 */
export function lastValueOf(
  key: ByteString,
  { store, records, kept }: Recovered,
): ByteString | undefined {
  let last: KeyRecord = store.recordOf(key);
  if (last.value === undefined && kept?.key === key) last = kept;
  const open = new Map<string, KeyRecord>();
  const nameOf = ({ coordinator, number }: TransactionId) => `${coordinator} ${number}`;
  const prepare = ({ coordinator, prepare: { number, version, effects } }: PreparedRecord) => {
    const effect = effects.find((one) => one.key === key);
    if (effect !== undefined) open.set(nameOf({ coordinator, number }), { ...effect, version });
  };
  const apply = (written: KeyRecord | undefined) => {
    // A checkpoint may hold what came after this.
    if (written !== undefined && written.version > last.version) last = written;
  };
  const commit = (transaction: TransactionId) => apply(open.get(nameOf(transaction)));
  for (const record of records) {
    if (record.type === "prepared") prepare(record);
    else if (record.type === "committed") commit(record);
    else if (record.type === "aborted") open.delete(nameOf(record));
    else if (record.type === "view") {
      for (const transaction of record.view.commits) commit(transaction);
      open.clear();
    } else if (record.type === "transfer" || record.type === "joined") {
      last = record.entries.findLast((one) => one.key === key) ?? last;
      open.clear();
      if (record.type === "joined") record.prepared.forEach(prepare);
    }
  }
  for (const written of open.values()) apply(written);
  return last.value;
}

/**
 * Has `store` track which keys change, if `journal` makes checkpoints: nothing else would ever empty the
 * set of these keys.
 */
export function trackChangesFor(journal: Journal, store: Store): void {
  if (!(journal instanceof MemoryJournal)) store.trackChanges();
}
