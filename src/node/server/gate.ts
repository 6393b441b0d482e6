/**
 * The gate: the one place that every command passes, in one order, before it runs.
 *
 * 1. It is known, and so is its subcommand.
 * 2. It has as many words as it takes.
 * 3. The client is who it says it is. (Kept for access control.)
 * 4. It may do that, and to these keys. (Kept for access control.)
 * 5. It is queued, if a transaction is being put together. (Kept for MULTI.)
 * 6. It may be sent on a connection that has subscribed. (Kept for publish and subscribe.)
 * 7. Its keys and values are within the limits, and its keys not dks's own.
 * 8. There is memory for what it may add.
 *
 * A command that another one carries passes the same gate first.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { KEYS_PER_COMMAND_MAX } from "../../limits.ts";
import { isReserved, RESERVED_PREFIX } from "../../reserved_keys.ts";
import { ErrorReply } from "../../resp/value.ts";
import { unknownCommand, unknownSubcommand, wrongArity } from "../commands/arguments.ts";
import { type Command, endOfKeys, type Session } from "../commands/command.ts";
import { COMMANDS } from "../commands/table.ts";

/** In Redis's words: clients know them. */
const OUT_OF_MEMORY = new ErrorReply(
  "OOM",
  "command not allowed when used memory > 'maxmemory'.",
);

/** A command that has passed the gate: it can be run. */
export type AdmittedCommand = Command & Required<Pick<Command, "run">>;

/** Returns the command in `words`, or why it is refused. */
export function admit(
  words: readonly ByteString[],
  session: Session,
): AdmittedCommand | ErrorReply {
  const command = COMMANDS.find(words);
  if (command === undefined || !canRun(command)) return whyUnknown(words);
  const { arity, wraps } = command;
  if (arity >= 0 ? words.length !== arity : words.length < -arity) return wrongArity(command.name);
  const refusal = whySizes(command, words, session);
  if (refusal !== undefined) return refusal;
  if (command.needsMemory && session.node.isOutOfMemory()) return OUT_OF_MEMORY;
  if (wraps === undefined) return command;
  const inner = admit(words.slice(wraps), session);
  return inner instanceof ErrorReply ? inner : command;
}

function canRun(command: Command): command is AdmittedCommand {
  return command.run !== undefined;
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
