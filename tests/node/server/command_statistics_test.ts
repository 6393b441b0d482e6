/** What is counted of commands, and told by SLOWLOG, LATENCY, MONITOR and INFO. */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import {
  type CommandCounts,
  CommandStatistics,
  SAMPLE_EVERY,
} from "../../../src/node/server/command_statistics.ts";
import { LatencyMonitor } from "../../../src/node/server/latency_monitor.ts";
import { SlowLog } from "../../../src/node/server/slow_log.ts";
import type { EncodedPush } from "../../../src/resp/encoder.ts";
import { ErrorReply, OK, type RespValue } from "../../../src/resp/value.ts";
import { factsOf, runWords, session } from "../commands/session.ts";

const error = (message: string) => new ErrorReply("ERR", message);

function countsOf(statistics: CommandStatistics, name: string): CommandCounts {
  const counts = statistics.of(COMMANDS.named(name)?.index ?? -1);
  assert(counts !== undefined);
  return counts;
}

Deno.test("CommandStatistics times what may take long each time, and one in many of the rest", () => {
  const statistics = new CommandStatistics();
  const timed = (name: string) => {
    const counts = countsOf(statistics, name);
    let times = 0;
    for (let call = 0; call < 10 * SAMPLE_EVERY; call++) {
      counts.calls++;
      if (statistics.isTimed(counts)) times++;
    }
    return times;
  };
  assertEquals(["get", "set", "mget", "keys"].map(timed), [10, 10, 160, 160]);
  statistics.slowMicros = 100; // Whoever wants to know of so short times wants to know of all.
  assertEquals(timed("get"), 160);
});

Deno.test("CommandStatistics keeps slow commands, but for those that must not be read", () => {
  const statistics = new CommandStatistics();
  const of = { ...session(), name: "me" };
  statistics.took(countsOf(statistics, "keys"), 9.9, { words: ["KEYS", "*"], of });
  statistics.took(countsOf(statistics, "keys"), 10.5, { words: ["KEYS", "*"], of });
  statistics.took(countsOf(statistics, "auth"), 10.5, { words: ["AUTH", "secret"], of });
  assertEquals(statistics.slowLog.latest(5), [{
    id: 0,
    atSeconds: 1234567890,
    micros: 10500,
    words: ["KEYS", "*"],
    address: "10.0.0.1:5000",
    name: "me",
  }]);
  statistics.slowMicros = -1;
  statistics.took(countsOf(statistics, "keys"), 1000, { words: ["KEYS", "*"], of });
  assertEquals(statistics.slowLog.length, 1);
});

Deno.test("CommandCounts tells the mean and percentiles of what was timed", () => {
  const counts = countsOf(new CommandStatistics(), "keys");
  assertEquals([counts.microsPerCall, counts.percentile(50)], [0, 0]);
  for (let i = 0; i < 99; i++) counts.took(10);
  counts.took(1000);
  assertEquals(counts.microsPerCall.toFixed(2), "19.90");
  assert(counts.percentile(50) >= 10 && counts.percentile(50) < 12);
  assert(counts.percentile(99) < 12);
  assert(counts.percentile(99.9) >= 1000 && counts.percentile(99.9) < 1200);
});

Deno.test("CommandStatistics counts the keys that a read looks for", () => {
  const statistics = new CommandStatistics();
  const result = runWords(["MGET", "a", "b", "c"]);
  assert("request" in result && result.request.kind === "read");
  const read = (key: string) => key === "b" ? "1" : undefined;
  const reply = statistics.counted(result.request).evaluate(read, factsOf(read));
  assertEquals(reply, [null, "1", null]);
  assertEquals([statistics.keyspaceHits, statistics.keyspaceMisses], [1, 2]);
  statistics.onError("ERR");
  statistics.onError("ERR");
  assertEquals([...statistics.errors], [["ERR", 2]]);
  statistics.reset();
  assertEquals([statistics.keyspaceMisses, statistics.errors.size], [0, 0]);
});

Deno.test("CommandStatistics.show() tells monitors of commands, in bounded lines, until they end", () => {
  const statistics = new CommandStatistics();
  const lines: string[] = [];
  const monitor = { ...session(), tell: (push: EncodedPush) => void lines.push(push.in(2)) };
  assertEquals(statistics.hasMonitors, false);
  runWords(["MONITOR"], { ...monitor, node: { ...monitor.node, monitor: () => {} } });
  const watching = { ...monitor, node: { ...monitor.node, monitor: () => {} } };
  runWords(["MONITOR"], watching);
  statistics.monitor(watching);
  const show = (...words: string[]) =>
    statistics.show(countsOf(statistics, (words[0] ?? "").toLowerCase()), words, session());
  show("SET", 'a"\n\x00', "v".repeat(130));
  show("AUTH", "secret");
  show("HELLO", "3", "AUTH", "default", "secret");
  show("EXEC"); // It tells what was queued before it from what was not.
  show("MSET", ...Array.from({ length: 40 }, (_, at) => String(at)));
  assertEquals(
    lines[0],
    '+1234567890.123500 [0 10.0.0.1:5000] "SET" "a\\"\\n\\x00" ' +
      `"${"v".repeat(128)}... (2 more bytes)"\r\n`,
  );
  assertEquals(lines[1], '+1234567890.123500 [0 10.0.0.1:5000] "EXEC"\r\n');
  assert(lines[2]?.endsWith('"29" "... (10 more arguments)"\r\n'), lines[2]);
  assertEquals(lines.length, 3);
  runWords(["RESET"], watching);
  show("GET", "k");
  assertEquals([lines.length, statistics.hasMonitors], [3, false]);
});

