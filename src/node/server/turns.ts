/**
 * Turns of the event loop: what many connections do in one of them is bounded.
 *
 * A read or a write that can be done at once resumes its connection before any timer runs. So clients
 * that never pause, or many that are answered together, could hold up everything else. Whoever has done
 * some work says so here, and waits for the next turn when all together have done enough.
 *
 * @module
 */

/** A bound on the work of one turn. */
export class Turns {
  readonly #workMax: number;
  #work = 0;
  #next: Promise<void> | undefined;

  /** @param workMax how much may be done before others have their turn */
  constructor(workMax: number) {
    this.#workMax = workMax;
  }

  /** Enough was done in this turn: {@linkcode untilRoom} comes before any more. */
  get isFull(): boolean {
    return this.#work >= this.#workMax;
  }

  /** Counts work that is done. */
  add(work: number): void {
    this.#work += work;
  }

  /** Resolves when there is room: those that wait go on in their order. */
  async untilRoom(): Promise<void> {
    while (this.isFull) await this.next();
  }

  /** Resolves in the next turn, after timers and other connections. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) =>
      setTimeout(() => {
        this.#next = undefined;
        this.#work = 0;
        resolve();
      })
    );
    return this.#next;
  }
}
