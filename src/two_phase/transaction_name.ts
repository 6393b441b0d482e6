/**
 * The name by which clients know a transaction: `node.incarnation.sequence.journal`, such as
 * `0.1.42.5f3a2b`.
 *
 * The number alone is not enough: a node that has lost its journal continues from the numbers that
 * the other nodes have seen, so it may give a number again that only a client has seen. So the name
 * also identifies the coordinator's journal, by a few digits of its hash. A name whose journal is
 * not the one that counts matches no known transaction.
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

/** How many hexadecimal digits of a journal's hash are in a name. */
const DIGITS = 6;

/** Returns the digits that identify the journal with the id `journal` in a name. */
export function journalDigits(journal: string): string {
  // FNV-1a, 32 bits (Fowler, Noll & Vo 1991): ids of journals are random, so a simple hash is
  // enough.
  let hash = 0x811c9dc5;
  for (let i = 0; i < journal.length; i++) {
    hash = Math.imul(hash ^ journal.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0").slice(0, DIGITS);
}

/** Returns the name by which clients know a transaction; `journal` is that of its coordinator. */
export function nameForClients(
  { coordinator, number }: TransactionId,
  journal: string,
): string {
  const words = [coordinator, incarnationOf(number), sequenceOf(number), journalDigits(journal)];
  return words.join(".");
}

/**
 * Returns the transaction that `name` means, in a cluster of `nodes`, or a sentence that says why
 * it means none; `shown` is the name as that sentence shows it.
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
