/**
 * What DKS.OUTCOME claims, against what has taken effect.
 *
 * A client that gets an indeterminate or aborted answer may ask how the transaction ended, at any later
 * time and any node; some nodes may not answer. `committed` and `aborted` must be true for good, whatever
 * happens before or after the answer.
 *
 * @module
 */

import { NODES_MAX } from "../../src/limits.ts";
import { combineOutcomes } from "../../src/two_phase/outcome.ts";
import type { JournalRecord, NodeId, View } from "../../src/two_phase/messages.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import { nameForClients, parseTransactionName } from "../../src/two_phase/transaction_name.ts";
import type { Violation } from "./checkers.ts";

/** One answer. */
interface Claim {
  readonly name: string;
  readonly said: string;
  /** What each node said, human-readable. */
  readonly by: string;
}

/** Knows what has taken effect, and what was claimed of it. */
export class Claims {
  readonly #views = new Map<string, View>();
  #committed = new Set<string>();
  #claims: Claim[] = [];

  /** How many answers there were, by their first word. */
  readonly counts = new Map<string, number>();

  /** Takes note of what a node appends to its journal, before it has taken effect there. */
  onAppend({ membership: { view } }: Replica, records: readonly JournalRecord[]): void {
    for (const record of records) {
      if (record.type === "committed") this.#commit(view, record);
      else if (record.type === "view") {
        this.#views.set(keyOf(record.view), record.view);
        const before = this.#views.get(keyOf({ ...record.view, number: record.view.number - 1 }));
        if (before === undefined) continue;
        for (const commit of record.view.commits) this.#commit(before, commit);
      }
    }
  }

  #commit(view: View, id: { readonly coordinator: NodeId; readonly number: number }): void {
    this.#committed.add(nameForClients(id, view.journals[id.coordinator] ?? ""));
  }

  /** Asks `replicas` how the transaction ended that clients know as `name`. */
  ask(name: string, replicas: readonly (Replica | undefined)[]): void {
    const parsed = parseTransactionName(name, { nodes: NODES_MAX, shown: name });
    if (typeof parsed === "string") throw new Error(parsed);
    const answers = replicas.map((replica, index) => ({
      name: `n${index}`,
      said: replica?.outcomeOf(parsed),
    }));
    const said = combineOutcomes(answers);
    const [word = ""] = said.split(" ");
    this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
    const by = answers.map(({ name, said }) =>
      said === undefined
        ? `${name} silent`
        : `${name} ${said.outcome} in view ${said.view}${said.isMember ? "" : " (outside)"}`
    );
    this.#claims.push({ name, said: word, by: by.join(", ") });
  }

  /**
   * Tells whether the transaction that clients know as `name` has never taken effect, and never will.
   * Holds at rest, when nothing is undecided.
   */
  hadNoEffect(name: string): boolean {
    return this.#claims.some((claim) => claim.name === name) && !this.#committed.has(name);
  }

  /** A new cluster goes on from what one node holds: of the rest nothing is promised any more. */
  forget(): void {
    this.#committed = new Set();
    this.#claims = [];
  }

  /** Returns the claims that were not true. */
  violations(): Violation[] {
    return this.#claims.flatMap(({ name, said, by }): Violation[] => {
      const isCommitted = this.#committed.has(name);
      const isWrong = said === "aborted" && isCommitted || said === "committed" && !isCommitted;
      if (!isWrong) return [];
      const truth = isCommitted ? "has taken effect" : "has never taken effect";
      return [{
        checker: "outcome",
        text: `${name}, which ${truth}, was said to be ${said}: ${by}`,
      }];
    });
  }
}

function keyOf({ number, cluster }: Pick<View, "number" | "cluster">): string {
  return `${cluster.id} ${number}`;
}
