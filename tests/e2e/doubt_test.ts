/** Transactions that stay in doubt are reported, with real nodes. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import type { ClusterStatus } from "../../src/cluster_status.ts";
import { OK } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { call, statusAt } from "../harness/checks.ts";
import { client, until } from "../harness/processes.ts";

const addressOf = (port: number): Address => ({ hostname: "127.0.0.1", port });
const statusOf = (port: number): Promise<ClusterStatus> => statusAt(addressOf(port));

Deno.test("status and INFO name what is in doubt, since when, and for whom it waits", async () => {
  // In the order of the list, in which transactions are named.
  const ports = freePorts(5).sort((a, b) => a - b);
  const [coordinator = 0, other = 0, silent = 0] = ports;
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    // No node is suspected, so no view ends the doubt, and no deadline does.
    args: ["--suspicion", "60s", "--timeout", "60s"],
  });
  const stopped = cluster.nodes.find(({ port }) => port === silent);
  try {
    assertEquals((await statusOf(coordinator)).inDoubt, 0);
    stopped?.signal("SIGSTOP");
    const beganAt = Date.now();
    const put = call(addressOf(coordinator), ["PUT", "city", "Zürich"]);
    let found: ClusterStatus[] = [];
    await until("both nodes tell of the doubt", async () => {
      found = await Promise.all([coordinator, other].map(statusOf));
      return found.every(({ inDoubt }) => inDoubt > 0);
    });
    const foundAt = Date.now();
    const [atCoordinator, elsewhere] = found;
    for (const { inDoubt, doubts: [doubt] } of found) {
      assertEquals([inDoubt, doubt?.keys, doubt?.key], [1, 1, '"city"']);
      assertMatch(doubt?.transaction ?? "", /^0\.1\.1\.[0-9a-f]{6}$/);
      const since = doubt?.since ?? 0;
      // Clocks of processes that were started apart differ by a little.
      assert(since > beganAt - 100 && since <= foundAt - 900, `${beganAt} ${since} ${foundAt}`);
    }
    assertEquals(atCoordinator?.doubts[0]?.waitsFor, `the vote of 127.0.0.1:${silent}`);
    assertEquals(atCoordinator?.doubts[0]?.nodes, [`127.0.0.1:${silent}`]);
    assertEquals(elsewhere?.doubts[0]?.waitsFor, `its coordinator 127.0.0.1:${coordinator}`);
    assertEquals(elsewhere?.doubts[0]?.nodes, [`127.0.0.1:${coordinator}`]);

    const asJson = JSON.parse((await client(other, ["status", "--json"])).stdout) as ClusterStatus;
    assertEquals(asJson.doubts, elsewhere?.doubts);
    const text = (await client(other, ["status"])).stdout;
    assertStringIncludes(text, "1 transaction is in doubt here");
    assertMatch(
      text,
      /^0\.1\.1\.[0-9a-f]{6} +\d{4}-\S+Z +its coordinator 127\.0\.0\.1:\d+ +1 +"city"$/m,
    );
    const info = String(await call(addressOf(coordinator), ["INFO", "doubt"]));
    assertMatch(info, /^in_doubt:1\r$/m);
    assertMatch(
      info,
      /^in_doubt_0:transaction=0\.1\.1\.[0-9a-f]{6},since=\S+Z,waits_for=the vote of 127\.0\.0\.1:\d+,keys=1,key="city"\r$/m,
    );
    assertStringIncludes(
      (await client(other, ["outcome", elsewhere?.doubts[0]?.transaction ?? ""])).stdout,
      "undecided",
    );

    stopped?.signal("SIGCONT");
    assertEquals(await put, OK);
    await until("no node reports a doubt", async () => {
      const all = await Promise.all(ports.map(statusOf));
      return all.every(({ inDoubt, doubts }) => inDoubt === 0 && doubts.length === 0);
    });
    assertEquals((await client(other, ["status"])).stdout.includes("in doubt"), false);
  } finally {
    stopped?.signal("SIGCONT");
    await cluster.stop();
  }
});
