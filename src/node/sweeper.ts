/**
 * Deletes the entries of DKS.ONCE whose time is over, by ordinary transactions.
 *
 * One node sweeps: the first linked member of the view. If two nodes both sweep, the second finds
 * nothing left to delete. The sweeping node judges the age of an entry by its own monotonic clock,
 * from the moment at which it wrote the entry into its own memory. No clock of another node and no
 * wall clock is involved. A restart, a transfer, a change of the sweeping node, a sleeping machine:
 * each can only make a token live longer.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { ONCE_WINDOW_MS, SWEEP_DELETIONS_MAX } from "../limits.ts";
import type { Membership } from "../two_phase/membership.ts";
import type { NodeId } from "../two_phase/messages.ts";
import { members } from "../two_phase/node_set.ts";
import type { KeyReader, Outcome, Requester, WriteRequest } from "../two_phase/request.ts";
import type { Store } from "../two_phase/store.ts";
import { TOKEN_PREFIX } from "./commands/once.ts";

/** What the sweeper works with. */
export interface SweeperOptions {
  readonly store: Store;
  readonly submit: (request: WriteRequest, requester: Requester) => void;
  /** The monotonic clock that the store uses for the times of writes, in milliseconds. */
  readonly nowMs: () => number;
  /** Whether this node is the one that sweeps. */
  readonly isMyTurn: () => boolean;
}

/**
 * Tells whether `self` is the node that sweeps: the first linked member that is fit for it. A node outside
 * the view may be linked, for long if it is held back, and can delete nothing.
 */
export function isSweeper(
  { linked, members: inView, mayWrite }: Pick<Membership, "linked" | "members" | "mayWrite">,
  self: NodeId,
  isFit: (node: NodeId) => boolean = () => true,
): boolean {
  return members(linked & inView).find(isFit) === self && mayWrite;
}

/** Deletes old tokens. */
export class TokenSweeper {
  readonly #options: SweeperOptions;
  #isSweeping = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** Starts deleting old tokens, unless that is under way. Call it every few seconds. */
  sweep(): void {
    if (this.#isSweeping || !this.#options.isMyTurn()) return;
    const keys = this.#oldKeys();
    if (keys.length === 0) return;
    this.#isSweeping = true;
    this.#options.submit(this.#deletionOf(keys), {
      onOutcome: (outcome: Outcome) => {
        this.#isSweeping = false;
        // There may be more. If this failed, the next call comes soon enough.
        if (outcome.kind === "answered") queueMicrotask(() => this.sweep());
      },
    });
  }

  /** Returns the keys of the oldest tokens that are old enough. */
  #oldKeys(): ByteString[] {
    const old: ByteString[] = [];
    for (const [key] of this.#options.store.reservedKeys()) {
      if (!key.startsWith(TOKEN_PREFIX)) continue;
      // All after it are even younger.
      if (!this.#isOld(key) || old.length === SWEEP_DELETIONS_MAX) break;
      old.push(key);
    }
    return old;
  }

  #isOld(key: ByteString): boolean {
    const { store, nowMs } = this.#options;
    const since = store.reservedSince(key);
    return since !== undefined && nowMs() - since > ONCE_WINDOW_MS;
  }

  /**
   * Deletes only what is still old when it is locked. A token may have been used again: then it is
   * younger, or the store's value is not the one that the transaction sees.
   */
  #deletionOf(keys: readonly ByteString[]): WriteRequest {
    const { store } = this.#options;
    return {
      kind: "write",
      keys,
      evaluate: (read: KeyReader) => ({
        effects: keys.filter((key) => this.#isOld(key) && read(key) === store.get(key)?.value)
          .map((key) => ({ key, value: undefined })),
        reply: null,
      }),
    };
  }
}
