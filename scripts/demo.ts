// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task demo`: replays an operations file on five nodes and on one, and compares.
 *
 * @module
 */

import { bold, dim, green, red, setColorEnabled } from "@std/fmt/colors";
import type { Address } from "../src/address.ts";
import { ClientConnection } from "../src/client/connection.ts";
import { type Operation, parseOperations } from "../src/client/operations_file.ts";
import { formatReport, run, type RunReport } from "../src/client/run.ts";
import type { RespValue } from "../src/resp/value.ts";
import { freePorts, LocalCluster, loopback } from "../tests/harness/cluster.ts";

/** How long a client waits for an answer. */
const TIMEOUT_MS = 10_000;

/** How often the file is replayed: once warms the nodes up and is not shown. */
const REPEAT = 20;

setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
const file = new URL("../examples/operations.csv", import.meta.url);
const { operations } = parseOperations(await Deno.readTextFile(file));
const keys = [...new Set(operations.map((operation) => operation.key))];

console.log(bold("dks demo") + dim(": the operations file of examples/, replayed and compared\n"));
const five = await replayOn(5);
const one = await replayOn(1);
printRatio(five.report, one.report);
if (five.agree) console.log(green("\nAll five nodes agree on every key."));
else console.log(red("\nThe nodes do not agree."));
Deno.exit(five.agree && five.report.failed + one.report.failed === 0 ? 0 : 1);

/** Replays the file on a new cluster of `count` nodes. */
async function replayOn(count: number): Promise<{ report: RunReport; agree: boolean }> {
  console.log(bold(count === 1 ? "A single node" : `${count} nodes, two-phase commit`));
  const ports = freePorts(count);
  const cluster = await LocalCluster.start({ places: loopback(ports) });
  try {
    console.log(dim(`${count === 1 ? "port" : "ports"} ${ports.join(", ")}\n`));
    const addresses = ports.map((port): Address => ({ hostname: "127.0.0.1", port }));
    await replay(addresses, operations, 1);
    const report = await replay(addresses, operations, REPEAT);
    console.log(formatReport(report));
    return { report, agree: await doAgree(addresses) };
  } finally {
    await cluster.stop();
  }
}

async function replay(
  addresses: readonly Address[],
  replayed: readonly Operation[],
  repeat: number,
): Promise<RunReport> {
  return await run({
    addresses,
    operations: replayed,
    repeat,
    connections: 1,
    pipeline: 1,
    reconnect: false,
    retry: false,
    timeoutMs: TIMEOUT_MS,
  });
}

/** Reads every key from every node, prints what each one holds, and tells whether all agree. */
async function doAgree(addresses: readonly Address[]): Promise<boolean> {
  const contents = await Promise.all(addresses.map(readAll));
  const isAlike = contents.every((values) =>
    JSON.stringify(values) === JSON.stringify(contents[0])
  );
  contents.forEach((values, index) => {
    const held = values.filter((value) => value !== null).length;
    const same = JSON.stringify(values) === JSON.stringify(contents[0]);
    const port = addresses[index]?.port;
    const mark = same ? green("as the first") : red("NOT as the first");
    const verdict = index === 0 ? "" : `, every value ${mark}`;
    console.log(`port ${port} holds ${held} of the ${keys.length} keys${verdict}`);
  });
  console.log();
  return isAlike;
}

async function readAll(address: Address): Promise<RespValue[]> {
  const connection = await ClientConnection.open([address], { timeoutMs: TIMEOUT_MS });
  const values = await Promise.all(keys.map((key) => connection.call(["GET", key])));
  connection.close();
  return values;
}

/** What two-phase commit costs: the comparison of the original's report. */
function printRatio(five: RunReport, one: RunReport): void {
  console.log(bold("Five nodes against one"));
  for (const report of five.operations) {
    const single = one.operations.find((other) => other.operation === report.operation);
    if (single === undefined || report.count === 0) continue;
    const ratio = report.mean / single.mean;
    console.log(
      `${report.operation.padEnd(6)}  ${report.mean.toFixed(3)} ms against ` +
        `${single.mean.toFixed(3)} ms: ${ratio.toFixed(1)} times the latency`,
    );
  }
  const ratio = one.operationsPerSecond / five.operationsPerSecond;
  console.log(
    `all     ${Math.round(five.operationsPerSecond)} operations/s against ` +
      `${Math.round(one.operationsPerSecond)}: 1/${ratio.toFixed(1)} of the throughput`,
  );
}
