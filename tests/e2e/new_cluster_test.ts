/** A majority of the nodes is lost for good: `serve --force-new-cluster`, with real processes. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, NodeProcess } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import { isRejection } from "../../src/client/refusals.ts";
import { binary } from "../harness/binary.ts";
import {
  assertAgreement,
  call,
  CLIENT_TIMEOUT_MS,
  untilLocksAreFree,
  untilMore,
} from "../harness/checks.ts";
import { client, until } from "../harness/processes.ts";
import { withHome } from "../harness/homes.ts";
import { REST_MS, Workload } from "../harness/workload.ts";

const FORCE = "--force-new-cluster";

const addressOf = (port: number): Address => ({ hostname: "127.0.0.1", port });
const listOf = (ports: readonly number[]) => ports.map((port) => `127.0.0.1:${port}`).join(",");

/** Nodes with a disk of their own each. */
class Machines {
  readonly #home: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #running = new Map<number, NodeProcess>();

  constructor(home: string, env: Readonly<Record<string, string>>) {
    this.#home = home;
    this.#env = env;
  }

  /** Starts the node of `port` with these peers. */
  async start(
    port: number,
    peers: readonly number[],
    args: readonly string[] = [],
  ): Promise<NodeProcess> {
    const node = new NodeProcess({
      program: await binary(),
      port,
      args: ["--peers", listOf(peers), ...args],
      storage: [],
      env: { ...this.#env, XDG_DATA_HOME: this.#dataOf(port) },
    });
    this.#running.set(port, node);
    return node;
  }

  /** Starts all of `ports`, as one cluster. */
  async startAll(ports: readonly number[]): Promise<void> {
    for (const port of ports) await this.start(port, ports);
    await this.untilMembers(ports);
  }

  /** Starts a node that is expected to end by itself. */
  async startInVain(
    port: number,
    peers: readonly number[],
    args: readonly string[],
  ): Promise<{ code: number; last: string }> {
    const node = await this.start(port, peers, args);
    const code = await node.untilEnded();
    return { code, last: node.printed.split("\n").at(-1) ?? "" };
  }

  node(port: number): NodeProcess {
    const node = this.#running.get(port);
    if (node === undefined) throw new Error(`nothing runs at port ${port}`);
    return node;
  }

  async kill(...ports: number[]): Promise<void> {
    await Promise.all(ports.map((port) => this.node(port).stop("SIGKILL")));
  }

  /** The machine is gone, with its disk. */
  async lose(...ports: number[]): Promise<void> {
    await this.kill(...ports);
    for (const port of ports) await Deno.remove(this.#dataOf(port), { recursive: true });
  }

  /** Waits until each of these says that exactly these are members, and that it can write. */
  async untilMembers(ports: readonly number[], askedPorts = ports): Promise<void> {
    const wanted = listOf([...ports].sort((a, b) => a - b));
    await until(`${wanted} are members`, async () => {
      const infos = await Promise.all(askedPorts.map((port) => infoOf(port)));
      return infos.every((info) =>
        info.get("members")?.split(",").sort().join() === wanted.split(",").sort().join() &&
        info.get("complete") === "1" && info.get("lease") === "1"
      );
    });
  }

  /** What the nodes that were started last have printed. */
  get printed(): string {
    return [...this.#running].map(([port, { printed }]) => `--- ${port}\n${printed}`).join("\n");
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((node) => node.stop("SIGKILL")));
  }

  #dataOf(port: number): string {
    return `${this.#home}/data-${port}`;
  }
}

/** Gives `use` machines, and ends all of their nodes. */
async function withMachines(use: (machines: Machines) => Promise<void>): Promise<void> {
  await withHome(async (env, home) => {
    const machines = new Machines(home, env);
    try {
      await use(machines);
    } catch (error) {
      throw new Error(machines.printed, { cause: error });
    } finally {
      await machines.stop();
    }
  });
}

/** The fields of `INFO cluster`; none if the node does not answer. */
async function infoOf(port: number): Promise<Map<string, string>> {
  try {
    const text = String(await call(addressOf(port), ["INFO", "cluster"]));
    return new Map(
      text.split("\r\n").map((line) => {
        const [name = "", ...rest] = line.split(":");
        return [name, rest.join(":")];
      }),
    );
  } catch {
    return new Map();
  }
}

function load(ports: readonly number[], prefix: string): Workload {
  return new Workload({
    addresses: ports.map(addressOf),
    writersPerNode: 2,
    readersPerNode: 1,
    keysPerWriter: 4,
    timeoutMs: CLIENT_TIMEOUT_MS,
    pauseMs: () => REST_MS,
    prefix,
  });
}

/** Checks that the node of `port` holds of each key what was acknowledged, or something later. */
async function assertKept(workload: Workload, port: number): Promise<void> {
  const names = workload.keys.map(({ name }) => name);
  const values = await call(addressOf(port), ["MGET", ...names]);
  assert(Array.isArray(values), `${values}`);
  workload.keys.forEach((key, index) => {
    const value = Number(values[index] ?? 0);
    // Who was told "aborted" by nodes that are lost may find the write done after all.
    const isRight = value >= key.acknowledged && value <= key.started;
    assert(isRight, `${key.name} is ${value}, ${key.acknowledged} was acknowledged`);
  });
}

Deno.test("three of five machines are lost for good: one starts a new cluster with two others", async () => {
  await withMachines(async (machines) => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, x = 0, y = 0] = freePorts(7);
    const old = [a, b, c, d, e];
    await machines.startAll(old);
    const before = load(old, "before");
    await untilMore(before, { writes: 300 });
    // In the middle of the load, so that transactions are in doubt.
    await machines.lose(c, d, e);
    await machines.kill(a);
    await before.stop();
    assertEquals(before.wrong, []);

    const list = [a, x, y];
    const recovered = await machines.start(a, list, [FORCE]);
    await recovered.untilPrinted(/is started by force/);
    assertMatch(recovered.printed, /starts from view \d+ of the old cluster .*, with \d+ keys/);
    assertStringIncludes(recovered.printed, "WHAT MAY BE LOST");
    assertStringIncludes(recovered.printed, `127.0.0.1:${b} of the old cluster still runs`);
    // Alone it serves no requests, and says why.
    const alone = await call(addressOf(a), ["SET", "k", "v"]);
    assert(isRejection(alone), `${alone}`);
    assertStringIncludes(alone.message, "waits until 2 of its nodes are members");

    const fresh = await machines.start(x, list);
    await machines.start(y, list);
    await machines.untilMembers(list);
    // The ids of the old cluster stay with its nodes, so the list gives new ones other ids.
    assertStringIncludes(fresh.printed, "adopts the ids by which the cluster knows its nodes");
    for (const port of list) await assertKept(before, port);
    await assertAgreement(before, list.map(addressOf));
    const after = load(list, "after");
    await untilMore(after, { writes: 200, reads: 200 });

    // The flag was left in the command line: it does nothing, even if the node comes up alone.
    await machines.kill(a, x, y);
    const again = await machines.start(a, list, [FORCE]);
    await again.untilPrinted(/--force-new-cluster does nothing: .* started by force .* already/);
    await machines.start(x, list, [FORCE]);
    await machines.start(y, list);
    await machines.untilMembers(list);
    await untilMore(after, { writes: 200, reads: 200 });
    await after.stop();
    assertEquals(after.wrong, []);
    await untilLocksAreFree(list.map(addressOf));
    for (const port of list) await assertKept(after, port);

    const info = await infoOf(y);
    assertEquals(info.get("forced_by"), `127.0.0.1:${a}`);
    assertEquals(info.get("cluster_id"), (await infoOf(a)).get("cluster_id"));
    const { stdout } = await client(x, ["status"]);
    assertMatch(stdout, new RegExp(`started by force.* by 127.0.0.1:${a} with view \\d+ at 20`));
    // The node that was left behind knows of nothing, and serves no requests.
    const left = await call(addressOf(b), ["GET", "before:0:0:0"]);
    assert(isRejection(left), `${left}`);
  });
});

