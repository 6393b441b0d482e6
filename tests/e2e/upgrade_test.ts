/**
 * Two releases side by side: five nodes go from one to the next, one after the other, and back, under load.
 *
 * The two are made from the present sources. The earlier one is what they are, but that it can read the next
 * format of the journal; the later one speaks one more version of the peer protocol, in which a prepare has
 * one more field, and writes the next format. `DKS_UPGRADE_FROM=FOLDER` takes another release for the
 * earlier one, and the present sources as they are for the later one.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Connector } from "../../src/client/connector.ts";
import { PROTOCOL_NEWEST, PROTOCOL_OLDEST } from "../../src/node/peer/protocols.ts";
import { FORMAT } from "../../src/node/storage/kv_layout.ts";
import { call, callUntilAnswered } from "../harness/checks.ts";
import { freePorts, LocalCluster, NodeProcess, type Program } from "../harness/cluster.ts";
import { CountingClient, TIMEOUT_MS } from "../harness/counting_client.ts";
import { client, until } from "../harness/processes.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** How many answers the load gets between two restarts. */
const ANSWERS = 150;

/** A change of the sources: a file, a text that stands there once, and what takes its place. */
type Change = readonly [file: string, text: string, by: string];

const PROTOCOLS_FILE = "src/node/peer/protocols.ts";
const LAYOUT_FILE = "src/node/storage/kv_layout.ts";
const MESSAGES_FILE = "src/node/peer/messages.ts";
const NEXT = PROTOCOL_NEWEST + 1;

/** It reads the next format, and writes the present one. */
const EARLIER: readonly Change[] = [
  [
    LAYOUT_FILE,
    "FORMATS_READ: readonly number[] = [4, FORMAT]",
    "FORMATS_READ = [FORMAT, FORMAT + 1]",
  ],
];

/** It speaks one more version, with one more field in each prepare, and writes the next format. */
const LATER: readonly Change[] = [
  [PROTOCOLS_FILE, `PROTOCOL_NEWEST = ${PROTOCOL_NEWEST};`, `PROTOCOL_NEWEST = ${NEXT};`],
  [LAYOUT_FILE, `export const FORMAT = ${FORMAT};`, `export const FORMAT = ${FORMAT + 1};`],
  [
    LAYOUT_FILE,
    "FORMATS_READ: readonly number[] = [4, FORMAT]",
    "FORMATS_READ = [FORMAT - 1, FORMAT]",
  ],
  [
    MESSAGES_FILE,
    "prepare: plain(1, writePrepare, (reader, { buffer }) => readPrepare(reader, buffer)),",
    `prepare: plain(1, (writer, prepare, protocol) => {
      writePrepare(writer, prepare);
      if (protocol >= ${NEXT}) writer.varint(4711);
    }, (reader, { buffer, protocol }) => {
      const prepare = readPrepare(reader, buffer);
      if (protocol >= ${NEXT} && reader.varint() !== 4711) throw new MalformedError("no new field");
      return prepare;
    }),`,
  ],
];

/** It speaks nothing that the present sources speak. */
const MUCH_LATER: readonly Change[] = [
  [PROTOCOLS_FILE, `PROTOCOL_OLDEST = ${PROTOCOL_OLDEST};`, `PROTOCOL_OLDEST = ${NEXT};`],
  [PROTOCOLS_FILE, `PROTOCOL_NEWEST = ${PROTOCOL_NEWEST};`, `PROTOCOL_NEWEST = ${NEXT + 1};`],
];

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Makes a release in `folder`: the present sources with `changes`. */
async function release(folder: string, changes: readonly Change[]): Promise<Program> {
  await copyFolder(`${ROOT}src`, `${folder}/src`);
  for (const name of ["main.ts", "deno.json", "deno.lock"]) {
    await Deno.copyFile(`${ROOT}${name}`, `${folder}/${name}`);
  }
  for (const [file, text, by] of changes) {
    const before = await Deno.readTextFile(`${folder}/${file}`);
    assertEquals(before.split(text).length, 2, `${file} has once: ${text}`);
    await Deno.writeTextFile(`${folder}/${file}`, before.replace(text, by));
  }
  return programIn(folder);
}

/** Returns the program whose sources are in `folder`. It may open a journal at any path. */
function programIn(folder: string): Program {
  const config = ["--config", `${folder}/deno.json`];
  return { file: Deno.execPath(), args: ["run", "-A", "--quiet", ...config, `${folder}/main.ts`] };
}

/** Five nodes with journals, each of one release or the other, and a load that goes on to the next node. */
class MixedCluster {
  readonly nodes: NodeProcess[];
  readonly #folder: string;
  readonly #ports: readonly number[];
  readonly #clients: readonly CountingClient[];

