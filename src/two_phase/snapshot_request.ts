/**
 * A request for a snapshot of all keys, for DKS.EXPORT.
 *
 * @module
 */

import type { BarrierRequest } from "./request.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Store } from "./store.ts";

/**
 * A request for a snapshot. The reply is a {@linkcode Snapshot}, which must be read to its end or
 * released. If the lease was over by then and the snapshot is not the reply after all, this class
 * releases it.
 */
export class SnapshotRequest implements BarrierRequest {
  readonly kind = "barrier";
  readonly isExact = true;
  #begun: Snapshot | undefined;

  evaluate(store: Store): Snapshot {
    this.release();
    this.#begun = store.snapshot();
    return this.#begun;
  }

  /** Releases the last snapshot. */
  release(): void {
    this.#begun?.release();
    this.#begun = undefined;
  }
}
