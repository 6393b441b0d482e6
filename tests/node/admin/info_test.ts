/** INFO: its names are unique, and where Redis has a name it means what Redis means. */

import { assert, assertEquals } from "@std/assert";
import { CommandStatistics } from "../../../src/node/server/command_statistics.ts";
import { infoText } from "../../../src/node/admin/info.ts";
import { Statistics } from "../../../src/node/admin/statistics.ts";
import { TurnTimes } from "../../../src/node/admin/turn_times.ts";
import { COUNTER_NAMES, COUNTERS } from "../../../src/two_phase/counters.ts";
import { Script } from "../../two_phase/script.ts";

/** The lines of INFO of a member of three nodes, as names and values. */
function fields(sections: readonly string[] = []): (readonly [string, string])[] {
  const [replica] = Script.complete(3).replicas;
  assert(replica !== undefined);
  const text = infoText({
    port: 5000,
    connections: 2,
    replica,
    peers: { names: ["n1:5000", "n2:5000", "n3:5000"], self: 0, links: [] },
    statistics: new Statistics(),
    runId: "0".repeat(40),
    commands: new CommandStatistics(),
    memory: { usedBytes: 10, peakBytes: 20, boundBytes: 1000, heapBytes: 30, residentBytes: 40 },
    turnTimes: new TurnTimes(0),
    admission: { bytes: 5, waiting: 1 },
    pubsub: { localSize: (kind) => ["channel", "pattern"].indexOf(kind) + 1, dropped: 7 },
    tracking: { clients: 3, keys: 4 },
    denied: { auth: 5, command: 6, key: 7, channel: 8 },
    viewSince: undefined,
    isOpenToPeers: false,
    notListed: undefined,
    journal: { place: "memory", isEphemeral: true, trouble: undefined },
  }, sections);
  return text.split("\r\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1)];
  });
}

Deno.test("infoText() has each name once, and every counter", () => {
  const names = fields().map(([name]) => name);
  assertEquals(names.length, new Set(names).size, `twice: ${names.toSorted()}`);
  for (const counter of COUNTER_NAMES) assert(names.includes(COUNTERS[counter].name), counter);
});

Deno.test("infoText() says role:master, as clients look for the node that accepts writes", () => {
  const all = new Map(fields());
  assertEquals(all.get("role"), "master");
  assertEquals(all.get("node_role"), "member");
  assertEquals(all.get("tcp_port"), "5000");
  assertEquals(new Map(fields(["replication"])).get("role"), "master");
});

Deno.test("infoText() tells of subscriptions and of clients that track keys", () => {
  const all = new Map(fields());
  const names = ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels", "tracking_clients"];
  assertEquals(names.map((name) => all.get(name)), ["1", "2", "0", "3"]);
  assertEquals([all.get("publications_dropped"), all.get("tracking_total_keys")], ["7", "4"]);
  const denied = ["auth", "cmd", "key", "channel"].map((what) => `acl_access_denied_${what}`);
  assertEquals(denied.map((name) => all.get(name)), ["5", "6", "7", "8"]);
});
