/** Who may do what at a node: users that come and go, clients that become users, and what is refused. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Access } from "../../../src/node/access/access.ts";
import { sourceOf } from "../../../src/node/access/auth_limit.ts";
import { hashOf, parseUsers, type User } from "../../../src/node/access/user.ts";
import type { Session } from "../../../src/node/commands/command.ts";
import { PASSWORD_BYTES_MAX } from "../../../src/limits.ts";
import { USERS_KEY } from "../../../src/reserved_keys.ts";
import {
  ErrorReply,
  type RespValue,
  SimpleString,
  VerbatimString,
} from "../../../src/resp/value.ts";
import { Database } from "../commands/database.ts";
import { session } from "../commands/session.ts";

/** A node with clients, on which users are stored at once. */
class World {
  readonly database = new Database();
  readonly sessions: Session[] = [];
  /** The connections that were told to end. */
  readonly ended: Session[] = [];
  readonly warnings: string[] = [];
  readonly access: Access;
  nowMs = 0;
  /** What is done when the turn has answered its clients. */
  readonly later: (() => void)[] = [];

  constructor(configured: ReadonlyMap<string, User> = new Map()) {
    this.access = new Access({
      configured,
      sessions: () => this.sessions,
      later: (action) => this.later.push(action),
      nowMs: () => this.nowMs,
      warn: (message) => this.warnings.push(message),
    });
    this.database.onEffects = (effects) => {
      for (const { key, value } of effects) if (key === USERS_KEY) this.learn(value);
    };
  }

  learn(value: string | undefined, isJoining = false): void {
    this.access.onStored(value, { isJoining });
  }

  connect(address = "10.0.0.1:5000"): Session {
    const base = session();
    const client: Session = {
      ...base,
      id: this.sessions.length + 1,
      connection: { ...base.connection, address, end: () => this.ended.push(client) },
      node: { ...base.node, access: this.access, sessions: () => this.sessions },
    };
    this.access.begin(client);
    this.sessions.push(client);
    return client;
  }

  /** Says a command, and returns the reply in short: errors with their code. */
  say(client: Session, words: string | readonly string[]): unknown {
    const reply = plain(this.database.run(words, client));
    for (const action of this.later.splice(0)) action();
    return reply;
  }
}

function plain(value: RespValue): unknown {
  if (value instanceof ErrorReply) return `${value.code} ${value.message}`;
  if (value instanceof SimpleString) return value.text;
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, one]) => [plain(key), plain(one)]));
  }
  if (value instanceof Set || Array.isArray(value)) return [...value].map(plain);
  return value instanceof VerbatimString ? value.text : value;
}

const NOAUTH = "NOAUTH Authentication required.";
const WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled.";
const noperm = (name: string) => `NOPERM this user has no permissions to run the '${name}' command`;

Deno.test("nobody has to say who it is until a password is set", () => {
  const world = new World();
  const client = world.connect();
  assertEquals(client.restriction, undefined);
  assertEquals(world.say(client, "ACL WHOAMI"), "default");
  assertEquals(world.say(client, "AUTH default anything"), "OK");
  assertEquals(
    world.say(client, "AUTH x"),
    "ERR AUTH <password> called without any password configured for the default user. Are you sure " +
      "your configuration is correct?",
  );
  assertEquals(world.say(client, "ACL SETUSER default >secret"), "OK");
  // As in Redis, who is in stays in.
  assertEquals(world.say(client, "SET k v"), "OK");
  const late = world.connect();
  assertEquals(world.say(late, "PING"), NOAUTH);
  assertEquals(world.say(late, "SET k v"), NOAUTH);
  assertEquals(
    world.say(late, "HELLO 3"),
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH " +
      "<user> <pass> option can be used to authenticate the client and select the RESP protocol " +
      "version at the same time",
  );
  assertEquals(world.say(late, "NOPE"), "ERR unknown command 'NOPE', with args beginning with: ");
  assertEquals(world.say(late, "AUTH wrong"), WRONGPASS);
  assertEquals(world.say(late, "AUTH a b c"), "ERR syntax error");
  assertEquals(world.say(late, "AUTH secret"), "OK");
  assertEquals(late.restriction, undefined);
  assertEquals(world.say(late, "RESET"), "RESET");
  assertEquals(world.say(late, "PING"), NOAUTH);
  assertEquals((world.say(late, "HELLO 3 AUTH default secret") as { proto: number }).proto, 3);
  assertEquals(world.say(late, "GET k"), "v");
});

