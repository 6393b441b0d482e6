/**
 * What many runs came to.
 *
 * @module
 */

import type { Violation } from "./checkers.ts";
import { DIRECTED_PLANTED_FAULTS, EXPLORED_PLANTED_FAULTS } from "./explored_planted_faults.ts";
import { PLANTED_CHANGE_FAULTS } from "./planted_change_faults.ts";
import { PLANTED_FAULTS, RARE_PLANTED_FAULTS } from "./planted_faults.ts";
import { scenarioOf, type Workload } from "./scenario.ts";
import { simulate } from "./simulation.ts";

const ALL_PLANTED_FAULTS = [
  ...PLANTED_FAULTS,
  ...PLANTED_CHANGE_FAULTS,
  ...EXPLORED_PLANTED_FAULTS,
  ...Object.values(DIRECTED_PLANTED_FAULTS),
  ...RARE_PLANTED_FAULTS,
];

/** Which runs are to be made. Plain values: it goes to workers. */
export interface Task {
  readonly from: number;
  readonly count: number;
  readonly workload: Workload | undefined;
  /** Whether the list of nodes changes. */
  readonly changes?: boolean | undefined;
  /** The name of a planted fault. */
  readonly plantedFault: string | undefined;
}

/** A run that broke a rule. */
export interface Failure {
  readonly seed: number;
  readonly violations: readonly Violation[];
}

/** What many runs came to. Plain values: it comes from workers. */
export interface Summary {
  readonly seeds: number;
  readonly events: number;
  readonly operations: number;
  readonly answered: number;
  readonly virtualMs: number;
  readonly undecided: number;
  readonly counters: ReadonlyMap<string, number>;
  readonly failures: readonly Failure[];
}

/** Nothing yet. */
export const EMPTY: Summary = {
  seeds: 0,
  events: 0,
  operations: 0,
  answered: 0,
  virtualMs: 0,
  undecided: 0,
  counters: new Map(),
  failures: [],
};

/** Returns both summaries as one. */
export function merge(a: Summary, b: Summary): Summary {
  const counters = new Map(a.counters);
  for (const [name, count] of b.counters) counters.set(name, (counters.get(name) ?? 0) + count);
  return {
    seeds: a.seeds + b.seeds,
    events: a.events + b.events,
    operations: a.operations + b.operations,
    answered: a.answered + b.answered,
    virtualMs: a.virtualMs + b.virtualMs,
    undecided: a.undecided + b.undecided,
    counters,
    failures: [...a.failures, ...b.failures],
  };
}

/** Makes the runs of `task`, one after the other. */
export function runTask(task: Task): Summary {
  const plant = findPlantedFault(task.plantedFault);
  const counters = new Map<string, number>();
  const failures: Failure[] = [];
  let [events, operations, answered, virtualMs, undecided] = [0, 0, 0, 0, 0];
  for (let seed = task.from; seed < task.from + task.count; seed++) {
    const scenario = scenarioOf(seed, task);
    const result = simulate(scenario, { plantedFault: plant?.() });
    events += result.events;
    operations += result.calls.length;
    answered += result.calls.filter(({ ending }) => ending === "done").length;
    virtualMs += result.virtualMs;
    undecided += result.undecided;
    for (const [name, count] of result.counters) {
      counters.set(name, (counters.get(name) ?? 0) + count);
    }
    if (result.violations.length > 0) failures.push({ seed, violations: result.violations });
  }
  const { count: seeds } = task;
  return { seeds, events, operations, answered, virtualMs, undecided, counters, failures };
}

/**
 * Returns the maker of the planted fault that is called `name`.
 *
 * @throws {RangeError} if there is none.
 */
export function findPlantedFault(
  name: string | undefined,
): typeof PLANTED_FAULTS[number] | undefined {
  if (name === undefined) return undefined;
  const plant = ALL_PLANTED_FAULTS.find((make) => make().name === name);
  if (plant !== undefined) return plant;
  const names = ALL_PLANTED_FAULTS.map((make) => `"${make().name}"`).join(", ");
  throw new RangeError(`there is no planted fault "${name}", but ${names}`);
}
