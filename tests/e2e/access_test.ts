/** Users: on real nodes, from their commands to their disks; and beside Redis. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ByteString, fromText, toBytes } from "../../src/byte_string.ts";
import { categoriesOf } from "../../src/node/commands/command.ts";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { ReplyDecoder } from "../../src/resp/reply_decoder.ts";
import { type RespValue, SimpleString } from "../../src/resp/value.ts";
import { RawConnection } from "../differential/raw_replies.ts";
import { hasRedis, RedisServer } from "../differential/redis_server.ts";
import { binary, binaryPath } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { withHome } from "../harness/homes.ts";
import { execute, isInstalled, until } from "../harness/processes.ts";
import { Terminal } from "../harness/terminal.ts";

function decode(bytes: ByteString): RespValue {
  const decoder = new ReplyDecoder();
  for (let rest = toBytes(bytes); rest.length > 0;) {
    const { space } = decoder;
    const count = Math.min(space.length, rest.length);
    space.set(rest.subarray(0, count));
    decoder.received(count);
    rest = rest.subarray(count);
    const value = decoder.next();
    if (value !== undefined) return value;
  }
  throw new Error("no whole reply");
}

Deno.test({
  name: "all commands are in the categories that they are in in Redis",
  ignore: !hasRedis(),
  fn: async () => {
    const [port = 0] = freePorts(1);
    const redis = await RedisServer.start(port);
    const connection = await RawConnection.open(port);
    try {
      const words = COMMANDS.byIndex.map(({ name }) => ["COMMAND", "INFO", name]);
      const replies = await connection.callAll(words);
      const differing = COMMANDS.byIndex.flatMap((command, at) => {
        const [info] = decode(replies[at] ?? "") as RespValue[][];
        if (!Array.isArray(info)) return []; // Redis 7.0 does not have it.
        const theirs = (info[6] as SimpleString[]).map(({ text }) => text).sort().join(" ");
        const ours = categoriesOf(command).sort().join(" ");
        return ours === theirs ? [] : [`${command.name}: ${theirs}, not ${ours}`];
      });
      assertEquals(differing, []);
    } finally {
      connection.close();
      await redis.stop();
    }
  },
});

/**
 * What is said to Redis and to dks, by the connection before the colon; blocks begin with new ones. Nobody
 * but the first says what closes connections.
 */
