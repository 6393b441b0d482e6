// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * Changes of the list of nodes under load, with a failure in the middle of each: measured, for
 * `deno task faults`.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { member } from "../../src/client/member.ts";
import type { MemberList } from "../../src/cluster_status.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { majority } from "../../src/two_phase/quorum.ts";
import { compare, Gaps, loadOf, seconds, type Table } from "./fault_rows.ts";
import { callOnceAt, type FaultsSetup, MACHINES, Machines } from "./machines.ts";
import { Lateness } from "./lateness.ts";
import { until } from "./processes.ts";

/** What happens in the middle of each change, besides it. */
type Failure = "nothing" | "killed" | "paused" | "cut off";

/** How long it lasts: longer than it takes the others to continue without a node, in milliseconds. */
const FAILURE_MS = 3000;

/** From the request to remove a node until something fails, in milliseconds. */
const MIDDLE_MS = 10;

/** Load before a change, and after it, in milliseconds. */
const BEFORE_MS = 300;
const AFTER_MS = 300;

/** What the nodes hold besides what the load writes: it takes a new node a while to get it. */
const PRELOADED = { keys: 30_000, valueBytes: 100, keysPerWrite: 100 };

/** A command that changes the list is given up after this time, in milliseconds. */
const COMMAND_MS = 10_000;

/** It is given so many times. */
const TRIES_MAX = 6;

/** Time for one answer of a node that is asked for its list, in milliseconds. */
const ASK_MS = 500;

/** What the client colours its errors with. */
const COLOURS = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");

/**
 * A case beyond its goal, in which this process itself stood still for longer than this, is measured
 * again, so many times: then it was not the cluster that stood still.
 */
const STOOD_STILL_MS = 100;
const MEASURED_AGAIN = 4;

/** The goals, in milliseconds. */
const PLANNED_MS_MAX = 300;
const FAILURE_MS_MAX = 3000;

/** One case: a row of the table. */
interface MemberCase {
  readonly name: string;
  readonly failure: Failure;
  /** How many nodes there are before it. */
  readonly from: number;
  readonly run: (cluster: Cluster) => Promise<void>;
}

/** One change. */
type Change =
  | { readonly kind: "add"; readonly node: number }
  | { readonly kind: "remove"; readonly node: number }
  | { readonly kind: "replace"; readonly node: number; readonly replaces: number };

/** What changes are measured with; nothing while a case is prepared. */
interface Measures {
  readonly gaps: Gaps;
  readonly failure: Failure;
  readonly changes: number[];
  readonly membersMs: number[];
  readonly remarks: string[];
  /** Which node fails in the middle of the next change, by its part in it. */
  turn: number;
}

/** Nodes that come and go. */
class Cluster {
  readonly machines: Machines;
  /** The machines whose nodes are in the list, the one that is in it for longest first. */
  listed: number[] = [];
  measures: Measures | undefined;
  readonly isVerbose: boolean;

  constructor(machines: Machines, options: { readonly isVerbose: boolean }) {
    this.machines = machines;
    this.isVerbose = options.isVerbose;
  }

  /** A machine whose node is not in the list. */
  get spare(): number {
    const spare = [...this.machines.addresses.keys()].find((one) => !this.listed.includes(one));
    if (spare === undefined) throw new Error("no machine is left");
    return spare;
  }

  async startFirst(): Promise<void> {
    await this.machines.clear();
    const name = this.machines.nameOf(0);
    this.machines.startWith(0, ["--peers", name, "--advertise", name]);
    this.listed = [0];
    if (await this.machines.untilAllAreMembers([0]) === undefined) {
      throw new Error(this.machines.printed);
    }
  }

  /** Adds nodes or removes them, until there are `count`. */
  async resize(count: number): Promise<void> {
    while (this.listed.length < count) {
      const node = this.spare;
      await this.#startNew(node);
      await this.#change({ kind: "add", node });
    }
    while (this.listed.length > count) {
      const [node = 0] = this.listed;
      await this.#change({ kind: "remove", node });
      await this.#stop(node);
    }
  }

