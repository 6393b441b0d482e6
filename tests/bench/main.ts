// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task bench`: measures dks, beside other stores that are installed here, and alone.
 *
 *     deno task bench [--quick] [--only PART,...] [--missing] [--rounds N]
 *     deno task bench --report
 *
 * It takes some 15 minutes; `--quick` one or two, for a look at whether it works: its figures mean little.
 * `--rounds` says how often stores take turns in the comparison (3; quick: 1).
 * `--only` measures some parts, `--missing` those that have no results of this commit yet. Each part leaves
 * its results in `bench/results/`, so that a run can be continued. At the end, or with `--report` alone,
 * the tables of `docs/performance.md` and the pictures in `docs/pictures/` are made from all results.
 *
 * Needed: gcc, for the load generator (`load.c`). Measured too, if they are there: Debian's packages
 * redis-server, etcd-server and zookeeper. Run it where nothing else runs. It reports, and asserts nothing.
 *
 * @module
 */

import { ProgressBar } from "../../src/client/progress_bar.ts";
import { execute } from "../harness/processes.ts";
import { busyPercent } from "./systems.ts";
import { compileLoad } from "./load.ts";
import { type Bench, type Part, PARTS, Sheet } from "./parts.ts";
import { formatGoals, writeReport } from "./report.ts";
import { type Machine, readResult, writeResult } from "./results.ts";
import { taskArguments } from "../harness/task_arguments.ts";

const args = taskArguments(
  "deno task bench [--quick] [--only PART,...] [--missing] [--rounds N] [--report]",
  {
    string: ["only", "rounds"],
    boolean: ["quick", "missing", "report"],
  },
);
const isQuick = args["quick"] === true;
const only = typeof args["only"] === "string" ? args["only"].split(",") : undefined;
const unknown = only?.find((name) => !PARTS.some((part) => part.name === name));
if (unknown !== undefined) {
  console.error(`there is no part "${unknown}", but: ${PARTS.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}

const rounds = Number(args["rounds"] ?? (isQuick ? 1 : 3));
if (!(Number.isInteger(rounds) && rounds >= 1)) {
  console.error(`--rounds takes an integer from 1, not "${args["rounds"]}"`);
  Deno.exit(2);
}

async function git(...words: string[]): Promise<string> {
  const { code, stdout } = await execute("git", words);
  return code === 0 ? stdout.trim() : "";
}

/** What was measured: the newest commit that touches what runs, and whether there are changes to it. */
async function programState(): Promise<{ commit: string; isChanged: boolean }> {
  const sources = ["--", "main.ts", "src", "deno.json", "tests/harness/flags.ts"];
  const commit = await git("log", "-1", "--format=%h", ...sources) || "unknown";
  return { commit, isChanged: await git("status", "--porcelain", ...sources) !== "" };
}

async function machine(): Promise<Machine> {
  const text = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const processor = /^model name\s*: (.*)$/m.exec(text)?.[1] ?? Deno.build.arch;
  return {
    ...{ processor, cores: navigator.hardwareConcurrency },
    ...{ kernel: Deno.osRelease(), deno: Deno.version.deno },
  };
}

/** Returns the parts that are to be measured. */
async function chosenParts(commit: string): Promise<Part[]> {
  const parts = PARTS.filter(({ name }) => only === undefined || only.includes(name));
  if (args["missing"] !== true) return parts;
  const results = await Promise.all(parts.map(({ name }) => readResult(name, isQuick)));
  return parts.filter((_, index) => {
    const result = results[index];
    return result?.commit !== commit || result.isChanged || result.failures.length > 0;
  });
}

async function measure(parts: readonly Part[], bench: Bench): Promise<string[]> {
  const failures: string[] = [];
  const bar = new ProgressBar("bench", parts.length);
  for (const [index, part] of parts.entries()) {
    bar.update(index);
    bench.onLine(`--- ${part.name}: ${part.about} (${index + 1} of ${parts.length})`);
    const state = await programState(); // Somebody may commit in the meantime.
    const othersPercent = Math.round(await busyPercent());
    const beganAt = performance.now();
    const sheet = new Sheet(bench);
    try {
      await part.run(sheet);
    } catch (error) {
      sheet.fail(error);
    }
    const { measures, figures } = sheet;
    failures.push(...sheet.failures.map((reason) => `${part.name}: ${reason}`));
    if (measures.length === 0 && Object.keys(figures).length === 0) continue;
    const seconds = Math.round((performance.now() - beganAt) / 1000);
    await writeResult({
      ...{ part: part.name, ...state, finishedAt: new Date().toISOString(), seconds, isQuick },
      ...{ machine: await machine(), othersPercent, measures, figures, failures: sheet.failures },
    });
  }
  bar.finish();
  return failures;
}

let failures: readonly string[] = [];
if (args["report"] !== true) {
  const folder = await Deno.makeTempDir({ prefix: "dks-bench-" });
  try {
    const load = await compileLoad(folder);
    const parts = await chosenParts((await programState()).commit);
    failures = await measure(parts, {
      folder,
      load,
      isQuick,
      rounds,
      onLine: (line) => console.log(line),
    });
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}
// What a quick run measures should stand in no document.
if (!isQuick) await writeReport();
console.log(await formatGoals(isQuick));
for (const failure of failures) console.error(`FAILED: ${failure}`);
Deno.exit(failures.length === 0 ? 0 : 1);
