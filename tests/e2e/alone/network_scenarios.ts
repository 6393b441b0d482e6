/**
 * The scenarios of `network_test.ts`: run inside of the hub's namespace, one a process.
 *
 * @module
 */

import { assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import { LocalCluster, type Place } from "../../harness/cluster.ts";
import type { Address } from "../../../src/address.ts";
import { ClientConnection } from "../../../src/client/connection.ts";
import type { ClusterStatus } from "../../../src/cluster_status.ts";
import { ErrorReply, OK } from "../../../src/resp/value.ts";
import {
  assertAgreement,
  assertInTime,
  call,
  CLIENT_TIMEOUT_MS,
  untilLocksAreFree,
  untilMore,
} from "../../harness/checks.ts";
import { until } from "../../harness/processes.ts";
import { Freshness } from "../../harness/freshness.ts";
import { TestNetwork } from "../../harness/namespaces.ts";
import { STEADY_LOAD, Workload } from "../../harness/workload.ts";

/** All nodes listen at the same port, as on machines of their own. */
const PORT = 5000;

/** The nodes' own deadline, and what a request may last with it. */
const TIMEOUT_MS = 2000;
const LIMIT_MS = TIMEOUT_MS + 200;

/** What a scenario plays with. */
interface Stage {
  readonly network: TestNetwork;
  readonly cluster: LocalCluster;
  readonly addresses: readonly Address[];
}

interface Scenario {
  /** Flags of the nodes besides the deadline. */
  readonly args?: readonly string[];
  /** The deadline, if it is another one. */
  readonly timeoutMs?: number;
  readonly play: (stage: Stage) => Promise<void>;
}

/** Of the largest values at the default limit, how many are written in a pipeline at the end. */
const LARGE_VALUES = 6;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "a node that is cut off and comes back": { play: cutOffAndBack },
  "values of 8 MiB at 100 Mb/s change no view": {
    timeoutMs: 5000,
    play: largeValues,
  },
  "a minority that is cut off never answers what is old": {
    // A lease much longer than the suspicion: would the majority not wait for it, it would be at work
    // while the minority reads.
    args: ["--lease", "3s", "--suspicion", "1s", "--heartbeat", "200ms"],
    play: minority,
  },
};

async function cutOffAndBack({ network, addresses }: Stage): Promise<void> {
  const workload = new Workload({
    addresses,
    ...STEADY_LOAD,
    timeoutMs: CLIENT_TIMEOUT_MS,
  });
  try {
    await untilMore(workload, { writes: 500, reads: 500 });
    const others = [0, 1, 3, 4];
    for (const other of others) await network.cut(2, other);
    await untilMore(workload, { writes: 500, reads: 500, nodes: others });
    // The one that is alone answers neither reads nor writes any more: it says why.
    await until("the node that is alone rejects", () => workload.errors("CLUSTERDOWN") >= 4);
    await network.heal();
    await untilMore(workload, { writes: 500, reads: 500 });
    await untilMore(workload, { writes: 50, nodes: [2] });
    await workload.stop();
    assertEquals(workload.wrong, []);
    assertInTime(workload, { nodes: [0, 1, 2, 3, 4], limitMs: LIMIT_MS });
    await untilLocksAreFree(addresses);
    await assertAgreement(workload, addresses);
  } finally {
    await workload.stop();
  }
}

/** Fails if a large message holds up heartbeats, or if nothing bounds the bytes in flight. */
async function largeValues({ network, addresses }: Stage): Promise<void> {
  await network.limitRate(100);
  const [first] = addresses;
  if (first === undefined) throw new Error("there is a first node");
  const views = () => Promise.all(addresses.map(viewOf));
  const viewsBefore = await views();
  const connection = await ClientConnection.open([first], { timeoutMs: 3 * CLIENT_TIMEOUT_MS });
  const value = "x".repeat(8 * 1024 * 1024);
  assertEquals(await connection.call(["SET", "large", value]), OK);
  // More than the network carries in time: each reply tells the truth, and the cluster is at peace.
  const replies = await Promise.all(
    Array.from(
      { length: LARGE_VALUES },
      (_, index) => connection.call(["SET", `l${index}`, value]),
    ),
  );
  for (const reply of replies) {
    if (reply instanceof ErrorReply) {
      assertMatch(reply.code, /^(CLUSTERDOWN|TRYAGAIN|INDETERMINATE)$/);
    } else assertEquals(reply, OK);
  }
  assertGreater(replies.filter((reply) => !(reply instanceof ErrorReply)).length, 0);
  connection.close();
  assertEquals(await views(), viewsBefore);
}

