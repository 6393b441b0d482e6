/**
 * The participant: what a member does for transactions that other nodes coordinate.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { applyEffects, entriesOf } from "./effects.ts";
import { invariant, InvariantError } from "../invariant.ts";
import type {
  Abort,
  Commit,
  NodeId,
  NoReason,
  Prepare,
  PreparedRecord,
  Recovered,
  TransactionNumber,
  Vote,
} from "./messages.ts";
import { only } from "./node_set.ts";
import type { ForceAwaiter } from "./outbox.ts";
import { restorePrepared } from "./prepared.ts";
import { Transaction, withFollowers } from "./state.ts";
import type { Known } from "./transaction_table.ts";

/** A transaction that another node coordinates. */
class ForeignTransaction extends Transaction {
  /** The coordinator has sent the abort, and waits for this member to make it durable. */
  mustAcknowledge = false;
}

/** Takes part in the transactions of other nodes. */
export class Participant implements ForceAwaiter {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  // --- Phase 1 -------------------------------------------------------------------------------

  onPrepare(from: NodeId, prepare: Prepare): void {
    const { membership, transactions, clock, counters } = this.#context;
    clock.observe(prepare.priority);
    clock.observe(prepare.version);
    if (prepare.view !== membership.view.number) {
      // A node in a later view than this one sends it no prepares.
      if (prepare.view < membership.view.number) this.#sendNo(from, prepare, "view");
      return;
    }
    if (transactions.isForgotten(from, prepare.number)) {
      // It is decided, and every member, the sender included, knows the outcome.
      counters.preparesForgotten++;
      return;
    }
    if (transactions.isClosed(from, prepare.number)) {
      counters.preparesAfterAbort++; // The coordinator lost it in a crash: presumed abort.
      this.#sendNo(from, prepare, "aborted");
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
    this.#context.locks.givePlace(from, prepare.priority);
    const entries = entriesOf(this.#context.store, prepare);
    const transaction = new ForeignTransaction(from, prepare.priority, entries);
    transaction.fill(prepare);
    this.#lock(transaction);
  }

  /** Idempotent: repeats the earlier answer, and does nothing else. */
  #onRepeatedPrepare(from: NodeId, prepare: Prepare, known: Known): void {
    this.#context.counters.repeatedPrepares++;
    switch (stateOf(known)) {
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
        return; // The answer follows when the record that is being written is durable.
    }
  }

  /** A vote for a transaction is also a vote for those that it follows. */
  #holdsAll(coordinator: NodeId, numbers: readonly TransactionNumber[]): boolean {
    const { transactions } = this.#context;
    if (numbers.length === 0) return true;
    return numbers.every((number) => {
      // Below the mark it was committed: an abort would have aborted all that follow it.
      if (transactions.isForgotten(coordinator, number)) return true;
      const state = stateOf(transactions.get(coordinator, number));
      return state === "preparing" || state === "prepared" || state === "committed";
    });
  }

  #lock(transaction: ForeignTransaction): void {
    const { locks, transactions, counters } = this.#context;
    const { coordinator } = transaction;
    const acquisition = locks.acquire(transaction);
    if (acquisition === "refused") {
      counters.deaths++;
      locks.keepPlace(transaction, this.#context.now);
      this.#sendNo(coordinator, transaction, "conflict");
      return;
    }
    transactions.add(transaction, transaction.number);
    for (const number of transaction.follows) {
      const leader = transactions.get(coordinator, number);
      if (leader instanceof Transaction) leader.addFollower(transaction);
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
    invariant(transaction instanceof ForeignTransaction, "another node coordinates it");
    transaction.transitionTo("preparing");
    transaction.preparedAt = this.#context.now;
    // Crash before the record is durable: it is as if the prepare had never come.
    const { coordinator, prepare } = transaction;
    invariant(prepare !== undefined, "a transaction that is granted locks has content");
    outbox.append({ type: "prepared", coordinator, prepare });
    outbox.afterForce(this, transaction);
  }

  /** The last record appended for `transaction` is durable. */
  onDurable(transaction: Transaction): void {
    invariant(transaction instanceof ForeignTransaction, "another node coordinates it");
    if (transaction.state === "preparing") this.#onPrepared(transaction);
    else if (transaction.state === "aborting") this.#onAbortDurable(transaction);
  }

  #onPrepared(transaction: ForeignTransaction): void {
    transaction.transitionTo("prepared");
    // Crash from here on: recovery takes the locks again, and asks the coordinator.
    if (this.#context.membership.isFrozen) {
      this.#context.counters.votesWithheld++;
      return;
    }
    this.#sendVote(transaction.coordinator, transaction, "yes");
  }

  /** `transaction` was in line and an older one came: it must not wait any longer. */
  onRefusedInLine(transaction: Transaction): void {
    const { transactions, counters, locks, now } = this.#context;
    counters.deathsInLine++;
    transactions.remove(transaction.coordinator, transaction.number);
    locks.keepPlace(transaction, now);
    this.#sendNo(transaction.coordinator, transaction, "conflict");
  }

  // --- Phase 2 -------------------------------------------------------------------------------

