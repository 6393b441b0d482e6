/**
 * What happens when a limit is reached, and what CONFIG GET says of limits. Those that are not here are in
 * the tests of the modules that keep them.
 */

import { assert, assertEquals } from "@std/assert";
import { now } from "../../src/clock.ts";
import {
  BITOP_BYTES_MAX,
  OUTCOME_QUESTIONS_MAX,
  OUTPUT_BYTES_MAX,
  PIPELINE_MAX,
  QUEUED_COMMANDS_MAX,
  REQUESTS_MAX,
  SCAN_LOOKS_MAX,
  SCAN_WORK_MAX,
  SUBSCRIPTION_BYTES_SUM_MAX,
  TRACKING_PREFIXES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_READ_BYTES_MAX,
} from "../../src/limits.ts";
import type { CommandHost } from "../../src/node/commands/command.ts";
import { limitAt, LIMITS } from "../../src/node/commands/limit_table.ts";
import { Outcomes } from "../../src/node/outcomes.ts";
import { PubSub } from "../../src/node/pubsub/pubsub.ts";
import { Tracking } from "../../src/node/pubsub/tracking.ts";
import { Admission } from "../../src/node/server/admission.ts";
import { CommandStatistics } from "../../src/node/server/command_statistics.ts";
import { Connection, type ConnectionHost } from "../../src/node/server/connection.ts";
import { SharedBound } from "../../src/node/server/shared_bound.ts";
import { Turns } from "../../src/node/server/turns.ts";
import { ErrorReply, OK, type RespValue, SimpleString } from "../../src/resp/value.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { read, Script, write } from "../two_phase/script.ts";
import { Database } from "./commands/database.ts";
import { factsOf, runWords, session } from "./commands/session.ts";

function ask(words: readonly string[], of = session()): RespValue {
  const result = runWords(words, of);
  assert("reply" in result);
  return result.reply;
}

Deno.test("CONFIG GET shows each limit of the table as it holds at the node", () => {
  const { node } = session();
  const shown = ask(["CONFIG", "GET", "*"]);
  assert(shown instanceof Map);
  for (const limit of LIMITS) {
    assertEquals(shown.get(limit.name), limitAt(limit, node), limit.name);
  }
  assertEquals(shown.get("proto-max-bulk-len"), "20");
  assertEquals(shown.get("dks-command-bytes"), String(40 + 8 * 1024 * 1024));
  assertEquals(new Set(LIMITS.map(({ name }) => name)).size, LIMITS.length);
});

Deno.test("MULTI takes so many commands and bytes, and EXEC does nothing after one more", () => {
  const plain = session();
  const of = { ...plain, node: { ...plain.node, valueBytesMax: TRANSACTION_BYTES_MAX } };
  const database = new Database();
  const aborted = new ErrorReply(
    "EXECABORT",
    "Transaction discarded because of previous errors.",
  );
  database.run("MULTI", of);
  for (let at = 0; at < QUEUED_COMMANDS_MAX; at++) database.run("PING", of);
  assertEquals(
    database.run("PING", of),
    new ErrorReply("ERR", `more than ${QUEUED_COMMANDS_MAX} commands in one transaction`),
  );
  assertEquals(database.run("EXEC", of), aborted);
  database.run("MULTI", of);
  const half = "x".repeat(TRANSACTION_BYTES_MAX / 2);
  assertEquals(database.run(["SET", "a", half], of), new SimpleString("QUEUED"));
  const message =
    `the commands of a transaction have at most ${TRANSACTION_BYTES_MAX} bytes together`;
  assertEquals(database.run(["SET", "b", half], of), new ErrorReply("ERR", message));
  assertEquals(database.run("EXEC", of), aborted);
});

