/** The cluster secret: who knows it is a node, and nobody else, whatever it repeats. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Logger } from "@std/log";
import type { Address } from "../../../src/address.ts";
import { fromBytes, fromText, toBytes } from "../../../src/byte_string.ts";
import type { Driver } from "../../../src/node/driver.ts";
import { sharedConfig } from "../../../src/node/peer/handshake.ts";
import { Peers } from "../../../src/node/peer/peers.ts";
import { challengeOf, ClusterSecret, nonceOf, type Role } from "../../../src/node/peer/secret.ts";
import { CommandDecoder } from "../../../src/resp/command_decoder.ts";
import { encodeCommand, encodeValue } from "../../../src/resp/encoder.ts";
import { feed } from "../../harness/split.ts";
import { until } from "../../harness/processes.ts";

const SECRET = "a secret of this test";

/** One of two nodes, with its port, whose protocol does nothing but say whom it has met. */
class TestNode implements Disposable {
  readonly peers: Peers;
  readonly met: number[] = [];
  readonly warnings: string[] = [];
  readonly errors: string[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #conns: Deno.TcpConn[] = [];

  constructor(
    addresses: readonly Address[],
    options: { listener: Deno.TcpListener; name: string; secret: string | undefined },
  ) {
    const { listener, name, secret } = options;
    this.#listener = listener;
    const names = addresses.map(({ port }) => `127.0.0.1:${port}`);
    const identity = { journal: `journal of ${name}`, incarnation: 1 };
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
      secret: secret === undefined ? undefined : new ClusterSecret(secret),
      identity: () => identity,
      clusterPosition: () => ({ view: 0, cluster: { id: "" }, names, listView: 0 }),
      logger: {
        warn: (line: string) => this.warnings.push(line),
        error: (line: string) => this.errors.push(line),
        info: () => {},
        debug: () => {},
      } as unknown as Logger,
      pubsub: { linkUp: () => {}, linkDown: () => {}, receive: () => {} },
      report: () => ({ keys: 0, requestsPerSecond: 0, hasLease: false, chunks: null }),
      onOutOfFiles: () => {},
      onFatal: (error) => this.errors.push(`fatal: ${error}`),
      onOtherIds: () => {},
      onNotListed: () => {},
    });
    this.peers.setNames(names);
    this.peers.setSelf(name);
    this.#acceptAll();
  }

  /** How many connections there were. */
  get connections(): number {
    return this.#conns.length;
  }

  start(): void {
    const { instance } = this.peers;
    const journal = `journal of ${this.peers.ownName}`;
    this.peers.start({
      replica: {
        membership: {
          identity: { journal, incarnation: 1, process: instance, position: 0 },
          view: { number: 0, journals: [] },
          peerJournals: { of: () => undefined, ofJournal: () => undefined },
          mayWrite: false,
        },
      },
      peerUp: (peer: number) => this.met.push(peer),
      peerDown: () => {},
      receive: () => {},
    } as unknown as Driver);
  }

  async #acceptAll(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.push(conn);
      this.#answer(conn).catch(() => {});
    }
  }

  /** As the listener of a node does. */
  async #answer(conn: Deno.TcpConn): Promise<void> {
    const decoder = new CommandDecoder(100_000);
    const [, question = ""] = await readWords(conn, decoder);
    const { reply, takeOver } = await this.peers.answer(question);
    await conn.write(toBytes(encodeValue(reply, 2)));
    if (takeOver === undefined) await conn.closeWrite();
    else takeOver(conn, decoder.takeRest());
  }

  [Symbol.dispose](): void {
    this.peers.stop();
    this.#listener.close();
    for (const conn of this.#conns) {
      try {
        conn.close();
      } catch {
        // It was closed already.
      }
    }
  }
}

async function readWords(conn: Deno.TcpConn, decoder: CommandDecoder): Promise<readonly string[]> {
  const buffer = new Uint8Array(4096);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) throw new Error("nothing more comes");
    let words: readonly string[] | undefined;
    feed(decoder, buffer.subarray(0, count), () => words ??= decoder.next());
    if (words !== undefined) return words;
  }
}

/** Two listeners, in the order of their names: the node at the first one dials the other. */
function twoListeners(): readonly [Deno.TcpListener, Deno.TcpListener] {
  const listeners = [0, 1].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const name = ({ addr: { port } }: Deno.TcpListener) => `127.0.0.1:${port}`;
  listeners.sort((a, b) => name(a) < name(b) ? -1 : 1);
  return listeners as unknown as readonly [Deno.TcpListener, Deno.TcpListener];
}

const addressOf = ({ addr: { port } }: Deno.TcpListener) => ({ hostname: "127.0.0.1", port });

function twoNodes(
  secrets: readonly [string | undefined, string | undefined],
): readonly [TestNode, TestNode] {
  const listeners = twoListeners();
  const nodes = listeners.map((listener, at) =>
    new TestNode(listeners.map(addressOf), {
      listener,
      name: `127.0.0.1:${listener.addr.port}`,
      secret: secrets[at],
    })
  );
  for (const node of nodes) node.start();
  return nodes as unknown as readonly [TestNode, TestNode];
}

