/**
 * The explorer's fixed set: it passes, it finds every fault that is planted for it, its runs can be
 * repeated and made shorter, and the smallest world without crashes is exhausted.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  DIRECTED_PLANTED_FAULTS,
  EXPLORED_PLANTED_FAULTS,
} from "../sim/explored_planted_faults.ts";
import { CHANGE_PATHS } from "../sim/change_log.ts";
import { PLANTED_CHANGE_FAULTS } from "../sim/planted_change_faults.ts";
import { findPlantedFault } from "../sim/summary.ts";
import { lastPartAhead, numberGivenAgain } from "./directed.ts";
import { exhaust } from "./exhaustive.ts";
import { explore, PROFILES, replay } from "./explorer.ts";
import { shrink } from "./shrink.ts";
import { runTask } from "./summary.ts";

/** Every commit must pass the seeds 0 up to this, the profiles by turns. */
const FIXED_SET = 2000;

Deno.test("the fixed set of runs passes, and changes views", () => {
  const summary = runTask({
    from: 0,
    count: FIXED_SET,
    profiles: PROFILES,
    plantedFault: undefined,
  });
  assertEquals(summary.failures, []);
  assert(summary.views > FIXED_SET, `only ${summary.views} views`);
});

/** And these, in which the list of nodes changes. */
const FIXED_SET_WITH_CHANGES = 600;

Deno.test("the fixed set of runs with changes of the list passes, and changes it in every way", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < FIXED_SET_WITH_CHANGES; seed++) {
    const { violations, changes } = explore(seed, "changes");
    assertEquals(violations, [], `run ${seed}`);
    for (const [path, count] of changes) counts.set(path, (counts.get(path) ?? 0) + count);
  }
  // No id is used again before 31 are used, and nobody counts how long a node has slept.
  const missed = CHANGE_PATHS.filter((path) =>
    !counts.has(path) && path !== "id reused" && path !== "a node has slept through several changes"
  );
  assertEquals(missed, [], "paths that no run of the fixed set walks");
});

/** A run that has shown a planted fault which few show: it is tried first, and then all from 0 on. */
const SHOWN_BY: Readonly<Record<string, number>> = {
  "a proposal is accepted without the view before it": 795,
};

for (const plant of PLANTED_CHANGE_FAULTS) {
  const { name } = plant();
  Deno.test(`runs with changes of the list find the planted fault "${name}"`, () => {
    const isShown = (seed: number) => explore(seed, "changes", plant).violations.length > 0;
    const known = SHOWN_BY[name];
    if (known !== undefined && isShown(known)) return;
    let seed = 0;
    while (seed < FIXED_SET && !isShown(seed)) seed++;
    assert(seed < FIXED_SET, "no run shows it");
  });
}

const WHITE_BOX_FAULTS = [
  "viewPrepare before the promise is durable",
  "a proposer without a promise of its own",
  "onPeerUp sends viewPrepare early",
  "grants while frozen",
  "a view installed before it is durable",
];

for (const name of WHITE_BOX_FAULTS) {
  Deno.test(`the fixed set finds "${name}" by the white-box checks`, () => {
    const { failures } = findFirst(name);
    assertEquals(failures[0]?.violations[0]?.checker, "white box");
  });
}

for (const plant of EXPLORED_PLANTED_FAULTS) {
  Deno.test(`the fixed set finds the planted fault "${plant().name}"`, () => {
    assert(findFirst(plant().name).failures.length > 0, "no run shows it");
  });
}

/** The runs up to the first that shows it. */
function findFirst(plantedFault: string): ReturnType<typeof runTask> {
  for (let from = 0; from < FIXED_SET; from++) {
    const summary = runTask({ from, count: 1, profiles: PROFILES, plantedFault });
    if (summary.failures.length > 0) return summary;
  }
  return { runs: 0, steps: 0, views: 0, failures: [] };
}

Deno.test("replay() does what explore() did", () => {
  const plant = findPlantedFault("grants while frozen");
  for (let seed = 0; seed < 300; seed++) {
    const { run, violations } = explore(seed, "transactions", plant);
    assertEquals(replay(JSON.parse(JSON.stringify(run)), plant), violations);
    if (violations.length > 0) return;
  }
  throw new Error("no run shows the fault");
});

Deno.test("shrink() keeps a failure, and few steps", () => {
  const plant = findPlantedFault("grants while frozen");
  let seed = 0;
  while (explore(seed, "transactions", plant).violations.length === 0) seed++;
  const { run, violations } = explore(seed, "transactions", plant);
  const shorter = shrink(run, plant).run;
  assertEquals(replay(shorter, plant)[0]?.checker, violations[0]?.checker);
  assert(shorter.steps.length * 4 < run.steps.length, `${shorter.steps.length} steps are left`);
});

Deno.test("the smallest world without crashes is exhausted, and nothing is found", () => {
  const { isExhausted, violations, states } = exhaust({ crashes: 0, ticks: 3, statesMax: 1e6 });
  assertEquals(violations, []);
  assert(isExhausted && states > 1000, `${states} states`);
});

Deno.test("the search of the smallest world finds a promise that is not durable", () => {
  const plant = findPlantedFault("viewPrepare before the promise is durable");
  const { violations, path } = exhaust({ crashes: 2, ticks: 3, statesMax: 1e6, plant });
  assertEquals(violations[0]?.checker, "white box");
  assertEquals(path.at(-1), ["tick", 0]);
});

const DIRECTED = { lastPartAhead, numberGivenAgain };

for (const name of ["lastPartAhead", "numberGivenAgain"] as const) {
  for (const plant of [undefined, DIRECTED_PLANTED_FAULTS[name]]) {
    const about = plant === undefined ? "passes" : `finds "${plant().name}"`;
    Deno.test(`the directed run ${name}() ${about}`, () => {
      for (let seed = 0; seed < 5; seed++) {
        const violations = DIRECTED[name](seed, plant);
        assertEquals(violations.length > 0, plant !== undefined, JSON.stringify(violations));
      }
    });
  }
}
