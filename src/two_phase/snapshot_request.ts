/**
 * A request for a snapshot of all keys, for DKS.EXPORT.
 *
 * @module
 */

import type { Barrier, BarrierRequest } from "./request.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Transaction } from "./state.ts";
import type { Store } from "./store.ts";

/**
 * A request for a snapshot. The reply is a {@linkcode Snapshot}, which must be read to its end or
 * released; one that was begun, and is not the reply after all, is released here.
 */
export class SnapshotRequest implements BarrierRequest {
  readonly kind = "barrier";
  #begun: Snapshot | undefined;

  begin(store: Store): Barrier {
    this.release(); // It is begun again: with another moment.
    const snapshot = store.snapshot();
    this.#begun = snapshot;
    return {
      finish: (prepared) => {
        for (const transaction of inOrderOfVersions(prepared)) {
          if (transaction.state === "committed") snapshot.include(transaction.effects);
        }
        return snapshot;
      },
    };
  }

  /** Gives up the snapshot that was begun last. */
  release(): void {
    this.#begun?.release();
    this.#begun = undefined;
  }
}

function inOrderOfVersions(transactions: readonly Transaction[]): Transaction[] {
  const version = ({ prepare }: Transaction) => prepare?.version ?? 0;
  return transactions.toSorted((a, b) => version(a) - version(b));
}
