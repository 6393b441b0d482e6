/** Two processes on one journal: only one of them may answer. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, FROM_SOURCE, NodeProcess } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";

/** Gives `use` what starts nodes, each at a port of its own, on one database in a new folder. */
async function withOneJournal(
  use: (options: { start: () => NodeProcess; folder: string }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-owner-" });
  const permissions = [`--allow-read=${folder}`, `--allow-write=${folder}`];
  const program = { ...FROM_SOURCE, args: FROM_SOURCE.args.toSpliced(1, 0, ...permissions) };
  const storage = ["--data", `${folder}/journal.kv`];
  const nodes: NodeProcess[] = [];
  const start = () => {
    const [port = 0] = freePorts(1);
    const node = new NodeProcess({ program, port, args: [], storage });
    nodes.push(node);
    return node;
  };
  try {
    await use({ start, folder });
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 30_000 });
}

/** Asks for `k`; a node that refuses or ends says nothing. */
async function valueAt(connection: ClientConnection): Promise<unknown> {
  const reply = await connection.call(["GET", "k"]).catch(() => undefined);
  return reply instanceof ErrorReply ? undefined : reply;
}

const TAKEN = /^dks: another process has taken over the journal .*\/journal\.kv$/m;

for (const when of ["after the first write", "while the other waits"] as const) {
  Deno.test({
    name:
      `a node alone that was stopped while another took its journal never answers from before: ${when}`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      await withOneJournal(async ({ start }) => {
        const first = start();
        await first.untilPrinted(/cluster is complete/);
        const connections = await Promise.all(
          Array.from({ length: 20 }, () => connect(first.port)),
        );
        const [asking] = connections;
        assert(asking !== undefined);
        assertEquals(await asking.call(["SET", "k", "old"]), OK);
        // Then it has nothing to commit or to ask any more that comes of its start.
        const quietAt = performance.now() + 2500;
        await until("it has been up for a while", () => performance.now() > quietAt);
        first.signal("SIGSTOP");
        const second = start();
        await second.untilPrinted(/does not answer: takes the journal from it/);
        if (when === "while the other waits") first.signal("SIGCONT");
        await second.untilPrinted(/cluster is complete/);
        const writing = await connect(second.port);
        assertEquals(await writing.call(["SET", "k", "new"]), OK);
        // These reach the first one before it runs again.
        const values = connections.map((connection) => valueAt(connection));
        first.signal("SIGCONT");
        assertEquals((await Promise.all(values)).filter((value) => value === "old"), []);
        await until("the first one has ended", async () => {
          assertEquals(await valueAt(asking), undefined);
          return first.hasEnded;
        });
        assertEquals(await first.untilEnded(), 1);
        assertMatch(first.printed, TAKEN);
        assertEquals(await writing.call(["GET", "k"]), "new");
        for (const connection of [...connections, writing]) connection.close();
      });
    },
  });
}

Deno.test({
  name: "a node that was stopped and lost nothing goes on",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withOneJournal(async ({ start }) => {
      const node = start();
      await node.untilPrinted(/cluster is complete/);
      const connection = await connect(node.port);
      assertEquals(await connection.call(["SET", "k", "v"]), OK);
      node.signal("SIGSTOP");
      const answer = connection.call(["GET", "k"]);
      const goesOnAt = performance.now() + 400;
      await until("it has stood still", () => performance.now() > goesOnAt);
      node.signal("SIGCONT");
      assertEquals(await answer, "v");
      const refused = start();
      assertEquals(await refused.untilEnded(), 1);
      assertStringIncludes(refused.printed, "is in use by another process");
      assertEquals(await connection.call(["GET", "k"]), "v");
      connection.close();
    });
  },
});
