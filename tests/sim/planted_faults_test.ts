/**
 * The fixed set of seeds must find every planted fault, and a failure must become small. The faults that
 * take more than a hundred seeds are searched for each night alone.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { IS_NIGHTLY } from "../harness/nightly.ts";
import { PLANTED_CHANGE_FAULTS } from "./planted_change_faults.ts";
import { PLANTED_FAULTS } from "./planted_faults.ts";
import { FIXED_SET, FIXED_SET_WITH_CHANGES, scenarioOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";

/** They take more than a hundred seeds, most of the time of all: see docs/simulation.md. */
const RARELY_FOUND: ReadonlySet<string> = new Set([
  "a duplicate vote counted twice",
  "a late prepare of an aborted transaction locks again",
  "SCAN loses a key that moves",
  "the abort of one node is told as final",
  "the lease looks at the monotonic clock alone",
  "a view missed says aborted of all that is not known",
  "journal of another node accepted",
  "grants while frozen",
  "EXEC forgets its token",
]);

for (const plant of PLANTED_FAULTS) {
  const { name } = plant();
  Deno.test({
    name: `the fixed set finds the planted fault "${name}"`,
    ignore: RARELY_FOUND.has(name) && !IS_NIGHTLY,
    fn: () => {
      for (let seed = 0; seed < FIXED_SET; seed++) {
        if (simulate(scenarioOf(seed), { plantedFault: plant() }).violations.length > 0) return;
      }
      throw new Error(`no seed up to ${FIXED_SET} shows it`);
    },
  });
}

for (const plant of PLANTED_CHANGE_FAULTS) {
  Deno.test(`the fixed set with changes finds the planted fault "${plant().name}"`, () => {
    for (let seed = 0; seed < FIXED_SET_WITH_CHANGES; seed++) {
      const scenario = scenarioOf(seed, { changes: true });
      if (simulate(scenario, { plantedFault: plant() }).violations.length > 0) return;
    }
    throw new Error(`no seed up to ${FIXED_SET_WITH_CHANGES} shows it`);
  });
}

Deno.test("what only the nightly tests search for are planted faults", () => {
  const names = new Set(PLANTED_FAULTS.map((plant) => plant().name));
  assertEquals([...RARELY_FOUND].filter((name) => !names.has(name)), []);
});

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
