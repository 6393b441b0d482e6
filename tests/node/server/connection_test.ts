import { parseUsers } from "../../../src/node/access/user.ts";
import { Access } from "../../../src/node/access/access.ts";
import { toBytes } from "../../../src/byte_string.ts";
import { assertEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { clocks, now } from "../../../src/clock.ts";
import { PUSH_BYTES_MAX } from "../../../src/limits.ts";
import type { CommandHost, Pause, Subscriber } from "../../../src/node/commands/command.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import { Driver } from "../../../src/node/driver.ts";
import { Tracking } from "../../../src/node/pubsub/tracking.ts";
import { MemoryJournal } from "../../../src/node/storage/journal.ts";
import { encodeCommand, EncodedPush } from "../../../src/resp/encoder.ts";
import { Admission } from "../../../src/node/server/admission.ts";
import { CommandStatistics } from "../../../src/node/server/command_statistics.ts";
import { Connection, type ConnectionHost } from "../../../src/node/server/connection.ts";
import { SharedBound } from "../../../src/node/server/shared_bound.ts";
import { Turns } from "../../../src/node/server/turns.ts";
import { ballotOf, incarnationBase, type View } from "../../../src/two_phase/messages.ts";
import type { Change } from "../../../src/two_phase/outbox.ts";
import { Replica } from "../../../src/two_phase/replica.ts";
import type { Outcome } from "../../../src/two_phase/request.ts";
import { timingFor } from "../../../src/two_phase/timing.ts";
import { write } from "../../two_phase/script.ts";
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
  readonly say: (text: string) => Promise<unknown>;
  readonly answer: Promise<string>;
}> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  listener.close();
  const connection = new Connection({ socket: conn, id: 1, host, onClosed: () => {} });
  const serving = connection.serve();
  const say = (text: string) => client.write(new TextEncoder().encode(text));
  await say(text);
  const answer = new Response(client.readable).text().then(async (all) => {
    await serving;
    return all;
  });
  return { connection, say, answer };
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

Deno.test("Connection replies to CLIENT REPLY ON of a client that tracks keys", async () => {
  const { answer } = await converse(
    hostOf(session().node),
    "CLIENT TRACKING ON\r\nCLIENT REPLY OFF\r\nPING a\r\nCLIENT REPLY ON\r\nPING b\r\n" +
      "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING c\r\nPING d\r\nQUIT\r\n",
  );
  assertEquals(await answer, "+OK\r\n+OK\r\n$1\r\nb\r\n$1\r\nd\r\n+OK\r\n");
});

Deno.test("Connection ends with a command that is answered after QUIT, and has no reply", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const host = hostOf({ ...session().node, outcome: () => promise });
  const text = "PING\r\nCLIENT REPLY OFF\r\nDKS.OUTCOME x\r\nQUIT\r\n";
  const { connection, answer } = await converse(host, text);
  await until(() => connection.session.isClosing && connection.outputBytes === 0);
  resolve("unknown");
  assertEquals(await deadline(answer, 10_000), "+PONG\r\n");
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

/** Returns the driver of a node that is a cluster of its own. */
function driverOfOne(onChanges: (changes: readonly Change[]) => void): Driver {
  const journal = new MemoryJournal();
  const view: View = {
    number: 1,
    cluster: { id: "c" },
    ballot: ballotOf(1, 0),
    names: ["n0"],
    members: 0b1,
    journals: [journal.identity.journal],
    commits: [],
    bases: [incarnationBase(1)],
  };
  const options = { leaseMs: 1e9, suspicionMs: 1e9, heartbeatMs: 1e9, driftMax: 0.01 };
  const driver = new Driver({
    replica: new Replica({
      self: 0,
      names: view.names,
      identity: { ...journal.identity, process: "p" },
      timing: timingFor(5000, options),
      random: () => 0.5,
      now: clocks(),
      records: [{ type: "view", view }],
    }),
    journal,
    transport: { send: () => {}, flush: () => {} },
    onEvent: () => {},
    onChanges,
  });
  driver.tick();
  return driver;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve));
}

// A client keeps what it reads, and drops what it is told of: in any other order it would keep the old value.
Deno.test("Connection tells of a change behind older replies, even those that wait, and before newer ones", async () => {
  const slow = Promise.withResolvers<string>();
  const driver = driverOfOne((changes) => {
    tracking.onChanges(changes.map(({ effects }) => ({ effects, writer: undefined })));
  });
  const tracking = new Tracking(() => driver.replica.tellChanges(tracking.isOn));
  const set = (value: string) =>
    new Promise<Outcome>((onOutcome) => driver.submit(write({ k: value }), { onOutcome }));
  await set("old");
  const facts = { ...session().node, tracking, outcome: () => slow.promise };
  const { say, answer } = await converse(
    { ...hostOf(facts), driver },
    "HELLO 3\r\nCLIENT TRACKING ON\r\nDKS.OUTCOME x\r\nGET k\r\n",
  );
  await until(() => tracking.keys === 1); // The old value is read, and waits for the slow reply.
  await set("new");
  await until(() => tracking.keys === 0);
  await say("GET k\r\n");
  await until(() => tracking.keys === 1);
  slow.resolve("unknown");
  await say("QUIT\r\n");
  assertEquals(
    (await answer).split("+OK\r\n")[1],
    "$7\r\nunknown\r\n$3\r\nold\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$3\r\nnew\r\n",
  );
});

Deno.test("Connection takes little from a client that has not said who it is, and what it may from then on", async () => {
  const access = new Access({
    configured: parseUsers("user default off -@all\nuser a on nopass ~* &* +@all"),
    sessions: () => [],
    later: (action) => action(),
    nowMs: now,
    warn: () => {},
  });
  const facts = { ...session().node, access, valueBytesMax: 100_000 };
  const say = async (...commands: readonly (readonly string[])[]) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    const socket = await listener.accept();
    listener.close();
    const [input, output] = [new SharedBound(10_000_000), new SharedBound(10_000_000)];
    const host = { ...hostOf(facts), input, output };
    const serving = new Connection({ socket, id: 1, host, onClosed: () => {} }).serve();
    const bytes = toBytes([...commands, ["QUIT"]].map(encodeCommand).join(""));
    const sent = client.write(bytes).catch(() => {});
    const answer = await new Response(client.readable).text();
    await Promise.all([serving, sent]);
    return answer;
  };
  const long = "x".repeat(40_000);
  const many = ["EXISTS", ...Array.from({ length: 16 }, () => "k")];
  assertEquals(
    await say(["ECHO", long]),
    "-ERR Protocol error: invalid bulk length: 40000 bytes, at most 32768 are allowed\r\n",
  );
  assertEquals(
    await say(many),
    "-ERR Protocol error: invalid multibulk length: 17, at most 16\r\n",
  );
  assertEquals(await say(["PING"]), "-NOAUTH Authentication required.\r\n+OK\r\n");
  assertEquals(
    await say(["AUTH", "a", ""], ["ECHO", long], ["RESET"], ["PING"]),
    `+OK\r\n$40000\r\n${long}\r\n+RESET\r\n-NOAUTH Authentication required.\r\n+OK\r\n`,
  );
  assertEquals(
    await say(["AUTH", "a", ""], ["RESET"], ["ECHO", long]),
    "+OK\r\n+RESET\r\n-ERR Protocol error: invalid bulk length: 40000 bytes, at most 32768 are " +
      "allowed\r\n",
  );
});
