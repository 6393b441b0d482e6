/**
 * The fixed set of seeds that every commit must pass. That it finds every planted fault is tested in
 * `planted_faults_test.ts`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { newCounters } from "../../src/two_phase/counters.ts";
import { CHANGE_PATHS } from "./change_log.ts";
import { FIXED_SET, FIXED_SET_WITH_CHANGES, scenarioOf } from "./scenario.ts";
import { CHANGE_HAPPENINGS, HAPPENINGS } from "./sim_node.ts";
import { simulate } from "./simulation.ts";
import { runTask } from "./summary.ts";

/** Paths that take more seeds than the fixed set has; the nightly run counts them. */
const TOO_RARE: ReadonlySet<string> = new Set([
  "preparesAfterAbort",
  "ownAbortsOverruled",
  "outcomesMissed",
  "joinersForced",
  "finalsAhead",
  "a node takes the list of the cluster",
  "a WATCH before a repetition is not answered",
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

Deno.test("the fixed set of seeds with changes of the list passes, and walks every path of changes", () => {
  const summary = runTask({
    from: 0,
    count: FIXED_SET_WITH_CHANGES,
    workload: undefined,
    changes: true,
    plantedFault: undefined,
  });
  assertEquals(summary.failures, []);
  const paths: string[] = [...CHANGE_PATHS, ...CHANGE_HAPPENINGS];
  const missed = paths.filter((path) =>
    !TOO_RARE.has(path) && (summary.counters.get(path) ?? 0) === 0
  );
  assertEquals(missed, [], "paths that no seed of the fixed set walks");
  const { undecided } = summary;
  assert(undecided <= FIXED_SET_WITH_CHANGES / 50, `${undecided} histories were too hard`);
});

for (const changes of [false, true]) {
  const how = changes ? ", with changes of the list" : "";
  Deno.test(`simulate() does the same twice for one seed${how}`, () => {
    const run = () => simulate(scenarioOf(42, { changes }), { trace: true }).trace;
    assertEquals(run(), run());
  });
}
