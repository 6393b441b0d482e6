/** CLIENT: what a node tells of its connections, and does with them. */

import { assert, assertEquals } from "@std/assert";
import type { CommandHost, Session } from "../../../src/node/commands/command.ts";
import { encodeValue } from "../../../src/resp/encoder.ts";
import {
  ErrorReply,
  OK,
  Replies,
  type RespValue,
  VerbatimString,
} from "../../../src/resp/value.ts";
import { runWords, session } from "./session.ts";

const error = (message: string) => new ErrorReply("ERR", message);
const SYNTAX = error("syntax error");

/** Several clients of one node, and what it was asked to do. */
class Clients {
  readonly closed: number[] = [];
  readonly pauses: string[] = [];
  readonly all: Session[];

  constructor(count: number) {
    const host: CommandHost = {
      ...session().node,
      sessions: () => this.all,
      pauseClients: (what, ms) => void this.pauses.push(`${what} ${ms}`),
      unpauseClients: () => void this.pauses.push("end"),
    };
    this.all = Array.from({ length: count }, (_, at) => {
      const one = session();
      const id = at + 1;
      const connection = {
        ...one.connection,
        address: `10.0.0.1:${5000 + id}`,
        connectedAtMs: one.connection.connectedAtMs + 5000 * at,
        close: () => void this.closed.push(id),
      };
      return { ...one, id, connection, node: host };
    });
  }

  /** What the client with this id is answered. */
  ask(id: number, line: string): RespValue {
    const of = this.all[id - 1];
    assert(of !== undefined);
    const result = runWords(line.split(" "), of);
    assert("reply" in result, line);
    return result.reply;
  }

  text(line: string): string {
    const reply = this.ask(1, line);
    assert(reply instanceof VerbatimString);
    return reply.text;
  }

  ids(line: string): string[] {
    return [...this.text(line).matchAll(/^id=(\d+)/gm)].map(([, id]) => id ?? "");
  }
}

