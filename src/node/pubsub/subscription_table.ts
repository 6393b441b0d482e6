/**
 * Who listens to what: of this node's clients, or how many of another node's.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { matchesGlob } from "../commands/glob.ts";
import { SUBSCRIPTION_KINDS, type SubscriptionKind } from "../commands/command.ts";

/** By kind and by name: the subscribers. */
export class SubscriptionTable<Listeners> {
  readonly #byKind: Readonly<Record<SubscriptionKind, Map<ByteString, Listeners>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };

  get(kind: SubscriptionKind, name: ByteString): Listeners | undefined {
    return this.#byKind[kind].get(name);
  }

  set(kind: SubscriptionKind, name: ByteString, listeners: Listeners): void {
    this.#byKind[kind].set(name, listeners);
  }

  delete(kind: SubscriptionKind, name: ByteString): void {
    this.#byKind[kind].delete(name);
  }

  names(kind: SubscriptionKind): IterableIterator<ByteString> {
    return this.#byKind[kind].keys();
  }

  /** Returns the patterns that `channel` matches. */
  *matching(channel: ByteString): Generator<readonly [pattern: ByteString, Listeners]> {
    for (const entry of this.#byKind.pattern) {
      if (matchesGlob(entry[0], channel)) yield entry;
    }
  }

  /** Returns everything. */
  *entries(): Generator<readonly [SubscriptionKind, ByteString, Listeners]> {
    for (const kind of SUBSCRIPTION_KINDS) {
      for (const [name, listeners] of this.#byKind[kind]) yield [kind, name, listeners];
    }
  }

  /** How many names of this kind there are. */
  size(kind: SubscriptionKind): number {
    return this.#byKind[kind].size;
  }
}
