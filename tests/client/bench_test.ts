/** `bench` against servers that answer as they are told. */

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { bench, BENCH_BYTES_MAX, type BenchOptions, formatBench } from "../../src/client/bench.ts";
import { RandomWords, RequestTemplate } from "../../src/client/bench_requests.ts";
import { AccessError, ConnectionError } from "../../src/client/connection.ts";
import { LatencyHistogram } from "../../src/client/latency_histogram.ts";
import { UsageError } from "../../src/errors.ts";
import { CommandDecoder } from "../../src/resp/command_decoder.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";
import { FakeServer, HANG_UP, type Reaction } from "../harness/fake_server.ts";

/** A short run with one client against `server`. */
function options(server: FakeServer, others: Partial<BenchOptions> = {}): BenchOptions {
  return {
    addresses: [server.address],
    clients: 1,
    pipeline: 1,
    size: 10,
    keys: 100,
    ratio: [1, 1],
    durationMs: 200,
    timeoutMs: 10_000,
    ...others,
  };
}

Deno.test("RequestTemplate.encode() puts keys and data into words, with the right lengths", () => {
  const random = new RandomWords({ keys: 10, bytes: 5000 });
  const words = ["setex", "{a}__key__", "60", "__data__-__data__"];
  const template = new RequestTemplate(words, random);
  const decoder = new CommandDecoder(1_000_000);
  const request = template.encode();
  assertEquals([template.name, request.length], ["SETEX", template.bytes]);
  const bytes = Uint8Array.from(request, (character) => character.charCodeAt(0));
  let decoded: readonly string[] | undefined;
  for (let at = 0; at < bytes.length;) {
    const { space } = decoder;
    const piece = bytes.subarray(at, at + space.length);
    space.set(piece);
    decoder.received(piece.length);
    at += piece.length;
    decoded = decoder.next();
  }
  const [name, key = "", seconds, data = ""] = decoded ?? [];
  assertEquals([name, seconds, data.length, data[5000]], ["setex", "60", 10_001, "-"]);
  assertMatch(key, /^\{a\}key:00000000000\d$/);
});

Deno.test("LatencyHistogram keeps three digits, and no percentile is above the maximum", () => {
  const latencies = new LatencyHistogram();
  assertEquals(latencies.summarize().percentiles[50], NaN);
  for (let ms = 1; ms <= 1000; ms++) latencies.add(ms);
  const { count, mean, max, percentiles } = latencies.summarize();
  assertEquals([count, Math.round(mean), Math.round(max)], [1000, 501, 1000]);
  assertEquals(Math.abs(percentiles[50] - 500) <= 1, true);
  assertEquals(Math.abs(percentiles[99] - 990) <= 1, true);
  assertEquals(percentiles[99.99] <= max, true);
  latencies.add(24 * 3600 * 1000);
  assertEquals(Math.round(latencies.summarize().max / 60_000), 10);
});

Deno.test("bench() counts SETs and GETs apart, and keys that do not exist", async () => {
  using server = new FakeServer(([name]) => name === "SET" ? OK : null);
  const report = await bench(options(server, { ratio: [1, 3], clients: 3 }));
  const [set, get] = report.commands;
  assertEquals([set?.command, get?.command], ["SET", "GET"]);
  assertGreater(set?.count ?? 0, 0);
  assertGreater(get?.count ?? 0, set?.count ?? 0);
  assertEquals([set?.notFound, get?.notFound], [0, get?.count]);
  assertEquals([report.failed, report.unsent, server.connections], [0, 0, 3]);
  assertEquals((set?.count ?? 0) + (get?.count ?? 0), server.commands.length);
  assertMatch(formatBench(report), /^GET +\d+ +\d+ /m);
});

Deno.test("bench() has at most as many requests under way as it was told", async () => {
  using server = new FakeServer(() => OK);
  await bench(options(server, { pipeline: 7 }));
  assertEquals(server.mostUnderWay, 7);
});

Deno.test("bench() spreads its clients over all addresses", async () => {
  using one = new FakeServer(() => OK);
  using two = new FakeServer(() => OK);
  await bench(options(one, { addresses: [one.address, two.address], clients: 4 }));
  assertEquals([one.connections, two.connections], [2, 2]);
});

