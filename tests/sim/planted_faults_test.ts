/**
 * The fixed set of seeds must find every planted fault, and a failure must become small.
 *
 * @module
 */

import { assert } from "@std/assert";
import { PLANTED_FAULTS } from "./planted_faults.ts";
import { FIXED_SET, scenarioOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";

for (const plant of PLANTED_FAULTS) {
  Deno.test(`the fixed set finds the planted fault "${plant().name}"`, () => {
    for (let seed = 0; seed < FIXED_SET; seed++) {
      if (simulate(scenarioOf(seed), { plantedFault: plant() }).violations.length > 0) return;
    }
    throw new Error(`no seed up to ${FIXED_SET} shows it`);
  });
}

Deno.test("shrink() keeps a failure, and little else", () => {
  const plant = PLANTED_FAULTS.find((make) =>
    make().name === "a view is installed without its outcomes"
  );
  assert(plant !== undefined);
  let seed = 0;
  while (simulate(scenarioOf(seed), { plantedFault: plant() }).violations.length === 0) seed++;
  const original = scenarioOf(seed);
  const { scenario } = shrink(original, plant);
  assert(simulate(scenario, { plantedFault: plant() }).violations.length > 0);
  assert(scenario.faults.length <= 3, `${scenario.faults.length} faults are left`);
  assert(scenario.operations < original.operations);
});
