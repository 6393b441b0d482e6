/** An older copy of a journal is put back at one of three nodes, with real processes and databases. */

import { assertEquals, assertMatch } from "@std/assert";
import { freePorts, loopback, NodeProcess } from "../harness/cluster.ts";
import { binary } from "../harness/binary.ts";
import { client, until } from "../harness/processes.ts";
import { withHome } from "../harness/homes.ts";

Deno.test("a node on an older copy of its journal says so, serves nothing old, and joins from empty", async () => {
  await withHome(async (_env, home) => {
    const program = await binary();
    const places = loopback(freePorts(3), program);
    const peers = places.map(({ address }) => address).join(",");
    /** Each node has a home of its own, as on a machine of its own. */
    const start = (index: number) => {
      const env = { HOME: `${home}/${index}`, XDG_DATA_HOME: `${home}/${index}/data` };
      const port = places[index]?.port ?? 0;
      return new NodeProcess({ program, port, args: ["--peers", peers], storage: [], env });
    };
    const startAll = async () => {
      const nodes = [0, 1, 2].map(start);
      await Promise.all(nodes.map((node) => node.untilPrinted(/listening on port/)));
      return nodes;
    };
    const portOf = (index: number) => places[index]?.port ?? 0;
    let nodes = await startAll();
    try {
      await Promise.all(nodes.map((node) => node.untilPrinted(/cluster is complete/)));
      assertEquals((await client(portOf(0), ["put", "k", "old"])).code, 0);
      await Promise.all(nodes.map((node) => node.stop()));
      await copyFolder(`${home}/2/data`, `${home}/copy`);

      nodes = await startAll();
      await until("a write is taken", async () => {
        return (await client(portOf(0), ["put", "k", "new"])).code === 0;
      });
      await Promise.all(nodes.map((node) => node.stop()));
      await Deno.remove(`${home}/2/data`, { recursive: true });
      await copyFolder(`${home}/copy`, `${home}/2/data`);

      nodes = await startAll();
      const line = await nodes[2]?.untilPrinted(/IS AN OLDER COPY/);
      assertMatch(
        line ?? "",
        /start number 2, record \d+, and 127\.0\.0\.1:\d+ has seen it at start/,
      );
      // Until it is a member again it answers nothing; then it has what the others have.
      const seen = new Set<string>();
      await until("n2 answers", async () => {
        const { code, stdout } = await client(portOf(2), ["get", "k"]);
        if (code === 0) seen.add(stdout.trim());
        return code === 0;
      });
      assertEquals([...seen], ["new"]);
      await until("n2 takes a write", async () => {
        return (await client(portOf(2), ["put", "k", "newer"])).code === 0;
      });
      // The new journal lasts.
      await nodes[2]?.stop();
      nodes[2] = start(2);
      await until("n2 is back", async () => {
        return (await client(portOf(2), ["get", "k"])).stdout.trim() === "newer";
      });
      assertEquals(/OLDER COPY/.test(nodes[2].printed), false);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });
});

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
