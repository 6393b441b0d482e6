/**
 * How a transaction ended: what DKS.OUTCOME answers.
 *
 * A commit is final wherever it is known, and so is an abort that a node knows for certain: that its
 * client was told of, that all members have settled, or that the next view has made. An abort that one
 * node has on its disk is not: others that all have the transaction prepared may go on without that
 * node, and commit it. Such an abort is final once a majority of the nodes, all of them members of the
 * highest view that is known, has it (`docs/protocol.md`, "Writes", 4): every later view begins with a
 * majority, so with one of them. What nodes of earlier views say besides counts for nothing, as they do
 * not know what came after. So everybody is asked, and their answers are put together here.
 *
 * @module
 */

import { majority } from "./quorum.ts";
import type { OutcomeAnswer } from "./replica.ts";

/** What one node knows; nothing where it does not answer. */
export interface NodeOutcome {
  readonly name: string;
  readonly said: OutcomeAnswer | undefined;
}

/**
 * Returns what the answers of all configured nodes come to: a word (`committed`, `aborted`,
 * `undecided`, `forgotten` or `unknown`), and where there is more to say, that in parentheses.
 */
export function combineOutcomes(nodes: readonly NodeOutcome[]): string {
  const outcomes = nodes.map(({ said }) => said?.outcome);
  for (const certain of ["committed", "aborted"] as const) {
    if (outcomes.includes(certain)) return certain;
  }
  const latest = Math.max(...nodes.map(({ said }) => said?.view ?? 0));
  const members = nodes.filter(({ said }) => said?.view === latest && said.isMember);
  const named = (outcome: OutcomeAnswer["outcome"]) =>
    members.filter(({ said }) => said?.outcome === outcome).map(({ name }) => name);
  const aborted = named("abortedHere");
  const isForgotten = named("forgotten").length > 0;
  // Of one view: where one member has forgotten it, every member has settled it as this one has.
  if (aborted.length >= majority(nodes.length) || (aborted.length > 0 && isForgotten)) {
    return "aborted";
  }
  if (isForgotten) return "forgotten (it was decided, and its end is no longer kept)";
  const silent = nodes.filter(({ said }) => said === undefined).map(({ name }) => name);
  const silence = silent.length === 0 ? "" : `; no answer from ${silent.join(", ")}`;
  const doubt = named("undecided");
  if (doubt.length > 0) return `undecided (in doubt at ${doubt.join(", ")}${silence})`;
  if (aborted.length > 0) {
    return `undecided (aborted at ${aborted.join(", ")}, which is no majority${silence})`;
  }
  return `unknown (no member that answers has heard of it${silence})`;
}