  /** Replaces each node once, the one that is in the list for longest first. */
  async replaceAll({ isDead }: { readonly isDead: boolean }): Promise<void> {
    for (const replaces of [...this.listed]) {
      const node = this.spare;
      await this.#startNew(node);
      if (isDead) await this.#killFirst(replaces);
      await this.#change({ kind: "replace", node, replaces });
      await this.#stop(replaces);
    }
  }

  /** Starts a node with an empty journal, which waits until it is in the list. */
  async #startNew(node: number): Promise<void> {
    const { machines } = this;
    await machines.wipe(node);
    const join = this.listed.map((one) => machines.nameOf(one)).join(",");
    const process = machines.startWith(node, [
      "--join",
      join,
      "--advertise",
      machines.nameOf(node),
    ]);
    await process.untilPrinted(/is not in the list/);
    await delay(BEFORE_MS);
  }

  async #stop(node: number): Promise<void> {
    await this.machines.kill(node);
  }

  /** Kills a node that is about to be replaced; waits until the others go on, if more is to fail. */
  async #killFirst(node: number): Promise<void> {
    this.measures?.gaps.skip();
    await this.machines.kill(node);
    const others = this.#without(node);
    if (this.measures === undefined || this.measures.failure === "nothing") return;
    await until("the others go on", async () => {
      const list = await this.#listAt(others[0] ?? 0);
      const role = list?.nodes.find(({ address }) => address === this.machines.nameOf(node))?.role;
      return role !== undefined && role !== "member";
    });
    await delay(2 * FAILURE_MS / 3);
    this.measures.gaps.note(others);
  }

  #without(...nodes: number[]): number[] {
    return this.listed.filter((one) => !nodes.includes(one));
  }

  async #listAt(index: number): Promise<MemberList | undefined> {
    const { machines } = this;
    const reply = await callOnceAt(machines.address(index), ["DKS.MEMBER", "LIST"], ASK_MS)
      .catch(() => undefined);
    return typeof reply === "string" ? JSON.parse(reply) as MemberList : undefined;
  }

  /** Makes one change, and has a node fail in the middle of it, if one is to. */
  async #change(change: Change): Promise<void> {
    const { machines, measures } = this;
    const leaving = change.kind === "add"
      ? undefined
      : change.kind === "remove"
      ? change.node
      : change.replaces;
    const staying = leaving === undefined ? this.listed : this.#without(leaving);
    const asked = staying.at(-1) ?? 0;
    const isDead = leaving !== undefined && machines.node(leaving).hasEnded;
    const beganAt = performance.now();
    if (!isDead || measures?.failure !== "nothing") measures?.gaps.skip();
    const done = this.#ask(change, asked);
    done.catch(() => {}); // It is waited for below.
    let concerned: number | undefined;
    if (measures !== undefined && measures.failure !== "nothing") {
      concerned = this.#victimOf(change, { asked, staying, isDead });
      await this.#untilMiddle(change, staying.find((one) => one !== concerned) ?? asked);
      await this.#fail(concerned, { change, isDead });
    }
    const healedAt = performance.now();
    await done;
    const doneAt = performance.now();
    this.listed = change.kind === "remove" ? staying : [...staying, change.node];
    const view = await machines.untilAllAreMembers(this.listed);
    if (view === undefined) throw new Error(`not all are members:\n${machines.printed}`);
    if (measures === undefined) return;
    measures.changes.push(doneAt - beganAt);
    measures.membersMs.push(performance.now() - Math.max(healedAt, doneAt));
    await delay(AFTER_MS);
    const pauseMs = measures.gaps.note(staying.filter((one) => one !== concerned));
    if (this.isVerbose) {
      console.log(
        `  ${change.kind}: took ${seconds(doneAt - beganAt)}, no write for ${seconds(pauseMs)}`,
      );
    }
  }

  /** Asks for a change as `dks client member` does, and again if a failure has it refused. */
  async #ask(change: Change, asked: number): Promise<void> {
    const { machines, measures } = this;
    const { kind, node } = change;
    const words = [
      kind,
      ...kind === "replace" ? [machines.nameOf(change.replaces)] : [],
      machines.nameOf(node),
    ];
    const addresses = [asked, ...this.#without(asked, node)].map((one) => machines.address(one));
    for (let tries = 1;; tries++) {
      let said = "";
      const say = (text: string | Uint8Array) => {
        if (typeof text === "string") said += text;
        return Promise.resolve();
      };
      const output = { write: say, note: say, isTerminal: false };
      const options = { addresses, timeoutMs: COMMAND_MS, credentials: undefined, tls: undefined };
      const code = await member(words, { ...options, output }).catch((error) => {
        said += String(error);
        return -1;
      });
      if (code === 0) return;
      if (tries === TRIES_MAX) throw new Error(`member ${words.join(" ")}: ${said}`);
      const reply = said.trim().replaceAll(COLOURS, "");
      measures?.remarks.push(`asked again for "${words.join(" ")}": ${reply}`);
      await delay(100);
    }
  }

  /** Returns which node fails: each in turn, but never one without which no majority runs. */
  #victimOf(
    change: Change,
    { asked, staying, isDead }: { asked: number; staying: readonly number[]; isDead: boolean },
  ): number {
    const { measures, listed } = this;
    const turn = measures === undefined ? 0 : measures.turn++;
    const another = staying[0] ?? asked;
    if (change.kind === "add") {
      const choice = listed.length < 3 ? [change.node] : [asked, another, change.node];
      return choice[turn % choice.length] ?? asked;
    }
    if (change.kind === "replace") {
      const choice = [change.node, asked, another, isDead ? asked : change.replaces];
      return choice[turn % choice.length] ?? asked;
    }
    const choice = listed.length <= 3 ? [change.node] : [another, asked];
    return choice[turn % choice.length] ?? asked;
  }

  /** Waits until a change is under way: a new node gets what the others hold, or one is told to leave. */
  async #untilMiddle(change: Change, witness: number): Promise<void> {
    if (change.kind === "remove") return await delay(MIDDLE_MS);
    const name = this.machines.nameOf(change.node);
    for (;;) {
      const list = await this.#listAt(witness);
      const row = list?.nodes.find(({ address }) => address === name);
      if (row !== undefined && (!row.isLearner || (row.chunks ?? 0) > 0)) return;
      await delay(2);
    }
  }

  /** Has a node fail for a while. */
  async #fail(
    node: number,
    { change, isDead }: { readonly change: Change; readonly isDead: boolean },
  ): Promise<void> {
    const { machines, measures } = this;
    if (measures === undefined) return;
    const others = [...machines.addresses.keys()].filter((one) => one !== node);
    measures.gaps.note(this.#without(node, change.kind === "replace" ? change.replaces : node));
    if (measures.failure === "killed") await machines.kill(node);
    else if (measures.failure === "paused") machines.node(node).signal("SIGSTOP");
    else await machines.cutBetween([node], others);
    await delay(FAILURE_MS);
    await this.#noteMajority(node, { change, isDead });
    if (measures.failure === "killed") machines.start(node);
    else if (measures.failure === "paused") machines.node(node).signal("SIGCONT");
    else await machines.network?.heal();
  }

  /** If the nodes that count and run are no majority, what nobody could write does not count. */
  async #noteMajority(
    failed: number,
    { change, isDead }: { readonly change: Change; readonly isDead: boolean },
  ): Promise<void> {
    const { machines, measures } = this;
    const replaced = change.kind === "replace" && isDead ? [change.replaces] : [];
    const down = [failed, ...replaced].map((one) => machines.nameOf(one));
    const [witness] = this.#without(
      failed,
      ...replaced,
      change.kind === "remove" ? change.node : -1,
    );
    const list = await this.#listAt(witness ?? 0);
    if (list === undefined) return;
    const counting = list.nodes.filter(({ isLearner }) => !isLearner);
    const running = counting.filter(({ address }) => !down.includes(address));
    if (running.length >= majority(counting.length)) return;
    const skipped = measures?.gaps.skip() ?? 0;
    const which = change.kind === "remove" ? "removal" : "addition";
    measures?.remarks.push(
      `during the ${which} of one of ${counting.length} nodes no majority ran for ` +
        `${seconds(FAILURE_MS)}, without a write for ${seconds(skipped)}, which does not count`,
    );
  }
}

