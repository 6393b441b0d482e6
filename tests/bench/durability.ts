// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * What durability costs: writes each second, and processor time for each, of five nodes on this
 * machine with their journal on disk and of five with none, by `redis-benchmark`. Both clusters are
 * up all the time, and take their turns at short loads: what else goes on here slows both. It reports,
 * and asserts nothing.
 *
 *     deno run --allow-all tests/bench/durability.ts [rounds]
 *
 * @module
 */

import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { binary } from "../harness/binary.ts";
import { execute } from "../harness/processes.ts";
import { withHome } from "../harness/homes.ts";

interface Load {
  readonly name: string;
  readonly pipeline: number;
  readonly requests: number;
}

const LOADS: readonly Load[] = [
  { name: "one at a time", pipeline: 1, requests: 15_000 },
  { name: "32 in a pipeline", pipeline: 32, requests: 120_000 },
];

interface Measured {
  readonly perSecond: number;
  /** Processor time of all nodes for one write, in microseconds. */
  readonly cpuUs: number;
}

/** One cluster, and what was measured of it: by load, round after round. */
class Measurement {
  readonly results: Measured[][] = LOADS.map(() => []);
  readonly #cluster: LocalCluster;

  constructor(readonly name: string, cluster: LocalCluster) {
    this.#cluster = cluster;
  }

  async run({ pipeline, requests }: Load): Promise<Measured> {
    const port = String(this.#cluster.nodes[0]?.port);
    const before = await this.#cpuMs();
    const { stdout } = await execute("redis-benchmark", [
      ...["-p", port, "-c", "50", "-d", "100", "-r", "10000", "-t", "set", "--csv"],
      ...["-P", String(pipeline), "-n", String(requests)],
    ]);
    const perSecond = Number(/^"SET","([\d.]+)"/m.exec(stdout)?.[1]);
    return { perSecond, cpuUs: 1000 * (await this.#cpuMs() - before) / requests };
  }

  /** Processor time of all nodes so far, from the kernel's books: ticks of 10 ms. */
  async #cpuMs(): Promise<number> {
    const times = await Promise.all(this.#cluster.nodes.map(async ({ pid }) => {
      const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return 10 * (Number(fields[11]) + Number(fields[12]));
    }));
    return times.reduce((sum, ms) => sum + ms, 0);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

async function compare(durable: Measurement, ephemeral: Measurement): Promise<void> {
  for (const [index, load] of LOADS.entries()) {
    for (const one of [durable, ephemeral]) await one.run(load); // Until it is warm.
    for (let round = 0; round < rounds; round++) {
      const both = [durable, ephemeral];
      for (const one of round % 2 === 0 ? both : both.reverse()) {
        one.results[index]?.push(await one.run(load));
      }
    }
    const [rate = NaN, base = NaN] = [durable, ephemeral].map(({ name, results }) => {
      const runs = results[index] ?? [];
      const rates = runs.map(({ perSecond }) => perSecond);
      const rate = median(rates);
      console.log(
        `${load.name}, ${name}: ${Math.round(rate)} SET/s (${Math.round(Math.min(...rates))} to ` +
          `${Math.round(Math.max(...rates))}), ` +
          `${
            median(runs.map(({ cpuUs }) => cpuUs)).toFixed(1)
          } us of the nodes' processor time each`,
      );
      return rate;
    });
    console.log(`${load.name}: ${Math.round(100 * rate / base)} % of ephemeral`);
  }
}

const rounds = Number(Deno.args[0] ?? 10);
await withHome(async (env) => {
  const clusters: LocalCluster[] = [];
  try {
    for (const storage of [[], ["--ephemeral"]]) {
      const places = loopback(freePorts(5), await binary());
      clusters.push(await LocalCluster.start({ places, storage, env }));
    }
    const [durable, ephemeral] = clusters;
    if (durable === undefined || ephemeral === undefined) throw new Error("two clusters");
    await compare(new Measurement("durable", durable), new Measurement("ephemeral", ephemeral));
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
  }
});
