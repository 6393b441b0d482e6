/**
 * What clients know a transaction by: `node.incarnation.sequence.journal`, such as `0.1.42.5f3a2b`.
 *
 * The number alone does not do: a node that has lost its journal counts its incarnations from the
 * numbers that the others have seen, and what it gave to nobody but a client it may give once more. So
 * a name also tells the journal of the coordinator, by a few digits of its hash. A name whose journal
 * is not the one that counts means none of the transactions that are known.
 *
 * @module
 */

import {
  INCARNATION_MAX,
  incarnationOf,
  SEQUENCE_MAX,
  sequenceOf,
  type TransactionId,
  transactionNumber,
} from "./messages.ts";

/** A transaction, and the journal of its coordinator. */
export interface NamedTransaction extends TransactionId {
  /** See {@linkcode journalDigits}. */
  readonly digits: string;
}

/** How many hexadecimal digits of a journal's hash stand in a name. */
const DIGITS = 6;

/** Returns the digits of a name that tell the journal with the id `journal`. */
export function journalDigits(journal: string): string {
  // FNV-1a, 32 bits (Fowler, Noll & Vo 1991): ids of journals are random, so a plain hash does.
  let hash = 0x811c9dc5;
  for (let i = 0; i < journal.length; i++) {
    hash = Math.imul(hash ^ journal.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0").slice(0, DIGITS);
}

/** Returns what clients know a transaction by; `journal` is that of its coordinator. */
export function nameForClients(
  { coordinator, number }: TransactionId,
  journal: string,
): string {
  const words = [coordinator, incarnationOf(number), sequenceOf(number), journalDigits(journal)];
  return words.join(".");
}

/**
 * Returns the transaction that `name` means, in a cluster of `nodes`, or a sentence that says why it
 * means none; `shown` is how the name is shown in that.
 */
export function parseTransactionName(
  name: string,
  { nodes, shown }: { readonly nodes: number; readonly shown: string },
): NamedTransaction | string {
  const [, node, incarnation, sequence, digits] =
    /^(\d{1,2})\.(\d{1,7})\.(\d{1,10})\.([0-9a-f]{6})$/.exec(name) ?? [];
  if (node === undefined || digits === undefined) {
    return "a transaction is named node.incarnation.sequence.journal, such as 0.1.42.5f3a2b, not " +
      shown;
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
      digits,
    };
}