const FAILURES: readonly Failure[] = ["nothing", "killed", "paused", "cut off"];

const GROUPS: readonly Omit<MemberCase, "failure">[] = [
  { name: "grow 1 → 2 → 3 → 4 → 5", from: 1, run: (cluster) => cluster.resize(5) },
  {
    name: "replace all five, each killed before",
    from: 5,
    run: (cluster) => cluster.replaceAll({ isDead: true }),
  },
  {
    name: "replace all five, alive",
    from: 5,
    run: (cluster) => cluster.replaceAll({ isDead: false }),
  },
  { name: "shrink 5 → 4 → 3 → 2 → 1", from: 5, run: (cluster) => cluster.resize(1) },
];

const CASES: readonly MemberCase[] = [
  ...FAILURES.flatMap((failure) => GROUPS.map((group): MemberCase => ({ ...group, failure }))),
  {
    name: "grow 1 → 6, and shrink 6 → 1",
    from: 1,
    failure: "nothing",
    run: async (cluster) => {
      await cluster.resize(6);
      await cluster.resize(1);
    },
  },
];

/** What was measured of one case. */
interface Row {
  readonly about: MemberCase;
  readonly gaps: Gaps;
  readonly changes: readonly number[];
  readonly membersMs: readonly number[];
  readonly lost: number;
  readonly wrong: number;
  /** It was beyond its goal, and this process stood still. */
  readonly isDisturbed: boolean;
  readonly remarks: readonly string[];
}

