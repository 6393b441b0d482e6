/** `dks client export` and `import` on real nodes. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { parseBackup } from "../../src/client/backup_file.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { binary } from "../harness/binary.ts";
import { call } from "../harness/checks.ts";
import { client } from "../harness/processes.ts";

const KEYS = 5000;
const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

/** Far ahead. */
const EXPIRES_AT_MS = 4_000_000_000_123;

/** What an exported file says of each key. */
function mapOf(
  bytes: Uint8Array,
): Map<string, { value: string; expiresAtMs: number | undefined }> {
  return new Map(
    parseBackup(bytes).map(([key, value, expiresAtMs]) => [key, { value, expiresAtMs }]),
  );
}

Deno.test("export and import carry all keys from one cluster to another", async (t) => {
  const ports = freePorts(4);
  const program = await binary();
  const cluster = await LocalCluster.start({ places: loopback(ports.slice(0, 3), program) });
  const other = await LocalCluster.start({ places: loopback(ports.slice(3), program) });
  const [one = 0, two = 0, , target = 0] = ports;
  const addressOf = (port: number) => ({ hostname: "127.0.0.1", port });
  const connection = await ClientConnection.open([addressOf(one)], { timeoutMs: 30_000 });
  try {
    const pairs = Array.from({ length: KEYS }, (_, i) => [`key ${i}`, `${i} `.repeat(20)]);
    pairs.push([ALL_BYTES, ALL_BYTES], ["", ""], ["large", "\xff".repeat(3_000_000)]);
    await connection.call(["MSET", ...pairs.flat()]);
    await connection.call(["DKS.ONCE", "a token", "SET", "under a token", "1"]);
    await connection.call(["SET", "expires", "1", "PXAT", String(EXPIRES_AT_MS)]);
    let exported = new Uint8Array();

    await t.step("while others write, it is one moment", async () => {
      let isWriting = true;
      const writing = (async () => {
        for (let round = 0; isWriting; round++) {
          await connection.call(["MSET", "m1", String(round), "m2", String(round)]);
        }
      })();
      const { code, bytes, stderr } = await client(two, ["export"]);
      isWriting = false;
      await writing;
      assertEquals([code, stderr], [0, `exported ${KEYS + 7} keys\n`]);
      const found = mapOf(bytes);
      assertEquals(found.get("m1")?.value, found.get("m2")?.value);
      assertEquals(found.get("expires")?.expiresAtMs, EXPIRES_AT_MS);
      for (const [key = "", value] of pairs) assertEquals(found.get(key)?.value, value);
      assertEquals(found.size, KEYS + 7, "the token is not among them");
      exported = new Uint8Array(bytes);
    });

    await t.step("a damaged or cut file is refused, and nothing imported", async () => {
      const changed = exported.slice();
      changed[1000] = (changed[1000] ?? 0) ^ 1;
      for (const bad of [changed, exported.subarray(0, exported.length / 2), new Uint8Array()]) {
        const { code, stdout, stderr } = await client(target, ["import"], bad);
        assertEquals([code, stdout], [3, ""]);
        assertMatch(stderr, /^dks: nothing was imported: [^\n]+\n$/);
      }
      assertEquals(await call(addressOf(target), ["DBSIZE"]), 0);
    });

    await t.step("what was imported is what was exported", async () => {
      await call(addressOf(target), ["SET", "there before", "1"]);
      const { code, stdout, stderr } = await client(target, ["import"], exported);
      assertEquals([code, stdout, stderr], [0, `imported ${KEYS + 7} keys\n`, ""]);
      const again = mapOf((await client(target, ["export"])).bytes);
      assertEquals(again.delete("there before"), true);
      assertEquals(again, mapOf(exported));
    });

    await t.step("wrong usage, and an export that is not there", async () => {
      assertEquals((await client(target, ["export", "x"])).code, 2);
      assertEquals((await client(target, ["import", "x"], "")).code, 2);
      const none = await client(target, ["raw", "DKS.EXPORT", "x"]);
      assertEquals(none.code, 3);
      assertStringIncludes(none.stderr, 'ERR there is no export "x"');
    });
  } finally {
    connection.close();
    await Promise.all([cluster.stop(), other.stop()]);
  }
});
