/**
 * Collects latencies, and summarizes them as the original program did, and more.
 *
 * @module
 */

/** Statistics of a set of latencies, all in milliseconds. */
export interface Summary {
  readonly count: number;
  readonly mean: number;
  /** Variance of the sample (divided by count - 1), in ms². */
  readonly variance: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Collects latencies. */
export class Latencies {
  #samples = new Float64Array(1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds one latency in milliseconds. */
  add(ms: number): void {
    if (this.#count === this.#samples.length) {
      const grown = new Float64Array(2 * this.#count);
      grown.set(this.#samples);
      this.#samples = grown;
    }
    this.#samples[this.#count++] = ms;
  }

  /** Returns statistics of the latencies so far; without any, the figures are `NaN`. */
  summarize(): Summary {
    const sorted = this.#samples.slice(0, this.#count).sort();
    const { mean, variance } = meanAndVariance(sorted);
    return {
      count: this.#count,
      mean,
      variance,
      p50: quantile(sorted, 0.5),
      p95: quantile(sorted, 0.95),
      p99: quantile(sorted, 0.99),
      max: sorted.at(-1) ?? NaN,
    };
  }
}

/** Welford's method: numerically stable in one pass (Knuth, TAOCP vol. 2, §4.2.2). */
function meanAndVariance(samples: Float64Array): { mean: number; variance: number } {
  let mean = 0;
  let squares = 0;
  let count = 0;
  for (const sample of samples) {
    count++;
    const distance = sample - mean;
    mean += distance / count;
    squares += distance * (sample - mean);
  }
  if (count === 0) return { mean: NaN, variance: NaN };
  return { mean, variance: count === 1 ? 0 : squares / (count - 1) };
}

/** The smallest sample that at least the part `q` of all samples does not exceed (nearest rank). */
function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}
