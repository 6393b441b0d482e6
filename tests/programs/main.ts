/**
 * `deno task clients`: programs that people run with Redis, unchanged, against five nodes of dks.
 *
 * Node's programs come from npm into a temporary folder, in the versions of `packages/`; the
 * others are Debian's, installed with `apt-get` if this runs as root. A program is a script beside this
 * file; it gets the ports of the nodes, and ends with 0 if its user has seen what Redis shows. A program
 * that needs what is not there is left out.
 *
 *     deno task clients [name …]
 *
 * Exit codes: 0 all passed, 1 some failed, 2 there is none of that name.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- a program for the command line

import { binary } from "../harness/binary.ts";
import { CALM, freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { client, execute, isInstalled } from "../harness/processes.ts";

interface Program {
  readonly file: string;
  /** What runs, for people. */
  readonly what: string;
  /** Of Debian, by package: a file of it. */
  readonly debian?: Readonly<Record<string, string>>;
}

const TOOLS = { "redis-tools": "/usr/bin/redis-cli" } as const;
const PYTHON = { "python3-minimal": "/usr/bin/python3" } as const;

const PROGRAMS: readonly Program[] = [
  { file: "connect_redis.cjs", what: "connect-redis with express-session" },
  { file: "koa_redis.cjs", what: "koa-redis with koa-generic-session" },
  { file: "keyv.cjs", what: "@keyv/redis" },
  { file: "cache_manager.cjs", what: "cache-manager with @keyv/redis" },
  { file: "catbox_redis.cjs", what: "@hapi/catbox-redis" },
  { file: "unstorage.cjs", what: "unstorage with its Redis driver" },
  { file: "socket_io.cjs", what: "socket.io with @socket.io/redis-adapter" },
  { file: "graphql_subscriptions.cjs", what: "graphql-redis-subscriptions" },
  { file: "redis_commander.cjs", what: "redis-commander: its tree of keys" },
  {
    file: "redis_py.py",
    what: "redis-py",
    debian: { "python3-redis": "/usr/lib/python3/dist-packages/redis", ...PYTHON },
  },
  {
    file: "hiredis.c",
    what: "hiredis",
    debian: {
      "libhiredis-dev": "/usr/include/hiredis/hiredis.h",
      "gcc": "/usr/bin/gcc",
      "libc6-dev": "/usr/include/stdio.h",
    },
  },
  {
    file: "redis_cli.sh",
    what: "redis-cli: --pipe, --scan, --bigkeys, --memkeys",
    debian: TOOLS,
  },
  {
    file: "redis_cli_hints.py",
    what: "redis-cli: the hints of its prompt",
    debian: { ...TOOLS, ...PYTHON },
  },
  { file: "redis_benchmark.sh", what: "redis-benchmark: the tests of strings", debian: TOOLS },
  {
    file: "redis_exporter.sh",
    what: "prometheus-redis-exporter",
    debian: {
      ...TOOLS,
      ...PYTHON,
      "prometheus-redis-exporter": "/usr/bin/prometheus-redis-exporter",
      "curl": "/usr/bin/curl",
    },
  },
];

/** A program that takes longer is ended. */
const PROGRAM_MS_MAX = 120_000;

/** How much is printed of what a program has said last, in characters. */
const SAID_MAX = 3000;

const SOURCE = new URL("./", import.meta.url).pathname;

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Returns the Debian packages of `program` that are not there. */
async function missingOf({ debian = {} }: Program): Promise<string[]> {
  const missing: string[] = [];
  for (const [name, file] of Object.entries(debian)) if (!await exists(file)) missing.push(name);
  return missing;
}

async function installFromDebian(programs: readonly Program[]): Promise<void> {
  const missing = new Set((await Promise.all(programs.map(missingOf))).flat());
  if (missing.size === 0 || Deno.uid() !== 0 || !isInstalled("apt-get")) return;
  for (const words of [["update"], ["install", "-y", "--no-install-recommends", ...missing]]) {
    const { code, stderr } = await execute("apt-get", ["-qq", ...words]);
    if (code !== 0) console.log(`apt-get ${words.join(" ")}: ${stderr.trim()}`);
  }
}

