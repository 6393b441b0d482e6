/**
 * How a transaction ended: what DKS.OUTCOME answers.
 *
 * A commit is final wherever it is known. So is an abort that a node knows for certain: its client
 * was told, all members have settled it, or the next view made it. An abort that only one node has
 * on its disk is not final: if all others have the transaction prepared, they may continue without
 * that node and commit it. Such an abort is final once a majority of the nodes, all of them members
 * of the highest view that is known, has it (`docs/protocol.md`, "Writes", 4): every later view
 * starts from the promises of a majority, so from at least one of them. Other answers of nodes in
 * earlier views do not count, as those nodes do not know what came after. So every node is asked,
 * and this module combines the answers.
 *
 * @module
 */

import type { OutcomeAnswer } from "./replica.ts";

/** What one node knows; `undefined` if it does not answer. */
export interface NodeOutcome {
  readonly name: string;
  readonly said: OutcomeAnswer | undefined;
}

/**
 * Combines the answers of all configured nodes: a word (`committed`, `aborted`, `undecided`,
 * `forgotten` or `unknown`), with details in parentheses if there are any.
 */
export function combineOutcomes(nodes: readonly NodeOutcome[]): string {
  const outcomes = nodes.map(({ said }) => said?.outcome);
  for (const certain of ["committed", "aborted"] as const) {
    if (outcomes.includes(certain)) return certain;
  }
  const latest = Math.max(...nodes.map(({ said }) => said?.view ?? 0));
  // Without an answer nothing is known, so no number of nodes is enough.
  const needed = nodes.find(({ said }) => said?.view === latest)?.said?.needed ?? Infinity;
  const members = nodes.filter(({ said }) => said?.view === latest && said.isMember);
  const named = (outcome: OutcomeAnswer["outcome"]) =>
    members.filter(({ said }) => said?.outcome === outcome).map(({ name }) => name);
  const aborted = named("abortedHere");
  const isForgotten = named("forgotten").length > 0;
  // Within one view, if one member has forgotten it, every member has settled it in the same way.
  if (aborted.length >= needed || (aborted.length > 0 && isForgotten)) {
    return "aborted";
  }
  if (isForgotten) return "forgotten (it was decided, but the outcome is no longer kept)";
  const silent = nodes.filter(({ said }) => said === undefined).map(({ name }) => name);
  const silence = silent.length === 0 ? "" : `; no answer from ${silent.join(", ")}`;
  const doubt = named("undecided");
  if (doubt.length > 0) return `undecided (in doubt at ${doubt.join(", ")}${silence})`;
  if (aborted.length > 0) {
    return `undecided (aborted at ${aborted.join(", ")}, which is no majority${silence})`;
  }
  return `unknown (no member that answers knows it${silence})`;
}
