/** Starting nodes: what they print, and how they refuse to start. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { encodeValue } from "../../src/resp/encoder.ts";
import { VERSION } from "../../src/version.ts";
import { binary } from "../harness/binary.ts";
import { client, until } from "../harness/processes.ts";

/** Starts a node that is expected to end by itself. Returns its exit code and what it printed. */
async function startInVain(
  port: number,
  args: readonly string[],
): Promise<{ code: number; printed: string }> {
  const node = new NodeProcess({ program: await binary(), port, args });
  const code = await node.untilEnded();
  return { code, printed: node.printed };
}

Deno.test("dks serve prints where peers reach it, and when the cluster is complete", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  try {
    for (const node of cluster.nodes) {
      const lines = node.printed.split("\n");
      const listening = lines.filter((line) => line.includes("listening on port"));
      assertEquals(listening.length, 1);
      assertStringIncludes(
        listening[0] ?? "",
        `listening on port ${node.port}, peers reach this node as 127.0.0.1:${node.port}`,
      );
      assertEquals(lines.filter((line) => line.includes("the cluster is complete")).length, 1);
    }
  } finally {
    await cluster.stop();
  }
  assertEquals(await Promise.all(cluster.nodes.map((node) => node.untilEnded())), [0, 0, 0]);
});

Deno.test("dks serve prints one JSON object a line with --log-format json", async () => {
  const [port = 0] = freePorts(1);
  const node = new NodeProcess({
    program: await binary(),
    port,
    args: ["--log-format", "json", "--log-level", "debug"],
  });
  await node.untilPrinted(/cluster is complete/);
  await node.stop();
  for (const line of node.printed.split("\n")) {
    const { level, message, time } = JSON.parse(line);
    assertEquals([typeof level, typeof message, typeof time], ["string", "string", "string"]);
  }
});

Deno.test("dks serve ends with one line and code 2 when the usage is wrong", async () => {
  const { code, printed } = await startInVain(1, ["--peers", "a,a"]);
  assertEquals([code, printed], [2, "dks: --peers names a:1 twice"]);
});