Deno.test("bench() counts errors by their first word, and at most so many words", async () => {
  using server = new FakeServer((_, before) => new ErrorReply(`E${before % 100}`, "no"));
  const report = await bench(options(server, { pipeline: 100, durationMs: 50 }));
  assertEquals(report.count, 0);
  assertEquals(report.failed, server.commands.length);
  assertEquals(Object.keys(report.errors).length, 33);
  assertEquals((report.errors["(other)"] ?? 0) > (report.errors["E0"] ?? 0), true);
  assertMatch(formatBench(report), /^failed: \d+ E0$/m);
});

/** Answers nothing for 300 ms from the 50th command on, as a server that stands still once. */
function stalling(): FakeServer {
  let stalled: Promise<void> | undefined;
  return new FakeServer(async (_, before) => {
    if (before >= 50) {
      stalled ??= new Promise((resolve) => setTimeout(resolve, 300));
      await stalled;
    }
    return OK;
  });
}

Deno.test("bench() with a rate measures requests from when they were due", async () => {
  using server = stalling();
  const rate = 500;
  const report = await bench(options(server, { rate, durationMs: 800, command: ["PING"] }));
  const [ping] = report.commands;
  // Those that were due in the first 200 ms of the 300 waited for 100 ms at least: 100 of 400.
  assertGreaterOrEqual(ping?.percentiles[75] ?? 0, 90);
  assertEquals(report.count + report.unsent >= 0.9 * rate * report.seconds, true);
});

Deno.test("bench() with a rate that is too high counts what was due and never sent", async () => {
  using server = new FakeServer(async () => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    return OK;
  });
  const rate = 10_000;
  const report = await bench(options(server, { rate, durationMs: 300, command: ["PING"] }));
  const [ping] = report.commands;
  assertEquals(server.commands.length + report.unsent >= 0.9 * rate * report.seconds, true);
  assertGreater(report.unsent, 2000);
  assertEquals(ping?.count, server.commands.length + report.unsent);
  assertGreater(ping?.percentiles[50] ?? 0, 100);
});

/** A run of any length, which ends when the server calls `end`. */
function untilEnded(): { end: () => void; others: Partial<BenchOptions> } {
  const ending = new AbortController();
  const others = { durationMs: 600_000, signal: ending.signal };
  return { end: () => ending.abort(), others };
}

Deno.test("bench() connects again when a connection breaks", async () => {
  const { end, others } = untilEnded();
  using server = new FakeServer((_, before) => {
    if (before === 20) end();
    return before === 5 ? HANG_UP : OK;
  });
  const report = await bench(options(server, others));
  assertEquals([report.errors, server.connections], [{ CONNECTION: 1 }, 2]);
  assertGreater(report.count, 5);
});

Deno.test("bench() gives up a connection that does not answer in time", async () => {
  const { end, others } = untilEnded();
  using server = new FakeServer((_, before) => {
    if (before === 20) end();
    return before === 0 ? new Promise<Reaction>(() => {}) : OK;
  });
  const report = await bench(options(server, { ...others, timeoutMs: 1000 }));
  assertEquals([report.errors, server.connections], [{ CONNECTION: 1 }, 2]);
  assertGreater(report.count, 0);
});

Deno.test("bench() says who it is, and ends if it is not let in or nobody is there", async () => {
  const credentials = { user: "ann", password: "secret" };
  using server = new FakeServer(() => OK);
  await bench(options(server, { credentials, durationMs: 50 }));
  assertEquals(server.commands[0], ["AUTH", "ann", "secret"]);
  using strict = new FakeServer(() => new ErrorReply("WRONGPASS", "no"));
  await assertRejects(
    () => bench(options(strict, { credentials })),
    AccessError,
    "does not let you in: WRONGPASS no",
  );
  const gone = new FakeServer(() => OK);
  gone[Symbol.dispose]();
  await assertRejects(() => bench(options(gone)), ConnectionError, "cannot reach 127.0.0.1:");
});

Deno.test("bench() refuses what would take too much memory", async () => {
  using server = new FakeServer(() => OK);
  const size = BENCH_BYTES_MAX / 100;
  await assertRejects(
    () => bench(options(server, { size, clients: 10, pipeline: 10 })),
    UsageError,
    "10 clients with 10 requests of",
  );
});

Deno.test("bench() ends early when it is told to, and reports what it has", async () => {
  using server = new FakeServer(() => OK);
  const ending = new AbortController();
  setTimeout(() => ending.abort(), 50);
  const report = await bench(options(server, { durationMs: 600_000, signal: ending.signal }));
  assertGreater(report.count, 0);
  assertEquals(report.seconds < 600, true);
});
