/** Malicious or careless callers: they lose their own connection, and no other client is affected. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { freePorts, FROM_SOURCE, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { within } from "../harness/lateness.ts";
import { fromText } from "../../src/byte_string.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, OK, type RespValue } from "../../src/resp/value.ts";

/** Connects to the node at `port` of this machine. */
async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 30_000 });
}

/** Asks the node at `port` what a peer asks. */
async function askAsPeer(port: number, question: unknown): Promise<RespValue> {
  const connection = await connect(port);
  try {
    return await connection.call(["DKS.PEER", fromText(JSON.stringify(question))]);
  } finally {
    connection.close();
  }
}

Deno.test("nothing that a stranger says to DKS.PEER ends a node or writes its log", async () => {
  const ports = freePorts(3).map(String).sort().map(Number);
  const cluster = await LocalCluster.start({ places: loopback(ports) });
  try {
    const stranger = {
      config: { protocol: 1, peers: ["x"], keyBytesMax: 1, valueBytesMax: 1 },
      instance: "evil",
      identity: { journal: "evil", incarnation: 1, process: "evil", position: 0 },
      uptimeMs: 1e15,
    };
    const port = ports[1] ?? 0;
    const answer = await askAsPeer(port, { ...stranger, purpose: "find" });
    const { config } = JSON.parse(String(answer));
    const forged = { ...config, peers: [`a\n2026-01-01 ERROR forged ${"x".repeat(5000)}`] };
    const questions = [
      { ...stranger, purpose: "find", config: forged },
      { ...stranger, purpose: "confirm", config: forged, token: "t" },
      { ...stranger, purpose: "link", config: forged, from: 0, to: 1, token: "t" },
      { ...stranger, purpose: "link", config: { ...config, keyBytesMax: 1 }, from: 0, to: 1 },
      { ...stranger, purpose: "link", config, from: 0, to: 1, knownJournal: "evil" },
      { ...stranger, purpose: "link", config, from: 0, to: 1, knownJournal: "evil", token: "t" },
      { ...stranger, purpose: "link", config, from: "join", to: 1, token: "t" },
      { ...stranger, purpose: "link", config: { ...config, peers: "x".repeat(60_000) } },
    ];
    for (const question of questions) await askAsPeer(port, question);
    const tooLarge = await askAsPeer(port, { ...questions[0], padding: "x".repeat(20_000) });
    assertMatch(String((tooLarge as { message?: string }).message), /at most \d+ are allowed/);
    const connection = await connect(port);
    assertEquals(await connection.call(["SET", "k", "v"]), OK);
    connection.close();
    for (const node of cluster.nodes) {
      assertEquals(node.hasEnded, false, node.printed);
      for (const line of node.printed.split("\n")) {
        assertEquals(line.length < 700 && !/^2026-01-01 ERROR/.test(line), true, line);
      }
    }
  } finally {
    await cluster.stop();
  }
});

Deno.test("a younger node with another list ends, though no peer can order it to", async () => {
  // The lower entry dials: so the older of the two asks, and the younger finds out by asking back.
  const [a = 0, b = 0, c = 0] = freePorts(3).map(String).sort().map(Number);
  const right = [`127.0.0.1:${a}`, `127.0.0.1:${b}`].join();
  const older = new NodeProcess({ program: FROM_SOURCE, port: a, args: ["--peers", right] });
  await older.untilPrinted(/listening on port/);
  const wrong = `${right},127.0.0.1:${c}`;
  const args = ["--peers", wrong, "--advertise", `127.0.0.1:${b}`];
  const younger = new NodeProcess({ program: FROM_SOURCE, port: b, args });
  assertEquals(await younger.untilEnded(), 1);
  assertStringIncludes(younger.printed, `dks: the peer list of 127.0.0.1:${a} is "${right}"`);
  assertEquals(older.hasEnded, false);
  await older.stop();
});

