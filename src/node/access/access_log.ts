/**
 * ACL LOG: what this node has refused. As in Redis, what is refused again within a minute is counted, and
 * the latest 128 are kept.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { RespValue } from "../../resp/value.ts";

/** How many entries are kept. */
const ENTRIES_MAX = 128;

/** Within this time the same is counted and not noted again, in milliseconds. */
const SAME_MS = 60_000;

/** Most bytes of an object that are kept: a key may be long. */
const OBJECT_BYTES_MAX = 128;

/** What was refused. */
export interface Refused {
  readonly reason: "command" | "key" | "channel" | "auth";
  readonly context: "toplevel" | "multi";
  readonly object: ByteString;
  readonly user: ByteString;
  /** The client, as CLIENT LIST describes it. */
  readonly client: ByteString;
}

interface Entry {
  readonly refused: Refused;
  count: number;
  atMs: number;
  client: ByteString;
}

/** The log of one node. */
export class AccessLog {
  /** The latest first. */
  #entries: Entry[] = [];

  /** @param nowMs the monotonic clock, in milliseconds */
  add(refused: Refused, nowMs: number): void {
    const object = refused.object.slice(0, OBJECT_BYTES_MAX);
    const same = this.#entries.find((one) =>
      nowMs - one.atMs <= SAME_MS && one.refused.reason === refused.reason &&
      one.refused.context === refused.context && one.refused.object === object &&
      one.refused.user === refused.user
    );
    if (same === undefined) {
      const { client } = refused;
      this.#entries.unshift({ refused: { ...refused, object }, count: 1, atMs: nowMs, client });
      this.#entries.splice(ENTRIES_MAX);
      return;
    }
    same.count++;
    same.atMs = nowMs;
    same.client = refused.client;
    this.#entries = [same, ...this.#entries.filter((one) => one !== same)];
  }

  /** Returns the latest entries, as ACL LOG does. */
  latest(count: number, nowMs: number): RespValue {
    return this.#entries.slice(0, count).map(({ refused, count, atMs, client }) =>
      new Map<RespValue, RespValue>([
        ["count", count],
        ["reason", refused.reason],
        ["context", refused.context],
        ["object", refused.object],
        ["username", refused.user],
        ["age-seconds", String(Math.round(nowMs - atMs) / 1000)],
        ["client-info", client],
      ])
    );
  }

  reset(): void {
    this.#entries = [];
  }
}
