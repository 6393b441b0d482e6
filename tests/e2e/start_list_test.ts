/** Which list of nodes counts at a start: that of the journal, and that of a cluster that is joined. */

import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { binary } from "../harness/binary.ts";
import { META_KEY, parseMeta } from "../../src/node/storage/kv_layout.ts";
import { openKvStore } from "../../src/node/storage/kv_store.ts";
import { freePorts, FROM_SOURCE, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { client } from "../harness/processes.ts";

const nameOf = (port: number) => `127.0.0.1:${port}`;

Deno.test("the list of the journal counts after the first start, and another --peers is a warning", async () => {
  const [port = 0, other = 0] = freePorts(2);
  const program = await binary();
  const home = await Deno.makeTempDir();
  const env = { XDG_DATA_HOME: home };
  const start = (args: readonly string[]) =>
    new NodeProcess({ program, port, args, storage: [], env });
  try {
    const first = start(["--peers", nameOf(port)]);
    await first.untilPrinted(/cluster is complete/);
    assertEquals((await client(port, ["put", "k", "v"])).code, 0);
    await first.stop();
    const second = start(["--peers", `${nameOf(port)},${nameOf(other)}`]);
    const line = await second.untilPrinted(/WARN +the nodes of the cluster are/);
    assertStringIncludes(line, `are ${nameOf(port)} (view `);
    assertMatch(line, /and --peers is [^ ]+, [^ ]+: the journal counts/);
    await second.untilPrinted(/cluster is complete/);
    assertEquals((await client(port, ["get", "k"])).stdout, "v");
    await second.stop();
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("a node of the list that starts empty learns the list by --join", async () => {
  const ports = freePorts(3);
  const [a = 0, b = 0, c = 0] = ports;
  const program = await binary();
  const cluster = await LocalCluster.start({ places: loopback(ports, program) });
  let again: NodeProcess | undefined;
  try {
    assertEquals((await client(a, ["put", "k", "v"])).code, 0);
    await cluster.nodes[2]?.stop("SIGKILL");
    again = new NodeProcess({ program, port: c, args: ["--join", `${nameOf(a)},${nameOf(b)}`] });
    await again.untilPrinted(new RegExp(`is in the list of view \\d+ as ${nameOf(c)}$`));
    await again.untilPrinted(/the cluster is complete/);
    assertEquals((await client(c, ["get", "k"])).stdout, "v");
  } finally {
    await again?.stop();
    await cluster.stop();
  }
});

for (const [how, flag] of [["--join", "--join"], ["an empty journal and --peers", "--peers"]]) {
  Deno.test(`a node that the list does not have waits, by ${how}`, async () => {
    const ports = freePorts(2);
    const [a = 0] = ports;
    const [stranger = 0] = freePorts(1);
    const program = await binary();
    const cluster = await LocalCluster.start({ places: loopback(ports, program) });
    const list = flag === "--join" ? nameOf(a) : [...ports, stranger].map(nameOf).join();
    const args = [flag ?? "", list, "--advertise", nameOf(stranger)];
    const node = new NodeProcess({ program, port: stranger, args });
    try {
      const line = await node.untilPrinted(
        /is not in the list of view \d+, which is .* run: dks client/,
      );
      const name = nameOf(stranger);
      const commands = `member add ${name}, or member replace OLD ${name}`;
      assertMatch(line, new RegExp(`run: dks client -s [^ ]+ ${commands}$`));
      const { code, stderr } = await client(stranger, ["get", "k"]);
      assertEquals(code, 3);
      assertMatch(stderr, /CLUSTERDOWN REJECTED this node, [^ ]+, is not in the list of view 1/);
      const status = JSON.parse((await client(stranger, ["status", "--json"])).stdout);
      assertMatch(status.notListed, /is not in the list of view 1/);
      assertEquals((await client(a, ["put", "k", "v"])).code, 0);
    } finally {
      await node.stop();
      await cluster.stop();
    }
  });
}

Deno.test("a node that ran before the list had it is let in with a new journal", async () => {
  const ports = freePorts(2);
  const [a = 0] = ports;
  const [stranger = 0] = freePorts(1);
  const folder = await Deno.makeTempDir({ prefix: "dks-start-list-" });
  const path = `${folder}/journal.kv`;
  const permissions = [`--allow-read=${folder}`, `--allow-write=${folder}`];
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const node = new NodeProcess({
    program: { ...FROM_SOURCE, args: FROM_SOURCE.args.toSpliced(1, 0, ...permissions) },
    port: stranger,
    args: ["--peers", [...ports, stranger].map(nameOf).join()],
    storage: ["--data", path],
  });
  const journal = async () => {
    const { store } = await openKvStore({ path });
    const { value } = await store.get(META_KEY);
    store.close();
    return parseMeta(value).journal;
  };
  try {
    await node.untilPrinted(/is not in the list of view \d+/);
    const before = await journal();
    const added = await client(a, ["member", "add", nameOf(stranger)]);
    assertEquals(added.code, 0, added.stderr);
    await node.untilPrinted(new RegExp(`is in the list of view \\d+ as ${nameOf(stranger)}$`));
    await node.untilPrinted(/the cluster is complete/);
    assertNotEquals(await journal(), before);
  } finally {
    await node.stop();
    await cluster.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the nodes of a first start are found by names that stand for several", async () => {
  const ports = freePorts(2);
  const [a = 0, b = 0] = ports;
  const program = await binary();
  // The name stands for one node here, as all addresses of it would have one port.
  const args = ["--peers", `localhost:${a},127.0.0.1:${b}`];
  const nodes: NodeProcess[] = [];
  const start = (port: number, ...more: string[]) => {
    const node = new NodeProcess({ program, port, args: [...args, ...more] });
    nodes.push(node);
    return node;
  };
  try {
    const many = start(a, "--nodes", "3");
    assertMatch(
      await many.untilPrinted(/waits for/),
      /the 3 nodes of the first start: the names of --peers stand for [^ ]+, [^ ]+ now\. If/,
    );
    await many.stop();
    const first = start(a, "--nodes", "2");
    const second = start(b, "--nodes", "2", "--advertise", nameOf(b));
    await first.untilPrinted(new RegExp(`listening on port ${a}, .* as ${nameOf(a)}$`));
    await second.untilPrinted(/the cluster is complete/);
    assertEquals((await client(a, ["put", "k", "v"])).code, 0);
    assertEquals((await client(b, ["get", "k"])).stdout, "v");
    await second.stop();
    const stranger = start(b, "--nodes", "2", "--advertise", "elsewhere");
    assertEquals(await stranger.untilEnded(), 1);
    assertStringIncludes(stranger.printed, `--advertise elsewhere:${b} is none of the nodes`);
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
  }
});
