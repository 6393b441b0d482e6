// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * What `faults.ts` runs: one fault after the other on the same five nodes, under load, measured.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { runMemberCases } from "./member_cases.ts";
import {
  compare,
  Gaps,
  loadOf,
  seconds,
  type Table,
  tableText,
  writeTables,
} from "./fault_rows.ts";
import { type FaultsSetup, Machines, PATIENCE_MS, statusOf } from "./machines.ts";

/** How many nodes there are. */
const FAULT_NODES = 5;

/** Load before a fault, during it unless the case says otherwise, and after it, in milliseconds. */
const BEFORE_MS = 1500;
const DURING_MS = 5000;
const AFTER_MS = 1000;

/** A fault that would change the view again and again lasts this long, in milliseconds. */
const LONG_MS = 75_000;

/** In its beginning the view may change more often, in milliseconds. */
const FIRST_MS = 15_000;

/** One of the nodes takes more requests than the others: their clients rest for longer, in ms. */
const BUSY = 3;
const BUSY_REST_MS = 5;
const REST_MS = 40;

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
  readonly happen: (cluster: Machines, gaps: Gaps) => Promise<string | void>;
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
  return async (cluster, gaps) => {
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
          if (at === lastAt) gaps.note(ALL);
          await cluster.kill(node);
          await delay(downMs);
          cluster.start(node);
        })();
        isUp.set(node, after);
        return after;
      }));
      if (await cluster.untilAllAreMembers() === undefined) break;
      pauses.push(gaps.note(ALL));
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

function cutOff(cut: (cluster: Machines) => Promise<void>): Fault["happen"] {
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
    happen: async (cluster, gaps) => {
      for (const index of ALL) {
        await cluster.node(index).stop("SIGTERM");
        cluster.start(index);
        if (await cluster.untilAllAreMembers() === undefined) return;
        gaps.note(without(index));
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
async function measure(fault: Fault, cluster: Machines, number: number): Promise<Row> {
  const workload = loadOf(cluster.addresses, {
    prefix: `fault:${number}`,
    restMs: (node) => node === BUSY ? BUSY_REST_MS : REST_MS,
  });
  try {
    const before = await statusOf(cluster.address(0));
    await delay(BEFORE_MS);
    const gaps = new Gaps(workload);
    const said = await fault.happen(cluster, gaps);
    const endedAt = performance.now();
    const view = await cluster.untilAllAreMembers();
    const membersMs = performance.now() - endedAt;
    await delay(AFTER_MS);
    gaps.note(fault.others);
    await workload.stop();
    const { lost, remark } = await compare(workload, cluster.addresses);
    return {
      fault: fault.name,
      writeGapMs: gaps.allMs,
      writeGapAtOneMs: gaps.writeMs,
      readGapAtOneMs: gaps.readMs,
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

/** Stands in front of the table in the document. */
const BEGIN = "<!-- begin: deno task faults --write -->";

/** Has all faults happen. Returns the table, and whether nothing was lost or wrong. */
async function runFaults(setup: FaultsSetup): Promise<{ table: Table; isGood: boolean }> {
  const faults = FAULTS.filter((fault) =>
    fault.name.includes(setup.only) && (setup.network !== undefined || !fault.needsNetwork)
  );
  const rows: Row[] = [];
  let isGood = true;
  let cluster: Machines | undefined;
  for (const [number, fault] of faults.entries()) {
    cluster ??= await Machines.startAll(setup, FAULT_NODES);
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
    cluster = undefined;
  }
  await cluster?.stop();
  const table = { begin: BEGIN, heading: HEADING, words: 1, rows: rows.map(cellsOf) };
  return { table, isGood };
}

/** Runs everything that is asked for. Returns whether all of it was good, all nodes came back included. */
async function main(setup: FaultsSetup): Promise<boolean> {
  const stop = () => Machines.stopAll().finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    const results = [await runFaults(setup), await runMemberCases(setup)];
    const tables = results.map(({ table }) => table).filter(({ rows }) => rows.length > 0);
    for (const table of tables) console.log(`\n${tableText(table)}`);
    if (setup.isWritten) await writeTables(tables);
    return results.every(({ isGood }) => isGood);
  } finally {
    await Machines.stopAll();
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}

if (import.meta.main) {
  const isGood = await main(JSON.parse(Deno.args[0] ?? "{}"));
  Deno.exit(isGood ? 0 : 1);
}