Deno.test("EXEC takes so many bytes of keys and of what it writes: more would fit in no message to peers", () => {
  const plain = session();
  const half = TRANSACTION_BYTES_MAX / 2;
  const of = { ...plain, node: { ...plain.node, keyBytesMax: half, valueBytesMax: half } };
  const database = new Database();
  const say = (lines: readonly (readonly string[])[]) =>
    lines.map((words) => database.run(words, of)).at(-1);
  const message =
    `the keys of a transaction, and what it writes, have at most ${TRANSACTION_BYTES_MAX} bytes together`;
  const refused = new ErrorReply("ERR", message);
  const [a, b, c] = ["a", "b", "c"].map((letter) => letter.padEnd(half, "."));
  if (a === undefined || b === undefined || c === undefined) throw new Error("three keys");
  // Keys that are only watched, or only read, go to the peers too.
  assertEquals(say([["WATCH", a], ["WATCH", b], ["MULTI"], ["SET", "k", "v"], ["EXEC"]]), refused);
  assertEquals(say([["WATCH", a], ["MULTI"], ["SET", "k", "v"], ["EXEC"]]), [OK]);
  // What is written has not come with the words.
  const large = "x".repeat(half - 1000);
  assertEquals(say([["SET", "from", large]]), OK);
  const copy = ["COPY", "from", "to"];
  assertEquals(say([["MULTI"], ["GET", a], copy, ["EXEC"]]), [null, 1]);
  assertEquals(say([["MULTI"], ["GET", a], copy, ["COPY", "from", "2"], ["EXEC"]]), [null, 0, 1]);
  const copies = [["COPY", "from", "3"], ["COPY", "from", "4"]];
  assertEquals(say([["MULTI"], ["GET", a], ...copies, ["EXEC"]]), refused);
  assertEquals([database.value("3"), database.value("4")], [undefined, undefined]);
});

Deno.test("WATCH takes so many keys of a connection", () => {
  const of = session();
  const watch = (from: number, to: number): unknown => {
    const keys = Array.from({ length: to - from }, (_, at) => String(from + at));
    const result = runWords(["WATCH", ...keys], of);
    if ("reply" in result) return result.reply;
    assert("request" in result && result.request.kind === "read" && result.finish !== undefined);
    const read = () => undefined;
    return result.finish(result.request.evaluate(read, factsOf(read)) as RespValue);
  };
  assertEquals(watch(0, 40_000), OK);
  assertEquals(watch(40_000, 65_537), new ErrorReply("ERR", "more than 65536 watched keys"));
  assertEquals(watch(0, 65_536), OK);
});

Deno.test("SUBSCRIBE and TRACKING BCAST refuse more names and prefixes than a node keeps", () => {
  const pubsub = new PubSub({ send: () => true });
  const name = "x".repeat(SUBSCRIPTION_BYTES_SUM_MAX / 4 - 1000);
  const listener = { tell: () => {} };
  for (const letter of "abcd") {
    assertEquals(pubsub.subscribe("channel", letter + name, listener), undefined);
  }
  const refused = pubsub.subscribe("channel", `e${name}`, listener);
  const sum = `${SUBSCRIPTION_BYTES_SUM_MAX} bytes at the most`;
  assertEquals(refused, new ErrorReply("ERR", `the subscriptions of this node have ${sum}`));
  pubsub.unsubscribe("channel", `a${name}`, listener);
  assertEquals(pubsub.subscribe("channel", `e${name}`, listener), undefined);

  const tracking = new Tracking(() => {});
  const prefixes = Array.from({ length: TRACKING_PREFIXES_MAX }, (_, at) => String(at));
  assertEquals(tracking.start(session(), prefixes), undefined);
  assertEquals(
    tracking.start({ ...session(), id: 8 }, ["more"]),
    new ErrorReply("ERR", `this node tracks ${TRACKING_PREFIXES_MAX} prefixes at the most`),
  );
});

Deno.test("EXEC reads values of so many bytes, however often the same: it runs in one turn", () => {
  const plain = session();
  const bytes = TRANSACTION_READ_BYTES_MAX / 8;
  const of = { ...plain, node: { ...plain.node, valueBytesMax: bytes } };
  const database = new Database();
  database.run(["SET", "z", "\0".repeat(bytes)], of);
  const exec = (count: number) => {
    database.run("MULTI", of);
    database.run(["SET", "k", "v"], of);
    for (let i = 0; i < count; i++) database.run(["STRLEN", "z"], of);
    return database.run("EXEC", of);
  };
  const message =
    `the values that a transaction reads have at most ${TRANSACTION_READ_BYTES_MAX} bytes together`;
  assertEquals(exec(9), new ErrorReply("ERR", message));
  assertEquals(database.value("k"), undefined, "nothing is done");
  assertEquals(exec(8), [OK, ...Array<number>(8).fill(bytes)]);
});

Deno.test("BITOP refuses values of too many bytes together", () => {
  const database = new Database();
  const value = "x".repeat(BITOP_BYTES_MAX / 2 + 1);
  for (const key of ["a", "b"]) database.records.set(key, { key, value, version: 1 });
  const message = `BITOP takes ${BITOP_BYTES_MAX} bytes at most, these are more`;
  assertEquals(database.run("BITOP AND c a b"), new ErrorReply("ERR", message));
});

