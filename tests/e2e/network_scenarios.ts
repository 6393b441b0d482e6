/**
 * The scenarios of `network_test.ts`: run inside of the hub's namespace, one a process.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { LocalCluster, type Place } from "../../scripts/local_cluster.ts";
import type { Address } from "../../src/address.ts";
import {
  assertAgreement,
  assertInTime,
  CLIENT_TIMEOUT_MS,
  untilLocksAreFree,
  untilMore,
} from "./checks.ts";
import { until } from "./commands.ts";
import { TestNetwork } from "./namespaces.ts";
import { Workload } from "./workload.ts";

/** All nodes listen at the same port, as on machines of their own. */
const PORT = 5000;

/** The nodes' own deadline, and what a request may last with it. */
const TIMEOUT_MS = 2000;
const LIMIT_MS = TIMEOUT_MS + 200;

interface Scenario {
  readonly network: TestNetwork;
  readonly cluster: LocalCluster;
  readonly workload: Workload;
  readonly addresses: readonly Address[];
}

const SCENARIOS: Readonly<Record<string, (scenario: Scenario) => Promise<void>>> = {
  "a node that is cut off and comes back": async ({ network, workload, addresses }) => {
    const others = [0, 1, 3, 4];
    for (const other of others) await network.cut(2, other);
    await untilMore(workload, { writes: 500, reads: 500, nodes: others });
    // The one that is alone answers neither reads nor writes any more: it says why.
    await until("the node that is alone rejects", () => workload.errors("REJECTED") >= 4);
    await network.heal();
    await untilMore(workload, { writes: 500, reads: 500 });
    await untilMore(workload, { writes: 50, nodes: [2] });
    await workload.stop();
    assertEquals(workload.wrong, []);
    assertInTime(workload, { nodes: [0, 1, 2, 3, 4], limitMs: LIMIT_MS });
    await untilLocksAreFree(addresses);
    await assertAgreement(workload, addresses);
  },
};

const { name, dks, hosts, addresses: hostnames, hub } = JSON.parse(Deno.args[0] ?? "{}");
const play = SCENARIOS[name];
if (play === undefined) throw new Error(`there is no scenario "${name}"`);
const network = TestNetwork.existing({ hub, hosts, addresses: hostnames });
const places = network.hosts.map((host, index): Place => ({
  program: { file: "ip", args: ["netns", "exec", host, dks] },
  port: PORT,
  address: network.addresses[index] ?? "",
}));
const cluster = await LocalCluster.start({ places, args: ["--timeout", `${TIMEOUT_MS}ms`] });
const addresses = network.addresses.map((hostname): Address => ({ hostname, port: PORT }));
const workload = new Workload({
  addresses,
  writersPerNode: 4,
  readersPerNode: 4,
  keysPerWriter: 5,
  timeoutMs: CLIENT_TIMEOUT_MS,
});
try {
  await untilMore(workload, { writes: 500, reads: 500 });
  await play({ network, cluster, workload, addresses });
} finally {
  const stopped = workload.stop();
  await cluster.stop();
  await stopped;
}
