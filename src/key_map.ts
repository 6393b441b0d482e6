/**
 * A map of keys that stays quick while it grows to millions.
 *
 * The engine's own map first looks a new string up in its table of all strings, and then the key that it has
 * found there by identity: two lookups in memory that is seldom near. And it moves all of its entries to
 * another table at once whenever it gets twice or a quarter as large: 76 ms for a million keys, in which a
 * node does nothing else. So keys are in tables of our own, in which each key is at the place that its hash
 * gives, or a few behind it. The hashes are in an array of their own: hardly any other key is looked at. Many
 * keys are in 64 such tables, by other bits of their hashes, and each table moves on its own.
 *
 * The hash takes in at most 256 bytes, evenly over the key: it must cost little beside the lookup. Keys that
 * find no place near the one that their hash gives are in a map of the engine's: however many keys have one
 * hash, by chance or by intent, they are found as quickly as in one map.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

const SHARD_BITS = 6;
const SHARDS = 1 << SHARD_BITS;

/** The most keys in one table, before there are {@linkcode SHARDS}: so many go to others at once. */
const ONE_TABLE_MAX = 32 * 1024;

/** The most bytes of a key that its hash takes in. */
const HASHED_MAX = 256;

/** The fewest places of a table. */
const PLACES_MIN = 16;

/** Where a key may be: at the place that its hash gives, or behind it, so many places in all. */
const STEPS_MAX = 64;

/** In place of a hash: there is no key, and a key that belongs here is not behind it either. */
const EMPTY = 0;
/** In place of a hash: a key was deleted, and others that belong here may be behind it. */
const LEFT = 1;

/** Returns the hash of `key`: a 32-bit integer that is neither {@linkcode EMPTY} nor {@linkcode LEFT}. */
export function hashOf(key: ByteString): number {
  const { length } = key;
  const step = Math.ceil(length / HASHED_MAX);
  let hash = length;
  for (let at = length - 1; at >= 0; at -= step) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  }
  // Each bit must depend on all bytes: the lower ones choose the place, and the upper ones the table.
  hash = Math.imul(hash ^ (hash >>> 15), 0x9e3779b1);
  return (hash ^ (hash >>> 14)) | 2;
}

/** Returns how many places `size` keys get: a power of two, and two and a half times as many at least. */
function placesFor(size: number): number {
  let places = PLACES_MIN;
  while (places * 2 < size * 5) places *= 2;
  return places;
}

/** Values by key, in one table. What takes a key takes its hash, too. */
class Table<Value> {
  /** The hash of the key at each place, or {@linkcode EMPTY}, or {@linkcode LEFT}. */
  hashes: Int32Array;
  /** The key at each place, and behind it its value. */
  slots: (ByteString | Value | undefined)[];
  /** The places that are not {@linkcode EMPTY}. */
  #used = 0;
  /** The keys that have a place. */
  #placed = 0;
  /** The keys that found no place; `undefined` if there are none. */
  others: Map<ByteString, Value> | undefined;

  /** @param size how many keys it has room for */
  constructor(size: number) {
    const places = placesFor(size);
    this.hashes = new Int32Array(places);
    this.slots = new Array(2 * places).fill(undefined);
  }

  get size(): number {
    return this.#placed + (this.others?.size ?? 0);
  }

  /** Returns the place of `key`, or -1 if it has none. */
  #placeOf(key: ByteString, hash: number): number {
    const hashes = this.hashes;
    const slots = this.slots;
    const last = hashes.length - 1;
    for (let steps = 0, at = (hash >>> 2) & last; steps < STEPS_MAX; steps++) {
      const found = hashes[at];
      if (found === hash && slots[2 * at] === key) return at;
      if (found === EMPTY) return -1;
      at = (at + 1) & last;
    }
    return -1;
  }

  get(key: ByteString, hash: number): Value | undefined {
    const place = this.#placeOf(key, hash);
    if (place >= 0) return this.slots[2 * place + 1] as Value;
    return this.others?.get(key);
  }

  has(key: ByteString, hash: number): boolean {
    return this.#placeOf(key, hash) >= 0 || this.others?.has(key) === true;
  }

  set(key: ByteString, hash: number, value: Value): void {
    const place = this.#placeOf(key, hash);
    if (place >= 0) this.slots[2 * place + 1] = value;
    else if (this.others?.has(key) === true) this.others.set(key, value);
    else {
      if (this.#used * 8 >= this.hashes.length * 5) this.#move();
      this.add(key, hash, value);
    }
  }

  /** Adds `key`, which is not there. */
  add(key: ByteString, hash: number, value: Value): void {
    const hashes = this.hashes;
    const last = hashes.length - 1;
    for (let steps = 0, at = (hash >>> 2) & last; steps < STEPS_MAX; steps++) {
      const found = hashes[at];
      if (found === EMPTY || found === LEFT) {
        if (found === EMPTY) this.#used++;
        hashes[at] = hash;
        this.slots[2 * at] = key;
        this.slots[2 * at + 1] = value;
        this.#placed++;
        return;
      }
      at = (at + 1) & last;
    }
    this.others ??= new Map();
    this.others.set(key, value);
  }

  /** Takes `key` out; if a value is given, only with this one. Returns whether it was there. */
  delete(key: ByteString, hash: number, value?: Value): boolean {
    const place = this.#placeOf(key, hash);
    if (value !== undefined) {
      const found = place < 0 ? this.others?.get(key) : this.slots[2 * place + 1];
      if (found !== value) return false;
    }
    if (place < 0) return this.others?.delete(key) === true;
    const hashes = this.hashes;
    const last = hashes.length - 1;
    this.slots[2 * place] = undefined;
    this.slots[2 * place + 1] = undefined;
    this.#placed--;
    hashes[place] = LEFT;
    if (hashes[(place + 1) & last] === EMPTY) {
      for (let at = place; hashes[at] === LEFT; at = (at - 1) & last) {
        hashes[at] = EMPTY;
        this.#used--;
      }
    }
    if (this.size * 8 < hashes.length && hashes.length > PLACES_MIN) this.#move();
    return true;
  }

  /** Moves all keys to other arrays, which have room for half as many again; the present ones stay as they are. */
  #move(): void {
    const { hashes, slots, others } = this;
    const places = placesFor(this.size);
    this.hashes = new Int32Array(places);
    this.slots = new Array(2 * places).fill(undefined);
    this.others = undefined;
    this.#used = 0;
    this.#placed = 0;
    addAll({ hashes, slots, others }, () => this);
  }
}

