/**
 * The stores that are measured, as processes on this machine: dks, Redis, etcd, ZooKeeper. Only one of
 * them runs at a time.
 *
 * Each has its own defaults. Set are only addresses, folders, what makes all of Redis's nodes force what
 * they acknowledge, and ZooKeeper's heap.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { ClientConnection } from "../../src/client/connection.ts";
import type { RespValue } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { isInstalled } from "../harness/processes.ts";

/** A store that runs. */
export interface System {
  readonly protocol: "resp" | "etcd" | "zk";
  /** Where clients connect; the first one is that which leads, if one does. */
  readonly hosts: readonly string[];
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

const PATIENCE_MS = 60_000;
const POLL_MS = 100;

/** The load takes all processors: no node is to be left out for that. */
const CALM = ["--lease", "5s", "--suspicion", "5s"];

/** Starts dks on so many nodes. */
export async function startDks(
  { nodes, isDurable, folder }: { nodes: number; isDurable: boolean; folder: string },
): Promise<System> {
  const home = await Deno.makeTempDir({ dir: folder, prefix: "dks-" });
  const ports = freePorts(nodes);
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    args: nodes === 1 ? [] : CALM,
    storage: isDurable ? [] : ["--ephemeral"],
    env: { HOME: home, XDG_DATA_HOME: `${home}/data`, XDG_CACHE_HOME: `${folder}/cache` },
  });
  return {
    protocol: "resp",
    hosts: ports.map((port) => `127.0.0.1:${port}`),
    pids: cluster.nodes.map(({ pid }) => pid),
    stop: async () => {
      await Promise.all(cluster.nodes.map((node) => node.stop("SIGKILL")));
      await removeFolder(home);
    },
  };
}

/** Starts one Redis that stores nothing, or one and four replicas that force each write. */
export async function startRedis(
  { nodes, isDurable, folder }: { nodes: number; isDurable: boolean; folder: string },
): Promise<System> {
  const ports = freePorts(nodes);
  const [first = 0] = ports;
  const processes = await Processes.in(folder, "redis-");
  for (const [index, port] of ports.entries()) {
    processes.spawn("redis-server", [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", await processes.newFolder()],
      ...["--save", "", "--repl-diskless-sync-delay", "0"],
      ...isDurable ? ["--appendonly", "yes", "--appendfsync", "always"] : [],
      ...index === 0 ? [] : ["--replicaof", "127.0.0.1", String(first)],
    ]);
  }
  return await processes.ready({ protocol: "resp", ports }, async () => {
    if (await ask(first, ["PING"]) === undefined) return false;
    const info = String(await ask(first, ["INFO", "replication"]));
    return (info.match(/state=online/g) ?? []).length === nodes - 1;
  });
}

/** Starts five nodes of etcd. */
export async function startEtcd(folder: string): Promise<System> {
  const ports = freePorts(5);
  const peers = freePorts(5);
  const processes = await Processes.in(folder, "etcd-");
  const list = peers.map((port, index) => `n${index}=http://127.0.0.1:${port}`).join(",");
  for (const [index, port] of ports.entries()) {
    const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peers[index]}`];
    processes.spawn("etcd", [
      ...["--name", `n${index}`, "--data-dir", await processes.newFolder()],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", list, "--initial-cluster-state", "new"],
    ]);
  }
  /** Tells whether the node at `port` leads. */
  const leads = async (port: number) => {
    const reply = await fetch(`http://127.0.0.1:${port}/v3/maintenance/status`, {
      method: "POST",
      body: "{}",
    });
    const { leader, header } = await reply.json();
    return leader === header?.member_id;
  };
  return await processes.ready(
    { protocol: "etcd", ports },
    async () => await moveFirst(ports, leads),
  );
}

