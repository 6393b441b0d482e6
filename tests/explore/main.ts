/**
 * `deno task explore`: many runs of the explorer, on several threads, or an exhaustive search.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- a program for the command line

import { parseInteger, readCommandLine } from "../../src/command_line.ts";
import { UsageError } from "../../src/errors.ts";
import { findPlantedFault } from "../sim/summary.ts";
import { coordinatorOf, formatMessage } from "../two_phase/notation.ts";
import { exhaust } from "./exhaustive.ts";
import { ALL_PROFILES, explore, type Profile, replay, type Run } from "./explorer.ts";
import { shrink } from "./shrink.ts";
import { EMPTY, merge, type Summary, type Task } from "./summary.ts";
import { runOnThreads } from "../sim/threads.ts";

const HELP = `deno task explore: chooses what happens in a cluster, step by step

  --runs N         how many runs (1000)
  --seed S         the seed of the first (0)
  --jobs J         threads (2)
  --profile NAME   ${ALL_PROFILES.join(", ")}; by turns, if not given
  --plant NAME     breaks a rule on purpose, see docs/simulation.md
  --shrink         makes the first failing run shorter, and prints its steps
  --save FILE      writes the first failing run to this file, the shorter one with --shrink
  --replay FILE    repeats the run in this file, and prints its steps
  --exhaustive     all that can happen in the smallest world, instead of runs
  --crashes C      how many crashes it may have there, at most (1)
  --ticks T        how often n0 looks at the time there, at most (3)
  --states N       the search ends after so many states (10000000)
  -h, --help       prints this

Exit codes: 0 nothing was found, 1 something was, or the search was not exhausted, 2 wrong usage.
`;

/** Runs that a thread is given at once. */
const CHUNK = 100;

/** Failures that are printed. */
const PRINTED_MAX = 5;

/** Longest text of a violation that is printed, in characters. */
const TEXT_MAX = 2000;

interface Options extends Task {
  readonly jobs: number;
  readonly shrinks: boolean;
  readonly file: string | undefined;
}

/** Makes all runs, on `jobs` threads. */
async function runAll(options: Options): Promise<Summary> {
  const { profiles, plantedFault, jobs } = options;
  let summary = EMPTY;
  await runOnThreads<Summary>(options, {
    script: new URL("./worker.ts", import.meta.url),
    jobs,
    chunk: CHUNK,
    taskOf: (seeds): Task => ({ ...seeds, profiles, plantedFault }),
    onPart: (part) => summary = merge(summary, part),
  });
  return summary;
}

async function exploreAll(options: Options): Promise<number> {
  const beganAt = performance.now();
  const { runs, steps, views, failures } = await runAll(options);
  const seconds = (performance.now() - beganAt) / 1000;
  console.log(
    `${runs} runs in ${seconds.toFixed(1)} s (${(runs / seconds).toFixed(0)}/s on ` +
      `${options.jobs} threads), ${steps} steps, ${views} times a node went over to a view`,
  );
  const inOrder = failures.toSorted((a, b) => a.seed - b.seed);
  for (const { seed, profile, violations } of inOrder.slice(0, PRINTED_MAX)) {
    console.log(`\nseed ${seed}, ${profile}:`);
    for (const { checker, text } of violations.slice(0, 3)) {
      console.log(`  ${checker}: ${text.slice(0, TEXT_MAX)}`);
    }
  }
  const [first] = inOrder;
  if (first !== undefined) showFirst(first, options);
  console.log(failures.length === 0 ? "all runs pass" : `${failures.length} runs fail`);
  return failures.length === 0 ? 0 : 1;
}

