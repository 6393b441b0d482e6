/**
 * The limits that a client or an operator can meet, each with its default and what happens when it is
 * reached. CONFIG GET shows them by these names, and `docs/operations.md` lists them.
 *
 * @module
 */

import {
  ARGUMENTS_MAX,
  BITOP_BYTES_MAX,
  COMMAND_BYTES_EXTRA,
  CONNECTIONS_MAX,
  EXPORTS_MAX,
  HTTP_CONNECTIONS_MAX,
  INLINE_BYTES_MAX,
  INPUT_BYTES_SUM_MAX,
  KEY_BYTES_MAX,
  KEYS_PER_COMMAND_MAX,
  NODES_MAX,
  ONCE_ANSWER_BYTES_MAX,
  OUTCOME_QUESTIONS_MAX,
  OUTPUT_BYTES_MAX,
  OUTPUT_BYTES_SUM_MAX,
  PATTERN_BYTES_MAX,
  PIPELINE_MAX,
  PUBLICATION_LINK_BYTES_MAX,
  PUSH_BYTES_MAX,
  QUEUED_COMMANDS_MAX,
  REPLY_BYTES_MAX,
  REQUESTS_MAX,
  SCAN_LOOKS_MAX,
  SCAN_WORK_MAX,
  STRANGER_ARGUMENTS_MAX,
  STRANGER_BYTES_MAX,
  SUBSCRIPTION_BYTES_SUM_MAX,
  TRACKED_READS_MAX,
  TRACKING_PREFIXES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_READ_BYTES_MAX,
  TRANSFER_BYTES_AHEAD,
  USERS_BYTES_MAX,
  VALUE_BYTES_MAX,
  WRITE_BYTES_MAX,
} from "../../limits.ts";
import type { CommandHost } from "./command.ts";

/** A row of the table. */
export interface Limit {
  /** The parameter of CONFIG GET: Redis's name if the limit is Redis's, or one with `dks-`. */
  readonly name: string;
  /** What is limited. */
  readonly what: string;
  readonly unit: "count" | "bytes";
  /** In the unit; or in words, if it depends on the machine. */
  readonly default: number | string;
  /** Returns what holds at a node, if that is not always the default. */
  readonly at?: (node: CommandHost) => number;
  /** What sets it, in Markdown. */
  readonly flag?: string;
  /** What happens when it is reached. */
  readonly then: string;
}

/** Returns the most bytes of all arguments of a command, where values have at most `valueBytesMax`. */
function commandBytesMax(valueBytesMax: number): number {
  return 2 * valueBytesMax + COMMAND_BYTES_EXTRA;
}

const count = (
  name: string,
  what: string,
  most: number,
  then: string,
): Limit => ({ name, what, unit: "count", default: most, then });

const bytes = (
  name: string,
  what: string,
  most: number,
  then: string,
): Limit => ({ name, what, unit: "bytes", default: most, then });

