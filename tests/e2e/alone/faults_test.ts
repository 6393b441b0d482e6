/** Nodes that fail under load: paused, killed. Cut off from each other: see `network_test.ts`. */

import { assertEquals } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../../harness/cluster.ts";
import type { Address } from "../../../src/address.ts";
import { binary } from "../../harness/binary.ts";
import {
  assertAgreement,
  assertInTime,
  CLIENT_TIMEOUT_MS,
  untilLocksAreFree,
  untilMore,
} from "../../harness/checks.ts";
import { STEADY_LOAD, Workload } from "../../harness/workload.ts";

/** The nodes' own deadline in these tests, and what a request may last with it. */
const TIMEOUT_MS = 2000;
const LIMIT_MS = TIMEOUT_MS + 200;

const OTHERS = [0, 1, 3, 4];

interface Running {
  readonly cluster: LocalCluster;
  readonly workload: Workload;
  readonly addresses: readonly Address[];
}

/** Runs `play` with five nodes under load, and ends everything behind it. */
async function underLoad(play: (running: Running) => Promise<void>): Promise<void> {
  const ports = freePorts(5);
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    args: ["--timeout", `${TIMEOUT_MS}ms`],
  });
  const addresses = ports.map((port): Address => ({ hostname: "127.0.0.1", port }));
  const workload = new Workload({
    addresses,
    ...STEADY_LOAD,
    timeoutMs: CLIENT_TIMEOUT_MS,
  });
  try {
    await untilMore(workload, { writes: 500, reads: 500 });
    await play({ cluster, workload, addresses });
  } finally {
    const stopped = workload.stop();
    await cluster.stop();
    await stopped;
  }
}

Deno.test("the others continue without a paused node, which never lies and joins again", async () => {
  await underLoad(async ({ cluster, workload, addresses }) => {
    const paused = cluster.nodes[2];
    paused?.signal("SIGSTOP");
    await untilMore(workload, { writes: 500, reads: 500, nodes: OTHERS });
    paused?.signal("SIGCONT");
    await untilMore(workload, { writes: 500, reads: 500 });
    await untilMore(workload, { writes: 50, nodes: [2] });
    await workload.stop();
    assertEquals(workload.wrong, []);
    assertInTime(workload, { nodes: OTHERS, limitMs: LIMIT_MS });
    await untilLocksAreFree(addresses);
    await assertAgreement(workload, addresses);
  });
});

Deno.test("the others continue without a node that was killed", async () => {
  await underLoad(async ({ cluster, workload }) => {
    await cluster.nodes[2]?.stop("SIGKILL");
    await untilMore(workload, { writes: 500, reads: 500, nodes: OTHERS });
    assertInTime(workload, { nodes: OTHERS, limitMs: LIMIT_MS });
    assertEquals(workload.wrong, []);
  });
});