const HEADING = [
  "change, one node at a time",
  "in the middle of each",
  "changes",
  "longest",
  "no write",
  "no write at one",
  "no read at one",
  "lost",
  "wrong",
  "all members after",
];

function cellsOf({ about, gaps, changes, membersMs, lost, wrong }: Row): string[] {
  const { name, failure } = about;
  return [
    name,
    failure === "nothing" ? "nothing" : `a node is ${failure}`,
    String(changes.length),
    seconds(Math.max(0, ...changes)),
    seconds(gaps.allMs),
    seconds(gaps.writeMs),
    seconds(gaps.readMs),
    String(lost),
    String(wrong),
    seconds(Math.max(0, ...membersMs)),
  ];
}

async function preload(cluster: Cluster): Promise<void> {
  const { keys, valueBytes, keysPerWrite } = PRELOADED;
  const value = "x".repeat(valueBytes);
  for (let from = 0; from < keys; from += keysPerWrite) {
    const pairs = Array.from(
      { length: keysPerWrite },
      (_, index) => [`preloaded:${from + index}`, value],
    );
    const reply = await callOnceAt(
      cluster.machines.address(0),
      ["MSET", ...pairs.flat()],
      COMMAND_MS,
    );
    if (reply instanceof ErrorReply) throw new Error(`cannot be preloaded: ${reply.message}`);
  }
}

/** Counts the keys at each node: the same everywhere, and nothing of what was preloaded is missing. */
async function countKeys(cluster: Cluster): Promise<string> {
  const addresses = cluster.listed.map((index) => cluster.machines.address(index));
  const counts = await Promise.all(
    addresses.map(async (address) => Number(await callOnceAt(address, ["DBSIZE"], COMMAND_MS))),
  );
  const isRight = counts.every((one) => one === counts[0] && one >= PRELOADED.keys);
  return isRight ? "" : `the nodes hold ${counts.join(", ")} keys`;
}

