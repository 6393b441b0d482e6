/** What one connection may rely on when it sends commands without waiting for the replies. */

import { assertEquals } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { OK, type RespValue } from "../../src/resp/value.ts";

const RUN_MS = 2000;

/** Commands of one pipeline. */
const PIPELINE = 20;

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 30_000 });
}

/** Calls `action` again and again until the time is over. */
async function repeat(end: number, action: () => Promise<void>): Promise<void> {
  while (performance.now() < end) await action();
}

Deno.test("pipelined writes to one key take effect in order, though others fight for its locks", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports) });
  const connections = await Promise.all(
    [0, 1, 2, 1, 2, 1].map((node) => connect(ports[node] ?? 0)),
  );
  const [writer, observer, other, ...rivals] = connections;
  if (writer === undefined || observer === undefined || other === undefined) throw new Error();
  let written = 0;
  try {
    assertEquals(await writer.call(["MSET", "a", "0", "h", "0"]), OK);
    const end = performance.now() + RUN_MS;
    const observe = (connection: ClientConnection) => {
      let last = 0;
      return repeat(end, async () => {
        const value = Number(await connection.call(["GET", "a"]));
        assertEquals(value >= last, true, `${value} after ${last}`);
        last = value;
      });
    };
    await Promise.all([
      observe(observer),
      observe(other),
      // The writer's transactions on two keys wait, die and are tried again for these.
      ...rivals.map((rival) => repeat(end, async () => void await rival.call(["SET", "h", "x"]))),
      repeat(end, async () => {
        const replies: Promise<RespValue>[] = [];
        for (let i = 0; i < PIPELINE; i++) {
          const value = String(++written);
          const words = i % 2 === 0 ? ["MSET", "a", value, "h", value] : ["SET", "a", value];
          replies.push(writer.call(words));
        }
        replies.push(writer.call(["GET", "a"]));
        const read = (await Promise.all(replies)).at(-1);
        assertEquals(read, String(written), "a read sees the writes before it");
      }),
    ]);
    const info = String(await writer.call(["INFO"]));
    assertEquals(/retries:[1-9]/.test(info), true, info);
  } finally {
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
});
