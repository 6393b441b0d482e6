/**
 * How much memory a node may use for keys: past that, writes that could need more are refused.
 *
 * @module
 */

import { getHeapStatistics } from "node:v8";
import { UsageError } from "../errors.ts";
import { KEY_OVERHEAD_BYTES } from "../limits.ts";
import type { Store } from "../two_phase/store.ts";

/** The part of the memory that the engine gives this process which keys take by default. */
const DEFAULT_SHARE = 0.6;

const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

/** Returns the most bytes of memory that the engine gives this process. */
export function heapBytesMax(): number {
  return getHeapStatistics().heap_size_limit;
}

/** Returns the default of --max-memory in bytes: a share of what the engine gives, by the machine's. */
export function defaultMemoryBytes(): number {
  return Math.floor(DEFAULT_SHARE * heapBytesMax());
}

/**
 * Returns how many bytes `text` names, in Redis's units (`100mb`, `2gb`, `1000`); 0 for no bound.
 *
 * @throws {UsageError} if it names none, or more than the engine can give.
 */
export function parseMemoryBytes(text: string, name: string): number {
  const match = /^(\d{1,15})(b|k|kb|m|mb|g|gb)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (UNIT_BYTES[(match?.[2] ?? "").toLowerCase()] ?? NaN);
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError(`${name} takes a size such as 512mb or 2gb, or 0 for none, not "${text}"`);
  }
  const max = heapBytesMax();
  if (bytes > max) {
    throw new UsageError(`${name} ${text} is more than the ${max} bytes that the engine can use`);
  }
  return bytes;
}

/** Returns about how many bytes of memory the keys take, with their values. */
export function usedMemory(store: Pick<Store, "bytes" | "sizeWithReserved">): number {
  return store.bytes + KEY_OVERHEAD_BYTES * store.sizeWithReserved;
}
