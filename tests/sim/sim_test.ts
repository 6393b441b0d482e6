/**
 * The fixed set of seeds that every commit must pass, and that must find every planted fault.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { newCounters } from "../../src/two_phase/context.ts";
import { PLANTED_FAULTS } from "./planted_faults.ts";
import { scenarioOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { HAPPENINGS } from "./sim_node.ts";
import { simulate } from "./simulation.ts";
import { runTask } from "./summary.ts";

/** Seeds 0 up to this. */
const FIXED_SET = 1500;

/** Paths that take more seeds than the fixed set has; the nightly run counts them. */
const TOO_RARE: ReadonlySet<string> = new Set([
  "preparesAfterAbort",
  "ownAbortsOverruled",
  "outcomesMissed",
  "joinersForced",
  "finalsAhead",
]);

Deno.test("the fixed set of seeds passes, and walks every rare path", () => {
  const summary = runTask({
    from: 0,
    count: FIXED_SET,
    workload: undefined,
    plantedFault: undefined,
  });
  assertEquals(summary.failures, []);
  const paths: string[] = [...Object.keys(newCounters()), ...HAPPENINGS];
  const missed = paths.filter((path) =>
    !TOO_RARE.has(path) && (summary.counters.get(path) ?? 0) === 0
  );
  assertEquals(missed, [], "paths that no seed of the fixed set walks");
  // A checker that gives up proves nothing.
  assert(summary.undecided <= FIXED_SET / 100, `${summary.undecided} histories were too hard`);
});

for (const plant of PLANTED_FAULTS) {
  Deno.test(`the fixed set finds the planted fault "${plant().name}"`, () => {
    for (let seed = 0; seed < FIXED_SET; seed++) {
      if (simulate(scenarioOf(seed), { plantedFault: plant() }).violations.length > 0) return;
    }
    throw new Error(`no seed up to ${FIXED_SET} shows it`);
  });
}

Deno.test("simulate() does the same twice for one seed", () => {
  const run = () => simulate(scenarioOf(42), { trace: true }).trace;
  assertEquals(run(), run());
});

Deno.test("shrink() keeps a failure, and little else", () => {
  const plant = PLANTED_FAULTS.find((make) => make().name === "locks not rebuilt at recovery");
  assert(plant !== undefined);
  let seed = 0;
  while (simulate(scenarioOf(seed), { plantedFault: plant() }).violations.length === 0) seed++;
  const original = scenarioOf(seed);
  const { scenario } = shrink(original, plant);
  assert(simulate(scenario, { plantedFault: plant() }).violations.length > 0);
  assert(scenario.faults.length <= 2, `${scenario.faults.length} faults are left`);
  assert(scenario.operations < original.operations);
});
