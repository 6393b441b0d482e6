/**
 * The numbers that this node gives to its transactions, and the incarnations that they belong to.
 *
 * The numbers of one incarnation are consecutive. Each start of the process takes an incarnation of
 * its own; a process that is about to run out of numbers takes another one. Then it tells the
 * members which of the earlier transactions are still open; all others are aborted (presumed
 * abort).
 *
 * @module
 */

import type { Context } from "./context.ts";
import {
  incarnationBase,
  incarnationOf,
  type NodeId,
  SEQUENCE_MAX,
  sequenceOf,
  type TransactionNumber,
} from "./messages.ts";
import { members, only } from "./node_set.ts";

/** Gives numbers to the transactions of one node. */
export class OwnNumbers {
  readonly #context: Context;
  /** After this many numbers the process takes another incarnation. */
  readonly #sequencesMax: number;
  #last: TransactionNumber = 0;
  /** The next incarnation: not durable yet, or to be used from the next number on. */
  #next: { readonly incarnation: number; isDurable: boolean } | undefined;
  /** There are earlier incarnations: this node tells peers which of their transactions are open. */
  #isRestarted = false;

  constructor(context: Context, sequencesMax: number) {
    this.#context = context;
    this.#sequencesMax = sequencesMax;
  }

  /** The last number that was given out. */
  get last(): TransactionNumber {
    return this.#last;
  }

  /** Tells whether there is a number to give out now. */
  get hasNext(): boolean {
    return sequenceOf(this.#last) < SEQUENCE_MAX || this.#next?.isDurable === true;
  }

  /** Starts giving numbers of `incarnation`. */
  start(incarnation: number): void {
    this.#last = incarnationBase(incarnation);
    this.#isRestarted = incarnation > 1;
  }

  /** Gives a number. Call it only while {@linkcode hasNext} holds. */
  give(): TransactionNumber {
    this.#takeIncarnationIfDue();
    return ++this.#last;
  }

  /**
   * A view has settled everything up to `base`: a node that has lost its journal continues above
   * it.
   */
  onViewInstalled(base: TransactionNumber): void {
    this.#last = Math.max(this.#last, base);
  }

  /** Tells `node` which transactions of earlier incarnations are still open, if there are any. */
  onPeerReady(node: NodeId): void {
    if (this.#isRestarted) this.#sendRecovered(node);
  }

  /**
   * Takes another incarnation before the numbers of this one end: it appends the record first, and
   * gives numbers of the new one once the record is durable. No request waits meanwhile.
   *
   * Crash before the record is durable: the next start gets the same incarnation, of which no
   * number was given. After that: the next start gets a higher one.
   */
  #takeIncarnationIfDue(): void {
    if (this.#next?.isDurable === true) this.#startIncarnation(this.#next.incarnation);
    else if (this.#next === undefined && sequenceOf(this.#last) >= this.#sequencesMax) {
      const { membership, outbox } = this.#context;
      const next = { incarnation: incarnationOf(this.#last) + 1, isDurable: false };
      this.#next = next;
      membership.offset = membership.offsetFor(next.incarnation);
      outbox.append({ type: "offset", incarnations: membership.offset });
      outbox.whenDurable(() => next.isDurable = true);
    }
  }

  /**
   * Starts giving numbers of `incarnation`, and tells the members which earlier ones are still
   * open.
   */
  #startIncarnation(incarnation: number): void {
    const { membership, transactions, self, counters } = this.#context;
    counters.incarnationsTaken++;
    this.#next = undefined;
    this.#last = incarnationBase(incarnation);
    this.#isRestarted = true;
    membership.startIncarnation(incarnation);
    transactions.startIncarnation(self, this.#last);
    transactions.close(self, this.#undecidedBefore(this.#last));
    for (const node of members(membership.ready & membership.others)) this.#sendRecovered(node);
  }

  #sendRecovered(node: NodeId): void {
    const { transactions, self, outbox, membership } = this.#context;
    const upTo = transactions.baseOf(self);
    const view = membership.view.number;
    const undecided = this.#undecidedBefore(upTo);
    outbox.send(only(node), { type: "recovered", view, upTo, undecided });
  }

  /** The transactions of this node that are undecided and have numbers up to `upTo`. */
  #undecidedBefore(upTo: TransactionNumber): TransactionNumber[] {
    const { transactions, self } = this.#context;
    const undecided: TransactionNumber[] = [];
    for (const [number, known] of transactions.of(self)) {
      if (number <= upTo && typeof known !== "string" && known.undecided) undecided.push(number);
    }
    return undecided;
  }
}
