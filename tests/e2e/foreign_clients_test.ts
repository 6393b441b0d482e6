/** Redis's own tools against a cluster (Debian: redis-tools). */

import { assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { binary } from "../harness/binary.ts";
import { execute, isInstalled } from "../harness/processes.ts";

Deno.test({
  name: "redis-cli speaks with every node",
  ignore: !isInstalled("redis-cli"),
  fn: async () => {
    const ports = freePorts(3);
    const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
    const [one = 0, two = 0, three = 0] = ports;
    const cli = async (port: number, ...words: string[]) =>
      (await execute("redis-cli", ["-p", String(port), ...words])).stdout.trimEnd();
    try {
      assertEquals(await cli(one, "set", "k", "v"), "OK");
      assertEquals(await cli(two, "get", "k"), "v");
      assertEquals(await cli(three, "del", "k", "x"), "1");
      assertEquals(await cli(two, "get", "k"), "");
      assertEquals(await cli(one, "mset", "a", "1", "b", "2"), "OK");
      assertEquals(await cli(two, "mget", "a", "b", "c"), "1\n2");
      assertEquals(await cli(three, "dbsize"), "2");
      assertEquals(await cli(one, "ping"), "PONG");
      assertEquals(await cli(one, "-3", "exists", "a", "b", "c"), "2");
      assertMatch(await cli(one, "-3", "hello", "3"), /server redis/);
      assertMatch(await cli(one, "info", "server"), /dks_version:/);
      assertMatch(await cli(one, "command", "count"), /^\d+$/);
      assertMatch(await cli(one, "nonsense"), /^ERR unknown command 'nonsense'/);
      assertMatch(await cli(one, "get"), /^ERR wrong number of arguments/);
    } finally {
      await cluster.stop();
    }
  },
});

Deno.test({
  name: "redis-benchmark runs against any node, pipelined or not",
  ignore: !isInstalled("redis-benchmark"),
  fn: async () => {
    const ports = freePorts(5);
    const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
    try {
      for (const [port, pipeline] of [[ports[0], "1"], [ports[4], "32"]] as const) {
        const args = ["-p", String(port), "-t", "set,get,mset,ping", "-n", "20000", "-c", "50"];
        // Without -r all clients fight for one key.
        const ended = await execute("redis-benchmark", [...args, "-P", pipeline, "--csv"]);
        assertEquals(ended.code, 0, ended.stderr);
        for (const test of ["SET", "GET", "MSET", "PING"]) {
          assertMatch(ended.stdout, new RegExp(`^"${test}[^"]*","[\\d.]+"`, "m"));
        }
      }
    } finally {
      await cluster.stop();
    }
  },
});

Deno.test({
  name: "DEBUG SLEEP has a node stand still if a flag allows it",
  ignore: !isInstalled("redis-cli"),
  fn: async () => {
    const [port = 0] = freePorts(1);
    const cluster = await LocalCluster.start({
      places: loopback([port], await binary()),
      args: ["--enable-debug-command"],
    });
    try {
      const begin = performance.now();
      const { stdout } = await execute("redis-cli", ["-p", String(port), "debug", "sleep", "0.3"]);
      assertEquals(stdout.trimEnd(), "OK");
      assertGreaterOrEqual(performance.now() - begin, 300);
    } finally {
      await cluster.stop();
    }
  },
});