Deno.test("replies of too many bytes affect only the client that asked for them", async (t) => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports) });
  const [port = 0] = ports;
  const healthy = await connect(port);
  const large = "x".repeat(8 * 1024 * 1024);
  try {
    assertEquals(await healthy.call(["SET", "large", large]), OK);

    await t.step("one reply above the limit is an error that names the limit", async () => {
      const connection = await connect(port);
      const words = ["MGET", ...Array.from({ length: 70 }, () => "large")];
      const reply = await connection.call(words);
      const message = reply instanceof ErrorReply ? reply.message : "no error";
      assertMatch(message, /^a reply of \d+ bytes, at most 75497472 are allowed/);
      assertEquals(await connection.call(["STRLEN", "large"]), large.length);
      connection.close();
    });

    await t.step("many replies behind one that waits are held back", async () => {
      cluster.nodes[2]?.signal("SIGSTOP");
      const connection = await connect(port);
      const first = connection.call(["SET", "k", "v"]);
      const rest = Array.from({ length: 70 }, () => connection.call(["ECHO", large]));
      const many = Array.from({ length: 35 }, () => connection.call(["MGET", "large", "large"]));
      await delay(1000);
      assertEquals(await healthy.call(["GET", "large"]), large);
      cluster.nodes[2]?.signal("SIGCONT");
      await first;
      for (const reply of await Promise.all(rest)) assertEquals(reply === large, true);
      for (const reply of await Promise.all(many)) assertEquals(Array.isArray(reply), true);
      connection.close();
    });
    assertEquals(await healthy.call(["GET", "large"]), large);
  } finally {
    healthy.close();
    await cluster.stop();
  }
});

/** Sends `input` to the node at `port`. Returns everything that it says until it hangs up. */
async function converse(port: number, input: string): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(input));
  const timer = setTimeout(() => conn.close(), 5000);
  const text = await new Response(conn.readable).text();
  clearTimeout(timer);
  return text;
}

Deno.test("a conversation that goes wrong is ended", async (t) => {
  const [port = 0] = freePorts(1);
  const cluster = await LocalCluster.start({ places: loopback([port]) });
  try {
    await t.step("DKS.PEER behind other commands is refused", async () => {
      assertEquals(
        await converse(port, "SET a 1\r\nGET a\r\nDKS.PEER {}\r\nPING\r\n"),
        "+OK\r\n$1\r\n1\r\n-ERR DKS.PEER must be the first command of a connection\r\n",
      );
    });
    await t.step("an HTTP request is cut off as soon as it is recognized", async () => {
      assertEquals(await converse(port, "POST / HTTP/1.1\r\nSET http 1\r\n"), "");
      const answer = await converse(port, "GET / HTTP/1.1\r\nHost: x\r\nSET http 1\r\nPING\r\n");
      assertMatch(answer, /^-ERR wrong number of arguments[^\n]*\n$/);
      assertEquals(await converse(port, "GET http\r\nQUIT\r\n"), "$-1\r\n+OK\r\n");
    });
    await t.step("a reply is in the version of its command", async () => {
      const answer = await converse(port, "SET new v GET\r\nHELLO 3\r\nGET none\r\nQUIT\r\n");
      assertMatch(answer, /^\$-1\r\n%7\r\n[^]*_\r\n\+OK\r\n$/);
    });
    await t.step("too many keys are refused, and the connection goes on", async () => {
      const connection = await connect(port);
      const words = Array.from({ length: 2 * 65_537 }, (_, index) => String(index));
      const refused = await connection.call(["MSET", ...words]);
      assertEquals(refused, new ErrorReply("ERR", "more than 65536 keys in one command"));
      assertEquals(await connection.call(["MSET", ...words.slice(2)]), OK);
      connection.close();
    });
  } finally {
    await cluster.stop();
  }
});

Deno.test("commands of one connection that wait for each other all end within the time", async () => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports), args: ["--timeout", "1s"] });
  const connection = await connect(ports[0] ?? 0);
  try {
    assertEquals(await connection.call(["SET", "k", "0"]), OK);
    cluster.nodes[2]?.signal("SIGSTOP");
    const replies = await within(1500, () =>
      Promise.all(
        Array.from({ length: 8 }, (_, index) => {
          return connection.call(
            index % 2 === 0 ? ["SET", "k", String(index)] : ["MGET", "k", "l"],
          );
        }),
      ));
    assertEquals(
      replies.at(-1),
      new ErrorReply(
        "TRYAGAIN",
        "REJECTED earlier commands of its connection took all of its time",
      ),
    );
  } finally {
    connection.close();
    await cluster.stop();
  }
});
