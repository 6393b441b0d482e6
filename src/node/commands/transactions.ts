/**
 * MULTI, EXEC, DISCARD, WATCH and UNWATCH: see `transaction_queue.ts`.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { error, REPLY_OK } from "./arguments.ts";
import {
  ALL_KEYS,
  type ClientTransaction,
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  featuresOf,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { TransactionQueue } from "./transaction_queue.ts";

function transactionOf(session: Session): ClientTransaction {
  const features = featuresOf(session);
  features.transaction ??= new TransactionQueue();
  return features.transaction;
}

function multi(_words: readonly ByteString[], session: Session): CommandResult {
  const transaction = transactionOf(session);
  if (transaction.isQueueing) return error("MULTI calls can not be nested");
  transaction.begin();
  return REPLY_OK;
}

function exec(_words: readonly ByteString[], session: Session): CommandResult {
  const transaction = session.features?.transaction;
  if (transaction?.isQueueing !== true) return error("EXEC without MULTI");
  return transaction.execute(session);
}

function discard(_words: readonly ByteString[], session: Session): CommandResult {
  const transaction = session.features?.transaction;
  if (transaction?.isQueueing !== true) return error("DISCARD without MULTI");
  transaction.discard();
  return REPLY_OK;
}

function watch([, ...keys]: readonly ByteString[], session: Session): CommandResult {
  const transaction = transactionOf(session);
  if (transaction.isQueueing) return error("WATCH inside MULTI is not allowed");
  return transaction.watch(keys);
}

function unwatch(_words: readonly ByteString[], session: Session): CommandResult {
  session.features?.transaction?.unwatch();
  return REPLY_OK;
}

const FLAGS: readonly CommandFlag[] = ["noscript", "loading", "stale", "fast", "allow_busy"];

/** What all commands of this family have. */
const ROW = { group: "transactions", categories: ["transaction"], keys: NO_KEYS } as const;

export const TRANSACTIONS: readonly CommandRow[] = [
  {
    ...ROW,
    name: "multi",
    arity: 1,
    flags: FLAGS,
    inMulti: "runs",
    summary: "Begins a transaction: commands are queued until EXEC",
    syntax: "",
    since: "1.2.0",
    differs: "some cannot be queued: see below",
    run: multi,
  },
  {
    ...ROW,
    name: "exec",
    arity: 1,
    flags: ["noscript", "loading", "stale", "skip_slowlog"],
    waits: "queued",
    inMulti: "runs",
    summary: "Carries out all queued commands at one moment",
    syntax: "",
    since: "1.2.0",
    run: exec,
  },
  {
    ...ROW,
    name: "discard",
    arity: 1,
    flags: FLAGS,
    waits: "alone",
    inMulti: "runs",
    summary: "Ends a transaction without carrying it out",
    syntax: "",
    since: "2.0.0",
    run: discard,
  },
  {
    ...ROW,
    name: "watch",
    arity: -2,
    flags: FLAGS,
    keys: ALL_KEYS,
    waits: "alone",
    inMulti: "runs",
    summary: "Has the next EXEC do nothing if one of the keys has changed until then",
    syntax: "key [key ...]",
    since: "2.2.0",
    differs: "a key that was missing, was created and is missing again counts as unchanged",
    run: watch,
  },
  {
    ...ROW,
    name: "unwatch",
    arity: 1,
    flags: FLAGS,
    waits: "alone",
    summary: "Watches no keys any more",
    syntax: "",
    since: "2.2.0",
    run: unwatch,
  },
];