const SCENARIOS: readonly (readonly string[])[] = `
a: ACL WHOAMI
a: ACL LIST
a: ACL USERS
a: ACL GETUSER default
a: ACL GETUSER nobody
a: ACL CAT
a: ACL CAT nope
a: ACL CAT a b
a: ACL GENPASS 0
a: ACL GENPASS 4097
a: ACL GENPASS x
a: ACL GENPASS 1 2
a: ACL LOG
a: ACL LOG x
a: ACL LOG RESET
a: ACL LOG 1 2
a: ACL LOAD
a: ACL SAVE
a: ACL NOPE
a: ACL
a: ACL WHOAMI x
a: ACL SETUSER
a: ACL DELUSER
a: ACL DELUSER default
a: ACL DELUSER nobody
a: ACL DRYRUN
a: ACL DRYRUN nobody GET a
a: ACL DRYRUN default NOPE
a: ACL DRYRUN default GET
a: AUTH
a: AUTH x
a: AUTH default x
a: AUTH nobody x
a: AUTH a b c
a: HELLO 3 AUTH nobody x
a: HELLO 3 AUTH default
a: HELLO 2 AUTH default x SETNAME n
a: CLIENT GETNAME

a: ACL SETUSER alice
a: ACL LIST
a: ACL GETUSER alice
a: ACL SETUSER alice on >pw ~a* %R~b* %W~c &x* +@all
a: ACL GETUSER alice
a: ACL SETUSER alice foo
a: ACL SETUSER alice +nope
a: ACL SETUSER alice -@nope
a: ACL SETUSER alice +client|nope
a: ACL SETUSER alice #abc
a: ACL SETUSER alice <nope
a: ACL SETUSER alice !abc
a: ACL SETUSER alice %X~a
a: ACL SETUSER alice allkeys
a: ACL SETUSER alice ~x
a: ACL SETUSER alice %R~x
a: ACL SETUSER alice allchannels
a: ACL SETUSER alice &x
a: ACL LIST
a: ACL SETUSER alice resetkeys resetchannels
a: ACL LIST
a: ACL SETUSER alice <pw nopass
a: ACL LIST
a: ACL SETUSER alice resetpass >p >q >p
a: ACL LIST
a: ACL SETUSER alice nopass off
a: ACL GETUSER alice
a: ACL SETUSER alice reset
a: ACL LIST
a: ACL SETUSER alice skip-sanitize-payload -@all +get
a: ACL GETUSER alice
a: ACL SETUSER alice +@all -get
a: ACL GETUSER alice
a: ACL DELUSER alice nobody
a: ACL USERS

a: ACL SETUSER lim on >pw ~a* %R~r* %W~w* &c* -@all +@read +@write +@pubsub +multi +exec +ping -set
a: ACL DRYRUN lim GET a
a: ACL DRYRUN lim GET x
a: ACL DRYRUN lim SET a 1
a: ACL DRYRUN lim PUBLISH d x
a: ACL DRYRUN lim PSUBSCRIBE c
a: ACL DRYRUN lim COPY r w
a: ACL DRYRUN lim COPY w r
b: AUTH lim pw
b: GET a
b: SET a 1
b: GET x
b: GET w1
b: SETEX r1 10 v
b: SETEX w1 10 v
b: EXISTS w1
b: EXISTS x
b: MGET a1 r1 w1
b: MSET a1 1 w1 2
b: MSET a1 1 r1 2
b: RENAME r1 w1
b: COPY r1 w2
b: BITOP AND w1 r1 a1
b: BITOP AND r1 w1
b: BITFIELD r1 GET u8 0
b: BITFIELD r1 SET u8 0 1
b: STRLEN w1
b: TTL w1
b: TYPE w1
b: OBJECT REFCOUNT w1
b: APPEND w1 x
b: GETDEL w1
b: DEL w1 r1
b: DEL w1 w2
b: KEYS zzz*
b: DBSIZE
b: RANDOMKEY
b: PUBLISH d x
b: PUBLISH c1 x
b: PSUBSCRIBE c1
b: SUBSCRIBE d
b: CLIENT ID
b: ACL WHOAMI
b: ACL NOPE
b: CONFIG GET maxclients
b: NOPE
b: GET
b: MULTI
b: GET a
b: SET a 1
b: EXEC
b: MULTI
b: GET a
b: PING
a: ACL SETUSER lim -ping resetkeys
b: EXEC
b: WATCH a
b: AUTH lim wrong
b: GET a
a: ACL SETUSER lim allkeys
b: GET a
b: MULTI
b: GET a
a: ACL SETUSER lim -exec
b: EXEC
b: GET a
b: EXEC
b: EXEC x
a: ACL SETUSER lim +@all
b: ACL WHOAMI
b: SET a 2
a: ACL SETUSER lim off
b: GET a
c: AUTH lim pw
c: GET a
a: CLIENT KILL USER nobody
a: ACL DELUSER lim

a: ACL SETUSER default >dp
a: PING
b: PING
b: HELLO
b: HELLO 3
b: HELLO 9
b: ECHO x
b: NOPE
b: GET
b: ACL WHOAMI
b: MULTI
b: EXEC
b: SUBSCRIBE x
b: AUTH wrong
b: AUTH default dp2
b: AUTH dp
b: PING
b: RESET
b: PING
b: EXEC
b: AUTH dp
b: ACL SETUSER default nopass
c: PING

a: SET a v
b: MULTI
b: SET a w
a: CONFIG SET maxmemory 1
b: EXEC
b: EXEC
b: SET a x
a: CONFIG SET maxmemory 0
b: MULTI
b: SET a w
b: NOPE
a: CONFIG SET maxmemory 1
b: EXEC
a: CONFIG SET maxmemory 0
b: MULTI
b: DEL a
b: EXISTS b
a: CONFIG SET maxmemory 1
b: EXEC
a: CONFIG SET maxmemory 0
`.trim().split("\n\n").map((block) => block.split("\n"));

/** Says the scenario to the server at `port`. Returns each command with its reply. */
async function sayAll(
  port: number,
  scenario: readonly string[],
  version: 2 | 3,
): Promise<string[]> {
  const connections = new Map<string, RawConnection>();
  const said: string[] = [];
  try {
    for (const name of new Set(scenario.map((line) => line[0] ?? ""))) {
      const connection = await RawConnection.open(port);
      connections.set(name, connection);
      await connection.callAll([["HELLO", String(version)]]);
    }
    await connections.get("a")?.callAll([["FLUSHALL"]]);
    for (const line of scenario) {
      const [name = "", words = ""] = line.split(": ");
      const replies = await connections.get(name)?.callAll([words.split(" ")]);
      // Each server numbers its connections.
      said.push(`${line}: ${replies?.join("").replace(/\bid\r\n:\d+/, "id")}`);
    }
    return said;
  } finally {
    for (const connection of connections.values()) connection.close();
  }
}

