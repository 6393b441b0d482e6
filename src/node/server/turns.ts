/**
 * Turns of the event loop: connections give timers, and other connections, their turn.
 *
 * A read or a write that can be done at once resumes its connection before any timer runs, and before the
 * runtime asks the system what else has come: it asks when nothing is ready, and otherwise only once in
 * some 60 rounds. So clients that never pause, or many that are answered together, could hold up everything
 * else. Two things show whether that is so: the node's timer is overdue, or much was written in large pieces
 * since nothing was ready last. Then connections wait in line; nothing is ready for a moment, and they go on
 * one after the other, as many as fit into a turn. Large pieces have a line of their own, behind the others:
 * a client that asks for little does not wait for those that are sent much.
 *
 * @module
 */

/**
 * How long after the node's timer has run last it is overdue, in milliseconds: it runs every 20 ms. While
 * nothing comes it runs less often, so the first burst after that may wait once for nothing.
 */
const OVERDUE_MS = 25;

/**
 * Connections that waited in line may go on for so long before the next wait, in milliseconds. So many go on in
 * any case, of those with little to do and of the others: on a machine that is busy with other things, little
 * of that time may be this process's.
 */
const WORK_MS = 8;
const COUNT_MIN = 64;
const COUNT_LARGE_MIN = 4;

/** How long nothing is ready, in milliseconds: with 0 the runtime would go on without asking the system. */
const PAUSE_MS = 1;

/** Pieces of so many bytes are large, and after so many bytes in such pieces connections wait. */
const LARGE_BYTES = 16 * 1024;
const LARGE_BYTES_MAX = 4 * 1024 * 1024;

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
  readonly #afterMs: (ms: number, action: () => void) => void;
  #timerRanAt: number;
  /** Since the clock was read last. */
  #workBytes = 0;
  /** In large pieces, since nothing was ready last. */
  #largeBytes = 0;
  #isOverdue = false;
  #isActive = false;
  /** The connections that wait, in their order; and those that wait to write a large piece. */
  readonly #waiting: (() => void)[] = [];
  readonly #waitingLarge: (() => void)[] = [];
  #isPausing = false;

  /**
   * @param nowMs returns a time in milliseconds that never goes back
   * @param afterMs does something after so many milliseconds
   */
  constructor(
    nowMs: () => number,
    afterMs: (ms: number, action: () => void) => void = (ms, action) => setTimeout(action, ms),
  ) {
    this.#nowMs = nowMs;
    this.#afterMs = afterMs;
    this.#timerRanAt = nowMs();
  }

  /** The node's timer has run. */
  onTimer(): void {
    this.#timerRanAt = this.#nowMs();
    this.#isOverdue = false;
  }

  /** When a timer has run last, in milliseconds: the time, but for some 20 ms, without a reading. */
  get timerRanAtMs(): number {
    return this.#timerRanAt;
  }

  /** Tells whether anything has come or was sent since the last call. */
  takeActivity(): boolean {
    const isActive = this.#isActive;
    this.#isActive = false;
    return isActive;
  }

  /** A command has taken so long, in milliseconds. */
  onCommand(ms: number): void {
    if (ms >= 1) this.#workBytes = WORK_BYTES;
  }

  /**
   * Tells whether the connection is to wait: then {@linkcode next} comes before any more work.
   *
   * @param bytes how many have come, or are to be sent
   */
  isOver(bytes: number): boolean {
    this.#isActive = true;
    if (this.#isOverdue || this.#waiting.length > 0) return true;
    if (bytes >= LARGE_BYTES) {
      this.#largeBytes += bytes;
      if (this.#largeBytes > LARGE_BYTES_MAX || this.#waitingLarge.length > 0) return true;
    }
    this.#workBytes += PIECE_BYTES + bytes;
    if (this.#workBytes < WORK_BYTES) return false;
    this.#workBytes = 0;
    this.#isOverdue = this.#nowMs() - this.#timerRanAt > OVERDUE_MS;
    return this.#isOverdue;
  }

  /**
   * Resolves in a later turn, after timers and what has come meanwhile, and in the order of the calls.
   *
   * @param bytes how many have come, or are to be sent
   */
  next(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      (bytes < LARGE_BYTES ? this.#waiting : this.#waitingLarge).push(resolve);
      this.#pause();
    });
  }

  #pause(): void {
    if (this.#isPausing) return;
    this.#isPausing = true;
    this.#afterMs(PAUSE_MS, () => this.#release());
  }

  async #release(): Promise<void> {
    this.onTimer();
    this.#largeBytes = 0;
    const until = this.#timerRanAt + WORK_MS;
    await this.#resume(this.#waiting, { until, countMin: COUNT_MIN });
    await this.#resume(this.#waitingLarge, { until, countMin: COUNT_LARGE_MIN });
    this.#isPausing = false;
    if (this.#waiting.length + this.#waitingLarge.length > 0) this.#pause();
  }

  /** Lets those that wait go on until then, and so many in any case. */
  async #resume(
    waiting: (() => void)[],
    { until, countMin }: { until: number; countMin: number },
  ): Promise<void> {
    let count = 0;
    while (count < waiting.length && (count < countMin || this.#nowMs() < until)) {
      waiting[count++]?.();
      await undefined; // It goes on now, until it waits for something else.
    }
    waiting.splice(0, count);
  }
}
