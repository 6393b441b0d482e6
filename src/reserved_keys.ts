/**
 * Keys that dks keeps for itself among those of its users, such as the tokens of DKS.ONCE.
 *
 * They are written by transactions like any other key, so they are as atomic and as durable. No
 * command of a client reaches them, no count includes them, and no export contains them.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** The prefix of reserved keys; users' keys must not have it. */
export const RESERVED_PREFIX: ByteString = "\0dks:";

/** Tells whether `key` is one that dks keeps for itself. */
export function isReserved(key: ByteString): boolean {
  // The first character decides nearly every case: every write of a key asks this.
  return key.charCodeAt(0) === 0 && key.startsWith(RESERVED_PREFIX);
}

/** Holds the users and what each may do, see `node/access/`. It is never deleted. */
export const USERS_KEY: ByteString = `${RESERVED_PREFIX}users`;

/**
 * Stands for all keys that are not reserved: to delete it deletes them, and its lock excludes all other
 * transactions.
 */
export const EVERYTHING: ByteString = `${RESERVED_PREFIX}everything`;