for (const version of [2, 3] as const) {
  Deno.test({
    name: `users are told and refused what Redis 7 tells and refuses them, in RESP${version}`,
    ignore: !hasRedis(),
    fn: async () => {
      const [redisPort = 0, port = 0] = freePorts(2);
      const redis = await RedisServer.start(redisPort);
      const cluster = await LocalCluster.start({ places: loopback([port], await binary()) });
      try {
        for (const scenario of SCENARIOS) {
          const expected = await sayAll(redisPort, scenario, version);
          const said = await sayAll(port, scenario, version);
          const differing = expected.flatMap((one, at) =>
            one === said[at] ? [] : [[one, said[at]]]
          );
          assertEquals(differing, []);
        }
      } finally {
        await Promise.all([redis.stop(), cluster.stop()]);
      }
    },
  });
}

/** Sends a command on a connection of its own, as a user. Returns the reply as its bytes. */
async function sayAs(port: number, user: string, password: string, words: string): Promise<string> {
  const connection = await RawConnection.open(port);
  try {
    const [auth, reply] = await connection.callAll([["AUTH", user, password], words.split(" ")]);
    return `${auth}${reply}`;
  } finally {
    connection.close();
  }
}

Deno.test("users are the same at all nodes, and outlive kill -9 of all nodes at once", async () => {
  await withHome(async (env) => {
    const places = loopback(freePorts(3), await binary());
    const [one = 0, two = 0, three = 0] = places.map(({ port }) => port);
    const start = () => LocalCluster.start({ places, storage: [], env });
    let cluster = await start();
    const printed: string[] = [];
    try {
      const admin = await RawConnection.open(one);
      const set = (rules: string) => admin.callAll([["ACL", "SETUSER", ...rules.split(" ")]]);
      assertEquals(await set("alice on >hush-alice ~a* +@read +@write"), ["+OK\r\n"]);
      assertEquals(await set("bob on >hush-bob ~* &* +@all"), ["+OK\r\n"]);
      await until("all nodes know the users", async () => {
        const said = await Promise.all(
          [two, three].map((port) => sayAs(port, "alice", "hush-alice", "SET a 1")),
        );
        return said.every((reply) => reply === "+OK\r\n+OK\r\n");
      });
      assertMatch(
        await sayAs(three, "alice", "hush-alice", "SET b 1"),
        /^\+OK\r\n-NOPERM .* keys /,
      );

      // A connection of another node ends when its user is deleted here.
      const bob = await RawConnection.open(three);
      assertEquals(await bob.callAll([["AUTH", "bob", "hush-bob"], ["GET", "a"]]), [
        "+OK\r\n",
        "$1\r\n1\r\n",
      ]);
      assertEquals(await admin.callAll([["ACL", "DELUSER", "bob"]]), [":1\r\n"]);
      await until("bob's connection has ended", async () => {
        const reply = await bob.callAll([["GET", "a"]]).catch(() => undefined);
        return reply === undefined;
      });
      bob.close();
      assertMatch(await sayAs(two, "bob", "hush-bob", "GET a"), /^-WRONGPASS/);
      // Who deletes itself is told so before.
      assertEquals(await set("carol on nopass +@all"), ["+OK\r\n"]);
      assertEquals(await sayAs(one, "carol", "", "ACL DELUSER carol"), "+OK\r\n:1\r\n");
      assertEquals(await set("default resetpass >hush-default"), ["+OK\r\n"]);
      admin.close();

      await Promise.all(cluster.nodes.map((node) => node.stop("SIGKILL")));
      printed.push(...cluster.nodes.map((node) => node.printed));
      cluster = await start();
      for (const port of [one, two, three]) {
        // One of them may have to join again.
        await until(
          "alice reads",
          async () => await sayAs(port, "alice", "hush-alice", "GET a") === "+OK\r\n$1\r\n1\r\n",
        );
        // What was in doubt here when all were killed is settled in a moment.
        await until("nobody is let in unseen", async () => {
          const stranger = await RawConnection.open(port);
          const [said] = await stranger.callAll([["PING"]]);
          stranger.close();
          return said === "-NOAUTH Authentication required.\r\n";
        });
        assertEquals(
          await sayAs(port, "bob", "hush-bob", "PING"),
          "-WRONGPASS invalid username-password pair or user is disabled.\r\n" +
            "-NOAUTH Authentication required.\r\n",
        );
        assertMatch(await sayAs(port, "default", "hush-default", "PING"), /PONG/);
        const dump = await sayAs(port, "default", "hush-default", "INFO");
        const config = await sayAs(port, "default", "hush-default", "CONFIG GET *");
        assert(!`${dump}${config}`.includes("hush"));
      }
    } finally {
      await cluster.stop();
      printed.push(...cluster.nodes.map((node) => node.printed));
    }
    assert(!printed.join().includes("hush"), "a password was logged");
  });
});

