/**
 * Changes of the list of nodes that somebody has asked for, against the views that were chosen.
 *
 * @module
 */

import {
  type ChangeOutcome,
  type ChangeRequest,
  learnerOf,
  whyAlready,
} from "../../src/two_phase/member_changes.ts";
import type { JournalRecord, MemberChange, View } from "../../src/two_phase/messages.ts";
import { size } from "../../src/two_phase/node_set.ts";
import { voters } from "../../src/two_phase/quorum.ts";
import type { Violation } from "./checkers.ts";

/** A change that was asked for. */
interface Asked {
  readonly change: MemberChange;
  readonly by: string;
  readonly askedAtMs: number;
  /** The view of the node that was asked. */
  readonly inView: number;
  outcome: ChangeOutcome | undefined;
  endedAtMs: number | undefined;
}

/** For so long after its end a change may still be under way somewhere, in milliseconds. */
const AFTERMATH_MS = 3000;

/** Knows all changes of one run. */
export class ChangeLog {
  /** By word: how often it has happened. */
  readonly counts = new Map<string, number>();
  readonly #asked: Asked[] = [];
  /** By cluster and number. */
  readonly #views = new Map<string, View>();
  /** By id: the names that it has had. */
  readonly #namesOf = new Map<number, Set<string>>();
  readonly #isRunning: (name: string) => boolean;

  /** @param isRunning tells whether the node with this name runs, at that moment */
  constructor(isRunning: (name: string) => boolean) {
    this.#isRunning = isRunning;
  }

  /** Returns a request for `change`; its end is told to this log. */
  ask(change: MemberChange, about: { nowMs: () => number; inView: number }): ChangeRequest {
    const { nowMs, inView } = about;
    const asked: Asked = {
      change,
      by: `operator ${this.#asked.length}`,
      askedAtMs: nowMs(),
      inView,
      outcome: undefined,
      endedAtMs: undefined,
    };
    this.#asked.push(asked);
    const onChangeOutcome = (outcome: ChangeOutcome) => {
      if (asked.outcome !== undefined) throw new Error("a change is answered twice");
      asked.outcome = outcome;
      asked.endedAtMs = nowMs();
      this.#count(`change ${outcome.kind}`);
      if (outcome.kind === "done" && outcome.view > inView + 1) {
        this.#count("change overtaken by another view");
      }
    };
    return { change, by: asked.by, requester: { onChangeOutcome } };
  }

  /** Tells whether a node may be about to be removed, or replaced. */
  mayBeRemoving(nowMs: number): boolean {
    return this.#asked.some(({ change, askedAtMs, endedAtMs, outcome }) =>
      change.kind !== "add" && change.kind !== "cancel" && outcome?.kind !== "refused" &&
      nowMs < (endedAtMs ?? askedAtMs + AFTERMATH_MS) + AFTERMATH_MS
    );
  }

  /** Takes note of the views that nodes append to their journals. */
  onAppend(records: readonly JournalRecord[]): void {
    for (const record of records) if (record.type === "view") this.#onView(record.view);
  }

  /** Returns in how many views after `before`, up to `view`, the list has changed. */
  changesBetween(before: View, view: View): number {
    return [...this.#views.values()].filter(({ cluster, number, change }) =>
      cluster.id === view.cluster.id && number > before.number && number <= view.number &&
      change?.view === number
    ).length;
  }

  #onView(view: View): void {
    const { cluster, number, change, names } = view;
    const key = `${cluster.id} ${number}`;
    if (this.#views.has(key)) return;
    this.#views.set(key, view);
    for (const [id, name] of names.entries()) {
      if (name === "") continue;
      const known = this.#namesOf.get(id) ?? new Set();
      if (known.size > 0 && !known.has(name)) this.#count("id reused");
      this.#namesOf.set(id, known.add(name));
    }
    if (change?.view !== number) return;
    const { kind, name, replaces } = change;
    if (kind === "remove") {
      this.#count(this.#isRunning(name) ? "live node removed" : "dead node removed");
    } else if (kind === "admit" && replaces !== undefined) {
      this.#count(this.#isRunning(replaces) ? "live node replaced" : "dead node replaced");
    } else if (kind === "admit") this.#count("learner admitted");
    else if (kind === "cancel") this.#count("learner cancelled");
    this.#count(`a list of ${size(voters(view))}`);
  }

  /** What was answered is so: a change that was refused was not made, one that was done is. */
  violations(): Violation[] {
    const views = [...this.#views.values()];
    return this.#asked.flatMap(({ change, by, outcome }): Violation[] => {
      const said = `${by}, who asked for ${JSON.stringify(change)}, was told ${
        JSON.stringify(outcome)
      }`;
      const made = views.find((view) => view.change?.by === by);
      if (outcome?.kind === "refused" && made !== undefined) {
        return [{ checker: "change", text: `${said}; but view ${made.number} has made it` }];
      }
      if (outcome?.kind !== "done") return [];
      const isSo = views.some((view) =>
        view.number === outcome.view && whyAlready(view, change) !== undefined
      );
      if (isSo) return [];
      return [{ checker: "change", text: `${said}; but that view is not so` }];
    });
  }

  #count(word: string): void {
    this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }
}

/** Returns the name of the learner of `view`; `undefined` if it has none. */
export function learnerIn(view: View): string | undefined {
  const id = view.names.findIndex((_, node) => learnerOf(view, node) !== undefined);
  return view.names[id];
}

/** Paths that the fixed set of seeds with changes must walk. */
export const CHANGE_PATHS = [
  "learner admitted",
  "live node removed",
  "dead node removed",
  "live node replaced",
  "dead node replaced",
  "learner cancelled",
  "change done",
  "change refused",
  "change indeterminate",
  "change overtaken by another view",
  "id reused",
  "a node has slept through several changes",
  "a list of 1",
  "a list of 2",
  "a list of 4",
] as const;