/** Returns the number of the view that the node at `address` has installed. */
async function viewOf(address: Address): Promise<number> {
  const status: ClusterStatus = JSON.parse(String(await call(address, ["DKS.STATUS"])));
  return status.view;
}

/**
 * Nodes 0 and 1 against the others. Fails where a node reads without looking at its lease, and where
 * the others go on without waiting for leases.
 */
async function minority({ network, addresses }: Stage): Promise<void> {
  const [few, many] = [addresses.slice(0, 2), addresses.slice(2)];
  const load = new Freshness({
    writtenAt: many,
    watched: few,
    keysPerWriter: 4,
    timeoutMs: CLIENT_TIMEOUT_MS,
  });
  const { keys, tallies } = load;
  try {
    await untilMoreWrites(load, 20);
    for (const a of [0, 1]) for (const b of [2, 3, 4]) await network.cut(a, b);
    const cutAt = performance.now();
    const readsAtCut = tallies.map(({ reads }) => reads);
    // The majority goes on: every key has values that the minority knows nothing of …
    await untilMoreWrites(load, 20);
    // … and the minority is asked for all of them, again and again.
    await untilMoreAnswers(load, 2000);
    assertEquals(load.stale, 0, load.firstStale);
    for (const [node, { reads, lastWriteBeganAt }] of tallies.entries()) {
      // Else there was nothing to wait for.
      assertGreater(reads, readsAtCut[node] ?? NaN, `node ${node} read nothing in its lease`);
      assertLess(lastWriteBeganAt, cutAt, `node ${node} acknowledged a write alone`);
    }
    const names = network.addresses.slice(2).map((address) => `${address}:${PORT}`);
    const reason = `REJECTED no majority: ${
      names.join(", ")
    } cannot be reached, and 3 of 5 are needed`;
    for (const address of few) {
      for (const words of [["GET", "counted:0:0"], ["PUT", "watched:new", "1"]]) {
        assertEquals(await call(address, words), new ErrorReply("CLUSTERDOWN", reason));
      }
    }
    // Back among the others they read what is new, and nothing before that.
    await network.heal();
    const readsAtHealing = tallies.map(({ reads }) => reads);
    await until(
      "all read again",
      () =>
        tallies.every(({ reads }, node) => reads >= (readsAtHealing[node] ?? 0) + 10 * keys.length),
    );
    await load.stop();
    assertEquals(load.stale, 0, load.firstStale);
  } finally {
    await load.stop();
  }
}

/** Waits until the value of each key was raised by at least `count`. */
async function untilMoreWrites({ keys }: Freshness, count: number): Promise<void> {
  const goals = keys.map(({ acknowledged }) => acknowledged + count);
  await until(
    `each key was written ${count} times`,
    () => keys.every(({ acknowledged }, index) => acknowledged >= (goals[index] ?? 0)),
  );
}

/** Waits until each watched node has answered `count` more reads, with a value or a refusal. */
async function untilMoreAnswers({ tallies }: Freshness, count: number): Promise<void> {
  const answers = () => tallies.map(({ reads, refusals }) => reads + refusals);
  const goals = answers().map((number) => number + count);
  await until(
    `${count} reads were answered`,
    () => answers().every((number, node) => number >= (goals[node] ?? 0)),
  );
}

const { name, dks, hosts, addresses: hostnames, hub } = JSON.parse(Deno.args[0] ?? "{}");
const scenario = SCENARIOS[name];
if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
const network = TestNetwork.existing({ hub, hosts, addresses: hostnames });
const places = network.hosts.map((host, index): Place => ({
  program: { file: "ip", args: ["netns", "exec", host, dks] },
  port: PORT,
  address: network.addresses[index] ?? "",
}));
const cluster = await LocalCluster.start({
  places,
  args: ["--timeout", `${scenario.timeoutMs ?? TIMEOUT_MS}ms`, ...scenario.args ?? []],
});
const addresses = network.addresses.map((hostname): Address => ({ hostname, port: PORT }));
try {
  await scenario.play({ network, cluster, addresses });
} finally {
  await cluster.stop();
}
