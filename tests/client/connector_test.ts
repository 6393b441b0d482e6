/** Writes that survive a broken connection, against servers that answer as they are told. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Address } from "../../src/address.ts";
import { AccessError, ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { callAnywhere, callOnce, Connector } from "../../src/client/connector.ts";
import { ErrorReply, OK, type RespValue } from "../../src/resp/value.ts";
import { FakeServer, HANG_UP, NOTHING, type Reaction } from "../harness/fake_server.ts";

/** A server that says the same to everybody, and hangs up. */
class SpeakingServer implements Disposable {
  readonly address: Address;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

  constructor(words: string) {
    this.address = { hostname: "127.0.0.1", port: this.#listener.addr.port };
    this.#speak(new TextEncoder().encode(words));
  }

  async #speak(words: Uint8Array): Promise<void> {
    for await (const conn of this.#listener) {
      await conn.write(words);
      await conn.closeWrite();
      // Without what the client has sent, it would be reset.
      new Response(conn.readable).arrayBuffer().catch(() => {});
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/** Sends a write to these servers, in this order. */
async function write(
  servers: readonly FakeServer[],
  { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
): Promise<RespValue> {
  const connector = new Connector({ addresses: servers.map(({ address }) => address), timeoutMs });
  try {
    return await callOnce(["PUT", "k", "v"], { connector, timeoutMs });
  } finally {
    connector.close();
  }
}

const ABORTED = new ErrorReply("TRYAGAIN", "ABORTED no vote");

const tokensOf = (...servers: FakeServer[]) =>
  new Set(servers.flatMap(({ commands }) => commands.map(([, token]) => token)));

Deno.test("callOnce() sends a write once when it is answered, under a token", async () => {
  for (const answer of [OK, new ErrorReply("ERR", "bad"), ABORTED]) {
    using server = FakeServer.inTurn(answer);
    assertEquals(await write([server]), answer);
    const [words = []] = server.commands;
    assertEquals(server.commands.length, 1);
    assertEquals([words[0], ...words.slice(2)], ["DKS.ONCE", "PUT", "k", "v"]);
    assertEquals(words[1]?.length, 36);
  }
});

Deno.test("callOnce() sends a write to the next address, under the same token, when the connection breaks", async () => {
  using first = FakeServer.inTurn(HANG_UP);
  using second = FakeServer.inTurn(HANG_UP, OK);
  using third = FakeServer.inTurn(HANG_UP);
  assertEquals(await write([first, second, third]), OK);
  assertEquals([first, second, third].map(({ commands }) => commands.length), [2, 2, 1]);
  assertEquals(tokensOf(first, second, third).size, 1);
});

Deno.test("callOnce() takes a refusal for no answer when an attempt before it is open", async () => {
  using first = FakeServer.inTurn(HANG_UP, OK);
  using second = FakeServer.inTurn(
    new ErrorReply("CLUSTERDOWN", "REJECTED no link"),
    ABORTED,
    HANG_UP,
  );
  assertEquals(await write([first, second]), OK);
  assertEquals(tokensOf(first, second).size, 1);
});

/** What a node says to what it does not let in: of a write that another one has carried out, too. */
const GATE_ERRORS: readonly ErrorReply[] = [
  new ErrorReply("OOM", "command not allowed when used memory > 'maxmemory'."),
  new ErrorReply("NOPERM", "this user has no permissions"),
  new ErrorReply("NOAUTH", "Authentication required."),
  new ErrorReply("ERR", "max number of clients reached"),
  new ErrorReply("ERR", "value of 2 bytes, at most 1 are allowed"),
];

Deno.test("callOnce() takes no error for the end of an attempt before it that is open", async () => {
  for (const error of GATE_ERRORS) {
    using first = FakeServer.inTurn(HANG_UP);
    using second = FakeServer.inTurn(error);
    using third = FakeServer.inTurn(OK);
    assertEquals(await write([first, second, third]), OK, error.message);
    assertEquals(tokensOf(first, second, third).size, 1);
    using broken = FakeServer.inTurn(HANG_UP);
    using refusing = new FakeServer(() => error);
    const told = await assertRejects(
      () => write([broken, refusing], { timeoutMs: 300 }),
      ConnectionError,
    );
    assertEquals(told.maybeDone, true, error.message);
  }
});

Deno.test("callOnce() repeats an indeterminate write, and tells of it when the time is over", async () => {
  const doubt = new ErrorReply("INDETERMINATE", "no majority (transaction 0.1.1)");
  using server = FakeServer.inTurn(doubt, OK);
  assertEquals(await write([server]), OK);
  using hopeless = FakeServer.inTurn(...Array.from({ length: 100 }, () => doubt));
  assertEquals(await write([hopeless], { timeoutMs: 300 }), doubt);
});

Deno.test("callOnce() asks each node once when they reject a write, and tells what the last one says", async () => {
  const outside = new ErrorReply(
    "CLUSTERDOWN",
    "REJECTED this node is outside view 2, and is joining again",
  );
  using first = FakeServer.inTurn(outside);
  using second = FakeServer.inTurn(OK);
  assertEquals(await write([first, second]), OK);
  assertEquals(tokensOf(first, second).size, 1);
  const none = new ErrorReply("CLUSTERDOWN", "REJECTED no majority: n1 cannot be reached");
  using third = FakeServer.inTurn(outside);
  using fourth = FakeServer.inTurn(none);
  assertEquals(await write([third, fourth]), none);
  assertEquals([third, fourth].map(({ commands }) => commands.length), [1, 1]);
});

/** Sends a command to these servers, in this order. */
async function send(
  servers: readonly { address: Address }[],
  mayRepeat: boolean,
  timeoutMs = 1000,
): Promise<RespValue> {
  const connector = new Connector({ addresses: servers.map(({ address }) => address), timeoutMs });
  try {
    return await callAnywhere(["X", "k"], { connector, timeoutMs, mayRepeat });
  } finally {
    connector.close();
  }
}

Deno.test("callAnywhere() goes to the next node when one rejects, whatever the command", async () => {
  const outside = new ErrorReply("CLUSTERDOWN", "REJECTED this node is stopping");
  for (const mayRepeat of [false, true]) {
    using first = FakeServer.inTurn(outside);
    using second = FakeServer.inTurn(OK);
    assertEquals(await send([first, second], mayRepeat), OK);
    using alone = FakeServer.inTurn(outside);
    assertEquals(await send([alone], mayRepeat), outside);
  }
  using empty = FakeServer.inTurn(null);
  assertEquals(await send([empty], true), null);
  using aborting = FakeServer.inTurn(ABORTED);
  using unasked = FakeServer.inTurn(OK);
  assertEquals(await send([aborting, unasked], true), ABORTED);
  assertEquals(unasked.commands, []);
});

Deno.test("callAnywhere() repeats what may have been done only if it is told to", async () => {
  for (const reaction of [HANG_UP, NOTHING] as Reaction[]) {
    using first = FakeServer.inTurn(reaction);
    using second = FakeServer.inTurn(OK);
    const error = await assertRejects(() => send([first, second], false), ConnectionError);
    assertEquals([error.maybeDone, second.commands.length], [true, 0]);
    using third = FakeServer.inTurn(reaction);
    assertEquals(await send([third, second], true), OK);
  }
});

Deno.test("callAnywhere() goes on when a node that is starting hangs up, and tells its words", async () => {
  const loading = new ErrorReply("LOADING", "this node is starting");
  for (const mayRepeat of [false, true]) {
    using first = FakeServer.inTurn(loading);
    using second = FakeServer.inTurn(OK);
    assertEquals(await send([first, second], mayRepeat), OK);
    using speaking = new SpeakingServer("-LOADING this node is starting\r\n");
    using third = FakeServer.inTurn(OK);
    assertEquals(await send([speaking, third], mayRepeat), OK);
    // It may hang up before it is asked.
    const told = await send([speaking], mayRepeat).catch((error) => error);
    assertMatch(told.message, /this node is starting/);
  }
});

Deno.test("a node that has too many clients has another one asked", async () => {
  const full = new ErrorReply("ERR", "max number of clients reached");
  for (const mayRepeat of [false, true]) {
    using first = FakeServer.inTurn(full);
    using second = FakeServer.inTurn(OK);
    assertEquals(await send([first, second], mayRepeat), OK);
  }
  using first = FakeServer.inTurn(full);
  using second = FakeServer.inTurn(OK);
  assertEquals(await write([first, second]), OK);
  // Who has to say who it is learns it by that.
  using third = FakeServer.inTurn(full);
  using fourth = FakeServer.inTurn(OK, "1");
  const credentials = { user: "u", password: "p" };
  const addresses = [third.address, fourth.address];
  const connector = new Connector({ addresses, timeoutMs: 1000, credentials });
  assertEquals((await connector.get()).address, fourth.address);
  connector.close();
  using alone = FakeServer.inTurn(full);
  const error = await assertRejects(
    () => ClientConnection.open([alone.address], { timeoutMs: 1000, credentials }),
    ConnectionError,
    "ERR max number of clients reached",
  );
  assertEquals(error instanceof AccessError, false, "it may be let in later");
});

Deno.test("callAnywhere() tells what happened at each address", async () => {
  using rejecting = FakeServer.inTurn(new ErrorReply("CLUSTERDOWN", "REJECTED no majority"));
  using hanging = FakeServer.inTurn(NOTHING);
  const error = await assertRejects(() => send([rejecting, hanging], true), ConnectionError);
  assertMatch(
    error.message,
    /^127\.0\.0\.1:\d+ says: CLUSTERDOWN REJECTED no majority; no answer from 127\.0\.0\.1:\d+ within [\d.]+ s$/,
  );
  assertEquals(error.maybeDone, false, "a read does nothing");
});

Deno.test("callAnywhere() leaves time for the last node when two hang", async () => {
  using first = FakeServer.inTurn(NOTHING);
  using second = FakeServer.inTurn(NOTHING);
  using third = FakeServer.inTurn(OK);
  assertEquals(await send([first, second, third], true, 3000), OK);
});

Deno.test("Connector.giveUp() lets a node answer what it was asked", async () => {
  using server = FakeServer.inTurn(new ErrorReply("TRYAGAIN", "REJECTED no lease"), OK);
  using other = FakeServer.inTurn(OK);
  const addresses = [server.address, other.address];
  const connector = new Connector({ addresses, timeoutMs: 1000 });
  const call = () => callAnywhere(["X"], { connector, timeoutMs: 1000, mayRepeat: false });
  assertEquals(await Promise.all([call(), call()]), [OK, OK]);
  connector.close();
});

Deno.test("callOnce() leaves time for another node when one hangs", async () => {
  using hanging = FakeServer.inTurn(NOTHING);
  using healthy = FakeServer.inTurn(OK);
  assertEquals(await write([hanging, healthy], { timeoutMs: 1000 }), OK);
});

Deno.test("callOnce() says that the end is not known when the time is over", async () => {
  using server = FakeServer.inTurn();
  const error = await assertRejects(() => write([server], { timeoutMs: 300 }), ConnectionError);
  assertEquals(error.maybeDone, true);
});

Deno.test("callOnce() fails at once when no node can be reached", async () => {
  const server = FakeServer.inTurn();
  server[Symbol.dispose]();
  const error = await assertRejects(() => write([server]), ConnectionError, "cannot reach");
  assertEquals([error.maybeDone, server.commands.length], [false, 0]);
});

Deno.test("Connector.get() goes to the next address when a connection was given up", async () => {
  using first = FakeServer.inTurn();
  using second = FakeServer.inTurn();
  const connector = new Connector({
    addresses: [first.address, second.address],
    timeoutMs: 1000,
  });
  const one = await connector.get();
  assertEquals([one.address, await connector.get()], [first.address, one]);
  await Promise.all([connector.giveUp(one), connector.giveUp(one)]);
  const two = await connector.get();
  await connector.giveUp(one);
  assertEquals([two.address, await connector.get()], [second.address, two]);
  connector.close();
});