export const LIMITS: readonly Limit[] = [
  count(
    "maxclients",
    "clients of a node",
    CONNECTIONS_MAX,
    "a further one is told `max number of clients reached`; other nodes still get in",
  ),
  count(
    "dks-pipeline",
    "commands of one connection under way",
    PIPELINE_MAX,
    "it is read no further until the first is answered",
  ),
  count(
    "dks-arguments",
    "words of one command",
    ARGUMENTS_MAX,
    "the connection is closed with `invalid multibulk length`",
  ),
  count(
    "dks-stranger-arguments",
    "words of one command of a client that has to say first who it is",
    STRANGER_ARGUMENTS_MAX,
    "the connection is closed with `invalid multibulk length`",
  ),
  count("dks-keys", "keys of one command or transaction", KEYS_PER_COMMAND_MAX, "an error"),
  {
    ...bytes("dks-key-bytes", "a key, or the name of a channel", KEY_BYTES_MAX, "an error"),
    at: ({ keyBytesMax }) => keyBytesMax,
    flag: "`--max-key-bytes`, up to 1 MiB",
  },
  {
    ...bytes(
      "proto-max-bulk-len",
      "a value",
      VALUE_BYTES_MAX,
      "an error; an argument of more than twice that closes the connection",
    ),
    at: ({ valueBytesMax }) => valueBytesMax,
    flag: "`--max-value-bytes`, up to 64 MiB",
  },
  {
    ...bytes(
      "dks-command-bytes",
      "all words of one command",
      commandBytesMax(VALUE_BYTES_MAX),
      "the connection is closed with an error",
    ),
    at: ({ valueBytesMax }) => commandBytesMax(valueBytesMax),
    flag: "twice that and 8 MiB",
  },
  bytes(
    "dks-stranger-bytes",
    "all words of one command of a client that has to say first who it is",
    STRANGER_BYTES_MAX,
    "the connection is closed with an error",
  ),
  bytes(
    "dks-inline-bytes",
    "a command in one line of text",
    INLINE_BYTES_MAX,
    "the connection is closed with an error",
  ),
  bytes(
    "dks-unfinished-bytes",
    "unfinished commands of all connections",
    INPUT_BYTES_SUM_MAX,
    "connections that hold more than an equal part are closed when they send more",
  ),
  bytes("dks-reply-bytes", "one reply", REPLY_BYTES_MAX, "an error instead, and EXEC does nothing"),
  bytes(
    "dks-output-bytes",
    "unread replies of one connection",
    OUTPUT_BYTES_MAX,
    "it is read no further until its client reads",
  ),
  bytes(
    "dks-output-bytes-sum",
    "unread replies of all connections",
    OUTPUT_BYTES_SUM_MAX,
    "connections that hold more than an equal part are closed",
  ),
  bytes(
    "dks-push-bytes",
    "unread messages of one subscriber, monitor or cache",
    PUSH_BYTES_MAX,
    "its connection is closed",
  ),
  {
    name: "maxmemory",
    what: "memory for keys and values",
    unit: "bytes",
    default: "60 % of what the engine can get: 2.5 GiB on most machines",
    at: ({ settings }) => settings.memoryBytesMax,
    flag: "`--max-memory`, `CONFIG SET`",
    then: "writes that need more get `OOM`; reads and deletions go on",
  },
  bytes(
    "dks-write-bytes",
    "writes under way at a node, and 8 MiB for small ones",
    WRITE_BYTES_MAX,
    "further ones wait at their connections",
  ),
  count(
    "dks-requests",
    "requests under way at a node",
    REQUESTS_MAX,
    "further ones are rejected (`TRYAGAIN`)",
  ),
  count(
    "dks-queued-commands",
    "commands between MULTI and EXEC",
    QUEUED_COMMANDS_MAX,
    "an error, and EXEC does nothing",
  ),
  bytes(
    "dks-queued-bytes",
    "these commands; and their keys, watched ones too, and what they write",
    TRANSACTION_BYTES_MAX,
    "an error, and EXEC does nothing",
  ),
  bytes(
    "dks-transaction-read-bytes",
    "the values that these commands read, each time",
    TRANSACTION_READ_BYTES_MAX,
    "an error, and EXEC does nothing",
  ),
  count("dks-watched-keys", "keys that a connection watches", KEYS_PER_COMMAND_MAX, "an error"),
  count(
    "dks-tracked-reads",
    "reads that are noted for CLIENT TRACKING",
    TRACKED_READS_MAX,
    "a key is told as changed, and forgotten",
  ),
  count(
    "dks-tracking-prefixes",
    "prefixes of CLIENT TRACKING BCAST",
    TRACKING_PREFIXES_MAX,
    "an error",
  ),
  bytes(
    "dks-subscription-bytes",
    "names of all subscriptions at a node",
    SUBSCRIPTION_BYTES_SUM_MAX,
    "an error",
  ),
  bytes(
    "dks-publication-bytes",
    "what waits for the link to another node when a message is published",
    PUBLICATION_LINK_BYTES_MAX,
    "subscribers there miss the message; INFO counts it",
  ),
  bytes(
    "dks-transfer-bytes",
    "keys under way to a node that joins, in 4 parts at the most",
    TRANSFER_BYTES_AHEAD,
    "the next part waits until one has arrived",
  ),
  count("dks-exports", "exports under way at a node", EXPORTS_MAX, "a further one is rejected"),
  count(
    "dks-outcome-questions",
    "DKS.OUTCOME under way at a node",
    OUTCOME_QUESTIONS_MAX,
    "a further one is rejected",
  ),
  bytes("dks-once-bytes", "an answer that DKS.ONCE keeps", ONCE_ANSWER_BYTES_MAX, "an error"),
  bytes("dks-bitop-bytes", "the values of one BITOP", BITOP_BYTES_MAX, "an error"),
  count(
    "dks-scan-looks",
    "keys that one SCAN looks at",
    SCAN_LOOKS_MAX,
    "it answers with the cursor to go on with",
  ),
  bytes(
    "dks-scan-bytes",
    "keys that one SCAN looks at, in bytes, with the steps of its pattern",
    SCAN_WORK_MAX,
    "it answers with the cursor to go on with",
  ),
  bytes(
    "dks-pattern-bytes",
    "a pattern of KEYS, SCAN, PUBSUB, CONFIG GET or COMMAND LIST",
    PATTERN_BYTES_MAX,
    "an error",
  ),
  bytes("dks-users-bytes", "rules of all users", USERS_BYTES_MAX, "an error"),
  count(
    "dks-http-connections",
    "connections at the port of `--http`",
    HTTP_CONNECTIONS_MAX,
    "a further one is closed",
  ),
  count("dks-nodes", "nodes of a cluster", NODES_MAX, "the node does not start"),
];

/** Returns what holds at `node`, as CONFIG GET shows it. */
export function limitAt(limit: Limit, node: CommandHost): string {
  return String(limit.at?.(node) ?? limit.default);
}
