/**
 * Deletes the entries of DKS.ONCE whose time is over, by ordinary transactions.
 *
 * One node sweeps, the first of the list that is linked; should two think that they are, the second
 * finds nothing left to delete. Whether an entry is too old is decided by the stamp in it and by the
 * clock of the node that sweeps: where the clocks of nodes differ, a token lives shorter or longer by
 * as much.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { ONCE_WINDOW_MS, SWEEP_DELETIONS_MAX, SWEEP_LOOKS_MAX } from "../limits.ts";
import type { Client, KeyReader, Outcome, WriteRequest } from "../two_phase/request.ts";
import type { Store } from "../two_phase/store.ts";
import { stampOf } from "./once.ts";

/** What the sweeper works with. */
export interface SweeperOptions {
  readonly store: Store;
  readonly submit: (request: WriteRequest, client: Client) => void;
  /** The time of day in milliseconds. */
  readonly nowMs: () => number;
  /** Whether this node is the one that sweeps. */
  readonly isMyTurn: () => boolean;
}

/** Deletes old tokens. */
export class TokenSweeper {
  readonly #options: SweeperOptions;
  #isSweeping = false;
  /** Where the look at the tokens goes on: it need not begin anew, and passes no token by. */
  #tokens: Iterator<ByteString> | undefined;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** Begins to delete what is old, where that is not under way. To be called every few seconds. */
  sweep(): void {
    if (this.#isSweeping || !this.#options.isMyTurn()) return;
    const before = this.#options.nowMs() - ONCE_WINDOW_MS;
    const keys = this.#oldKeys(before);
    if (keys.length === 0) return;
    this.#isSweeping = true;
    this.#options.submit(deletionOf(keys, before), {
      answered: (outcome: Outcome) => {
        this.#isSweeping = false;
        // There may be more; where this failed, the next call comes early enough.
        if (outcome.kind === "answered") queueMicrotask(() => this.sweep());
      },
    });
  }

  /** Looks at some tokens behind those looked at last, and returns the keys of the old ones. */
  #oldKeys(before: number): ByteString[] {
    const { store } = this.#options;
    const tokens = this.#tokens ??= store.hiddenKeys();
    const old: ByteString[] = [];
    for (let looked = 0; looked < SWEEP_LOOKS_MAX && old.length < SWEEP_DELETIONS_MAX; looked++) {
      const { value: key, done } = tokens.next();
      if (done === true) {
        this.#tokens = undefined;
        break;
      }
      if (isOld(store.get(key)?.value, before)) old.push(key);
    }
    return old;
  }
}

function isOld(value: ByteString | undefined, before: number): boolean {
  return value !== undefined && stampOf(value) < before;
}

/** Only what is still old when it is locked is deleted: a token may have been used anew. */
function deletionOf(keys: readonly ByteString[], before: number): WriteRequest {
  return {
    kind: "write",
    keys,
    evaluate: (read: KeyReader) => ({
      effects: keys.filter((key) => isOld(read(key), before))
        .map((key) => ({ key, value: undefined })),
      reply: null,
    }),
  };
}
