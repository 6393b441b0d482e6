import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import {
  type ClusterPosition,
  difference,
  listDifference,
  type SharedConfig,
} from "../../src/node/peer/handshake.ts";
import { parseServeOptions } from "../../src/node/serve.ts";

function parse(line: string) {
  return parseServeOptions(line === "" ? [] : line.split(" "));
}

Deno.test("parseServeOptions() reads every flag", () => {
  const options = parse(
    "-p5001 --host 127.0.0.1 --peers b,A:7000,[::1]:5002 --advertise b --timeout 750ms " +
      "--slow-force 50ms --slow-member exclude --lease 2s --suspicion 1500ms --heartbeat 100ms " +
      "--max-key-bytes 100 --max-value-bytes 2000 --log-level warn --log-format json",
  );
  assertEquals(options.port, 5001);
  assertEquals(options.hostname, "127.0.0.1");
  assertEquals(options.peers, [
    { hostname: "::1", port: 5002 },
    { hostname: "a", port: 7000 },
    { hostname: "b", port: 5001 },
  ]);
  assertEquals(options.advertise, { hostname: "b", port: 5001 });
  assertEquals([options.timeoutMs, options.keyBytesMax, options.valueBytesMax], [750, 100, 2000]);
  assertEquals([options.leaseMs, options.suspicionMs, options.heartbeatMs], [2000, 1500, 100]);
  assertEquals([options.slowForceMs, options.excludesSlow], [50, true]);
});

Deno.test("parseServeOptions() reads names that stand for several nodes", () => {
  const { peers, discover } = parse("--peers _dks._tcp.b,a:7000 --nodes 5 --advertise n1");
  assertEquals(peers, undefined);
  assertEquals(discover, {
    names: [{ hostname: "_dks._tcp.b", port: 5000 }, { hostname: "a", port: 7000 }],
    count: 5,
  });
});

Deno.test("parseServeOptions() has defaults", () => {
  const options = parse("");
  assertEquals([options.port, options.hostname, options.timeoutMs], [5000, "0.0.0.0", 5000]);
  assertEquals([options.keyBytesMax, options.valueBytesMax], [65536, 8388608]);
  assertEquals([options.leaseMs, options.suspicionMs, options.heartbeatMs], [1000, 1000, 200]);
  assertEquals([options.slowForceMs, options.excludesSlow], [100, false]);
  assertEquals([options.peers, options.http], [undefined, undefined]);
});

Deno.test("parseServeOptions() says where the journal of a program is that is run from the source", () => {
  assertEquals(parse("").storage, { kind: "default", place: "location_data of Deno's cache" });
});

Deno.test("parseServeOptions() has --http at the loopback address, unless it is told another", () => {
  assertEquals(parse("--http 9121").http, {
    address: { hostname: "127.0.0.1", port: 9121 },
    names: [],
  });
  assertEquals(parse("--http 9121 --http-host :: --http-name N1.Example.com,m").http, {
    address: { hostname: "::", port: 9121 },
    names: ["n1.example.com", "m"],
  });
});

