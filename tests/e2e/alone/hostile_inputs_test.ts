/** Some 2,500 hostile inputs at one node of five: its other clients, and the other nodes, notice nothing. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { ClientConnection } from "../../../src/client/connection.ts";
import { fetchStatus } from "../../../src/client/status.ts";
import { OK } from "../../../src/resp/value.ts";
import { freePorts, LocalCluster, loopback } from "../../harness/cluster.ts";
import { Lateness } from "../../harness/lateness.ts";
import { execute, until } from "../../harness/processes.ts";

/** The longest that a well-behaved client may wait, in milliseconds. */
const ANSWER_MS_MAX = 1000;

/** How many callers are at it at a time. */
const AT_ONCE = 16;

/** Connections that say nothing, that never read, and that say a byte at a time. */
const IDLE_MAX = 5000;
const UNREAD = 20;
const SLOW = 50;
/** Clients that ask for 5 MB each, and read none of it. */
const READERS = 200;

/** Returns how many files this process, and what it starts, may have open. */
async function filesMax(): Promise<number> {
  if (Deno.build.os === "windows") return Infinity;
  const { stdout } = await execute("sh", ["-c", "ulimit -n"]);
  return Number(stdout) || Infinity; // It may be unlimited.
}

/** Commands that are cut at every byte. */
const COMMANDS = [
  "*3\r\n$3\r\nSET\r\n$7\r\nhostile\r\n$20\r\nxxxxxxxxxxxxxxxxxxxx\r\n",
  "*2\r\n$3\r\nGET\r\n$7\r\nhostile\r\n*1\r\n$4\r\nPING\r\n",
  "*6\r\n$8\r\nDKS.ONCE\r\n$1\r\nt\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n",
  '*2\r\n$8\r\nDKS.PEER\r\n$29\r\n{"purpose":"find","config":{}}\r\n',
  "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n",
  'SET "hostile" "in quotes \\x00 \\n"\r\nGET hostile\r\nHELLO 3\r\nSUBSCRIBE c\r\n',
  "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nSET hostile 1\r\n",
];

/** Numbers that are lengths, or nearly. */
const LENGTHS = [
  ...Array.from({ length: 200 }, (_, index) => String(index - 20)),
  ...["", "+1", "-0", "00", "1e3", " 1", "0x10", "\0", "NaN", "1".repeat(70_000)],
  ...[31, 32, 53, 63, 64].flatMap((bits) =>
    [2n ** BigInt(bits) - 1n, 2n ** BigInt(bits)].map(String)
  ),
];

/** Returns a source of numbers from 0 to 255 that is the same in every run. */
function bytesFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24;
}

function* hostileInputs(): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const command of COMMANDS) {
    for (let end = 0; end < command.length; end++) yield encoder.encode(command.slice(0, end));
  }
  for (const length of LENGTHS) {
    yield encoder.encode(`*${length}\r\n`);
    yield encoder.encode(`*${length}\r\n$4\r\nPING\r\n`);
    yield encoder.encode(`*1\r\n$${length}\r\nPING\r\n`);
    yield encoder.encode(`*3\r\n$3\r\nSET\r\n$7\r\nhostile\r\n$${length}\r\nvalue\r\n`);
  }
  const next = bytesFrom(13);
  for (let i = 0; i < 1300; i++) yield Uint8Array.from({ length: next() * 4 }, next);
}

/** A client that sets and reads a key of its own for as long as it is wanted. */
class HonestClient {
  slowestMs = 0;
  answers = 0;
  #isWanted = true;
  readonly #work: Promise<void>;

  constructor(connection: ClientConnection, key: string) {
    this.#work = this.#run(connection, key);
  }

  async #run(connection: ClientConnection, key: string): Promise<void> {
    const call = async (words: readonly string[]) => {
      const beganAt = performance.now();
      const reply = await connection.call(words);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - beganAt);
      this.answers++;
      return reply;
    };
    for (let round = 0; this.#isWanted; round++) {
      assertEquals(await call(["SET", key, String(round)]), OK);
      assertEquals(await call(["GET", key]), String(round));
      await delay(20); // A load of its own is not what this is about.
    }
    connection.close();
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    await this.#work;
  }
}

async function openRaw(port: number): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

/** Writes what a node may refuse by hanging up. */
async function send(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
  } catch {
    // It has hung up.
  }
}