Deno.test("a node with an empty journal takes over the users when it joins, and asks for passwords then", async () => {
  const places = loopback(freePorts(3), await binary());
  const cluster = await LocalCluster.start({ places });
  const [one = 0, , three = 0] = places.map(({ port }) => port);
  let back: NodeProcess | undefined;
  try {
    const admin = await RawConnection.open(one);
    await admin.callAll([["ACL", "SETUSER", "default", ">pw"]]);
    admin.close();
    const [, , last] = cluster.nodes;
    await last?.stop("SIGKILL");
    back = new NodeProcess({
      program: await binary(),
      port: three,
      args: ["--peers", places.map(({ address }) => address).join()],
    });
    await back.untilPrinted(/cluster is complete/);
    assertMatch(await sayAs(three, "default", "wrong", "GET a"), /^-WRONGPASS .*\r\n-NOAUTH /);
    assertEquals(await sayAs(three, "default", "pw", "GET a"), "+OK\r\n$-1\r\n");
  } finally {
    await Promise.all([cluster.stop(), back?.stop()]);
  }
});

Deno.test("a node that crashed while it joined again, its keys dropped, still knows its users", async () => {
  await withHome(async ({ XDG_DATA_HOME = "" }) => {
    const env = { XDG_DATA_HOME };
    const places = loopback(freePorts(3), await binary());
    const cluster = await LocalCluster.start({ places, storage: [], env });
    const [one = 0, , port = 0] = places.map((place) => place.port);
    const [first, second, last] = cluster.nodes;
    const more: NodeProcess[] = [];
    const start = async () => {
      const node = new NodeProcess({
        program: await binary(),
        port,
        args: [
          ...["--peers", places.map(({ address }) => address).join(), "--log-level", "debug"],
        ],
        storage: [],
        env,
      });
      more.push(node);
      return node;
    };
    try {
      const admin = await RawConnection.open(one);
      for (let i = 0; i < 20; i++) {
        await admin.callAll([["SET", `k${i}`, crypto.randomUUID().repeat(30_000)]]);
      }
      assertEquals(await admin.callAll([["ACL", "SETUSER", "default", ">pw"]]), ["+OK\r\n"]);
      admin.close();
      await last?.stop("SIGKILL");
      await first?.untilPrinted(new RegExp(`view .*without 127.0.0.1:${port}`));
      // As soon as the journal holds none of the keys, it ends.
      const joining = await start();
      await joining.untilPrinted(/made a checkpoint of the journal/);
      await joining.stop("SIGKILL");
      // And there is nobody to tell it.
      for (const node of [first, second]) node?.signal("SIGSTOP");
      const alone = await start();
      await alone.untilPrinted(/journal in .*: 1?\d keys, start number 3/); // Not all, and no users.
      assertMatch(await sayAs(port, "default", "wrong", "PING"), /^-WRONGPASS .*\r\n-NOAUTH /);
      assertEquals(await sayAs(port, "default", "pw", "ACL WHOAMI"), "+OK\r\n$7\r\ndefault\r\n");
    } finally {
      for (const node of [first, second]) node?.signal("SIGCONT");
      await Promise.all([cluster.stop(), ...more.map((node) => node.stop("SIGKILL"))]);
    }
  });
});

