/**
 * A simulated disk: it keeps what a force has completed, and of the rest maybe a part.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { JournalRecord, Stamp } from "../../src/two_phase/messages.ts";
import { Store } from "../../src/two_phase/store.ts";
import type { Random } from "./random.ts";

/** A stored entry. */
export interface StoredEntry {
  readonly value: ByteString | undefined;
  readonly version: Stamp;
}

/** What was durable on a disk at some moment. */
export interface DiskCopy {
  readonly journal: string;
  readonly incarnation: number;
  readonly records: readonly JournalRecord[];
  readonly entries: ReadonlyMap<ByteString, StoredEntry>;
}

/** One node's disk. It survives the process. */
export class Disk {
  /** Random id of the journal on it. */
  journal: string;
  /** How often a process was started on it. */
  incarnation = 0;
  /** What is durable: the records after the last checkpoint, and the entries before it. */
  #records: JournalRecord[] = [];
  #entries = new Map<ByteString, StoredEntry>();
  /** Appended, and not durable: lost in a crash, all or a tail of it. */
  #unforced: JournalRecord[] = [];
  /** Position of the last durable record: how many this process appended before it, and it. */
  #durable = 0;
  /** Position of the last record that was appended. */
  #appended = 0;
  /** A checkpoint under way: what takes the place of the records up to `position`. */
  #cut: { readonly tail: readonly JournalRecord[]; readonly position: number } | undefined;
  readonly #staged = new Map<ByteString, StoredEntry>();

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

  /** Makes the first `count` of the records that are not durable durable. */
  makeDurable(count: number): void {
    const records = this.#unforced.splice(0, count);
    this.#durable += records.length;
    this.#records.push(...records);
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
  crash(random: Random): void {
    if (random.chance(0.3)) this.makeDurable(random.integer(this.#unforced.length + 1));
    this.#unforced = [];
    this.#cut = undefined;
    this.#staged.clear();
  }

  /** Returns a copy of what is durable, as a backup of the file would be. */
  copy(): DiskCopy {
    const { journal, incarnation } = this;
    return { journal, incarnation, records: [...this.#records], entries: new Map(this.#entries) };
  }

  /** Puts a copy in the place of everything. The process must have ended. */
  putBack({ journal, incarnation, records, entries }: DiskCopy): void {
    this.journal = journal;
    this.incarnation = incarnation;
    this.#records = [...records];
    this.#entries = new Map(entries);
  }

  /** Everything is gone. */
  wipe(journal: string): void {
    this.journal = journal;
    this.incarnation = 0;
    this.#records = [];
    this.#entries = new Map();
  }

  /** Puts `records` and what `store` holds in the place of everything, in one atomic write. */
  replace(store: Store, records: readonly JournalRecord[]): void {
    this.#records = [...records];
    this.#entries = new Map();
    for (const { key, value, version } of store.entries()) {
      this.#entries.set(key, { value, version });
    }
  }

  /**
   * Begins a checkpoint. `tail` stands for all records appended so far; it takes their place when the
   * checkpoint ends, not before.
   */
  beginCheckpoint(tail: readonly JournalRecord[]): void {
    this.#staged.clear();
    this.#cut = { tail, position: this.#appended };
  }

  /** Tells whether the records before the checkpoint are durable, so that it may end. */
  get mayEndCheckpoint(): boolean {
    return this.#cut !== undefined && this.#durable >= this.#cut.position;
  }

  get isCheckpointing(): boolean {
    return this.#cut !== undefined;
  }

  /** Stores one entry as it is now, as part of the checkpoint. */
  stage(key: ByteString, entry: StoredEntry): void {
    this.#staged.set(key, entry);
  }

  /** The checkpoint takes effect, in one atomic write. */
  endCheckpoint(): void {
    const cut = this.#cut;
    if (cut === undefined || !this.mayEndCheckpoint) throw new Error("it is not time for that");
    const after = this.#records.slice(this.#records.length - (this.#durable - cut.position));
    this.#records = [...cut.tail, ...after];
    for (const [key, entry] of this.#staged) {
      if (entry.value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, entry);
    }
    this.#cut = undefined;
    this.#staged.clear();
  }

  /** Starts a process on this disk: returns what it finds. */
  open(): { store: Store; records: readonly JournalRecord[]; incarnation: number } {
    this.incarnation++;
    this.#durable = 0;
    this.#appended = 0;
    const store = new Store();
    for (const [key, { value, version }] of this.#entries) store.restore(key, value, version);
    store.trackChanges();
    return { store, records: [...this.#records], incarnation: this.incarnation };
  }
}