Deno.test("two nodes that know the same secret are linked, and so are two without one", async () => {
  for (const secret of [SECRET, undefined]) {
    const [one, two] = twoNodes([secret, secret]);
    using _one = one;
    using _two = two;
    await until("they are linked", () => one.met.length > 0 && two.met.length > 0);
    assertEquals([one.met, two.met], [[1], [0]]);
    assertEquals([one.warnings, two.warnings, one.errors, two.errors], [[], [], [], []]);
  }
});

const REFUSALS: readonly {
  readonly title: string;
  readonly secrets: readonly [string | undefined, string | undefined];
  readonly dialer: RegExp;
  readonly answerer: RegExp;
}[] = [
  {
    title: "of different secrets",
    secrets: [SECRET, "another secret of this test"],
    dialer: /refuses this node: it does not prove that it knows the cluster secret of this node$/,
    answerer: /^refused what poses as a node at 127\.0\.0\.1: it does not prove that it knows/,
  },
  {
    title: "of which the one that dials has no secret",
    secrets: [undefined, SECRET],
    dialer: /refuses this node: it has no cluster secret, and this node has one: give all nodes/,
    answerer: /^refused what poses as a node: it has no cluster secret, and this node has one/,
  },
  {
    title: "of which the one that is dialed has no secret",
    secrets: [SECRET, undefined],
    dialer: /refuses this node: it has a cluster secret, and this node has none: give all nodes/,
    answerer: /^refused what poses as a node: it has a cluster secret, and this node has none/,
  },
];

for (const { title, secrets, dialer, answerer } of REFUSALS) {
  Deno.test(`two nodes ${title} are not linked, and each says so in one line`, async () => {
    const [one, two] = twoNodes(secrets);
    using _one = one;
    using _two = two;
    await until("both have said why", () => one.errors.length > 0 && two.warnings.length > 0);
    // They go on trying, and say it seldom.
    await until("it has tried again", () => two.connections > 2);
    assertMatch(one.errors[0] ?? "", dialer);
    assertMatch(two.warnings[0] ?? "", answerer);
    assertEquals([one.errors.length, two.warnings.length], [1, 1]);
    assertEquals([one.met, two.met], [[], []]);
    const logged = [...one.errors, ...two.warnings].join();
    assert(!logged.includes("of this test"), "a secret was logged");
  });
}

/** Passes on what two sides say, and keeps it. */
async function passOn(from: Deno.TcpConn, to: Deno.TcpConn, said: Uint8Array[]): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await from.read(buffer).catch(() => null);
    if (count === null) return;
    said.push(buffer.slice(0, count));
    await to.write(buffer.slice(0, count)).catch(() => {});
  }
}

/** Sends bytes on a new connection. Returns all that comes back, as text. */
async function replay(port: number, pieces: readonly Uint8Array[]): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let said = "";
  for (const piece of pieces) {
    await conn.write(piece);
    const count = await conn.read(buffer).catch(() => null);
    if (count === null) break;
    said += decoder.decode(buffer.subarray(0, count));
  }
  conn.close();
  return said;
}

Deno.test("what was recorded of one handshake makes no second one", async () => {
  const [first, second] = twoListeners();
  // The second node listens elsewhere; whoever dials its name comes by here.
  const hidden = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const addresses = [addressOf(first), addressOf(second)];
  const [nameOfFirst, nameOfSecond] = addresses.map(({ port }) => `127.0.0.1:${port}`);
  using one = new TestNode(addresses, {
    listener: first,
    name: nameOfFirst ?? "",
    secret: SECRET,
  });
  using two = new TestNode(addresses, {
    listener: hidden,
    name: nameOfSecond ?? "",
    secret: SECRET,
  });
  const asked: Uint8Array[] = [];
  const answered: Uint8Array[] = [];
  const conns: Deno.TcpConn[] = [];
  const passing = (async () => {
    for await (const conn of second) {
      const onward = await Deno.connect(addressOf(hidden));
      conns.push(conn, onward);
      passOn(conn, onward, asked);
      passOn(onward, conn, answered);
    }
  })();
  one.start();
  two.start();
  await until("they are linked", () => one.met.length > 0 && two.met.length > 0);
  // The challenge, and the question with its proof: as the first node has said them.
  const said = asked.slice(0, 2);
  assertMatch(fromBytes(said[0] ?? new Uint8Array()), /DKS\.PEER\r\n\$\d+\r\n{"nonce":/);
  assertMatch(fromBytes(said[1] ?? new Uint8Array()), /"purpose":"link"/);
  const reply = await replay(hidden.addr.port, said);
  assertMatch(reply, /^\$\d+\r\n{"nonce":"[0-9a-f]{64}"}\r\n-UNPROVEN it does not prove/);
  assertEquals(two.met, [0]);
  // And what the second one has said proves nothing to one that asks.
  const [challenge, answer] = answered;
  const fake = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const conn = await fake.accept();
    const decoder = new CommandDecoder(100_000);
    for (const bytes of [challenge, answer]) {
      await readWords(conn, decoder);
      await conn.write(bytes ?? new Uint8Array());
    }
    conn.close();
  })();
  using third = new TestNode([addressOf(first), addressOf(fake)], {
    listener: Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    name: nameOfFirst ?? "",
    secret: SECRET,
  });
  assertEquals(await third.peers.lookFor([`127.0.0.1:${fake.addr.port}`], 1), []);
  await serving;
  fake.close();
  second.close();
  await passing;
  for (const conn of conns) {
    try {
      conn.close();
    } catch {
      // It was closed already.
    }
  }
});

