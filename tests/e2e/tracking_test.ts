/**
 * CLIENT TRACKING on real nodes: whichever client writes, whatever happens to the node that was read.
 *
 * To run this file alone: `deno test --allow-all --lock tests/deno.lock tests/e2e/tracking_test.ts`. Its clients
 * are not in `deno.lock`, or everyone who only runs dks would download them.
 */

import { assert, assertEquals } from "@std/assert";
import { createClient } from "npm:redis@6.3.1";
import { ClientConnection } from "../../src/client/connection.ts";
import { endOfReply } from "../differential/raw_replies.ts";
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

/** A client that keeps what it reads until it is told otherwise, and sends without waiting for replies. */
class CachingClient {
  readonly cache = new Map<string, string | null>();
  readonly #conn: Deno.TcpConn;
  /** What is to become of the replies, in their order: of the strings and nulls in them. */
  readonly #onReply: ((values: readonly (string | null)[]) => void)[] = [];
  #unsent = "";

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#readAll().catch(() => {});
  }

  static async open(port: number): Promise<CachingClient> {
    const client = new CachingClient(await Deno.connect({ hostname: "127.0.0.1", port }));
    client.send("HELLO 3");
    await client.ask("CLIENT TRACKING ON");
    return client;
  }

  async #readAll(): Promise<void> {
    let held = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#conn.readable) {
      held += decoder.decode(chunk);
      for (let end = endOfReply(held, 0); end !== undefined; end = endOfReply(held, 0)) {
        this.#take(held.slice(0, end));
        held = held.slice(end);
      }
    }
  }

  #take(reply: string): void {
    const values = [...reply.matchAll(/\$\d+\r\n([^\r]*)|^_/gm)].map(([, text]) => text ?? null);
    if (!reply.startsWith(">")) this.#onReply.shift()?.(values);
    else if (values[1] === null) this.cache.clear();
    else for (const key of values.slice(1)) this.cache.delete(key ?? "");
  }

  send(line: string, onReply: (values: readonly (string | null)[]) => void = () => {}): void {
    this.#onReply.push(onReply);
    if (this.#unsent === "") queueMicrotask(() => this.#flush());
    this.#unsent += `${line}\r\n`;
  }

  #flush(): void {
    this.#conn.write(new TextEncoder().encode(this.#unsent)).catch(() => {});
    this.#unsent = "";
  }

  ask(line: string): Promise<unknown> {
    return new Promise((resolve) => this.send(line, resolve));
  }

  /** Reads keys in one of several ways, and keeps what is answered. */
  read(keys: readonly string[], way: "get" | "mget" | "exec"): void {
    const keep = (values: readonly (string | null)[]) => {
      keys.forEach((key, index) => this.cache.set(key, values[index] ?? null));
    };
    if (way === "get") {
      for (const key of keys) {
        this.send(`GET ${key}`, ([value = null]) => this.cache.set(key, value));
      }
    } else if (way === "mget") this.send(`MGET ${keys.join(" ")}`, keep);
    else {
      this.send("MULTI");
      for (const key of keys) this.send(`GET ${key}`);
      this.send("EXEC", keep);
    }
  }

  close(): void {
    this.#conn.close();
  }
}

Deno.test("a client that keeps what it reads keeps nothing that is out of date, behind slow replies too", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const [one = 0] = ports;
  const reader = await CachingClient.open(one);
  const writers = await Promise.all(
    ports.map((port) =>
      ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 20_000 })
    ),
  );
  const keys = ["a", "b", "c"];
  const any = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T;
  try {
    let kept = 0;
    for (let round = 0; round < 40; round++) {
      const written = writers.map(async (writer, index) => {
        for (let i = 0; i < 10; i++) {
          const key = any(keys);
          await writer.call(["SET", key, `${key} ${round} ${index} ${i}`]);
          reader.read([any(keys), any(keys)], any(["get", "mget", "exec"]));
          // It asks all nodes: the replies behind it wait.
          if (i % 3 === 0) reader.send("DKS.OUTCOME 0.1.1.abcdef");
        }
      });
      await Promise.all(written);
      reader.read([any(keys)], "get");
      const values = await writers[0]?.call(["MGET", ...keys]);
      assert(Array.isArray(values));
      await reader.ask("PING"); // All that the node had told is here.
      for (const [key, value] of reader.cache) {
        assertEquals([key, value], [key, values[keys.indexOf(key)]]);
        kept++;
      }
    }
    assert(kept >= 40, `${kept} values were kept`);
  } finally {
    reader.close();
    for (const writer of writers) writer.close();
    await cluster.stop();
  }
});
