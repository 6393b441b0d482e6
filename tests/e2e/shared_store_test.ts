/** A database that other processes use, too: nodes of other ports, and tools that look at it. */

import { assertEquals, assertMatch } from "@std/assert";
import { freePorts, FROM_SOURCE, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { databasesBelow } from "../harness/homes.ts";
import { within } from "../harness/lateness.ts";
import { until } from "../harness/processes.ts";
import { HAS_PYTHON, LOCKS, Script } from "../harness/python.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";

/**
 * The program with one store for all ports, as `deno compile` makes it: there the location is part of the
 * program, and all ports of a user have the same.
 */
const ONE_STORE = {
  file: FROM_SOURCE.file,
  args: FROM_SOURCE.args.toSpliced(1, 0, "--location", "http://localhost/dks"),
};

/** Gives `use` an environment in which the runtime keeps its stores in a new folder. */
async function withStores(
  use: (env: Readonly<Record<string, string>>, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-store-" });
  try {
    // Packages and compiled modules come from where they are; what a node stores does not.
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] })
      .output();
    const { denoDir } = JSON.parse(new TextDecoder().decode(stdout));
    for (const name of ["npm", "gen"]) {
      await Deno.symlink(`${denoDir}/${name}`, `${folder}/${name}`);
    }
    await use({ DENO_DIR: folder }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 30_000 });
}

Deno.test("five nodes of one machine live beside each other in one store", async () => {
  await withStores(async (env, folder) => {
    const ports = freePorts(5);
    const options = { places: loopback(ports, ONE_STORE), storage: [], env };
    const cluster = await LocalCluster.start(options);
    try {
      assertEquals((await databasesBelow(folder)).length, 1);
      const connections = await Promise.all(ports.map(connect));
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, index) => {
          return connections[index % 5]?.call(["SET", `key ${index}`, "v"]);
        }),
      );
      assertEquals(replies.filter((reply) => reply instanceof ErrorReply), []);
      for (const connection of connections) connection.close();
      for (const node of cluster.nodes) assertEquals(node.hasEnded, false, node.printed);
    } finally {
      await cluster.stop();
    }
    // Each has found its own again.
    const again = await LocalCluster.start(options);
    const connection = await connect(ports[3] ?? 0);
    assertEquals(await connection.call(["DBSIZE"]), 500);
    for (const node of again.nodes) assertMatch(node.printed, /500 keys, start number 2/);
    connection.close();
    await again.stop();
  });
});

Deno.test({
  name: "a node outlives foreign locks of its database, and ends with a line when one stays",
  ignore: !HAS_PYTHON,
  fn: async () => {
    await withStores(async (env, folder) => {
      const [port = 0] = freePorts(1);
      const node = new NodeProcess({ program: ONE_STORE, port, args: [], storage: [], env });
      await node.untilPrinted(/cluster is complete/);
      const connection = await connect(port);
      const [file = ""] = await databasesBelow(folder);
      const script = new Script(LOCKS, file, 10, 60);
      let isDone = false;
      script.untilPrinted(/done/).then(() => isDone = true);
      await until("the locks are over", async () => {
        assertEquals(await connection.call(["SET", "k", "v"]), OK, node.printed);
        return isDone;
      });
      await script.end();
      assertEquals(node.hasEnded, false);
      const forever = new Script(LOCKS, file, 40_000, 1);
      await forever.untilPrinted(/locked/);
      connection.call(["SET", "k", "w"]).catch(() => {});
      await node.untilPrinted(/another process has locked the journal/);
      assertEquals(await node.untilEnded(), 1);
      assertMatch(node.printed, /^dks: cannot write the journal .*: another process has had it/m);
      connection.close();
      await forever.kill();
    });
  },
});

Deno.test({
  name: "SIGTERM before recovery is done ends a node at once, with code 0",
  ignore: !HAS_PYTHON || Deno.build.os === "windows",
  fn: async () => {
    await withStores(async (env, folder) => {
      const [port = 0] = freePorts(1);
      const start = () => new NodeProcess({ program: ONE_STORE, port, args: [], storage: [], env });
      const first = start();
      await first.untilPrinted(/cluster is complete/);
      await first.stop();
      const [file = ""] = await databasesBelow(folder);
      const lock = new Script(LOCKS, file, 40_000, 1);
      await lock.untilPrinted(/locked/);
      const node = start();
      await until("the node is starting", async () => {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
        if (conn === undefined) return false;
        assertMatch(
          await new Response(conn.readable).text(),
          /^-LOADING REJECTED this node is starting/,
        );
        return true;
      });
      await within(2000, async () => {
        node.signal("SIGTERM");
        assertEquals(await node.untilEnded(), 0, node.printed);
      });
      await lock.kill();
    });
  },
});
