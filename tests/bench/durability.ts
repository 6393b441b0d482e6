// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * What durability costs: writes each second of five nodes on this machine with their journal on disk
 * and with none, in turns, by `redis-benchmark`. It reports, and asserts nothing.
 *
 *     deno run --allow-all tests/bench/durability.ts [rounds]
 *
 * @module
 */

import { freePorts, LocalCluster, loopback } from "../../scripts/local_cluster.ts";
import { binary } from "../e2e/binary.ts";
import { execute } from "../e2e/commands.ts";
import { withHome } from "../e2e/homes.ts";

/** What is measured: flags of `redis-benchmark`. */
const LOADS = [
  { name: "one at a time", args: ["-n", "40000"] },
  { name: "32 in a pipeline", args: ["-n", "300000", "-P", "32"] },
];

const KINDS = [
  { name: "durable", storage: [] },
  { name: "ephemeral", storage: ["--ephemeral"] },
];

/** Returns writes a second for each of the loads. */
async function measure(storage: readonly string[]): Promise<number[]> {
  const rates: number[] = [];
  await withHome(async (env) => {
    const places = loopback(freePorts(5), await binary());
    const cluster = await LocalCluster.start({ places, storage, env });
    try {
      const port = String(places[0]?.port);
      const common = ["-p", port, "-c", "50", "-d", "100", "-r", "10000", "-t", "set", "--csv"];
      await execute("redis-benchmark", [...common, "-n", "20000"]);
      for (const { args } of LOADS) {
        const { stdout } = await execute("redis-benchmark", [...common, ...args]);
        rates.push(Number(/^"SET","([\d.]+)"/m.exec(stdout)?.[1]));
      }
    } finally {
      await cluster.stop();
    }
  });
  return rates;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

const rounds = Number(Deno.args[0] ?? 3);
const results: Record<string, number[][]> = { durable: [], ephemeral: [] };
for (let round = 0; round < rounds; round++) {
  for (const { name, storage } of KINDS) {
    const rates = await measure(storage);
    results[name]?.push(rates);
    console.log(`round ${round + 1}, ${name}: ${rates.join(" and ")} SET/s`);
  }
}
LOADS.forEach(({ name }, load) => {
  const rateOf = (kind: string) => median((results[kind] ?? []).map((rates) => rates[load] ?? NaN));
  const [durable, ephemeral] = [rateOf("durable"), rateOf("ephemeral")];
  const percent = Math.round(100 * durable / ephemeral);
  console.log(`${name}: ${durable} of ${ephemeral} SET/s, ${percent} %`);
});
