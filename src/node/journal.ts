/**
 * The journal: what a node must not forget.
 *
 * @module
 */

import type { JournalRecord } from "../two_phase/messages.ts";
import type { PeerIdentity } from "../two_phase/membership.ts";

/** Keeps records in order. One driver uses it at a time. */
export interface Journal {
  /** Who this journal makes the node, in the eyes of its peers. */
  readonly identity: PeerIdentity;
  /** Appends records, which are durable after a later force, or lost in a crash. */
  append(records: readonly JournalRecord[]): void;
  /**
   * Makes durable what was appended so far, and calls `done` then; at once where it is already.
   * A force that fails ends the process: nothing that relies on it may happen.
   */
  force(done: () => void): void;
}

/**
 * A journal that is gone with the process. A node that restarts is a stranger with a new id, and
 * never a member that has forgotten what it promised.
 */
export class MemoryJournal implements Journal {
  readonly identity: PeerIdentity = { journal: crypto.randomUUID(), incarnation: 1 };

  append(_records: readonly JournalRecord[]): void {
    // Nobody can ever read them again: a process that could is the one that knows them.
  }

  force(done: () => void): void {
    done();
  }
}
