/**
 * The parts of the benchmark, each of which measures one question and can be run alone.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { messageOf } from "../../src/errors.ts";
import { execute } from "../harness/processes.ts";
import { type Load, type LoadOptions, runLoad } from "./load.ts";
import {
  ask,
  cpuSeconds,
  INSTALLED,
  residentBytes,
  startDks,
  startEtcd,
  startRedis,
  startZooKeeper,
  type System,
} from "./systems.ts";
import type { Measure } from "./results.ts";

/** What a part works with. */
export interface Bench {
  /** For the data of all stores. */
  readonly folder: string;
  /** The compiled load generator. */
  readonly load: string;
  readonly isQuick: boolean;
  /** How often stores take turns in the comparison. */
  readonly rounds: number;
  /** Is told what was measured, one line each. */
  readonly onLine: (line: string) => void;
}

/** A part. */
export interface Part {
  readonly name: string;
  readonly about: string;
  readonly run: (sheet: Sheet) => Promise<void>;
}

const KEYS = 10_000;
const CLIENTS = 50;
const VALUE_BYTES = 100;
export const SET: readonly string[] = ["SET", "__key__", "__data__"];
export const GET: readonly string[] = ["GET", "__key__"];

/** Commands that follow each other in one request. */
function inTurn(...commands: readonly (readonly string[])[]): string[] {
  return commands.flatMap((words, index) => index === 0 ? words : [";", ...words]);
}

/** Collects what a part measures. */
export class Sheet {
  readonly bench: Bench;
  readonly #measures: { system: string; what: string; runs: Load[] }[] = [];
  readonly figures: Record<string, number[]> = {};
  readonly failures: string[] = [];

  constructor(bench: Bench) {
    this.bench = bench;
  }

  get measures(): readonly Measure[] {
    return this.#measures;
  }

  /** Returns `full`, or `quick` in a quick run. */
  choose<T>(full: T, quick: T): T {
    return this.bench.isQuick ? quick : full;
  }

  /** Starts a store, gives it keys, lets `use` measure it, and ends it. */
  async with(
    start: () => Promise<System>,
    use: (system: System) => Promise<void>,
    { keys = KEYS, bytes = VALUE_BYTES }: { keys?: number; bytes?: number } = {},
  ): Promise<void> {
    let system: System;
    try {
      system = await start().catch(start); // A busy machine may have been too slow for it.
    } catch (error) {
      return this.fail(error);
    }
    try {
      const hosts = system.hosts.slice(0, 1);
      const { protocol } = system;
      const words = protocol === "resp" ? SET : ["fill"];
      const fill = { protocol, hosts, words, keys, bytes, requests: keys };
      if (keys > 0) await runLoad(this.bench.load, { ...fill, clients: 20, pipeline: 8 });
      await use(system);
    } catch (error) {
      this.fail(error);
    } finally {
      await system.stop();
    }
  }

