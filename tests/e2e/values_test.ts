/** What goes over the wire: any bytes, large values, pipelines, many clients at one key. */

import { assertEquals, assertMatch } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { fromBytes } from "../../src/byte_string.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { VALUE_BYTES_LIMIT, WRITE_BYTES_MAX } from "../../src/limits.ts";
import { ErrorReply, OK, type RespValue } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { until } from "../harness/processes.ts";

const TIMEOUT_MS = 30_000;

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: TIMEOUT_MS });
}

Deno.test("values on a cluster of five", async (t) => {
  const ports = freePorts(5);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const connections = await Promise.all(ports.map(connect));
  const [one, two, three] = connections;
  if (one === undefined || two === undefined || three === undefined) throw new Error("no nodes");
  const readEverywhere = async (key: string): Promise<RespValue[]> =>
    await Promise.all(connections.map((connection) => connection.call(["GET", key])));
  try {
    await t.step("keys and values are any bytes", async () => {
      const bytes = fromBytes(Uint8Array.from({ length: 256 }, (_, index) => index));
      const pairs: [string, string][] = [
        [bytes, bytes],
        ["\r\n", "\0"],
        ["", "empty key"],
        ["empty value", ""],
        ["\xff\xfe", "é in UTF-8: \xc3\xa9"],
      ];
      for (const [key, value] of pairs) {
        assertEquals(await one.call(["SET", key, value]), OK);
        assertEquals(await readEverywhere(key), ports.map(() => value));
      }
    });

    await t.step(
      "a value of 8 MiB is the largest; a larger one is refused and nothing lost",
      async () => {
        const value = "0123456789abcde\xff".repeat(512 * 1024);
        assertEquals(await one.call(["SET", "large", value]), OK);
        assertEquals((await readEverywhere("large")).every((found) => found === value), true);
        const refused = await one.call(["SET", "large", `${value}!`]);
        assertEquals(
          refused,
          new ErrorReply("ERR", "value of 8388609 bytes, at most 8388608 are allowed"),
        );
        const key = await one.call(["SET", "k".repeat(65537), "v"]);
        assertEquals(key, new ErrorReply("ERR", "key of 65537 bytes, at most 65536 are allowed"));
        assertEquals(await two.call(["STRLEN", "large"]), 8388608);
      },
    );

    await t.step("several keys change at once or not at all, as others see it", async () => {
      let isWriting = true;
      const writing = (async () => {
        for (let round = 1; round <= 200; round++) {
          const value = String(round);
          await one.call(["MSET", "m1", value, "m2", value, "m3", value]);
        }
        isWriting = false;
      })();
      let seen = 0;
      while (isWriting) {
        const values = await three.call(["MGET", "m1", "m2", "m3"]);
        if (!Array.isArray(values)) throw new Error(`MGET answered ${values}`);
        assertEquals(new Set(values).size, 1, String(values));
        seen++;
      }
      await writing;
      assertEquals(seen > 0, true);
      assertEquals(await two.call(["DEL", "m1", "m2", "m3", "m4"]), 3);
      assertEquals(await three.call(["MGET", "m1", "m2", "m3"]), [null, null, null]);
    });

    await t.step("a pipeline takes effect in its order, and is answered in it", async () => {
      const commands = Array.from({ length: 2000 }, (_, index) => {
        const key = `p${index % 7}`;
        switch (index % 4) {
          case 0:
            return ["SET", key, String(index)];
          case 1:
            return ["GET", `p${(index - 1) % 7}`];
          case 2:
            return ["DEL", key, "nothing"];
          default:
            return ["EXISTS", `p${(index - 1) % 7}`];
        }
      });
      const state = new Map<string, string>();
      const expected = commands.map(([name = "", key = "", value = ""]): RespValue => {
        if (name === "SET") {
          state.set(key, value);
          return OK;
        }
        if (name === "GET") return state.get(key) ?? null;
        if (name === "DEL") return state.delete(key) ? 1 : 0;
        return state.has(key) ? 1 : 0;
      });
      const replies = await Promise.all(commands.map((words) => two.call(words)));
      assertEquals(replies, expected);
    });

    await t.step("two coordinators fight for one key from 50 connections", async () => {
      const clients = await Promise.all(
        Array.from({ length: 50 }, (_, index) => connect(ports[index % 2] ?? 0)),
      );
      const created = await Promise.all(clients.map(async (client, index) => {
        let won = 0;
        for (let round = 0; round < 20; round++) {
          // Only one of all of them may create the key of a round.
          const reply = await client.call(["SET", `round:${round}`, String(index), "NX"]);
          if (reply instanceof ErrorReply) throw new Error(`${reply.code} ${reply.message}`);
          if (reply !== null) won++;
          const fought = await client.call(["SET", "fought for", `${index}:${round}`]);
          if (fought instanceof ErrorReply) throw new Error(`${fought.code} ${fought.message}`);
        }
        return won;
      }));
      assertEquals(created.reduce((sum, won) => sum + won, 0), 20);
      assertEquals(new Set(await readEverywhere("fought for")).size, 1);
      for (const client of clients) client.close();
    });

    await t.step("no lock is left", async () => {
      for (const connection of connections) {
        assertMatch(String(await connection.call(["INFO", "transactions"])), /keys_locked:0\r\n/);
      }
    });
  } finally {
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
});

Deno.test("a value with more bytes than all writes together may have is written on a cluster", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({
    places: loopback(ports, await binary()),
    args: ["--max-value-bytes", String(VALUE_BYTES_LIMIT)],
  });
  const connections = await Promise.all(ports.slice(0, 2).map(connect));
  const [one, two] = connections;
  if (one === undefined || two === undefined) throw new Error("no nodes");
  try {
    const value = "v".repeat(WRITE_BYTES_MAX + 1);
    // A busy machine may take so long that the view is changed meanwhile.
    await until("it is written", async () => {
      return !(await one.call(["SET", "k", value]) instanceof ErrorReply);
    });
    await until("it is read", async () => await two.call(["STRLEN", "k"]) === value.length);
  } finally {
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
});

Deno.test("hostile input gets an error and costs other clients nothing", async () => {
  const [port = 0] = freePorts(1);
  const cluster = await LocalCluster.start({ places: loopback([port], await binary()) });
  const inputs = [
    "*1\r\n$-5\r\n",
    "*99999999\r\n",
    "*2\r\n$3\r\nGET\r\n$999999999\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    '"unbalanced\r\n',
    "\x00\x01\x02\r\n",
    "*2\r\n$8\r\nDKS.PEER\r\n$2\r\n{}\r\n",
    '*2\r\n$8\r\nDKS.PEER\r\n$18\r\n{"purpose":"link"}\r\n',
  ];
  try {
    const healthy = await connect(port);
    for (const input of inputs) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode(input));
      const buffer = new Uint8Array(4096);
      const count = await conn.read(buffer);
      assertMatch(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), /^-ERR /, input);
      conn.close();
      assertEquals(await healthy.call(["SET", "k", "v"]), OK);
    }
    healthy.close();
  } finally {
    await cluster.stop();
  }
});
