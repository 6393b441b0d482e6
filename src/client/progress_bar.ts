/**
 * A progress bar, and a line, on standard error, shown at a terminal.
 *
 * @module
 */

import { terminalColumns } from "./terminal.ts";
import { now } from "../clock.ts";

/** The least time between two drawings of the bar, in milliseconds. */
const REDRAW_MS = 100;

const encoder = new TextEncoder();

/** Shows the progress of some work; shows nothing if standard error is not a terminal. */
export class ProgressBar {
  readonly #title: string;
  readonly #total: number;
  readonly #isShown: boolean;
  readonly #startedAt = now();
  #drawnAt = -Infinity;

  /**
   * @param title what is being done
   * @param total how much there is to do, in whatever unit
   */
  constructor(title: string, total: number) {
    this.#title = title;
    this.#total = total;
    this.#isShown = Deno.stderr.isTerminal();
  }

  /** Shows that `done` of the work is done. Cheap to call often. */
  update(done: number): void {
    if (!this.#isShown) return;
    const time = now();
    if (time - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = time;
    const seconds = (time - this.#startedAt) / 1000;
    drawLine(formatBar({ title: this.#title, done, total: this.#total, seconds }));
  }

  /** Removes the bar. */
  finish(): void {
    if (this.#isShown) drawLine("");
  }
}

/** A line on standard error that is written over again and again, shown at a terminal. */
export class LiveLine {
  readonly isShown: boolean = Deno.stderr.isTerminal();

  /** Shows `text`, cut to the terminal's width, instead of what was shown. */
  show(text: string): void {
    if (this.isShown) drawLine(text.slice(0, terminalColumns() - 1));
  }

  /** Removes the line. */
  remove(): void {
    if (this.isShown) drawLine("");
  }
}

/** Writes `line` over the line of the cursor. */
function drawLine(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`\r\x1b[K${line}`));
}

/** Returns the bar as one line, no longer than the terminal is wide. */
export function formatBar(
  state: { title: string; done: number; total: number; seconds: number },
  columns = terminalColumns(),
): string {
  const { title, done, total, seconds } = state;
  const part = total === 0 ? 1 : Math.min(1, done / total);
  const rate = seconds > 0 ? Math.round(done / seconds) : 0;
  const right = ` ${Math.floor(part * 100)} %  ${done}/${total}  ${rate}/s`;
  const width = Math.max(0, Math.min(40, columns - title.length - right.length - 4));
  const filled = Math.round(part * width);
  return `${title} [${"█".repeat(filled)}${"░".repeat(width - filled)}]${right}`
    .slice(0, columns - 1);
}