Deno.test("CLIENT LIST and INFO tell the figures of each connection", () => {
  const clients = new Clients(2);
  const [, second] = clients.all;
  assert(second !== undefined);
  for (
    const line of ["HELLO 3", "CLIENT SETNAME two", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH on"]
  ) {
    clients.ask(2, line);
  }
  clients.ask(2, "CLIENT SETINFO LIB-NAME redis-py");
  clients.ask(2, "CLIENT SETINFO lib-ver 5.0.1");
  clients.ask(2, "MULTI");
  runWords(["GET", "k"], second);
  runWords(["GET", "k"], second);
  const lines = clients.text("CLIENT LIST");
  assertEquals(lines.split("\n"), [
    "id=1 addr=10.0.0.1:5001 laddr=10.0.0.2:6379 name= age=10 idle=2 flags=N db=0 sub=0 psub=0 " +
    "ssub=0 multi=-1 multi-mem=0 omem=4 tot-mem=7 cmd=NULL user=default redir=-1 resp=2 lib-name= " +
    "lib-ver=",
    "id=2 addr=10.0.0.1:5002 laddr=10.0.0.2:6379 name=two age=5 idle=2 flags=xeT db=0 sub=0 psub=0 " +
    "ssub=0 multi=2 multi-mem=136 omem=4 tot-mem=143 cmd=NULL user=default redir=-1 resp=3 " +
    "lib-name=redis-py lib-ver=5.0.1",
    "",
  ]);
  assertEquals(clients.text("CLIENT INFO"), lines.slice(0, lines.indexOf("\n") + 1));
});

Deno.test("CLIENT LIST chooses by type and by id", () => {
  const clients = new Clients(3);
  const subscribed = clients.all[1];
  assert(subscribed !== undefined);
  runWords(["SUBSCRIBE", "news"], subscribed);
  assertEquals(clients.ids("CLIENT LIST TYPE pubsub"), ["2"]);
  assertEquals(clients.ids("CLIENT LIST type Normal"), ["1", "3"]);
  assertEquals(clients.ids("CLIENT LIST TYPE replica"), []);
  assertEquals(clients.ids("CLIENT LIST ID 3 1 99"), ["1", "3"]);
  assertEquals(clients.ask(1, "CLIENT LIST TYPE foo"), error("Unknown client type 'foo'"));
  assertEquals(clients.ask(1, "CLIENT LIST ID x"), error("Invalid client ID"));
  for (const line of ["CLIENT LIST foo", "CLIENT LIST ID", "CLIENT LIST TYPE"]) {
    assertEquals(clients.ask(1, line), SYNTAX, line);
  }
});

Deno.test("CLIENT KILL closes the connections that match all conditions, and its own after the reply", () => {
  const kills: readonly (readonly [line: string, reply: RespValue, closed: readonly number[]])[] = [
    ["CLIENT KILL 10.0.0.1:5002", OK, [2]],
    ["CLIENT KILL 10.0.0.1:9", error("No such client"), []],
    ["CLIENT KILL ID 3", 1, [3]],
    ["CLIENT KILL ID 1", 0, []],
    ["CLIENT KILL ID 99", 0, []],
    ["CLIENT KILL ADDR 10.0.0.1:5003 TYPE normal", 1, [3]],
    ["CLIENT KILL ADDR 10.0.0.1:5003 TYPE pubsub", 0, []],
    ["CLIENT KILL LADDR 10.0.0.2:6379", 2, [2, 3]],
    ["CLIENT KILL USER default MAXAGE 5", 1, [2]],
    ["CLIENT KILL USER nobody", error("No such user 'nobody'"), []],
    ["CLIENT KILL ID abc", error("client-id should be greater than 0"), []],
    ["CLIENT KILL ID 0", error("client-id should be greater than 0"), []],
    ["CLIENT KILL foo bar", SYNTAX, []],
    ["CLIENT KILL ID 2 SKIPME", SYNTAX, []],
    ["CLIENT KILL ID 2 SKIPME maybe", SYNTAX, []],
  ];
  for (const [line, expected, closed] of kills) {
    const clients = new Clients(3);
    assertEquals(clients.ask(1, line), expected, line);
    assertEquals(clients.closed, closed, line);
    assertEquals(clients.all[0]?.isClosing, false, line);
  }
  const clients = new Clients(2);
  assertEquals(clients.ask(1, "CLIENT KILL TYPE normal SKIPME no"), 2);
  assertEquals([clients.closed, clients.all[0]?.isClosing], [[2], true]);
});

Deno.test("CLIENT PAUSE, UNPAUSE and UNBLOCK check what they are given", () => {
  const clients = new Clients(1);
  const replies: readonly (readonly [line: string, reply: RespValue])[] = [
    ["CLIENT PAUSE 100", OK],
    ["CLIENT PAUSE 50 WRITE", OK],
    ["CLIENT UNPAUSE", OK],
    ["CLIENT PAUSE x", error("timeout is not an integer or out of range")],
    ["CLIENT PAUSE -1", error("timeout is negative")],
    ["CLIENT PAUSE 10 foo", error("CLIENT PAUSE mode must be WRITE or ALL")],
    ["CLIENT UNBLOCK 99", 0],
    ["CLIENT UNBLOCK x", error("value is not an integer or out of range")],
    ["CLIENT UNBLOCK 1 foo", error("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")],
    ["CLIENT NO-EVICT foo", SYNTAX],
    ["CLIENT SETINFO foo bar", error("Unrecognized option 'foo'")],
    ["CLIENT NOPE", error("unknown subcommand 'NOPE'. Try CLIENT HELP.")],
    ["CLIENT INFO x", error("wrong number of arguments for 'client|info' command")],
    ["CLIENT ID x", error("wrong number of arguments for 'client|id' command")],
  ];
  for (const [line, expected] of replies) assertEquals(clients.ask(1, line), expected, line);
  assertEquals(clients.pauses, ["all 100", "writes 50", "end"]);
});

Deno.test("CLIENT HELP has a line for each subcommand, and one of what it does", () => {
  const help = encodeValue(new Clients(1).ask(1, "CLIENT HELP"), 2).split("\r\n");
  assertEquals(help[1], "+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  assert(help.includes("+UNPAUSE"));
  assert(help.includes("+    Ends what CLIENT PAUSE has begun."));
});

Deno.test("CLIENT REPLY says nothing when it turns replies off", () => {
  const clients = new Clients(1);
  assertEquals(clients.ask(1, "CLIENT REPLY foo"), SYNTAX);
  assertEquals(clients.ask(1, "CLIENT REPLY SKIP"), new Replies([]));
  assertEquals(clients.all[0]?.features?.silence, "next");
  clients.ask(1, "PING");
  assertEquals(clients.all[0]?.features?.silence, undefined);
  clients.ask(1, "CLIENT REPLY SKIP");
  assertEquals(clients.ask(1, "CLIENT REPLY foo"), new Replies([]));
  assertEquals(clients.all[0]?.features?.silence, undefined);
  assertEquals(clients.ask(1, "CLIENT REPLY OFF"), new Replies([]));
  assertEquals(clients.ask(1, "CLIENT REPLY foo"), new Replies([]));
  clients.ask(1, "CLIENT REPLY SKIP");
  clients.ask(1, "PING");
  assertEquals(clients.all[0]?.features?.silence, "all");
  assertEquals(clients.ask(1, "CLIENT REPLY ON"), OK);
  assertEquals(clients.all[0]?.features?.silence, undefined);
});

Deno.test("HELLO checks the version and the name as Redis does", () => {
  const clients = new Clients(1);
  const noInteger = error("Protocol version is not an integer or out of range");
  assertEquals(clients.ask(1, "HELLO abc"), noInteger);
  assertEquals(
    clients.ask(1, "HELLO 4"),
    new ErrorReply("NOPROTO", "unsupported protocol version"),
  );
  assertEquals(clients.ask(1, "HELLO 3 foo"), error("Syntax error in HELLO option 'foo'"));
  const [one] = clients.all;
  assert(one !== undefined);
  const named = runWords(["HELLO", "3", "SETNAME", "a b"], one);
  const message = "Client names cannot contain spaces, newlines or special characters.";
  assertEquals(named, { reply: error(message) });
  assertEquals([one.version, one.name], [2, ""]);
});
