/**
 * Keyspace events: what committed transactions do to keys, published to this node's subscribers as
 * Redis does it. Each node tells its own, whichever node wrote; so nothing of it goes over a link.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { eventsOf, namedEvents } from "../../key_events.ts";
import { isReserved } from "../../reserved_keys.ts";
import type { Effect } from "../../two_phase/messages.ts";

/** Redis's letters: `K` and `E` say where to, the others of which kind. */
const LETTERS = "g$lshzxetdKEmn";

/** What `A` stands for. */
const ALL = "g$lshzxetd";

/** What gets the events. */
export interface KeyEventListeners {
  /** Sends to this node's subscribers of a channel, and to no others. */
  tellLocal(channel: ByteString, message: ByteString): void;
}

/** The keyspace events of one node. */
export class KeyNotifications {
  readonly #listeners: KeyEventListeners;
  #letters = "";

  constructor(listeners: KeyEventListeners) {
    this.#listeners = listeners;
  }

  /** Whether anything is told. */
  get isOn(): boolean {
    const has = (letter: string) => this.#letters.includes(letter);
    return (has("K") || has("E")) && [...ALL].some(has);
  }

  /** What is told, in Redis's letters: the value of `notify-keyspace-events`. */
  get letters(): string {
    const isAll = [...ALL].every((letter) => this.#letters.includes(letter));
    const chosen = [...LETTERS].filter((letter) => this.#letters.includes(letter)).join("");
    return isAll ? `A${[...chosen].filter((letter) => !ALL.includes(letter)).join("")}` : chosen;
  }

  /** Tells whether there is an event for each letter. */
  isKnown(letters: string): boolean {
    return [...letters].every((letter) => letter === "A" || LETTERS.includes(letter));
  }

  /** Chooses what is told. Returns false, and changes nothing, if a letter is none of Redis's. */
  choose(letters: string): boolean {
    if (!this.isKnown(letters)) return false;
    this.#letters = letters.replaceAll("A", ALL);
    return true;
  }

  /** Tells of the effects of a transaction that is committed. */
  onEffects(effects: readonly Effect[]): void {
    if (!this.isOn) return;
    for (const effect of effects) {
      if (isReserved(effect.key)) continue;
      for (const { name, kind } of namedEvents(eventsOf(effect))) {
        if (!this.#letters.includes(kind)) continue;
        if (this.#letters.includes("K")) {
          this.#listeners.tellLocal(`__keyspace@0__:${effect.key}`, name);
        }
        if (this.#letters.includes("E")) {
          this.#listeners.tellLocal(`__keyevent@0__:${name}`, effect.key);
        }
      }
    }
  }
}
