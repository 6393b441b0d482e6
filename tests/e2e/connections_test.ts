/** Accepting: what one caller does costs no other any time, and clients never hold all files. */

import { assertEquals, assertMatch } from "@std/assert";
import {
  freePorts,
  FROM_SOURCE,
  LocalCluster,
  loopback,
  NodeProcess,
  type Program,
} from "../harness/cluster.ts";
import { within } from "../harness/lateness.ts";
import { until } from "../harness/processes.ts";
import { HAS_PYTHON, RESETS, Script } from "../harness/python.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { fetchStatus } from "../../src/client/status.ts";
import { askOwner, OwnerBeacon } from "../../src/node/storage/journal_owner.ts";
import { OK, SimpleString } from "../../src/resp/value.ts";

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 10_000 });
}

Deno.test({
  name: "connections that are reset before they are accepted delay no client",
  ignore: !HAS_PYTHON,
  fn: async () => {
    const [port = 0] = freePorts(1);
    const node = new NodeProcess({ program: FROM_SOURCE, port, args: [] });
    await node.untilPrinted(/cluster is complete/);
    try {
      const script = new Script(RESETS, port, 400);
      await script.untilPrinted(/done/);
      // It was 40 s.
      await within(1000, async () => {
        const connection = await connect(port);
        assertEquals(await connection.call(["SET", "k", "v"]), OK);
        connection.close();
      });
      await script.end();
      const lines = node.printed.split("\n").filter((line) => /before it was accepted/.test(line));
      assertEquals(lines.length, 1, node.printed);
    } finally {
      await node.stop();
    }
  },
});

Deno.test({
  name: "a journal's owner is known to live after connections to its beacon were reset",
  ignore: !HAS_PYTHON,
  fn: async () => {
    const beacon = new OwnerBeacon();
    try {
      const script = new Script(RESETS, beacon.owner.port, 20);
      await script.untilPrinted(/done/);
      assertEquals(await askOwner(beacon.owner), "alive");
      await script.end();
    } finally {
      beacon.close();
    }
  },
});

/** The program with so many files that it may have open. */
function withFiles(count: number): Program {
  const { file, args } = FROM_SOURCE;
  return { file: "sh", args: ["-c", `ulimit -n ${count}; exec "$0" "$@"`, file, ...args] };
}

Deno.test({
  name: "peers link again while clients want more connections than the process may have",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const ports = freePorts(3).sort((a, b) => String(a) < String(b) ? -1 : 1);
    const places = loopback(ports, withFiles(150));
    const cluster = await LocalCluster.start({ places });
    // The middle one dials and is dialed.
    const [first = 0, port = 0, last = 0] = ports;
    const held: Deno.Conn[] = [];
    const again: NodeProcess[] = [];
    const healthy = await connect(port);
    try {
      assertEquals(await healthy.call(["SET", "k", "v"]), OK);
      for (let i = 0; i < 300; i++) {
        held.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      }
      await until("the node has noticed", () => /may open no more files/.test(printedBy(port)));
      const peers = places.map(({ address }) => address).join();
      for (const one of [first, last]) {
        await cluster.nodes.find((node) => node.port === one)?.stop("SIGKILL");
        const program = withFiles(150);
        again.push(new NodeProcess({ program, port: one, args: ["--peers", peers] }));
        await again.at(-1)?.untilPrinted(/cluster is complete/);
      }
      assertEquals(
        await healthy.call(["GET", "k"]),
        "v",
        "a client that uses its connection keeps it",
      );
      const before = await fetchStatus(healthy);
      assertEquals(before.nodes.map((node) => node.role), ["member", "member", "member"]);
      // Twice out and twice in: no node left for want of a file.
      assertEquals(before.view <= 5, true, `view ${before.view}`);
      const lines = printedBy(port).split("\n").filter((line) => /ERROR/.test(line));
      assertEquals(lines.length <= 6, true, lines.join("\n"));
    } finally {
      healthy.close();
      for (const conn of held) conn.close();
      for (const node of again) await node.stop();
      await cluster.stop();
    }

    function printedBy(port: number): string {
      return cluster.nodes.find((node) => node.port === port)?.printed ?? "";
    }
  },
});

Deno.test("the connection of an idle client is closed if the node is configured so, and no other", async () => {
  const [port = 0] = freePorts(1);
  const args = ["--idle-timeout", "1s"];
  const node = new NodeProcess({ program: FROM_SOURCE, port, args });
  await node.untilPrinted(/cluster is complete/);
  const busy = await connect(port);
  try {
    assertEquals(await busy.call(["CONFIG", "GET", "timeout"]), ["timeout", "1"]);
    const idle = await Deno.connect({ hostname: "127.0.0.1", port });
    const ended = new Response(idle.readable).text();
    const listening = await Deno.connect({ hostname: "127.0.0.1", port });
    await listening.write(new TextEncoder().encode("SUBSCRIBE c\r\n"));
    const space = new Uint8Array(1000);
    await listening.read(space);
    let isOver = false;
    ended.then(() => isOver = true);
    await until("the idle one is hung up on", async () => {
      assertEquals(await busy.call(["PING"]), new SimpleString("PONG"));
      return isOver;
    });
    assertEquals(await ended, "");
    assertEquals(await busy.call(["PUBLISH", "c", "still there"]), 1);
    assertEquals((await listening.read(space) ?? 0) > 0, true);
    listening.close();
    assertEquals(await busy.call(["PING"]), new SimpleString("PONG"));
  } finally {
    busy.close();
    await node.stop();
  }
});

Deno.test("a second start of a node says which process has the port, and leaves the first one alone", async () => {
  const [port = 0] = freePorts(1);
  const first = new NodeProcess({ program: FROM_SOURCE, port, args: [] });
  await first.untilPrinted(/cluster is complete/);
  const second = new NodeProcess({ program: FROM_SOURCE, port, args: [] });
  assertEquals(await second.untilEnded(), 1);
  assertMatch(
    second.printed,
    new RegExp(
      `^dks: cannot listen on 0\\.0\\.0\\.0:${port}: the port is in use: a dks node has it, process ${first.pid}$`,
    ),
  );
  assertEquals(first.hasEnded, false);
  await first.stop();
});

Deno.test({
  name: "SIGHUP ends no node",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const [port = 0] = freePorts(1);
    const node = new NodeProcess({ program: FROM_SOURCE, port, args: [] });
    await node.untilPrinted(/cluster is complete/);
    node.signal("SIGHUP");
    await node.untilPrinted(/SIGHUP is ignored/);
    await node.stop();
    assertEquals(await node.untilEnded(), 0);
  },
});
