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

/**
 * A reading of the clock costs as much as a few commands, so it is read once in so much work: so many bytes
 * that clients have sent or are sent. What comes in one read, or leaves in one write, counts as
 * {@linkcode PIECE_BYTES} more.
 */
const WORK_BYTES = 16 * 1024;
const PIECE_BYTES = 1024;

/** Tells connections when to wait. */
export class Turns {
  readonly #nowMs: () => number;
  #timerRanAt: number;
  /** Since the clock was read last. */
  #workBytes = 0;
  #isOver = false;
  #next: Promise<void> | undefined;

  /** @param nowMs returns a time in milliseconds that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#timerRanAt = nowMs();
  }

  /** The node's timer has run. */
  onTimer(): void {
    this.#timerRanAt = this.#nowMs();
    this.#isOver = false;
  }

  /** When a timer has run last, in milliseconds: the time, but for some 20 ms, without a reading. */
  get timerRanAtMs(): number {
    return this.#timerRanAt;
  }

  /** A command has taken so long, in milliseconds. */
  onCommand(ms: number): void {
    if (ms >= 1) this.#workBytes = WORK_BYTES;
  }

  /**
   * Tells whether timers have not run for too long: then {@linkcode next} comes before any more work.
   *
   * @param bytes how many have come, or are to be sent
   */
  isOver(bytes: number): boolean {
    if (this.#isOver) return true;
    this.#workBytes += PIECE_BYTES + bytes;
    if (this.#workBytes < WORK_BYTES) return false;
    this.#workBytes = 0;
    this.#isOver = this.#nowMs() - this.#timerRanAt > OVERDUE_MS;
    return this.#isOver;
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
