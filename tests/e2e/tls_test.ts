/**
 * TLS: real clients, who is let in and who is not, and what hostile bytes do to the port.
 *
 * To run this file alone: `deno test --allow-all --lock tests/deno.lock tests/e2e/tls_test.ts`.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import tls from "node:tls";
import { Redis } from "npm:ioredis@6.0.0";
import { createClient } from "npm:redis@6.3.1";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { Authority, type Certificate, tlsDocument } from "../harness/certificates.ts";
import {
  freePorts,
  FROM_SOURCE,
  LocalCluster,
  loopback,
  NodeProcess,
  type Program,
} from "../harness/cluster.ts";
import { Lateness } from "../harness/lateness.ts";
import { client, execute, isInstalled, until } from "../harness/processes.ts";

const HERE = ["DNS:localhost", "IP:127.0.0.1"];
const ignore = !isInstalled("openssl");

interface World {
  readonly authority: Authority;
  readonly certificate: Certificate;
  readonly ports: readonly number[];
  readonly cluster: LocalCluster;
}

/** Runs nodes with a certificate of an authority of their own. */
async function withTls(
  run: (world: World) => Promise<void>,
  { nodes = 1, program = FROM_SOURCE, more = {} }: {
    nodes?: number;
    program?: Program;
    more?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<void> {
  const authority = await Authority.create("tests of dks");
  try {
    const certificate = await authority.issue(HERE);
    const ports = freePorts(nodes);
    const cluster = await LocalCluster.start({
      places: loopback(ports, program),
      args: ["--config", "-"],
      input: tlsDocument(certificate, authority.ca, more),
    });
    try {
      await run({ authority, certificate, ports, cluster });
    } finally {
      await cluster.stop();
    }
  } finally {
    await authority.remove();
  }
}

function open(
  port: number,
  keys?: { ca?: string; cert?: string; key?: string },
  host = "localhost",
) {
  return ClientConnection.open([{ hostname: host, port }], { timeoutMs: 10_000, tls: keys });
}

Deno.test({
  name: "TLS: the binary serves ioredis, node-redis, redis-cli, openssl and dks client",
  ignore,
  fn: async () => {
    await withTls(async ({ authority, ports: [one = 0, two = 0] }) => {
      const { ca } = authority;
      const own = new Redis({ host: "localhost", port: one, tls: { ca } });
      assertEquals(await own.set("a", "1"), "OK");
      assertEquals(await own.multi().incr("a").get("a").exec(), [[null, 2], [null, "2"]]);
      own.disconnect();

      const other = createClient({ url: `rediss://localhost:${two}`, socket: { tls: true, ca } });
      await other.connect();
      assertEquals(await other.get("a"), "2");
      const large = "x".repeat(1_000_000);
      await other.set("large", large);
      assertEquals(await other.get("large"), large);
      await other.close();

      if (isInstalled("redis-cli")) {
        const { stdout } = await execute("redis-cli", [
          ...["-p", String(one), "--tls", "--cacert", authority.path, "GET", "a"],
        ]);
        assertEquals(stdout.trim(), "2");
      }
      const shown = await execute("openssl", [
        ...["s_client", "-connect", `127.0.0.1:${two}`, "-CAfile", authority.path],
        ...["-verify_return_error", "-verify_ip", "127.0.0.1", "-quiet"],
      ], { input: "GET a\r\nQUIT\r\n" });
      assertStringIncludes(shown.stdout, "$1\r\n2\r\n+OK\r\n");

      const here = await client(one, ["--tls", "--cacert", "-", "get", "a"], ca);
      assertEquals([here.stdout, here.code], ["2", 0]);
      const url = await client(one, [
        "-s",
        `rediss://localhost:${two}`,
        "--cacert",
        "-",
        "get",
        "a",
      ], ca);
      assertEquals(url.code, 2); // -s twice.
      const ready = await client(one, ["--tls", "--cacert", "-", "wait-ready"], ca);
      assertEquals(ready.code, 0, ready.stderr);
      const load = ["--tls", "--cacert", "-", "bench", "--duration", "100ms", "--clients", "2"];
      const measured = await client(one, load, ca);
      assertEquals([measured.code, measured.stderr], [0, ""], measured.stdout);
      const plain = await client(one, ["get", "a"]);
      assertStringIncludes(plain.stderr, "this node speaks TLS only");
      const foreign = await client(one, ["--tls", "get", "a"]);
      assertStringIncludes(foreign.stderr, "is of no authority that is trusted here");
    }, { nodes: 2, program: await binary() });
  },
});

/** A Python that has redis-py: Debian's package is for the Python of Debian, which may not be the first. */
const REDIS_PYTHON = await firstWithRedisPy(["python3", "/usr/bin/python3"]);

Deno.test({
  name: "TLS: redis-py speaks it",
  ignore: ignore || REDIS_PYTHON === undefined,
  fn: async () => {
    await withTls(async ({ authority, ports: [port = 0] }) => {
      const script = "import redis,sys; r=redis.Redis(host='localhost',port=int(sys.argv[1])," +
        "ssl=True,ssl_ca_certs=sys.argv[2]); r.set('k','v'); print(r.get('k').decode())";
      const { stdout } = await execute(REDIS_PYTHON ?? "", [
        "-c",
        script,
        String(port),
        authority.path,
      ]);
      assertEquals(stdout.trim(), "v");
    });
  },
});

async function firstWithRedisPy(pythons: readonly string[]): Promise<string | undefined> {
  for (const python of pythons) {
    try {
      if ((await execute(python, ["-c", "import redis"])).code === 0) return python;
    } catch {
      // There is no such program.
    }
  }
  return undefined;
}

Deno.test({
  name:
    "TLS: a client believes no foreign, expired or misnamed certificate, and nobody without TLS",
  ignore,
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    const ports = freePorts(3);
    const [good = 0, expired = 0, misnamed = 0] = ports;
    const nodes: NodeProcess[] = [];
    const start = async (port: number, certificate: Certificate) => {
      const input = tlsDocument(certificate, authority.ca);
      const node = new NodeProcess({ program: FROM_SOURCE, port, args: ["--config", "-"], input });
      nodes.push(node);
      await node.untilPrinted(/cluster is complete/);
    };
    const fails = async (port: number, ca: string, text: string) => {
      const error = await assertRejects(() => open(port, { ca }), ConnectionError);
      assertStringIncludes(error.message, text);
    };
    try {
      const other = await Authority.create("somebody else");
      await start(good, await authority.issue(HERE));
      await start(expired, await authority.issue(HERE, -1));
      await start(misnamed, await authority.issue(["DNS:n2"]));
      await fails(good, other.ca, "is of no authority that is trusted here");
      await fails(expired, authority.ca, "has expired");
      await fails(misnamed, authority.ca, "is for another name");
      await other.remove();
      const own = await open(good, { ca: authority.ca });
      assertEquals(await own.call(["SET", "k", "v"]), OK);
      own.close();
      assertMatch(nodes[1]?.printed ?? "", /the certificate of this node has expired on/);
      const [bare = 0] = freePorts(1);
      const node = new NodeProcess({ program: FROM_SOURCE, port: bare, args: [] });
      nodes.push(node);
      await node.untilPrinted(/cluster is complete/);
      await fails(bare, authority.ca, "does not speak TLS");
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await authority.remove();
    }
  },
});

Deno.test({
  name:
    "TLS: --tls-auth-clients lets in only who shows a certificate; --tls-plain-clients those without TLS",
  ignore,
  fn: async () => {
    await withTls(async ({ authority, certificate, ports: [port = 0], cluster }) => {
      const { ca } = authority;
      const own = await open(port, { ca, ...certificate });
      assertEquals(await own.call(["ECHO", "x"]), "x");
      own.close();
      // dks client shows the one whose key comes with the authorities.
      const words = [
        "-s",
        "localhost",
        "-p",
        String(port),
        "--tls",
        "--cacert",
        "-",
        "put",
        "k",
        "v",
      ];
      const put = async (input: string) => {
        return await execute((await binary()).file, ["client", ...words], { input });
      };
      const shown = await put(`${ca}${certificate.cert}${certificate.key}`);
      assertEquals([shown.code, shown.stderr], [0, ""]);
      const notShown = await put(ca);
      assertEquals(notShown.code, 3, notShown.stderr);
      // To such a client the handshake has succeeded (TLS 1.3): its first command fails.
      const bare = await open(port, { ca });
      await assertRejects(() => bare.call(["PING"]), ConnectionError);
      const [node] = cluster.nodes;
      await node?.untilPrinted(/a connection from 127.0.0.1 was refused: it shows no certificate/);
      const stranger = await Authority.create("somebody else");
      const theirs = await stranger.issue(HERE);
      for (const wrong of [theirs, await authority.issue(HERE, -1)]) {
        const foreign = await open(port, { ca, ...wrong });
        await assertRejects(() => foreign.call(["SET", "k", "foreign"]), ConnectionError);
      }
      const again = await open(port, { ca, ...certificate });
      assertEquals(await again.call(["GET", "k"]), "v");
      again.close();
      await stranger.remove();
      // Logged once a source and minute.
      assertEquals(node?.printed.match(/was refused/g)?.length, 1);
    }, { more: { "tls-auth-clients": true } });
    await withTls(async ({ authority, ports: [port = 0] }) => {
      const plain = await open(port, undefined, "127.0.0.1");
      assertEquals(await plain.call(["SET", "k", "v"]), OK);
      plain.close();
      const own = await open(port, { ca: authority.ca });
      assertEquals(await own.call(["GET", "k"]), "v");
      own.close();
    }, { more: { "tls-plain-clients": true } });
  },
});

Deno.test({
  name: "TLS: nodes link to none without TLS, of another authority, expired, or of another name",
  ignore,
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    const stranger = await Authority.create("somebody else");
    const good = await authority.issue(HERE);
    const nodes: NodeProcess[] = [];
    /** Starts one node that is as it should be, and one with `certificate`. */
    const start = (certificate: Certificate | undefined) => {
      const ports = freePorts(2);
      const peers = ports.map((port) => `127.0.0.1:${port}`).join(",");
      const pair = [good, certificate].map((own, at) =>
        new NodeProcess({
          program: FROM_SOURCE,
          port: ports[at] ?? 0,
          args: ["--peers", peers, ...own === undefined ? [] : ["--config", "-"]],
          input: own && tlsDocument(own, authority.ca, { "tls-auth-clients": true }),
        })
      );
      nodes.push(...pair);
      return pair;
    };
    const wrong: readonly [Certificate | undefined, RegExp][] = [
      [await stranger.issue(HERE), /no link to .*: the certificate of .* is of no authority/],
      [await authority.issue(HERE, -1), /no link to .*: the certificate of .* has expired/],
      [
        await authority.issue(["DNS:n4"]),
        /no link to .*: the certificate of .* is for another name/,
      ],
      // Whichever of the two dials.
      [undefined, /(no link to .*|was refused: it) does not speak TLS/],
    ];
    try {
      await Promise.all(wrong.map(async ([certificate, line]) => {
        const [one, other] = start(certificate);
        await one?.untilPrinted(line);
        // With such a certificate it does not even find itself.
        if (certificate !== undefined) await other?.untilEnded();
        for (const node of [one, other]) {
          assert(!/linked to|cluster is complete/.test(node?.printed ?? ""), node?.printed);
        }
      }));
      await Promise.all(start(good).map((node) => node.untilPrinted(/cluster is complete/)));
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await authority.remove();
      await stranger.remove();
    }
  },
});