Deno.test("a user does what its rules say, and a change of them is in force at once", () => {
  const world = new World();
  const admin = world.connect();
  assertEquals(world.say(admin, "ACL SETUSER alice on >pw ~a* +@read +multi +exec +ping"), "OK");
  const alice = world.connect();
  assertEquals(world.say(alice, "AUTH alice pw"), "OK");
  assertEquals([alice.user, world.say(alice, "GET a")], ["alice", null]);
  assertEquals(world.say(alice, "SET a 1"), noperm("set"));
  assertEquals(
    world.say(alice, "GET b"),
    "NOPERM this user has no permissions to access one of the keys used as arguments",
  );
  assertEquals(world.say(alice, "ACL SETUSER alice ~*"), noperm("acl|setuser"));
  // A failed attempt changes nothing.
  assertEquals(world.say(alice, "AUTH default x"), "OK");
  assertEquals(world.say(alice, "AUTH alice pw"), "OK");
  assertEquals(world.say(alice, "AUTH nobody pw"), WRONGPASS);
  assertEquals(alice.user, "alice");

  assertEquals(world.say(admin, "ACL SETUSER alice +set"), "OK");
  assertEquals(world.say(alice, "SET a 1"), "OK");
  assertEquals(world.say(admin, "ACL SETUSER alice allkeys allchannels allcommands"), "OK");
  assertEquals([alice.restriction, world.say(alice, "SET z 1")], [undefined, "OK"]);
  assertEquals(world.say(admin, "ACL SETUSER alice -set off"), "OK");
  // Who is in stays in, but for what the rules say.
  assertEquals(world.say(alice, "SET z 1"), noperm("set"));
  assertEquals(world.say(alice, "GET z"), "1");
  assertEquals(world.say(world.connect(), "AUTH alice pw"), WRONGPASS);
  assertEquals(world.ended, []);
});

Deno.test("a command that is carried by another one needs to be allowed itself", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass ~a* +dks.once +set");
  const alice = world.connect();
  world.say(alice, "AUTH alice x");
  assertEquals(world.say(alice, "DKS.ONCE token SET a 1"), "OK");
  assertEquals(world.say(alice, "DKS.ONCE token DEL a"), noperm("del"));
  assertMatch(String(world.say(alice, "DKS.ONCE token SET b 1")), /^NOPERM .* keys/);
  // Passwords would be told by MONITOR.
  assertEquals(
    world.say(admin, "DKS.ONCE token ACL SETUSER bob >secret"),
    'ERR DKS.ONCE takes a command that writes, not "ACL"',
  );
});

Deno.test("EXEC leaves out what the client may not do any more", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass ~* +@all");
  const alice = world.connect();
  world.say(alice, "AUTH alice x");
  world.say(alice, "MULTI");
  for (const words of ["SET a 1", "GET a", "PING"]) {
    assertEquals(world.say(alice, words), "QUEUED");
  }
  world.say(admin, "ACL SETUSER alice resetkeys ~b -ping");
  const denied = (reason: string) =>
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC " +
    `call. This command is no longer allowed for the following reason: ${reason}`;
  assertEquals(world.say(alice, "EXEC"), [
    denied("no permission to touch the specified keys"),
    denied("no permission to touch the specified keys"),
    denied("no permission to execute the command or subcommand"),
  ]);
  assertEquals(world.database.value("a"), undefined);
  // What is refused while it is queued ends the transaction.
  world.say(alice, "MULTI");
  assertEquals(world.say(alice, "PING"), noperm("ping"));
  assertEquals(
    world.say(alice, "EXEC"),
    "EXECABORT Transaction discarded because of previous errors.",
  );
});

Deno.test("DKS.ONCE EXEC does nothing, and repeats nothing, if the client may not run all of it any more", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass ~* +@all");
  world.say(admin, "SET b secret");
  const alice = world.connect();
  world.say(alice, "AUTH alice x");
  const queue = () => {
    for (const words of ["MULTI", "SET a 1", "GET b"]) world.say(alice, words);
  };
  const denied =
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC " +
    "call. This command is no longer allowed for the following reason: no permission to touch the " +
    "specified keys";
  queue();
  assertEquals(world.say(alice, "DKS.ONCE t EXEC"), ["OK", "secret"]);
  queue();
  world.say(admin, "ACL SETUSER alice resetkeys ~a");
  assertEquals(world.say(alice, "DKS.ONCE t EXEC"), denied);
  assertEquals(world.say(alice, "EXEC"), "ERR EXEC without MULTI");
  world.say(admin, "ACL SETUSER alice allkeys");
  queue();
  world.say(admin, "ACL SETUSER alice resetkeys ~a");
  world.say(admin, "DEL a");
  assertEquals(world.say(alice, "DKS.ONCE another EXEC"), denied);
  assertEquals(world.database.value("a"), undefined);
});