/** Adds all that a table holds or has held to others, which have none of it. */
function addAll<Value>(
  { hashes, slots, others }: Pick<Table<Value>, "hashes" | "slots" | "others">,
  tableFor: (hash: number) => Table<Value>,
): void {
  for (let at = 0; at < hashes.length; at++) {
    const hash = hashes[at] ?? EMPTY;
    if (hash === EMPTY || hash === LEFT) continue;
    tableFor(hash).add(slots[2 * at] as ByteString, hash, slots[2 * at + 1] as Value);
  }
  if (others === undefined) return;
  for (const [key, value] of others) {
    const hash = hashOf(key);
    tableFor(hash).add(key, hash, value);
  }
}

/** Values by key. What iterates over it has no order; what is added meanwhile may come or not. */
export class KeyMap<Value> {
  /** One, or {@linkcode SHARDS}. */
  #tables: readonly Table<Value>[] = [new Table(0)];
  #size = 0;

  /** How many keys there are. */
  get size(): number {
    return this.#size;
  }

  #tableFor(hash: number): Table<Value> {
    const { length } = this.#tables;
    return this.#tables[(hash >>> (32 - SHARD_BITS)) & (length - 1)] as Table<Value>;
  }

  /** Returns the value of `key`, or `undefined` if there is none. */
  get(key: ByteString): Value | undefined {
    const hash = hashOf(key);
    return this.#tableFor(hash).get(key, hash);
  }

  /** Returns whether `key` has a value. */
  has(key: ByteString): boolean {
    const hash = hashOf(key);
    return this.#tableFor(hash).has(key, hash);
  }

  /** Sets the value of `key`. */
  set(key: ByteString, value: Value): void {
    const hash = hashOf(key);
    const table = this.#tableFor(hash);
    const before = table.size;
    table.set(key, hash, value);
    this.#size += table.size - before;
    if (this.#size > ONE_TABLE_MAX && this.#tables.length === 1) this.#divide();
  }

  /** Takes `key` out; if a value is given, only with this one. Returns whether it was there. */
  delete(key: ByteString, value?: Value): boolean {
    const hash = hashOf(key);
    const wasThere = this.#tableFor(hash).delete(key, hash, value);
    if (wasThere) this.#size--;
    return wasThere;
  }

  /** Moves all keys to {@linkcode SHARDS} tables; the present one stays as it is. */
  #divide(): void {
    const [before] = this.#tables;
    this.#tables = Array.from({ length: SHARDS }, () => new Table<Value>(this.#size / SHARDS));
    if (before !== undefined) addAll(before, (hash) => this.#tableFor(hash));
  }

  /**
   * Returns all keys. The map may change meanwhile: what stays in it comes once.
   *
   * @param from an integer: another one begins at another key, if there are many
   */
  keys(from = 0): Generator<ByteString> {
    return this.#all(from, (key) => key);
  }

  /** Returns all values. The map may change meanwhile: what stays in it comes once. */
  values(): Generator<Value> {
    return this.#all(0, (_, value) => value);
  }

  *#all<Part>(from: number, partOf: (key: ByteString, value: Value) => Part): Generator<Part> {
    const tables = this.#tables;
    const first = Math.imul(from, 0x9e3779b1) >>> 7;
    for (let i = 0; i < tables.length; i++) {
      const table = tables[(from + i) % tables.length];
      if (table === undefined) continue;
      const { hashes, slots, others } = table;
      // Arrays from which the keys were moved no longer change.
      const isMoved = () => table.slots !== slots || this.#tables !== tables;
      for (let j = 0; j < hashes.length; j++) {
        const at = (first + j) & (hashes.length - 1);
        const hash = hashes[at];
        if (hash === EMPTY || hash === LEFT) continue;
        const key = slots[2 * at] as ByteString;
        if (!isMoved()) yield partOf(key, slots[2 * at + 1] as Value);
        else if (this.has(key)) yield partOf(key, this.get(key) as Value);
      }
      for (const [key, value] of others ?? []) {
        if (!isMoved()) yield partOf(key, value);
        else if (this.has(key)) yield partOf(key, this.get(key) as Value);
      }
    }
  }
}

/** A set of keys that stays quick while it grows, as {@linkcode KeyMap} does. */
export class KeySet {
  readonly #keys = new KeyMap<true>();

  /** How many keys there are. */
  get size(): number {
    return this.#keys.size;
  }

  /** Adds `key`, if it is not there. */
  add(key: ByteString): void {
    this.#keys.set(key, true);
  }

  /** Takes `key` out. Returns whether it was there. */
  delete(key: ByteString): boolean {
    return this.#keys.delete(key);
  }

  /** Returns all keys, in no order. Keys may be deleted meanwhile. */
  [Symbol.iterator](): Generator<ByteString> {
    return this.#keys.keys();
  }
}
