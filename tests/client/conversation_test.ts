/** Commands at the prompt: those of a transaction stay on one connection. */

import { assertEquals, assertMatch } from "@std/assert";
import { ConnectionError } from "../../src/client/connection.ts";
import { Connector } from "../../src/client/connector.ts";
import { Conversation } from "../../src/client/conversation.ts";
import { ErrorReply, type RespValue, SimpleString } from "../../src/resp/value.ts";
import { formatAddress } from "../../src/address.ts";
import { FROM_SOURCE } from "../harness/cluster.ts";
import { execute } from "../harness/processes.ts";
import { FakeServer, HANG_UP, NOTHING, type Reaction } from "../harness/fake_server.ts";

const REJECTED = new ErrorReply("CLUSTERDOWN", "REJECTED this node is outside view 2");
const OK = new SimpleString("OK");

/** Answers OK, and the command of this name as it is told. */
function nodeThat(does: Readonly<Record<string, Reaction>> = {}): FakeServer {
  return new FakeServer(([name = ""]) => Object.hasOwn(does, name) ? does[name] ?? null : OK);
}

/** Says the lines to two nodes, in this order. Returns what each line has come to, and what was sent. */
async function say(
  lines: readonly string[],
  { isScript, first, timeoutMs = 10_000 }: {
    isScript: boolean;
    first: FakeServer;
    timeoutMs?: number;
  },
): Promise<{ said: string[]; sent: string[][]; isQueueing: boolean }> {
  using second = nodeThat();
  const addresses = [first.address, second.address];
  const connector = new Connector({ addresses, timeoutMs });
  const conversation = new Conversation({ connector, timeoutMs, isScript });
  const said: string[] = [];
  for (const line of lines) {
    said.push(
      await conversation.call(line.split(" "), { mayRepeat: false }).then(textOf, (error) => {
        if (!(error instanceof ConnectionError)) throw error;
        const { message, maybeDone } = error;
        const what = /not sent|begin again/.exec(message)?.[0] ?? "failed";
        return maybeDone ? `${what}, perhaps done` : what;
      }),
    );
  }
  connector.close();
  const sent = [first, second].map(({ commands }) => commands.map((words) => words.join(" ")));
  return { said, sent, isQueueing: conversation.isQueueing };
}

function textOf(reply: RespValue): string {
  return reply instanceof ErrorReply ? reply.code : (reply as SimpleString).text;
}

for (const [how, does] of Object.entries({ "is gone": HANG_UP, rejects: REJECTED })) {
  Deno.test(`Conversation.call() carries no part of a transaction to another node when one ${how}`, async () => {
    using script = nodeThat({ INCR: does });
    const lines = ["WATCH k", "MULTI", "SET a 1", "INCR b", "SET c 1", "EXEC", "GET k"];
    assertEquals(await say(lines, { isScript: true, first: script }), {
      said: ["OK", "OK", "OK", "begin again", "not sent", "not sent", "OK"],
      sent: [lines.slice(0, 4), ["GET k"]],
      isQueueing: false,
    });
    using watching = nodeThat({ GET: does });
    const unqueued = ["WATCH k", "GET k", "MULTI", "SET k 1", "UNWATCH", "EXEC", "PING"];
    const isGone = does === HANG_UP;
    assertEquals(await say(unqueued, { isScript: true, first: watching }), {
      said: [
        "OK",
        isGone ? "begin again, perhaps done" : "begin again",
        ...Array(4).fill("not sent"),
        "OK",
      ],
      sent: [["WATCH k", "GET k"], ["PING"]],
      isQueueing: false,
    });
    using person = nodeThat({ INCR: does });
    assertEquals(await say(["MULTI", "INCR a", "MULTI"], { isScript: false, first: person }), {
      said: ["OK", "begin again", "OK"],
      sent: [["MULTI", "INCR a"], ["MULTI"]],
      isQueueing: true,
    });
  });
}