Deno.test("the connections of a user end that is deleted and added again by one transaction", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on >old ~* +@all");
  world.say(admin, "ACL SETUSER bob on >pw ~* +@all");
  const [alice, bob] = [world.connect(), world.connect()];
  world.say(alice, "AUTH alice old");
  world.say(bob, "AUTH bob pw");
  const replace = ["MULTI", "ACL DELUSER alice", "ACL SETUSER alice on >new ~* +@all"];
  for (const words of replace) world.say(admin, words);
  assertEquals(world.say(admin, "EXEC"), [1, "OK"]);
  assertEquals(world.ended, [alice]);
  assertEquals(world.say(alice, "GET a"), NOAUTH);
  assertEquals(world.say(alice, "AUTH alice old"), WRONGPASS);
  assertEquals(world.say(alice, "AUTH alice new"), "OK");
  // Who is the later one stays it, whatever is changed of it or of others, by an earlier version too.
  world.say(admin, "ACL SETUSER alice reset on nopass ~* +@all");
  world.say(admin, "ACL SETUSER carol on");
  assertEquals(world.say(admin, "ACL LIST"), [
    "user alice on nopass sanitize-payload ~* resetchannels +@all",
    `user bob on #${hashOf("pw")} ~* resetchannels +@all`,
    "user carol on resetchannels -@all",
    "user default on nopass ~* &* +@all",
  ]);
  world.learn(world.access.lines().join("\n"));
  assertEquals(world.ended, [alice]);
});

Deno.test("the connections of a deleted user end, and nobody becomes it", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass ~* &* +@all");
  const [alice, other] = [world.connect(), world.connect()];
  world.say(alice, "AUTH alice x");
  assertEquals(world.say(admin, "ACL DELUSER nobody alice"), 1);
  assertEquals(world.ended, [alice]);
  // Until it has ended.
  assertEquals(world.say(alice, "GET a"), NOAUTH);
  assertEquals(world.say(other, "AUTH alice x"), WRONGPASS);
  assertEquals(world.say(other, "GET a"), null);
  assertEquals(
    world.say(admin, "ACL DELUSER bob default"),
    "ERR The 'default' user cannot be removed",
  );
});

Deno.test("the connection of a user ends that listens to what it may not any more", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass &a* &b +@all");
  const clients = ["SUBSCRIBE a1", "SUBSCRIBE b", "PSUBSCRIBE a*", "SSUBSCRIBE a2"].map((words) => {
    const client = world.connect();
    world.say(client, "AUTH alice x");
    world.say(client, words);
    return client;
  });
  world.say(admin, "ACL SETUSER alice +get");
  assertEquals(world.ended, []);
  world.say(admin, "ACL SETUSER alice resetchannels &a1 &b");
  assertEquals(world.ended, clients.slice(2));
});

Deno.test("users of the configuration stand before those that are stored, and no command changes them", () => {
  const world = new World(parseUsers("user default off -@all\nuser ops on nopass ~* &* +@all"));
  const client = world.connect();
  assertEquals(world.say(client, "PING"), NOAUTH);
  assertEquals(world.say(client, "AUTH default x"), WRONGPASS);
  assertEquals(world.say(client, "AUTH ops x"), "OK");
  const fixed = (name: string) =>
    `ERR the user '${name}' is set by the configuration of this node, which no command changes`;
  assertEquals(world.say(client, "ACL SETUSER default on nopass"), fixed("default"));
  assertEquals(world.say(client, "ACL DELUSER ops"), fixed("ops"));
  assertEquals(world.say(client, "ACL SETUSER alice on nopass"), "OK");
  world.learn("user default on nopass ~* &* +@all\nuser ops off -@all");
  assertEquals(world.say(world.connect(), "PING"), NOAUTH);
  assertEquals(world.say(client, "ACL USERS"), ["default", "ops"]);
});

Deno.test("a node keeps the users that it knows while its keys are gone", () => {
  const world = new World();
  world.learn("user default off -@all\nuser a on nopass ~* +@all");
  world.learn(undefined);
  assertEquals(world.access.names(), ["a", "default"]);
  assertEquals(world.say(world.connect(), "PING"), NOAUTH);
});

