import { assertEquals, assertMatch } from "@std/assert";
import { LINK_BYTES_MAX } from "../../../src/limits.ts";
import { FrameReader, FrameWriter } from "../../../src/node/peer/frames.ts";
import { type LinkOwner, PeerLink } from "../../../src/node/peer/link.ts";
import { PROTOCOL_NEWEST } from "../../../src/node/peer/protocols.ts";

const protocol = PROTOCOL_NEWEST;

/** Returns both ends of a connection. */
async function connection(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ends = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  listener.close();
  return ends;
}

function owner(reasons: string[], onMessage = () => {}): LinkOwner {
  return {
    onMessage,
    onPubSub: () => {},
    onPart: () => {},
    onTaken: () => {},
    onClosed: (_link, reason) => reasons.push(reason),
    report: () => ({ keys: 0, requestsPerSecond: 0, hasLease: false, chunks: null }),
  };
}

Deno.test("PeerLink.flush() closes the link when the peer does not take in what it is sent", async () => {
  const [conn, peer] = await connection();
  const reasons: string[] = [];
  const received = new Uint8Array();
  const link = new PeerLink({ peer: 1, protocol, socket: conn, owner: owner(reasons), received });
  const message = new Uint8Array(16 * 1024 * 1024);
  for (let sent = 0; sent < 2 * LINK_BYTES_MAX && reasons.length === 0; sent += message.length) {
    link.sendEncoded(message);
    link.flush();
  }
  await link.closed;
  assertMatch(reasons.join(), /^it does not take in what it is sent: more than \d+ bytes wait$/);
  peer.close();
});

Deno.test("PeerLink closes the link when bytes are malformed, and throws what its owner throws", async () => {
  const writer = new FrameWriter();
  writer.add({ type: "commit", view: 1, number: 1 });
  const commit = writer.finish().slice();
  const uncaught: string[] = [];
  const listen = (event: PromiseRejectionEvent) => {
    uncaught.push(String(event.reason));
    event.preventDefault();
  };
  globalThis.addEventListener("unhandledrejection", listen);
  const reasons: string[] = [];
  const broken = () => {
    throw new Error("a broken invariant");
  };
  for (const received of [Uint8Array.of(1, 0, 0, 0, 99), commit]) {
    const [conn, peer] = await connection();
    const link = new PeerLink({
      peer: 1,
      protocol,
      socket: conn,
      owner: owner(reasons, broken),
      received,
    });
    link.start();
    await new Promise((resolve) => setTimeout(resolve, 10));
    link.close("the end");
    peer.close();
  }
  globalThis.removeEventListener("unhandledrejection", listen);
  assertEquals(reasons, ["an unknown kind of message: 99", "the end"]);
  assertEquals(uncaught, ["Error: a broken invariant"]);
});

Deno.test("PeerLink sends probes though nothing else is sent, and otherwise along with something", async () => {
  const [conn, peer] = await connection();
  const received = new Uint8Array();
  const link = new PeerLink({ peer: 1, protocol, socket: conn, owner: owner([]), received });
  const reader = new FrameReader();
  /** The messages of the next read. */
  const next = async () => {
    const types: string[] = [];
    reader.received(await peer.read(reader.space) ?? 0);
    reader.drain(({ type }) => types.push(type));
    return types.join(" ");
  };
  link.start();
  assertEquals(await next(), "probe");
  assertEquals(await next(), "probe");
  const heartbeats: string[] = [];
  const timer = setInterval(() => {
    link.send({ type: "leaving", view: 1, incarnation: 1 });
    link.flush();
  }, 50);
  while (!heartbeats.some((types) => types.includes("probe"))) heartbeats.push(await next());
  clearInterval(timer);
  assertEquals(heartbeats.at(-1), "probe leaving");
  link.close("the end");
  peer.close();
});
