/** CLIENT TRACKING: which clients get which invalidations. */

import { assertEquals } from "@std/assert";
import type { Session } from "../../../src/node/commands/command.ts";
import { Tracking } from "../../../src/node/pubsub/tracking.ts";
import { EVERYTHING } from "../../../src/reserved_keys.ts";
import { ErrorReply, OK, type RespValue } from "../../../src/resp/value.ts";
import { Database } from "../commands/database.ts";
import { runWords, session } from "../commands/session.ts";

/** Clients of one node, and what they are told. */
class World {
  readonly database = new Database();
  readonly sessions = new Map<number, Session>();
  readonly told = new Map<Session, string[]>();
  readonly tracking: Tracking;
  isWanted = false;
  #writer: Session | undefined;

  constructor(readsMax?: number) {
    this.tracking = new Tracking(() => this.isWanted = this.tracking.isOn, readsMax);
    this.database.onEffects = (effects) =>
      this.tracking.onChanges([{ effects, writer: this.#writer }]);
  }

  client(version: 2 | 3 = 3): Session {
    const told: string[] = [];
    const plain = session();
    const node = {
      ...plain.node,
      keyBytesMax: 100,
      tracking: this.tracking,
      sessionOf: (id: number) => this.sessions.get(id),
    };
    const id = this.sessions.size + 1;
    const client: Session = {
      ...plain,
      id,
      version,
      node,
      tell: (push) => {
        const lines = push.in(client.version).split("\r\n");
        told.push(lines.filter((line) => line !== "" && !/^[$*>]\d/.test(line)).join(" "));
      },
    };
    this.sessions.set(id, client);
    this.told.set(client, told);
    return client;
  }

  /** Runs commands, the reply of the last of which is returned. */
  say(of: Session, ...lines: string[]): RespValue {
    let reply: RespValue = null;
    this.#writer = of;
    for (const line of lines) reply = this.database.run(line, of);
    return reply;
  }

  /** Returns what a client was told since the last call. */
  toldTo(client: Session): string[] {
    return this.told.get(client)?.splice(0) ?? [];
  }
}

Deno.test("a key that a client has read is invalidated once, until it is read again", () => {
  const world = new World();
  const [reader, writer] = [world.client(), world.client()];
  assertEquals(world.say(reader, "CLIENT TRACKING ON"), OK);
  assertEquals(world.isWanted, true);
  world.say(reader, "GET a", "MGET b c", "SET d 1");
  world.say(writer, "SET a 1", "SET a 2", "MSET b 1 d 1 e 1");
  assertEquals(world.toldTo(reader), ["invalidate a", "invalidate b"]);
  world.say(reader, "GET a", "SET a 3");
  assertEquals(world.toldTo(reader), ["invalidate a"], "its own write, too");
  world.say(reader, "GET a", "CLIENT TRACKING OFF");
  world.say(writer, "SET a 1");
  assertEquals(world.toldTo(reader), []);
  assertEquals(world.isWanted, false);
});

Deno.test("a read is noted when it is answered, not when it is begun", () => {
  const world = new World();
  const [reader, writer] = [world.client(), world.client()];
  world.say(reader, "CLIENT TRACKING ON");
  const read = runWords(["GET", "a"], reader);
  world.say(writer, "SET a 1"); // Before the read is evaluated: it has the new value.
  world.database.carryOut(read);
  assertEquals(world.toldTo(reader), []);
  world.say(writer, "SET a 2");
  assertEquals(world.toldTo(reader), ["invalidate a"]);
});

Deno.test("what EXEC reads is noted", () => {
  const world = new World();
  const [reader, writer] = [world.client(), world.client()];
  world.say(reader, "CLIENT TRACKING ON", "MULTI", "GET a", "SET b 1", "EXEC");
  world.say(writer, "MSET a 1 b 1");
  assertEquals(world.toldTo(reader), ["invalidate a"]);
});

Deno.test("BCAST tells of all keys with a prefix, and of none that were read", () => {
  const world = new World();
  const [client, all, writer] = [world.client(), world.client(), world.client()];
  world.say(client, "CLIENT TRACKING ON BCAST PREFIX u: PREFIX v:", "GET x");
  world.say(all, "CLIENT TRACKING ON BCAST NOLOOP", "SET own 1");
  world.say(writer, "MSET u:1 1 x 1");
  assertEquals(world.toldTo(client), ["invalidate u:1"]);
  assertEquals(world.toldTo(all), ["invalidate u:1 x"], "not of its own");
  const message = "Prefix 'u:1' overlaps with an existing prefix 'u:'. " +
    "Prefixes for a single client must not overlap.";
  assertEquals(
    world.say(client, "CLIENT TRACKING ON BCAST PREFIX u:1"),
    new ErrorReply("ERR", message),
  );
});

Deno.test("BCAST tells of the changes of a turn at once, by prefix and in the order of bytes", () => {
  const world = new World();
  const [client, other] = [world.client(), world.client()];
  const [noLoop, writer] = [world.client(), world.client()];
  world.say(client, "CLIENT TRACKING ON BCAST PREFIX v: PREFIX u:");
  world.say(noLoop, "CLIENT TRACKING ON BCAST NOLOOP");
  const change = (key: string, writer: Session) => ({ effects: [{ key, value: "1" }], writer });
  world.tracking.onChanges([
    ...[change("v:1", writer), change("u:2", noLoop), change("x", noLoop), change("u:1", other)],
    ...[change("u:2", noLoop), change("x", writer)],
  ]);
  assertEquals(world.toldTo(client), ["invalidate u:1 u:2", "invalidate v:1"]);
  assertEquals(world.toldTo(noLoop), ["invalidate u:1 v:1 x"], "x was not changed by it alone");
  world.tracking.onChanges([change("u:1", noLoop)]);
  assertEquals(world.toldTo(noLoop), []);
});

Deno.test("who has gone over to BCAST is not told of what was read before", () => {
  const world = new World();
  const [reader, other] = [world.client(), world.client()];
  world.say(other, "CLIENT TRACKING ON");
  world.say(reader, "CLIENT TRACKING ON", "GET u:1", "GET x", "CLIENT TRACKING OFF");
  world.say(reader, "CLIENT TRACKING ON BCAST PREFIX u:");
  world.say(other, "MSET u:1 1 x 1");
  assertEquals(world.toldTo(reader), ["invalidate u:1"]);
});

Deno.test("with NOLOOP a read stays noted behind a change of the client's own", () => {
  const world = new World();
  const [client, other] = [world.client(), world.client()];
  world.say(client, "CLIENT TRACKING ON NOLOOP");
  // A node answers first, and tells of what was committed in the same turn then.
  world.tracking.onRead(client, ["a"]);
  world.tracking.onChanges([{ effects: [{ key: "a", value: "1" }], writer: client }]);
  assertEquals(world.toldTo(client), []);
  world.say(other, "SET a 2");
  assertEquals(world.toldTo(client), ["invalidate a"]);
  world.say(other, "SET a 3");
  assertEquals(world.toldTo(client), []);
});

Deno.test("OPTIN notes what CLIENT CACHING YES is said of, OPTOUT what NO is not said of", () => {
  const world = new World();
  const [optIn, optOut, writer] = [world.client(), world.client(), world.client()];
  world.say(optIn, "CLIENT TRACKING ON OPTIN", "GET a", "CLIENT CACHING YES", "GET b", "GET c");
  world.say(optOut, "CLIENT TRACKING ON OPTOUT", "GET a", "CLIENT CACHING NO", "GET b", "GET c");
  world.say(writer, "MSET a 1 b 1 c 1");
  assertEquals(world.toldTo(optIn), ["invalidate b"]);
  assertEquals(world.toldTo(optOut), ["invalidate a", "invalidate c"]);
  world.say(optIn, "CLIENT CACHING YES", "MULTI", "GET a", "GET b", "EXEC", "GET c");
  world.say(writer, "MSET a 1 b 1 c 1");
  assertEquals(world.toldTo(optIn), ["invalidate a", "invalidate b"], "of a whole MULTI");
});

Deno.test("CLIENT CACHING holds behind any command of CLIENT's, and is over behind all others", () => {
  const rows: [lines: readonly string[], isNoted: boolean][] = [
    [["CLIENT ID", "CLIENT TRACKINGINFO", "CLIENT SETNAME a"], true],
    [["CLIENT GETNAME x"], true],
    [["CLIENT TRACKING ON OPTIN"], true],
    [["CLIENT TRACKING OFF", "CLIENT TRACKING ON OPTIN"], false],
    [["PING"], false],
    [["CLIENT NOPE"], false],
    [["NOPE"], false],
    [["GET"], false],
    [["MULTI", "NOPE", "EXEC"], false],
  ];
  for (const [lines, isNoted] of rows) {
    const world = new World();
    const reader = world.client();
    world.say(reader, "CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES", ...lines, "GET a");
    world.say(world.client(), "SET a 1");
    assertEquals(world.toldTo(reader), isNoted ? ["invalidate a"] : [], lines.join());
  }
});

Deno.test("what CLIENT says in a MULTI is of the reads behind it there", () => {
  const rows: [lines: readonly string[], told: readonly string[]][] = [
    [["CLIENT TRACKING ON OPTIN", "MULTI", "GET a", "CLIENT CACHING YES", "GET b"], ["b"]],
    [["CLIENT TRACKING ON OPTOUT", "MULTI", "GET a", "CLIENT CACHING NO", "GET b"], ["a"]],
    [["MULTI", "GET a", "CLIENT TRACKING ON", "GET b"], ["b"]],
    [["CLIENT TRACKING ON", "MULTI", "GET a", "CLIENT TRACKING OFF", "GET b"], []],
  ];
  for (const [lines, told] of rows) {
    const world = new World();
    const reader = world.client();
    world.say(reader, ...lines, "EXEC", "GET c");
    world.say(world.client(), "MSET a 1 b 1");
    assertEquals(world.toldTo(reader), told.map((key) => `invalidate ${key}`), lines.join());
  }
});

Deno.test("CLIENT CACHING that comes before EXEC is answered is of what is behind EXEC", () => {
  const world = new World();
  const reader = world.client();
  world.say(reader, "CLIENT TRACKING ON OPTIN", "MULTI", "GET a");
  const exec = runWords(["EXEC"], reader);
  world.say(reader, "CLIENT CACHING YES");
  world.database.carryOut(exec);
  world.say(reader, "GET b");
  world.say(world.client(), "MSET a 1 b 1");
  assertEquals(world.toldTo(reader), ["invalidate b"]);
});

Deno.test("REDIRECT tells another client, which need not speak version 3", () => {
  const world = new World();
  const [reader, other, writer] = [world.client(), world.client(2), world.client()];
  world.say(reader, `CLIENT TRACKING ON REDIRECT ${other.id}`, "GET a");
  world.say(writer, "SET a 1");
  assertEquals(world.toldTo(other), [], "it has not subscribed");
  world.say(other, "SUBSCRIBE __redis__:invalidate");
  world.say(reader, "GET a");
  world.say(writer, "SET a 1");
  assertEquals(world.toldTo(other), ["message __redis__:invalidate a"]);
  assertEquals(world.toldTo(reader), []);
  assertEquals(world.say(reader, "CLIENT GETREDIR"), other.id);
  other.isClosing = true;
  world.say(reader, "GET a");
  world.say(writer, "SET a 1");
  assertEquals(world.toldTo(reader), [`tracking-redir-broken :${other.id}`]);
});

Deno.test("REDIRECT tells a client of version 2 that has subscribed to anything at all", () => {
  for (const line of ["SUBSCRIBE other", "PSUBSCRIBE other*", "SSUBSCRIBE other"]) {
    const world = new World();
    const [reader, other] = [world.client(), world.client(2)];
    world.say(reader, `CLIENT TRACKING ON REDIRECT ${other.id}`, "GET a");
    world.say(other, line);
    world.say(world.client(), "SET a 1");
    assertEquals(world.toldTo(other), ["message __redis__:invalidate a"], line);
  }
});

Deno.test("forgetAll() and the deletion of everything tell all to forget all", () => {
  for (const version of [3, 2] as const) {
    const world = new World();
    const [reader, plain] = [world.client(), world.client(version)];
    world.say(reader, "CLIENT TRACKING ON", "GET a");
    world.tracking.forgetAll();
    assertEquals(world.toldTo(reader), ["invalidate _"]);
    world.tracking.onChanges([{
      effects: [{ key: EVERYTHING, value: undefined }],
      writer: undefined,
    }]);
    assertEquals(world.toldTo(reader), ["invalidate _"]);
    world.say(plain, "SET a 1");
    assertEquals(world.toldTo(reader), [], "nothing is noted any more");
  }
});

Deno.test("one read too many invalidates one key, by turns", () => {
  const world = new World(2);
  const reader = world.client();
  world.say(reader, "CLIENT TRACKING ON", "GET a", "GET b");
  assertEquals(world.toldTo(reader), []);
  const told: string[] = [];
  for (const key of ["c", "d", "e"]) {
    world.say(reader, `GET ${key}`);
    told.push(...world.toldTo(reader));
  }
  assertEquals(told.length, 3, "one for each");
  assertEquals(new Set(told).size, 3);
});
