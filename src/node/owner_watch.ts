/**
 * Whether the journal is still this process's own.
 *
 * Another process takes a journal over once its owner has not answered for a second
 * (`journal_owner.ts`): the owner was stopped (SIGSTOP), or its machine was suspended. When it goes
 * on, its memory may be older than what the other process has committed. So after it has stood still
 * it asks the journal first, and answers nothing from its memory until it knows. The other process
 * may just have asked in vain and not have written its name yet, so the owner asks once more a bit
 * later; the other one serves nobody for that long (`kv_ownership.ts`).
 *
 * @module
 */

import type { Clocks } from "../two_phase/clocks.ts";

/** A process has stood still if there was no tick for this long, in milliseconds. */
export const STANDSTILL_MS = 250;

/** How long after a standstill the journal is asked once more, in milliseconds. */
export const ASK_AGAIN_MS = 1500;

/** Watches over one journal. */
export class OwnerWatch {
  readonly #confirm: () => Promise<void>;
  readonly #onConfirmed: (question: number) => void;
  #aliveAt: Clocks;
  /** How often the journal was asked. */
  #asked = 0;
  #isAsking = false;
  /** When to ask once more, by the monotonic clock. */
  #againAt = Infinity;

  constructor(options: {
    /** Resolves if the journal is still this process's own. Never called again after a failure. */
    confirm: () => Promise<void>;
    /**
     * This process was the owner when the question of this number was asked: what was in memory before, and
     * while no later question was asked, was no older than the journal. It may have stood still since.
     */
    onConfirmed: (question: number) => void;
    now: Clocks;
  }) {
    this.#confirm = options.confirm;
    this.#onConfirmed = options.onConfirmed;
    this.#aliveAt = options.now;
  }

  /**
   * Tells whether what was in memory before `at` was no older than the journal then. If not, this stays
   * false until the journal has answered.
   */
  isSureAt(at: Clocks): boolean {
    if (this.#hasStoodStill(at)) this.suspect(at);
    return !this.#isAsking;
  }

  /** The number of the question that is asked, or was asked last. */
  get question(): number {
    return this.#asked;
  }

  /** To be called many times in {@linkcode STANDSTILL_MS}. */
  onTick(at: Clocks): void {
    if (this.#hasStoodStill(at)) this.suspect(at);
    this.#aliveAt = at;
    if (at.monotonicMs < this.#againAt) return;
    this.#againAt = Infinity;
    this.#ask();
  }

  /** The process may have stood still before `at`. */
  suspect(at: Clocks): void {
    this.#aliveAt = at;
    this.#againAt = at.monotonicMs + ASK_AGAIN_MS;
    this.#ask();
  }

  /** The monotonic clock does not count the time for which the machine is suspended. */
  #hasStoodStill(at: Clocks): boolean {
    const { monotonicMs, wallMs } = this.#aliveAt;
    return at.monotonicMs - monotonicMs > STANDSTILL_MS || at.wallMs - wallMs > STANDSTILL_MS;
  }

  #ask(): void {
    const asked = ++this.#asked;
    this.#isAsking = true;
    this.#confirm().then(() => {
      // A process whose every turn is long suspects again before the answer comes.
      if (asked === this.#asked) this.#isAsking = false;
      this.#onConfirmed(asked);
    }, () => {}); // The journal has told the node, which ends.
  }
}
