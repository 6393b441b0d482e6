/**
 * The same commands to Redis and to dks: the replies are the same, byte for byte, but for what is on the
 * list of differences (`tests/differential/command_stream.ts`).
 *
 * `DKS_DIFFERENTIAL=200000` in the environment has so many commands compared, by five nodes.
 */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { CommandSource, SHAPES } from "../differential/command_stream.ts";
import { compareWithRedis } from "../differential/compare.ts";
import { hasRedis, RedisServer } from "../differential/redis_server.ts";
import { binary } from "../harness/binary.ts";
import { CALM, freePorts, LocalCluster, loopback } from "../harness/cluster.ts";

const wanted = Number(Deno.env.get("DKS_DIFFERENTIAL") ?? "0");
const count = wanted === 0 ? 20_000 : wanted;
const nodes = wanted === 0 ? 1 : 5;

for (const version of [2, 3] as const) {
  Deno.test({
    name: `${count / 2} commands get the replies of Redis 7, in RESP${version}`,
    ignore: !hasRedis(),
    fn: async () => {
      const [redisPort = 0, ...ports] = freePorts(nodes + 1);
      const redis = await RedisServer.start(redisPort);
      const cluster = await LocalCluster.start({
        places: loopback(ports, await binary()),
        args: CALM,
      });
      const seed = wanted === 0 ? version : Date.now();
      try {
        const { failures } = await compareWithRedis({
          redisPort,
          ports,
          seed,
          count: count / 2,
          version,
        });
        const title = failures.length === 0 ? "" : `seed ${seed}\n${failures.join("\n")}`;
        assertEquals(title, "");
      } finally {
        await Promise.all([redis.stop(), cluster.stop()]);
      }
    },
  });
}

Deno.test("of SCAN what comes to the end of all keys is compared, and what is refused", () => {
  const source = new CommandSource(1, ["scan"]);
  const compared = new Set<string>();
  for (let count = 0; count < 20_000; count++) {
    for (const { words, comparison } of source.next()) {
      if (comparison.kind === "none" || words[0]?.toLowerCase() !== "scan") continue;
      const at = words.findLastIndex((word) => word.toUpperCase() === "COUNT");
      compared.add(at < 0 ? "no count" : words[at + 1] ?? "nothing behind it");
    }
  }
  const few = [...compared].filter((count) => Number(count) > 0 && Number(count) < 1000);
  assertEquals(few, [], "Redis may end such a scan before all keys");
  for (const count of ["5000", "0", "-1", "a", "nothing behind it"]) {
    assert(compared.has(count), count);
  }
});

Deno.test("times to live are compared, in all units, and hardly ever two that are the same", () => {
  for (const name of ["expire", "pexpire", "expireat", "pexpireat", "setex", "psetex"]) {
    const source = new CommandSource(1, [name]);
    const times: string[] = [];
    for (let count = 0; count < 3000; count++) {
      const [step] = source.next();
      const time = step?.words[2] ?? "";
      if (step?.comparison.kind !== "none" && /^\d{5,14}$/.test(time)) times.push(time);
    }
    assert(times.length > 1500, `${times.length} of ${name}`);
    const different = new Set(times).size;
    assert(different > 0.8 * times.length, `${different} of ${times.length} of ${name}`);
  }
});

/** Commands whose replies tell of the server, and so differ, with the reason. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  object: "it tells how each server keeps a value, and when it was used",
  wait: "it counts the other members, which Redis alone has none of",
  waitaof: "Redis has it since 7.2",
};

Deno.test("every command of strings, keys and bits is compared, or it is said why not", () => {
  const groups = new Set(["string", "generic", "bitmap"]);
  const missing = COMMANDS.all.filter(({ group, name }) =>
    (groups.has(group) || name.startsWith("flush")) && SHAPES[name] === undefined
  );
  assertEquals(missing.map(({ name }) => name), Object.keys(NOT_COMPARED));
});
