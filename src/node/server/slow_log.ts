/**
 * SLOWLOG: the commands that the node was busy with for long, the latest ones.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { SlowCommand } from "../commands/command.ts";

/** So many words of a command are kept, and so many bytes of each, as in Redis. */
const WORDS_MAX = 32;
const WORD_BYTES_MAX = 128;

/** A bounded log of slow commands. */
export class SlowLog {
  /** The oldest first. */
  #entries: SlowCommand[] = [];
  #lastId = -1;
  #lengthMax: number;

  /** @param lengthMax how many commands are kept */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#entries.length;
  }

  get lengthMax(): number {
    return this.#lengthMax;
  }

  set lengthMax(lengthMax: number) {
    this.#lengthMax = lengthMax;
    this.#trim();
  }

  add(entry: Omit<SlowCommand, "id">): void {
    this.#entries.push({ ...entry, id: ++this.#lastId, words: shortened(entry.words) });
    this.#trim();
  }

  /** Returns the latest `count` entries, the latest first. */
  latest(count: number): readonly SlowCommand[] {
    return this.#entries.slice(-count).reverse().slice(0, count);
  }

  reset(): void {
    this.#entries = [];
  }

  #trim(): void {
    const surplus = this.#entries.length - this.#lengthMax;
    if (surplus > 0) this.#entries.splice(0, surplus);
  }
}

/** Returns the words of a command as they are kept: few, and none long. */
export function shortened(words: readonly ByteString[]): readonly ByteString[] {
  const kept = words.length <= WORDS_MAX ? words : words.slice(0, WORDS_MAX - 1);
  const short = kept.map((word) => {
    const more = word.length - WORD_BYTES_MAX;
    return more <= 0 ? word : `${word.slice(0, WORD_BYTES_MAX)}... (${more} more bytes)`;
  });
  const left = words.length - kept.length;
  return left === 0 ? short : [...short, `... (${left} more arguments)`];
}