Deno.test("a node that is sent its own challenge back links with nobody", async () => {
  const [first, second] = twoListeners();
  const addresses = [addressOf(first), addressOf(second)];
  using one = new TestNode(addresses, {
    listener: first,
    name: `127.0.0.1:${first.addr.port}`,
    secret: SECRET,
  });
  const replies: string[] = [];
  // Whoever is at the name of the second node asks the first one with what the first one asks.
  const serving = (async () => {
    for await (const conn of second) {
      const back = await Deno.connect(addressOf(first));
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const asked = await conn.read(buffer).catch(() => null);
        if (asked === null) break;
        await back.write(buffer.slice(0, asked));
        const answered = await back.read(buffer).catch(() => null);
        if (answered === null) break;
        replies.push(fromBytes(buffer.subarray(0, answered)));
        await conn.write(buffer.slice(0, answered));
      }
      back.close();
      try {
        conn.close();
      } catch {
        // The first node has hung up.
      }
    }
  })();
  one.start();
  await until("it has noticed", () => one.warnings.length > 0 && one.errors.length > 0);
  assertMatch(one.warnings[0] ?? "", /^refused what poses as a node .*: it repeats what this node/);
  assertMatch(one.errors[0] ?? "", /refuses this node: it repeats what this node has said$/);
  assertMatch(replies[1] ?? "", /^-UNPROVEN /);
  assertEquals(one.met, []);
  one.peers.stop();
  second.close();
  await serving;
});

Deno.test("a proof is right for one secret, one speaker, one connection and one text", async () => {
  const secret = new ClusterSecret(SECRET);
  const nonces = { asker: secret.newNonce(), asked: secret.newNonce() };
  const proof = await secret.prove("asks", nonces, ["question"]);
  const isProven = (
    changed: { role?: Role; asker?: string; asked?: string; said?: readonly string[] },
    by = secret,
    of = proof,
  ) => {
    const { role = "asks", said = ["question"], ...others } = changed;
    return by.isProven(of, { role, said, nonces: { ...nonces, ...others } });
  };
  assertEquals(await isProven({}), true);
  assertEquals(await isProven({}, new ClusterSecret(SECRET)), true);
  assertEquals(await isProven({}, new ClusterSecret(`${SECRET}.`)), false);
  assertEquals(await isProven({ role: "answers" }), false);
  assertEquals(await isProven({ asker: nonces.asked, asked: nonces.asker }), false);
  assertEquals(await isProven({ asker: secret.newNonce() }), false);
  assertEquals(await isProven({ asked: secret.newNonce() }), false);
  assertEquals(await isProven({ said: ["question."] }), false);
  assertEquals(await isProven({ said: ["quest", "ion"] }), false);
  for (const wrong of ["", "x", proof.slice(1), `${proof}0`, proof.toUpperCase(), "0".repeat(64)]) {
    assertEquals(await isProven({}, secret, wrong), false, wrong);
  }
  assertEquals(nonces.asker === nonces.asked, false);
});

Deno.test("nonceOf() reads a challenge and nothing else", () => {
  const nonce = "0123456789abcdef".repeat(4);
  assertEquals(nonceOf(challengeOf(nonce)), nonce);
  for (
    const text of [
      "",
      "{}",
      `{"nonce":"${nonce}","purpose":"find"}`,
      `{"nonce":"${nonce.slice(1)}"}`,
      `{"nonce":"${nonce.toUpperCase()}"}`,
      '{"nonce":7}',
      '{"nonce":',
      fromText('{"nonce":"ä"}'),
    ]
  ) assertEquals(nonceOf(text), undefined, text);
});

Deno.test("whoever proves nothing in time, or says too much, is hung up on", async () => {
  const [first, second] = twoListeners();
  second.close();
  using one = new TestNode([addressOf(first), addressOf(second)], {
    listener: first,
    name: `127.0.0.1:${first.addr.port}`,
    secret: SECRET,
  });
  const challenge = toBytes(encodeCommand(["DKS.PEER", challengeOf("0".repeat(64))]));
  const long = toBytes(encodeCommand(["DKS.PEER", "x".repeat(100_000), ""]));
  for (const more of [new Uint8Array(), long]) {
    const conn = await Deno.connect(addressOf(first));
    await conn.write(challenge);
    const buffer = new Uint8Array(4096);
    assert(await conn.read(buffer) !== null);
    await conn.write(more).catch(() => {});
    let rest: number | null = 0;
    while (rest !== null) rest = await conn.read(buffer).catch(() => null);
    conn.close();
  }
  assertEquals(one.met, []);
});
