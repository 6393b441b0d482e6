/**
 * `deno task sim`: many runs of the simulator, on several threads.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- a program for the command line

import { ProgressBar } from "../../src/client/progress_bar.ts";
import { parseInteger, readCommandLine } from "../../src/command_line.ts";
import { UsageError } from "../../src/errors.ts";
import { formatCall } from "./history.ts";
import { PLANTED_CHANGE_FAULTS } from "./planted_change_faults.ts";
import { PLANTED_FAULTS } from "./planted_faults.ts";
import { type Fault, scenarioOf, WORKLOADS } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";
import {
  EMPTY,
  type Failure,
  findPlantedFault,
  merge,
  type Summary,
  type Task,
} from "./summary.ts";
import { runOnThreads } from "./threads.ts";

const HELP = `deno task sim: runs whole clusters in one process, a seed each

  --seeds N        how many seeds (1000)
  --from M         the first seed (0)
  --jobs J         threads (2)
  --workload NAME  ${WORKLOADS.join(", ")}; by the seed, if not given
  --changes        the list of nodes changes, too
  --plant NAME     breaks a rule on purpose, see docs/simulation.md
  --plant-all      says for each such rule how many of the seeds it takes to see it broken; with --changes
                   for each rule of changes
  --trace          prints what happened, of the first seed alone
  --shrink         makes the first failing scenario smaller, and prints what happens in it
  --counters       prints how often every path was walked
  -h, --help       prints this

Exit codes: 0 all seeds pass, 1 some fail, 2 wrong usage.
`;

/** Seeds that a thread is given at once. */
const CHUNK = 50;

/** Failures that are printed. */
const PRINTED_MAX = 5;

/** Longest text of a violation that is printed, in characters. */
const TEXT_MAX = 4000;

interface Options extends Task {
  readonly jobs: number;
  readonly shrinks: boolean;
  readonly traces: boolean;
  readonly showsCounters: boolean;
  readonly plantsAll: boolean;
}

function parseOptions(args: readonly string[]): Options | "help" {
  const line = readCommandLine(args, {
    values: ["seeds", "from", "jobs", "workload", "plant"],
    switches: ["trace", "shrink", "counters", "plant-all", "changes", "help"],
    alias: { h: "help" },
  });
  if (line.has("help")) return "help";
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`sim takes no argument "${extra}"`);
  const name = line.value("workload");
  const workload = WORKLOADS.find((known) => known === name);
  if (name !== undefined && workload === undefined) {
    throw new UsageError(`--workload takes ${WORKLOADS.join(", ")}, not "${name}"`);
  }
  const traces = line.has("trace");
  return {
    count: traces ? 1 : parseInteger(line.value("seeds") ?? "1000", {
      name: "--seeds",
      min: 1,
      max: 1e9,
    }),
    from: parseInteger(line.value("from") ?? "0", { name: "--from", min: 0, max: 2 ** 52 }),
    jobs: parseInteger(line.value("jobs") ?? "2", { name: "--jobs", min: 1, max: 256 }),
    workload,
    changes: line.has("changes"),
    plantedFault: line.value("plant"),
    shrinks: line.has("shrink"),
    traces,
    showsCounters: line.has("counters"),
    plantsAll: line.has("plant-all"),
  };
}

/** Makes all runs, on `jobs` threads. */
async function runAll(options: Options): Promise<Summary> {
  const { workload, changes, plantedFault, jobs } = options;
  const bar = new ProgressBar("seeds", options.count);
  let summary = EMPTY;
  await runOnThreads<Summary>(options, {
    script: new URL("./worker.ts", import.meta.url),
    jobs,
    chunk: CHUNK,
    taskOf: (seeds): Task => ({ ...seeds, workload, changes, plantedFault }),
    onPart: (part) => {
      summary = merge(summary, part);
      bar.update(summary.seeds);
    },
  });
  bar.finish();
  return summary;
}