  /** Notes that something could not be measured; what follows still is. */
  fail(error: unknown): void {
    // deno-lint-ignore no-control-regex
    const reason = messageOf(error).replaceAll(/\x1b\[[\d;]*m/g, "").slice(0, 400);
    this.failures.push(reason);
    this.bench.onLine(`FAILED: ${reason}`);
  }

  /** Runs a load against the leading node of a system, or against all, and notes it. */
  async measure(
    at: { system: string; what: string },
    system: System,
    options: Omit<LoadOptions, "protocol" | "hosts"> & { atAll?: boolean; hosts?: number },
  ): Promise<Load> {
    const { atAll = false, hosts = atAll ? system.hosts.length : 1, ...rest } = options;
    const seconds = this.choose(2, 0.5);
    const load = await runLoad(this.bench.load, {
      ...{ seconds, warmUp: this.choose(0.5, 0.2), clients: CLIENTS, keys: KEYS },
      ...{ bytes: VALUE_BYTES, protocol: system.protocol, pids: system.pids, ...rest },
      hosts: system.hosts.slice(0, hosts),
    });
    let measure = this.#measures.find((one) => one.system === at.system && one.what === at.what);
    if (measure === undefined) this.#measures.push(measure = { ...at, runs: [] });
    measure.runs.push(load);
    const errors = load.errors === 0 ? "" : `, ${load.errors} ERRORS: ${load.firstError}`;
    this.bench.onLine(
      `${at.system}, ${at.what}: ${Math.round(load.perSecond).toLocaleString("en-US")}/s, ` +
        `p50 ${load.percentiles["50"]} ms, p99 ${load.percentiles["99"]} ms${errors}`,
    );
    return load;
  }

  /** Notes a figure that is no load. */
  note(name: string, value: number): void {
    (this.figures[name] ??= []).push(value);
    this.bench.onLine(`${name}: ${Number(value.toPrecision(4))}`);
  }
}

// --- dks beside others ------------------------------------------------------------------------------

export const DKS = "dks, five nodes";
export const DKS_EPHEMERAL = "dks, five nodes, --ephemeral";
export const DKS_ONE = "dks, one node";
export const REDIS_ALL = "Redis 1 + 4, all forced, WAIT 4";
export const REDIS_ONE = "Redis, one, stores nothing";
export const ETCD = "etcd, five nodes";
export const ZOOKEEPER = "ZooKeeper, five nodes";

async function comparePeers(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  for (const [name, isInstalled] of Object.entries(INSTALLED)) {
    if (!isInstalled) sheet.bench.onLine(`${name} is not installed, and left out`);
  }
  for (let round = 0; round < sheet.bench.rounds; round++) {
    await sheet.with(() => startDks({ nodes: 5, isDurable: true, folder }), async (system) => {
      const at = (what: string) => ({ system: DKS, what });
      await sheet.measure(at("SET, 50 clients"), system, { words: SET });
      await sheet.measure(at("SET, 32 deep"), system, { words: SET, pipeline: 32 });
      await sheet.measure(at("SET, one client"), system, { words: SET, clients: 1 });
      await sheet.measure(at("GET, 50 clients"), system, { words: GET });
      await sheet.measure(at("GET, 32 deep"), system, { words: GET, pipeline: 32 });
      await sheet.measure(at("GET, one client"), system, { words: GET, clients: 1 });
      await sheet.measure(at("SET, 50 clients, at all nodes"), system, { words: SET, atAll: true });
      const deep = { words: SET, pipeline: 32, atAll: true };
      await sheet.measure(at("SET, 32 deep, at all nodes"), system, deep);
      await measureIdle(sheet, system);
    });
    for (
      const [name, nodes, isDurable] of [[DKS_EPHEMERAL, 5, false], [DKS_ONE, 1, true]] as const
    ) {
      await sheet.with(() => startDks({ nodes, isDurable, folder }), async (system) => {
        const at = (what: string) => ({ system: name, what });
        await sheet.measure(at("SET, 50 clients"), system, { words: SET });
        await sheet.measure(at("SET, 32 deep"), system, { words: SET, pipeline: 32 });
        await sheet.measure(at("SET, one client"), system, { words: SET, clients: 1 });
      });
    }
    if (INSTALLED.redis) await measureRedis(sheet);
    if (INSTALLED.etcd) {
      await sheet.with(() => startEtcd(folder), (system) => measureEtcd(sheet, system));
    }
    if (INSTALLED.zk) {
      await sheet.with(() => startZooKeeper(folder), (system) => measureZk(sheet, system));
    }
  }
}

/** What a node takes of a core when nobody asks it anything. */
async function measureIdle(sheet: Sheet, system: System): Promise<void> {
  // Until what the last load has left is done: checkpoints, and the engine's cleaning up.
  await delay(1000 * sheet.choose(8, 1));
  const before = await cpuSeconds(system.pids);
  const seconds = sheet.choose(8, 1);
  await delay(1000 * seconds);
  const used = await cpuSeconds(system.pids) - before;
  sheet.note("idle node, % of a core", 100 * used / seconds / system.pids.length);
}

async function measureRedis(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  await sheet.with(() => startRedis({ nodes: 5, isDurable: true, folder }), async (system) => {
    const at = (what: string) => ({ system: REDIS_ALL, what });
    await sheet.measure(at("SET, 50 clients"), system, { words: SET, replicas: 4 });
    await sheet.measure(at("SET, 32 deep"), system, { words: SET, replicas: 4, pipeline: 32 });
    await sheet.measure(at("SET, one client"), system, { words: SET, replicas: 4, clients: 1 });
  });
  await sheet.with(() => startRedis({ nodes: 1, isDurable: false, folder }), async (system) => {
    const at = (what: string) => ({ system: REDIS_ONE, what });
    await sheet.measure(at("GET, 50 clients"), system, { words: GET });
    await sheet.measure(at("GET, 32 deep"), system, { words: GET, pipeline: 32 });
    await sheet.measure(at("GET, one client"), system, { words: GET, clients: 1 });
  });
}

async function measureEtcd(sheet: Sheet, system: System): Promise<void> {
  const at = (what: string) => ({ system: ETCD, what });
  const put = ["put"];
  await sheet.measure(at("SET, 50 clients"), system, { words: put });
  // How it is fastest: 50 clients that share a connection.
  const shared = { words: put, clients: 1, pipeline: 50 };
  await sheet.measure(at("SET, 50 clients on one connection"), system, shared);
  await sheet.measure(at("SET, one client"), system, { words: put, clients: 1 });
  await sheet.measure(at("GET, 50 clients"), system, { words: ["get"] });
  await sheet.measure(at("GET, one client"), system, { words: ["get"], clients: 1 });
}

async function measureZk(sheet: Sheet, system: System): Promise<void> {
  const at = (what: string) => ({ system: ZOOKEEPER, what });
  // Its compiler should have seen the work before anything is measured.
  const { protocol } = system;
  const warm = { protocol, hosts: system.hosts, words: ["set"], keys: KEYS, warmUp: 0 };
  await runLoad(sheet.bench.load, { ...warm, seconds: sheet.choose(4, 1) });
  await sheet.measure(at("SET, 50 clients"), system, { words: ["set"] });
  await sheet.measure(at("SET, one client"), system, { words: ["set"], clients: 1 });
  await sheet.measure(at("GET, 50 clients"), system, { words: ["sync"] });
  await sheet.measure(at("GET, one client"), system, { words: ["sync"], clients: 1 });
}

// --- dks alone --------------------------------------------------------------------------------------

/** The commands that are measured beside each other. */
export const COMMANDS: readonly (readonly [name: string, words: readonly string[]])[] = [
  ["SET", SET],
  ["GET", GET],
  ["INCR", ["INCR", "counter:__key__"]],
  ["SETEX", ["SETEX", "__key__", "1000", "__data__"]],
  ["EXEC of three SET", inTurn(["MULTI"], SET, SET, SET, ["EXEC"])],
  ["MGET of ten keys", ["MGET", ...Array.from({ length: 10 }, () => "__key__")]],
  ["SCAN of 100 keys", ["SCAN", "0", "COUNT", "100"]],
  ["PUBLISH to one subscriber", ["PUBLISH", "channel", "__data__"]],
];

async function compareCommands(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  await sheet.with(() => startDks({ nodes: 5, isDurable: true, folder }), async (system) => {
    await listen(Number(system.hosts.at(-1)?.split(":")[1]));
    for (let round = 0; round < sheet.choose(2, 1); round++) {
      for (const [name, words] of COMMANDS) {
        for (const pipeline of [1, 32]) {
          const at = { system: DKS, what: `${name}, ${pipeline}` };
          await sheet.measure(at, system, { words, pipeline, seconds: sheet.choose(1.5, 0.3) });
        }
      }
    }
  });
}

/** Subscribes to the channel, and reads what comes until the node closes. */
async function listen(port: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode("SUBSCRIBE channel\r\n"));
  const buffer = new Uint8Array(256 * 1024);
  await conn.read(buffer); // The reply: from now on it listens.
  const readAll = async () => {
    while (await conn.read(buffer) !== null);
  };
  readAll().catch(() => {});
}