function showFirst(
  { seed, profile }: { readonly seed: number; readonly profile: Profile },
  { shrinks, file, plantedFault }: Options,
): void {
  const plant = findPlantedFault(plantedFault);
  let { run } = explore(seed, profile, plant);
  if (shrinks) {
    const before = run.steps.length;
    const shorter = shrink(run, plant);
    run = shorter.run;
    console.log(`\n${before} steps became ${run.steps.length} in ${shorter.runs} runs:`);
    show(run, plantedFault);
  }
  if (file === undefined) return;
  Deno.writeTextFileSync(file, `${JSON.stringify(run)}\n`);
  console.log(`repeat it: deno task explore --replay ${file}`);
}

/** Prints the steps of a run, and what comes of them. Returns the exit code. */
function show(run: Run, plantedFault: string | undefined): number {
  console.log(JSON.stringify(run.world));
  const violations = replay(run, findPlantedFault(plantedFault), (step, world) => {
    const [what, ...rest] = step;
    const message = step[0] === "deliver" ? world.next(step[1], step[2]) : undefined;
    const text = message === undefined || message.type === "greeting"
      ? ""
      : `  ${formatMessage(message, coordinatorOf(message, Number(rest[0]), Number(rest[1])))}`;
    console.log(`${String(world.now).padStart(8)}  ${what} ${rest.join(" ")}${text}`);
  });
  for (const { checker, text } of violations) console.log(`${checker}: ${text}`);
  return violations.length === 0 ? 0 : 1;
}

function searchAll(
  options: { crashes: number; ticks: number; states: number; plantedFault: string | undefined },
): number {
  const beganAt = performance.now();
  const { crashes, ticks, states, plantedFault } = options;
  const plant = findPlantedFault(plantedFault);
  const found = exhaust({ crashes, ticks, statesMax: states, plant });
  const seconds = (performance.now() - beganAt) / 1000;
  console.log(
    `${found.states} states, ${found.steps} steps in ${seconds.toFixed(1)} s, up to ` +
      `${found.depth} steps deep, ${found.ends} ends, with up to ${crashes} crashes and ${ticks} ticks`,
  );
  for (const { checker, text } of found.violations) console.log(`${checker}: ${text}`);
  if (found.violations.length > 0) console.log(found.path.map((step) => step.join(" ")).join("\n"));
  else console.log(found.isExhausted ? "exhausted: nothing was found" : "NOT exhausted");
  return found.violations.length === 0 && found.isExhausted ? 0 : 1;
}

/** Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, {
    values: [
      "runs",
      "seed",
      "jobs",
      "profile",
      "plant",
      "save",
      "replay",
      "crashes",
      "ticks",
      "states",
    ],
    switches: ["shrink", "exhaustive", "help"],
    alias: { h: "help" },
  });
  if (line.has("help")) {
    console.log(HELP);
    return 0;
  }
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`explore takes no argument "${extra}"`);
  const integer = (name: string, preset: number, max: number, min = 1) =>
    parseInteger(line.value(name) ?? String(preset), { name: `--${name}`, min, max });
  const plantedFault = line.value("plant");
  const file = line.value("replay");
  if (file !== undefined) return show(JSON.parse(await Deno.readTextFile(file)), plantedFault);
  if (line.has("exhaustive")) {
    const crashes = integer("crashes", 1, 5, 0);
    const ticks = integer("ticks", 3, 9);
    return searchAll({ crashes, ticks, states: integer("states", 1e7, 1e9), plantedFault });
  }
  const name = line.value("profile");
  const profile = ALL_PROFILES.find((known) => known === name);
  if (name !== undefined && profile === undefined) {
    throw new UsageError(`--profile takes ${ALL_PROFILES.join(", ")}, not "${name}"`);
  }
  return await exploreAll({
    from: integer("seed", 0, 2 ** 52, 0),
    count: integer("runs", 1000, 1e9),
    jobs: integer("jobs", 2, 256),
    profiles: profile === undefined ? ALL_PROFILES : [profile],
    plantedFault,
    shrinks: line.has("shrink"),
    file: line.value("save"),
  });
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof RangeError)) throw error;
    console.error(`explore: ${error.message}`);
    Deno.exit(2);
  }
}
