/**
 * The gate: the one place that every command passes, in one order, before it runs.
 *
 * 1. It is known, and so is its subcommand.
 * 2. It has as many words as it takes.
 * 3. The client has said who it is, if it must.
 * 4. It may do that, with these keys and channels.
 * 5. It is queued, if a transaction is being put together. Then it is not run before EXEC.
 * 6. It may be sent on a connection that has subscribed: in version 2 few may.
 * 7. Its keys and values are within the limits, and its keys not dks's own.
 * 8. There is memory for what it may add.
 *
 * A command that another one carries passes the same gate first.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { KEYS_PER_COMMAND_MAX, TOKENS_MEMORY_SHARE } from "../../limits.ts";
import { isReserved, RESERVED_PREFIX } from "../../reserved_keys.ts";
import { ErrorReply, SimpleString } from "../../resp/value.ts";
import { unknownCommand, unknownSubcommand, wrongArity } from "../commands/arguments.ts";
import {
  type Command,
  endOfKeys,
  type RunnableCommand,
  type Session,
} from "../commands/command.ts";
import { isSecret, notOnce } from "../commands/dks.ts";
import { NOT_IN_A_TRANSACTION } from "../commands/transaction_queue.ts";
import { isSubscriber } from "../commands/pubsub.ts";
import { endCaching, runTracked } from "../commands/tracking.ts";
import { COMMANDS } from "../commands/table.ts";

/** In Redis's words: clients know them. */
const OUT_OF_MEMORY = new ErrorReply(
  "OOM",
  "command not allowed when used memory > 'maxmemory'.",
);

/** A command that has passed the gate: it can be run. */
export interface AdmittedCommand
  extends Pick<Command, "name" | "index" | "order">, Required<Pick<Command, "run">> {
  /** The client wants no reply to it. */
  readonly isMuted?: boolean;
}

/**
 * Returns the command in `words`, or why it is refused. To be called again for a command that had to
 * wait.
 */
export function admit(
  words: readonly ByteString[],
  session: Session,
): AdmittedCommand | ErrorReply {
  const command = check(words, session);
  if (session.features === undefined) return command;
  const admitted = inContext(command, words, session);
  return session.features.silence === undefined || admitted instanceof ErrorReply
    ? admitted
    : muted(admitted);
}

/** The command, without a reply, as CLIENT REPLY has asked for. */
function muted({ name, index, order, run }: AdmittedCommand): AdmittedCommand {
  // By its index: one of a client that tracks keys has another name.
  if (COMMANDS.withIndex(index)?.name === "client|reply") return { name, index, order, run };
  return {
    name: "muted",
    index,
    order,
    isMuted: true,
    run: (words, session) => {
      endSkip(session);
      return run(words, session);
    },
  };
}

/** Tells whether an error of the gate gets no reply. */
export function isSilent(session: Session): boolean {
  const isSilent = session.features?.silence !== undefined;
  if (isSilent) endSkip(session);
  return isSilent;
}

/** CLIENT REPLY SKIP is about one command. */
function endSkip({ features }: Session): void {
  if (features?.silence === "next") features.silence = undefined;
}

/** What becomes of a command on a connection that does more than plain commands. */
function inContext(
  command: RunnableCommand | ErrorReply,
  words: readonly ByteString[],
  session: Session,
): AdmittedCommand | ErrorReply {
  const transaction = session.features?.transaction;
  if (transaction?.isQueueing !== true) {
    if (!(command instanceof ErrorReply)) {
      return whySubscribed(command, session) ?? tracked(command, session);
    }
    endCaching(COMMANDS.find(words), session);
    return command;
  }
  if (command instanceof ErrorReply) {
    transaction.breakOff();
    return command;
  }
  if (command.inMulti === "runs" || isExec(command, words)) return tracked(command, session);
  if (command.inMulti === "refused") {
    transaction.breakOff();
    return NOT_IN_A_TRANSACTION;
  }
  return {
    name: "queued",
    index: command.index,
    order: "none",
    run: () => {
      const refusal = transaction.add(command, words, session);
      transaction.needsMemory ||= carriedBy(command, words)?.needsMemory === true;
      return { reply: refusal ?? QUEUED };
    },
  };
}

/** The command, with its reads noted if the client tracks keys. */
function tracked(command: RunnableCommand, { features }: Session): AdmittedCommand {
  if (features?.tracking === undefined) return command;
  const { order, index } = command;
  return {
    name: "tracked",
    index,
    order,
    run: (words, session) => runTracked(command, words, session),
  };
}

