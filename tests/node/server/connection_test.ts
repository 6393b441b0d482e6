import { assertEquals } from "@std/assert";
import { now } from "../../../src/clock.ts";
import { PUSH_BYTES_MAX } from "../../../src/limits.ts";
import type { CommandHost, Pause, Subscriber } from "../../../src/node/commands/command.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import { EncodedPush } from "../../../src/resp/encoder.ts";
import { Admission } from "../../../src/node/server/admission.ts";
import { CommandStatistics } from "../../../src/node/server/command_statistics.ts";
import { Connection, type ConnectionHost } from "../../../src/node/server/connection.ts";
import { SharedBound } from "../../../src/node/server/shared_bound.ts";
import { Turns } from "../../../src/node/server/turns.ts";
import { session } from "../commands/session.ts";

/** Says `text` on a new connection which only a peer may have. Returns what is answered. */
async function sayAsPeer(text: string): Promise<string> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  listener.close();
  const host: ConnectionHost = {
    ...hostOf(session().node),
    onUpgrade: (question) => Promise.resolve({ reply: `you asked ${question}` }),
  };
  const serving = new Connection({
    socket: conn,
    id: 1,
    host,
    isForPeers: true,
    onClosed: () => {},
  }).serve();
  if (text !== "") await client.write(new TextEncoder().encode(text));
  const answer = await new Response(client.readable).text();
  await serving;
  return answer;
}

Deno.test("Connection lets in a peer and nobody else when there are too many clients", async () => {
  const refusal = "-ERR max number of clients reached\r\n";
  assertEquals(await sayAsPeer("PING\r\n"), refusal);
  assertEquals(await sayAsPeer("NONSENSE\r\n"), refusal);
  assertEquals(await sayAsPeer(""), refusal);
  assertEquals(await sayAsPeer("dks.peer who\r\n"), "$13\r\nyou asked who\r\n");
});

Deno.test("Connection writes what is answered while the node has no driver", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  listener.close();
  const { promise, resolve } = Promise.withResolvers<string>();
  let ask = () => {};
  const asked = new Promise<void>((resolve) => ask = resolve);
  const facts = {
    ...session().node,
    outcome: () => {
      ask();
      return promise;
    },
  };
  const host = hostOf(facts);
  const serving = new Connection({
    socket: conn,
    id: 1,
    host,
    isForPeers: false,
    onClosed: () => {},
  }).serve();
  await client.write(new TextEncoder().encode("DKS.OUTCOME 0.1.1.abcdef\r\nQUIT\r\n"));
  await asked;
  resolve("unknown");
  const answer = await new Response(client.readable).text();
  await serving;
  assertEquals(answer, "$7\r\nunknown\r\n+OK\r\n");
});

/** Returns a host without a driver. */
function hostOf(facts: CommandHost): ConnectionHost {
  return {
    facts,
    driver: undefined,
    notReady: { obstacle: "loading", reason: "it is starting" },
    waitMsMax: 1000,
    pause: "none",
    statistics: new CommandStatistics(),
    input: new SharedBound(1000),
    output: new SharedBound(1000),
    turns: new Turns(now),
    admission: new Admission({
      bytesMax: 1_000_000,
      waitMsMax: 1000,
      backlogBytes: () => 0,
      nowMs: now,
    }),
    onFatal: () => {},
    onConnectionFailure: () => {},
    onRequest: () => {},
    upgradeCommand: "DKS.PEER",
    onUpgrade: () => Promise.reject(new Error("nobody asks")),
  };
}

Deno.test("Connection cuts a subscriber off that reads more slowly than is published", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  listener.close();
  const subscribed = Promise.withResolvers<Subscriber>();
  const left: string[] = [];
  const { node } = session();
  const closed = Promise.withResolvers<void>();
  const serving = new Connection({
    socket: conn,
    id: 1,
    host: {
      ...hostOf({
        ...node,
        pubsub: {
          ...node.pubsub,
          subscribe: (_kind, _name, subscriber) => {
            subscribed.resolve(subscriber);
            return undefined;
          },
          unsubscribe: (_kind, name) => {
            left.push(name);
          },
        },
      }),
      output: new SharedBound(1024 * 1024 * 1024),
    },
    isForPeers: false,
    onClosed: () => closed.resolve(),
  }).serve();
  await client.write(new TextEncoder().encode("SUBSCRIBE c\r\n"));
  const subscriber = await subscribed.promise;
  const push = new EncodedPush(["message", "c", "x".repeat(1024 * 1024)]);
  // What the sockets hold besides is far less.
  for (let bytes = 0; bytes < 2 * PUSH_BYTES_MAX; bytes += 1024 * 1024) subscriber.tell(push);
  await closed.promise;
  assertEquals(left, ["c"]);
  client.close();
  await serving;
});

/** Sends `text` over a connection to `host`, and returns what is answered once that is closed. */
async function converse(host: ConnectionHost, text: string): Promise<{
  readonly connection: Connection;
  readonly answer: Promise<string>;
}> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  listener.close();
  const connection = new Connection({ socket: conn, id: 1, host, onClosed: () => {} });
  const serving = connection.serve();
  await client.write(new TextEncoder().encode(text));
  const answer = new Response(client.readable).text().then(async (all) => {
    await serving;
    return all;
  });
  return { connection, answer };
}

Deno.test("Connection sends no replies behind CLIENT REPLY OFF, and none to the next behind SKIP", async () => {
  const host = hostOf(session().node);
  const { answer } = await converse(
    host,
    "PING a\r\nCLIENT REPLY SKIP\r\nPING b\r\nPING c\r\nCLIENT REPLY SKIP\r\nNONSENSE\r\nPING d\r\n" +
      "CLIENT REPLY OFF\r\nPING e\r\nNONSENSE\r\nDKS.OUTCOME x\r\nCLIENT REPLY ON\r\nPING f\r\nQUIT\r\n",
  );
  assertEquals(await answer, "$1\r\na\r\n$1\r\nc\r\n$1\r\nd\r\n+OK\r\n$1\r\nf\r\n+OK\r\n");
});

Deno.test("Connection holds commands back in a pause, and goes on when it has ended", async () => {
  let pause: Pause = "writes";
  const host: ConnectionHost = {
    ...hostOf(session().node),
    get pause() {
      return pause;
    },
  };
  const { connection, answer } = await converse(host, "PING\r\nSET k v\r\nPING a\r\nQUIT\r\n");
  while (connection.session.lastCommand < 0) await new Promise((resolve) => setTimeout(resolve));
  assertEquals(connection.session.lastCommand, COMMANDS.named("ping")?.index);
  pause = "none";
  connection.onReplies();
  assertEquals(await answer, "+PONG\r\n-LOADING REJECTED it is starting\r\n$1\r\na\r\n+OK\r\n");
});
