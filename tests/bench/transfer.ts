// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * What the transfer of all keys to a node that has lost its disk costs the others.
 *
 *     deno run --allow-all tests/bench/transfer.ts [--keys 1000000] [--seconds 30] [--warm-up 30] [--pause MS]
 *
 * Five nodes on this machine, with their journals on disk, hold the keys, with values of 100 bytes.
 * Through four of them goes a load: 50 connections, each of which sets and gets random keys in turn,
 * one request at a time and, but for `--pause`, without a rest. It is measured
 *
 * - `all`: with all five nodes up,
 * - `four`: with the fifth one stopped,
 * - `transfer`: from the start of the fifth one, on an empty disk, until it is a member again,
 * - `again`: after that.
 *
 * The nodes, and the load too, share the processors of this machine, of which the load without a rest
 * leaves none idle: what the transfer needs, of the node that sends and of the one that receives, it
 * takes from the requests. It reports, and asserts nothing.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { freePorts, NodeProcess } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { formatTable } from "../../src/client/table.ts";
import type { ClusterStatus } from "../../src/cluster_status.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { withHome } from "../harness/homes.ts";
import { taskArguments } from "../harness/task_arguments.ts";

const CONNECTIONS = 50;
const VALUE = "v".repeat(100);
const BATCH_KEYS = 100;
const CLIENT_TIMEOUT_MS = 60_000;
const STATUS_PAUSE_MS = 50;
const TRIES_MAX = 20;

const args = taskArguments(
  "deno run --allow-all tests/bench/transfer.ts [--keys N] [--seconds S] [--warm-up S] [--pause MS]",
  {
    string: ["keys", "seconds", "warm-up", "pause"],
    default: { keys: "1000000", seconds: "30", "warm-up": "30", pause: "0" },
  },
);
const keys = Number(args["keys"]);
const measureMs = 1000 * Number(args["seconds"]);
const warmUpMs = 1000 * Number(args["warm-up"]);
const pauseMs = Number(args["pause"]);
const nameOf = (index: number) => `key:${String(index).padStart(8, "0")}`;

/** What was counted since some moment. */
interface Tally {
  beganAt: number;
  sets: number;
  gets: number;
  errors: number;
  lastSet: number;
  /** The longest time without a write that any node has acknowledged. */
  gapMs: number;
}

function newTally(): Tally {
  const now = performance.now();
  return { beganAt: now, sets: 0, gets: 0, errors: 0, lastSet: now, gapMs: 0 };
}

/** Sets and gets random keys until `isOver`, and counts in what `tally` returns at that moment. */
async function load(
  address: Address,
  { tally, isOver }: { tally: () => Tally; isOver: () => boolean },
): Promise<void> {
  const connection = await ClientConnection.open([address], { timeoutMs: CLIENT_TIMEOUT_MS });
  for (let turn = 0; !isOver(); turn++) {
    const key = nameOf(Math.floor(Math.random() * keys));
    const isSet = turn % 2 === 0;
    const reply = await connection.call(isSet ? ["SET", key, VALUE] : ["GET", key]);
    const counts = tally();
    if (reply instanceof ErrorReply) counts.errors++;
    else if (!isSet) counts.gets++;
    else {
      const now = performance.now();
      counts.sets++;
      counts.gapMs = Math.max(counts.gapMs, now - counts.lastSet);
      counts.lastSet = now;
    }
    if (pauseMs > 0) await delay(pauseMs);
  }
  connection.close();
}

/** Gives all keys a value. */
async function fill(address: Address): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    const connection = await ClientConnection.open([address], { timeoutMs: CLIENT_TIMEOUT_MS });
    for (; next < keys;) {
      const first = next;
      next += BATCH_KEYS;
      const batch = Array.from({ length: Math.min(BATCH_KEYS, keys - first) }, (_, index) => {
        return [nameOf(first + index), VALUE];
      });
      // A busy machine may be too slow for a write; it is the same when it is sent again.
      for (let tries = 1;; tries++) {
        const reply = await connection.call(["MSET", ...batch.flat()]);
        if (!(reply instanceof ErrorReply)) break;
        if (tries === TRIES_MAX) throw new Error(reply.message);
      }
    }
    connection.close();
  }));
}

