// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * What `faults.ts` runs: one fault after the other on the same five nodes, under load, measured.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Address } from "../../src/address.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { formatTable } from "../../src/client/table.ts";
import type { ClusterStatus } from "../../src/cluster_status.ts";
import { type NetworkNames, TestNetwork } from "./namespaces.ts";
import { Workload } from "./workload.ts";
import { freePorts, NodeProcess } from "./cluster.ts";

/** How many nodes there are. */
export const FAULT_NODES = 5;

/** What the outer script has made. */
export interface FaultsSetup {
  /** The program. */
  readonly dks: string;
  /** Where journals may be kept until the end. */
  readonly folder: string;
  /** The machines; `undefined`: all nodes at the loopback address. */
  readonly network: NetworkNames | undefined;
  /** Whether the table is written into the document. */
  readonly isWritten: boolean;
  /** Only faults whose name contains this. */
  readonly only: string;
  /** Whether what the nodes print is shown. */
  readonly isVerbose: boolean;
}

/** All nodes listen at the same port, as on machines of their own. */
const PORT = 5000;

/** Load before a fault, during it unless the case says otherwise, and after it, in milliseconds. */
const BEFORE_MS = 1500;
const DURING_MS = 5000;
const AFTER_MS = 1000;

/** A fault that would change the view again and again lasts this long, in milliseconds. */
const LONG_MS = 75_000;

/** In its beginning the view may change more often, in milliseconds. */
const FIRST_MS = 15_000;

/** Longer than any answer may take, with the nodes' own deadline of 5 s. */
const CLIENT_TIMEOUT_MS = 20_000;

/** All nodes must be members again within this. */
const PATIENCE_MS = 30_000;

/** One of the nodes takes more requests than the others: their clients rest for longer, in ms. */
const BUSY = 3;
const REST_MS = 40;
const BUSY_REST_MS = 5;

/** Time for one answer when a node is asked for its status, in milliseconds. */
const STATUS_MS = 1000;

/** What was measured of one fault. */
interface Row {
  readonly fault: string;
  /** The longest time without a write that whichever node acknowledged. */
  readonly writeGapMs: number;
  /** The same for writes and reads at the worst node that the fault did not concern. */
  readonly writeGapAtOneMs: number;
  readonly readGapAtOneMs: number;
  readonly lost: number;
  readonly wrong: number;
  /** From the end of the fault until all nodes are members. */
  readonly membersMs: number | undefined;
  readonly views: number;
  readonly remark: string;
}

/** One fault. */
interface Fault {
  readonly name: string;
  readonly needsNetwork?: boolean;
  /** The nodes that it does not concern. */
  readonly others: readonly number[];
  /** Has it happen, and undoes it. Returns what else is to be said of it. */
  readonly happen: (cluster: Five, note: NoteGaps) => Promise<string | void>;
}

/**
 * Takes down the gaps at these nodes since the last time; those at others are forgotten. Returns the
 * longest time without a write that whichever node acknowledged, in milliseconds.
 */
type NoteGaps = (nodes: readonly number[]) => number;

/** Five nodes with journals, of which each can be ended and started again. */
class Five {
  readonly addresses: readonly Address[];
  readonly network: TestNetwork | undefined;
  readonly #setup: FaultsSetup;
  readonly #nodes: (NodeProcess | undefined)[];

  constructor(setup: FaultsSetup) {
    this.#setup = setup;
    this.network = setup.network && TestNetwork.existing(setup.network);
    this.addresses = setup.network === undefined
      ? freePorts(FAULT_NODES).map((port) => ({ hostname: "127.0.0.1", port }))
      : setup.network.addresses.map((hostname) => ({ hostname, port: PORT }));
    this.#nodes = this.addresses.map(() => undefined);
  }

  start(...indices: number[]): void {
    for (const index of indices) this.#nodes[index] = this.#newNode(index);
  }

