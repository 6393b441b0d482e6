/**
 * What stands durably in one node's journal, as a reader of the records would tell: written apart from
 * the protocol's own recovery, so that each is a check of the other.
 *
 * @module
 */

import {
  type AcceptedProposal,
  type Ballot,
  incarnationBase,
  incarnationOf,
  type JournalRecord,
  type NodeId,
  type TransactionNumber,
  type View,
} from "../../src/two_phase/messages.ts";
import { countsAsProgress } from "../../src/two_phase/peer_journals.ts";

/** How far a transaction has come, by the records of one journal. */
export type Progress = "prepared" | "committed" | "aborted";

/** The durable records of one journal, indexed. */
export class Ledger {
  /** The highest ballot that was promised, accepted or installed. */
  promised: Ballot = 0;
  /** Ballots of which there is a promise of their own. */
  readonly promises = new Set<Ballot>();
  readonly accepted = new Map<Ballot, AcceptedProposal>();
  /** The last view; `undefined` before the first. */
  view: View | undefined;
  /** Ballots for which this node has got everything as a joiner. */
  readonly joined = new Set<Ballot>();
  /** How many records of progress there are. */
  progress = 0;
  /** By how much incarnations are ahead of the starts. */
  offset = 0;
  readonly #transactions = new Map<NodeId, Map<TransactionNumber, Progress>>();
  /** Those of earlier views: one force may make several views durable. */
  readonly #before = new Map<NodeId, Map<TransactionNumber, Progress>>();
  /** By coordinator: everything up to here is settled. */
  readonly #floors = new Map<NodeId, TransactionNumber>();
  /** Parts of transfers, each by the very list of its entries. */
  readonly #parts = new WeakSet<object>();

  constructor(records: readonly JournalRecord[] = []) {
    for (const record of records) this.add(record);
  }

  /** A record is durable. */
  add(record: JournalRecord): void {
    if (countsAsProgress(record)) this.progress++;
    switch (record.type) {
      case "prepared":
        this.#of(record.coordinator).set(record.prepare.number, "prepared");
        return;
      case "committed":
      case "aborted":
        this.#of(record.coordinator).set(record.number, record.type);
        return;
      case "promise":
        this.promises.add(record.ballot);
        this.#promise(record.ballot);
        return;
      case "accepted":
        this.accepted.set(record.ballot, record);
        this.#promise(record.ballot);
        return;
      case "view":
      case "membership":
        this.#install(record.view);
        if (record.type === "membership") {
          this.offset = record.offset;
          if (record.joined !== undefined) this.joined.add(record.joined.ballot);
        }
        return;
      case "transfer":
        this.#parts.add(record.entries);
        if (record.isFirst) this.#settleAll();
        return;
      case "joined":
        this.#settleAll();
        this.joined.add(record.ballot);
        for (const one of record.prepared) {
          this.#of(one.coordinator).set(one.prepare.number, "prepared");
        }
        return;
      case "offset":
        this.offset = record.incarnations;
        return;
      case "mark":
        this.#floors.set(record.coordinator, record.upTo);
        return;
      case "position":
        this.progress = record.position;
        return;
      case "clock":
      case "sighting":
        return;
      default:
        record satisfies never;
    }
  }

  #promise(ballot: Ballot): void {
    this.promised = Math.max(this.promised, ballot);
  }

  #install(view: View): void {
    this.view = view;
    this.#promise(view.ballot);
    this.#settleAll();
  }

  #settleAll(): void {
    for (const [coordinator, numbers] of this.#transactions) {
      const before = this.#before.get(coordinator) ?? new Map<TransactionNumber, Progress>();
      for (const [number, progress] of numbers) before.set(number, progress);
      this.#before.set(coordinator, before);
    }
    this.#transactions.clear();
    this.#floors.clear();
    this.view?.bases.forEach((base, node) => this.#floors.set(node, base));
  }

  /** Returns the proposal accepted last, under a ballot below `ballot`, for a view after `view`. */
  acceptedAfter(view: View | undefined, ballot: Ballot = Infinity): AcceptedProposal | undefined {
    let latest: AcceptedProposal | undefined;
    const number = view?.number ?? 0;
    for (const accepted of this.accepted.values()) {
      const { proposal } = accepted;
      const isOfCluster = number === 0 || proposal.cluster.id === view?.cluster.id;
      if (proposal.number <= number || !isOfCluster || accepted.ballot >= ballot) continue;
      if (latest === undefined || accepted.ballot > latest.ballot) latest = accepted;
    }
    return latest;
  }

  /**
   * Returns how far a transaction has come. What waited for the force that has made a view durable, too,
   * is still said in an earlier view.
   */
  progressOf(coordinator: NodeId, number: TransactionNumber): Progress | undefined {
    return this.#transactions.get(coordinator)?.get(number) ??
      this.#before.get(coordinator)?.get(number);
  }

  /** The transactions of the present view that are prepared, and not decided. */
  *undecided(): Generator<{ coordinator: NodeId; number: TransactionNumber }> {
    for (const [coordinator, numbers] of this.#transactions) {
      for (const [number, progress] of numbers) {
        if (progress === "prepared") yield { coordinator, number };
      }
    }
  }

  /** Tells whether `ballot` was promised, in whichever way. */
  hasPromised(ballot: Ballot): boolean {
    return this.promised === ballot || this.promises.has(ballot) || this.accepted.has(ballot);
  }

  /**
   * Returns the first number up to `upTo`, of its incarnation, whose outcome is not known.
   *
   * @param isEnded the incarnation has ended: what has left no record was lost in a crash, and is aborted
   */
  unsettled(
    coordinator: NodeId,
    upTo: TransactionNumber,
    isEnded = false,
  ): TransactionNumber | undefined {
    const numbers = this.#transactions.get(coordinator);
    const first = Math.max(
      this.#floors.get(coordinator) ?? 0,
      incarnationBase(incarnationOf(upTo)),
    );
    for (let number = upTo; number > first; number--) {
      const progress = numbers?.get(number);
      if (progress === undefined && !isEnded || progress === "prepared") return number;
    }
    // What was seen to be settled need not be looked at again.
    this.#floors.set(coordinator, Math.max(this.#floors.get(coordinator) ?? 0, upTo));
    return undefined;
  }

  /** Tells whether the part of a transfer with these very entries is there. */
  holdsPart(entries: object): boolean {
    return this.#parts.has(entries);
  }

  #of(coordinator: NodeId): Map<TransactionNumber, Progress> {
    const known = this.#transactions.get(coordinator);
    if (known !== undefined) return known;
    const numbers = new Map<TransactionNumber, Progress>();
    this.#transactions.set(coordinator, numbers);
    return numbers;
  }
}
