/**
 * The journal: what a node must not lose.
 *
 * A journal holds two things: the *entries*, which are the committed keys as of some checkpoint,
 * and the *records* of what happened after it, in order. A node that starts reads both, and then
 * has the state that it had; see `kv_journal.ts` for how they are kept.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { JournalRecord, KeyRecord } from "../../two_phase/messages.ts";

/** How often a node looks whether its journal is still at its place, in milliseconds. */
export const PLACE_CHECK_MS = 10_000;

/** Where the recovered state goes: first all entries, then all records, in order. */
export interface RecoveryTarget {
  /** Tells whether `key` was restored: anything else that the journal has of it is older. */
  isRestored(key: ByteString): boolean;
  /** Restores an entry. A key comes at most once. */
  restoreEntry(entry: KeyRecord): void;
  /** Hands over what was kept beside the entries, which the node had dropped to join: it is none of them. */
  restoreKept?(entry: KeyRecord): void;
  /**
   * Restores a record. An entry may already hold the effect of a record: it is as new as the end of
   * the checkpoint that wrote it, and the records start at that checkpoint's beginning.
   */
  restoreRecord(record: JournalRecord): void;
}

/** What a checkpoint needs from the node. */
export interface CheckpointOptions {
  /** Records of the node's present transactions and promises; they replace all records so far. */
  readonly tail: readonly JournalRecord[];
  /**
   * All keys that were written or deleted since the last checkpoint *began*, or were touched by a
   * record that {@linkcode Journal.recover} restored, each once, as they are when they are read. It
   * is read over many turns of the event loop, so keys may change meanwhile; a key that changes
   * after the call also belongs to the next checkpoint.
   */
  readonly changed: Iterable<KeyRecord>;
  /**
   * All keys were deleted at once since the last checkpoint started: nothing holds of the entries that
   * are stored, and `changed` has all that holds.
   */
  readonly replacesAll: boolean;
  /**
   * Tells whether a stored entry is the current one of its key. An older segment may hold an entry
   * that was overridden since, which the checkpoint drops. The version alone does not show it: the
   * value must be the same too.
   */
  readonly isCurrent: (entry: KeyRecord) => boolean;
  /**
   * How many keys have a value. With `liveBytes` it shows how much of the stored data is garbage.
   */
  readonly liveKeys: number;
  /** The total size of these keys and their values, in bytes. */
  readonly liveBytes: number;
}

/** The identity that a journal gives to the node that uses it. */
export interface JournalIdentity {
  /** Random id of the journal, made with it. */
  readonly journal: string;
  /** How many processes were started on it, this one included: from 1. */
  readonly incarnation: number;
}

/** Keeps entries and records. One driver uses it at a time. */
export interface Journal {
  /** The node's identity to its peers; durable after the recovery. */
  readonly identity: JournalIdentity;
  /** Where it is kept, human-readable. */
  readonly place: string;
  /** How many bytes were appended since the last checkpoint began: what a start must replay. */
  readonly tailBytes: number;
  /**
   * Passes what the journal holds to `target`. Call it once, before anything is appended.
   *
   * @throws {FatalError} if it cannot be read, or is damaged. Then it is left unchanged.
   */
  recover(target: RecoveryTarget): Promise<void>;
  /** Appends records, which are durable after a later force, or lost in a crash. */
  append(records: readonly JournalRecord[]): void;
  /**
   * Makes everything appended so far durable, then calls `done`; at once if it already is. A force
   * that finds no room on the disk waits for room. One that fails in another way ends the process:
   * neither `done` nor any later one is called.
   */
  force(done: () => void): void;
  /**
   * Makes sure that no other process has taken the journal over. After that it did not have it at
   * the time of the call.
   *
   * @throws {FatalError} if one has, or the journal cannot be read; the node already knows then.
   */
  confirmOwner(): Promise<void>;
  /**
   * Looks whether a start would find this journal. What is open goes on working after its files were
   * deleted, or others put in their place: then nothing of it outlives this process.
   *
   * @throws {FatalError} if another process has taken it over; the node already knows then.
   * @throws {Error} if that cannot be found out now.
   */
  isInPlace(): Promise<boolean>;
  /**
   * Replaces all records appended so far by `tail` and the entries. Appending and forcing continue
   * meanwhile; a crash before the end leaves the journal as if the checkpoint had never started.
   * There is one checkpoint at a time. If the journal is closed meanwhile, the checkpoint is given
   * up.
   *
   * @throws {FatalError} if it fails; the node already knows then.
   */
  checkpoint(options: CheckpointOptions): Promise<void>;
  /**
   * Forgets all entries, and replaces all records appended so far by `records`, in one step: for a
   * node that joins from empty. In all other respects it is a checkpoint.
   */
  replaceState(records: readonly JournalRecord[]): Promise<void>;
  /**
   * Makes this a new, empty journal with a new id: for a node that learns that it was started on an
   * older copy of its journal. A crash in between leaves a journal with the new id, whatever it
   * holds: then the node is a stranger, and joins from empty.
   *
   * @throws {FatalError} if it fails; the node already knows then.
   */
  renew(): Promise<void>;
  /** Makes everything appended durable, and releases the storage. */
  close(): Promise<void>;
}

/**
 * A journal that ends with the process. A node that restarts is a stranger with a new id, never a
 * member that has lost its promises.
 */
export class MemoryJournal implements Journal {
  identity: JournalIdentity = { journal: crypto.randomUUID(), incarnation: 1 };
  readonly place = "memory";
  readonly tailBytes = 0;

  recover(_target: RecoveryTarget): Promise<void> {
    return Promise.resolve();
  }

  append(_records: readonly JournalRecord[]): void {
    // Only this process could read the records, and it knows them.
  }

  force(done: () => void): void {
    done();
  }

  confirmOwner(): Promise<void> {
    return Promise.resolve();
  }

  isInPlace(): Promise<boolean> {
    return Promise.resolve(true);
  }

  checkpoint(_options: CheckpointOptions): Promise<void> {
    return Promise.resolve();
  }

  replaceState(_records: readonly JournalRecord[]): Promise<void> {
    return Promise.resolve();
  }

  renew(): Promise<void> {
    this.identity = { journal: crypto.randomUUID(), incarnation: 1 };
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
