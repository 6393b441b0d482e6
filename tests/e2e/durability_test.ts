/** What was acknowledged is there after `kill -9` of all nodes at once. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import { ConnectionError } from "../../src/client/connection.ts";
import { binary } from "../harness/binary.ts";
import {
  assertAgreement,
  call,
  callUntilAnswered,
  CLIENT_TIMEOUT_MS,
  untilLocksAreFree,
  untilMore,
} from "../harness/checks.ts";
import { IS_NIGHTLY } from "../harness/nightly.ts";
import { client, until } from "../harness/processes.ts";
import { withHome } from "../harness/homes.ts";
import { REST_MS, Workload } from "../harness/workload.ts";

const ROUNDS = IS_NIGHTLY ? 20 : 3;

const loopbackAddress = (port: number): Address => ({ hostname: "127.0.0.1", port });

Deno.test(`acknowledged writes survive kill -9 of all nodes at once, ${ROUNDS} times`, async () => {
  await withHome(async (env) => {
    const places = loopback(freePorts(5), await binary());
    const start = () => LocalCluster.start({ places, storage: [], env });
    const addresses = places.map(({ port }) => loopbackAddress(port));
    let cluster = await start();
    const workload = new Workload({
      addresses,
      writersPerNode: 3,
      readersPerNode: 2,
      keysPerWriter: 4,
      timeoutMs: CLIENT_TIMEOUT_MS,
      pauseMs: () => REST_MS,
    });
    try {
      for (let round = 0; round < ROUNDS; round++) {
        await untilMore(workload, { writes: 1 + Math.floor(Math.random() * 300) });
        await Promise.all(cluster.nodes.map((node) => node.stop("SIGKILL")));
        cluster = await start();
      }
      await untilMore(workload, { writes: 100, reads: 100 });
      await workload.stop();
      assertEquals(workload.wrong, []);
      await untilLocksAreFree(addresses);
      await assertAgreement(workload, addresses);
      // What was acknowledged, or something later, is there.
      for (const key of workload.keys) {
        const value = Number(await call(addresses[0] ?? loopbackAddress(0), ["GET", key.name]));
        const isRight = value >= key.acknowledged && !key.dead.has(value) || key.unknown.has(value);
        assert(isRight, `${key.name} is ${value}, ${key.acknowledged} was acknowledged`);
      }
    } finally {
      const stopped = workload.stop();
      await cluster.stop();
      await stopped;
    }
  });
});

Deno.test("a coordinator killed before any member could vote resumes its write when it is back", async () => {
  await withHome(async (env) => {
    const places = loopback(freePorts(3), await binary());
    const cluster = await LocalCluster.start({ places, storage: [], env });
    const [coordinator, ...others] = cluster.nodes;
    if (coordinator === undefined) throw new Error("no nodes");
    let restarted: NodeProcess | undefined;
    try {
      // It has a lease, then, for as long as that lasts.
      await call(loopbackAddress(coordinator.port), ["PUT", "first", "v"]);
      for (const node of others) node.signal("SIGSTOP");
      // At once: without the others, the lease ends within a second.
      const put = call(loopbackAddress(coordinator.port), ["PUT", "k", "v"]).catch((error) =>
        error
      );
      await until("the write is prepared", async () => {
        const info = String(
          await call(loopbackAddress(coordinator.port), ["INFO", "transactions"]),
        );
        return /keys_locked:1\b/.test(info);
      });
      // Its own force is over when it answers this.
      await call(loopbackAddress(coordinator.port), ["PING"]);
      await coordinator.stop("SIGKILL");
      assert(await put instanceof ConnectionError, "the client is told that nothing is known");
      for (const node of others) node.signal("SIGCONT");
      const peers = places.map(({ address }) => address).join(",");
      restarted = new NodeProcess({
        program: places[0]?.program ?? await binary(),
        port: coordinator.port,
        args: ["--peers", peers],
        storage: [],
        env,
      });
      // All nodes come to the same end, and no lock is left.
      const addresses = places.map(({ port }) => loopbackAddress(port));
      await restarted.untilPrinted(/cluster is complete/);
      await untilLocksAreFree(addresses);
      const values = await Promise.all(
        addresses.map((address) => callUntilAnswered(address, ["GET", "k"])),
      );
      assertEquals(new Set(values).size, 1, `the nodes hold ${values}`);
    } finally {
      await restarted?.stop();
      await cluster.stop();
    }
  });
});

Deno.test("a node alone keeps its keys over kill -9, and says where", async () => {
  await withHome(async (env, home) => {
    const [port = 0] = freePorts(1);
    const start = async () => {
      const node = new NodeProcess({ program: await binary(), port, args: [], storage: [], env });
      await node.untilPrinted(/cluster is complete/);
      return node;
    };
    const first = await start();
    assertStringIncludes(first.printed, `journal in ${home}/data/dks (port ${port}): 0 keys`);
    assertEquals((await client(port, ["put", "k", "-"], "v".repeat(8 * 1024 * 1024))).code, 0);
    assertEquals((await client(port, ["put", "gone", "v"])).code, 0);
    assertEquals((await client(port, ["delete", "gone"])).code, 0);
    await first.stop("SIGKILL");
    const second = await start();
    try {
      assertEquals((await client(port, ["get", "k"])).stdout.length, 8 * 1024 * 1024);
      assertEquals((await client(port, ["get", "gone"])).code, 1);
      const again = new NodeProcess({ program: await binary(), port, args: [], storage: [], env });
      assertEquals(await again.untilEnded(), 1);
      assertStringIncludes(again.printed, "the port is in use: a dks node has it");
    } finally {
      await second.stop();
    }
  });
});

Deno.test("an ephemeral node says that it stores nothing", async () => {
  const [port = 0] = freePorts(1);
  const node = new NodeProcess({ program: await binary(), port, args: [] });
  await node.untilPrinted(/ephemeral: nothing is stored/);
  await node.untilPrinted(/cluster is complete/);
  const info = String(await call(loopbackAddress(port), ["INFO", "persistence"]));
  assertStringIncludes(info, "ephemeral:1");
  assertStringIncludes((await client(port, ["status"])).stdout, "ephemeral: nothing is stored");
  await node.stop();
});
