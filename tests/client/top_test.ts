import { assertEquals } from "@std/assert";
import { bold, stripAnsiCode } from "@std/fmt/colors";
import { formatTable } from "../../src/client/table.ts";
import { fit, slowIn, timesIn } from "../../src/client/top.ts";
import { ErrorReply } from "../../src/resp/value.ts";

Deno.test("timesIn() returns the slowest commands first", () => {
  const info = "# Latencystats\r\n" +
    "latency_percentiles_usec_get:p50=10.047,p99=20.095,p99.9=30.0\r\n" +
    "latency_percentiles_usec_client|list:p50=1,p99=200.5,p99.9=300\r\n";
  assertEquals(timesIn(info), [
    { name: "client|list", p50: 1, p99: 200.5 },
    { name: "get", p50: 10.047, p99: 20.095 },
  ]);
  assertEquals(timesIn(new ErrorReply("NOPERM", "no")), []);
});

Deno.test("slowIn() returns the slowest commands first, in quotes and cut", () => {
  const entry = (micros: number, ...words: string[]) => [1, 2, micros, words, "10.0.0.1:1", ""];
  assertEquals(slowIn([entry(5, "get", "k"), entry(7000, "set", "k\x1b[31m", "v")]), [
    { micros: 7000, words: "set k\\x1b[31m v" },
    { micros: 5, words: "get k" },
  ]);
  assertEquals((slowIn([entry(1, "x".repeat(500))])[0]?.words.length ?? 0) < 80, true);
  assertEquals(slowIn(new ErrorReply("NOPERM", "no")), []);
  assertEquals(slowIn([null, ["odd"]]), []);
});

Deno.test("formatTable() leaves out last columns, rather than cut a number", () => {
  const table = (columnsMax: number) =>
    formatTable(
      ["node", "ms", "keys"],
      [["a", "0.25", "12"]],
      ["left", "right", "right"],
      columnsMax,
    );
  assertEquals(stripAnsiCode(table(16)), "node    ms  keys\na     0.25    12\n");
  assertEquals(stripAnsiCode(table(15)), "node    ms\na     0.25\n");
  assertEquals(table(1), table(15));
});

Deno.test("fit() cuts lines to the width, and leaves out those below the screen", () => {
  assertEquals(fit("abcdef\ng\nh\n", { columns: 4, rows: 2 }), ["abc…", "g"]);
  const short = bold("abcd");
  assertEquals(fit(short, { columns: 4, rows: 2 }), [short]);
  assertEquals(fit(bold("abcde"), { columns: 4, rows: 2 }), ["abc…"]);
});
