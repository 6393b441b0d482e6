/**
 * Makes a failing run shorter, as far as it still fails (Zeller & Hildebrandt 2002, "Simplifying and
 * isolating failure-inducing input").
 *
 * @module
 */

import type { PlantedFault } from "../sim/planted_faults.ts";
import { replay, type Run } from "./explorer.ts";

/** Returns a run with as few steps as can be found that fails by the same checker, and after how many. */
export function shrink(
  run: Run,
  plant?: (() => PlantedFault) | undefined,
): { readonly run: Run; readonly runs: number } {
  let runs = 0;
  const checkerOf = (steps: Run["steps"]) => {
    runs++;
    return replay({ ...run, steps }, plant)[0]?.checker;
  };
  const wanted = checkerOf(run.steps);
  if (wanted === undefined) return { run, runs };
  let { steps } = run;
  for (let size = Math.ceil(steps.length / 2); size > 0;) {
    let hasChanged = false;
    for (let at = steps.length; at > 0; at -= size) {
      const candidate = [...steps.slice(0, Math.max(0, at - size)), ...steps.slice(at)];
      if (checkerOf(candidate) !== wanted) continue;
      steps = candidate;
      hasChanged = true;
    }
    if (size === 1 && !hasChanged) break;
    if (!hasChanged || size > steps.length) size = Math.min(Math.floor(size / 2), steps.length);
  }
  return { run: { ...run, steps }, runs };
}
