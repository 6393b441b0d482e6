/**
 * Turns of the event loop: connections give timers their turn.
 *
 * A read or a write that can be done at once resumes its connection before any timer runs. So clients
 * that never pause, or many that are answered together, could hold up everything else. The node's timer
 * shows whether that is so: once it is overdue, connections wait for the next turn before they go on.
 *
 * @module
 */

/** How long after the node's timer has run last it is overdue, in milliseconds: it runs every 20 ms. */
const OVERDUE_MS = 25;

/** Tells connections when to wait. */
export class Turns {
  readonly #nowMs: () => number;
  #timerRanAt: number;
  #next: Promise<void> | undefined;

  /** @param nowMs returns a time in milliseconds that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#timerRanAt = nowMs();
  }

  /** The node's timer has run. */
  onTimer(): void {
    this.#timerRanAt = this.#nowMs();
  }

  /** Timers have not run for too long: {@linkcode next} comes before any more work. */
  get isOver(): boolean {
    return this.#nowMs() - this.#timerRanAt > OVERDUE_MS;
  }

  /** Resolves in the next turn, after timers and other connections. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) =>
      setTimeout(() => {
        this.#next = undefined;
        this.onTimer();
        resolve();
      })
    );
    return this.#next;
  }
}
