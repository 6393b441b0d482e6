/**
 * Makes a failing scenario smaller, as far as it still fails.
 *
 * @module
 */

import type { PlantedFault } from "./planted_faults.ts";
import type { Scenario } from "./scenario.ts";
import { simulate } from "./simulation.ts";

/** Returns a smaller scenario that fails too, and after how many runs it was found. */
export function shrink(
  scenario: Scenario,
  plant: (() => PlantedFault) | undefined,
): { readonly scenario: Scenario; readonly runs: number } {
  let smallest = scenario;
  let runs = 0;
  const fails = (candidate: Scenario) => {
    runs++;
    return simulate(candidate, { plantedFault: plant?.() }).violations.length > 0;
  };
  for (let hasChanged = true; hasChanged;) {
    hasChanged = false;
    for (const candidate of smaller(smallest)) {
      if (!fails(candidate)) continue;
      smallest = candidate;
      hasChanged = true;
      break;
    }
  }
  return { scenario: smallest, runs };
}

/** Scenarios with a little less in them, the greatest steps first. */
function* smaller(scenario: Scenario): Generator<Scenario> {
  const { faults, operations, clients, healAt } = scenario;
  if (faults.length > 1) {
    const half = Math.ceil(faults.length / 2);
    yield { ...scenario, faults: faults.slice(0, half) };
    yield { ...scenario, faults: faults.slice(half) };
  }
  for (let i = 0; i < faults.length; i++) {
    yield { ...scenario, faults: faults.filter((_, at) => at !== i) };
  }
  const planned = scenario.changes?.planned ?? [];
  for (let i = 0; scenario.changes !== undefined && i < planned.length; i++) {
    const left = planned.filter((_, at) => at !== i);
    yield { ...scenario, changes: { ...scenario.changes, planned: left } };
  }
  if (operations > 1) {
    yield { ...scenario, operations: Math.floor(operations / 2) };
    yield { ...scenario, operations: operations - 1 };
  }
  if (clients > 1) yield { ...scenario, clients: clients - 1 };
  const lastAt = Math.max(0, ...[...faults, ...planned].map(({ at }) => at));
  if (healAt > lastAt + 200) yield { ...scenario, healAt: (healAt + lastAt + 100) / 2 };
  if (scenario.clockOffset.some((offset) => offset !== 0)) {
    yield { ...scenario, clockOffset: scenario.clockOffset.map(() => 0) };
  }
}
