/**
 * The keys and their committed values.
 *
 * The store holds what is committed and nothing else: what transactions intend stands in the
 * transactions, who may do what stands in the lock table.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { Effect, Stamp } from "./messages.ts";

/** A key's committed value. */
export interface Entry {
  value: ByteString;
  /** The stamp of the transaction that wrote it: higher than that of any earlier write of the key. */
  version: Stamp;
}

/** The committed state of one node. */
export class Store {
  readonly #entries = new Map<ByteString, Entry>();

  /** Returns how many keys have a value. */
  get size(): number {
    return this.#entries.size;
  }

  /** Returns the entry of `key`, or `undefined` where there is none. */
  get(key: ByteString): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Carries out the effects of a committed transaction. */
  apply(effects: readonly Effect[], version: Stamp): void {
    for (const effect of effects) {
      if (effect.value === undefined) {
        this.#entries.delete(effect.key);
        continue;
      }
      const entry = this.#entries.get(effect.key);
      if (entry === undefined) {
        this.#entries.set(effect.key, { value: effect.value, version });
      } else {
        entry.value = effect.value;
        entry.version = version;
      }
    }
  }

  /** Returns all keys with their entries, in no order that means anything. */
  entries(): IterableIterator<[ByteString, Entry]> {
    return this.#entries.entries();
  }
}