Deno.test("parseServeOptions() throws an error that names the value when a flag is wrong", () => {
  const table: [line: string, message: string][] = [
    ["-p 0", '--port takes a port from 1 to 65535, not "0"'],
    ["-p 70000", '--port takes a port from 1 to 65535, not "70000"'],
    ["--port", "--port needs a value"],
    ["-p 1 -p 2", "--port was given more than once"],
    ["--nodes 3", "--nodes is of no use without --peers"],
    ["--nodes 3 --join a", "--nodes is of no use without --peers"],
    ["--peers a --nodes 1", '--nodes takes an integer from 2 to 31, not "1"'],
    [
      "--peers a --nodes 2 --force-new-cluster",
      "--force-new-cluster takes the names of the nodes, without --nodes",
    ],
    ["--peers a,,b", '--peers takes host or host:port, not ""'],
    ["--peers a,a:5000", "--peers names a:5000 twice"],
    ["--peers a:x", '--peers takes host or host:port, not "a:x"'],
    ["--peers a:99999", '--peers takes a port from 1 to 65535, not "99999"'],
    [`--peers ${Array.from({ length: 32 }, (_, i) => `n${i}`)}`, "names 32 nodes, but 31"],
    ["--peers a,b --advertise c", "--advertise c:5000 is not among the --peers a,b"],
    ["--http 0", '--http takes a port from 1 to 65535, not "0"'],
    ["--http 9121 --http-name a/b", '--http-name: "a/b" is neither a host name nor an address'],
    ["--http-host ::", "--http-host is of no use without --http"],
    ["--http-name a", "--http-name is of no use without --http"],
    ["--slow-member leave", '--slow-member takes warn or exclude, not "leave"'],
    ["--slow-force 61s", '--slow-force takes a time from 1ms to 60s, not "61s"'],
    ["--timeout 5", '--timeout takes a duration such as 5s or 500ms, not "5"'],
    ["--timeout 1ms", '--timeout takes a time from 100ms to 60s, not "1ms"'],
    ["--lease 10ms", '--lease takes a time from 20ms to 60s, not "10ms"'],
    ["--heartbeat 2m", '--heartbeat takes a time from 20ms to 60s, not "2m"'],
    ["--suspicion x", '--suspicion takes a duration such as 5s or 500ms, not "x"'],
    ["--suspicion 390ms", "--suspicion 390ms is less than twice --heartbeat 200ms"],
    ["--heartbeat 501ms --suspicion 2s", "--lease 1000ms is less than twice --heartbeat 501ms"],
    ["--lease 3001ms", "--lease 3001ms is more than three times --suspicion 1000ms"],
    ["--max-key-bytes 0", '--max-key-bytes takes an integer from 1 to 1048576, not "0"'],
    ["--log-level loud", '--log-level takes debug, info, warn, error, critical, not "loud"'],
    ["--log-format xml", '--log-format takes text or json, not "xml"'],
    ["--frob", 'unknown option "--frob"'],
    ["extra", 'dks serve takes no argument "extra"'],
  ];
  for (const [line, message] of table) {
    assertThrows(() => parse(line), UsageError, message, line);
  }
});

Deno.test("difference() names both values when two nodes are configured differently", () => {
  const mine: SharedConfig = {
    protocol: 1,
    keyBytesMax: 10,
    valueBytesMax: 20,
    leaseMs: 1000,
    suspicionMs: 1000,
    heartbeatMs: 200,
  };
  const sentence = (theirs: Partial<SharedConfig>) =>
    difference(mine, { theirs: { ...mine, ...theirs }, name: "b:1" });
  assertEquals(sentence({}), undefined);
  assertEquals(
    sentence({ protocol: 2 }),
    "b:1 speaks version 2 of the peer protocol, this node version 1: run the same dks everywhere",
  );
  assertEquals(sentence({ newestProtocol: 2 }), undefined);
  assertEquals(
    sentence({ protocol: 2, newestProtocol: 3 }),
    "b:1 speaks versions 2 to 3 of the peer protocol, this node version 1: run the same dks everywhere",
  );
  assertEquals(
    sentence({ keyBytesMax: 11 }),
    "b:1 has --max-key-bytes 11, this node 10: give every node the same",
  );
  assertEquals(
    sentence({ leaseMs: 500 }),
    "b:1 has --lease 500ms, this node 1000ms: give every node the same",
  );
});

Deno.test("listDifference() names both lists of --peers, and heeds no list of a view", () => {
  const position = (names: readonly string[], listView: number): ClusterPosition => {
    return { view: listView, cluster: { id: "" }, names, listView };
  };
  const ab = ["a:1", "b:1"];
  const ac = ["a:1", "c:1"];
  const difference = (mine: ClusterPosition, theirs: ClusterPosition) =>
    listDifference(mine, { theirs, name: "b:1" });
  assertEquals(
    difference(position(ab, 0), position(ac, 0)),
    'the peer list of b:1 is "a:1,c:1", this node\'s is "a:1,b:1": give every node the same --peers',
  );
  assertEquals(difference(position(ab, 0), position(ab, 0)), undefined);
  assertEquals(difference(position(ab, 2), position(ac, 0)), undefined);
  assertEquals(difference(position(ab, 0), position(ac, 3)), undefined);
  assertEquals(difference(position([], 0), position(ac, 0)), undefined, "it asks for the list");
});
