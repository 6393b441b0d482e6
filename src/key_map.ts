/**
 * A map of keys that stays quick while it grows to millions.
 *
 * The engine's own map moves all of its entries to another table at once whenever it gets twice or a
 * quarter as large: 35 ms for half a million keys, 76 ms for a million, in which a node does nothing
 * else. So the keys are in 64 maps, by a hash of their bytes, each of which moves on its own: with a
 * million keys that takes a millisecond or two.
 *
 * The hash looks at no more than 16 bytes, evenly over the key: it must cost little beside the lookup.
 * Keys that differ only in between are all in one of the maps, which is as one map was.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

const SHARD_BITS = 6;
const SHARDS = 1 << SHARD_BITS;

/** Returns which of the maps `key` belongs to: 0 up to but not including 64. */
export function shardOf(key: ByteString): number {
  const { length } = key;
  const step = (length >> 4) + 1;
  let hash = length;
  for (let at = length - 1; at >= 0; at -= step) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  }
  // The upper bits depend on all bytes.
  return Math.imul(hash, 0x9e3779b1) >>> (32 - SHARD_BITS);
}

/** Values by key. What iterates over it has no order; what is added meanwhile may come or not. */
export class KeyMap<Value> {
  /** The maps that have had a key. */
  readonly #shards: (Map<ByteString, Value> | undefined)[] = new Array(SHARDS).fill(undefined);
  #size = 0;

  /** How many keys there are. */
  get size(): number {
    return this.#size;
  }

  /** Returns the value of `key`, or `undefined` if there is none. */
  get(key: ByteString): Value | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  /** Returns whether `key` has a value. */
  has(key: ByteString): boolean {
    return this.#shards[shardOf(key)]?.has(key) === true;
  }

  /** Sets the value of `key`. */
  set(key: ByteString, value: Value): void {
    const at = shardOf(key);
    const shard = this.#shards[at] ??= new Map();
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  /** Takes `key` out. Returns whether it was there. */
  delete(key: ByteString): boolean {
    const wasThere = this.#shards[shardOf(key)]?.delete(key) === true;
    if (wasThere) this.#size--;
    return wasThere;
  }

  /** Returns all keys, those of the shard `from` first. Keys may be deleted meanwhile. */
  *keys(from = 0): Generator<ByteString> {
    for (let i = 0; i < SHARDS; i++) {
      const shard = this.#shards[(from + i) % SHARDS];
      if (shard !== undefined) yield* shard.keys();
    }
  }

  /** Returns all values. Keys may be deleted meanwhile. */
  *values(): Generator<Value> {
    for (const shard of this.#shards) {
      if (shard !== undefined) yield* shard.values();
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
