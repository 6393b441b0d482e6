/** Scenarios of MULTI, publish and subscribe, and CLIENT TRACKING: what Redis and dks say is the same. */

import { assertEquals } from "@std/assert";
import { type ByteString, fromBytes, toBytes } from "../../src/byte_string.ts";
import { endOfReply } from "../differential/raw_replies.ts";
import { hasRedis, RedisServer } from "../differential/redis_server.ts";
import { SCENARIOS, SCENARIOS_OF_3 } from "../differential/scenarios.ts";
import { binary } from "../harness/binary.ts";
import { CALM, freePorts, LocalCluster, loopback } from "../harness/cluster.ts";

/**
 * Says the commands one after the other on one connection. Returns all that comes for each, up to the
 * answer to an ECHO (or a PING, for a subscriber) that follows it.
 */
async function sayAll(
  port: number,
  version: 2 | 3,
  commands: readonly string[],
): Promise<string[]> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  let held: ByteString = "";
  const buffer = new Uint8Array(64 * 1024);
  const more = async (): Promise<boolean> => {
    const count = await conn.read(buffer).catch(() => null);
    if (count !== null) held += fromBytes(buffer.subarray(0, count));
    return count !== null;
  };
  const write = async (line: string) => {
    await conn.write(toBytes(`${line}\r\n`)).catch(() => {});
  };
  /** Takes one reply, or `undefined` if the connection has ended. */
  const take = async (): Promise<ByteString | undefined> => {
    for (;;) {
      const end = endOfReply(held, 0);
      if (end !== undefined) {
        const reply = held.slice(0, end);
        held = held.slice(end);
        return reply;
      }
      if (!await more()) return undefined;
    }
  };
  try {
    await write("FLUSHALL");
    await take();
    await write(`HELLO ${version}`);
    await take();
    const said: string[] = [];
    let isQueueing = false;
    for (const command of commands) {
      await write(command);
      const parts = [await take()];
      if (command === "MULTI") isQueueing = true;
      else if (/^(EXEC|DISCARD|RESET)/.test(command)) isQueueing = false;
      // Between MULTI and EXEC nothing comes but replies.
      if (!isQueueing) {
        await write("PING mark");
        for (let part = await take(); part !== undefined; part = await take()) {
          if (part.includes("\r\nmark\r\n")) break;
          parts.push(part);
        }
      }
      said.push(`${command}: ${parts.map((part) => part ?? "the end").join("")}`);
      if (parts.includes(undefined) || command === "QUIT") break;
    }
    return said;
  } finally {
    conn.close();
  }
}

for (const version of [2, 3] as const) {
  Deno.test({
    name: `scenarios of several commands end as with Redis 7, in RESP${version}`,
    ignore: !hasRedis(),
    fn: async () => {
      const [redisPort = 0, ...ports] = freePorts(4);
      const redis = await RedisServer.start(redisPort);
      const cluster = await LocalCluster.start({
        places: loopback(ports, await binary()),
        args: CALM,
      });
      try {
        const scenarios = version === 3 ? [...SCENARIOS, ...SCENARIOS_OF_3] : SCENARIOS;
        for (const [at, scenario] of scenarios.entries()) {
          const expected = await sayAll(redisPort, version, scenario);
          assertEquals(await sayAll(ports[at % ports.length] ?? 0, version, scenario), expected);
        }
      } finally {
        await Promise.all([redis.stop(), cluster.stop()]);
      }
    },
  });
}