/** How the one counter of the hot part is reached. */
export const HOT = ["through one node", "through all five"] as const;

async function measureHotKey(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  await sheet.with(() => startDks({ nodes: 5, isDurable: true, folder }), async (system) => {
    const counters = async (): Promise<[commits: number, aborts: number]> => {
      let [commits, aborts] = [0, 0];
      for (const host of system.hosts) {
        const info = String(await ask(Number(host.split(":")[1]), ["INFO", "everything"]));
        commits += Number(/^(?:dks_)?commits:(\d+)/m.exec(info)?.[1]);
        aborts += Number(/^(?:dks_)?aborts:(\d+)/m.exec(info)?.[1]);
      }
      return [commits, aborts];
    };
    for (const [index, what] of HOT.entries()) {
      const before = await counters();
      const options = { words: ["INCR", "counter"], atAll: index === 1 };
      const load = await sheet.measure({ system: DKS, what }, system, {
        ...{ ...options, seconds: sheet.choose(5, 1) },
      });
      const after = await counters();
      const [commits, aborts] = [after[0] - before[0], after[1] - before[1]];
      sheet.note(`aborts per commit, ${what}`, aborts / commits);
      sheet.note(`least of a client by most, ${what}`, load.leastOfClients / load.mostOfClients);
      const [least, most] = [Math.min(...load.byHost), Math.max(...load.byHost)];
      sheet.note(`least of a node by most, ${what}`, least / most);
    }
  });
}