Deno.test("new machines under the old names join the forced cluster, and an old journal does not", async () => {
  await withMachines(async (machines) => {
    const ports = freePorts(5).sort((m, n) => m - n);
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = ports;
    await machines.startAll(ports);
    await call(addressOf(c), ["MSET", "k", "v", "l", "w"]);
    await machines.lose(c, d, e);
    await machines.kill(b);
    await (await machines.start(b, ports, [FORCE])).untilPrinted(/is started by force/);
    // The other one has never stopped, and has the same list.
    const survivor = machines.node(a);
    await survivor.untilPrinted(
      new RegExp(`127.0.0.1:${b} is of another cluster \\(view \\d+, started by force by 127`),
    );
    for (const port of [c, d, e]) await machines.start(port, ports);
    await machines.untilMembers([b, c, d, e]);
    assertEquals(await call(addressOf(e), ["MGET", "k", "l"]), ["v", "w"]);
    await call(addressOf(e), ["SET", "k", "later"]);
    await machines.node(e).untilPrinted(
      new RegExp(`127.0.0.1:${a} is of another cluster \\(view \\d+, not started by force\\)`),
    );
    assertEquals((await infoOf(a)).get("forced_by"), "");
    // To begin another one from what was left behind is refused too.
    await machines.kill(a);
    const { code, last } = await machines.startInVain(a, ports, [FORCE]);
    assertEquals(code, 1);
    assertMatch(last, /is of another cluster already \(view \d+, started by force by/);
    // With an empty journal it is one of them.
    await machines.lose(a);
    await machines.start(a, ports);
    await machines.untilMembers(ports);
    assertEquals(await call(addressOf(a), ["MGET", "k", "l"]), ["later", "w"]);
  });
});

Deno.test("a node alone starts a cluster of one, and then a larger one", async () => {
  await withMachines(async (machines) => {
    const [a = 0, b = 0, c = 0] = freePorts(3);
    await machines.startAll([a, b, c]);
    await call(addressOf(b), ["SET", "k", "v"]);
    await machines.lose(b, c);
    await machines.kill(a);
    await machines.start(a, [a], [FORCE]);
    await machines.untilMembers([a]);
    assertEquals(await call(addressOf(a), ["GET", "k"]), "v");
    await call(addressOf(a), ["SET", "l", "w"]);
    await machines.kill(a);
    await machines.start(a, [a, b, c], [FORCE]);
    await machines.start(b, [a, b, c]);
    await machines.start(c, [a, b, c]);
    await machines.untilMembers([a, b, c]);
    assertEquals(await call(addressOf(c), ["MGET", "k", "l"]), ["v", "w"]);
  });
});

Deno.test("--force-new-cluster is refused if it must not be used", async () => {
  await withMachines(async (machines) => {
    const [a = 0, b = 0, c = 0, x = 0] = freePorts(4);
    const ports = [a, b, c];
    await machines.startAll(ports);
    await call(addressOf(b), ["SET", "k", "v"]);
    const refused = async (port: number, peers: readonly number[], args: readonly string[]) => {
      const { code, last } = await machines.startInVain(port, peers, args);
      return [code, last.replace(/^.*?(--|dks: )/, "$1").replaceAll("127.0.0.1:", "")];
    };
    // The others live and are a majority, with it or without it.
    await machines.kill(a);
    const [code, line] = await refused(a, [a, x], [FORCE]);
    assertEquals(code, 1);
    assertMatch(String(line), /of the old cluster (answer: with this node|knows a later view)/);
    // A majority, though this one has not missed anything.
    await machines.start(a, ports);
    await machines.untilMembers(ports);
    await machines.kill(a, c);
    const [second, reason] = await refused(a, [a, x], [FORCE]);
    assertEquals(second, 1);
    assertStringIncludes(String(reason), "of the old cluster");
    // Nothing was changed by that.
    await machines.start(a, ports);
    await machines.start(c, ports);
    await machines.untilMembers(ports);
    assertEquals(await call(addressOf(a), ["GET", "k"]), "v");

    assertEquals((await refused(x, [x], [FORCE]))[0], 1);
    assertStringIncludes(machines.node(x).printed, "is empty: there is nothing to start from");
    assertEquals((await refused(x, [x], [FORCE, "--ephemeral"]))[0], 2);
    assertStringIncludes(machines.node(x).printed, "--ephemeral stores nothing");
    // Without the flag another list changes nothing, and the flag is named.
    await machines.kill(a);
    await machines.start(a, [a, x]);
    await machines.untilMembers(ports);
    assertStringIncludes(machines.node(a).printed, "--force-new-cluster");
  });
});

Deno.test("of two nodes that begin by force at the same time, at the most one does", async () => {
  await withMachines(async (machines) => {
    const ports = freePorts(5);
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = ports;
    await machines.startAll(ports);
    await call(addressOf(b), ["SET", "k", "v"]);
    await machines.lose(c, d, e);
    await machines.kill(a, b);
    // Alone in its list, each would serve at once.
    const both = [await machines.start(a, [a], [FORCE]), await machines.start(b, [b], [FORCE])];
    const begun = /is started by force/;
    await until("each has begun, or ended", () => {
      return both.every(({ hasEnded, printed }) => hasEnded || begun.test(printed));
    });
    const refused = both.filter(({ printed }) => !begun.test(printed));
    assert(refused.length >= 1, machines.printed);
    for (const node of refused) {
      assertEquals(await node.untilEnded(), 1);
      assertMatch(
        node.printed,
        /at the same time: start at one node|is of another cluster already/,
      );
    }
    // Nothing was changed there: it can begin when the other one is stopped.
    await machines.kill(a, b);
    const port = refused[0]?.port ?? 0;
    await (await machines.start(port, [port], [FORCE])).untilPrinted(begun);
    await machines.untilMembers([port]);
    assertEquals(await call(addressOf(port), ["GET", "k"]), "v");
  });
});