  #newNode(index: number): NodeProcess {
    const { dks, network, folder, isVerbose } = this.#setup;
    const host = network?.hosts[index];
    const data = this.#dataOf(index);
    const peers = this.addresses.map(({ hostname, port }) => `${hostname}:${port}`).join(",");
    return new NodeProcess({
      program: host === undefined
        ? { file: dks, args: [] }
        : { file: "ip", args: ["netns", "exec", host, dks] },
      port: this.addresses[index]?.port ?? PORT,
      args: ["--peers", peers],
      storage: [],
      ...(isVerbose ? { onLine: (line: string) => console.log(`  ${index} ${line}`) } : {}),
      // Each machine has a disk of its own, but unpacks the program at the same place.
      env: { HOME: folder, XDG_CACHE_HOME: `${folder}/cache`, XDG_DATA_HOME: data },
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
    await Deno.remove(this.#dataOf(index), { recursive: true });
  }

  async cutBetween(some: readonly number[], others: readonly number[]): Promise<void> {
    for (const a of some) for (const b of others) await this.network?.cut(a, b);
  }

  /** Waits until all nodes are members of one view. Returns its number; nothing after the patience. */
  async untilAllAreMembers(): Promise<number | undefined> {
    const end = performance.now() + PATIENCE_MS;
    while (performance.now() < end) {
      const all = await Promise.all(this.addresses.map(statusOf));
      const views = new Set(all.map((one) => one?.view));
      const areMembers = all.every((one) =>
        one?.isComplete === true && one.nodes.every((node) => node.isInView)
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
  }
}

async function statusOf(address: Address): Promise<ClusterStatus | undefined> {
  const reply = await callOnceAt(address, ["DKS.STATUS"], STATUS_MS).catch(() => undefined);
  return typeof reply === "string" ? JSON.parse(reply) as ClusterStatus : undefined;
}

async function callOnceAt(
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

const ALL = [0, 1, 2, 3, 4];
const without = (...nodes: number[]) => ALL.filter((node) => !nodes.includes(node));

/** Nodes are killed, are dead for a while, and started again on what they have stored. */
function killed(...nodes: number[]): Fault["happen"] {
  return async (cluster) => {
    await cluster.kill(...nodes);
    await delay(DURING_MS);
    cluster.start(...nodes);
  };
}

/** Links are cut for long, while the nodes at their ends reach others: says how many views that makes. */
function cutForLong(pairs: readonly (readonly [number, number])[]): Fault["happen"] {
  return async (cluster) => {
    const begun = await cluster.latestView();
    for (const [a, b] of pairs) await cluster.network?.cut(a, b);
    await delay(FIRST_MS);
    const first = await cluster.latestView() - begun;
    await delay(LONG_MS - FIRST_MS);
    const all = await cluster.latestView() - begun;
    await cluster.network?.heal();
    return `${first} views in the first ${FIRST_MS / 1000} s, ` +
      `${all - first} in the next ${(LONG_MS - FIRST_MS) / 1000} s`;
  };
}

/** In a storm: when a node is killed, and for how long it is down, in milliseconds. */
type Kill = readonly [node: number, at: number, downMs: number];

/** Nodes are killed one shortly after the other, and started again. Says how long there was no write. */
function storms(all: readonly (readonly Kill[])[]): Fault["happen"] {
  return async (cluster, note) => {
    const pauses: number[] = [];
    for (const kills of all) {
      const lastAt = Math.max(...kills.map(([, at]) => at));
      // A node that is killed twice has to be up in between, however slow the machine is.
      const isUp = new Map<number, Promise<void>>();
      await Promise.all(kills.map(([node, at, downMs]) => {
        const before = isUp.get(node);
        const after = (async () => {
          await delay(at);
          await before;
          if (at === lastAt) note(ALL);
          await cluster.kill(node);
          await delay(downMs);
          cluster.start(node);
        })();
        isUp.set(node, after);
        return after;
      }));
      if (await cluster.untilAllAreMembers() === undefined) break;
      pauses.push(note(ALL));
      await delay(BEFORE_MS);
    }
    const seconds = pauses.map((ms) => (ms / 1000).toFixed(2));
    return `no write after the last kill: ${seconds.join(", ")} s`;
  };
}

/** At most two nodes are down at any moment of a storm. */
const STORMS: readonly (readonly Kill[])[] = [
  [[0, 0, 100], [1, 300, 100], [2, 600, 100], [3, 900, 100]],
  [[4, 0, 700], [0, 400, 200], [3, 800, 900], [1, 1000, 300]],
  [[0, 0, 1500], [1, 300, 300], [1, 1000, 300]],
  [[2, 0, 300], [0, 200, 1200], [2, 600, 600], [3, 1300, 100]],
  [[1, 0, 50], [0, 0, 1100], [1, 500, 500], [4, 1150, 1200]],
  [[3, 0, 900], [4, 300, 900], [0, 1250, 400], [1, 1300, 800]],
  [[0, 0, 600], [1, 0, 600], [0, 900, 1000], [2, 950, 300]],
  [[4, 0, 1200], [3, 500, 400], [3, 1000, 200], [2, 1250, 1000]],
];

function cutOff(cut: (cluster: Five) => Promise<void>): Fault["happen"] {
  return async (cluster) => {
    await cut(cluster);
    await delay(DURING_MS);
    await cluster.network?.heal();
  };
}

const FAULTS: readonly Fault[] = [
  { name: "none, for comparison", others: ALL, happen: () => delay(DURING_MS) },
  { name: "kill -9 of a participant", others: without(1), happen: killed(1) },
  { name: "kill -9 of the busiest coordinator", others: without(BUSY), happen: killed(BUSY) },
  { name: "kill -9 of two nodes", others: without(0, BUSY), happen: killed(0, BUSY) },
  {
    name: "SIGSTOP of one for 10 s",
    others: without(2),
    happen: async (cluster) => {
      cluster.node(2).signal("SIGSTOP");
      await delay(10_000);
      cluster.node(2).signal("SIGCONT");
    },
  },
  {
    name: "partition, 3 against 2",
    needsNetwork: true,
    others: [2, 3, 4],
    happen: cutOff((cluster) => cluster.cutBetween([0, 1], [2, 3, 4])),
  },
  {
    name: "one-way cut: what 4 sends to 0 is lost",
    needsNetwork: true,
    others: [1, 2, 3],
    happen: cutOff(async ({ network }) => await network?.cutOneWay(4, 0)),
  },
  {
    name: "a node cut off from all",
    needsNetwork: true,
    others: without(2),
    happen: cutOff((cluster) => cluster.cutBetween([2], without(2))),
  },
  {
    name: "one pair of nodes is cut for 75 s",
    needsNetwork: true,
    others: [2, 3, 4],
    happen: cutForLong([[0, 1]]),
  },
  {
    name: "a chain: each node reaches only its neighbours, for 75 s",
    needsNetwork: true,
    others: ALL,
    happen: cutForLong([[0, 2], [0, 3], [0, 4], [1, 3], [1, 4], [2, 4]]),
  },
  {
    name: "storms of kill -9 and restarts, eight of them",
    others: ALL,
    happen: storms(STORMS),
  },
  {
    name: "rolling restart of all five, SIGTERM",
    others: ALL,
    happen: async (cluster, note) => {
      for (const index of ALL) {
        await cluster.node(index).stop("SIGTERM");
        cluster.start(index);
        if (await cluster.untilAllAreMembers() === undefined) return;
        note(without(index));
      }
    },
  },
  {
    name: "a wiped disk",
    others: without(4),
    happen: async (cluster) => {
      await cluster.kill(4);
      await cluster.wipe(4);
      await delay(DURING_MS);
      cluster.start(4);
    },
  },
];

/** Has one fault happen under a load of its own. */
async function measure(fault: Fault, cluster: Five, number: number): Promise<Row> {
  const workload = new Workload({
    addresses: cluster.addresses,
    writersPerNode: 2,
    readersPerNode: 2,
    keysPerWriter: 5,
    timeoutMs: CLIENT_TIMEOUT_MS,
    prefix: `fault:${number}`,
    pauseMs: (node) => node === BUSY ? BUSY_REST_MS : REST_MS,
  });
  try {
    const before = await statusOf(cluster.addresses[0] ?? { hostname: "", port: 0 });
    await delay(BEFORE_MS);
    workload.resetGaps();
    const worst = { all: 0, write: 0, read: 0 };
    const note = (nodes: readonly number[]) => {
      const gaps = workload.gapsMs(nodes);
      const { writeGapMs } = workload;
      worst.all = Math.max(worst.all, writeGapMs);
      worst.write = Math.max(worst.write, gaps.write);
      worst.read = Math.max(worst.read, gaps.read);
      workload.resetGaps();
      return writeGapMs;
    };
    const said = await fault.happen(cluster, note);
    const endedAt = performance.now();
    const view = await cluster.untilAllAreMembers();
    const membersMs = performance.now() - endedAt;
    await delay(AFTER_MS);
    note(fault.others);
    await workload.stop();
    const { lost, remark } = await compare(workload, cluster);
    return {
      fault: fault.name,
      writeGapMs: worst.all,
      writeGapAtOneMs: worst.write,
      readGapAtOneMs: worst.read,
      lost,
      wrong: workload.wrong.length,
      membersMs: view === undefined ? undefined : membersMs,
      views: (view ?? NaN) - (before?.view ?? 0),
      remark: [said ?? "", remark, ...workload.wrong.slice(0, 3)].filter((text) => text !== "")
        .join("; "),
    };
  } finally {
    await workload.stop();
  }
}

/** Looks at what the nodes hold at rest: whether it is the same, and not older than acknowledged. */
async function compare(
  workload: Workload,
  cluster: Five,
): Promise<{ readonly lost: number; readonly remark: string }> {
  const names = workload.keys.map(({ name }) => name);
  const contents = await Promise.all(
    cluster.addresses.map((address) => callOnceAt(address, ["MGET", ...names], CLIENT_TIMEOUT_MS)),
  ).catch((error) => String(error));
  if (!Array.isArray(contents)) return { lost: NaN, remark: `cannot be read: ${contents}` };
  const unread = contents.findIndex((content) => !Array.isArray(content));
  if (unread >= 0) return { lost: NaN, remark: `node ${unread} answers ${contents[unread]}` };
  const areAlike = contents.every((content) => String(content) === String(contents[0]));
  let lost = 0;
  workload.keys.forEach((key, index) => {
    const values = (contents as unknown[][]).map((content) => Number(content[index] ?? 0));
    const isKept = values.every((value) => value >= key.acknowledged || key.unknown.has(value));
    if (!isKept) lost++;
  });
  return { lost, remark: areAlike ? "" : "the nodes do not hold the same" };
}

const HEADING = [
  "fault",
  "no write",
  "no write at one",
  "no read at one",
  "lost",
  "wrong",
  "all members after",
  "views",
];

function cellsOf(row: Row): string[] {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  return [
    row.fault,
    seconds(row.writeGapMs),
    seconds(row.writeGapAtOneMs),
    seconds(row.readGapAtOneMs),
    String(row.lost),
    String(row.wrong),
    row.membersMs === undefined ? `not in ${PATIENCE_MS / 1000} s` : seconds(row.membersMs),
    String(row.views),
  ];
}

/** The table stands between these two lines. */
const BEGIN = "<!-- begin: deno task faults --write -->";
const END = "<!-- end -->";

async function writeDocument(rows: readonly Row[]): Promise<void> {
  const file = new URL("../../docs/faults.md", import.meta.url);
  const text = await Deno.readTextFile(file);
  const [head, rest] = text.split(BEGIN);
  const tail = rest?.split(END)[1];
  if (head === undefined || tail === undefined) throw new Error("docs/faults.md has no marks");
  const lines = [HEADING, HEADING.map((_, column) => column === 0 ? "---" : "--:")];
  const table = [...lines, ...rows.map(cellsOf)].map((cells) => `| ${cells.join(" | ")} |\n`);
  await Deno.writeTextFile(file, `${head}${BEGIN}\n\n${table.join("")}\n${END}${tail}`);
  const fmt = new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file.pathname] });
  if (!(await fmt.output()).success) throw new Error("docs/faults.md cannot be formatted");
}

/** Has all faults happen. Returns whether nothing was lost or wrong, and all nodes came back. */
async function main(setup: FaultsSetup): Promise<boolean> {
  let cluster = new Five(setup);
  const faults = FAULTS.filter((fault) =>
    fault.name.includes(setup.only) && (setup.network !== undefined || !fault.needsNetwork)
  );
  const stop = () => cluster.stop().finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  const rows: Row[] = [];
  let isGood = true;
  try {
    cluster.start(...ALL);
    if (await cluster.untilAllAreMembers() === undefined) throw new Error(cluster.printed);
    for (const [number, fault] of faults.entries()) {
      const row = await measure(fault, cluster, number);
      rows.push(row);
      const cells = cellsOf(row);
      console.log(HEADING.map((title, column) => `${title}: ${cells[column]}`).slice(1).join(", "));
      console.log(`  of: ${row.fault}${row.remark === "" ? "" : ` (${row.remark})`}`);
      if (row.lost !== 0 || row.wrong !== 0 || row.membersMs === undefined) {
        isGood = false;
        console.log(cluster.printed);
      }
      if (row.membersMs !== undefined) continue;
      // What comes next is measured from a good state.
      await cluster.stop();
      await cluster.network?.heal();
      for (const index of ALL) await cluster.wipe(index);
      cluster = new Five(setup);
      cluster.start(...ALL);
      if (await cluster.untilAllAreMembers() === undefined) throw new Error(cluster.printed);
    }
  } finally {
    await cluster.stop();
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
  const right = HEADING.map((_, column) => column === 0 ? "left" as const : "right" as const);
  console.log(`\n${formatTable(HEADING, rows.map(cellsOf), right)}`);
  if (setup.isWritten) await writeDocument(rows);
  return isGood;
}

if (import.meta.main) {
  const isGood = await main(JSON.parse(Deno.args[0] ?? "{}"));
  Deno.exit(isGood ? 0 : 1);
}
