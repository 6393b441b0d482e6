/**
 * Nodes with journals, each on a machine of its own, of which each can be ended and started again: for
 * `deno task faults`.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- a script that talks to people
import { delay } from "@std/async/delay";
import { type Address, formatAddress } from "../../src/address.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import type { ClusterStatus } from "../../src/cluster_status.ts";
import { freePorts, NodeProcess } from "./cluster.ts";
import { type NetworkNames, TestNetwork } from "./namespaces.ts";

/** How many machines there are: one more than the largest cluster that fails has nodes. */
export const MACHINES = 6;

/** What the outer script has made. */
export interface FaultsSetup {
  /** The program. */
  readonly dks: string;
  /** Where journals may be kept until the end. */
  readonly folder: string;
  /** The machines; `undefined`: all nodes at the loopback address. */
  readonly network: NetworkNames | undefined;
  /** Whether the tables are written into the document. */
  readonly isWritten: boolean;
  /** Only cases whose name contains this. */
  readonly only: string;
  /** Whether what the nodes print is shown. */
  readonly isVerbose: boolean;
}

/** All nodes listen at the same port, as on machines of their own. */
const PORT = 5000;

/** All nodes must be members again within this, in milliseconds. */
export const PATIENCE_MS = 30_000;

/** Time for one answer when a node is asked for its status, in milliseconds. */
const STATUS_MS = 1000;

/** Machines, and the nodes that run on them. */
export class Machines {
  readonly addresses: readonly Address[];
  readonly network: TestNetwork | undefined;
  readonly #setup: FaultsSetup;
  readonly #nodes: (NodeProcess | undefined)[];
  /** By machine: what its node was started with. */
  readonly #args: string[][] = [];
  /** Those whose nodes may run. */
  static readonly #inUse = new Set<Machines>();

  /** Ends all processes of all machines. */
  static async stopAll(): Promise<void> {
    await Promise.all([...Machines.#inUse].map((machines) => machines.stop()));
  }

  /** Starts a cluster of `count` nodes that have stored nothing, and waits until all are members. */
  static async startAll(setup: FaultsSetup, count: number): Promise<Machines> {
    const machines = new Machines(setup, count);
    await machines.clear();
    machines.start(...machines.addresses.keys());
    if (await machines.untilAllAreMembers() === undefined) throw new Error(machines.printed);
    return machines;
  }

  /** @param count how many of the machines are used */
  constructor(setup: FaultsSetup, count: number) {
    this.#setup = setup;
    this.network = setup.network && TestNetwork.existing(setup.network);
    this.addresses = setup.network === undefined
      ? freePorts(count).map((port) => ({ hostname: "127.0.0.1", port }))
      : setup.network.addresses.slice(0, count).map((hostname) => ({ hostname, port: PORT }));
    this.#nodes = this.addresses.map(() => undefined);
    Machines.#inUse.add(this);
  }

  /** Takes away what was stored before, and the cuts of the network. */
  async clear(): Promise<void> {
    await this.network?.heal();
    for (const index of this.addresses.keys()) await this.wipe(index);
  }

  /** Returns the name of the node on a machine. */
  nameOf(index: number): string {
    return formatAddress(this.address(index));
  }

  /** Returns the address of the node on a machine. */
  address(index: number): Address {
    const address = this.addresses[index];
    if (address === undefined) throw new Error(`there is no machine ${index}`);
    return address;
  }

  /** Starts these nodes, on what they have stored: as before, or at first as the nodes of one list. */
  start(...indices: number[]): void {
    const peers = this.addresses.map((_, index) => this.nameOf(index)).join(",");
    for (const index of indices) this.startWith(index, this.#args[index] ?? ["--peers", peers]);
  }

  /** Starts a node with these flags. */
  startWith(index: number, args: readonly string[]): NodeProcess {
    const { dks, network, folder, isVerbose } = this.#setup;
    const host = network?.hosts[index];
    this.#args[index] = [...args];
    return this.#nodes[index] = new NodeProcess({
      program: host === undefined
        ? { file: dks, args: [] }
        : { file: "ip", args: ["netns", "exec", host, dks] },
      port: this.address(index).port,
      args,
      storage: [],
      ...(isVerbose ? { onLine: (line: string) => console.log(`  ${index} ${line}`) } : {}),
      // Each machine has a disk of its own, but unpacks the program at the same place.
      env: { HOME: folder, XDG_CACHE_HOME: `${folder}/cache`, XDG_DATA_HOME: this.#dataOf(index) },
    });
  }

  #dataOf(index: number): string {
    return `${this.#setup.folder}/node-${index}`;
  }

  node(index: number): NodeProcess {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`node ${index} does not run`);
    return node;
  }

  async kill(...indices: number[]): Promise<void> {
    await Promise.all(indices.map((index) => this.node(index).stop("SIGKILL")));
  }

  /** Takes away what a node that does not run has stored. */
  async wipe(index: number): Promise<void> {
    await Deno.remove(this.#dataOf(index), { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  async cutBetween(some: readonly number[], others: readonly number[]): Promise<void> {
    for (const a of some) for (const b of others) await this.network?.cut(a, b);
  }

  /**
   * Waits until these nodes, or all, are the nodes of their list, and members of one view. Returns its
   * number; nothing after the patience.
   */
  async untilAllAreMembers(
    indices: readonly number[] = [...this.addresses.keys()],
  ): Promise<number | undefined> {
    const end = performance.now() + PATIENCE_MS;
    while (performance.now() < end) {
      const all = await Promise.all(indices.map((index) => statusOf(this.address(index))));
      const views = new Set(all.map((one) => one?.view));
      const areMembers = all.every((one) =>
        one?.isComplete === true && one.nodes.length === indices.length &&
        one.nodes.every((node) => node.isInView)
      );
      if (areMembers && views.size === 1) return all[0]?.view;
      await delay(20);
    }
    return undefined;
  }

  /** The latest view that any node knows. */
  async latestView(): Promise<number> {
    const all = await Promise.all(this.addresses.map(statusOf));
    return Math.max(0, ...all.map((one) => one?.view ?? 0));
  }

  /** Everything that the nodes that run have printed. */
  get printed(): string {
    return this.#nodes.map((node, index) => `--- node ${index}\n${node?.printed ?? ""}`).join("\n");
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node?.stop("SIGKILL")));
    Machines.#inUse.delete(this);
  }
}

/** Returns the cluster as the node at `address` sees it; nothing if it does not say. */
export async function statusOf(address: Address): Promise<ClusterStatus | undefined> {
  const reply = await callOnceAt(address, ["DKS.STATUS"], STATUS_MS).catch(() => undefined);
  return typeof reply === "string" ? JSON.parse(reply) as ClusterStatus : undefined;
}

/** Sends one command over a connection of its own. */
export async function callOnceAt(
  address: Address,
  words: readonly string[],
  timeoutMs: number,
): Promise<unknown> {
  const connection = await ClientConnection.open([address], { timeoutMs });
  try {
    return await connection.call(words);
  } finally {
    connection.close();
  }
}
