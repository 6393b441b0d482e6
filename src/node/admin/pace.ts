/**
 * The throughput and the latency of the last minutes, a sample a second: for the charts of the status
 * page. What is counted anyway is looked at once a second; nothing is added to any request.
 *
 * @module
 */

import type { Histogram } from "../../histogram.ts";

/** So many samples are kept: five minutes. */
const SAMPLES_MAX = 300;

/** What is counted at one moment. All of it only grows, unless the node starts over. */
export interface PaceCounts {
  readonly requests: number;
  /** Writes that this node coordinated and that were committed. */
  readonly commits: number;
  /** Requests that were rejected, aborted or indeterminate. */
  readonly failures: number;
  /** How long committed writes took, in milliseconds; `undefined` while nothing runs. */
  readonly writeMs: Histogram | undefined;
}

/** What happened in one second. */
export interface PaceSample {
  /** When it ended, in milliseconds of wall-clock time. */
  readonly at: number;
  /** A second each. */
  readonly requests: number;
  readonly commits: number;
  readonly failures: number;
  /** The median and the 99th percentile of the writes, in milliseconds; `null` if there were none. */
  readonly medianMs: number | null;
  readonly p99Ms: number | null;
}

/** Keeps the samples. */
export class Pace {
  #samples: readonly PaceSample[] = [];
  #before: { readonly counts: PaceCounts; readonly monotonicMs: number } | undefined;

  /** The oldest first. */
  get samples(): readonly PaceSample[] {
    return this.#samples;
  }

  /** Adds a sample of what has happened since the last call; the first call adds none. */
  sample(
    counts: PaceCounts,
    { monotonicMs, wallMs }: { monotonicMs: number; wallMs: number },
  ): void {
    const before = this.#before;
    this.#before = {
      counts: { ...counts, writeMs: counts.writeMs?.copy() },
      monotonicMs,
    };
    if (before === undefined || monotonicMs <= before.monotonicMs) return;
    const seconds = (monotonicMs - before.monotonicMs) / 1000;
    const rate = (name: "requests" | "commits" | "failures") =>
      Math.round(Math.max(0, counts[name] - before.counts[name]) / seconds);
    const percentile = (percent: number) => {
      const earlier = before.counts.writeMs;
      if (earlier === undefined) return null;
      return counts.writeMs?.percentileSince(earlier, percent) ?? null;
    };
    const sample: PaceSample = {
      at: wallMs,
      requests: rate("requests"),
      commits: rate("commits"),
      failures: rate("failures"),
      medianMs: percentile(50),
      p99Ms: percentile(99),
    };
    this.#samples = [...this.#samples, sample].slice(-SAMPLES_MAX);
  }
}
