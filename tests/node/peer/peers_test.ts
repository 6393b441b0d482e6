/** Links between nodes: by whom, under which ids, and not for a process that has started over. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { getLogger } from "@std/log";
import type { Address } from "../../../src/address.ts";
import { fromText, toBytes } from "../../../src/byte_string.ts";
import type { Driver } from "../../../src/node/driver.ts";
import {
  type ClusterPosition,
  parseQuestion,
  sharedConfig,
} from "../../../src/node/peer/handshake.ts";
import { type ClusterList, Peers } from "../../../src/node/peer/peers.ts";
import type { JournalIdentity } from "../../../src/node/storage/journal.ts";
import { CommandDecoder } from "../../../src/resp/command_decoder.ts";
import { encodeBulk } from "../../../src/resp/encoder.ts";
import { timingFor } from "../../../src/two_phase/timing.ts";
import { Script } from "../../two_phase/script.ts";
import { feed } from "../../harness/split.ts";
import { until } from "../../harness/processes.ts";

/** The network side of a node, whose protocol does nothing but say what it is told. */
class TestNode implements Disposable {
  readonly peers: Peers;
  readonly told: string[] = [];
  /** Its journal: a node that starts over has another one. */
  journal: string;
  position: ClusterPosition;
  /** What happens between the moment when an answer is made and when it leaves. */
  beforeAnswer: () => Promise<void> = () => Promise.resolve();
  readonly otherIds: ClusterList[] = [];
  readonly notListed: ClusterList[] = [];
  readonly #listener: Deno.TcpListener;

  constructor(
    addresses: readonly Address[],
    options: { listener: Deno.TcpListener; name: string },
  ) {
    this.#listener = options.listener;
    this.journal = `journal of ${options.name}`;
    const names = addresses.map(({ port }) => `127.0.0.1:${port}`);
    this.position = { view: 0, cluster: { id: "" }, names, listView: 0 };
    this.peers = new Peers({
      addresses,
      hostname: "127.0.0.1",
      config: sharedConfig({
        keyBytesMax: 10,
        valueBytesMax: 10,
        leaseMs: 1000,
        suspicionMs: 1000,
        heartbeatMs: 200,
      }),
      secret: undefined,
      identity: () => ({ journal: this.journal, incarnation: 1 }),
      clusterPosition: () => this.position,
      logger: getLogger("test"),
      pubsub: { linkUp: () => {}, linkDown: () => {}, receive: () => {} },
      report: () => ({ keys: 0, requestsPerSecond: 0, hasLease: false, chunks: null }),
      onOutOfFiles: () => {},
      onFatal: (error) => this.told.push(`fatal: ${error}`),
      onOtherIds: (list) => this.otherIds.push(list),
      onNotListed: (list) => this.notListed.push(list),
    });
    this.peers.setNames(this.position.names);
    this.peers.setSelf(options.name);
    this.#acceptAll();
  }

  /** A driver that records which peers have linked, and under which journal of its own. */
  driver(): Driver {
    const script = new Script(2, { timing: timingFor(5000) });
    const [replica] = script.replicas;
    const { journal } = this;
    return {
      replica: {
        ...replica,
        membership: {
          identity: { journal, incarnation: 1, process: this.peers.instance, position: 0 },
          view: this.position.view > 0 ? { number: 1, journals: [] } : { number: 0, journals: [] },
          peerJournals: { of: () => undefined, ofJournal: () => undefined },
          mayWrite: false,
        },
      },
      peerUp: (peer: number, { identity }: { identity: JournalIdentity }) => {
        this.told.push(`${journal} meets node ${peer} on ${identity.journal}`);
      },
      peerDown: () => {},
      receive: () => {},
    } as unknown as Driver;
  }

  async #acceptAll(): Promise<void> {
    for await (const conn of this.#listener) this.#answer(conn).catch(() => {});
  }

  async #answer(conn: Deno.TcpConn): Promise<void> {
    const decoder = new CommandDecoder(100_000);
    const buffer = new Uint8Array(4096);
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) return;
      let words: readonly string[] | undefined;
      feed(decoder, buffer.subarray(0, count), () => words = decoder.next());
      if (words === undefined) continue;
      const question = parseQuestion(words[1] ?? "");
      if (question === undefined) return;
      const { reply, peer, epoch } = await this.peers.decide(question);
      if (question.purpose === "link") await this.beforeAnswer();
      await conn.write(toBytes(encodeBulk(fromText(JSON.stringify(reply)))));
      if (peer === undefined) continue;
      this.peers.adopt({
        name: peer,
        socket: conn,
        received: new Uint8Array(),
        said: question,
        epoch,
      });
      return;
    }
  }

  startOver(): void {
    this.peers.pause();
    this.journal = `new ${this.journal}`;
    this.peers.resume(this.driver());
  }

  [Symbol.dispose](): void {
    this.peers.stop();
    this.#listener.close();
  }
}