async function sendAll(port: number, inputs: Iterator<Uint8Array, void>): Promise<number> {
  let count = 0;
  const work = async () => {
    for (let input = inputs.next(); !input.done; input = inputs.next()) {
      const conn = await openRaw(port);
      await send(conn, input.value);
      // One in two waits for what the node says; the others reset the connection if it has said something.
      if (count++ % 2 === 0) {
        await conn.closeWrite().catch(() => {});
        await conn.read(new Uint8Array(1)).catch(() => {});
      }
      conn.close();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return count;
}

/** What is done to five nodes: at the first of them. */
interface Hostility {
  readonly ports: readonly number[];
  /** Connections that are closed at the end, whatever happens. */
  readonly held: Deno.TcpConn[];
}

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 10_000 });
}

/** Does `action` to five nodes, which hold a value of 50 kB: after it all are members of the same view. */
async function withFiveNodes(action: (about: Hostility) => Promise<void>): Promise<void> {
  const ports = freePorts(5);
  const cluster = await LocalCluster.start({ places: loopback(ports) });
  const watcher = await connect(ports[1] ?? 0);
  const held: Deno.TcpConn[] = [];
  try {
    const before = await fetchStatus(watcher);
    assertEquals(await watcher.call(["SET", "large", "x".repeat(50_000)]), OK);
    await action({ ports, held });
    const after = await fetchStatus(watcher);
    assertEquals(after.view, before.view);
    assertEquals(after.nodes.map(({ role }) => role), Array(5).fill("member"));
    for (const node of cluster.nodes) assertEquals(node.hasEnded, false, node.printed);
  } finally {
    for (const conn of held) conn.close();
    watcher.close();
    await cluster.stop();
  }
}

/** What this process is late by, as the machine may be busy, is not the node's. */
function assertAnsweredInTime(slowestMs: number, { mostMs, forRequestMs }: Lateness): void {
  assert(
    slowestMs < ANSWER_MS_MAX + forRequestMs,
    `${slowestMs} ms; this process was late by ${mostMs} ms`,
  );
}

Deno.test("hostile inputs at one node cost its other clients nothing, nor its place in the view", () =>
  withFiveNodes(async ({ ports, held }) => {
    const [port = 0] = ports;
    const clients = await Promise.all(
      ports.map(async (at) => new HonestClient(await connect(at), `of ${at}`)),
    );
    const lateness = new Lateness();

    const gets = new TextEncoder().encode("GET large\r\n".repeat(100));
    for (let i = 0; i < UNREAD; i++) {
      const conn = await openRaw(port);
      held.push(conn);
      await send(conn, gets);
    }
    const slow = await Promise.all(Array.from({ length: SLOW }, () => openRaw(port)));
    held.push(...slow);
    const idle = Math.min(IDLE_MAX, await filesMax() / 2);
    for (let i = 0; i < idle; i++) held.push(await openRaw(port));
    const loris = async () => {
      for (const byte of new TextEncoder().encode(COMMANDS[0])) {
        await Promise.all(slow.map((conn) => send(conn, Uint8Array.of(byte))));
        await delay(50);
      }
    };
    const [count] = await Promise.all([sendAll(port, hostileInputs()), loris()]);

    lateness.stop();
    await Promise.all(clients.map((client) => client.stop()));
    assertEquals(count >= 2500, true, `${count} inputs`);
    for (const { slowestMs, answers } of clients) {
      assertAnsweredInTime(slowestMs, lateness);
      assertEquals(answers > 20, true, `${answers} answers`);
    }
  }));

Deno.test("large replies that nobody reads cost other clients little, and the node not its place", () =>
  withFiveNodes(async ({ ports, held }) => {
    const [port = 0] = ports;
    const client = new HonestClient(await connect(port), "the honest one");
    const lateness = new Lateness();
    const gets = new TextEncoder().encode("GET large\r\n".repeat(100));
    for (let burst = 0; burst < 2; burst++) {
      for (let i = 0; i < READERS; i++) held.push(await openRaw(port));
      await Promise.all(held.map((conn) => send(conn, gets)));
      const goal = client.answers + 60;
      await until("the honest client has more answers", () => client.answers >= goal);
      for (const conn of held.splice(0)) conn.close();
    }
    await client.stop();
    lateness.stop();
    assertAnsweredInTime(client.slowestMs, lateness);
  }));
