/**
 * The participant: what a member does for transactions that other nodes coordinate.
 *
 * @module
 */

import { type Context, lockedKeys } from "./context.ts";
import type {
  Abort,
  Commit,
  Forget,
  NodeIndex,
  NodeSet,
  NoReason,
  Prepare,
  TransactionNumber,
  Vote,
} from "./messages.ts";
import { members, only } from "./node_set.ts";
import { Transaction } from "./state.ts";

/** A transaction that another node coordinates. */
class ForeignTransaction extends Transaction {
  reads: readonly string[] = [];
  /** The coordinator has told of the abort, and waits for this member to have it on disk. */
  mustAcknowledge = false;
}

/** Takes part in the transactions of other nodes. */
export class Participant {
  readonly #context: Context;
  /** By coordinator: the last number that it was told to be settled here. */
  readonly #settledSent: TransactionNumber[];

  constructor(context: Context) {
    this.#context = context;
    this.#settledSent = Array.from({ length: context.nodes }, () => 0);
  }

  onPeerUp(node: NodeIndex): void {
    this.#settledSent[node] = 0;
  }

  // --- Phase 1 -------------------------------------------------------------------------------

  onPrepare(from: NodeIndex, prepare: Prepare): void {
    const { membership, transactions, clock, counters } = this.#context;
    clock.observe(prepare.priority);
    clock.observe(prepare.version);
    if (prepare.view !== membership.view.number) {
      this.#sendNo(from, prepare, "view");
      return;
    }
    if (transactions.isForgotten(from, prepare.number)) {
      counters.preparesForgotten++; // It is decided, and every member, the sender too, knows how.
      return;
    }
    const known = transactions.get(from, prepare.number);
    if (known !== undefined) {
      this.#onRepeatedPrepare(from, prepare, known);
      return;
    }
    if (!this.#holdsAll(from, prepare.follows)) {
      this.#sendNo(from, prepare, "follows");
      return;
    }
    const transaction = new ForeignTransaction(from, prepare.priority, lockedKeys(prepare));
    transaction.fill(prepare);
    transaction.reads = prepare.reads;
    this.#lock(transaction);
  }

