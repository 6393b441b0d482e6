/**
 * What a part of the benchmark leaves in `bench/results/`.
 *
 * @module
 */

import type { Load } from "./load.ts";

/** Those of a quick run are kept aside, and in no commit: they mean little. */
function folderOf(isQuick: boolean): URL {
  return new URL(isQuick ? "../../build/bench/" : "../../bench/results/", import.meta.url);
}

/** One figure's runs, a run a round. */
export interface Measure {
  /** The store, and how it is run. */
  readonly system: string;
  /** What it did. */
  readonly what: string;
  readonly runs: readonly Load[];
}

/** The results of one part. */
export interface PartResult {
  readonly part: string;
  /** The program that was measured, and whether its sources had changes that are in no commit. */
  readonly commit: string;
  readonly isChanged: boolean;
  readonly finishedAt: string;
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly machine: Machine;
  /** What other programs took of all processors just before it, in %. */
  readonly othersPercent: number;
  readonly measures: readonly Measure[];
  /** Figures that are no loads, by name. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
  /** What could not be measured, and why. */
  readonly failures: readonly string[];
}

/** Where it was measured. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly kernel: string;
  readonly deno: string;
}

/** Returns the results of `part`; `undefined` if there are none. */
export async function readResult(
  part: string,
  isQuick: boolean,
): Promise<PartResult | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL(`${part}.json`, folderOf(isQuick))));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Keeps the results of a part, instead of earlier ones. */
export async function writeResult(result: PartResult): Promise<void> {
  const folder = folderOf(result.isQuick);
  await Deno.mkdir(folder, { recursive: true });
  const text = `${JSON.stringify(result, null, 1)}\n`;
  await Deno.writeTextFile(new URL(`${result.part}.json`, folder), text);
}

/** The middle one, or the upper of the two in the middle; `NaN` without any. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Looks figures up, and returns their medians over the rounds; `NaN` for what was not measured. */
export class Figures {
  readonly #result: PartResult | undefined;

  constructor(result: PartResult | undefined) {
    this.#result = result;
  }

  runs(system: string, what: string): readonly Load[] {
    const found = this.#result?.measures.find((one) => one.system === system && one.what === what);
    return found?.runs ?? [];
  }

  perSecond(system: string, what: string): number {
    return median(this.runs(system, what).map((run) => run.perSecond));
  }

  /** In milliseconds. */
  percentile(system: string, what: string, percent: string): number {
    return median(this.runs(system, what).map((run) => run.percentiles[percent] ?? NaN));
  }

  meanMs(system: string, what: string): number {
    return median(this.runs(system, what).map((run) => run.meanMs));
  }

  /** Processor time of all processes of the store for one request, in microseconds. */
  cpuMicros(system: string, what: string): number {
    return median(this.runs(system, what).map((run) => 1e6 * run.storeCpuSeconds / run.count));
  }

  figure(name: string): number {
    return median(this.#result?.figures[name] ?? []);
  }
}