export const DEPTHS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128];

async function measureDepths(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  const seconds = sheet.choose(1.5, 0.3);
  const depths = sheet.choose(DEPTHS, [1, 32]);
  const measure = async (name: string, system: System, replicas: number) => {
    for (const pipeline of depths) {
      const at = { system: name, what: String(pipeline) };
      await sheet.measure(at, system, { words: SET, pipeline, replicas, seconds });
    }
  };
  const five = () => startDks({ nodes: 5, isDurable: true, folder });
  await sheet.with(five, (system) => measure(DKS, system, 0));
  if (!INSTALLED.redis) return;
  const redis = () => startRedis({ nodes: 5, isDurable: true, folder });
  await sheet.with(redis, (system) => measure(REDIS_ALL, system, 4));
}

/** The operations of the original program's report. */
export const OPERATIONS: readonly (readonly [name: string, words: readonly string[]])[] = [
  ["PUT", SET],
  ["GET", GET],
  ["DELETE", ["DEL", "__key__"]],
];

async function compareOneAndFive(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  const seconds = sheet.choose(1.5, 0.3);
  for (const [nodes, name] of [[1, DKS_ONE], [5, DKS]] as const) {
    await sheet.with(() => startDks({ nodes, isDurable: true, folder }), async (system) => {
      for (const clients of [1, CLIENTS]) {
        for (const [operation, words] of OPERATIONS) {
          const at = { system: name, what: `${operation}, ${clients}` };
          await sheet.measure(at, system, { words, clients, seconds });
        }
      }
    });
  }
}

export const CLUSTER_SIZES: readonly number[] = [1, 3, 5, 7];

async function measureGrowth(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  const seconds = sheet.choose(1.5, 0.3);
  for (const nodes of sheet.choose(CLUSTER_SIZES, [1, 5])) {
    await sheet.with(() => startDks({ nodes, isDurable: true, folder }), async (system) => {
      const name = String(nodes);
      await sheet.measure({ system: name, what: "SET at one" }, system, { words: SET, seconds });
      const all = { seconds, atAll: true };
      await sheet.measure({ system: name, what: "SET at all" }, system, { words: SET, ...all });
      await sheet.measure({ system: name, what: "GET at all" }, system, { words: GET, ...all });
      const alone = { words: SET, seconds, clients: 1 };
      await sheet.measure({ system: name, what: "SET, one client" }, system, alone);
    });
  }
}

export const VALUE_SIZES: readonly number[] = [10, 100, 1024, 10_240, 102_400, 1_048_576];

/** Bytes of all values of the largest key space. */
const ALL_VALUES_BYTES = 64 * 1024 * 1024;

