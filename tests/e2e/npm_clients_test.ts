/**
 * Clients that Node programs use, against several nodes: MULTI, publish and subscribe.
 *
 * To run this file alone: `deno test --allow-all --lock tests/deno.lock tests/e2e/npm_clients_test.ts`. Its clients
 * are not in `deno.lock`, or everyone who only runs dks would download them.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Redis } from "npm:ioredis@6.0.0";
import { createClient } from "npm:redis@6.3.1";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";

/** @param run `restart` kills a node and starts it again, with nothing: it gets all keys from the others */
async function withNodes(
  run: (ports: readonly number[], restart: (at: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const ports = freePorts(3);
  const places = loopback(ports, await binary());
  const cluster = await LocalCluster.start({ places });
  const restarted: NodeProcess[] = [];
  const restart = async (at: number) => {
    const place = places[at];
    assert(place !== undefined);
    await cluster.nodes[at]?.stop("SIGKILL");
    const args = ["--peers", places.map(({ address }) => address).join(",")];
    restarted.push(new NodeProcess({ program: place.program, port: place.port, args }));
  };
  try {
    await run(ports, restart);
  } finally {
    await Promise.all([cluster.stop(), ...restarted.map((node) => node.stop())]);
  }
}

Deno.test("ioredis: MULTI, WATCH, publish and subscribe across nodes", async () => {
  await withNodes(async ([one = 0, two = 0, three = 0]) => {
    const writer = new Redis(one);
    const other = new Redis(two);
    const listener = new Redis(three);
    try {
      assertEquals(await writer.multi().set("a", "1").incr("a").get("a").exec(), [
        [null, "OK"],
        [null, 2],
        [null, "2"],
      ]);
      await writer.watch("a");
      await other.set("a", "x");
      assertEquals(await writer.multi().set("a", "y").exec(), null);
      const failed = await writer.multi().incr("a").set("b", "1").exec();
      assertEquals(failed?.[0]?.[0]?.message, "ERR value is not an integer or out of range");
      assertEquals(failed?.[1], [null, "OK"]);
      await assertRejects(
        () => writer.multi().call("nope").set("b", "2").exec(),
        Error,
        "EXECABORT",
      );
      assertEquals(await other.get("b"), "1");

      const messages: string[] = [];
      listener.on("message", (channel, message) => messages.push(`${channel} ${message}`));
      listener.on("pmessage", (pattern, channel, message) => {
        messages.push(`${pattern} ${channel} ${message}`);
      });
      await listener.subscribe("news");
      await listener.psubscribe("n*");
      assertEquals(await writer.publish("news", "1"), 2);
      assertEquals(await other.publish("news", "2"), 2);
      await until("all messages have come", () => messages.length === 4);
      assertEquals(messages.toSorted(), ["n* news 1", "n* news 2", "news 1", "news 2"]);
      assertEquals(await other.pubsub("NUMSUB", "news"), ["news", 1]);
      await other.config("SET", "notify-keyspace-events", "KEA");
      const events: string[] = [];
      const watcher = new Redis(two);
      watcher.on("message", (channel, message) => events.push(`${channel} ${message}`));
      await watcher.subscribe(
        "__keyevent@0__:incrby",
        "__keyspace@0__:n",
        "__keyevent@0__:expired",
      );
      await writer.incr("n");
      await writer.pexpire("n", 20);
      await until("it has expired", () => events.length >= 5);
      assertEquals(events.toSorted(), [
        "__keyevent@0__:expired n",
        "__keyevent@0__:incrby n",
        "__keyspace@0__:n expire",
        "__keyspace@0__:n expired",
        "__keyspace@0__:n incrby",
      ]);
      watcher.disconnect();

      await listener.unsubscribe("news");
      await until("nobody listens", async () => await writer.publish("news", "3") === 1);
    } finally {
      for (const client of [writer, other, listener]) client.disconnect();
    }
  });
});

Deno.test("ioredis: pipelines, and a node that is killed and started again", async () => {
  await withNodes(async ([one = 0, two = 0], restart) => {
    const [writer, client, listener] = [new Redis(one), new Redis(two), new Redis(two)];
    try {
      for (const each of [client, listener]) each.on("error", () => {});
      const pipeline = client.pipeline();
      for (let count = 0; count < 1000; count++) pipeline.incr("n");
      const replies = await pipeline.exec();
      assertEquals(
        replies?.map(([, reply]) => reply),
        Array.from({ length: 1000 }, (_, at) => at + 1),
      );
      const messages: string[] = [];
      listener.on("message", (_channel, message) => messages.push(message));
      await listener.subscribe("news");
      await restart(1);
      // It waits until the node says that it has loaded all keys.
      assertEquals(await client.incr("n"), 1001);
      await until("it has subscribed again", async () => await writer.publish("news", "1") === 1);
      await until("a message has come", () => messages.length > 0);
    } finally {
      for (const each of [writer, client, listener]) each.disconnect();
    }
  });
});

for (const version of [2, 3] as const) {
  Deno.test(`node-redis, RESP${version}: pipelines, and a node that is killed and started again`, async () => {
    await withNodes(async ([one = 0, two = 0], restart) => {
      const clients = [one, two, two].map((port) =>
        createClient({ RESP: version, socket: { host: "127.0.0.1", port } })
      );
      const [writer, client, listener] = clients;
      assert(writer !== undefined && client !== undefined && listener !== undefined);
      try {
        for (const each of clients) each.on("error", () => {});
        for (const each of clients) await each.connect();
        // What is sent in one turn is a pipeline.
        const replies = await Promise.all(Array.from({ length: 1000 }, () => client.incr("n")));
        assertEquals<unknown>(replies, Array.from({ length: 1000 }, (_, at) => at + 1));
        const messages: string[] = [];
        await listener.subscribe("news", (message) => messages.push(message));
        await restart(1);
        // It passes on that the node is LOADING, and what has broken off.
        await until("it has connected again", async () => {
          return await client.get("n").catch(() => undefined) === "1000";
        });
        await until("it has subscribed again", async () => await writer.publish("news", "1") === 1);
        await until("a message has come", () => messages.length > 0);
      } finally {
        for (const each of clients) each.destroy();
      }
    });
  });
}

for (const version of [2, 3] as const) {
  Deno.test(`node-redis, RESP${version}: MULTI, WATCH, publish and subscribe across nodes`, async () => {
    await withNodes(async ([one = 0, two = 0, three = 0]) => {
      const clients = [one, two, three].map((port) =>
        createClient({ RESP: version, socket: { host: "127.0.0.1", port } })
      );
      const [writer, other, listener] = clients;
      assert(writer !== undefined && other !== undefined && listener !== undefined);
      try {
        for (const client of clients) await client.connect();
        assertEquals<unknown>(await writer.multi().set("a", "1").incr("a").get("a").exec(), [
          "OK",
          2,
          "2",
        ]);
        await writer.watch("a");
        await other.set("a", "x");
        await assertRejects(() => writer.multi().set("a", "y").exec(), Error);
        assertEquals(await other.get("a"), "x");

        const messages: string[] = [];
        await listener.subscribe("news", (message, channel) => {
          messages.push(`${channel} ${message}`);
        });
        await listener.pSubscribe("n*", (message, channel) => {
          messages.push(`${channel} by pattern ${message}`);
        });
        await listener.sSubscribe("shard", (message, channel) => {
          messages.push(`${channel} ${message}`);
        });
        assertEquals(await writer.publish("news", "1"), 2);
        assertEquals(await other.sPublish("shard", "2"), 1);
        await until("all messages have come", () => messages.length === 3);
        assertEquals(messages.toSorted(), ["news 1", "news by pattern 1", "shard 2"]);
        assertEquals<unknown>(await other.pubSubNumPat(), 1);
        await listener.unsubscribe("news");
        await until("it is gone", async () => (await writer.pubSubChannels()).length === 0);
      } finally {
        for (const client of clients) client.destroy();
      }
    });
  });
}
