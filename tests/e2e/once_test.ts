/** Writes under tokens, and the ends of transactions, on real nodes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import { ConnectionError } from "../../src/client/connection.ts";
import { isRejection } from "../../src/client/refusals.ts";
import { callOnce, Connector } from "../../src/client/connector.ts";
import { ErrorReply, OK, type RespValue } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { call, callIfServed, isOk } from "../harness/checks.ts";
import { withHome } from "../harness/homes.ts";
import { client, until } from "../harness/processes.ts";

const ROUNDS = 3;
const WRITERS = 12;
const TIMEOUT_MS = 60_000;

Deno.test("a write under a token is done once, through kill -9 of all nodes", async () => {
  await withHome(async (env) => {
    const places = loopback(freePorts(3), await binary());
    const addresses = places.map(({ port }): Address => ({ hostname: "127.0.0.1", port }));
    const [first, second] = addresses;
    if (first === undefined || second === undefined) throw new Error("no nodes");
    const start = () => LocalCluster.start({ places, storage: [], env });
    let cluster = await start();
    try {
      const command = ["DKS.ONCE", "a token", "SET", "key", "value", "NX"];
      assertEquals(await call(first, command), OK);
      const replies: RespValue[] = [];
      let isWriting = true;
      // Each creates keys that no other client does, so the answer to a write that is done once is OK.
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        const own = [...addresses.slice(writer % 3), ...addresses.slice(0, writer % 3)];
        const connector = new Connector({ addresses: own, timeoutMs: TIMEOUT_MS });
        for (let i = 0; isWriting; i++) {
          try {
            const words = ["SET", `${writer}:${i}`, "v", "NX"];
            const reply = await callOnce(words, { connector, timeoutMs: TIMEOUT_MS });
            if (isRejection(reply)) i--; // All nodes were starting.
            else replies.push(reply);
          } catch (error) {
            if (!(error instanceof ConnectionError) || error.maybeDone) throw error;
            i--; // All nodes were down before anything was sent.
          }
        }
        connector.close();
      });
      for (let round = 0; round < ROUNDS; round++) {
        const goal = replies.length + 300 + Math.floor(Math.random() * 300);
        await until("there are more writes", () => replies.length >= goal);
        await Promise.all(cluster.nodes.map((node) => node.stop("SIGKILL")));
        cluster = await start();
      }
      isWriting = false;
      await Promise.all(writers);
      assertEquals(replies.filter((reply) => JSON.stringify(reply) !== JSON.stringify(OK)), []);

      assertEquals(await call(second, command), OK, "repeated after the restarts, elsewhere");
      assertEquals(await call(second, ["DBSIZE"]), replies.length + 1, "tokens do not count");
    } finally {
      await cluster.stop();
    }
  });
});

Deno.test("outcome tells from any node how a transaction ended", async () => {
  const ports = freePorts(3).sort((a, b) => a - b);
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    args: ["--timeout", "1s"],
  });
  const [one = 0, two = 0, three = 0] = ports;
  try {
    assertEquals((await client(one, ["put", "k", "v"])).code, 0);
    const stopped = cluster.nodes.find(({ port }) => port === three);
    stopped?.signal("SIGSTOP");
    // At once: the others soon go on without that node.
    const failed = await call({ hostname: "127.0.0.1", port: one }, ["SET", "k", "w"]);
    assert(failed instanceof ErrorReply, `${failed}`);
    const said = `${failed.code} ${failed.message}`;
    const [, kind, id = ""] = /(ABORTED|INDETERMINATE) .*\(transaction (\S+)\)/.exec(said) ?? [];
    assert(kind !== undefined, said);
    // What was told as aborted is; what was not may have been committed by the view without the node.
    const endings = kind === "ABORTED" ? ["aborted\n"] : ["aborted\n", "committed\n"];
    let ending = "";
    await until("the nodes that are left know how it ended", async () => {
      ending = (await client(two, ["outcome", id])).stdout;
      return endings.includes(ending);
    });
    const code = ending === "aborted\n" ? 1 : 0;
    const ended = await client(one, ["outcome", id]);
    assertEquals([ended.code, ended.stdout, ended.stderr], [code, ending, ""]);
    const unknown = await client(two, ["outcome", "2.9.9.abcdef"]);
    assertEquals(unknown.code, 3);
    assertMatch(unknown.stdout, /^unknown \(.*; no answer from 127\.0\.0\.1:\d+\)\n$/);
    stopped?.signal("SIGCONT");
    await until("the node is back, and all nodes can forget", async () => {
      const address = { hostname: "127.0.0.1", port: three };
      return isOk(await callIfServed(address, ["SET", "k", "x"]));
    });
    // Once all nodes know of a commit, they may forget it.
    const later = ending === "aborted\n" ? /^aborted\n$/ : /^(committed\n|forgotten \()/;
    assertMatch((await client(three, ["outcome", id])).stdout, later);
    const done = await client(two, ["outcome", id.replace(/^(\d+\.\d+)\.\d+/, "$1.1")]);
    assertMatch(done.stdout, /^(committed\n|forgotten \()/);
    const bad = await client(two, ["outcome", "0.1"]);
    assertEquals([bad.code, bad.stdout], [3, ""]);
    assertMatch(
      bad.stderr,
      /^dks: ERR a transaction is named node\.incarnation\.sequence\.journal, such/,
    );
    assertMatch(
      (await client(two, [], `outcome ${id}\n`)).stdout,
      /^"(aborted|committed|forgotten)/,
    );
  } finally {
    await cluster.stop();
  }
});
