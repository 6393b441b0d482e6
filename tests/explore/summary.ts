/**
 * What many runs of the explorer came to.
 *
 * @module
 */

import type { Violation } from "../sim/checkers.ts";
import { findPlantedFault } from "../sim/summary.ts";
import { explore, type Profile } from "./explorer.ts";

/** Which runs are to be made. Plain values: it goes to workers. */
export interface Task {
  readonly from: number;
  readonly count: number;
  readonly profiles: readonly Profile[];
  /** The name of a planted fault. */
  readonly plantedFault: string | undefined;
}

/** A run that broke a rule. */
export interface Failure {
  readonly seed: number;
  readonly profile: Profile;
  readonly violations: readonly Violation[];
}

/** What many runs came to. Plain values: it comes from workers. */
export interface Summary {
  readonly runs: number;
  readonly steps: number;
  readonly views: number;
  readonly failures: readonly Failure[];
}

/** Nothing yet. */
export const EMPTY: Summary = { runs: 0, steps: 0, views: 0, failures: [] };

/** Returns both summaries as one. */
export function merge(a: Summary, b: Summary): Summary {
  return {
    runs: a.runs + b.runs,
    steps: a.steps + b.steps,
    views: a.views + b.views,
    failures: [...a.failures, ...b.failures],
  };
}

/** Makes the runs of `task`: seed by seed, the profiles by turns. */
export function runTask({ from, count, profiles, plantedFault }: Task): Summary {
  const plant = findPlantedFault(plantedFault);
  const failures: Failure[] = [];
  let [steps, views] = [0, 0];
  for (let seed = from; seed < from + count; seed++) {
    const profile = profiles[seed % profiles.length];
    if (profile === undefined) throw new RangeError("there is no profile to run");
    const { run, violations, views: seen } = explore(seed, profile, plant);
    steps += run.steps.length;
    views += seen;
    if (violations.length > 0) failures.push({ seed, profile, violations });
  }
  return { runs: count, steps, views, failures };
}