/** In version 2 nothing tells a reply from what a subscriber is told. */
function whySubscribed(command: Command, session: Session): ErrorReply | undefined {
  if (command.isForSubscribers === true || !isSubscriber(session)) return undefined;
  return new ErrorReply(
    "ERR",
    `Can't execute '${command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / ` +
      "RESET are allowed in this context",
  );
}

const QUEUED = new SimpleString("QUEUED");

/** EXEC that is carried by another command, under a token. */
function isExec(command: Command, words: readonly ByteString[]): boolean {
  return carriedBy(command, words)?.name === "exec";
}

/** Returns the command that another one carries; one that carries none, itself. */
function carriedBy(command: Command, words: readonly ByteString[]): Command | undefined {
  const { wraps } = command;
  return wraps === undefined ? command : COMMANDS.find(words.slice(wraps));
}

function check(
  words: readonly ByteString[],
  session: Session,
): RunnableCommand | ErrorReply {
  const command = COMMANDS.find(words);
  const checked = checkRow(command, words, session);
  return command?.name === "exec" && checked instanceof ErrorReply
    ? execAborted(checked, session)
    : checked;
}

function checkRow(
  command: Command | undefined,
  words: readonly ByteString[],
  session: Session,
): RunnableCommand | ErrorReply {
  if (command === undefined || !canRun(command)) return whyUnknown(words);
  const { arity, wraps } = command;
  if (arity >= 0 ? words.length !== arity : words.length < -arity) {
    return wrongArity(command.name);
  }
  // Who may do everything has no restriction: most clients.
  const denial = session.restriction?.whyNot(command, words, session);
  if (denial !== undefined) return denial;
  const refusal = whySizes(command, words, session);
  if (refusal !== undefined) return refusal;
  if (needsMemory(command, session) && session.node.isOutOfMemory()) return OUT_OF_MEMORY;
  if (wraps === undefined) return command;
  const carried = words.slice(wraps);
  const inner = check(carried, session);
  if (inner instanceof ErrorReply) return inner;
  // Before MONITOR and SLOWLOG are told of it by the name of the command that carries it.
  if (isSecret(inner)) return notOnce(carried);
  return session.node.isOutOfMemory(TOKENS_MEMORY_SHARE) ? OUT_OF_MEMORY : command;
}

/** EXEC needs memory if a command does that was queued. */
function needsMemory({ name, needsMemory }: Command, { features }: Session): boolean {
  return needsMemory || name === "exec" && features?.transaction?.needsMemory === true;
}

function canRun(command: Command): command is RunnableCommand {
  return command.run !== undefined;
}

/** As in Redis, an EXEC that is refused ends the transaction. */
function execAborted({ code, message }: ErrorReply, { features }: Session): ErrorReply {
  features?.transaction?.discard();
  const reason = code === "ERR" ? message : `${code} ${message}`;
  return new ErrorReply("EXECABORT", `Transaction discarded because of: ${reason}`);
}

function whyUnknown(words: readonly ByteString[]): ErrorReply {
  const [name = "", second = ""] = words;
  const command = COMMANDS.named(name);
  if (command?.subcommands === undefined) return unknownCommand(words);
  return words.length === 1 ? wrongArity(command.name) : unknownSubcommand(command.name, second);
}

/** Returns the error for a key or a value that is too large, or a reserved key. */
function whySizes(
  { keys }: Command,
  words: readonly ByteString[],
  { node }: Session,
): ErrorReply | undefined {
  const { first, step } = keys;
  if (step === 0) return undefined;
  const { keyBytesMax, valueBytesMax } = node;
  const end = endOfKeys(keys, words);
  if ((end - first) / step >= KEYS_PER_COMMAND_MAX) {
    return new ErrorReply("ERR", `more than ${KEYS_PER_COMMAND_MAX} keys in one command`);
  }
  for (let i = first; i < words.length; i++) {
    const isKey = i <= end && (i - first) % step === 0;
    const max = isKey ? keyBytesMax : valueBytesMax;
    const word = words[i] ?? "";
    if (word.length > max) {
      const what = isKey ? "key" : "value";
      return new ErrorReply("ERR", `${what} of ${word.length} bytes, at most ${max} are allowed`);
    }
    if (isKey && isReserved(word)) {
      const prefix = quote(RESERVED_PREFIX);
      return new ErrorReply("ERR", `keys that begin with ${prefix} are reserved for dks`);
    }
  }
  return undefined;
}
