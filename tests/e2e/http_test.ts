/** The port of `--http`, of nodes with real journals. */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { binary } from "../harness/binary.ts";
import { Browser, HAS_BROWSER } from "../harness/browser.ts";
import { call } from "../harness/checks.ts";
import { freePorts, loopback, NodeProcess } from "../harness/cluster.ts";
import { DESCRIBED, describedIn, figuresIn, httpGet } from "../harness/http.ts";
import { execute, isInstalled, until } from "../harness/processes.ts";

interface HttpNode {
  readonly process: NodeProcess;
  readonly address: { readonly hostname: string; readonly port: number };
  readonly http: number;
}

/** Runs three nodes with `--http`, which keep their journals. */
async function withNodes(then: (nodes: readonly HttpNode[]) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-http-" });
  const places = loopback(freePorts(3), await binary());
  const https = freePorts(3);
  const peers = places.map(({ address }) => address).join(",");
  const nodes = places.map(({ program, port }, index): HttpNode => ({
    process: new NodeProcess({
      program,
      port,
      args: ["--peers", peers, "--http", String(https[index])],
      storage: [],
      env: { XDG_DATA_HOME: `${folder}/${index}` },
    }),
    address: { hostname: "127.0.0.1", port },
    http: https[index] ?? 0,
  }));
  try {
    await Promise.all(nodes.map(({ process }) => process.untilPrinted(/cluster is complete/)));
    await then(nodes);
  } finally {
    await Promise.all(nodes.map(({ process }) => process.stop()));
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "a node with --http serves every metric, and promtool finds nothing wrong with them",
  fn: async (test) => {
    await withNodes(async ([one, two]) => {
      assert(one !== undefined && two !== undefined);
      for (let i = 0; i < 40; i++) await call(one.address, ["SET", `k${i % 10}`, "v".repeat(100)]);
      for (let i = 0; i < 7; i++) await call(one.address, ["GET", `k${i}`]);
      await call(one.address, ["GET", "none"]);
      await call(one.address, ["INCR", "k0"]);
      await call(one.address, ["SET"]);
      await call(one.address, ["SET", "gone", "x", "PX", "100000"]);
      const { status, headers, body } = await httpGet(one.http, "/metrics");
      assertEquals(status, 200);
      assertEquals(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      assertEquals(describedIn(body), DESCRIBED);
      const figures = figuresIn(body);
      const expected: Readonly<Record<string, number>> = {
        'dks_command_calls_total{command="set"}': 41,
        'dks_command_refusals_total{command="set"}': 1,
        'dks_command_failures_total{command="incr"}': 1,
        'dks_error_replies_total{code="ERR"}': 2,
        'dks_command_busy_seconds_bucket{command="incr",le="+Inf"}': 1,
        dks_keyspace_hits_total: 7,
        dks_keyspace_misses_total: 1,
        dks_write_seconds_count: 41,
        'dks_write_phase_seconds_count{phase="force"}': 41,
        dks_commits_total: 41,
        'dks_aborts_by_reason_total{reason="conflict"}': 0,
        dks_keys: 11,
        dks_expiring_keys: 1,
        dks_nodes: 3,
        dks_members: 3,
        dks_ready: 1,
        dks_complete: 1,
        dks_in_doubt_transactions: 0,
        [`dks_node_up{node="127.0.0.1:${two.address.port}"}`]: 1,
        dks_http_connections: 1,
      };
      const actual = Object.keys(expected).map((name) => [name, figures.get(name)]);
      assertEquals(Object.fromEntries(actual), expected);
      const value = (name: string) => figures.get(name) ?? -1;
      assertGreater(value("dks_force_seconds_count"), 0);
      // A force makes whole records durable, each with the value.
      assertGreater(value("dks_force_bytes_sum"), 41 * 100);
      assertGreater(value("dks_write_seconds_sum"), 0);
      assert(value("dks_write_seconds_sum") < 60, "seconds, not milliseconds");
      assertGreater(value("process_resident_memory_bytes"), 1e6);
      assertGreater(value("dks_lease_left_seconds"), 0);
      // The participant forces, too, and has no writes of its own.
      const others = figuresIn((await httpGet(two.http, "/metrics")).body);
      assertEquals(others.get("dks_write_seconds_count"), 0);
      assertGreater(others.get("dks_force_seconds_count") ?? 0, 0);

      await test.step({
        name: "promtool check metrics",
        ignore: !isInstalled("promtool"),
        fn: async () => {
          const checked = await execute("promtool", ["check", "metrics"], { input: body });
          assertEquals([checked.code, checked.stdout, checked.stderr], [0, "", ""]);
        },
      });
    });
  },
});

Deno.test("/readyz says why a node without a majority is not ready, and /healthz that it lives", async () => {
  await withNodes(async ([one, two, three]) => {
    assert(one !== undefined && two !== undefined && three !== undefined);
    await until("it is ready", async () => (await httpGet(one.http, "/readyz")).status === 200);
    await Promise.all([two.process.stop("SIGKILL"), three.process.stop("SIGKILL")]);
    await until("it is not ready", async () => (await httpGet(one.http, "/readyz")).status === 503);
    await until("it knows why", async () => {
      const { body } = await httpGet(one.http, "/readyz");
      return body.startsWith("not ready: no majority: ");
    });
    const { status, body } = await httpGet(one.http, "/healthz");
    assertEquals([status, body], [200, "alive\n"]);
    const figures = figuresIn((await httpGet(one.http, "/metrics")).body);
    assertEquals([figures.get("dks_ready"), figures.get("dks_lease")], [0, 0]);
  });
});

Deno.test({
  name: "the status page of each node tells at once that a node has gone",
  ignore: !HAS_BROWSER,
  fn: async () => {
    await withNodes(async (nodes) => {
      const [one, , three] = nodes;
      assert(one !== undefined && three !== undefined);
      const browser = await Browser.start();
      const says = async (headline: RegExp) => {
        await until(`the page says ${headline}`, async () => {
          return headline.test(await browser.textOf("#headline"));
        });
      };
      try {
        for (const { http } of nodes) {
          await browser.open(`http://127.0.0.1:${http}/`);
          await says(/^✓ All 3 nodes are members, and requests are served\.$/);
        }
        await browser.open(`http://127.0.0.1:${one.http}/`);
        await says(/^✓ All 3/);
        await call(one.address, ["SET", "k", "v"]);
        await until("the key is there", async () => {
          return (await browser.textOf("#facts")).startsWith("View 1, 1 key, ");
        });
        const { body } = await httpGet(one.http, "/metrics");
        assertEquals(figuresIn(body).get("dks_http_pages"), 1);
        await three.process.stop("SIGKILL");
        const { port } = three.address;
        await says(
          new RegExp(`^! Requests are served\\. 2 of 3 .* 127\\.0\\.0\\.1:${port} is down`),
        );
        const views = await browser.textOf("#views");
        assertMatch(views, new RegExp(`2\\s.*\\s2\\s.*127\\.0\\.0\\.1:${port}`));
        assertEquals(browser.complaints, []);
      } finally {
        await browser.stop();
      }
    });
  },
});

Deno.test("a node that cannot have the port of --http ends with one line", async () => {
  const [port = 0] = freePorts(1);
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const http = String(taken.addr.port);
  const node = new NodeProcess({ program: await binary(), port, args: ["--http", http] });
  assertEquals(await node.untilEnded(), 1);
  assertMatch(
    node.printed,
    /^dks: cannot listen on 127\.0\.0\.1:\d+ \(--http\): the port is in use$/,
  );
  taken.close();
});