  constructor(cluster: LocalCluster, folder: string) {
    this.nodes = [...cluster.nodes];
    this.#folder = folder;
    this.#ports = cluster.nodes.map(({ port }) => port);
    const addresses = this.#ports.map((port) => ({ hostname: "127.0.0.1", port }));
    this.#clients = this.#ports.map((_, at) => {
      const inTurn = [...addresses.slice(at), ...addresses.slice(0, at)];
      const connector = new Connector({ addresses: inTurn, timeoutMs: TIMEOUT_MS });
      return new CountingClient(connector, `count:${at}`);
    });
  }

  static async start(folder: string, program: Program): Promise<MixedCluster> {
    const nodes = await LocalCluster.start({
      places: freePorts(5).map((port) => ({ program, port, address: `127.0.0.1:${port}` })),
      args: ["--host", "127.0.0.1"],
      storage: ["--data", `${folder}/journals`],
    });
    return new MixedCluster(nodes, folder);
  }

  get peers(): string {
    return this.#ports.map((port) => `127.0.0.1:${port}`).join();
  }

  /** Starts the program at a node whose process has ended. */
  launch(at: number, program: Program): NodeProcess {
    const node = new NodeProcess({
      program,
      port: this.#ports[at] ?? 0,
      args: ["--host", "127.0.0.1", "--peers", this.peers],
      storage: ["--data", `${this.#folder}/journals`],
    });
    this.nodes[at] = node;
    return node;
  }

  /** Has one node after the other run this program. Calls `between` after each. */
  async roll(program: Program, between: (at: number) => Promise<void>): Promise<void> {
    for (const [at, node] of this.nodes.entries()) {
      await node.stop();
      assertEquals(await node.untilEnded(), 0, node.printed);
      this.launch(at, program);
      await this.untilReady(at);
      await this.untilMoreAnswers();
      await between(at);
    }
  }

  async untilReady(at: number): Promise<void> {
    const { code, stderr } = await client(this.#ports[at] ?? 0, ["wait-ready"]);
    assertEquals([code, stderr], [0, ""], this.nodes[at]?.printed);
  }

  async untilMoreAnswers(): Promise<void> {
    const goals = this.#clients.map(({ count }) => count + ANSWERS / this.#clients.length);
    await until(
      "each client has more answers",
      () =>
        this.#clients.every((one, at) => one.failures.length > 0 || one.count >= (goals[at] ?? 0)),
    );
    assertEquals(this.#clients.flatMap(({ failures }) => failures), []);
  }

  /** Returns the versions of the peer protocol in use on the links of a node: each once. */
  async protocolsAt(at: number): Promise<string> {
    const address = { hostname: "127.0.0.1", port: this.#ports[at] ?? 0 };
    const info = String(await call(address, ["INFO", "cluster"]));
    const links = /link_protocols:(\S*)/.exec(info)?.[1] ?? "";
    const versions = links.split(",").map((link) => link.split("=")[1] ?? "none");
    return [...new Set(versions)].sort().join(" and ");
  }

  async stopLoad(): Promise<void> {
    await Promise.all(this.#clients.map((one) => one.stop()));
    assertEquals(this.#clients.flatMap(({ failures }) => failures), []);
  }

  /** Checks that each node has what was acknowledged. */
  async check(): Promise<void> {
    for (const port of this.#ports) {
      for (const { key, count } of this.#clients) {
        const value = await callUntilAnswered({ hostname: "127.0.0.1", port }, ["GET", key]);
        assertEquals(value, String(count), `${key} at ${port}`);
      }
    }
  }

  async stop(): Promise<void> {
    await Promise.all([
      ...this.#clients.map((one) => one.stop()),
      ...this.nodes.map((node) => node.stop()),
    ]);
  }
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-upgrade-" });
  try {
    await Deno.mkdir(`${folder}/journals`);
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("five nodes go to the next release and back under load, and lose nothing", async () => {
  await withFolder(async (folder) => {
    const from = Deno.env.get("DKS_UPGRADE_FROM");
    const earlier = from === undefined
      ? await release(`${folder}/earlier`, EARLIER)
      : programIn(from);
    const later = await release(`${folder}/later`, from === undefined ? LATER : []);
    const newest = from === undefined ? NEXT : PROTOCOL_NEWEST;
    const cluster = await MixedCluster.start(folder, earlier);
    try {
      await cluster.untilMoreAnswers();
      await cluster.roll(later, async (at) => {
        const both = `${PROTOCOL_NEWEST} and ${newest}`;
        const mixed = newest === PROTOCOL_NEWEST ? String(newest) : both;
        const expected = at === 0 ? String(PROTOCOL_NEWEST) : at < 4 ? mixed : String(newest);
        assertEquals(await cluster.protocolsAt(at), expected);
      });
      await cluster.roll(earlier, async (at) => {
        if (from === undefined) {
          assertEquals(await cluster.protocolsAt(at), String(PROTOCOL_NEWEST));
        }
      });
      await cluster.stopLoad();
      await cluster.check();
      // From the journals alone: they have been of both.
      await Promise.all(cluster.nodes.map((node) => node.stop("SIGKILL")));
      cluster.nodes.forEach((_, at) => cluster.launch(at, earlier));
      for (const at of cluster.nodes.keys()) await cluster.untilReady(at);
      await cluster.check();
    } finally {
      await cluster.stop();
    }
  });
});

Deno.test("a node that has no version in common with the others says so, and so do they", async () => {
  await withFolder(async (folder) => {
    const present = programIn(ROOT.slice(0, -1));
    const cluster = await MixedCluster.start(folder, present);
    try {
      const muchLater = await release(`${folder}/much-later`, MUCH_LATER);
      const [one, last] = [cluster.nodes[0], cluster.nodes[4]];
      assert(one !== undefined && last !== undefined);
      await last.stop();
      const other = cluster.launch(4, muchLater);
      assertEquals(await other.untilEnded(), 1);
      const [range, own] = [`versions ${NEXT} to ${NEXT + 1}`, `version ${PROTOCOL_NEWEST}`];
      const ending = "run the same dks everywhere";
      assertStringIncludes(
        other.printed,
        `speaks ${own} of the peer protocol, this node ${range}: ${ending}`,
      );
      await one.untilPrinted(
        new RegExp(
          `a node that has asked this one speaks ${range} of the peer protocol, this node ${own}: ${ending}`,
        ),
      );
      await cluster.untilMoreAnswers();
      await cluster.stopLoad();
    } finally {
      await cluster.stop();
    }
  });
});
