/**
 * The fixed set of seeds that every commit must pass. That it finds every planted fault is tested in
 * `planted_faults_test.ts`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { newCounters } from "../../src/two_phase/counters.ts";
import { FIXED_SET, scenarioOf } from "./scenario.ts";
import { HAPPENINGS } from "./sim_node.ts";
import { simulate } from "./simulation.ts";
import { runTask } from "./summary.ts";

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

Deno.test("simulate() does the same twice for one seed", () => {
  const run = () => simulate(scenarioOf(42), { trace: true }).trace;
  assertEquals(run(), run());
});
