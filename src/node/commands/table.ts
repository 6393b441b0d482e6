/**
 * All commands, by name.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { aclCommand } from "./acl.ts";
import { BITFIELDS } from "./bitfields.ts";
import { BITS } from "./bits.ts";
import { clientCommand } from "./clients.ts";
import { CLUSTER } from "./cluster.ts";
import { type Command, commandOf, type CommandTable } from "./command.ts";
import { CONNECTION } from "./connection.ts";
import { COUNTERS } from "./counters.ts";
import { DIAGNOSTICS } from "./diagnostics.ts";
import { dksCommands } from "./dks.ts";
import { EXPIRY } from "./expiry.ts";
import { KEYS } from "./keys.ts";
import { KEYSPACE } from "./keyspace.ts";
import { LCS } from "./lcs.ts";
import { MEMBER } from "./member.ts";
import { PUBSUB } from "./pubsub.ts";
import { serverCommands } from "./server.ts";
import { STRINGS } from "./strings.ts";
import { TRANSACTIONS } from "./transactions.ts";

class Table implements CommandTable {
  readonly all: readonly Command[];
  /** Names as most clients write them, in lower case and in capitals. */
  readonly #byName = new Map<string, Command>();

  readonly byIndex: Command[] = [];
  /** The name that was found last. Most clients repeat themselves, and to compare two words costs less. */
  #lastName = "";
  #lastCommand: Command | undefined;

  constructor() {
    this.all = [
      ...STRINGS,
      ...COUNTERS,
      LCS,
      ...BITS,
      ...BITFIELDS,
      ...KEYS,
      ...EXPIRY,
      ...KEYSPACE,
      ...TRANSACTIONS,
      ...PUBSUB,
      ...CONNECTION,
      clientCommand(this),
      ...CLUSTER,
      ...serverCommands(this),
      aclCommand(this),
      ...DIAGNOSTICS,
      ...dksCommands(this),
      MEMBER,
    ].map((row) => commandOf(row, this.byIndex));
    for (const command of this.all) {
      this.#byName.set(command.name, command);
      this.#byName.set(command.name.toUpperCase(), command);
    }
  }

  withIndex(index: number): Command | undefined {
    return this.byIndex[index];
  }

  named(name: ByteString): Command | undefined {
    if (name === this.#lastName) return this.#lastCommand;
    const command = this.#byName.get(name) ?? this.#byName.get(name.toLowerCase());
    if (command !== undefined) {
      this.#lastName = name;
      this.#lastCommand = command;
    }
    return command;
  }

  find(words: readonly ByteString[]): Command | undefined {
    const command = this.named(words[0] ?? "");
    if (command?.subcommands === undefined) return command;
    const second = words[1];
    if (second === undefined) return command;
    const name = `${command.name}|${second.toLowerCase()}`;
    return command.subcommands.find((one) => one.name === name);
  }
}

/** All commands. */
export const COMMANDS: CommandTable = new Table();
