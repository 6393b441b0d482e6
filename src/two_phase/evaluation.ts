/**
 * What the evaluation of a request sees of its keys.
 *
 * A write is evaluated under its locks and sees what all that hold a key before it will leave there; a
 * read sees what is committed. A key whose time to live is over is not there for either, and is listed:
 * no client is told so before its deletion is committed.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import type { Context } from "./context.ts";
import type { Effect, KeyRecord, Stamp } from "./messages.ts";
import type { KeyFacts, KeyReader } from "./request.ts";
import type { Entry, Transaction } from "./state.ts";

/**
 * The keys as one evaluation sees them. There is one of these for all evaluations of a node, so that
 * none of them allocates: an evaluation ends before the next one begins.
 */
export class EvaluationView implements KeyFacts {
  readonly #context: Context;
  /** Whose evaluation it is; `undefined` for a read of what is committed. */
  #transaction: Transaction | undefined;
  #version: Stamp = 0;
  #expired = new Set<ByteString>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Begins an evaluation by `transaction`, which holds its locks; by none, of what is committed. */
  begin(transaction: Transaction | undefined): void {
    this.#transaction = transaction;
    this.#version = 0;
    if (this.#expired.size > 0) this.#expired = new Set();
  }

  /** The keys that the evaluation took for gone because their time to live is over. */
  get expired(): ReadonlySet<ByteString> {
    return this.#expired;
  }

  /** Reads a key. To be called until the next evaluation begins. */
  readonly read: KeyReader = (key) => {
    const { store } = this.#context;
    const entry = store.get(key);
    const isPlain = entry?.lock === undefined || this.#transaction === undefined;
    if (isPlain && entry?.expiresAtMs === undefined) return entry?.value;
    return this.#recordOf(key, entry)?.value;
  };

  recordOf(key: ByteString): KeyRecord | undefined {
    return this.#recordOf(key, this.#context.store.get(key));
  }

  #recordOf(key: ByteString, entry: Entry | undefined): KeyRecord | undefined {
    const record = this.#intended(entry) ?? entry;
    if (record?.value === undefined) return undefined;
    const { expiresAtMs } = record;
    if (expiresAtMs === undefined || !this.#isOver(expiresAtMs)) return record;
    this.#expired.add(key);
    return undefined;
  }

  /** Notes the keys that `effects` replace though nothing has looked at them: they may have been over, too. */
  lookAtReplaced(effects: readonly Effect[], entries: readonly Entry[]): void {
    for (let i = 0; i < effects.length; i++) {
      const key = effects[i]?.key ?? "";
      const first = entries[i];
      const entry = first?.key === key ? first : this.#context.store.get(key);
      if (entry === undefined) continue;
      const { expiresAtMs, lock } = entry;
      if (expiresAtMs !== undefined || (lock?.holders.length ?? 0) > 1) this.recordOf(key);
    }
  }

  #isOver(expiresAtMs: number): boolean {
    const { membership: { time }, clocks } = this.#context;
    return expiresAtMs <= time.nowMs(clocks) && time.mayExpire(clocks);
  }

  /** What the last transaction that holds `entry` before this one, and writes it, leaves there. */
  #intended(entry: Entry | undefined): KeyRecord | undefined {
    const transaction = this.#transaction;
    const holders = entry?.lock?.holders;
    if (transaction === undefined || entry === undefined || holders === undefined) return undefined;
    for (let i = holders.lastIndexOf(transaction) - 1; i >= 0; i--) {
      const prepare = holders[i]?.prepare;
      const effect = holders[i]?.effectOn(entry.key);
      if (prepare === undefined || effect === undefined) continue;
      return { ...effect, version: prepare.version };
    }
    return undefined;
  }

  get nowMs(): number {
    return this.#context.membership.time.nowMs(this.#context.clocks);
  }

  /** The version is given when it is asked for first: it is the one that the prepare will have. */
  get version(): Stamp {
    if (this.#version === 0) this.#version = this.#context.clock.tick(this.#context.now);
    return this.#version;
  }
}