/** Puts the scripts and what npm installs for them into `folder`. Returns why there is nothing of npm. */
async function fill(folder: string, needsNpm: boolean): Promise<string | undefined> {
  for (const from of [SOURCE, `${SOURCE}packages/`]) {
    for await (const { name, isFile } of Deno.readDir(from)) {
      if (isFile) await Deno.copyFile(`${from}${name}`, `${folder}/${name}`);
    }
  }
  if (!needsNpm) return undefined;
  if (!isInstalled("npm") || !isInstalled("node")) return "needs node and npm";
  // No scripts: none of the packages needs its own.
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { code, stderr } = await execute("npm", args, { cwd: folder });
  return code === 0 ? undefined : `npm ci failed: ${stderr.trim()}`;
}

/** Returns what starts the script: `file` and its arguments. */
async function commandOf({ file }: Program, folder: string): Promise<string[]> {
  if (file.endsWith(".cjs")) return ["node", file];
  // Debian's, which has Debian's modules.
  if (file.endsWith(".py")) return ["/usr/bin/python3", file];
  if (file.endsWith(".sh")) return ["bash", file];
  const made = `${folder}/${file.slice(0, -2)}`;
  const args = ["-Wall", "-Werror", "-o", made, `${folder}/${file}`, "-lhiredis"];
  const { code, stderr } = await execute("gcc", args);
  if (code !== 0) throw new Error(stderr);
  return [made];
}

/** Runs a program to its end. Returns what was wrong. */
async function runProgram(
  program: Program,
  { folder, ports }: { folder: string; ports: readonly number[] },
): Promise<string | undefined> {
  const [file = "", ...args] = await commandOf(program, folder);
  const { code, signal, stdout, stderr } = await new Deno.Command(file, {
    args: [...args, ...ports.map(String)],
    cwd: folder,
    env: { PROGRAM_FOLDER: folder },
    stdin: "null",
    signal: AbortSignal.timeout(PROGRAM_MS_MAX),
  }).output();
  if (code === 0) return undefined;
  const decoder = new TextDecoder();
  const said = `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim().slice(-SAID_MAX);
  return `${signal === null ? `exit code ${code}` : `ended by ${signal}`}\n${said}`;
}

const wanted = PROGRAMS.filter(({ file }) =>
  Deno.args.length === 0 || Deno.args.includes(file.replace(/\.\w+$/, ""))
);
if (wanted.length < (Deno.args.length || 1)) {
  const names = PROGRAMS.map(({ file }) => file.replace(/\.\w+$/, ""));
  console.error(`usage: deno task clients [name ...]\n\nnames: ${names.join(", ")}`);
  Deno.exit(2);
}

const sums = { passed: 0, failed: 0, "left out": 0 };
function tell(program: Program, sum: keyof typeof sums, more = ""): void {
  sums[sum]++;
  console.log(`${sum.padEnd(9)} ${program.what}${more === "" ? "" : `: ${more}`}`);
}

await installFromDebian(wanted);
const folder = await Deno.makeTempDir({ prefix: "dks-clients-" });
try {
  const noNpm = await fill(folder, wanted.some(({ file }) => file.endsWith(".cjs")));
  const ports = freePorts(5);
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    args: CALM,
  });
  try {
    for (const program of wanted) {
      const missing = await missingOf(program);
      if (missing.length > 0) tell(program, "left out", `needs Debian's ${missing.join(", ")}`);
      else if (noNpm !== undefined && program.file.endsWith(".cjs")) {
        tell(program, noNpm.startsWith("needs") ? "left out" : "failed", noNpm);
      } else {
        const wrong = await runProgram(program, { folder, ports }).catch(String);
        tell(program, wrong === undefined ? "passed" : "failed", wrong);
        await client(ports[0] ?? 0, ["raw", "FLUSHALL"]);
      }
    }
  } finally {
    await cluster.stop();
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(Object.entries(sums).map(([sum, count]) => `${count} ${sum}`).join(", "));
Deno.exit(sums.failed > 0 ? 1 : 0);
