/**
 * The load generator, `load.c`: compiled once, and run with its result as JSON.
 *
 * @module
 */

import { execute, isInstalled } from "../harness/processes.ts";

/** What one run has measured. */
export interface Load {
  /** Requests that were answered without an error, and how many that is in a second. */
  readonly count: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly errors: number;
  /** Replies that are null: keys that do not exist. */
  readonly nulls: number;
  /** Processor time of the generator, and of the store's processes. */
  readonly ownCpuSeconds: number;
  readonly storeCpuSeconds: number;
  /** Requests of the client with the fewest, and of the one with the most. */
  readonly leastOfClients: number;
  readonly mostOfClients: number;
  /** Requests by host, in their order. */
  readonly byHost: readonly number[];
  /** Latencies in milliseconds. */
  readonly percentiles: Readonly<Record<string, number>>;
  readonly firstError: string;
}

/** What is to be sent, to whom, by how many. */
export interface LoadOptions {
  readonly protocol: "resp" | "etcd" | "zk";
  readonly hosts: readonly string[];
  /** Of the Redis protocol: commands, `;` between them; of the others: the operation. */
  readonly words: readonly string[];
  readonly clients?: number;
  readonly pipeline?: number;
  readonly keys?: number;
  readonly bytes?: number;
  /** A WAIT for so many replicas behind the requests of one write. */
  readonly replicas?: number;
  /** Seconds that are measured, and those before them. */
  readonly seconds?: number;
  readonly warmUp?: number;
  /** So many requests instead, with keys in ascending order. */
  readonly requests?: number;
  readonly pids?: readonly number[];
}

/**
 * Compiles the generator into `folder`. Returns its path.
 *
 * @throws {Error} if there is no compiler, or it fails.
 */
export async function compileLoad(folder: string): Promise<string> {
  if (!isInstalled("gcc")) throw new Error("the load generator needs gcc, which is not installed");
  const path = `${folder}/load`;
  const source = new URL("load.c", import.meta.url).pathname;
  const { code, stderr } = await execute("gcc", ["-O2", "-o", path, source]);
  if (code !== 0) throw new Error(`gcc cannot compile ${source}: ${stderr}`);
  return path;
}

/**
 * Runs the generator at `path`.
 *
 * @throws {Error} if it fails, or nothing was answered without an error.
 */
export async function runLoad(path: string, options: LoadOptions): Promise<Load> {
  const { protocol, hosts, words, pids = [] } = options;
  const flags: [string, number | undefined][] = [
    ["-c", options.clients],
    ["-P", options.pipeline],
    ["-k", options.keys],
    ["-d", options.bytes],
    ["-W", options.replicas],
    ["-t", options.seconds],
    ["-w", options.warmUp],
    ["-n", options.requests],
  ];
  const { stdout, stderr } = await execute(path, [
    protocol,
    hosts.join(","),
    ...flags.flatMap(([flag, value]) => value === undefined ? [] : [flag, String(value)]),
    ...pids.length === 0 ? [] : ["-p", pids.join(",")],
    ...words,
  ]);
  if (stdout === "") throw new Error(stderr.trim());
  const load: Load = JSON.parse(stdout);
  if (load.count === 0) throw new Error(`nothing was answered: ${load.firstError}`);
  return load;
}