Deno.test("a node that starts knows the users of its journal before it knows its own name", async () => {
  await withHome(async (env) => {
    const [port = 0] = freePorts(1);
    const start = async (host: string) =>
      new NodeProcess({
        program: await binary(),
        port,
        // Whoever listens at another address than its own does not find itself.
        args: ["--peers", `127.0.0.2:${port}`, "--host", host],
        storage: [],
        env,
      });
    let node = await start("0.0.0.0");
    try {
      await node.untilPrinted(/cluster is complete/);
      const admin = await RawConnection.open(port);
      const set = ["ACL SETUSER default >pw", "SET a 1"].map((line) => line.split(" "));
      assertEquals(await admin.callAll(set), ["+OK\r\n", "+OK\r\n"]);
      admin.close();
      await node.stop("SIGKILL");
      node = await start("127.0.0.1");
      let reply = "";
      await until("the node has read its journal", async () => {
        try {
          reply = await sayAs(port, "default", "x", "ACL WHOAMI");
        } catch {
          return false; // It does not listen yet.
        }
        return !reply.startsWith("-LOADING");
      });
      assertMatch(reply, /^-WRONGPASS .*\r\n-NOAUTH /);
      assertEquals(await sayAs(port, "default", "pw", "ACL WHOAMI"), "+OK\r\n$7\r\ndefault\r\n");
    } finally {
      await node.stop("SIGKILL");
    }
  });
});

Deno.test("dks client says who it is: by flags, by a URL, and by standard input", async () => {
  const [port = 0] = freePorts(1);
  const input = JSON.stringify({
    users: {
      default: ["off"],
      "zoë": ["on", ">pass:w@rd", "~*", "&*", "+@all"],
      reader: ["on", ">r", "~*", "+@read"],
    },
  });
  const cluster = await LocalCluster.start({
    places: loopback([port], await binary()),
    args: ["--config", "-"],
    input,
  });
  const path = await binaryPath();
  const run = (args: readonly string[], input?: string) =>
    execute(path, ["client", ...args], input === undefined ? {} : { input });
  const here = ["-s", `127.0.0.1:${port}`];
  const url = (user: string) => ["-s", `redis://${user}@127.0.0.1:${port}/0`];
  try {
    const set = await run(
      [...here, "--user", "zoë", "--pass", "-", "put", "k", "v"],
      "pass:w@rd\n",
    );
    assertEquals([set.code, set.stderr], [0, ""]);
    const got = await run([...url("zo%C3%AB:pass%3Aw%40rd"), "get", "k"]);
    assertEquals([got.code, got.stdout, got.stderr], [0, "v", ""]);
    const status = await run([...url("zo%C3%AB:pass%3Aw%40rd"), "status"]);
    assertEquals([status.code, status.stderr], [0, ""]);
    const load = ["bench", "--duration", "100ms", "--clients", "2"];
    const measured = await run([...url("zo%C3%AB:pass%3Aw%40rd"), ...load]);
    assertEquals([measured.code, measured.stderr], [0, ""], measured.stdout);

    if (isInstalled("script")) {
      const terminal = new Terminal(`${path} client ${here.join(" ")} --user zoë --pass - get k`);
      await terminal.until("password: ");
      await terminal.type("pass:w@rx\x7fd\r");
      await terminal.until(/^\s*v\s*$/);
      assertEquals(await terminal.ended(), 0);
    }

    const nobody = await run([...here, "get", "k"]);
    assertEquals([nobody.code, nobody.stderr], [
      3,
      "dks: NOAUTH Authentication required. Say who you are: --user NAME --pass -, or " +
      "redis://NAME:PASSWORD@HOST\n",
    ]);
    const wrong = await run([...here, "--user", "reader", "--pass", "x", "get", "k"]);
    assertEquals([wrong.code, wrong.stderr], [
      3,
      `dks: 127.0.0.1:${port} does not let you in: WRONGPASS invalid username-password pair or ` +
      "user is disabled.\n",
    ]);
    const denied = await run([...url("reader:r"), "put", "k", "v"]);
    assertEquals(denied.code, 3);
    assertStringIncludes(denied.stderr, "NOPERM this user has no permissions to run the '");
    const both = await run([...here, "--pass", "-", "put", "k", "-"], "x");
    assertEquals([both.code, both.stderr], [
      2,
      "dks: --pass - and put both read standard input: give one of them in another way\n",
    ]);
    const without = await run([...here, "--user", "zoë", "get", "k"]);
    assertEquals(without.code, 2);
    const tls = await run(["-s", `rediss://a:secret@127.0.0.1:${port}`, "get", "k"]);
    assertEquals(
      [tls.code, tls.stderr.includes("secret")],
      [3, false],
      "this cluster speaks no TLS",
    );
    assertEquals(fromText(cluster.nodes[0]?.printed ?? "").includes("pass:w@rd"), false);
  } finally {
    await cluster.stop();
  }
});