Deno.test("who came before a node had joined stays only if it could come now", () => {
  const world = new World();
  const [silent, named] = [world.connect(), world.connect()];
  world.say(named, "AUTH default x");
  world.learn("user default on nopass ~* &* +@all", true);
  assertEquals(world.ended, []);
  const [old, right, off] = [world.connect(), world.connect(), world.connect()];
  world.learn(
    [
      "user default on nopass ~* &* +@all",
      `user alice on #${hashOf("old")} #${hashOf("new")} ~* &* +@all`,
      `user bob on #${hashOf("pw")} ~* &* +@all`,
    ].join("\n"),
  );
  assertEquals(world.say(old, "AUTH alice old"), "OK");
  assertEquals(world.say(right, "AUTH alice new"), "OK");
  assertEquals(world.say(off, "AUTH bob pw"), "OK");
  const users = [
    `user default on #${hashOf("pw")} ~* &* +@all`,
    `user alice on #${hashOf("new")} ~* &* +@all`,
    `user bob off #${hashOf("pw")} ~* &* +@all`,
  ].join("\n");
  world.learn(users, true);
  for (const action of world.later.splice(0)) action();
  // Any password was right for a user that needs none: it proves nothing.
  assertEquals(world.ended, [silent, named, old, off]);
  assertEquals(world.say(named, "GET k"), NOAUTH);
  assertEquals(world.say(right, "GET k"), null);
});

Deno.test("SETUSER takes all rules or none", () => {
  const world = new World();
  const admin = world.connect();
  assertEquals(
    world.say(admin, "ACL SETUSER alice on +nope"),
    "ERR Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL",
  );
  assertEquals(world.say(admin, "ACL USERS"), ["default"]);
  for (const name of ["a b", "a\0", ""]) {
    assertEquals(
      world.say(admin, ["ACL", "SETUSER", name]),
      "ERR Usernames can't contain spaces or null characters",
    );
  }
  assertEquals(
    world.say(admin, ["ACL", "SETUSER", "alice", `~${"a".repeat(2 ** 20)}`]),
    "ERR all users together have at most 1048576 bytes of rules",
  );
  assertEquals(world.access.names(), ["default"]);
});

Deno.test("passwords are stored, and told, as hashes only", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on >secret ~a +get");
  world.say(world.connect(), "AUTH alice secret");
  world.say(world.connect(), "AUTH alice secrets");
  const stored = world.database.value(USERS_KEY) ?? "";
  assert(stored.includes(hashOf("secret")));
  const told = [
    stored,
    ...world.warnings,
    JSON.stringify(
      ["LIST", "GETUSER alice", "LOG", "USERS"].map((words) => world.say(admin, `ACL ${words}`)),
    ),
  ].join();
  assert(!told.includes("secret"), told);
  assertEquals(world.say(admin, "ACL GETUSER alice"), {
    flags: ["on"],
    passwords: [hashOf("secret")],
    commands: "-@all +get",
    keys: "~a",
    channels: "",
    selectors: [],
  });
  assertEquals(world.say(admin, "ACL GETUSER nobody"), null);
});

Deno.test("a source that fails to authenticate too often is refused unseen for a while", () => {
  const world = new World();
  world.learn("user default off -@all\nuser a on #" + hashOf("pw") + " ~* &* +@all");
  const client = world.connect("10.0.0.1:1");
  const other = world.connect("10.0.0.1:2");
  for (let i = 0; i < 20; i++) assertEquals(world.say(client, "AUTH a guess"), WRONGPASS);
  const refused = "ERR too many failed attempts to authenticate from 10.0.0.1: try again later";
  assertEquals(world.say(client, "AUTH a guess"), refused);
  assertEquals(world.say(other, "AUTH a pw"), refused);
  assertEquals(world.say(world.connect("10.0.0.2:1"), "AUTH a pw"), "OK");
  world.nowMs += 1000;
  assertEquals(world.say(client, "AUTH a guess"), WRONGPASS);
  assertEquals(world.say(client, "AUTH a guess"), refused);
  world.nowMs += 1000;
  assertEquals(world.say(other, "AUTH a pw"), "OK");
  assertEquals(world.say(other, "HELLO 2 AUTH a pw SETNAME x"), world.say(other, "HELLO 2"));
  // A line for a source and minute, without what was said.
  assertEquals(world.warnings, ["an attempt to authenticate from 10.0.0.1 was refused"]);
  world.nowMs += 60_000;
  world.say(client, "AUTH a guess");
  assertEquals(world.warnings.length, 2);
  assertMatch(world.warnings[1] ?? "", /was refused; so were 20 before it$/);
  const long = ["AUTH", "a", "x".repeat(PASSWORD_BYTES_MAX + 1)];
  assertEquals(world.say(client, long), WRONGPASS);
});

