/**
 * A store that waits while others have its database locked.
 *
 * @module
 */

import type { KvBatch, KvItem, KvStore } from "./kv_store.ts";
import { type Patience, whileLocked } from "./locked.ts";

/** Makes a store wait for others that have it locked. */
export class PatientKvStore implements KvStore {
  readonly #store: KvStore;
  readonly #patience: Patience;

  constructor(store: KvStore, patience: Patience) {
    this.#store = store;
    this.#patience = patience;
  }

  get(key: Deno.KvKey): Promise<KvItem> {
    return whileLocked(this.#patience, () => this.#store.get(key));
  }

  commit(batch: KvBatch): Promise<string | undefined> {
    return whileLocked(this.#patience, () => this.#store.commit(batch));
  }

  async *list(selector: Deno.KvListSelector, batchSize: number): AsyncGenerator<KvItem> {
    let items = this.#store.list(selector, batchSize)[Symbol.asyncIterator]();
    let last: Deno.KvKey | undefined;
    for (;;) {
      const result = await whileLocked(this.#patience, async () => {
        try {
          return await items.next();
        } catch (error) {
          // An iterator that has failed is at its end: another one goes on behind the last item.
          items = this.#store.list(behind(selector, last), batchSize)[Symbol.asyncIterator]();
          throw error;
        }
      });
      if (result.done === true) return;
      last = result.value.key;
      yield result.value;
    }
  }

  close(): void {
    this.#store.close();
  }
}

/** Returns what is left of `selector` behind `last`. */
function behind(selector: Deno.KvListSelector, last: Deno.KvKey | undefined): Deno.KvListSelector {
  // The first key behind another one is that with an empty part more.
  return last === undefined ? selector : { ...selector, start: [...last, new Uint8Array()] };
}
