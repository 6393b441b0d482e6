/**
 * The keys and their committed values.
 *
 * The store holds what is committed and nothing else: intended writes are in the transactions. A
 * key's entry also carries its lock, for the lock table, so that a transaction looks up each of its
 * keys once. An entry without a value is only locked.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { KeyMap, KeySet } from "../key_map.ts";
import { EVERYTHING } from "../reserved_keys.ts";
import type { KeyRecord, Stamp } from "./messages.ts";
import { Snapshot } from "./snapshot.ts";
import { newEntry } from "./entry.ts";
import { EntryList } from "./entry_list.ts";
import { ExpiryQueue, NO_PLACE } from "./expiry_queue.ts";
import type { Entry } from "./state.ts";

/** The committed state of one node. */
export class Store {
  #entries = new KeyMap<Entry>();
  #list = new EntryList();
  #expiring = new ExpiryQueue();
  #size = 0;
  #bytes = 0;
  /** The reserved keys that have a value, in the order in which they got it, and when that was. */
  readonly #reserved = new Map<ByteString, number>();
  /** The monotonic clock at the present step, in milliseconds: the time that writes get. */
  nowMs: number;
  /** Keys written since the last checkpoint began; `undefined` if nothing makes checkpoints. */
  #changed: KeySet | undefined;
  /** Counts these sets: an entry says in which it is. */
  #changedNumber = 0;
  readonly #watchers = new Set<KeySet>();
  #lastOrder = 0;
  #versionMax: Stamp = 0;
  /** All keys were deleted at once since the last checkpoint began. */
  #isCleared = false;
  /** How often all keys were deleted at once. */
  clears = 0;
  /** Is told what a reserved key holds, when that is written. */
  onReservedWrite: (key: ByteString, value: ByteString | undefined) => void = () => {};
  /** Returns the entries that are locked or waited for: the lock table says which. */
  lockedEntries: () => Iterable<Entry> = () => [];
  readonly #snapshots = new Set<Snapshot>();

  /** @param nowMs the monotonic clock now, in milliseconds: the time that restored writes get */
  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  /** Returns how many keys have a value, reserved keys not counted. */
  get size(): number {
    return this.#size - this.#reserved.size;
  }

  /** Returns how many keys have a value, reserved keys included. */
  get sizeWithReserved(): number {
    return this.#size;
  }