  onCommit(from: NodeId, commit: Commit): void {
    const { transactions, store, locks, outbox, counters } = this.#context;
    const { number } = commit;
    const transaction = transactions.get(from, number);
    if (!(transaction instanceof Transaction)) {
      counters.stale++; // It is already decided here: the commit came twice.
      return;
    }
    this.#assertInOrder(transaction);
    transaction.transitionTo("committed");
    outbox.append({ type: "committed", coordinator: from, number });
    applyEffects(store, transaction);
    if (outbox.tellsChanges) outbox.change(transaction.effects);
    locks.release(transaction);
    transactions.discardTransaction(from, number, "committed");
    transactions.settle(from, number);
    transaction.tellObservers("committed");
  }

  /** @throws {InvariantError} if `transaction` is committed before one that it follows. */
  #assertInOrder(transaction: Transaction): void {
    const { transactions } = this.#context;
    for (const number of transaction.follows) {
      const leader = transactions.get(transaction.coordinator, number);
      if (!(leader instanceof Transaction) || !leader.undecided) continue;
      throw new InvariantError(
        `transaction ${transaction.number} is committed before ${number}, which it follows`,
      );
    }
  }

  onAbort(from: NodeId, abort: Abort): void {
    const { transactions, counters } = this.#context;
    const { number } = abort;
    if (transactions.isForgotten(from, number)) {
      counters.stale++;
      return;
    }
    const known = transactions.get(from, number) ?? this.#unheardOf(from, number);
    if (known === "aborted") {
      this.#acknowledge(from, number);
      return;
    }
    if (!(known instanceof ForeignTransaction)) {
      throw new InvariantError(
        `node ${from} aborts its transaction ${number}, which is ${stateOf(known)} here`,
      );
    }
    known.mustAcknowledge = true;
    if (known.state !== "aborting") this.#abort(known);
  }

  /** A transaction known by its number only, so that the number can be refused. */
  #unheardOf(coordinator: NodeId, number: TransactionNumber): ForeignTransaction {
    const { transactions, counters, membership } = this.#context;
    counters.abortsOfUnknown++;
    const transaction = new ForeignTransaction(coordinator, 0, []);
    transaction.number = number;
    transaction.view = membership.view.number;
    transactions.add(transaction, number);
    return transaction;
  }

  /** Aborts `transaction` and all that follow it. */
  #abort(transaction: Transaction): void {
    const { outbox, locks, transactions } = this.#context;
    for (const one of withFollowers(transaction)) {
      if (one.state === "waiting") locks.release(one);
      one.transitionTo("aborting");
      // Crash before this is durable: the transaction is still prepared here, and the coordinator,
      // which has no acknowledgement, sends the abort again.
      outbox.append({ type: "aborted", coordinator: one.coordinator, number: one.number });
      transactions.settle(one.coordinator, one.number);
      outbox.afterForce(this, one);
    }
  }

  #onAbortDurable(transaction: ForeignTransaction): void {
    const { locks, transactions } = this.#context;
    const { coordinator, number } = transaction;
    transaction.transitionTo("aborted");
    locks.release(transaction);
    transactions.discardTransaction(coordinator, number, "aborted");
    transaction.tellObservers("aborted");
    if (!transaction.mustAcknowledge) return; // Its coordinator has forgotten it, or will say so.
    // Most are aborted because of a conflict, here or elsewhere, and come again.
    locks.keepPlace(transaction, this.#context.now);
    this.#acknowledge(coordinator, number);
  }

  #acknowledge(to: NodeId, number: TransactionNumber): void {
    const { outbox, membership } = this.#context;
    if (membership.isFrozen) return;
    const view = membership.view.number;
    outbox.send(only(to), { type: "abortAcknowledged", view, number });
  }

  // --- Joining -------------------------------------------------------------------------------

  /** Forgets every transaction: this node joins from empty. */
  dropAll(): void {
    const { transactions, locks, membership } = this.#context;
    for (const transaction of transactions.holdingLocks()) {
      transaction.end("aborted");
      locks.release(transaction);
    }
    locks.givePlacesOver(Infinity);
    transactions.reset(membership.view.bases);
  }

  // --- Recovery ------------------------------------------------------------------------------

  /** Restores a transaction of another node as in doubt. */
  restore(record: PreparedRecord): void {
    restorePrepared(this.#context, record, (entries) => {
      this.#context.counters.recoveredForeign++;
      return new ForeignTransaction(record.coordinator, record.prepare.priority, entries);
    });
  }

  /**
   * The coordinator has started an incarnation: transactions that it has no record of are aborted
   * (presumed abort).
   */
  onRecovered(from: NodeId, message: Recovered): void {
    const { transactions, counters } = this.#context;
    const { upTo } = message;
    transactions.startIncarnation(from, upTo); // The sender may have taken another incarnation.
    if (upTo !== transactions.baseOf(from)) {
      counters.stale++;
      return;
    }
    const goesOn = new Set(message.undecided);
    for (const [number, known] of transactions.of(from)) {
      if (number > upTo || goesOn.has(number) || typeof known === "string") continue;
      if (!known.undecided || known.state === "aborting") continue;
      counters.presumedAborts++;
      this.#abort(known);
    }
    transactions.close(from, message.undecided);
  }

  // --- Votes ---------------------------------------------------------------------------------

  #sendVote(
    to: NodeId,
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
    to: NodeId,
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

function stateOf(known: Known): Transaction["state"] | undefined {
  return typeof known === "string" ? known : known?.state;
}
