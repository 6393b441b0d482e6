/**
 * Keys expire on five real nodes whose wall clocks differ: four by less than what counts as right, one by
 * a minute. The bound that `docs/protocol.md` states under *Expiry* holds at every node, whichever has set
 * the key.
 */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { Address } from "../../../src/address.ts";
import { ClientConnection } from "../../../src/client/connection.ts";
import { CLOCK_OFF_MS_MAX, ROUND_TRIP_MS_MAX } from "../../../src/two_phase/cluster_time.ts";
import { OK } from "../../../src/resp/value.ts";
import { CLIENT_TIMEOUT_MS } from "../../harness/checks.ts";
import { freePorts, FROM_SOURCE, LocalCluster, loopback } from "../../harness/cluster.ts";

/** By how many milliseconds the clocks are ahead. The first node sweeps. */
const AHEAD_MS = [-450, 0, 0, 450, 60_000];

/** The node whose clock is wrong. */
const WRONG = 4;

/** Two clocks are at most so far off the median each, as measured. */
const BOUND_MS = 2 * (CLOCK_OFF_MS_MAX + ROUND_TRIP_MS_MAX / 2);

const LIFETIME_MS = 2500;

/** A node takes so long to see that a key is due, and to delete it, when nobody asks for it. */
const SWEEP_MS = 100;

Deno.test("keys expire within the bound on nodes whose clocks differ, whichever has set them", async () => {
  const [file, ...main] = [FROM_SOURCE.file, ...FROM_SOURCE.args.slice(0, -1)];
  const script = new URL("../../harness/skewed_main.ts", import.meta.url).pathname;
  const places = loopback(freePorts(AHEAD_MS.length).sort()).map((place, at) => ({
    ...place,
    program: { file: file ?? "", args: [...main, script, String(AHEAD_MS[at])] },
  }));
  const cluster = await LocalCluster.start({ places });
  const connections: ClientConnection[] = [];
  try {
    for (const { port } of places) {
      const address: Address = { hostname: "127.0.0.1", port };
      connections.push(await ClientConnection.open([address], { timeoutMs: CLIENT_TIMEOUT_MS }));
    }
    await cluster.nodes[WRONG]?.untilPrinted(/WALL CLOCK OF THIS NODE/);
    const [slowest] = connections;
    assert(slowest !== undefined);
    // Where all look, the fastest clock decides; where one looks, its own does, and the sweeper's.
    await Promise.all(connections.flatMap((setter, by) => [
      expireOnce(`early${by}`, setter, connections),
      expireOnce(`late${by}`, setter, [slowest]),
    ]));
  } finally {
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
});

/** Sets a key for a while, and looks at it through `lookers` until all of them have seen it gone. */
async function expireOnce(
  key: string,
  setter: ClientConnection,
  lookers: readonly ClientConnection[],
): Promise<void> {
  const askedAt = performance.now();
  assertEquals(await setter.call(["SET", key, "v", "PX", String(LIFETIME_MS)]), OK);
  const setAt = performance.now();
  await Promise.all(lookers.map(async (connection, at) => {
    for (;;) {
      const lookedAt = performance.now();
      const value = await connection.call(["GET", key]);
      const age = lookedAt - setAt;
      if (value === null) {
        const ageAtMost = performance.now() - askedAt;
        assert(
          ageAtMost >= LIFETIME_MS - BOUND_MS,
          `${key} is gone at node ${at} after ${ageAtMost} ms`,
        );
        return;
      }
      assert(age <= LIFETIME_MS + BOUND_MS + SWEEP_MS, `${key} is at node ${at} after ${age} ms`);
      await delay(5);
    }
  }));
}