Deno.test({
  name: "TLS: a node that serves clients without TLS has no links without it",
  ignore,
  fn: async () => {
    await withTls(async ({ authority, ports: [port = 0], cluster }) => {
      const question = ["DKS.PEER", JSON.stringify({ purpose: "find" })];
      const plain = await open(port, undefined, "127.0.0.1");
      const refusal = await plain.call(question);
      assertEquals(refusal, new ErrorReply("ERR", "the nodes of this cluster speak TLS"));
      plain.close();
      const own = await open(port, { ca: authority.ca });
      assertEquals(await own.call(question), new ErrorReply("ERR", "not a question of a dks node"));
      own.close();
      await cluster.nodes[0]?.untilPrinted(/refused: it asks for a link between nodes without TLS/);
    }, { more: { "tls-plain-clients": true } });
  },
});

Deno.test({
  name: "TLS: CONFIG SET takes another certificate, keeps connections, and shows no key",
  ignore,
  fn: async () => {
    await withTls(async ({ authority, ports: [port = 0], cluster }) => {
      const own = await open(port, { ca: authority.ca });
      const other = await Authority.create("the next authority");
      const next = await other.issue(HERE);
      const set = async (...words: string[]) => await own.call(["CONFIG", "SET", ...words]);
      for (const words of [["tls-cert", next.cert], ["tls-key", next.key], ["tls-key", "secret"]]) {
        const reply = await set(...words);
        assert(reply instanceof ErrorReply && !/BEGIN|secret/.test(reply.message), String(reply));
      }
      (await open(port, { ca: authority.ca })).close();
      assertEquals(await set("tls-cert", next.cert, "tls-key", next.key), OK);
      await assertRejects(() => open(port, { ca: authority.ca }), ConnectionError, "no authority");
      (await open(port, { ca: other.ca })).close();
      assertEquals(await own.call(["SET", "k", "v"]), OK);
      assertEquals(await own.call(["CONFIG", "GET", "tls-key"]), ["tls-key", ""]);
      assertEquals(/PRIVATE/.test(cluster.nodes[0]?.printed ?? ""), false);
      own.close();
      await other.remove();
    });
  },
});

