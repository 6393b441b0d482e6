/** A log that nobody reads costs the node nothing but lines of the log. */

import { assertEquals, assertMatch } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { fetchStatus } from "../../src/client/status.ts";
import { SimpleString } from "../../src/resp/value.ts";
import { freePorts, FROM_SOURCE, loopback, NodeProcess } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";
import { TextLines } from "../harness/text_lines.ts";

/** Starts a node, and reads nothing of what it says. */
function startUnread(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(FROM_SOURCE.file, {
    args: [...FROM_SOURCE.args, "serve", "--ephemeral", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function untilConnected(port: number): Promise<ClientConnection> {
  let connection: ClientConnection | undefined;
  await until(`port ${port} listens`, async () => {
    try {
      connection = await ClientConnection.open([{ hostname: "127.0.0.1", port }], {
        timeoutMs: 10_000,
      });
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
    }
    return connection !== undefined;
  });
  if (connection === undefined) throw new Error("not connected");
  return connection;
}

async function linesDropped(connection: ClientConnection): Promise<number> {
  const text = String(await connection.call(["INFO", "stats"]));
  return Number(/^log_lines_dropped:(\d+)\r$/m.exec(text)?.[1]);
}

Deno.test({
  name:
    "a node whose log nobody reads answers, keeps its view, and tells how many lines it dropped",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const [port = 0, ...others] = freePorts(3);
    const peers = loopback([port, ...others]).map(({ address }) => address).join();
    const node = startUnread(["--port", String(port), "--peers", peers]);
    const readers = others.map((port) =>
      new NodeProcess({ program: FROM_SOURCE, port, args: ["--peers", peers] })
    );
    for (const reader of readers) await reader.untilPrinted(/cluster is complete/);
    const connection = await untilConnected(port);
    try {
      const before = await fetchStatus(connection);
      // A line for each signal, until a pipe (64 KiB) and the queue (256 KiB) have no more room.
      await until("lines are dropped", async () => {
        for (let i = 0; i < 100; i++) {
          node.kill("SIGHUP");
          assertEquals(await connection.call(["PING"]), new SimpleString("PONG"));
        }
        return await linesDropped(connection) > 0;
      });
      const after = await fetchStatus(connection);
      assertEquals(after.view, before.view);
      assertEquals(after.nodes.map(({ role }) => role), ["member", "member", "member"]);

      const log = new TextLines(node.stdout);
      const told = await deadline(log.find(/lines? of this log w(as|ere) dropped/), 20_000);
      assertMatch(
        told,
        / WARN {2}\d+ lines? of this log w(as|ere) dropped here, as nobody read it$/,
      );
      // What comes later is there again.
      const ignored = () => log.lines.filter((line) => line.includes("SIGHUP is ignored")).length;
      const seen = ignored();
      node.kill("SIGHUP");
      await until("the next line is there", () => ignored() === seen + 1);
    } finally {
      connection.close();
      node.kill("SIGKILL");
      await node.status;
      await node.stderr.cancel();
      for (const reader of readers) await reader.stop();
    }
  },
});

Deno.test({
  name: "a node ends in time even if nobody reads its log, nor why it ends",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const [port = 0, other = 0] = freePorts(2);
    // One pipe for both, and full.
    const fill = 'exec 2>&1; dd if=/dev/zero bs=4096 count=16 2>&-; exec "$0" "$@"';
    const start = (...args: string[]) =>
      new Deno.Command("sh", {
        args: ["-c", fill, FROM_SOURCE.file, ...FROM_SOURCE.args, "serve", "--ephemeral", ...args],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn();
    const stopped = start("--port", String(port));
    const refused = start("--port", String(other), "--host", "192.0.2.1");
    try {
      const connection = await untilConnected(port);
      await until("the node is up", async () => {
        return (await connection.call(["PING"])) instanceof SimpleString; // An error, while it starts.
      });
      connection.close();
      stopped.kill("SIGTERM");
      assertEquals((await deadline(stopped.status, 20_000)).code, 0);
      assertEquals((await deadline(refused.status, 20_000)).code, 1);
    } finally {
      for (const node of [stopped, refused]) {
        try {
          node.kill("SIGKILL");
        } catch {
          // It has ended, as it should.
        }
        await node.status;
        await node.stdout.cancel();
      }
    }
  },
});
