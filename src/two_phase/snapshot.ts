/**
 * All keys and values as they stood at one moment, without a copy of them.
 *
 * Taking a snapshot only marks the moment. The reader visits the keys later, a few at a time; a
 * write to a key that has not been visited first saves its value of that moment (copy on write). So
 * the moment costs nothing, however many keys there are, and the snapshot keeps only the values
 * that are overwritten while it is read.
 *
 * The store keeps entries in the order in which they were made, so the order of an entry shows
 * whether it existed at that moment, and whether it has been visited.
 *
 * A moment at which nothing is prepared here is a moment of the whole cluster: see
 * `BarrierRequest`.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { KeyMap } from "../key_map.ts";
import { isReserved } from "../reserved_keys.ts";
import type { Effect } from "./messages.ts";

/** A key that existed at the moment of a snapshot. */
export interface SnapshotEntry extends Effect {
  readonly value: ByteString;
}

/** What a snapshot needs of an entry of the store. */
export interface OrderedEntry extends Effect {
  /** Its place in the order of creation. */
  readonly order: number;
}

/** What a snapshot sees of its store. */
export interface SnapshotSource {
  /** All entries, in the order of creation; later ones come at the end. */
  readonly entries: {
    /** Returns the entries behind the one with this `order`. They must not change meanwhile. */
    behind(order: number): Iterator<OrderedEntry>;
  };
  /** The order of the newest entry. */
  readonly lastOrder: number;
  /** How many keys have a value, reserved keys not counted. */
  readonly size: number;
  /** Called when no more values need to be saved. */
  readonly release: () => void;
}

/** The keys of one moment, to be read once. Reserved keys are left out. */
export class Snapshot {
  readonly #source: SnapshotSource;
  /** The saved values of keys that were written since the moment and have not been visited. */
  #left = new KeyMap<Effect>();
  /** Those that are left when all entries have been visited: no more come then. */
  #atTheEnd: Iterator<Effect> | undefined;
  /** The order of the last entry that was visited. */
  #position = 0;
  #hasSeenAll = false;

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** How many keys it has. */
  get size(): number {
    return this.#source.size;
  }

  /** Called before `entry` gets another value. */
  beforeWrite({ key, value, expiresAtMs, order }: OrderedEntry): void {
    if (order > this.#source.lastOrder || order <= this.#position || this.#left.has(key)) return;
    this.#left.set(key, { key, value, expiresAtMs });
  }

  /**
   * Visits up to `looksMax` keys and passes those that existed to `receive`, which may be few.
   * Stops after a key for which `receive` returns true. `receive` must not change the store.
   *
   * @returns whether there may be more
   */
  read(looksMax: number, receive: (entry: SnapshotEntry) => boolean): boolean {
    const entries = this.#source.entries.behind(this.#position);
    for (let looks = 0; looks < looksMax; looks++) {
      const looked = this.#hasSeenAll ? this.#nextLeft() : this.#nextEntry(entries);
      if (looked === undefined) {
        this.release();
        return false;
      }
      const { key, value, expiresAtMs } = looked;
      if (value === undefined || isReserved(key)) continue;
      if (receive({ key, value, expiresAtMs })) break;
    }
    return true;
  }

  #nextEntry(entries: Iterator<OrderedEntry>): Effect | undefined {
    const { lastOrder } = this.#source;
    const { value: entry, done } = entries.next();
    if (done === true || entry.order > lastOrder) {
      this.#hasSeenAll = true;
      this.#position = lastOrder;
      return this.#nextLeft();
    }
    this.#position = entry.order;
    const left = this.#left.get(entry.key);
    if (left === undefined) return entry;
    this.#left.delete(entry.key);
    return left;
  }

  /** A saved value that remains at the end belongs to a key that was deleted before its visit. */
  #nextLeft(): Effect | undefined {
    this.#atTheEnd ??= this.#left.values();
    const { value, done } = this.#atTheEnd.next();
    return done === true ? undefined : value;
  }

  /** Ends the snapshot: no more values are saved for it, and it must not be read again. */
  release(): void {
    this.#source.release();
    this.#left = new KeyMap();
    this.#atTheEnd = undefined;
  }
}