function printSummary(summary: Summary, options: Options, seconds: number): void {
  const { seeds, operations, answered, events, virtualMs, undecided, failures } = summary;
  const rate = (seeds / seconds).toFixed(0);
  console.log(
    `${seeds} seeds in ${seconds.toFixed(1)} s (${rate}/s on ${options.jobs} threads), ` +
      `${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time`,
  );
  console.log(`${operations} operations, ${answered} of them answered; ${events} events`);
  console.log(`${undecided} histories were too hard for the linearizability checker`);
  if (options.showsCounters) {
    for (const [name, count] of [...summary.counters].sort()) {
      console.log(`${String(count).padStart(12)}  ${name}`);
    }
  }
  console.log(failures.length === 0 ? "all seeds pass" : `${failures.length} seeds fail`);
}

function printFailure({ seed, violations }: Failure, options: Options): void {
  console.log(`\nseed ${seed}:`);
  for (const { checker, text } of violations.slice(0, 3)) {
    console.log(`  ${checker}: ${text.slice(0, TEXT_MAX)}`);
  }
  const extra = (options.workload === undefined ? "" : ` --workload ${options.workload}`) +
    (options.changes === true ? " --changes" : "");
  const plant = options.plantedFault === undefined ? "" : ` --plant "${options.plantedFault}"`;
  console.log(`  replay it: deno task sim --trace --from ${seed}${extra}${plant}`);
}

function printShrunk(seed: number, options: Options): void {
  const plant = findPlantedFault(options.plantedFault);
  const { scenario, runs } = shrink(scenarioOf(seed, options), plant);
  const result = simulate(scenario, { plantedFault: plant?.(), trace: true });
  console.log(`\nseed ${seed}, made smaller in ${runs} runs:`);
  console.log(
    `  ${scenario.nodes} nodes, ${scenario.clients} clients, ${scenario.operations} operations`,
  );
  for (const fault of scenario.faults) console.log(`  ${formatFault(fault)}`);
  console.log(result.trace.join("\n"));
  for (const { checker, text } of result.violations) console.log(`${checker}: ${text}`);
}

function formatFault(fault: Fault): string {
  const { kind, at, ms, ...rest } = fault;
  return `at ${at.toFixed(3)} ms for ${ms.toFixed(0)} ms: ${kind} ${JSON.stringify(rest)}`;
}

/** Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  if (options.traces) return printTrace(options);
  if (options.plantsAll) return printPlanted(options);
  const beganAt = performance.now();
  const summary = await runAll(options);
  printSummary(summary, options, (performance.now() - beganAt) / 1000);
  const failures = summary.failures.toSorted((a, b) => a.seed - b.seed);
  for (const failure of failures.slice(0, PRINTED_MAX)) printFailure(failure, options);
  const [first] = failures;
  if (first !== undefined && options.shrinks) printShrunk(first.seed, options);
  return failures.length === 0 ? 0 : 1;
}

/** Prints the table of `docs/simulation.md`. */
function printPlanted({ from, count, workload, changes }: Options): number {
  let missed = 0;
  for (const plant of changes === true ? PLANTED_CHANGE_FAULTS : PLANTED_FAULTS) {
    const { name } = plant();
    let seed = from;
    let seenBy: string[] = [];
    for (; seed < from + count && seenBy.length === 0; seed++) {
      const { violations } = simulate(scenarioOf(seed, { workload, changes }), {
        plantedFault: plant(),
      });
      seenBy = [...new Set(violations.map(({ checker }) => checker))];
    }
    if (seenBy.length === 0) missed++;
    const seeds = seenBy.length === 0 ? `more than ${count}` : String(seed - from);
    console.log(`| ${name} | ${seeds} | ${seenBy.join(", ")} |`);
  }
  return missed === 0 ? 0 : 1;
}

function printTrace(options: Options): number {
  const plant = findPlantedFault(options.plantedFault);
  const scenario = scenarioOf(options.from, options);
  const result = simulate(scenario, { plantedFault: plant?.(), trace: true });
  for (const fault of scenario.faults) console.log(formatFault(fault));
  console.log(result.trace.join("\n"));
  console.log(`\n${result.calls.map(formatCall).join("\n")}\n`);
  for (const { checker, text } of result.violations) console.log(`${checker}: ${text}`);
  return result.violations.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof RangeError)) throw error;
    console.error(`sim: ${error.message}`);
    Deno.exit(2);
  }
}