Deno.test("Conversation.call() says that the end is not known when EXEC is not answered", async () => {
  for (const does of [HANG_UP, NOTHING] as const) {
    using node = nodeThat({ EXEC: does });
    const lines = ["MULTI", "SET a 1", "EXEC", "PING"];
    assertEquals(await say(lines, { isScript: true, first: node, timeoutMs: 300 }), {
      said: ["OK", "OK", "failed, perhaps done", "OK"],
      sent: [lines.slice(0, 3), ["PING"]],
      isQueueing: false,
    });
  }
});

Deno.test("Conversation.call() refuses the rest of a script's transaction that has not begun", async () => {
  for (const does of [HANG_UP, new ErrorReply("NOPERM", "no")]) {
    using node = nodeThat({ WATCH: does });
    const lines = ["WATCH k", "MULTI", "SET k 1", "EXEC"];
    const { said, sent } = await say(lines, { isScript: true, first: node });
    assertEquals(said.slice(1), ["not sent", "not sent", "not sent"]);
    assertEquals(sent, [["WATCH k"], []]);
  }
  // Another node may accept it: nothing has begun yet.
  using outside = nodeThat({ WATCH: REJECTED });
  const { said, sent } = await say(["WATCH k", "MULTI"], { isScript: true, first: outside });
  assertEquals([said, sent], [["OK", "OK"], [["WATCH k"], ["WATCH k", "MULTI"]]]);
  // A person has read the error.
  using node = nodeThat({ WATCH: new ErrorReply("ERR", "wrong number of arguments") });
  assertEquals((await say(["WATCH", "SET k 1"], { isScript: false, first: node })).said, [
    "ERR",
    "OK",
  ]);
});

Deno.test("Conversation.call() goes to another node again when a transaction has ended", async () => {
  const ends = [
    ["WATCH k", "UNWATCH"],
    ["WATCH k", "RESET"],
    ["MULTI", "DISCARD"],
    ["WATCH k", "MULTI", "UNWATCH", "EXEC"],
    ["MULTI", "dks.once t exec"],
  ];
  for (const lines of ends) {
    using node = nodeThat({ PING: REJECTED });
    const { said, sent } = await say([...lines, "PING"], { isScript: true, first: node });
    assertEquals(said, [...lines, "PING"].map(() => "OK"), lines.join());
    assertEquals(sent, [[...lines, "PING"], ["PING"]]);
  }
  // These end nothing.
  const error = new ErrorReply("ERR", "no");
  for (const line of ["EXEC", "DISCARD"]) {
    using node = nodeThat({ [line]: error, PING: REJECTED });
    const { said } = await say(["WATCH k", line, "PING"], { isScript: true, first: node });
    assertEquals(said, ["OK", "ERR", "begin again"]);
  }
});

Deno.test("the prompt refuses the rest of a transaction that is lost, in a script", async () => {
  using first = nodeThat({ GET: HANG_UP });
  using second = nodeThat();
  const list = [first, second].map(({ address }) => formatAddress(address)).join();
  const { code, stdout, stderr } = await execute(FROM_SOURCE.file, [
    ...FROM_SOURCE.args,
    ...["client", "-s", list],
  ], { input: "WATCH k\nGET k\nmulti\nstatus\nput k 1\nexec\nping\nmulti\nstatus\nexec\n" });
  assertEquals([code, stdout], [3, "OK\nOK\nOK\nOK\n"]);
  const lost = stderr.split("\n");
  assertMatch(lost.shift() ?? "", /the transaction is lost: begin again; whether .* not known$/);
  assertEquals(lost, [
    ...Array(4).fill("not sent: the transaction is lost"),
    "status cannot be asked between MULTI and EXEC",
    "",
  ]);
  const sent = second.commands.map(([name]) => name).filter((name) => name !== "DKS.STATUS");
  assertEquals(sent, ["ping", "multi", "exec"]);
});