  /** Idempotent: says again what has been said, and does nothing. */
  #onRepeatedPrepare(from: NodeIndex, prepare: Prepare, known: Transaction): void {
    this.#context.counters.repeatedPrepares++;
    switch (known.state) {
      case "prepared":
      case "committed":
        this.#sendVote(from, prepare, "yes");
        return;
      case "waiting":
        this.#sendVote(from, prepare, "waiting");
        return;
      case "aborted":
        this.#context.counters.preparesAfterAbort++;
        this.#sendNo(from, prepare, "aborted");
        return;
      default:
        return; // The answer follows when the record under way is durable.
    }
  }

  /** A vote for a transaction is also one for those that it follows. */
  #holdsAll(coordinator: NodeIndex, numbers: readonly TransactionNumber[]): boolean {
    const { transactions } = this.#context;
    return numbers.every((number) => {
      // Below the mark it was committed: had it been aborted, so had all that follow it.
      if (transactions.isForgotten(coordinator, number)) return true;
      const state = transactions.get(coordinator, number)?.state;
      return state === "preparing" || state === "prepared" || state === "committed";
    });
  }

  #lock(transaction: ForeignTransaction): void {
    const { locks, transactions, counters } = this.#context;
    const { coordinator } = transaction;
    const acquisition = locks.acquire(transaction);
    if (acquisition === "refused") {
      counters.deaths++;
      this.#sendNo(coordinator, transaction, "conflict");
      return;
    }
    transactions.add(transaction);
    for (const number of transaction.follows) {
      transactions.get(coordinator, number)?.addFollower(transaction);
    }
    if (acquisition === "held") this.onGranted(transaction);
    else {
      counters.waits++;
      this.#sendVote(coordinator, transaction, "waiting");
    }
  }

  /** The locks of `transaction` are held: makes it durable, then votes. */
  onGranted(transaction: Transaction): void {
    const { outbox } = this.#context;
    if (!(transaction instanceof ForeignTransaction)) throw new Error("coordinated here");
    transaction.transitionTo("preparing");
    // Crash before the record is durable: it is as if the prepare had never come.
    outbox.append({
      type: "prepared",
      coordinator: transaction.coordinator,
      view: transaction.view,
      number: transaction.number,
      priority: transaction.priority,
      version: transaction.version,
      effects: transaction.effects,
      reads: transaction.reads,
      follows: transaction.follows,
    });
    outbox.afterForce(() => this.#onPrepared(transaction));
  }

  #onPrepared(transaction: Transaction): void {
    if (transaction.state !== "preparing") return; // It is being aborted.
    transaction.transitionTo("prepared");
    // Crash from here on: recovery takes the locks again, and asks the coordinator.
    this.#sendVote(transaction.coordinator, transaction, "yes");
  }

  /** `transaction` was in line, and somebody older came by: it must not wait any longer. */
  onRefusedInLine(transaction: Transaction): void {
    const { transactions, counters } = this.#context;
    counters.deathsInLine++;
    transactions.remove(transaction);
    this.#sendNo(transaction.coordinator, transaction, "conflict");
  }

  // --- Phase 2 -------------------------------------------------------------------------------

  onCommit(from: NodeIndex, commit: Commit): void {
    const { transactions, store, locks, outbox, counters } = this.#context;
    const transaction = transactions.get(from, commit.number);
    if (transaction === undefined || transaction.state === "committed") {
      counters.stale++;
      return;
    }
    transaction.transitionTo("committed");
    outbox.append({ type: "committed", coordinator: from, number: commit.number });
    store.apply(transaction.effects, transaction.version);
    locks.release(transaction);
    transactions.settle(transaction);
    transaction.tellObservers("committed");
  }

  onAbort(from: NodeIndex, abort: Abort): void {
    const { transactions, counters } = this.#context;
    if (transactions.isForgotten(from, abort.number)) {
      counters.stale++;
      return;
    }
    const transaction = transactions.get(from, abort.number) ?? this.#unheardOf(from, abort.number);
    if (!(transaction instanceof ForeignTransaction)) throw new Error("coordinated here");
    if (transaction.state === "aborted") {
      this.#acknowledge(transaction);
      return;
    }
    transaction.mustAcknowledge = true;
    this.#abort(transaction);
  }

  /** A transaction known by its number only, so that the number can be refused. */
  #unheardOf(coordinator: NodeIndex, number: TransactionNumber): ForeignTransaction {
    const { transactions, counters, membership } = this.#context;
    counters.abortsOfUnknown++;
    const transaction = new ForeignTransaction(coordinator, 0, []);
    transaction.number = number;
    transaction.view = membership.view.number;
    transactions.add(transaction);
    return transaction;
  }

  /** Aborts `transaction` and all that follow it. */
  #abort(transaction: Transaction): void {
    const { outbox, locks } = this.#context;
    const aborted = new Set([transaction]);
    for (const one of aborted) {
      for (const follower of one.followers ?? []) {
        if (follower.undecided) aborted.add(follower);
      }
    }
    for (const one of aborted) {
      if (one.state === "aborting") continue;
      if (one.state === "waiting") locks.release(one);
      one.transitionTo("aborting");
      outbox.append({ type: "aborted", coordinator: one.coordinator, number: one.number });
    }
    // Crash before this is durable: the transaction is prepared here still, and the coordinator,
    // which has no acknowledgement, tells of the abort again.
    outbox.afterForce(() => {
      for (const one of aborted) this.#onAbortDurable(one);
    });
  }

  #onAbortDurable(transaction: Transaction): void {
    const { locks, transactions } = this.#context;
    if (transaction.state === "aborting") {
      transaction.transitionTo("aborted");
      locks.release(transaction);
      transactions.settle(transaction);
      transaction.tellObservers("aborted");
    }
    if (transaction instanceof ForeignTransaction && transaction.mustAcknowledge) {
      this.#acknowledge(transaction);
    }
  }

  #acknowledge(transaction: ForeignTransaction): void {
    transaction.mustAcknowledge = false;
    this.#context.outbox.send(only(transaction.coordinator), {
      type: "abortAcknowledged",
      view: transaction.view,
      number: transaction.number,
    });
  }

  // --- Forgetting ----------------------------------------------------------------------------

  onForget(from: NodeIndex, forget: Forget): void {
    this.#context.transactions.forget(from, forget.upTo);
  }

  /** Tells those coordinators who are about to hear from this node what is settled here. */
  beforeSending(receivers: NodeSet): void {
    const { transactions, outbox, membership } = this.#context;
    for (const node of members(receivers)) {
      const upTo = transactions.durableUpTo(node);
      if (upTo <= (this.#settledSent[node] ?? 0)) continue;
      this.#settledSent[node] = upTo;
      outbox.send(only(node), { type: "settled", view: membership.view.number, upTo });
    }
  }

  // --- Votes ---------------------------------------------------------------------------------

  #sendVote(
    to: NodeIndex,
    about: { view: number; number: TransactionNumber },
    vote: "yes" | "waiting",
  ): void {
    const message: Vote = {
      type: "vote",
      view: about.view,
      number: about.number,
      vote,
      reason: "none",
    };
    this.#context.outbox.send(only(to), message);
  }

  #sendNo(
    to: NodeIndex,
    about: { view: number; number: TransactionNumber },
    reason: NoReason,
  ): void {
    const message: Vote = {
      type: "vote",
      view: about.view,
      number: about.number,
      vote: "no",
      reason,
    };
    this.#context.outbox.send(only(to), message);
  }
}