/** Starts five nodes of ZooKeeper. */
export async function startZooKeeper(folder: string): Promise<System> {
  const ports = freePorts(5);
  const [quorum, election] = [freePorts(5), freePorts(5)];
  const processes = await Processes.in(folder, "zk-");
  const servers = ports.map((_, index) =>
    `server.${index + 1}=127.0.0.1:${quorum[index]}:${election[index]}`
  );
  for (const [index, port] of ports.entries()) {
    const own = await processes.newFolder();
    await Deno.writeTextFile(`${own}/myid`, String(index + 1));
    const lines = [
      ...["tickTime=2000", "initLimit=10", "syncLimit=5", `dataDir=${own}`, `clientPort=${port}`],
      ...["clientPortAddress=127.0.0.1", "admin.enableServer=false", "maxClientCnxns=0"],
      ...["4lw.commands.whitelist=srvr", ...servers],
    ];
    await Deno.writeTextFile(`${own}/zoo.cfg`, `${lines.join("\n")}\n`);
    processes.spawn("java", [
      ...["-Xmx1000m", "-cp", ZOOKEEPER_JAR],
      ...["org.apache.zookeeper.server.quorum.QuorumPeerMain", `${own}/zoo.cfg`],
    ]);
  }
  const leads = async (port: number) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("srvr"));
    const text = await new Response(conn.readable).text();
    return text.includes("Mode: leader");
  };
  return await processes.ready(
    { protocol: "zk", ports },
    async () => await moveFirst(ports, leads),
  );
}

const ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar";

/** What can be measured here besides dks. */
export const INSTALLED = {
  redis: isInstalled("redis-server"),
  etcd: isInstalled("etcd"),
  zk: isInstalled("java") && await exists(ZOOKEEPER_JAR),
} as const;

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Moves the port that `leads` to the front. Returns whether there is one. */
async function moveFirst(
  ports: number[],
  leads: (port: number) => Promise<boolean>,
): Promise<boolean> {
  for (const [index, port] of ports.entries()) {
    if (!await leads(port)) continue;
    ports.splice(index, 1);
    ports.unshift(port);
    return true;
  }
  return false;
}

/** The processes of one store, and their folders. */
class Processes {
  readonly #folder: string;
  readonly #children: Deno.ChildProcess[] = [];
  readonly #ended: Promise<unknown>[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async in(folder: string, prefix: string): Promise<Processes> {
    return new Processes(await Deno.makeTempDir({ dir: folder, prefix }));
  }

  async newFolder(): Promise<string> {
    return await Deno.makeTempDir({ dir: this.#folder });
  }

  spawn(file: string, args: readonly string[]): void {
    const child = new Deno.Command(file, {
      args: [...args],
      cwd: this.#folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#children.push(child);
    this.#ended.push(child.status);
  }

  /** Returns the system when it `isReady`. */
  async ready(
    { protocol, ports }: { protocol: System["protocol"]; ports: readonly number[] },
    isReady: () => Promise<boolean>,
  ): Promise<System> {
    const endAt = performance.now() + PATIENCE_MS;
    while (!await isReady().catch(() => false)) {
      if (performance.now() > endAt) {
        await this.stop();
        throw new Error(`${protocol} was not ready within ${PATIENCE_MS / 1000} s`);
      }
      await delay(POLL_MS);
    }
    return {
      protocol,
      hosts: ports.map((port) => `127.0.0.1:${port}`),
      pids: this.#children.map(({ pid }) => pid),
      stop: () => this.stop(),
    };
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await Promise.all(this.#ended);
    await removeFolder(this.#folder);
  }
}

async function removeFolder(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch(() => {}); // A file may come while others go.
}

/** Sends one command to the node at `port`. */
export async function ask(port: number, words: readonly string[]): Promise<RespValue> {
  const address = { hostname: "127.0.0.1", port };
  const connection = await ClientConnection.open([address], { timeoutMs: 10_000 });
  try {
    return await connection.call(words);
  } finally {
    connection.close();
  }
}

/** Processor time of processes so far, in seconds. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  const times = await Promise.all(pids.map(async (pid) => {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }));
  return times.reduce((sum, one) => sum + one, 0);
}

/** What programs take of all processors for a second, in %. */
export async function busyPercent(): Promise<number> {
  const read = async () => {
    const line = (await Deno.readTextFile("/proc/stat")).split("\n")[0] ?? "";
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, ...others] = line.split(/ +/).slice(
      1,
    )
      .map(Number);
    const busy = user + nice + system + others.reduce((sum, one) => sum + one, 0);
    return { busy, all: busy + idle + wait };
  };
  const before = await read();
  await delay(1000);
  const after = await read();
  return 100 * (after.busy - before.busy) / (after.all - before.all);
}

/** Bytes of memory of a process that are resident. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
}
