/** How much room the journal of a node takes that joins again. */

import { assert, assertEquals } from "@std/assert";
import { freePorts, FROM_SOURCE, loopback, NodeProcess } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { OK } from "../../src/resp/value.ts";

/** So many that what a node appends while a checkpoint runs, up to 40 MiB, is a small part of it. */
const KEYS = 128;
const VALUE_BYTES = 1024 * 1024;

/** Returns a value that nothing makes shorter. */
function randomValue(): string {
  const parts: string[] = [];
  for (let length = 0; length < VALUE_BYTES; length += 16 * 1024) {
    parts.push(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16 * 1024))));
  }
  return parts.join("");
}

Deno.test("a node that joins again needs 1.5 times the room of the data", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dks-room-" });
  const permissions = [`--allow-read=${folder}`, `--allow-write=${folder}`];
  const program = { ...FROM_SOURCE, args: FROM_SOURCE.args.toSpliced(1, 0, ...permissions) };
  const places = loopback(freePorts(3), program);
  const peers = places.map(({ address }) => address).join(",");
  const start = (index: number) =>
    new NodeProcess({
      program,
      port: places[index]?.port ?? 0,
      args: ["--peers", peers, "--timeout", "30s"],
      storage: ["--data", `${folder}/${index}.kv`],
    });
  const nodes = [0, 1, 2].map(start);
  const [first] = nodes;
  assert(first !== undefined);
  // The file never shrinks: its size is the most that it ever was.
  const room = async () =>
    (await Deno.stat(`${folder}/2.kv`)).size + (await Deno.stat(`${folder}/2.kv-wal`)).size;
  const roomMax = 1.5 * KEYS * VALUE_BYTES;
  try {
    await Promise.all(nodes.map((node) => node.untilPrinted(/cluster is complete/)));
    const connection = await ClientConnection.open(
      [{ hostname: "127.0.0.1", port: first.port }],
      { timeoutMs: 60_000 },
    );
    for (let key = 0; key < KEYS; key++) {
      assertEquals(await connection.call(["SET", `k${key}`, randomValue()]), OK);
    }
    const before = await room();
    assert(before < roomMax, `${before} bytes before anything`);
    await nodes[2]?.stop("SIGKILL");
    assertEquals(await connection.call(["SET", "other", "v"]), OK);
    const again = nodes[2] = start(2);
    await again.untilPrinted(/cluster is complete/);
    // With its first checkpoint as a member everything has been written twice.
    const marked = { bytes: 0 };
    await until("the room has not changed for a second", async () => {
      const bytes = await room();
      if (bytes === marked.bytes) return true;
      marked.bytes = bytes;
      const nextAt = performance.now() + 1000;
      await until("a second has passed", () => performance.now() > nextAt);
      return false;
    });
    assert(marked.bytes < roomMax, `${marked.bytes} bytes for ${KEYS * VALUE_BYTES}`);
    const other = await ClientConnection.open(
      [{ hostname: "127.0.0.1", port: again.port }],
      { timeoutMs: 60_000 },
    );
    for (const key of ["k0", "k80", `k${KEYS - 1}`]) {
      assertEquals(await other.call(["GET", key]), await connection.call(["GET", key]));
    }
    for (const one of [connection, other]) one.close();
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await Deno.remove(folder, { recursive: true });
  }
});
