/**
 * What is committed anywhere, by key: no node that may read may show less.
 *
 * A transaction is committed only when all members of the view are prepared. From then on a member
 * shows the new value, or makes its readers wait; and no node outside of the view has a lease. So this
 * holds at every moment, whether the write was acknowledged or not. To look changes nothing: no message
 * is sent, and no read waits.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import { EVERYTHING, isReserved } from "../../src/reserved_keys.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import type { Stamp } from "../../src/two_phase/messages.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { MUST_WAIT, type Replica } from "../../src/two_phase/replica.ts";
import type { Violation } from "./checkers.ts";

/** The latest write of a key that is committed at some node. */
interface Latest {
  readonly version: Stamp;
  readonly value: ByteString | undefined;
  /** It was of a cluster that is left behind: of the value nothing is promised. */
  readonly isForgotten?: boolean;
}

/** Compares what nodes show with what is committed. */
export class Freshness {
  readonly #latest = new Map<ByteString, Latest>();

  /** Takes note of everything that is committed in `store` from now on: what recovery commits, too. */
  follow(store: Store): void {
    const write = store.write.bind(store);
    store.write = (entry, value, version, expiresAtMs) => {
      if (entry.key === EVERYTHING) this.#onClear(version);
      const known = this.#latest.get(entry.key);
      if (known === undefined || known.version < version) {
        this.#latest.set(entry.key, { version, value });
      }
      write(entry, value, version, expiresAtMs);
    };
  }

  #onClear(version: Stamp): void {
    for (const [key, known] of this.#latest) {
      if (!isReserved(key) && known.version < version) {
        this.#latest.set(key, { version, value: undefined });
      }
    }
  }

  /**
   * A new cluster goes on from what one node holds: the rest never happened. But a node that comes back
   * with its old journal writes nothing new.
   */
  forget(): void {
    for (const [key, { version }] of this.#latest) {
      this.#latest.set(key, { version, value: undefined, isForgotten: true });
    }
  }

  /** Looks at `keys` as a client of the node would that `replica` is, at `now` by its clocks. */
  check(
    node: {
      readonly name: string;
      readonly replica: Pick<Replica, "peek" | "store">;
      readonly now: Clocks;
    },
    keys: readonly ByteString[],
  ): Violation[] {
    const { name, replica, now } = node;
    return keys.flatMap((key): Violation[] => {
      const latest = this.#latest.get(key);
      if (latest === undefined || latest.isForgotten === true) return [];
      if (replica.peek(key, now) === MUST_WAIT) return [];
      const entry = replica.store.get(key);
      const shown = entry?.value;
      const isFresh = shown === undefined
        ? latest.value === undefined
        : (entry?.version ?? 0) >= latest.version;
      if (isFresh) return [];
      const text = `${name} shows ${key} = ${shown ?? "nothing"}, and ${
        latest.value ?? "its deletion"
      } is committed`;
      return [{ checker: "freshness", text }];
    });
  }
}
