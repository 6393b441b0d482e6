// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * How long keys that expire hold a node up.
 *
 *     deno run --allow-all tests/bench/expiry.ts [--keys 1000000] [--seconds 60] [--nodes 5]
 *
 * Nodes on this machine, which store nothing, get the keys, all of which expire within the seconds that
 * follow. Meanwhile each node is asked for a PING every few milliseconds, one after the other. It reports
 * how long the longest of them took, how late the last key went, and the longest turn of the event loop
 * that the nodes tell of, before and after. The nodes share the processors of this machine.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { ClientConnection } from "../../src/client/connection.ts";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { taskArguments } from "../harness/task_arguments.ts";

const BATCH_KEYS = 500;
const PING_PAUSE_MS = 5;

/** No PING should take longer than this, in milliseconds. */
const GOAL_MS = 50;

const args = taskArguments(
  "deno run --allow-all tests/bench/expiry.ts [--keys N] [--seconds S] [--nodes N]",
  {
    string: ["keys", "seconds", "nodes"],
    default: { keys: "1000000", seconds: "60", nodes: "5" },
  },
);
const keys = Number(args["keys"]);
const ms = 1000 * Number(args["seconds"]);
const ports = freePorts(Number(args["nodes"]));

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 30_000 });
}

async function field(connection: ClientConnection, name: string): Promise<number> {
  const info = String(await connection.call(["INFO"]));
  return Number(new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1]);
}

/** Asks each node for PINGs while `goesOn`. Returns how long they took, by node, in order; tells of long ones. */
async function pingWhile(goesOn: () => boolean | Promise<boolean>): Promise<number[][]> {
  let isOver = false;
  const pings = connections.map(async (connection, node) => {
    const times: number[] = [];
    while (!isOver) {
      const sentAt = performance.now();
      await connection.call(["PING"]);
      const time = performance.now() - sentAt;
      times.push(time);
      if (time > GOAL_MS) {
        const s = ((Date.now() - time - begin) / 1000).toFixed(1);
        console.log(`n${node}: a PING took ${time.toFixed(1)} ms, ${s} s after the first expiry`);
      }
      await delay(PING_PAUSE_MS);
    }
    return times.sort((a, b) => a - b);
  });
  while (await goesOn()) await delay(PING_PAUSE_MS);
  isOver = true;
  return await Promise.all(pings);
}

const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
const connections = await Promise.all(ports.map(connect));
const [first] = connections;
if (first === undefined) throw new Error("there is no node");

const loadMs = 45 * keys / 1000;
const begin = Date.now() + loadMs;
for (let at = 0; at < keys; at += 8 * BATCH_KEYS) {
  const batches = Array.from({ length: 8 }, (_, batch) => {
    const words: string[] = [];
    for (let i = 0; i < BATCH_KEYS; i++) {
      const expiresAtMs = Math.floor(begin + Math.random() * ms);
      words.push(`key:${at + batch * BATCH_KEYS + i}`, "v".repeat(20), String(expiresAtMs));
    }
    return first.call(["DKS.IMPORT", ...words]);
  });
  await Promise.all(batches);
}
const loaded = Number(await first.call(["DBSIZE"]));
console.log(`${loaded} keys after ${((Date.now() - begin + loadMs) / 1000).toFixed(1)} s`);
const quiet = await pingWhile(() => Date.now() < begin);

const longestBefore = await Promise.all(connections.map((one) => field(one, "longest_turn_ms")));
const all = await pingWhile(async () => {
  await delay(20);
  return Number(await first.call(["DBSIZE"])) > 0;
});
console.log(`the last key went ${Date.now() - begin - ms} ms after its time`);
const longest = await Promise.all(connections.map((one) => field(one, "longest_turn_ms")));
const expired = await Promise.all(connections.map((one) => field(one, "expired_keys")));
all.forEach((times, node) => {
  const at = (part: number) => (times[Math.floor(part * (times.length - 1))] ?? 0).toFixed(1);
  console.log(
    `n${node}: PING of ${times.length}: median ${at(0.5)} ms, 99.9 % ${at(0.999)} ms, longest ` +
      `${at(1)} ms (${(quiet[node]?.at(-1) ?? 0).toFixed(1)} while nothing expired); longest turn ${
        longest[node]
      } ms (${longestBefore[node]} before); ` +
      `${expired[node]} keys expired by it`,
  );
});
for (const connection of connections) connection.close();
await cluster.stop();