async function measure(
  about: MemberCase,
  cluster: Cluster,
  { name, lateness }: { readonly name: string; readonly lateness: Lateness },
): Promise<Row> {
  await cluster.resize(about.from);
  const workload = loadOf(cluster.machines.addresses, { prefix: `members:${name}` });
  try {
    await delay(BEFORE_MS);
    const measures: Measures = {
      gaps: new Gaps(workload),
      failure: about.failure,
      changes: [],
      membersMs: [],
      remarks: [],
      turn: 0,
    };
    cluster.measures = measures;
    await about.run(cluster);
    cluster.measures = undefined;
    await workload.stop();
    const { listed, machines } = cluster;
    const { lost, remark } = await compare(
      workload,
      listed.map((index) => machines.address(index)),
    );
    const isMissing = await countKeys(cluster);
    const bound = about.failure === "nothing" && !about.name.includes("killed")
      ? PLANNED_MS_MAX
      : FAILURE_MS_MAX;
    const isBeyond = measures.gaps.allMs > bound;
    const beyond = isBeyond
      ? `beyond the goal of ${seconds(bound)}; this process itself was late by up to ` +
        seconds(lateness.mostMs)
      : "";
    return {
      about,
      gaps: measures.gaps,
      changes: measures.changes,
      membersMs: measures.membersMs,
      lost: isMissing === "" ? lost : NaN,
      wrong: workload.wrong.length,
      isDisturbed: isBeyond && lateness.mostMs > STOOD_STILL_MS,
      remarks: [beyond, remark, isMissing, ...measures.remarks, ...workload.wrong.slice(0, 3)]
        .filter((text) => text !== ""),
    };
  } finally {
    cluster.measures = undefined;
    await workload.stop();
  }
}

/** Stands in front of the table in the document. */
const BEGIN = "<!-- begin: deno task faults --write, members -->";

function print(row: Row, what: string): void {
  const cells = cellsOf(row);
  console.log(HEADING.map((title, column) => `${title}: ${cells[column]}`).slice(2).join(", "));
  console.log(`  of: ${cells[0]}, ${cells[1]}${what}`);
  for (const remark of row.remarks) console.log(`  (${remark})`);
}

async function startCluster(machines: Machines, setup: FaultsSetup): Promise<Cluster> {
  const cluster = new Cluster(machines, setup);
  await cluster.startFirst();
  await preload(cluster);
  return cluster;
}

/** Makes all changes. Returns the table, and whether nothing was lost or wrong. */
export async function runMemberCases(
  setup: FaultsSetup,
): Promise<{ table: Table; isGood: boolean }> {
  const cases = CASES.filter(({ name, failure }) =>
    `members: ${name}, ${failure}`.includes(setup.only) &&
    (setup.network !== undefined || failure !== "cut off")
  );
  const rows: Row[] = [];
  let isGood = true;
  let cluster: Cluster | undefined;
  for (const [number, one] of cases.entries()) {
    for (let again = 0; again <= MEASURED_AGAIN; again++) {
      const machines = cluster?.machines ?? new Machines(setup, MACHINES);
      const lateness = new Lateness();
      let row: Row;
      try {
        cluster ??= await startCluster(machines, setup);
        row = await measure(one, cluster, { name: `${number}.${again}`, lateness });
      } catch (error) {
        // What comes next is measured from a good state.
        console.log(`${one.name}, ${one.failure}: ${error}\n${machines.printed}`);
        await machines.stop();
        cluster = undefined;
        isGood &&= lateness.mostMs > STOOD_STILL_MS && again < MEASURED_AGAIN;
        continue;
      } finally {
        lateness.stop();
      }
      const isRight = row.lost === 0 && row.wrong === 0;
      const counts = !isRight || !row.isDisturbed || again === MEASURED_AGAIN;
      print(row, counts ? "" : ", which is measured again");
      if (!isRight) console.log(machines.printed);
      isGood &&= isRight;
      if (!counts) continue;
      rows.push(row);
      break;
    }
  }
  await cluster?.machines.stop();
  return { table: { begin: BEGIN, heading: HEADING, words: 2, rows: rows.map(cellsOf) }, isGood };
}
