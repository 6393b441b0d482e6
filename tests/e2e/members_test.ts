/** The nodes of a cluster change while it lives, and clients write and read all the time. */

import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { binary } from "../harness/binary.ts";
import { statusAt } from "../harness/checks.ts";
import { freePorts, NodeProcess, type Program } from "../harness/cluster.ts";
import { client, until } from "../harness/processes.ts";
import { Workload } from "../harness/workload.ts";

const nameOf = (port: number) => `127.0.0.1:${port}`;

/** Nodes that come and go. */
class Nodes {
  readonly ports: readonly number[];
  readonly #program: Program;
  readonly #home: string | undefined;
  readonly #running = new Map<number, NodeProcess>();

  /** @param home where the nodes keep their journals; nowhere, if not given */
  constructor(program: Program, count: number, home?: string) {
    this.#program = program;
    this.#home = home;
    this.ports = freePorts(count);
  }

  start(port: number, args: readonly string[]): NodeProcess {
    const all = [...args, "--advertise", nameOf(port)];
    const options = { program: this.#program, port, args: all };
    const stored = { storage: [], env: { XDG_DATA_HOME: this.#home ?? "" } };
    const node = new NodeProcess({ ...options, ...this.#home === undefined ? {} : stored });
    this.#running.set(port, node);
    return node;
  }

  node(port: number): NodeProcess {
    const node = this.#running.get(port);
    if (node === undefined) throw new Error(`no node at ${port}`);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((node) => node.stop("SIGKILL")));
  }
}

/** Runs `dks client member`; it must succeed. Where all is slow, it is asked again: that does no harm. */
async function member(port: number, ...words: readonly string[]): Promise<string> {
  for (let tries = 1;; tries++) {
    const { code, stdout, stderr } = await client(port, ["member", ...words]);
    if (code === 0) return stdout;
    const isSlow = /INDETERMINATE|no answer from|was chosen in time/.test(stderr);
    if (!isSlow || tries === 5) throw new Error(`member ${words.join(" ")}: ${stdout}${stderr}`);
  }
}

async function namesAt(port: number): Promise<string[]> {
  const { nodes } = await statusAt({ hostname: "127.0.0.1", port });
  return nodes.filter(({ isLearner, role }) => !isLearner && role === "member")
    .map(({ address }) => address).toSorted();
}

/** Waits until the node at port `at` says that the members are those of `ports`. */
async function areMembers(at: number, ...ports: number[]): Promise<void> {
  const names = ports.map(nameOf).toSorted().join();
  await until(`the members are ${ports}`, async () => (await namesAt(at)).join() === names);
}

Deno.test("a cluster grows from one node to three, its nodes are replaced, and it shrinks", async (t) => {
  const nodes = new Nodes(await binary(), 5);
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = nodes.ports;
  const workload = { now: undefined as Workload | undefined };
  try {
    await nodes.start(a, ["--peers", nameOf(a)]).untilPrinted(/cluster is complete/);
    workload.now = new Workload({
      addresses: [a, b, c, d, e].map((port) => ({ hostname: "127.0.0.1", port })),
      writersPerNode: 1,
      readersPerNode: 1,
      keysPerWriter: 3,
      timeoutMs: 20_000,
      pauseMs: () => 10,
    });
    await t.step("1 to 3", async () => {
      nodes.start(b, ["--join", nameOf(a)]);
      assertMatch(await member(a, "add", nameOf(b)), /^view \d+: .* counts\n$/);
      nodes.start(c, ["--join", nameOf(b)]);
      await member(b, "add", nameOf(c));
      await areMembers(c, a, b, c);
    });
    await t.step("a node that was killed is replaced", async () => {
      await nodes.node(b).stop("SIGKILL");
      nodes.start(d, ["--join", nameOf(a)]);
      await member(a, "replace", nameOf(b), nameOf(d));
      await areMembers(c, a, c, d);
    });
    await t.step("a live node is replaced, and says that it was removed", async () => {
      nodes.start(e, ["--join", nameOf(c)]);
      await member(c, "replace", nameOf(a), nameOf(e));
      await areMembers(c, c, d, e);
      await nodes.node(a).untilPrinted(/THIS NODE WAS REMOVED/);
      const { stderr } = await client(a, ["get", "k"]);
      assertMatch(stderr, /CLUSTERDOWN REJECTED this node.* is not in the list of view/);
    });
    await t.step("3 to 1", async () => {
      await member(d, "remove", nameOf(e));
      await areMembers(d, c, d);
      await member(d, "remove", nameOf(c));
      await areMembers(d, d);
    });
    const load = workload.now;
    await load.stop();
    assertEquals(load.wrong, []);
    const [first] = load.keys;
    assertEquals(first !== undefined && load.writes() > 0, true);
    for (const key of load.keys) {
      const { stdout } = await client(d, ["get", key.name]);
      const value = Number(stdout);
      const isGood = value >= key.acknowledged || key.unknown.has(value);
      assertEquals(isGood && !key.dead.has(value), true, `${key.name}: ${value}`);
    }
  } finally {
    await workload.now?.stop();
    await nodes.stop();
  }
});

Deno.test("a node that was off while the list changed finds its place, with the journal that it has", async (t) => {
  const home = await Deno.makeTempDir();
  const nodes = new Nodes(await binary(), 5, home);
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = nodes.ports;
  const value = async (at: number) => (await client(at, ["get", "k"])).stdout;
  const all = ["--peers", [a, b, c].map(nameOf).join()];
  try {
    for (const port of [a, b, c]) nodes.start(port, all);
    await nodes.node(c).untilPrinted(/cluster is complete/);
    assertEquals((await client(a, ["put", "k", "v"])).code, 0);
    await t.step("it was removed and added again while it ran", async () => {
      await member(a, "remove", nameOf(c));
      await nodes.node(c).untilPrinted(/THIS NODE WAS REMOVED/);
      await delay(1000); // What looks after its removal looks again and again.
      await member(a, "add", nameOf(c));
      await areMembers(c, a, b, c);
      await delay(1000);
      assertEquals(await value(c), "v");
      const { printed } = nodes.node(c);
      assertEquals(printed.match(/THIS NODE WAS REMOVED/g)?.length, 1, printed);
      assertEquals(printed.match(/is in the list of view/g)?.length, 1, printed);
    });
    await t.step("it was removed, and added again: it is another node", async () => {
      await nodes.node(c).stop("SIGKILL");
      await member(a, "remove", nameOf(c));
      await member(a, "add", nameOf(c), "--no-wait");
      const again = nodes.start(c, all);
      await again.untilPrinted(/this node was removed .* and is in the list of view \d+ again/);
      await areMembers(a, a, b, c);
      assertEquals(await value(c), "v");
    });
    await t.step("all others that it knew were replaced", async () => {
      await nodes.node(c).stop("SIGKILL");
      nodes.start(d, ["--join", nameOf(a)]);
      await member(a, "replace", nameOf(b), nameOf(d));
      nodes.start(e, ["--join", nameOf(a)]);
      await member(d, "replace", nameOf(a), nameOf(e));
      await Promise.all([a, b].map((port) => nodes.node(port).stop()));
      const again = nodes.start(c, ["--join", nameOf(d)]);
      await areMembers(d, c, d, e);
      assertEquals(await value(c), "v");
      assertEquals(/new journal/.test(again.printed), false, again.printed);
    });
    await t.step("it was removed, and does not take the name of the one that is left", async () => {
      await member(d, "remove", nameOf(c));
      await member(d, "remove", nameOf(e));
      await nodes.node(e).untilPrinted(/THIS NODE WAS REMOVED/);
      await nodes.node(e).stop();
      const again = nodes.start(e, ["--peers", nameOf(e)]);
      await again.untilPrinted(/is not in the list of view \d+, which is .* member add/);
      assertEquals(await value(d), "v");
    });
  } finally {
    await nodes.stop();
    await Deno.remove(home, { recursive: true });
  }
});
