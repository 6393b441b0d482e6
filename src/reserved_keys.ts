/**
 * Keys that dks keeps for itself among those of its users, such as the tokens of DKS.ONCE.
 *
 * They are written by transactions like any other key, so they are as atomic and as durable. No
 * command of a client reaches them, no count counts them, no export has them.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** What hidden keys begin with; users' keys must not. */
export const RESERVED_PREFIX: ByteString = "\0dks:";

/** Tells whether `key` is one that dks keeps for itself. */
export function isReserved(key: ByteString): boolean {
  // The first character tells nearly all apart, for this is asked at every write of a key.
  return key.charCodeAt(0) === 0 && key.startsWith(RESERVED_PREFIX);
}
