/**
 * What a user may do, looked up once: a table of commands, and patterns of keys and channels.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { matchesGlob } from "../commands/glob.ts";
import type { Command } from "../commands/command.ts";
import { keyAccesses } from "../commands/key_access.ts";
import { allowedCommands, type User } from "./user.ts";

/** What a user may not do: run a command, or use a key or a channel. */
export interface Denial {
  readonly reason: "command" | "key" | "channel";
  /** The name of the command, the key or the channel. */
  readonly object: ByteString;
}

/** Commands whose words are channels, or patterns of them: which words. */
const CHANNELS: ReadonlyMap<string, "all" | "first" | "patterns"> = new Map([
  ["subscribe", "all"],
  ["ssubscribe", "all"],
  ["psubscribe", "patterns"],
  ["publish", "first"],
  ["spublish", "first"],
]);

/** What hands out the values of all keys, and names none: for users of all keys. */
const OF_ALL_KEYS: ReadonlySet<string> = new Set(["dks.export"]);

/** What one user may do. */
export class Permissions {
  readonly #user: User;
  readonly #allowed: readonly boolean[];
  /** Nothing is forbidden. */
  readonly isAll: boolean;

  constructor(user: User) {
    this.#user = user;
    this.#allowed = allowedCommands(user);
    this.isAll = user.hasAllKeys && user.hasAllChannels && !this.#allowed.includes(false);
  }

  /** Returns what the user lacks for a command; `undefined` if nothing. */
  denial(command: Command, words: readonly ByteString[]): Denial | undefined {
    const isAllowed = this.#allowed[command.index] === true || command.flags.includes("no_auth");
    if (!isAllowed) return { reason: "command", object: command.name };
    if (!this.#user.hasAllKeys) {
      if (OF_ALL_KEYS.has(command.name)) return { reason: "key", object: "*" };
      for (const access of keyAccesses(command, words)) {
        if (!this.#mayUse(access)) return { reason: "key", object: access.key };
      }
    }
    if (this.#user.hasAllChannels) return undefined;
    const kind = CHANNELS.get(command.name);
    if (kind === undefined) return undefined;
    const channels = kind === "first" ? words.slice(1, 2) : words.slice(1);
    const refused = channels.find((one) => !this.mayListen(one, kind === "patterns"));
    return refused === undefined ? undefined : { reason: "channel", object: refused };
  }

  #mayUse(access: { key: ByteString; reads: boolean; writes: boolean }): boolean {
    return this.#user.keys.some(({ pattern, reads, writes }) =>
      (reads || !access.reads) && (writes || !access.writes) && matchesGlob(pattern, access.key)
    );
  }

  /** Tells whether the user may use a channel, or subscribe to a pattern: that must be one of its own. */
  mayListen(channel: ByteString, isPattern: boolean): boolean {
    const { hasAllChannels, channels } = this.#user;
    if (hasAllChannels) return true;
    return channels.some((one) => isPattern ? one === channel : matchesGlob(one, channel));
  }
}
