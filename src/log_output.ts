/**
 * The way of log lines to standard output, which may be a pipe that nobody reads.
 *
 * A write to a full pipe returns when somebody reads, which may be never. So one write is under way
 * at a time, on a thread of the runtime's, and further lines wait in a queue that is bounded in
 * bytes. What finds no room is dropped and counted, and the count is told as soon as there is room:
 * at the place of the first line that is missing.
 *
 * @module
 */

import { delay } from "@std/async/delay";

/** Most bytes of lines that wait, and of one write. */
const WAITING_BYTES_MAX = 256 * 1024;
const WRITE_BYTES_MAX = 16 * 1024;

/** The pause after a write that failed, in milliseconds: a full disk may get room again. */
const RETRY_MS = 1000;

/** The pause if the stream does not block, and is full, in milliseconds. */
const FULL_MS = 50;

const encoder = new TextEncoder();

/** What lines are written to, such as `Deno.stdout`. */
export interface LogStream {
  write(bytes: Uint8Array): Promise<number>;
}

/** Writes lines in order, and makes no caller wait for it. */
export class LogOutput {
  readonly #stream: LogStream;
  readonly #lines: Uint8Array[] = [];
  /** The bytes of `#lines`, and of the write that is under way. */
  #bytes = 0;
  /** Lines that were dropped, and that no line tells of yet; and all of them. */
  #dropped = 0;
  #droppedEver = 0;
  /** As {@linkcode write} was last given it. */
  #tellDropped: (count: number) => string = String;
  #writing: Promise<void> | undefined;

  constructor(stream: LogStream) {
    this.#stream = stream;
  }

  /** How many lines were dropped. */
  get dropped(): number {
    return this.#droppedEver + this.#dropped;
  }

  /**
   * Writes `line` and a line feed when the lines before it are written; or drops it.
   *
   * @param tellDropped returns the line that tells that `count` lines are missing
   */
  write(line: string, tellDropped: (count: number) => string): void {
    this.#tellDropped = tellDropped;
    const bytes = encoder.encode(`${line}\n`);
    // Nothing overtakes the count of what was dropped.
    if (this.#dropped > 0 || this.#bytes + bytes.length > WAITING_BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#push(bytes);
    this.#writing ??= this.#writeAll();
  }

  /** Waits until all lines are written, for at most `ms` milliseconds. */
  async flush(ms: number): Promise<void> {
    await Promise.race([this.#writing, delay(ms)]);
  }

  #push(bytes: Uint8Array): void {
    this.#lines.push(bytes);
    this.#bytes += bytes.length;
  }

  async #writeAll(): Promise<void> {
    while (this.#lines.length > 0) {
      const piece = this.#takePiece();
      try {
        await this.#writePiece(piece.bytes);
      } catch (error) {
        // Nobody will ever read. `#writing` stays, so that nothing is written again.
        if (error instanceof Deno.errors.BrokenPipe) return;
        this.#dropped += piece.lines;
        await delay(RETRY_MS);
      }
      this.#bytes -= piece.bytes.length;
      if (this.#dropped > 0) {
        this.#push(encoder.encode(`${this.#tellDropped(this.#dropped)}\n`));
        this.#droppedEver += this.#dropped;
        this.#dropped = 0;
      }
    }
    this.#writing = undefined;
  }

  /** Takes the first lines, at least one of them, up to the bytes of one write. */
  #takePiece(): { readonly bytes: Uint8Array; readonly lines: number } {
    let count = 0;
    let size = 0;
    for (const { length } of this.#lines) {
      if (count > 0 && size + length > WRITE_BYTES_MAX) break;
      count++;
      size += length;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const line of this.#lines.splice(0, count)) {
      bytes.set(line, at);
      at += line.length;
    }
    return { bytes, lines: count };
  }

  async #writePiece(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      try {
        rest = rest.subarray(await this.#stream.write(rest));
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        await delay(FULL_MS);
      }
    }
  }
}
