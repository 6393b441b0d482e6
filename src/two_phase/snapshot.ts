/**
 * All keys and values as they stood at one moment, without a copy of them.
 *
 * To take a snapshot only marks the moment. The keys are looked at later, a few at a time; whoever
 * writes a key that has not been looked at leaves its value of that moment behind (copy on write). So
 * the moment costs nothing, however many keys there are, and the snapshot holds on to no more values
 * than are overwritten while it is read.
 *
 * Entries stand in the store in the order in which they were made, so the order of an entry tells
 * whether it was there at the moment, and whether it has been looked at.
 *
 * A moment at which nothing is prepared here is a moment of the whole cluster: see `BarrierRequest`.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { isReserved } from "../reserved_keys.ts";
import type { Effect } from "./messages.ts";

/** A key that existed at the moment of a snapshot. */
export interface SnapshotEntry extends Effect {
  readonly value: ByteString;
}

/** What a snapshot needs of an entry of the store. */
export interface OrderedEntry extends Effect {
  /** Its place in the order in which entries were made. */
  readonly order: number;
}

/** What a snapshot sees of its store. */
export interface SnapshotSource {
  /** All entries, in the order in which they were made; such as are made later come behind. */
  readonly entries: Iterator<OrderedEntry>;
  /** The order of the last entry that there is. */
  readonly lastOrder: number;
  /** How many keys have a value, the hidden ones not counted. */
  readonly size: number;
  /** Is called when nothing more needs to be left behind. */
  readonly release: () => void;
}

/** The keys of one moment, to be read once. Hidden keys are left out. */
export class Snapshot {
  readonly #source: SnapshotSource;
  /** The values of keys that were written since the moment, and have not been looked at. */
  readonly #left = new Map<ByteString, Effect>();
  /** The order of the last entry that was looked at. */
  #position = 0;
  #hasSeenAll = false;

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** How many keys there are in it. */
  get size(): number {
    return this.#source.size;
  }

  /** Is called before `entry` gets another value. */
  beforeWrite({ key, value, expiresAtMs, order }: OrderedEntry): void {
    if (order > this.#source.lastOrder || order <= this.#position || this.#left.has(key)) return;
    this.#left.set(key, { key, value, expiresAtMs });
  }

  /**
   * Looks at some of the keys that were not looked at yet, and hands them over: at the most `looksMax`,
   * of which few may exist, and none behind one for which `receive` returns true.
   *
   * @returns whether there may be more
   */
  read(looksMax: number, receive: (entry: SnapshotEntry) => boolean): boolean {
    for (let looks = 0; looks < looksMax; looks++) {
      const looked = this.#hasSeenAll ? this.#nextLeft() : this.#nextEntry();
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

  #nextEntry(): Effect | undefined {
    const { entries, lastOrder } = this.#source;
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

  /** What is left at the end was deleted before it was looked at. */
  #nextLeft(): Effect | undefined {
    for (const [key, left] of this.#left) {
      this.#left.delete(key);
      return left;
    }
    return undefined;
  }

  /** Has nothing more left behind: it will not be read any further. */
  release(): void {
    this.#source.release();
    this.#left.clear();
  }
}
