// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task bench`: how many commands of each kind five nodes carry out in a second.
 *
 *     deno task bench [--rounds 5] [--requests 20000]
 *
 * Five nodes on this machine, which store nothing; 10,000 keys with values of 100 bytes; 50 connections to
 * the first node, by `redis-benchmark`. It cannot send a MULTI: those are sent by this process, which takes
 * more of the processors, so compare them with themselves alone. A published message has one subscriber, at
 * the fifth node. Requests go one at a time on each connection (so many as `--requests` says), and in
 * pipelines of 32 (ten times as many). The loads take turns, round by round; the table has their medians.
 * It reports, and asserts only that nothing was answered by an error. Run it where nothing else runs.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { RawConnection } from "../differential/raw_replies.ts";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { execute } from "../harness/processes.ts";

const CONNECTIONS = 50;
const KEYS = 10_000;
const PIPELINES = [1, 32] as const;
const VALUE = "v".repeat(100);

/** The load takes all processors: no node is to be left out for that. */
const CALM = ["--lease", "5s", "--suspicion", "5s"];

/** What `redis-benchmark` puts a random number in the place of. */
const KEY = "key:__rand_int__";

/** The commands by what the table calls them; without words: of this process. */
const LOADS: readonly (readonly [name: string, words?: readonly string[]])[] = [
  ["SET", ["SET", KEY, VALUE]],
  ["GET", ["GET", KEY]],
  ["INCR", ["INCR", "counter:__rand_int__"]],
  ["SETEX", ["SETEX", KEY, "1000", VALUE]],
  ["EXEC of three SET"],
  ["MGET of ten keys", ["MGET", ...Array.from({ length: 10 }, () => KEY)]],
  ["SCAN of 100 keys", ["SCAN", "0", "COUNT", "100"]],
  ["PUBLISH to one subscriber", ["PUBLISH", "channel", VALUE]],
];

const args = parseArgs([...Deno.args], {
  string: ["rounds", "requests"],
  default: { rounds: "5", requests: "20000" },
});
const rounds = Number(args["rounds"]);
const requests = Number(args["requests"]);
if (!(rounds >= 1 && requests >= 1)) {
  console.error("usage: deno task bench [--rounds N] [--requests N]");
  Deno.exit(2);
}

/** Returns the commands a second of `redis-benchmark`. */
async function measure(
  port: number,
  words: readonly string[],
  { count, pipeline }: { count: number; pipeline: number },
): Promise<number> {
  const { stdout, stderr } = await execute("redis-benchmark", [
    ...["-p", String(port), "-c", String(CONNECTIONS), "-r", String(KEYS), "--csv"],
    ...["-n", String(count), "-P", String(pipeline), ...words],
  ]);
  const rate = Number(/","([\d.]+)"/.exec(stdout.split("\n")[1] ?? "")?.[1]);
  // It warns when it cannot read the configuration, and says so of errors.
  if (!(rate > 0) || /error/i.test(stdout + stderr)) throw new Error(`${stdout}${stderr}`);
  return rate;
}

/** Returns the transactions a second: a MULTI and what follows it is sent at once. */
async function measureTransactions(
  port: number,
  { count, pipeline }: { count: number; pipeline: number },
): Promise<number> {
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => RawConnection.open(port)),
  );
  const write =
    () => ["SET", `key:${String(Math.floor(Math.random() * KEYS)).padStart(12, "0")}`, VALUE];
  const turns = Math.ceil(count / CONNECTIONS / pipeline);
  const begin = performance.now();
  await Promise.all(connections.map(async (connection) => {
    for (let turn = 0; turn < turns; turn++) {
      const replies = await connection.callAll(
        Array.from({ length: pipeline }, () => [["MULTI"], write(), write(), write(), ["EXEC"]])
          .flat(),
      );
      const wrong = replies.find((reply) => reply.startsWith("-"));
      if (wrong !== undefined) throw new Error(wrong);
    }
  }));
  const seconds = (performance.now() - begin) / 1000;
  for (const connection of connections) connection.close();
  return turns * CONNECTIONS * pipeline / seconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Subscribes to the channel, and reads what comes until the node closes. */
async function listen(port: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode("SUBSCRIBE channel\r\n"));
  const buffer = new Uint8Array(256 * 1024);
  await conn.read(buffer); // The reply: from now on it listens.
  const readAll = async () => {
    while (await conn.read(buffer) !== null);
  };
  readAll().catch(() => {});
}

const ports = freePorts(5);
const [first = 0] = ports;
const cluster = await LocalCluster.start({ places: loopback(ports, await binary()), args: CALM });
try {
  await measure(first, ["SET", KEY, VALUE], { count: 10 * KEYS, pipeline: 32 });
  await listen(ports.at(-1) ?? 0);
  const rates = LOADS.map(() => PIPELINES.map((): number[] => []));
  // The first round is not counted: until it is warm.
  for (let round = 0; round <= rounds; round++) {
    for (const [load, [name, words]] of LOADS.entries()) {
      for (const [index, pipeline] of PIPELINES.entries()) {
        const size = { count: pipeline === 1 ? requests : 10 * requests, pipeline };
        const rate = words === undefined
          ? await measureTransactions(first, size)
          : await measure(first, words, size);
        if (round > 0) rates[load]?.[index]?.push(rate);
        console.log(`round ${round}: ${name}, ${pipeline} at a time: ${Math.round(rate)}/s`);
      }
    }
  }
  const shown = (values: readonly number[]) => {
    const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)]
      .map((rate) => Math.round(rate).toLocaleString("en-US"));
    return `${middle}/s (${low} to ${high})`;
  };
  console.log(
    `\n|  | ${PIPELINES.map((one) => `${one} at a time`).join(" | ")} |\n| --- | --- | --- |`,
  );
  for (const [load, [name]] of LOADS.entries()) {
    console.log(`| ${name} | ${(rates[load] ?? []).map(shown).join(" | ")} |`);
  }
} finally {
  await cluster.stop();
}
Deno.exit(0);
