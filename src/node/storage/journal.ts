/**
 * The journal: what a node must not forget.
 *
 * A journal holds two things: the *entries*, which are the committed keys as they stood at some
 * checkpoint, and the *records* of what happened after it, in order. A node that starts is given
 * both, and is then where it was; see `kv_journal.ts` for how they are kept.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { JournalRecord, KeyRecord } from "../../two_phase/messages.ts";

/** Where the recovered state goes: first all entries, then all records, in order. */
export interface RecoveryTarget {
  /** Tells whether `key` was restored: what the journal has of it besides is older. */
  isRestored(key: ByteString): boolean;
  /** Takes an entry in. A key comes once at the most. */
  restoreEntry(entry: KeyRecord): void;
  /**
   * Takes a record in. An entry may already hold the effect of a record: it is as new as the end of
   * the checkpoint that wrote it, and the records go on from that checkpoint's beginning.
   */
  restoreRecord(record: JournalRecord): void;
}

/** What a checkpoint needs to know of the node. */
export interface CheckpointOptions {
  /** What stands for the transactions and the promises of the node now; replaces all records so far. */
  readonly tail: readonly JournalRecord[];
  /**
   * All keys that were written or deleted since the last checkpoint *began*, or were touched by a
   * record that {@linkcode Journal.recover} restored, each once, as they are when they are read. It
   * is read over many turns of the event loop, so it must stand that keys change meanwhile; a key
   * that changes after the call belongs to the next checkpoint too.
   */
  readonly changed: Iterable<KeyRecord>;
  /**
   * Tells whether a stored entry is what its key has now. An older segment may hold an entry that was
   * overridden since, and that one is left away: the version alone does not tell, the value must be
   * the same too.
   */
  readonly isCurrent: (entry: KeyRecord) => boolean;
  /** How many keys have a value. With `liveBytes` it tells how much of what is stored is garbage. */
  readonly liveKeys: number;
  /** How many bytes these keys and their values have, together. */
  readonly liveBytes: number;
}

/** Who a journal makes the node that uses it. */
export interface JournalIdentity {
  /** Random id of the journal, made with it. */
  readonly journal: string;
  /** How often a process was started on it, with this one: from 1. */
  readonly incarnation: number;
}

/** Keeps entries and records. One driver uses it at a time. */
export interface Journal {
  /** Who this journal makes the node, in the eyes of its peers; durable after the recovery. */
  readonly identity: JournalIdentity;
  /** Where it is kept, for people. */
  readonly place: string;
  /** How many bytes were appended since the last checkpoint began: what a start must replay. */
  readonly tailBytes: number;
  /**
   * Hands over what the journal holds. To be called once, before anything is appended.
   *
   * @throws {FatalError} where it cannot be read, or is damaged. It is left as it is then.
   */
  recover(target: RecoveryTarget): Promise<void>;
  /** Appends records, which are durable after a later force, or lost in a crash. */
  append(records: readonly JournalRecord[]): void;
  /**
   * Makes durable what was appended so far, and calls `done` then; at once where it is already.
   * A force that fails ends the process: `done` is never called, nor is any other after it.
   */
  force(done: () => void): void;
  /**
   * Puts `tail` and the entries in the place of all records that were appended so far. Appending
   * and forcing goes on meanwhile; a crash before the end leaves the journal as if it had never
   * begun. One at a time. Where the journal is closed meanwhile it is given up.
   *
   * @throws {FatalError} where it fails; the node was told so already.
   */
  checkpoint(options: CheckpointOptions): Promise<void>;
  /**
   * Forgets all entries, and puts `records` in the place of all records that were appended so far, in
   * one step: for a node that builds from empty. It is a checkpoint in all other respects.
   */
  replaceState(records: readonly JournalRecord[]): Promise<void>;
  /**
   * Makes this another journal, with an id of its own and nothing in it: for a node that learns that
   * it was started on an older copy of its journal. A crash in between leaves a journal with the new
   * id, whatever it holds: the node is a stranger then, and joins from empty.
   *
   * @throws {FatalError} where it fails; the node was told so already.
   */
  renew(): Promise<void>;
  /** Makes durable what was appended, and lets go of the storage. */
  close(): Promise<void>;
}

/**
 * A journal that is gone with the process. A node that restarts is a stranger with a new id, and
 * never a member that has forgotten what it promised.
 */
export class MemoryJournal implements Journal {
  identity: JournalIdentity = { journal: crypto.randomUUID(), incarnation: 1 };
  readonly place = "memory";
  readonly tailBytes = 0;

  recover(_target: RecoveryTarget): Promise<void> {
    return Promise.resolve();
  }

  append(_records: readonly JournalRecord[]): void {
    // Nobody can ever read them again: a process that could is the one that knows them.
  }

  force(done: () => void): void {
    done();
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