Deno.test("a request too many is rejected, and the others go on", () => {
  const script = Script.complete(3, timingFor(5000));
  script.goOnUntil(() => script.replicas[0]?.membership.mayWrite === true);
  for (let at = 0; at < REQUESTS_MAX; at++) script.ask(0, `${at}`, write({ k: "1" }));
  assertEquals(script.outcomes.size, 0);
  script.ask(0, "more", read("k"));
  assertEquals(script.outcomes.get("more"), {
    kind: "rejected",
    obstacle: "busy",
    reason: `this node has ${REQUESTS_MAX} requests waiting already`,
  });
});

Deno.test("a member sends a joiner so many bytes, and goes on when some have arrived", () => {
  const script = Script.complete(3, timingFor(5000));
  const names = Array.from({ length: 8 }, (_, at) => `k${at}`);
  const value = "x".repeat(400 * 1024);
  script.ask(0, "before", write(Object.fromEntries(names.map((name) => [name, value]))));
  script.deliverAll();
  script.kill(2);
  script.goOnUntil(() => [0, 1].every((at) => script.replicas[at]?.membership.view.number === 2));
  script.deliverUntil(() => [0, 1].every((at) => script.replicas[at]?.membership.mayWrite));
  script.welcomeAll();
  script.start(2);
  const received = () => script.replicas[2]?.chunksReceived ?? 0;
  script.deliverUntil(() => received() > 0);
  script.deliverAll((from) => from === 2);
  assertEquals(received(), 3); // 1.2 MB: the third reaches 1 MiB.
  script.deliverUntil(() => received() > 3);
});

Deno.test("DKS.OUTCOME asks the others so many questions at a time", async () => {
  const answers: (() => void)[] = [];
  const script = Script.complete(3, timingFor(5000));
  const outcomes = new Outcomes({
    replica: script.replicas[0],
    notReady: { obstacle: "loading", reason: "" },
    peers: {
      names: ["a", "b", "c"],
      ownName: "a",
      askOutcomes: () => {
        const { promise, resolve } = Promise.withResolvers<never[]>();
        answers.push(() => resolve([]));
        return promise;
      },
    },
  });
  const name = "1.1.1.5f3a2b";
  const asked = Array.from({ length: OUTCOME_QUESTIONS_MAX }, () => outcomes.answer(name));
  assertEquals(answers.length, OUTCOME_QUESTIONS_MAX);
  const refused = await outcomes.answer(name);
  const message =
    `REJECTED this node has ${OUTCOME_QUESTIONS_MAX} questions for outcomes under way already`;
  assertEquals(refused, new ErrorReply("TRYAGAIN", message));
  for (const answer of answers) answer();
  await Promise.all(asked);
  const again = outcomes.answer(name);
  assertEquals(answers.length, OUTCOME_QUESTIONS_MAX + 1);
  answers.at(-1)?.();
  await again;
});

/** Returns a node without a driver. */
function hostOf(facts: CommandHost, input = new SharedBound(2 ** 30)): ConnectionHost {
  return {
    facts,
    driver: undefined,
    notReady: { obstacle: "loading", reason: "it is starting" },
    waitMsMax: 1000,
    pause: "none",
    statistics: new CommandStatistics(),
    input,
    output: new SharedBound(2 ** 30),
    turns: new Turns(now),
    admission: new Admission({ bytesMax: 1e6, waitMsMax: 1000, backlogBytes: () => 0, nowMs: now }),
    onFatal: () => {},
    onConnectionFailure: () => {},
    onRequest: () => {},
    upgradeCommand: "DKS.PEER",
    onUpgrade: () => Promise.reject(new Error("nobody asks")),
  };
}

/** Connects a client with `host`. */
async function connect(
  host: ConnectionHost,
): Promise<{ readonly client: Deno.TcpConn; readonly served: Promise<void> }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const socket = await listener.accept();
  listener.close();
  const connection = new Connection({ socket, id: 1, host, isForPeers: false, onClosed: () => {} });
  return { client, served: connection.serve() };
}

async function send(client: Deno.TcpConn, text: string): Promise<void> {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await client.write(rest));
}