/** Returns what a client says first. */
async function clientHello(): Promise<Uint8Array> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const socket = tls.connect({
    host: "127.0.0.1",
    port: listener.addr.port,
    servername: "localhost",
  });
  socket.on("error", () => {});
  const conn = await listener.accept();
  const space = new Uint8Array(4096);
  const count = await conn.read(space) ?? 0;
  conn.close();
  socket.destroy();
  listener.close();
  return space.slice(0, count);
}

function* hostileInputs(hello: Uint8Array): Generator<Uint8Array> {
  for (let end = 1; end < hello.length; end++) yield hello.slice(0, end);
  // A record as long as its length can say, and one that says so and ends.
  const longest = Uint8Array.from([0x16, 3, 1, 0xff, 0xff]);
  yield longest;
  yield Uint8Array.from([...longest, ...new Uint8Array(0xffff)]);
  for (
    const text of ["", "PING\r\n", "GET / HTTP/1.1\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "\x80.\x01"]
  ) {
    yield new TextEncoder().encode(text);
  }
  let state = 15;
  const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24;
  for (let round = 0; round < 1200; round++) {
    const changed = hello.slice();
    for (let i = 0; i < 1 + round % 4; i++) {
      changed[1 + (next() * 256 + next()) % (hello.length - 1)] = next();
    }
    yield changed;
  }
  for (let round = 0; round < 600; round++) {
    yield Uint8Array.from([0x16, 3, round % 5, ...Array.from({ length: next() * 3 }, next)]);
    yield Uint8Array.from([...hello, ...Array.from({ length: 1 + next() }, next)]);
  }
}

Deno.test({
  name: "TLS: hostile and truncated records end their own connection and no other",
  ignore,
  fn: async () => {
    await withTls(async ({ authority, ports: [port = 0], cluster }) => {
      const { ca } = authority;
      const beganAt = performance.now();
      const honest = await open(port, { ca });
      let longestMs = 0;
      const ask = async () => {
        const beganAt = performance.now();
        assertEquals(await honest.call(["ECHO", "x"]), "x");
        longestMs = Math.max(longestMs, performance.now() - beganAt);
      };
      const lateness = new Lateness();
      const hello = await clientHello();
      const inputs = hostileInputs(hello);
      let count = 0;
      // Handshakes that come a byte at a time, while all else happens.
      const slow = await Promise.all(Array.from({ length: 20 }, async () => {
        return await Deno.connect({ hostname: "127.0.0.1", port });
      }));
      let isSlowWanted = true;
      const loris = (async () => {
        for (let at = 0; isSlowWanted && at < hello.length - 1; at++) {
          await Promise.all(
            slow.map((conn) => conn.write(hello.slice(at, at + 1)).catch(() => {})),
          );
          await delay(50);
        }
      })();
      const work = async () => {
        for (let input = inputs.next(); !input.done; input = inputs.next()) {
          const conn = await Deno.connect({ hostname: "127.0.0.1", port });
          try {
            await conn.write(input.value);
            if (count++ % 2 === 0) {
              await conn.closeWrite();
              while (await conn.read(new Uint8Array(4096)) !== null);
            }
          } catch {
            // It has hung up.
          }
          conn.close();
          if (count % 4 === 0) await ask();
        }
      };
      await Promise.all(Array.from({ length: 8 }, work));
      assert(count >= 2500, `${count} inputs`);

      // Versions that are not spoken any more, and a client that wants to negotiate anew.
      const connect = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", authority.path];
      for (const version of ["-tls1", "-tls1_1"]) {
        const old = await execute("openssl", [
          ...[...connect, version, "-cipher", "ALL:@SECLEVEL=0"],
        ], { input: "PING\n" });
        assert(old.code !== 0 && !/PONG/.test(old.stdout), old.stdout);
      }
      const again = await execute("openssl", [...connect, "-tls1_2"], { input: "R\nPING\n" });
      assert(!/PONG/.test(again.stdout), again.stdout);
      await ask();

      // Records that are damaged, cut off or made up after the handshake.
      for (let round = 0; round < 60; round++) {
        await damaged(port, { ca, round });
        await ask();
      }
      isSlowWanted = false;
      await loris;
      lateness.stop();
      for (const conn of slow) conn.close();
      assert(longestMs < 1000 + lateness.mostMs, `${longestMs} ms, late by ${lateness.mostMs} ms`);
      const [node] = cluster.nodes;
      assertEquals(node?.hasEnded, false);
      // One line for a source and minute.
      const minutes = 1 + Math.floor((performance.now() - beganAt) / 60_000);
      const refused = node?.printed.match(/a connection from .* was refused.*/g) ?? [];
      assert(refused.length >= 1 && refused.length <= minutes, refused.join("\n"));
      assert(!/BEGIN|PRIVATE/.test(node?.printed ?? ""));
      const connections = async () => String(await honest.call(["INFO", "clients"]));
      await until(
        "nothing is left of them",
        async () => /connected_clients:1\r/.test(await connections()),
      );
      honest.close();
    });
  },
});

/** Speaks TLS through a proxy that spoils what the client sends after the handshake. */
async function damaged(port: number, { ca, round }: { ca: string; round: number }): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const own = tls.connect({ host: "localhost", port: listener.addr.port, ca });
  own.on("error", () => {});
  const [near, far] = await Promise.all([
    listener.accept(),
    Deno.connect({ hostname: "127.0.0.1", port }),
  ]);
  const back = far.readable.pipeTo(near.writable).catch(() => {});
  own.on("secureConnect", () => own.write("PING\r\n"));
  let isShaken = false;
  own.on("data", () => {
    isShaken = true;
    own.write("PING\r\n".repeat(1 + round));
  });
  const space = new Uint8Array(16_384);
  try {
    for (;;) {
      const count = await near.read(space);
      if (count === null) break;
      const bytes = space.slice(0, count);
      if (!isShaken) {
        await far.write(bytes);
        continue;
      }
      if (round % 3 === 0) await far.write(bytes.slice(0, (round * 7) % bytes.length));
      else if (round % 3 === 1) {
        const at = (round * 13) % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 + round);
        await far.write(bytes);
      } else await far.write(Uint8Array.from([...bytes, ...bytes]));
      break;
    }
    await far.closeWrite();
    await back;
  } catch {
    // The node has hung up.
  }
  own.destroy();
  for (const one of [near, far, listener]) {
    try {
      one.close();
    } catch {
      // It was closed with its stream.
    }
  }
}
