/**
 * How a transaction ended: what DKS.OUTCOME answers.
 *
 * A node that has it committed may say so alone: a commit is final wherever it is known. An abort is
 * final once a majority of the nodes has it durable, as for the reply ABORTED (`docs/protocol.md`,
 * "Writes", 4): one node that has aborted a transaction could be excluded by others that all have it
 * prepared. So everybody is asked, and their answers are put together here.
 *
 * @module
 */

import { quote } from "../byte_string.ts";
import {
  INCARNATION_MAX,
  type NodeIndex,
  type TransactionNumber,
  transactionNumber,
} from "../two_phase/messages.ts";
import { majority } from "../two_phase/node_set.ts";
import type { KnownOutcome } from "../two_phase/transaction_table.ts";

/** What one node knows; `silent` where it does not answer. */
export interface NodeOutcome {
  readonly name: string;
  readonly outcome: KnownOutcome | "silent";
}

/** Highest sequence number of an incarnation. */
const SEQUENCE_MAX = 2 ** 32 - 1;

/**
 * Returns the transaction that `name` means, as error replies name it, or a sentence that says why
 * it means none.
 */
export function parseTransactionName(
  name: string,
  nodes: number,
): { readonly coordinator: NodeIndex; readonly number: TransactionNumber } | string {
  const [, node, incarnation, sequence] = /^(\d{1,2})\.(\d{1,7})\.(\d{1,10})$/.exec(name) ?? [];
  if (node === undefined) {
    return `a transaction is named node.incarnation.sequence, such as 0.1.42, not ${quote(name)}`;
  }
  const within = (text: string | undefined, what: string, [min, max]: readonly [number, number]) =>
    Number(text) >= min && Number(text) <= max
      ? undefined
      : `the ${what} of a transaction is from ${min} to ${max}, not ${text}`;
  return within(node, "node", [0, nodes - 1]) ??
    within(incarnation, "incarnation", [1, INCARNATION_MAX]) ??
    within(sequence, "sequence", [1, SEQUENCE_MAX]) ??
    {
      coordinator: Number(node),
      number: transactionNumber(Number(incarnation), Number(sequence)),
    };
}

/**
 * Returns what the answers of all configured nodes come to: a word (`committed`, `aborted`,
 * `undecided`, `forgotten` or `unknown`), and where there is more to say, that in parentheses.
 */
export function combineOutcomes(nodes: readonly NodeOutcome[]): string {
  const named = (outcome: NodeOutcome["outcome"]) =>
    nodes.filter((node) => node.outcome === outcome).map(({ name }) => name);
  if (named("committed").length > 0) return "committed";
  const aborted = named("aborted");
  const isForgotten = named("forgotten").length > 0;
  // Who has forgotten it knows that every member has settled it, so nobody can change its end.
  if (aborted.length >= majority(nodes.length) || (aborted.length > 0 && isForgotten)) {
    return "aborted";
  }
  if (isForgotten) return "forgotten (it was decided, and its end is no longer kept)";
  const silence = named("silent").length === 0
    ? ""
    : `; no answer from ${named("silent").join(", ")}`;
  const doubt = named("undecided");
  if (doubt.length > 0) return `undecided (in doubt at ${doubt.join(", ")}${silence})`;
  if (aborted.length > 0) {
    return `undecided (aborted at ${aborted.join(", ")}, which is no majority${silence})`;
  }
  return `unknown (no node that answers has heard of it${silence})`;
}
