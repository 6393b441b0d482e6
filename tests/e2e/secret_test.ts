/** The cluster secret, on real nodes: with it they are a cluster, and nobody else is of it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { client } from "../harness/processes.ts";

const configured = (secret: string) => JSON.stringify({ "cluster-secret": secret });

const LOUD = /WARN {2}THERE IS NO CLUSTER SECRET: /;

Deno.test("nodes with one secret are a cluster, and one with another secret is refused", async () => {
  const places = loopback(freePorts(3), await binary());
  const cluster = await LocalCluster.start({
    places,
    args: ["--config", "-"],
    input: configured("hush-hush-hush-hush"),
  });
  const [one, , last] = cluster.nodes;
  const peers = ["--peers", places.map(({ address }) => address).join()];
  const others: NodeProcess[] = [];
  const start = async (input: string | undefined) => {
    const config = input === undefined ? [] : ["--config", "-"];
    const node = new NodeProcess({
      program: await binary(),
      port: last?.port ?? 0,
      args: [...peers, ...config],
      input,
    });
    others.push(node);
    return node;
  };
  try {
    assert(one !== undefined);
    assertEquals((await client(one.port, ["put", "k", "v"])).code, 0);
    assertEquals((await client(last?.port ?? 0, ["get", "k"])).stdout, "v");
    const status = JSON.parse((await client(one.port, ["status", "--json"])).stdout);
    assertEquals(status.isOpenToPeers, false);
    await last?.stop();

    const wrong = await start(configured("hush-hush-hush-hish"));
    await wrong.untilPrinted(
      /refuses this node: it does not prove that it knows the cluster secret/,
    );
    await one.untilPrinted(/refused what poses as a node at 127\.0\.0\.1: it does not prove/);
    assertEquals((await client(one.port, ["put", "k", "w"])).code, 0);
    await wrong.stop();

    const without = await start(undefined);
    await without.untilPrinted(LOUD);
    await without.untilPrinted(
      /refuses this node: it has no cluster secret, and this node has one/,
    );
    await without.stop();

    const right = await start(configured("hush-hush-hush-hush"));
    await right.untilPrinted(/cluster is complete/);
    assertEquals((await client(right.port, ["get", "k"])).stdout, "w");
  } finally {
    await Promise.all([...cluster.nodes, ...others].map((node) => node.stop()));
  }
  const printed = [...cluster.nodes, ...others].map((node) => node.printed).join("\n");
  assert(!/hush|hish/.test(printed), "a secret was logged");
  assert(!LOUD.test(cluster.nodes.map((node) => node.printed).join("\n")));
});

Deno.test("a node that others can reach says at each start that it has no secret, and status shows it", async () => {
  const program = await binary();
  const open = await LocalCluster.start({ places: loopback(freePorts(2), program) });
  const [one] = open.nodes;
  try {
    assertMatch(one?.printed ?? "", LOUD);
    const { stdout } = await client(one?.port ?? 0, ["status"]);
    assertStringIncludes(
      stdout,
      "nodes are let in without proof: whoever reaches this node may be able to pose as another\n",
    );
  } finally {
    await open.stop();
  }
  // Nobody else reaches these.
  const closed = await LocalCluster.start({
    places: loopback(freePorts(2), program),
    args: ["--host", "127.0.0.1"],
  });
  const alone = await LocalCluster.start({ places: loopback(freePorts(1), program) });
  try {
    for (const node of [...closed.nodes, ...alone.nodes]) {
      assertEquals(LOUD.test(node.printed), false);
      const { stdout } = await client(node.port, ["status"]);
      assertEquals(stdout.includes("without proof"), false);
    }
  } finally {
    await Promise.all([closed.stop(), alone.stop()]);
  }
});
