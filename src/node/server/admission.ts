/**
 * Which writes may begin: the bytes of those under way at a node are bounded.
 *
 * A write that finds no room waits at its connection, which is read no further. Those that wait go in
 * the order in which they came. Small ones do not wait behind large ones, nor large ones for small ones:
 * these have some room of their own.
 *
 * @module
 */

/** A write of fewer bytes does not wait while there is room for small ones. */
const SMALL_BYTES = 64 * 1024;

/** What is left for small writes when large ones have taken all the rest. */
const SMALL_ROOM_BYTES = 8 * 1024 * 1024;

/** While a command waits, the node checks this often whether there is room, in milliseconds. */
const LOOK_MS = 20;

/** A write that waits for room. */
interface Waiter {
  readonly bytes: number;
  readonly since: number;
  readonly resume: () => void;
}

/** What {@linkcode Admission} needs. */
export interface AdmissionOptions {
  /** Most bytes of large writes under way; one that is larger goes when nothing but small ones is. */
  readonly bytesMax: number;
  /** A write that has waited for this long is resumed all the same, so that it is rejected. */
  readonly waitMsMax: number;
  /** Returns how many bytes wait for the peer that takes in the fewest. */
  readonly backlogBytes: () => number;
  /** Returns the monotonic clock, in milliseconds. */
  readonly nowMs: () => number;
}

/** The bound on the writes under way at one node. */
export class Admission {
  readonly #options: AdmissionOptions;
  #bytes = 0;
  /** Those of the small ones among them. */
  #smallBytes = 0;
  readonly #waiters: Waiter[] = [];
  #isLookPlanned = false;
  /** It is the turn of the first of those that wait, until it begins. */
  #isTurn = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Bytes of the writes under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many writes wait for room. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Tells whether a write of so many bytes may begin now. */
  hasRoomFor(bytes: number): boolean {
    const { bytesMax } = this.#options;
    if (bytes < SMALL_BYTES) {
      return this.#smallBytes + bytes <= SMALL_ROOM_BYTES ||
        this.#bytes + bytes <= bytesMax + SMALL_ROOM_BYTES;
    }
    return (this.waiting === 0 || this.#isTurn) && this.#fits(bytes);
  }

  #fits(bytes: number): boolean {
    const { bytesMax, backlogBytes } = this.#options;
    // What has ended may still wait for a slow peer, and what is under way mostly does.
    const used = Math.max(this.#bytes, backlogBytes());
    return used <= SMALL_ROOM_BYTES || used + bytes <= bytesMax;
  }

  /** A write begins. */
  enter(bytes: number): void {
    this.#isTurn = false;
    this.#bytes += bytes;
    if (bytes < SMALL_BYTES) this.#smallBytes += bytes;
  }

  /** A write has ended. */
  leave(bytes: number): void {
    this.#bytes -= bytes;
    if (bytes < SMALL_BYTES) this.#smallBytes -= bytes;
    if (this.waiting === 0 || this.#isLookPlanned) return;
    this.#isLookPlanned = true;
    // When all that ends now has ended: nothing begins in the middle of that.
    queueMicrotask(() => {
      this.#isLookPlanned = false;
      this.#resumeAll();
    });
  }

  /** Has `resume` called when there is room for so many bytes, or they have waited for too long. */
  wait(bytes: number, resume: () => void): void {
    this.#waiters.push({ bytes, since: this.#options.nowMs(), resume });
    this.#lookLater();
  }

  #lookLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#resumeAll();
      if (this.waiting > 0) this.#lookLater();
    }, LOOK_MS);
  }

  #resumeAll(): void {
    const { nowMs, waitMsMax } = this.#options;
    for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
      this.#isTurn = true;
      const isLate = nowMs() - first.since >= waitMsMax;
      if (!isLate && !this.hasRoomFor(first.bytes)) break;
      this.#waiters.shift();
      first.resume();
    }
    this.#isTurn = false;
  }

  /** Looks no more: the node ends. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
