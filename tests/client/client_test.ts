import { assertEquals, assertMatch } from "@std/assert";
import { setColorEnabled } from "@std/fmt/colors";
import { CLIENT_HELP } from "../../src/client/client.ts";
import { formatReply } from "../../src/client/format.ts";
import { Latencies } from "../../src/client/measurements.ts";
import { parseOperations } from "../../src/client/operations_file.ts";
import { formatBar } from "../../src/client/progress_bar.ts";
import { PROMPT_HELP } from "../../src/client/prompt.ts";
import { formatStatus } from "../../src/client/status.ts";
import { formatNumber, formatTable } from "../../src/client/table.ts";
import { SERVE_HELP } from "../../src/node/serve.ts";
import { ErrorReply, type RespValue, SimpleString } from "../../src/resp/value.ts";

setColorEnabled(false);

Deno.test("parseOperations() reads the lines of the original's format", () => {
  const { operations, bad } = parseOperations(
    '\uFEFFPUT,k,v\r\nget,k,ignored\n\nDELETE,k\nPUT,"a,b","c ""d"""\nPUT,é,\n',
  );
  assertEquals(bad, []);
  assertEquals(operations, [
    { name: "PUT", key: "k", value: "v" },
    { name: "GET", key: "k", value: "" },
    { name: "DELETE", key: "k", value: "" },
    { name: "PUT", key: "a,b", value: 'c "d"' },
    { name: "PUT", key: "\xc3\xa9", value: "" },
  ]);
});

Deno.test("parseOperations() reports bad lines with their numbers", () => {
  const { operations, bad } = parseOperations('PUT,k\nMOVE,a\nGET\nPUT,a,b,c\nPUT,a,b"c\nGET,k');
  assertEquals(operations.length, 1);
  assertEquals(bad, [
    { line: 1, reason: "PUT needs a value" },
    { line: 2, reason: '"MOVE" is not PUT, GET or DELETE' },
    { line: 3, reason: "GET needs a key" },
    {
      line: 4,
      reason: "PUT has 4 fields, not 3: put a value with commas in double quotes",
    },
    { line: 5, reason: 'no CSV: bare " in non-quoted-field' },
  ]);
});

Deno.test("examples/operations.csv has the shape of the original's file", async () => {
  const file = new URL("../../examples/operations.csv", import.meta.url);
  const { operations, bad } = parseOperations(await Deno.readTextFile(file));
  const count = (name: string) => operations.filter((one) => one.name === name).length;
  assertEquals(bad, []);
  assertEquals([count("PUT"), count("GET"), count("DELETE")], [80, 60, 10]);
});

Deno.test("Latencies.summarize() has the mean, the variance and the quantiles", () => {
  const latencies = new Latencies();
  for (let ms = 100; ms >= 1; ms--) latencies.add(ms);
  const { count, mean, variance, p50, p95, p99, max } = latencies.summarize();
  assertEquals([count, mean, p50, p95, p99, max], [100, 50.5, 50, 95, 99, 100]);
  assertEquals(variance.toFixed(6), (100 * 101 / 12).toFixed(6));
});

Deno.test("Latencies.summarize() has no figures when there is no sample, and more than 1024", () => {
  assertEquals(new Latencies().summarize().mean, NaN);
  const latencies = new Latencies();
  for (let i = 0; i < 5000; i++) latencies.add(i);
  assertEquals(latencies.summarize().max, 4999);
});

Deno.test("formatTable() aligns columns, colours or not", () => {
  assertEquals(
    formatTable(["a", "number"], [["long", "1"], ["\x1b[32mx\x1b[39m", "22"]], ["left", "right"]),
    "a     number\nlong       1\n\x1b[32mx\x1b[39m         22\n",
  );
});

Deno.test("formatNumber() has three significant digits", () => {
  const table: [number, string][] = [
    [0.12345, "0.123"],
    [1.234, "1.23"],
    [12.34, "12.3"],
    [
      1234.5,
      "1,235",
    ],
    [0, "0"],
    [NaN, "-"],
  ];
  for (const [value, text] of table) assertEquals(formatNumber(value), text);
});

Deno.test("formatBar() fits into the terminal", () => {
  for (const columns of [20, 40, 80, 200]) {
    const line = formatBar({ title: "run", done: 50, total: 100, seconds: 2 }, columns);
    assertEquals(line.length < columns, true, `${columns}: ${line}`);
  }
  assertMatch(formatBar({ title: "run", done: 50, total: 100, seconds: 2 }, 80), /50 %.*25\/s/);
});

