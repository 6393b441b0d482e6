/**
 * Exports under way: snapshots that clients read piece by piece (DKS.EXPORT).
 *
 * A snapshot holds on to every value that it has, also to those that are overwritten meanwhile. So
 * there are few at a time, and one that nobody reads from for a while is dropped.
 *
 * @module
 */

import { type ByteString, quote } from "../byte_string.ts";
import { EXPORT_CHUNK_BYTES, EXPORT_IDLE_MS, EXPORTS_MAX } from "../limits.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { Snapshot } from "./snapshot.ts";

interface Export {
  readonly snapshot: Snapshot;
  /** How many keys have been read. */
  done: number;
  usedAtMs: number;
}

/** The exports of one node. */
export class Exports {
  readonly #nowMs: () => number;
  readonly #byId = new Map<ByteString, Export>();

  /** @param nowMs returns a time in milliseconds that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Why no export can begin now; `undefined` where one can. */
  get obstacle(): ErrorReply | undefined {
    if (this.#byId.size < EXPORTS_MAX) return undefined;
    return new ErrorReply("REJECTED", `this node has ${EXPORTS_MAX} exports under way already`);
  }

  /** Begins an export. Returns its id and how many keys it has. */
  begin(snapshot: Snapshot): RespValue {
    const { obstacle } = this;
    if (obstacle !== undefined) return obstacle;
    const id = crypto.randomUUID();
    this.#byId.set(id, { snapshot, done: 0, usedAtMs: this.#nowMs() });
    return [id, snapshot.keys.length];
  }

  /** Returns the next keys, each with its value behind it; none at the end, which ends the export. */
  next(id: ByteString): RespValue {
    const found = this.#byId.get(id);
    if (found === undefined) {
      const message = `there is no export ${
        quote(id)
      }: it has ended, or nobody has read from it for ${EXPORT_IDLE_MS / 1000} s`;
      return new ErrorReply("ERR", message);
    }
    found.usedAtMs = this.#nowMs();
    const { keys, values } = found.snapshot;
    const chunk: ByteString[] = [];
    for (let bytes = 0; found.done < keys.length && bytes < EXPORT_CHUNK_BYTES; found.done++) {
      const [key = "", value = ""] = [keys[found.done], values[found.done]];
      chunk.push(key, value);
      bytes += key.length + value.length;
    }
    if (chunk.length === 0) this.#byId.delete(id);
    return chunk;
  }

  /** Drops the exports that nobody has read from for a while. */
  dropIdle(): void {
    const before = this.#nowMs() - EXPORT_IDLE_MS;
    for (const [id, { usedAtMs }] of this.#byId) if (usedAtMs < before) this.#byId.delete(id);
  }
}
