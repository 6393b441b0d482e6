/** An older copy of a journal is put back at one of three nodes, with real processes and databases. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { freePorts, loopback, NodeProcess } from "../harness/cluster.ts";
import { binary } from "../harness/binary.ts";
import { callIfServed, isOk } from "../harness/checks.ts";
import { IS_NIGHTLY } from "../harness/nightly.ts";
import { client, until } from "../harness/processes.ts";
import { withHome } from "../harness/homes.ts";

/** `at` is the place in the list: nodes dial those behind them, and are dialed by those before them. */
for (const at of IS_NIGHTLY ? [0, 1, 2] : [0, 2]) {
  Deno.test(`node ${at} on an older copy of its journal says so, serves nothing old, and joins from empty`, async () => {
    await withHome(async (env, home) => {
      const program = await binary();
      const places = loopback(freePorts(3), program);
      const peers = places.map(({ address }) => address).join(",");
      /** Each node has data of its own, as on a machine of its own. */
      const start = (index: number) => {
        const own = { ...env, XDG_DATA_HOME: `${home}/${index}/data` };
        const port = places[index]?.port ?? 0;
        return new NodeProcess({ program, port, args: ["--peers", peers], storage: [], env: own });
      };
      const startAll = async () => {
        const nodes = [0, 1, 2].map(start);
        await Promise.all(nodes.map((node) => node.untilPrinted(/listening on port/)));
        return nodes;
      };
      /** Each node has met the others then, whichever of them a later question meets first. */
      const allComplete = () =>
        Promise.all(nodes.map((node) => node.untilPrinted(/cluster is complete/)));
      const portOf = (index: number) => places[index]?.port ?? 0;
      const ask = (index: number, words: readonly string[]) =>
        callIfServed({ hostname: "127.0.0.1", port: portOf(index) }, words);
      const other = (at + 1) % 3;
      let nodes = await startAll();
      try {
        await allComplete();
        assertEquals((await client(portOf(other), ["put", "k", "old"])).code, 0);
        await Promise.all(nodes.map((node) => node.stop()));
        await copyFolder(`${home}/${at}/data`, `${home}/copy`);

        nodes = await startAll();
        await allComplete();
        await until("a write is taken", async () => {
          return isOk(await ask(other, ["SET", "k", "new"]));
        });
        await Promise.all(nodes.map((node) => node.stop()));
        await Deno.remove(`${home}/${at}/data`, { recursive: true });
        await copyFolder(`${home}/copy`, `${home}/${at}/data`);

        nodes = await startAll();
        const line = await nodes[at]?.untilPrinted(/IS AN OLDER COPY/);
        assertMatch(
          line ?? "",
          /start number 2, record \d+, and 127\.0\.0\.1:\d+ has seen it at start/,
        );
        // Until it is a member again it answers nothing; then it has what the others have.
        const seen = new Set<string>();
        await until("it answers", async () => {
          const value = await ask(at, ["GET", "k"]);
          if (typeof value === "string") seen.add(value);
          return typeof value === "string";
        });
        assertEquals([...seen], ["new"]);
        await until("it takes a write", async () => {
          return isOk(await ask(at, ["SET", "k", "newer"]));
        });
        // All of that takes few views: no node is taken for its earlier process.
        const { stdout } = await client(portOf(at), ["status"]);
        const [, view] = /view (\d+)/.exec(stdout) ?? [];
        assert(Number(view) <= 6, stdout);
        // The new journal lasts.
        await nodes[at]?.stop();
        nodes[at] = start(at);
        await until("it is back", async () => {
          return await ask(at, ["GET", "k"]) === "newer";
        });
        assertEquals(/OLDER COPY/.test(nodes[at].printed), false);
      } finally {
        await Promise.all(nodes.map((node) => node.stop()));
      }
    });
  });
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