Deno.test("formatReply() shows values as a person reads them", () => {
  const table: [RespValue, string][] = [
    [null, "(not found)"],
    ["text", '"text"'],
    ["\xc3\xa9", '"é"'],
    ["\x00\xff", '"\\x00\\xff"'],
    ["line 1\r\nline 2\r\n", "line 1\nline 2"],
    [3, "3"],
    [new SimpleString("OK"), "OK"],
    [new ErrorReply("TRYAGAIN", "ABORTED no vote"), "TRYAGAIN ABORTED no vote"],
    [[], "(empty)"],
    [["a", null, [1, 2]], '1) "a"\n2) (not found)\n3) 1) 1\n   2) 2'],
    [new Map<RespValue, RespValue>([["k", 1]]), '"k": 1'],
  ];
  for (const [value, text] of table) assertEquals(formatReply(value), text);
});

Deno.test("formatStatus() shows the view, and what each node is to it", () => {
  const text = formatStatus({
    version: "0",
    view: 7,
    viewSince: 0,
    cluster: "c",
    origin: null,
    listChange: null,
    notListed: null,
    isComplete: false,
    journal: "memory",
    isEphemeral: true,
    journalTrouble: null,
    isOpenToPeers: false,
    clockOffMs: 0,
    isClockRight: true,
    uptimeSeconds: 300,
    nodes: [
      {
        address: "a:1",
        isSelf: true,
        isUp: true,
        isInView: true,
        isLearner: false,
        replaces: null,
        role: "member",
        chunks: null,
        hasLease: true,
        forceMs: 3,
        isSlow: false,
        roundTripMs: null,
        keys: 1234,
        requestsPerSecond: 5,
      },
      {
        address: "b:1",
        isSelf: false,
        isUp: false,
        isInView: true,
        isLearner: false,
        replaces: null,
        role: "down",
        chunks: null,
        hasLease: null,
        forceMs: null,
        isSlow: false,
        roundTripMs: null,
        keys: null,
        requestsPerSecond: null,
      },
      {
        address: "c:1",
        isSelf: false,
        isUp: true,
        isInView: false,
        isLearner: false,
        replaces: null,
        role: "joining",
        chunks: 12,
        hasLease: false,
        forceMs: 312,
        isSlow: true,
        roundTripMs: 0.25,
        keys: 7,
        requestsPerSecond: 0,
      },
    ],
    inDoubt: 12,
    doubts: [
      {
        transaction: "0.3.4711",
        since: 1000,
        keys: 1,
        key: '"city"',
        waitsFor: "the votes of b:1, c:1",
        nodes: ["b:1", "c:1"],
      },
      {
        transaction: "1.1.9",
        since: 2000,
        keys: 0,
        key: "",
        waitsFor: "its coordinator b:1",
        nodes: ["b:1"],
      },
    ],
  });
  assertEquals(
    text,
    "view 7, 2 of 3 nodes up, not complete: writes wait, up for 5 min\n" +
      "ephemeral: nothing is stored\n" +
      "2 of 3 nodes are members, since 1970-01-01T00:00:00.000Z\n\n" +
      "node   role                lease  round trip         force   keys  requests/s\n" +
      "a:1 *  member              held            -          3 ms  1,234           5\n" +
      "b:1    down                -               -             -      -           -\n" +
      "c:1    joining, 12 chunks  none     0.250 ms  312 ms, slow      7           0\n\n" +
      "12 transactions are in doubt here: reads and writes of their keys wait\n\n" +
      "transaction  since                     waits for              keys  the first\n" +
      '0.3.4711     1970-01-01T00:00:01.000Z  the votes of b:1, c:1     1  "city"\n' +
      "1.1.9        1970-01-01T00:00:02.000Z  its coordinator b:1       0  -\n" +
      "and 10 younger ones\n",
  );
});

Deno.test("all helps fit in 80 columns", () => {
  for (const line of `${PROMPT_HELP}${CLIENT_HELP}${SERVE_HELP}`.split("\n")) {
    // A terminal of 80 columns begins a new line behind the 80th.
    assertEquals(line.length < 80, true, line);
  }
});