/** Waits until the node at `address` says that it is complete with `count` members. */
async function untilMembers(address: Address, count: number): Promise<void> {
  for (;; await delay(STATUS_PAUSE_MS)) {
    let connection: ClientConnection | undefined;
    try {
      connection = await ClientConnection.open([address], { timeoutMs: CLIENT_TIMEOUT_MS });
      const reply = await connection.call(["DKS.STATUS"]);
      if (typeof reply !== "string") continue; // It is starting.
      const status: ClusterStatus = JSON.parse(reply);
      const members = status.nodes.filter((node) => node.isInView);
      if (status.isComplete && members.length === count) return;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error; // It is not up yet.
    } finally {
      connection?.close();
    }
  }
}

const rows: string[][] = [];
const rates = new Map<string, number>();

function report(phase: string, tally: Tally): void {
  const now = performance.now();
  const seconds = (now - tally.beganAt) / 1000;
  const gapMs = Math.max(tally.gapMs, now - tally.lastSet);
  rates.set(phase, (tally.sets + tally.gets) / seconds);
  rows.push([
    phase,
    seconds.toFixed(1),
    (tally.sets / seconds).toFixed(0),
    (tally.gets / seconds).toFixed(0),
    String(tally.errors),
    gapMs.toFixed(0),
  ]);
  console.log(rows.at(-1)?.join("  "));
}

await withHome(async (env, home) => {
  const program = await binary();
  const ports = freePorts(5);
  const addresses = ports.map((port): Address => ({ hostname: "127.0.0.1", port }));
  const peers = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const [first] = addresses;
  if (first === undefined) throw new Error("there are no nodes");
  const dataOf = (index: number) => `${home}/node-${index}`;
  const start = (index: number) =>
    new NodeProcess({
      program,
      port: ports[index] ?? 0,
      args: ["--peers", peers],
      storage: [],
      env: { ...env, XDG_DATA_HOME: dataOf(index) },
    });
  const nodes = ports.map((_, index) => start(index));
  try {
    await untilMembers(first, 5);
    const beganAt = performance.now();
    await fill(first);
    console.log(`${keys} keys were set in ${((performance.now() - beganAt) / 1000).toFixed(1)} s`);

    let tally = newTally();
    let isOver = false;
    const clients = Array.from({ length: CONNECTIONS }, (_, index) => {
      const address = addresses[index % 4] ?? first;
      return load(address, { tally: () => tally, isOver: () => isOver });
    });
    const measure = async (phase: string, wait: () => Promise<unknown>) => {
      tally = newTally();
      await wait();
      report(phase, tally);
    };
    console.log("phase, seconds, SET/s, GET/s, errors, longest time without a write in ms");
    // Behind so many writes the journals are folded for a while.
    await measure("warm-up", () => delay(warmUpMs));
    await measure("all", () => delay(measureMs));
    await nodes[4]?.stop();
    await untilMembers(first, 4);
    await measure("four", () => delay(measureMs));
    await Deno.remove(dataOf(4), { recursive: true });
    nodes[4] = start(4);
    await measure("transfer", () => untilMembers(first, 5));
    await measure("again", () => delay(measureMs));
    isOver = true;
    await Promise.all(clients);
  } finally {
    await Promise.all(nodes.map((node) => node.stop("SIGKILL")));
  }
});

const heading = ["phase", "seconds", "SET/s", "GET/s", "errors", "longest gap, ms"];
const right = heading.map((_, column) => column === 0 ? "left" as const : "right" as const);
console.log(`\n${formatTable(heading, rows, right)}`);
const percent = (phase: string) =>
  Math.round(100 * (rates.get("transfer") ?? NaN) / (rates.get(phase) ?? NaN));
console.log(`during the transfer: ${percent("four")} % of four, ${percent("all")} % of all`);
