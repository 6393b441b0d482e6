/**
 * The requests that a node has not answered yet, in the order in which they came.
 *
 * All requests have the same time, so the order of arrival is the order of deadlines: overdue
 * requests are at the front. Requests are removed from any place, so the list is linked.
 *
 * @module
 */

import type { Stamp, TransactionNumber } from "./messages.ts";
import type { Request, Requester } from "./request.ts";
import type { Transaction } from "./state.ts";

/**
 * The state of a request.
 *
 * - `parked`: it waits until all members of the view are linked, or for room.
 * - `inLine`: it waits in line for its locks, and holds none.
 * - `running`: its transaction is being prepared or aborted.
 * - `observing`: it waits for the outcomes of others' transactions, and holds nothing.
 * - `closing`: it was given up; it is still open which error is the true one.
 * - `finished`: it is answered.
 */
export type RequestState = "parked" | "inLine" | "running" | "observing" | "closing" | "finished";

/** A request that is not answered yet. */
export class PendingRequest {
  state: RequestState = "parked";
  /** The latest attempt. */
  transaction: Transaction | undefined;
  /** The number of the latest attempt that got one: clients know the request by it. */
  number: TransactionNumber = 0;
  /** How many attempts were started. */
  attempts = 0;
  /** Members may keep its place in line, as an attempt was refused or aborted. */
  hasPlaces = false;
  /** Why the latest attempt failed. */
  failure = "";
  /** Outcomes that it still waits for. */
  awaited = 0;
  /** Stops observing those transactions; `undefined` if it observes none. */
  stopObserving: (() => void) | undefined;
  /** Something that it had read uncommitted was aborted. */
  isStale = false;
  /** It is a read that has found keys whose time to live is over, and deletes them. */
  expires = false;
  /** Its reply once everything that it has read is committed. */
  reply: unknown;
  /** The latest grant of a lock when a read arrived: later ones do not concern it. */
  grantOrder = 0;
  /** Neighbours in the list of pending requests. */
  previous: PendingRequest | undefined;
  next: PendingRequest | undefined;

  /**
   * @param request what is asked
   * @param client the requester
   * @param priority its age, kept over all attempts
   * @param arrivedAt the local clock at its arrival, in milliseconds
   */
  constructor(
    readonly request: Request,
    readonly requester: Requester,
    readonly priority: Stamp,
    readonly arrivedAt: number,
  ) {}
}

/** A linked list of pending requests, the oldest first. */
export class PendingRequests {
  #first: PendingRequest | undefined;
  #last: PendingRequest | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): PendingRequest | undefined {
    return this.#first;
  }

  /** Returns a copy of the list, the oldest first, so that the list may change meanwhile. */
  all(): PendingRequest[] {
    const all: PendingRequest[] = [];
    for (let one = this.#first; one !== undefined; one = one.next) all.push(one);
    return all;
  }

  /** Adds `pending` as the youngest. */
  add(pending: PendingRequest): void {
    pending.previous = this.#last;
    pending.next = undefined;
    if (this.#last === undefined) this.#first = pending;
    else this.#last.next = pending;
    this.#last = pending;
    this.#size++;
  }

  /** Removes `pending`, which must be in the list. */
  remove(pending: PendingRequest): void {
    if (pending.previous === undefined) this.#first = pending.next;
    else pending.previous.next = pending.next;
    if (pending.next === undefined) this.#last = pending.previous;
    else pending.next.previous = pending.previous;
    pending.previous = undefined;
    pending.next = undefined;
    this.#size--;
  }
}
