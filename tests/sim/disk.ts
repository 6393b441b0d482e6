/**
 * A simulated disk: it keeps what a force has completed, and of the rest maybe a part. It folds as the
 * real journal does (`src/node/kv_journal.ts`): a checkpoint writes a segment of the keys that have
 * changed, and what holds in the oldest segments is written again when there are many.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { JournalRecord, KeyRecord } from "../../src/two_phase/messages.ts";
import { Store } from "../../src/two_phase/store.ts";
import type { Random } from "./random.ts";

/** With more segments than this, the oldest ones are written again. */
const SEGMENTS_MAX = 3;

/** Entries that were written together: of a key that comes twice, the first one counts. */
type Segment = readonly KeyRecord[];

/** What was durable on a disk at some moment. */
export interface DiskCopy {
  readonly journal: string;
  readonly incarnation: number;
  readonly records: readonly JournalRecord[];
  readonly segments: readonly Segment[];
}

/** One node's disk. It survives the process. */
export class Disk {
  /** Random id of the journal on it. */
  journal: string;
  /** How often a process was started on it. */
  incarnation = 0;
  /** What is durable: the records after the last checkpoint, and the entries before it. */
  #records: JournalRecord[] = [];
  /** The oldest first: each overrides those before it. */
  #segments: Segment[] = [];
  /** Appended, and not durable: lost in a crash, all or a tail of it. */
  #unforced: JournalRecord[] = [];
  /** Position of the last durable record: how many this process appended before it, and it. */
  #durable = 0;
  /** Position of the last record that was appended. */
  #appended = 0;
  /** A checkpoint under way: what takes the place of the records up to `position`. */
  #cut: {
    readonly tail: readonly JournalRecord[];
    readonly position: number;
    readonly replacesAll: boolean;
  } | undefined;
  #staged: KeyRecord[] = [];

  constructor(journal: string) {
    this.journal = journal;
  }

  /** What is durable, but for entries. */
  get records(): readonly JournalRecord[] {
    return this.#records;
  }

  /** How many records are appended and not durable. */
  get unforced(): number {
    return this.#unforced.length;
  }

  append(records: readonly JournalRecord[]): void {
    this.#unforced.push(...records);
    this.#appended += records.length;
  }

  /** Makes the first `count` of the records that are not durable durable, and returns them. */
  makeDurable(count: number): readonly JournalRecord[] {
    const records = this.#unforced.splice(0, count);
    this.#durable += records.length;
    this.#records.push(...records);
    return records;
  }

  /** Loses the first `count` of the records that are not durable, as if they were written. */
  lose(count: number): void {
    this.#unforced.splice(0, count);
    this.#durable += count;
  }

  /** Position of the last durable record, counted as the protocol counts. */
  get durablePosition(): number {
    return this.#durable;
  }

  /** The process ends: of what was not durable, a random part was written nevertheless. */
  crash(random: Pick<Random, "chance" | "integer">): void {
    if (random.chance(0.3)) this.makeDurable(random.integer(this.#unforced.length + 1));
    this.#unforced = [];
    this.#cut = undefined;
    this.#staged = [];
  }

  /** Returns a copy of what is durable, as a backup of the file would be. */
  copy(): DiskCopy {
    const { journal, incarnation } = this;
    return { journal, incarnation, records: [...this.#records], segments: [...this.#segments] };
  }

  /** Puts a copy in the place of everything. The process must have ended. */
  putBack({ journal, incarnation, records, segments }: DiskCopy): void {
    this.journal = journal;
    this.incarnation = incarnation;
    this.#records = [...records];
    this.#segments = [...segments];
  }

  /** Everything is gone. */
  wipe(journal: string): void {
    this.journal = journal;
    this.incarnation = 0;
    this.#records = [];
    this.#segments = [];
  }

  /** Puts `records` and what `store` holds in the place of everything, in one atomic write. */
  replace(store: Store, records: readonly JournalRecord[]): void {
    this.#records = [...records];
    this.#segments = [
      [...store.entries()].map(({ key }) => store.recordOf(key)),
    ];
  }

  /**
   * Begins a checkpoint. `tail` stands for all records appended so far; it takes their place when the
   * checkpoint ends, not before.
   */
  beginCheckpoint(
    tail: readonly JournalRecord[],
    { replacesAll }: { replacesAll: boolean },
  ): void {
    this.#staged = [];
    this.#cut = { tail, position: this.#appended, replacesAll };
  }

  /** Tells whether the records before the checkpoint are durable, so that it may end. */
  get mayEndCheckpoint(): boolean {
    return this.#cut !== undefined && this.#durable >= this.#cut.position;
  }

  get isCheckpointing(): boolean {
    return this.#cut !== undefined;
  }

  /** Stores one entry as it is now, as part of the checkpoint. */
  stage(entry: KeyRecord): void {
    this.#staged.push(entry);
  }

  /**
   * The checkpoint takes effect, in one atomic write.
   *
   * @param isCurrent tells whether a stored entry is what its key has now
   */
  endCheckpoint(isCurrent: (entry: KeyRecord) => boolean): void {
    const cut = this.#cut;
    if (cut === undefined || !this.mayEndCheckpoint) throw new Error("it is not time for that");
    const after = this.#records.slice(this.#records.length - (this.#durable - cut.position));
    this.#records = [...cut.tail, ...after];
    if (cut.replacesAll) this.#segments = [];
    const written = this.#segments.length === 0
      ? this.#staged.filter(({ value }) => value !== undefined)
      : this.#staged;
    while (this.#segments.length > SEGMENTS_MAX) {
      for (const entry of this.#segments.shift() ?? []) {
        if (entry.value !== undefined && isCurrent(entry)) written.push(entry);
      }
    }
    this.#segments.push(written);
    this.#cut = undefined;
    this.#staged = [];
  }

  /** Starts a process on this disk: returns what it finds. */
  open(): { store: Store; records: readonly JournalRecord[]; incarnation: number } {
    this.incarnation++;
    this.#durable = 0;
    this.#appended = 0;
    const store = new Store(0);
    const seen = new Set<ByteString>();
    for (const segment of this.#segments.toReversed()) {
      for (const entry of segment) {
        if (!seen.has(entry.key) && entry.value !== undefined) store.restore(entry);
        seen.add(entry.key);
      }
    }
    store.trackChanges();
    return { store, records: [...this.#records], incarnation: this.incarnation };
  }
}
