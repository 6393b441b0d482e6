import { assert, assertEquals, assertThrows } from "@std/assert";
import { FastSocket } from "../src/fast_socket.ts";
import {
  connect,
  isDisconnect,
  listen,
  type Socket,
  writeAll,
  writeAtOnce,
} from "../src/socket.ts";

const HOSTNAME = "127.0.0.1";

/** The two ends of a connection. */
async function pair(): Promise<{ near: Socket; far: Deno.TcpConn }> {
  const listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const { port } = listener.addr;
  const [near, far] = await Promise.all([
    connect({ hostname: HOSTNAME, port }, 1000),
    listener.accept(),
  ]);
  listener.close();
  return { near, far };
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** Returns what `action` rejects with. */
async function failureOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

async function textOf(socket: Socket, spaceBytes: number): Promise<string | null> {
  const space = new Uint8Array(spaceBytes);
  const count = await socket.read(space);
  return count === null ? null : new TextDecoder().decode(space.subarray(0, count));
}

Deno.test("this runtime has handles: connections that are made and accepted are fast", async () => {
  const listener = listen({ hostname: HOSTNAME, port: 0 });
  const [near, far] = await Promise.all([
    connect({ hostname: HOSTNAME, port: listener.port }, 1000),
    listener.accept(),
  ]);
  assert(near instanceof FastSocket && far instanceof FastSocket);
  assertEquals(near.localAddr?.port, far.remoteAddr?.port);
  near.close();
  far.close();
  listener.close();
});

Deno.test("what is larger than the space of a read waits for the next ones, and the end comes last", async () => {
  const { near, far } = await pair();
  const first = textOf(near, 4);
  await far.write(bytes("0123456789"));
  assertEquals(await first, "0123");
  assertEquals(await textOf(near, 4), "4567");
  far.close();
  assertEquals(await textOf(near, 4), "89");
  assertEquals(await textOf(near, 4), null);
  assertEquals(await textOf(near, 4), null);
  near.close();
});

Deno.test("much that comes while nobody reads is all there, in its order", async () => {
  const { near, far } = await pair();
  const sent = crypto.getRandomValues(new Uint8Array(60_000));
  const rounds = 50;
  const sending = (async () => {
    for (let i = 0; i < rounds; i++) await writeAll(far, sent);
    await far.closeWrite();
  })();
  const received = new Uint8Array(rounds * sent.length);
  let count = 0;
  for (let step = 0;; step++) {
    const got = await near.read(received.subarray(count, count + 1 + step * 37 % 100_000));
    if (got === null) break;
    count += got;
    // What comes in later turns finds no reader.
    if (step % 5 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  await sending;
  assertEquals(count, received.length);
  for (let i = 0; i < rounds; i++) {
    assertEquals(received.subarray(i * sent.length, (i + 1) * sent.length), sent);
  }
  near.close();
  far.close();
});

Deno.test("a write that the system takes is done at once, one that it does not take later", async () => {
  const { near, far } = await pair();
  await writeAll(near, bytes("first")); // Of a new connection nobody knows yet what it takes.
  assertEquals(writeAtOnce(near, bytes("small")), undefined);
  const large = crypto.getRandomValues(new Uint8Array(60_000));
  const all = new Uint8Array(16_000_000);
  for (let at = 0; at < all.length; at += large.length) {
    all.set(large.subarray(0, all.length - at), at);
  }
  let isDone = false;
  const writing = writeAtOnce(near, all)?.then(() => isDone = true);
  assert(writing !== undefined, "more than the system takes at once");
  const received = new Uint8Array(10 + all.length);
  for (let count = 0; count < received.length;) {
    const got = await far.read(received.subarray(count));
    if (count < 1_000_000) assertEquals(isDone, false);
    assert(got !== null, "all of it comes");
    count += got;
  }
  await writing;
  assertEquals(received.subarray(10), all);
  near.close();
  far.close();
});

Deno.test("the write side closes by itself", async () => {
  const { near, far } = await pair();
  await writeAll(near, bytes("last"));
  await near.closeWrite?.();
  assertEquals(await textOf(far, 10), "last");
  assertEquals(await textOf(far, 10), null);
  await far.write(bytes("answer"));
  assertEquals(await textOf(near, 10), "answer");
  near.close();
  far.close();
});

Deno.test("what is under way ends when a socket is closed here", async () => {
  const { near, far } = await pair();
  const reading = near.read(new Uint8Array(1));
  const writing = near.write(new Uint8Array(16_000_000));
  near.close();
  assert(isDisconnect(await failureOf(() => reading)));
  assert(isDisconnect(await failureOf(async () => await writing)));
  assert(isDisconnect(await failureOf(() => near.read(new Uint8Array(1)))));
  assert(isDisconnect(await failureOf(async () => await near.write(bytes("a")))));
  assertThrows(() => near.close(), Deno.errors.BadResource);
  far.close();
});

Deno.test("a connection that is reset is a disconnect for who reads, and for who writes", async () => {
  const { near, far } = await pair();
  await writeAll(near, bytes("never read"));
  far.close(); // With bytes that were not read, the system resets the connection.
  const error = await failureOf(async () => {
    for (;;) {
      await near.write(bytes("more"));
      if (await near.read(new Uint8Array(1)) === null) throw new Deno.errors.BrokenPipe("closed");
    }
  });
  assert(isDisconnect(error), `${error}`);
  near.close();
});
