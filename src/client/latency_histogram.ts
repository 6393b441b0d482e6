/**
 * Latencies in bounded memory: an HDR histogram, whose buckets are as fine as three digits.
 *
 * @module
 */

import hdr from "hdr-histogram-js/Int32Histogram";

/** The longest latency that can be told from longer ones: ten minutes. */
const MICROS_MAX = 600_000_000;

const DIGITS = 3;

/** The percentiles of a summary. */
export const PERCENTILES = [10, 25, 50, 75, 90, 95, 99, 99.9, 99.99] as const;

/** Statistics of latencies in milliseconds; without any, the figures are `NaN`. */
export interface LatencySummary {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
  /** By the percentile: that part of the latencies was no longer. */
  readonly percentiles: Readonly<Record<(typeof PERCENTILES)[number], number>>;
}

/** Counts latencies. It takes 87 kB, however many there are. */
export class LatencyHistogram {
  readonly #counts = new hdr.default(1, MICROS_MAX, DIGITS);

  /** Adds a latency in milliseconds, `times` times. Less than a microsecond counts as one. */
  add(ms: number, times = 1): void {
    const micros = Math.min(MICROS_MAX, Math.max(1, Math.round(ms * 1000)));
    this.#counts.recordValueWithCount(micros, times);
  }

  get count(): number {
    return this.#counts.totalCount;
  }

  /** Returns the latency in milliseconds that `percent` of all did not exceed; `NaN` without any. */
  percentile(percent: number): number {
    if (this.count === 0) return NaN;
    // A bucket's bound may be above all that is in it.
    return Math.min(this.#counts.getValueAtPercentile(percent), this.#counts.maxValue) / 1000;
  }

  /** Forgets all latencies. */
  reset(): void {
    this.#counts.reset();
  }

  summarize(): LatencySummary {
    const { count } = this;
    const percentiles = Object.fromEntries(
      PERCENTILES.map((percent) => [percent, this.percentile(percent)]),
    ) as Record<(typeof PERCENTILES)[number], number>;
    const [mean, max] = count === 0 ? [NaN, NaN] : [this.#counts.mean, this.#counts.maxValue];
    return { count, mean: mean / 1000, max: max / 1000, percentiles };
  }
}
