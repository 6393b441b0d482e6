/**
 * How an entry is made: each field takes 8 bytes of memory for every key, and a number that is no small
 * integer 16 more.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { isReserved } from "../reserved_keys.ts";
import { NO_PLACE } from "./expiry_queue.ts";
import type { Stamp } from "./messages.ts";
import type { Entry, Lock } from "./state.ts";

/** The entry of a key of clients. */
class ClientEntry implements Entry {
  readonly key: ByteString;
  readonly order: number;
  value: ByteString | undefined = undefined;
  version: Stamp = 0;
  expiresAtMs: number | undefined = undefined;
  expiryPlace = NO_PLACE;
  changedIn = 0;
  lock: Lock | undefined = undefined;

  constructor(key: ByteString, order: number) {
    this.key = key;
    this.order = order;
  }

  /** No field: all entries of one class say the same. */
  get isReserved(): boolean {
    return false;
  }
}

/** The entry of a key that dks keeps for itself. */
class ReservedEntry extends ClientEntry {
  override get isReserved(): boolean {
    return true;
  }
}

/** Returns an entry for `key` that has neither value nor lock; its `order` is above that of all before. */
export function newEntry(key: ByteString, order: number): Entry {
  return isReserved(key) ? new ReservedEntry(key, order) : new ClientEntry(key, order);
}