Deno.test("sourceOf() leaves out the port, and the half of an IPv6 address that a machine chooses", () => {
  const table: readonly [address: string, source: string][] = [
    ["10.0.0.1:5000", "10.0.0.1"],
    ["[::ffff:10.0.0.1]:5000", "10.0.0.1"],
    ["[2001:db8:1:2:3:4:5:6]:5000", "2001:db8:1:2::/64"],
    ["[2001:db8::6]:5000", "2001:db8:0:0::/64"],
    ["[fe80::1%eth0]:5000", "fe80:0:0:0::/64"],
    ["[::1]:5000", "0:0:0:0::/64"],
    ["?:0", "?"],
  ];
  for (const [address, source] of table) assertEquals(sourceOf(address), source, address);
});

Deno.test("ACL LOG has what was refused, and counts what is refused again", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass ~a &c +get +publish +multi");
  const alice = world.connect();
  world.say(alice, "AUTH alice x");
  for (
    const words of ["SET a 1", "GET b", "GET b", "PUBLISH d x", "AUTH bob x", "MULTI", "GET b"]
  ) {
    world.say(alice, words);
  }
  world.nowMs += 1500;
  const entries = world.say(admin, "ACL LOG") as Record<string, unknown>[];
  const told = entries.map((one) => [one["count"], one["reason"], one["context"], one["object"]]);
  assertEquals(told, [
    [1, "key", "multi", "b"],
    [1, "auth", "toplevel", "AUTH"],
    [1, "channel", "toplevel", "d"],
    [2, "key", "toplevel", "b"],
    [1, "command", "toplevel", "set"],
  ]);
  assertEquals(world.access.denied, { auth: 1, command: 1, key: 3, channel: 1 });
  const [latest] = entries;
  assertEquals([latest?.["username"], latest?.["age-seconds"]], ["alice", "1.5"]);
  assertMatch(String(latest?.["client-info"]), /^id=2 addr=10\.0\.0\.1:5000 .* user=alice /);
  assertEquals(entries[1]?.["username"], "bob");
  assertEquals((world.say(admin, "ACL LOG 2") as unknown[]).length, 2);
  world.nowMs += 60_000;
  world.say(alice, "GET b");
  assertEquals((world.say(admin, "ACL LOG 99") as unknown[]).length, 6);
  for (let i = 0; i < 200; i++) world.say(alice, `GET b${i}`);
  assertEquals((world.say(admin, "ACL LOG 999") as unknown[]).length, 128);
  assertEquals(world.say(admin, "ACL LOG RESET"), "OK");
  assertEquals(world.say(admin, "ACL LOG"), []);
});

Deno.test("ACL DRYRUN says what a user may do", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice ~a &c +get +publish");
  const table: readonly [words: string, reply: string][] = [
    ["alice GET a", "OK"],
    ["alice GET b", "This user has no permissions to access the 'b' key"],
    ["alice SET a 1", "This user has no permissions to run the 'set' command"],
    ["alice PUBLISH d x", "This user has no permissions to access the 'd' channel"],
    ["bob GET a", "ERR User 'bob' not found"],
    ["alice NOPE", "ERR Command 'NOPE' not found"],
    ["alice GET", "ERR wrong number of arguments for 'get' command"],
  ];
  for (const [words, reply] of table) {
    assertEquals(world.say(admin, `ACL DRYRUN ${words}`), reply, words);
  }
});

Deno.test("ACL GENPASS returns as many digits as asked for, others each time", () => {
  const world = new World();
  const client = world.connect();
  assertMatch(String(world.say(client, "ACL GENPASS")), /^[0-9a-f]{64}$/);
  assertMatch(String(world.say(client, "ACL GENPASS 5")), /^[0-9a-f]{2}$/);
  assertMatch(String(world.say(client, "ACL GENPASS 4096")), /^[0-9a-f]{1024}$/);
  assert(world.say(client, "ACL GENPASS") !== world.say(client, "ACL GENPASS"));
  for (const bits of ["0", "-1", "4097"]) {
    assertMatch(String(world.say(client, `ACL GENPASS ${bits}`)), /^ERR ACL GENPASS argument must/);
  }
});

Deno.test("CLIENT LIST and CLIENT KILL know users", () => {
  const world = new World();
  const admin = world.connect();
  world.say(admin, "ACL SETUSER alice on nopass +@all");
  const alice = world.connect();
  world.say(alice, "AUTH alice x");
  assertMatch(String(world.say(alice, "CLIENT INFO")), / user=alice /);
  assertEquals(world.say(admin, "CLIENT KILL USER bob"), "ERR No such user 'bob'");
  assertEquals(world.say(admin, "CLIENT KILL USER alice"), 1);
});