async function measureSizes(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  for (const bytes of sheet.choose(VALUE_SIZES, [10, 10_240])) {
    const keys = Math.min(KEYS, Math.floor(ALL_VALUES_BYTES / bytes));
    await sheet.with(() => startDks({ nodes: 5, isDurable: true, folder }), async (system) => {
      for (const [what, words] of [["SET", SET], ["GET", GET]] as const) {
        await sheet.measure({ system: String(bytes), what }, system, { words, bytes, keys });
      }
    }, { keys, bytes });
  }
}

export const CONNECTIONS: readonly number[] = [1, 3, 10, 30, 100, 300, 1000];

async function measureConnections(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  const seconds = sheet.choose(1.5, 0.5);
  await sheet.with(() => startDks({ nodes: 5, isDurable: true, folder }), async (system) => {
    for (const clients of sheet.choose(CONNECTIONS, [1, 100])) {
      for (const [what, words] of [["SET", SET], ["GET", GET]] as const) {
        const at = { system: String(clients), what };
        await sheet.measure(at, system, { words, clients, seconds });
      }
    }
  });
}

async function measureMemory(sheet: Sheet): Promise<void> {
  const { folder } = sheet.bench;
  const keys = sheet.choose(1_000_000, 100_000);
  const empty = { keys: 0 };
  await sheet.with(() => startDks({ nodes: 1, isDurable: true, folder }), async (system) => {
    const [pid = 0] = system.pids;
    const [host = ""] = system.hosts;
    const port = Number(host.split(":")[1]);
    const heap = async () => {
      const info = String(await ask(port, ["INFO", "memory"]));
      return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
    };
    const [resident, used] = [await residentBytes(pid), await heap()];
    const at = { system: DKS_ONE, what: "loading" };
    const fill = { words: SET, keys, requests: keys, pipeline: 32, clients: 20 };
    await sheet.measure(at, system, fill);
    await delay(sheet.choose(10_000, 1000)); // Until what the load has left is collected.
    sheet.note("resident bytes per key", (await residentBytes(pid) - resident) / keys);
    sheet.note("used_memory per key", (await heap() - used) / keys);
  }, empty);
}

/** Phases of the transfer, as `transfer.ts` calls them. */
export const PHASES: readonly string[] = ["all", "four", "transfer", "again"];

async function measureRejoin(sheet: Sheet): Promise<void> {
  const script = new URL("transfer.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await execute(Deno.execPath(), [
    ...["run", "--allow-all", "--quiet", script, "--seconds", String(sheet.choose(15, 3))],
    ...[
      "--warm-up",
      String(sheet.choose(10, 2)),
      "--keys",
      String(sheet.choose(1_000_000, 50_000)),
    ],
  ]);
  if (code !== 0) throw new Error(stderr);
  for (const phase of PHASES) {
    const found = new RegExp(`^${phase}  ([\\d.]+)  (\\d+)  (\\d+)  (\\d+)  (\\d+)$`, "m").exec(
      stdout,
    );
    const [, seconds, sets, gets, errors, gap] = (found ?? []).map(Number);
    sheet.note(`${phase}: seconds`, seconds ?? NaN);
    sheet.note(`${phase}: requests per second`, (sets ?? NaN) + (gets ?? NaN));
    sheet.note(`${phase}: errors`, errors ?? NaN);
    sheet.note(`${phase}: longest time without a write, ms`, gap ?? NaN);
  }
}

/** All parts, in their order. */
export const PARTS: readonly Part[] = [
  { name: "peers", about: "dks beside Redis, etcd and ZooKeeper", run: comparePeers },
  { name: "commands", about: "commands of each kind", run: compareCommands },
  { name: "hot", about: "50 clients on one counter", run: measureHotKey },
  { name: "depth", about: "requests under way on a connection", run: measureDepths },
  { name: "one-five", about: "one node against five", run: compareOneAndFive },
  { name: "growth", about: "1, 3, 5 and 7 nodes", run: measureGrowth },
  { name: "size", about: "values of 10 bytes to 1 MiB", run: measureSizes },
  { name: "connections", about: "1 to 1,000 connections", run: measureConnections },
  { name: "memory", about: "memory for a key", run: measureMemory },
  { name: "rejoin", about: "a million keys to a node that comes back", run: measureRejoin },
];
