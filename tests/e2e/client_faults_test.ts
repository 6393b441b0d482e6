/** `dks client` beside a node that hangs or rejects, and with files, pipes and disks that fail. */

import { assertEquals, assertMatch } from "@std/assert";
import { freePorts, FROM_SOURCE, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { type Ended, execute } from "../harness/processes.ts";

/** Runs the client from its source, in a shell that redirects it. */
async function shell(args: readonly string[], redirection: string): Promise<Ended> {
  const line = `"$0" "$@" ${redirection}`;
  return await execute("sh", ["-c", line, FROM_SOURCE.file, ...FROM_SOURCE.args, ...args]);
}

/** Fails unless `ended` has this code, and one line of this kind on standard error. */
function assertOneLine({ code, stderr }: Ended, expected: number, pattern: RegExp): void {
  assertMatch(stderr, /^dks: [^\n]+\n$/);
  assertMatch(stderr, pattern);
  assertEquals(code, expected, stderr);
}

const OPERATIONS = "PUT,k,1\nGET,k\nPUT,l,2\nGET,l\n";

interface Results {
  readonly status: Ended;
  readonly exported: Ended;
  readonly replayed: Ended;
  readonly got: Ended;
}

/** Runs every command that may go on to another address. Returns how they have ended. */
async function runAll(servers: readonly number[]): Promise<Results> {
  const list = servers.map((port) => `127.0.0.1:${port}`).join();
  const run = (words: readonly string[], input = "") =>
    execute(FROM_SOURCE.file, [
      ...FROM_SOURCE.args,
      ...["client", "-s", list, "--timeout", "8s"],
      ...words,
    ], { input });
  const [status, exported, replayed, got] = await Promise.all([
    run(["status", "--json"]),
    run(["export"]),
    run(["run", "--retry", "--pipeline", "4", "--json"], OPERATIONS),
    run(["get", "stays"]),
  ]);
  return { status, exported, replayed, got };
}

function assertAllDone({ status, exported, replayed, got }: Results): void {
  assertEquals(status.code, 0, status.stderr);
  assertEquals(JSON.parse(status.stdout).nodes.length, 3);
  assertEquals(exported.code, 0, exported.stderr);
  assertMatch(exported.stdout, /"key":"stays","value":"here"/);
  assertEquals(replayed.code, 0, replayed.stdout);
  assertEquals(JSON.parse(replayed.stdout).failed, 0);
  assertEquals([got.code, got.stdout], [0, "here"]);
}

Deno.test({
  name: "commands go on to the next address when a node is frozen, or rejects",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const ports = freePorts(3);
    const [one = 0, two = 0] = ports;
    const cluster = await LocalCluster.start({ places: loopback(ports) });
    // It waits for a peer that never comes, and rejects everything.
    const [port = 0, absent = 0] = freePorts(2);
    const peers = loopback([port, absent]).map(({ address }) => address).join();
    const rejecting = new NodeProcess({
      program: FROM_SOURCE,
      port,
      args: ["--peers", peers, "--advertise", `127.0.0.1:${port}`],
    });
    const frozen = cluster.nodes.find((node) => node.port === one);
    try {
      const put = await shell(["client", "-s", `127.0.0.1:${two}`, "put", "stays", "here"], "");
      assertEquals(put.code, 0, put.stderr);
      await rejecting.untilPrinted(/listening/);
      const { status: _, ...others } = await runAll([port, two]);
      assertAllDone({ ...others, status: (await runAll([two])).status });
      frozen?.signal("SIGSTOP");
      assertAllDone(await runAll([one, two]));
      assertOneLine(
        (await runAll([one])).status,
        3,
        /^dks: no answer from 127\.0\.0\.1:\d+ within 8 s$/m,
      );
    } finally {
      frozen?.signal("SIGCONT");
      await rejecting.stop();
      await cluster.stop();
    }
  },
});

Deno.test({
  name: "what standard input and output fail with is told in one line",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const [port = 0] = freePorts(1);
    const cluster = await LocalCluster.start({ places: loopback([port]) });
    const client = ["client", "-s", `127.0.0.1:${port}`];
    try {
      assertEquals((await shell([...client, "put", "k", "v"], "")).code, 0);
      const full = /^dks: cannot write to standard output: No space left on device/;
      for (
        const words of [
          ["export"],
          ["get", "k"],
          ["exists", "k"],
          ["status"],
          ["status", "--json"],
          ["raw", "PING"],
          ["watch"],
          ["--help"],
        ]
      ) assertOneLine(await shell([...client, ...words], "> /dev/full"), 3, full);
      assertOneLine(await shell([...client, "run"], "> /dev/full << END\nGET,k\nEND\n"), 3, full);
      assertOneLine(await shell(client, "> /dev/full << END\nget k\nEND\n"), 3, full);
      assertOneLine(await shell(["--help"], "> /dev/full"), 1, full);
      assertOneLine(await shell(["--version"], "> /dev/full"), 1, full);
      assertOneLine(await shell(["serve", "--help"], "> /dev/full"), 1, full);

      const folder = /^dks: standard input is a folder: it has to be a file or a pipe/;
      for (const words of [["import"], ["run"], ["put", "k", "-"], []]) {
        assertOneLine(await shell([...client, ...words], "< /"), 2, folder);
      }

      for (const words of [["get", "k"], ["status"], ["export"], ["raw", "PING"], ["--help"]]) {
        const ended = await shell([...client, ...words], "| true; exit ${PIPESTATUS:-0}");
        assertEquals(ended.stderr.replace(/^exported \d+ keys\n$/, ""), "", words.join(" "));
      }
    } finally {
      await cluster.stop();
    }
  },
});
