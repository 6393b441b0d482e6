/** WATCH and EXEC on the protocol itself, with what other nodes do meanwhile. */

import { assert, assertEquals } from "@std/assert";
import type { Session } from "../../../src/node/commands/command.ts";
import { NULL_ARRAY, OK, type RespValue } from "../../../src/resp/value.ts";
import { Script } from "../../two_phase/script.ts";
import { runWords, session } from "./session.ts";

/** Clients of a script's nodes. */
class Clients {
  readonly script = Script.complete();
  #asked = 0;

  /** Begins a command at a node; `end` returns its reply, when all that was sent has arrived. */
  begin(node: number, of: Session, line: string): { end: () => RespValue } {
    const result = runWords(line.split(" "), of);
    if ("reply" in result) return { end: () => result.reply };
    assert("request" in result);
    const label = `${++this.#asked} ${line}`;
    this.script.ask(node, label, result.request);
    return {
      end: () => {
        this.script.deliverAll();
        const outcome = this.script.outcomes.get(label);
        assert(outcome?.kind === "answered", JSON.stringify(outcome));
        const answer = outcome.reply as RespValue;
        return result.finish === undefined ? answer : result.finish(answer);
      },
    };
  }

  say(node: number, of: Session, ...lines: string[]): RespValue {
    let reply: RespValue = null;
    for (const line of lines) reply = this.begin(node, of, line).end();
    return reply;
  }
}

Deno.test("EXEC does nothing if another node has written a watched key, or if that has expired", () => {
  const rows: [name: string, change: (clients: Clients) => void, isDone: boolean][] = [
    ["nothing", () => {}, true],
    ["a write at another node", (clients) => clients.say(2, session(), "SET a 2"), false],
    ["the same value again", (clients) => clients.say(2, session(), "SET a 1"), false],
    ["before the expiry", (clients) => clients.script.wait(900), true],
    ["an expiry that no client has seen", (clients) => clients.script.wait(1100), false],
  ];
  for (const [name, change, isDone] of rows) {
    const clients = new Clients();
    const of = session();
    clients.say(0, session(), "SET a 1 PX 1000");
    clients.say(1, of, "WATCH a", "MULTI", "SET r 1");
    change(clients);
    const reply = clients.say(1, of, "EXEC");
    assertEquals(reply, isDone ? [OK] : NULL_ARRAY, name);
    const { store } = clients.script.replicas[2] ?? {};
    assertEquals(store?.get("r")?.value, isDone ? "1" : undefined, name);
  }
});

Deno.test("EXEC is evaluated when it holds all locks: of two that race, one does nothing", () => {
  const clients = new Clients();
  const [one, other] = [session(), session()];
  clients.say(0, session(), "MSET a 1 b 1");
  clients.say(0, one, "WATCH a b", "MULTI", "SET a 2", "GET b");
  clients.say(1, other, "WATCH a b", "MULTI", "SET b 2", "GET a");
  const first = clients.begin(0, one, "EXEC");
  const second = clients.begin(1, other, "EXEC");
  const replies = [first.end(), second.end()];
  assertEquals(replies.filter((reply) => reply === NULL_ARRAY).length, 1);
  assertEquals(replies.filter((reply) => Array.isArray(reply) && reply[1] === "1").length, 1);
});