Deno.test("Connection has so many commands under way, and begins more when some are answered", async () => {
  let [open, most] = [0, 0];
  const full = Promise.withResolvers<void>();
  const answers: (() => void)[] = [];
  const outcome = () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    answers.push(() => {
      open--;
      resolve("unknown");
    });
    most = Math.max(most, ++open);
    if (open === PIPELINE_MAX) full.resolve();
    return promise;
  };
  const { client, served } = await connect(hostOf({ ...session().node, outcome }));
  const count = PIPELINE_MAX + 700;
  const text = `${"DKS.OUTCOME 0.1.1.abcdef\r\n".repeat(count)}QUIT\r\n`;
  const answered = new Response(client.readable).text();
  const written = send(client, text);
  await full.promise;
  // One piece of input has several hundred commands: without a bound it would begin all of these.
  const timer = setInterval(() => answers.splice(0).forEach((answer) => answer()));
  const replies = (await answered).split("\r\n");
  clearInterval(timer);
  await written;
  await served;
  assertEquals(most, PIPELINE_MAX);
  assertEquals(replies.filter((line) => line === "unknown").length, count);
});

Deno.test("Connection stops reading a client that reads no replies", async () => {
  let calls = 0;
  const line = "x".repeat(64 * 1024);
  const full = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<string>();
  const node = {
    ...session().node,
    // The first reply is late, and those behind it wait.
    outcome: () => promise,
    info: () => {
      if (++calls * line.length >= OUTPUT_BYTES_MAX) full.resolve();
      return line;
    },
  };
  const { client, served } = await connect(hostOf(node));
  const count = 100;
  const text = `DKS.OUTCOME 0.1.1.abcdef\r\n${"INFO\r\n".repeat(count)}QUIT\r\n`;
  await send(client, text);
  await full.promise;
  const begun = calls;
  resolve("unknown");
  const answer = await new Response(client.readable).text();
  await served;
  // All commands have come in one piece.
  assertEquals(begun, OUTPUT_BYTES_MAX / line.length);
  assertEquals([calls, answer.split(line).length - 1], [count, count]);
});

Deno.test("Connection closes a client that holds too much of an unfinished command", async () => {
  const input = new SharedBound(100_000);
  const plain = session().node;
  const { client, served } = await connect(hostOf({ ...plain, valueBytesMax: 1e6 }, input));
  const answered = new Response(client.readable).text();
  const text = `*2\r\n$3\r\nGET\r\n$500000\r\n${"x".repeat(400_000)}`;
  // It may be closed before. Without the bound, it ends here, with no answer.
  await send(client, text).then(() => client.closeWrite()).catch(() => {});
  const answer = await answered.catch(() => "reset");
  await served;
  const reply = "-ERR this node holds too many unfinished commands\r\n";
  assert(answer === reply || answer === "reset", answer);
});

/** Returns what scans a node that has these keys. */
function scanOf(names: readonly string[]) {
  const script = Script.complete(1, timingFor(5000));
  script.ask(0, "W", write(Object.fromEntries(names.map((name) => [name, "1"]))));
  script.deliverUntil(() => script.outcomes.get("W") !== undefined);
  const store = script.replicas[0]?.store;
  assert(store !== undefined);
  return (cursor: string, ...options: string[]) => {
    const result = runWords(["SCAN", cursor, "COUNT", "1000000", ...options]);
    assert("request" in result && result.request.kind === "barrier");
    const reply = result.request.evaluate(store);
    assert(Array.isArray(reply) && Array.isArray(reply[1]));
    return { cursor: String(reply[0]), keys: reply[1].length };
  };
}

Deno.test("SCAN ends early if its keys are long, or its pattern takes long, and misses none", () => {
  const scan = scanOf(Array.from({ length: 2000 }, (_, at) => `${"a".repeat(1000)}${at}`));
  const plain = scan("0");
  assertEquals(plain.keys, Math.ceil(SCAN_WORK_MAX / 1003), "names are of 1003 bytes, or of 1004");
  const hostile = ["MATCH", `*${"a".repeat(500)}[0-9]*`];
  let [calls, found, cursor] = [0, 0, "0"];
  do {
    const part = scan(cursor, ...hostile);
    cursor = part.cursor;
    found += part.keys;
    calls++;
  } while (cursor !== "0");
  assertEquals(found, 2000);
  assert(calls > 20, `${calls} calls`);
});

Deno.test("SCAN looks at so many keys at a time", () => {
  const names = Array.from({ length: SCAN_LOOKS_MAX + 5 }, (_, at) => `k${at}`);
  const scan = scanOf(names);
  const first = scan("0");
  assertEquals(first.keys, SCAN_LOOKS_MAX);
  assertEquals(scan(first.cursor), { cursor: "0", keys: 5 });
});
