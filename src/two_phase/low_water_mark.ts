/**
 * What may be forgotten: each member tells each coordinator up to which number it has durably
 * settled the coordinator's transactions; the coordinator tells every member the lowest of these
 * numbers, the low-water mark.
 *
 * Both travel with other messages: when something is about to be sent to the node, and on a tick.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { type NodeId, type NodeSet, NOTHING_BEFORE, type TransactionNumber } from "./messages.ts";
import { members, NOBODY, only } from "./node_set.ts";

/**
 * A low-water mark is journaled each time it has moved by this much. It only saves work, and may be
 * lost.
 */
const MARK_STEP = 4096;

/** The low-water marks of this node's transactions, and what it has settled of the others'. */
export class LowWaterMarks {
  readonly #context: Context;
  readonly #onAllSettled: (upTo: TransactionNumber) => void;

  /** @param onAllSettled is called before this node's transactions up to a number are forgotten */
  constructor(context: Context, onAllSettled: (upTo: TransactionNumber) => void) {
    this.#context = context;
    this.#onAllSettled = onAllSettled;
  }

  /**
   * A link to `node` is up, and the node is in the view: messages on an earlier link may be lost.
   */
  onPeerReady(node: NodeId): void {
    const record = this.#context.nodes.of(node);
    record.forgetSent = NOTHING_BEFORE;
    record.settledSent = NOTHING_BEFORE;
  }

  /** A new view has settled everything up to `base` of this node's numbers. */
  onViewInstalled(base: TransactionNumber): void {
    for (const record of this.#context.nodes.all()) {
      record.settledBy = base;
      record.forgetSent = base;
    }
  }

  /** `from` has durably settled this node's transactions up to `upTo`. */
  onSettled(from: NodeId, upTo: TransactionNumber): void {
    const record = this.#context.nodes.of(from);
    if (upTo > record.settledBy) record.settledBy = upTo;
  }

  /** The low-water mark of `coordinator` is `upTo`. */
  onForget(coordinator: NodeId, upTo: TransactionNumber): void {
    const { transactions, outbox } = this.#context;
    const before = Math.max(
      transactions.forgottenUpTo(coordinator),
      transactions.baseOf(coordinator),
    );
    transactions.forget(coordinator, upTo);
    if (Math.floor(upTo / MARK_STEP) > Math.floor(before / MARK_STEP)) {
      outbox.append({ type: "mark", coordinator, upTo });
    }
  }

  /** Tells `receivers`, to which messages are about to go, what they do not know yet. */
  beforeSending(receivers: NodeSet): void {
    if (this.#context.membership.isFrozen) return;
    this.#sendMark(receivers);
    this.#sendSettled(receivers);
  }

  /** Forgets what every member has settled of this node's transactions. */
  #sendMark(receivers: NodeSet): void {
    const { transactions, self, membership, outbox, nodes } = this.#context;
    nodes.of(self).settledBy = Math.max(transactions.durableUpTo(self), NOTHING_BEFORE);
    let mark = Infinity;
    for (const node of members(membership.members)) {
      mark = Math.min(mark, nodes.of(node).settledBy);
    }
    if (mark === Infinity) return;
    if (mark > transactions.forgottenUpTo(self)) {
      this.#onAllSettled(mark);
      this.onForget(self, mark);
    }
    let behind = NOBODY;
    for (const node of members(receivers)) {
      const record = nodes.of(node);
      if (mark <= record.forgetSent) continue;
      record.forgetSent = mark;
      behind |= only(node);
    }
    outbox.send(behind, { type: "forget", view: membership.view.number, upTo: mark });
  }

  #sendSettled(receivers: NodeSet): void {
    const { transactions, outbox, membership, nodes } = this.#context;
    for (const node of members(receivers)) {
      const upTo = transactions.durableUpTo(node);
      const record = nodes.of(node);
      if (upTo <= record.settledSent) continue;
      record.settledSent = upTo;
      outbox.send(only(node), { type: "settled", view: membership.view.number, upTo });
    }
  }
}