  /** Returns the total size in bytes of all keys that have a value, and their values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the entry of `key`, or `undefined` if the key neither exists nor is locked. */
  get(key: ByteString): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Returns the entry of `key`; makes it if there is none. */
  entryOf(key: ByteString): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = newEntry(key, ++this.#lastOrder);
      this.#entries.set(key, entry);
      this.#list.add(entry);
    }
    return entry;
  }

  /** Sets or deletes the committed value of `entry`. */
  write(
    entry: Entry,
    value: ByteString | undefined,
    version: Stamp,
    expiresAtMs?: number,
  ): void {
    const { key, value: before } = entry;
    if (entry.isReserved && key === EVERYTHING) {
      this.#deleteAll(version);
      return;
    }
    if (this.#snapshots.size > 0) { for (const one of this.#snapshots) one.beforeWrite(entry); }
    // Mostly the key itself is not looked at: its memory is seldom near.
    if (before !== undefined && value !== undefined) this.#bytes += value.length - before.length;
    else if (before !== undefined) {
      this.#size--;
      this.#bytes -= key.length + before.length;
    } else if (value !== undefined) {
      this.#size++;
      this.#bytes += key.length + value.length;
    }
    if (entry.isReserved) {
      this.#reserved.delete(key);
      if (value !== undefined) this.#reserved.set(key, this.nowMs);
      this.onReservedWrite(key, value);
    }
    entry.value = value;
    entry.version = version;
    if (expiresAtMs !== undefined || entry.expiresAtMs !== undefined) {
      entry.expiresAtMs = expiresAtMs;
      this.#expiring.update(entry);
    }
    if (version > this.#versionMax) this.#versionMax = version;
    if (this.#changed !== undefined && entry.changedIn !== this.#changedNumber) {
      entry.changedIn = this.#changedNumber;
      this.#changed.add(key);
    }
    if (this.#watchers.size > 0) { for (const watcher of this.#watchers) watcher.add(key); }
  }

  /** Starts to track the keys that are written, for checkpoints, with none. */
  trackChanges(): void {
    this.#changed = new KeySet();
    this.#changedNumber++;
  }

  /** Returns the keys written since the last call, and starts a new set. */
  takeChanged(): KeySet {
    const changed = this.#changed ?? new KeySet();
    if (this.#changed !== undefined) this.trackChanges();
    return changed;
  }

  /** Restores what was written to a key before a restart, or at another node. */
  restore({ key, value, version, expiresAtMs }: KeyRecord): void {
    const entry = this.entryOf(key);
    this.write(entry, value, version, expiresAtMs);
    this.dropIfEmpty(entry);
  }

  /** Returns the committed record of `key`; version 0 and no value for an unknown key. */
  recordOf(key: ByteString): KeyRecord {
    const { value, version = 0, expiresAtMs } = this.#entries.get(key) ?? {};
    return expiresAtMs === undefined
      ? { key, value, version }
      : { key, value, version, expiresAtMs };
  }

  /** Forgets everything. */
  clear(): void {
    for (const entry of this.#entries.values()) {
      if (entry.value !== undefined) this.write(entry, undefined, 0);
    }
    this.#entries = new KeyMap();
    this.#list = new EntryList();
    // A checkpoint need not say of each key that it is gone: nothing that is stored holds.
    this.#isCleared = this.#changed !== undefined;
    if (this.#changed !== undefined) this.trackChanges();
  }

  /**
   * Deletes all keys but the reserved ones, as a write with `version` does: what has a later version is
   * there already when a journal is replayed, and stays.
   *
   * The entries are not looked at one by one. Those that are locked or waited for stay, without a value.
   */
  #deleteAll(version: Stamp): void {
    const before = this.#entries;
    const kept = new Set(this.lockedEntries());
    for (const key of this.#reserved.keys()) kept.add(this.entryOf(key));
    if (this.#versionMax >= version) {
      for (const entry of before.values()) if (entry.version >= version) kept.add(entry);
    }
    if (this.#snapshots.size > 0) {
      for (const entry of kept) for (const one of this.#snapshots) one.beforeWrite(entry);
    }
    this.clears++;
    this.#isCleared = this.#changed !== undefined;
    if (this.#changed !== undefined) this.trackChanges();
    this.#entries = new KeyMap();
    this.#list = new EntryList();
    this.#expiring = new ExpiryQueue();
    this.#size = 0;
    this.#bytes = 0;
    for (const entry of [...kept].sort((a, b) => a.order - b.order)) {
      this.#entries.set(entry.key, entry);
      this.#list.add(entry);
      entry.expiryPlace = NO_PLACE;
      if (!entry.isReserved && entry.version < version) {
        entry.value = undefined;
        entry.expiresAtMs = undefined;
        entry.version = version;
      }
      if (entry.value === undefined) continue;
      this.#size++;
      this.#bytes += entry.key.length + entry.value.length;
      this.#expiring.update(entry);
      this.#changed?.add(entry.key);
    }
  }

  /** Whether all keys were deleted at once since the last call of {@linkcode takeCleared}. */
  get isCleared(): boolean {
    return this.#isCleared;
  }

  /** Returns whether all keys were deleted at once since the last call. */
  takeCleared(): boolean {
    const isCleared = this.#isCleared;
    this.#isCleared = false;
    return isCleared;
  }

  /** Returns entries whose expiry is not after `nowMs`: `countMax` at the most, in no order. */
  expired(nowMs: number, countMax: number): Entry[] {
    return this.#expiring.due(nowMs, countMax);
  }

  /** How many keys have an expiry. */
  get expiring(): number {
    return this.#expiring.size;
  }

  /**
   * Returns the entries behind the one with this `order`, in the order in which they were made, those
   * without a value and the reserved ones too. The store must not change meanwhile.
   */
  behind(order: number): Generator<Entry> {
    return this.#list.behind(order);
  }

  /** The order of the last entry that was made. */
  get lastOrder(): number {
    return this.#lastOrder;
  }

  /** Returns an entry by its place among all, as a fraction from 0 up to but not including 1. */
  entryAt(fraction: number): Entry | undefined {
    return this.#list.at(fraction);
  }

  /** Returns a snapshot of this moment. While it is read, overwritten values stay in memory. */
  snapshot(): Snapshot {
    const snapshot: Snapshot = new Snapshot({
      entries: this.#list,
      lastOrder: this.#lastOrder,
      size: this.size,
      release: () => this.#snapshots.delete(snapshot),
    });
    this.#snapshots.add(snapshot);
    return snapshot;
  }

  /** How many snapshots are being read. */
  get snapshots(): number {
    return this.#snapshots.size;
  }

  /** Returns a set that collects every key written from now on. */
  watch(): KeySet {
    const watcher = new KeySet();
    this.#watchers.add(watcher);
    return watcher;
  }

  /** Stops adding to a set that {@linkcode watch} returned. */
  unwatch(watcher: KeySet): void {
    this.#watchers.delete(watcher);
  }

  /** Drops `entry` if it has neither value nor lock. */
  dropIfEmpty(entry: Entry): void {
    if (entry.value !== undefined || entry.lock !== undefined) return;
    if (this.#entries.delete(entry.key, entry)) this.#list.remove(entry);
  }

  /**
   * Returns the reserved keys that exist, the oldest first, each with the time at which this
   * process wrote its value, by the monotonic clock in milliseconds. For a restored or transferred
   * key, that is the time of the restart or transfer.
   */
  reservedKeys(): IterableIterator<[key: ByteString, writtenAtMs: number]> {
    return this.#reserved.entries();
  }

  /**
   * Returns when the value of a reserved key was written here; `undefined` if it does not exist.
   */
  reservedSince(key: ByteString): number | undefined {
    return this.#reserved.get(key);
  }

  /** Returns the entries of all keys that exist, in no particular order. */
  *entries(): Generator<Entry> {
    for (const entry of this.#entries.values()) {
      if (entry.value !== undefined) yield entry;
    }
  }
}