/** Two nodes, of which the first one dials the other. */
function twoNodes(): readonly [TestNode, TestNode] {
  const listeners = [0, 1].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  listeners.sort((a, b) => a.addr.port - b.addr.port);
  const addresses = listeners.map(({ addr: { port } }) => ({ hostname: "127.0.0.1", port }));
  const nodes = listeners.map((listener) => {
    const name = `127.0.0.1:${listener.addr.port}`;
    return new TestNode(addresses, { listener, name });
  });
  return nodes as unknown as readonly [TestNode, TestNode];
}

for (const who of ["the node that dials", "the node that answers"]) {
  Deno.test(`a link that was agreed on before ${who} started over is not made`, async () => {
    const [dialer, answerer] = twoNodes();
    using _a = dialer;
    using _b = answerer;
    const one = who === "the node that dials" ? dialer : answerer;
    let isFirst = true;
    answerer.beforeAnswer = async () => {
      if (isFirst) {
        isFirst = false;
        one.startOver();
        await Promise.resolve();
      }
    };
    answerer.peers.start(answerer.driver());
    dialer.peers.start(dialer.driver());
    // In the end both have met the other one on its present journal, and that link lasts.
    const hasMet = (node: TestNode, peer: TestNode, id: number) =>
      node.told.at(-1) === `${node.journal} meets node ${id} on ${peer.journal}` &&
      node.peers.links[id] !== undefined;
    await until(
      "both have met",
      () => hasMet(dialer, answerer, 1) && hasMet(answerer, dialer, 0),
    );
    assertEquals(one.journal.startsWith("new "), true);
  });
}

Deno.test("a node in no view takes the ids of a cluster before there is a link", async () => {
  const [dialer, answerer] = twoNodes();
  using _a = dialer;
  using _b = answerer;
  const own = answerer.position.names;
  const ids = ["", ...own.toReversed()];
  answerer.position = { view: 3, cluster: { id: "c" }, names: ids, listView: 3 };
  answerer.peers.setNames(ids);
  answerer.peers.start(answerer.driver());
  dialer.peers.start(dialer.driver());
  await until("it is told", () => dialer.otherIds.length > 0);
  assertEquals(dialer.otherIds[0]?.names, ids);
  assertEquals(dialer.told, [], "there is no link under other ids");
  dialer.peers.setNames(ids);
  dialer.position = { ...dialer.position, names: ids, listView: 3 };
  await until("they are linked", () => dialer.told.length > 0);
  assertEquals(dialer.told, [`${dialer.journal} meets node 1 on ${answerer.journal}`]);
});

Deno.test("a node in no view heeds no list that is older than the one it has", async () => {
  const [dialer, answerer] = twoNodes();
  using _a = dialer;
  using _b = answerer;
  const { names } = dialer.position;
  const without = ["", names[1] ?? ""];
  answerer.position = { view: 2, cluster: { id: "c" }, names: without, listView: 2 };
  dialer.position = { ...dialer.position, listView: 3 };
  answerer.peers.start(answerer.driver());
  dialer.peers.start(dialer.driver());
  await delay(300);
  assertEquals([dialer.notListed, dialer.otherIds], [[], []]);
  answerer.position = { ...answerer.position, view: 4, listView: 4 };
  await until("it is told", () => dialer.notListed.length > 0);
  assertEquals(dialer.notListed[0]?.view, 4);
});

Deno.test("a list that is later than its teller's view is told as one of the later view", async () => {
  const [dialer, answerer] = twoNodes();
  using _a = dialer;
  using _b = answerer;
  const { names } = dialer.position;
  const without = ["", names[1] ?? ""];
  answerer.position = { view: 3, cluster: { id: "c" }, names: without, listView: 4 };
  dialer.position = { view: 3, cluster: { id: "c" }, names, listView: 3 };
  answerer.peers.start(answerer.driver());
  dialer.peers.start(dialer.driver());
  await until("it is told", () => dialer.notListed.length > 0);
  assertEquals(dialer.notListed[0], { view: 4, names: without });
});

Deno.test("a node pauses before it dials again whoever closes links at once", async () => {
  const [dialer, answerer] = twoNodes();
  using _a = dialer;
  using _b = answerer;
  const driver = answerer.driver();
  driver.peerUp = () => queueMicrotask(() => answerer.peers.links[0]?.close("of the test"));
  answerer.peers.start(driver);
  const beganAt = performance.now();
  dialer.peers.start(dialer.driver());
  const pauses = 6;
  await until("it was linked several times", () => dialer.told.length > pauses);
  assertEquals(performance.now() - beganAt >= pauses * 45, true);
});

Deno.test("a node of another version that starts a cluster by force is told the versions", async () => {
  const [one, other] = twoNodes();
  using answerer = one;
  using _other = other;
  answerer.peers.start(answerer.driver());
  // What else it says of itself, this version cannot know.
  const question = parseQuestion(JSON.stringify({
    purpose: "find",
    config: { protocol: 900 },
    instance: "of the future",
    isStartingCluster: true,
    uptimeMs: 0,
  }));
  assert(question !== undefined, "it is a question");
  const { reply, peer } = await answerer.peers.decide(question);
  assertEquals([reply.known, reply.instance, peer], [
    undefined,
    answerer.peers.instance,
    undefined,
  ]);
});
