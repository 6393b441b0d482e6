/**
 * CLIENT TRACKING on real nodes: whichever client writes, whatever happens to the node that was read.
 *
 * To run this file alone: `deno test --allow-all --lock tests/deno.lock tests/e2e/tracking_test.ts`. Its clients
 * are not in `deno.lock`, or everyone who only runs dks would download them.
 */

import { assertEquals } from "@std/assert";
import { createClient } from "npm:redis@6.3.1";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";

/** Speaks with one node in version 3, and keeps all that comes. */
class RawClient {
  said = "";
  readonly #conn: Deno.TcpConn;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#readAll().catch(() => {});
  }

  static async open(port: number): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async #readAll(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#conn.readable) this.said += decoder.decode(chunk);
  }

  async say(line: string): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(`${line}\r\n`));
  }

  /** Waits until `text` has come; what came up to its end is forgotten. */
  async expect(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} comes`, () => this.said.includes(text));
    this.said = this.said.slice(this.said.indexOf(text) + text.length);
  }

  close(): void {
    try {
      this.#conn.close();
    } catch {
      // The reader has closed it.
    }
  }
}

const NULL_INVALIDATION = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

Deno.test("a client gets invalidations for writes at other nodes, and must forget all without a lease", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const [one = 0, two = 0] = ports;
  const reader = await RawClient.open(one);
  const writer = await RawClient.open(two);
  try {
    await reader.say("HELLO 3");
    await reader.say("CLIENT TRACKING ON");
    await reader.expect("+OK\r\n");
    await reader.say("GET k");
    await reader.expect("_\r\n");
    await writer.say("SET k 1");
    await reader.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    // Of one's own write the reply comes first.
    await reader.say("GET k");
    await reader.say("SET k 2");
    await reader.expect("$1\r\n1\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    await reader.say("GET k");
    await reader.expect("$1\r\n2\r\n");
    reader.said = "";
    await Promise.all(cluster.nodes.slice(1).map((node) => node.stop("SIGKILL")));
    await reader.expect(NULL_INVALIDATION);
  } finally {
    reader.close();
    writer.close();
    await cluster.stop();
  }
});

Deno.test("the client-side cache of node-redis is never older than what was written", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const [one = 0, two = 0] = ports;
  const cached = createClient({
    RESP: 3,
    socket: { host: "127.0.0.1", port: one },
    clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: "LRU" },
  });
  const writer = createClient({ socket: { host: "127.0.0.1", port: two } });
  try {
    await Promise.all([cached.connect(), writer.connect()]);
    for (let round = 0; round < 50; round++) {
      await writer.set("k", String(round));
      await until("the new value is seen", async () => await cached.get("k") === String(round));
      assertEquals(await cached.get("k"), String(round));
    }
  } finally {
    cached.destroy();
    writer.destroy();
    await cluster.stop();
  }
});