Deno.test("dks serve --config - reads what is set from standard input, and flags win", async () => {
  const [port = 0, other = 0] = freePorts(2);
  const program = await binary();
  const input = JSON.stringify({ port: other, "max-key-bytes": 10, "log-format": "json" });
  const node = new NodeProcess({ program, port, args: ["--config", "-"], input });
  try {
    await node.untilPrinted(/"message":"the cluster is complete/);
    const { code, stderr } = await client(port, ["get", "a key of more bytes"]);
    assertEquals(code, 3);
    assertStringIncludes(stderr, "key of 19 bytes, at most 10 are allowed");
  } finally {
    await node.stop();
  }
});

Deno.test("dks serve --config - ends with one line and code 2 for what is no configuration", async () => {
  const program = await binary();
  const table: readonly [input: string, printed: RegExp][] = [
    ['{"prot":1}', /^dks: the configuration has the unknown key "prot": [^\n]*$/],
    ['{"timeout":1}', /^dks: "timeout" in the configuration takes a text, not a number$/],
    ["", /^dks: the configuration on standard input is not JSON: it is empty$/],
    [" ".repeat(2 ** 20 + 1), /^dks: standard input has more than 1048576 bytes$/],
  ];
  for (const [input, printed] of table) {
    const node = new NodeProcess({ program, port: 1, args: ["--config", "-"], input });
    assertEquals(await node.untilEnded(), 2);
    assertMatch(node.printed, printed);
  }
});

Deno.test("dks serve ends at SIGTERM while it waits for its configuration", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const { file, args } = await binary();
  const process = new Deno.Command(file, {
    args: [...args, "serve", "--config", "-"],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  // Nothing tells from outside when the signals are listened to: until then one ends it otherwise.
  const isListening = async () => {
    // The portable file is a shell script until it has found its runtime, and catches signals as one: so
    // look for the runtime first.
    const program = await Deno.readLink(`/proc/${process.pid}/exe`);
    if (/\/(sh|dash|bash|busybox)$/.test(program)) return false;
    const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
    const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
    return (caught & (1n << 14n)) !== 0n;
  };
  await until("SIGTERM is caught", isListening);
  process.kill("SIGTERM");
  assertEquals((await process.status).code, 0);
  await process.stdin.close().catch(() => {});
});

Deno.test("dks serve ends with one line and code 1 when the port is in use", async () => {
  const listener = Deno.listen({ port: 0 });
  const { port } = listener.addr;
  const { code, printed } = await startInVain(port, []);
  listener.close();
  assertEquals([code, printed], [1, `dks: cannot listen on 0.0.0.0:${port}: the port is in use`]);
});

Deno.test("dks serve ends with one line and code 1 when it cannot use the host", async () => {
  const [port = 0] = freePorts(1);
  const { code, printed } = await startInVain(port, ["--host", "192.0.2.1"]);
  assertEquals(code, 1);
  assertMatch(printed, new RegExp(`^dks: cannot listen on 192\\.0\\.2\\.1:${port}: [^\n]+$`));
});

Deno.test("dks serve continues if a host name is not known now, its own or another's", async () => {
  const [one = 0, two = 0, nobody = 0, third = 0] = freePorts(4);
  const program = await binary();
  const gone = "no-such-host.invalid:1";
  const args = ["--peers", `127.0.0.1:${one},127.0.0.1:${two},${gone}`];
  const nodes = [one, two].map((port) => new NodeProcess({ program, port, args }));
  for (const node of nodes) {
    await node.untilPrinted(/listening on port/);
    await node.untilPrinted(/cannot reach no-such-host\.invalid:1, trying on: the host name/);
  }
  // Nothing leads here, but the name may do so when it is known.
  const args3 = ["--peers", `127.0.0.1:${nobody},${gone}`];
  const other = new NodeProcess({ program, port: third, args: args3 });
  await other.untilPrinted(/cannot reach no-such-host\.invalid:1, trying on: the host name/);
  for (const node of [...nodes, other]) {
    assertEquals(node.hasEnded, false, node.printed);
    await node.stop();
    assertEquals(await node.untilEnded(), 0);
  }
});

Deno.test("dks serve ends with one line and code 2 when an address can be none", async () => {
  for (const address of ["300.1.1.1", "1.2.3", "a..b", "http://n1", "::1", "[::zz]", "a b", "ä"]) {
    const { code, printed } = await startInVain(1, ["--peers", address]);
    assertEquals(code, 2, address);
    assertMatch(printed, /^dks: --peers[^\n]*$/);
  }
});

Deno.test("a node whose name leads to another process of the cluster says so, and ends", async () => {
  const [one = 0, two = 0, three = 0] = freePorts(3);
  const program = await binary();
  const peers = ["--peers", `127.0.0.1:${one},127.0.0.1:${two}`];
  const cluster = [one, two].map((port) => new NodeProcess({ program, port, args: peers }));
  await cluster[0]?.untilPrinted(/cluster is complete/);
  const { code, printed } = await startInVain(three, [
    ...peers,
    "--advertise",
    `127.0.0.1:${two}`,
  ]);
  assertEquals(code, 1);
  assertMatch(
    printed,
    new RegExp(
      `^dks: the name 127\\.0\\.0\\.1:${two} leads to another process of the cluster`,
      "m",
    ),
  );
  for (const node of cluster) {
    assertEquals(node.hasEnded, false);
    await node.stop();
  }
});

Deno.test("dks serve ends with one line and code 1 when no peer is itself", async () => {
  const [port = 0, other = 0] = freePorts(2);
  const { code, printed } = await startInVain(port, ["--peers", `127.0.0.1:${other}`]);
  assertEquals(code, 1);
  assertEquals(
    printed,
    `dks: none of the --peers 127.0.0.1:${other} leads to this node: ` +
      "name its own entry with --advertise",
  );
});

Deno.test("dks serve says what it listens at when the peers have IPv6 addresses", async () => {
  const [port = 0] = freePorts(1);
  const { code, printed } = await startInVain(port, ["--peers", `[::1]:${port}`]);
  assertEquals(code, 1);
  assertMatch(printed, /at 0\.0\.0\.0, so at no IPv6 address: listen at all with --host ::$/);
});

Deno.test("dks serve ends with one line and code 1 when its peer list differs", async () => {
  const [a = 0, b = 0, c = 0] = freePorts(3);
  const right = `127.0.0.1:${a},127.0.0.1:${b}`;
  const wrong = `${right},127.0.0.1:${c}`;
  const program = await binary();
  const first = new NodeProcess({ program, port: a, args: ["--peers", right] });
  await first.untilPrinted(/listening on port/);
  const { code, printed } = await startInVain(b, ["--peers", wrong]);
  assertEquals(code, 1);
  assertMatch(printed, /dks: the peer list of [^\n]* is "[^\n]*", this node's is "[^\n]*": give/);
  assertStringIncludes(printed, sorted(right));
  assertStringIncludes(printed, sorted(wrong));
  assertEquals(first.hasEnded, false, "the one that was there first goes on");
  // And it is not spoilt by the visitor: the right peer completes the cluster.
  const second = new NodeProcess({ program, port: b, args: ["--peers", right] });
  await first.untilPrinted(/cluster is complete/);
  await second.stop();
  await first.stop();
});

function sorted(peers: string): string {
  return peers.split(",").sort().join(",");
}

Deno.test("dks serve ends with one line and code 1 when a peer speaks another version", async () => {
  const [own = 0] = freePorts(1);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const peers = [`127.0.0.1:${own}`, `127.0.0.1:${listener.addr.port}`].sort();
  const introduction = {
    config: { protocol: 99, peers, keyBytesMax: 65536, valueBytesMax: 8388608 },
    instance: "another",
    identity: { journal: "j", incarnation: 1 },
    uptimeMs: 1e9,
  };
  const answering = (async () => {
    for await (const conn of listener) {
      await conn.read(new Uint8Array(65536));
      const reply = encodeValue(JSON.stringify(introduction), 2);
      await conn.write(new TextEncoder().encode(reply));
      conn.close();
    }
  })();
  const { code, printed } = await startInVain(own, ["--peers", peers.join(",")]);
  listener.close();
  await answering;
  assertEquals(code, 1);
  assertMatch(printed, /dks: 127\.0\.0\.1:\d+ speaks version 99 of the peer protocol, this node/);
});

Deno.test("dks serve uses --advertise if it cannot find itself", async () => {
  const [port = 0, other = 0] = freePorts(2);
  const node = new NodeProcess({
    program: await binary(),
    port,
    args: ["--peers", `127.0.0.1:${port},127.0.0.1:${other}`, "--advertise", `127.0.0.1:${port}`],
  });
  await node.untilPrinted(/peers reach this node as/);
  await node.stop();
});

Deno.test("a node that was restarted empty is a stranger, and joins again from the others", async () => {
  const ports = freePorts(3);
  const program = await binary();
  const cluster = await LocalCluster.start({ places: loopback(ports, program) });
  let again: NodeProcess | undefined;
  try {
    const [first, second] = cluster.nodes;
    if (first === undefined || second === undefined) throw new Error("no nodes");
    assertEquals((await client(second.port, ["put", "k", "v"])).code, 0);
    await first.stop("SIGKILL");
    const peers = ports.map((port) => `127.0.0.1:${port}`).join(",");
    again = new NodeProcess({ program, port: first.port, args: ["--peers", peers] });
    await again.untilPrinted(/the cluster is complete/);
    await until("a healthy node has said that it is another one", () => {
      return cluster.nodes.some((node) => /has lost its journal/.test(node.printed));
    });
    assertEquals((await client(first.port, ["get", "k"])).stdout, "v");
    assertEquals((await client(first.port, ["put", "k", "w"])).code, 0);
    assertEquals((await client(second.port, ["get", "k"])).stdout, "w");
  } finally {
    await again?.stop();
    await cluster.stop();
  }
});

Deno.test("INFO and DKS.STATUS tell of the node and the cluster", async () => {
  const ports = freePorts(2);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  try {
    const [port = 0] = ports;
    const info = (await client(port, ["raw", "info"])).stdout;
    for (const line of [`dks_version:${VERSION}`, `tcp_port:${port}`, "view:1", "complete:1"]) {
      assertStringIncludes(info, line);
    }
    assertStringIncludes((await client(port, ["raw", "info", "keyspace"])).stdout, "# Keyspace");
    const status = JSON.parse((await client(port, ["status", "--json"])).stdout);
    assertEquals(status.nodes.length, 2);
    assertEquals(status.isComplete, true);
  } finally {
    await cluster.stop();
  }
});