/** A client of a node with a slow log and a latency monitor of its own. */
function client() {
  const of = session();
  const ask = (line: string): RespValue => {
    const result = runWords(line.split(" "), of);
    assert("reply" in result, line);
    return result.reply;
  };
  return {
    of,
    ask,
    slowLog: of.node.slowLog as SlowLog,
    latency: of.node.latency as LatencyMonitor,
  };
}

Deno.test("SLOWLOG answers with the latest first, and keeps so many", () => {
  const { ask, slowLog } = client();
  const entry = { atSeconds: 5, micros: 20_000, address: "h:1", name: "" };
  for (const word of ["a", "b", "c", "d"]) slowLog.add({ ...entry, words: ["KEYS", word] });
  assertEquals(ask("SLOWLOG LEN"), 3);
  assertEquals(ask("SLOWLOG GET 1"), [[3, 5, 20_000, ["KEYS", "d"], "h:1", ""]]);
  assertEquals((ask("SLOWLOG GET") as RespValue[]).length, 3);
  assertEquals((ask("SLOWLOG GET -1") as RespValue[]).length, 3);
  assertEquals(ask("SLOWLOG GET 0"), []);
  for (const line of ["SLOWLOG GET -2", "SLOWLOG GET x"]) {
    assertEquals(ask(line), error("count should be greater than or equal to -1"));
  }
  assertEquals(ask("CONFIG SET slowlog-max-len 1"), OK);
  assertEquals(ask("SLOWLOG LEN"), 1);
  assertEquals([ask("SLOWLOG RESET"), ask("SLOWLOG LEN")], [OK, 0]);
});

Deno.test("LATENCY tells the longest of each second, once there is a threshold", () => {
  const { ask, latency } = client();
  latency.note("command", 500, 1000);
  assertEquals(ask("LATENCY LATEST"), []);
  assertEquals(ask("CONFIG SET latency-monitor-threshold 100"), OK);
  latency.note("command", 99, 1000);
  for (const [ms, atMs] of [[200, 1000], [300, 1500], [150, 2000]] as const) {
    latency.note("command", ms, atMs);
  }
  assertEquals(ask("LATENCY LATEST"), [["command", 2, 150, 300]]);
  assertEquals(ask("LATENCY HISTORY command"), [[1, 300], [2, 150]]);
  assertEquals(ask("LATENCY HISTORY none"), []);
  assertEquals([ask("LATENCY RESET none"), ask("LATENCY RESET"), ask("LATENCY RESET")], [0, 1, 0]);
});

Deno.test("CONFIG SET sets all parameters or none, and says what is wrong as Redis does", () => {
  const { ask, of } = client();
  assertEquals(ask("CONFIG SET maxmemory 2mb timeout 7"), OK);
  assertEquals(of.node.settings.memoryBytesMax, 2 * 1024 ** 2);
  assertEquals(
    ask("CONFIG GET m[a]xmemory time*"),
    new Map([["maxmemory", "2097152"], ["timeout", "7"]]),
  );
  assertEquals(ask("CONFIG SET timeout 0"), OK);
  assertEquals([of.node.settings.idleMsMax, ask("CONFIG GET timeout")], [
    Infinity,
    new Map([["timeout", "0"]]),
  ]);
  const failed = (name: string, reason: string) =>
    error(`CONFIG SET failed (possibly related to argument '${name}') - ${reason}`);
  assertEquals(
    ask("CONFIG SET slowlog-log-slower-than 5 timeout -1"),
    failed("timeout", "argument must be between 0 and 2147483647 inclusive"),
  );
  assertEquals(of.node.settings.slowMicros, 10_000);
  assertEquals(
    ask("CONFIG SET maxmemory abc"),
    failed("maxmemory", "argument must be a memory value"),
  );
  assertEquals(
    ask("CONFIG SET slowlog-max-len 5 slowlog-max-len 6"),
    failed("slowlog-max-len", "duplicate parameter"),
  );
  assertEquals(ask("CONFIG SET databases 5"), failed("databases", "can't set immutable config"));
});
