/** What the benchmark makes of its results. */

import { assertEquals, assertMatch } from "@std/assert";
import { barChart, lineChart } from "./charts.ts";
import type { Load } from "./load.ts";
import { PARTS } from "./parts.ts";
import { Figures, type PartResult } from "./results.ts";

const LOAD: Load = {
  ...{ count: 1000, perSecond: 500, seconds: 2, meanMs: 1, maxMs: 9, errors: 0, nulls: 0 },
  ...{ ownCpuSeconds: 0.1, storeCpuSeconds: 0.2, leastOfClients: 1, mostOfClients: 2 },
  ...{ byHost: [1000], percentiles: { "50": 0.5 }, firstError: "" },
};

const RESULT: PartResult = {
  ...{ part: "peers", commit: "1234567", isChanged: false, finishedAt: "2026-11-26T00:00:00Z" },
  ...{ seconds: 1, isQuick: false, othersPercent: 0, failures: [] },
  machine: { processor: "any", cores: 2, kernel: "6.1", deno: "2.9.6" },
  measures: [{
    system: "dks",
    what: "SET",
    runs: [{ ...LOAD, perSecond: 100 }, { ...LOAD, perSecond: 900 }, LOAD],
  }],
  figures: { idle: [3, 1, 2] },
};

Deno.test("Figures have the median of the rounds, and NaN for what was not measured", () => {
  const figures = new Figures(RESULT);
  assertEquals(figures.perSecond("dks", "SET"), 500);
  assertEquals(figures.percentile("dks", "SET", "50"), 0.5);
  assertEquals(figures.cpuMicros("dks", "SET"), 200);
  assertEquals(figures.figure("idle"), 2);
  assertEquals([figures.perSecond("dks", "GET"), figures.figure("other")], [NaN, NaN]);
  assertEquals(new Figures(undefined).meanMs("dks", "SET"), NaN);
});

Deno.test("lineChart() has a line for each series, in the picture, without points that are missing", () => {
  const svg = lineChart({
    title: "a < b & c",
    x: { label: "depth", isLogarithmic: true, ticks: [1, 10, 100] },
    y: { label: "per second" },
    series: [
      { name: "one", points: [[1, 10], [10, 20], [100, 40]] },
      { name: "two", points: [[1, NaN], [10, 5], [100, 8]] },
      { name: "none", points: [[1, NaN]] },
    ],
  });
  const lines = [...svg.matchAll(/<polyline [^>]*points="([^"]+)"/g)].map(([, points = ""]) =>
    points
  );
  assertEquals(lines.map((points) => points.split(" ").length), [3, 2]);
  const [one = ""] = lines;
  const places = one.split(" ").map((place) => place.split(",").map(Number));
  const [[x1 = 0] = [], [x2 = 0] = [], [x3 = 0] = []] = places;
  assertEquals(Math.abs((x2 - x1) - (x3 - x2)) < 0.2, true, "equal factors are equal steps");
  for (const [x = NaN, y = NaN] of places) {
    assertEquals(x >= 0 && x <= 720 && y >= 0 && y <= 400, true);
  }
  assertMatch(svg, /<title>a &lt; b &amp; c<\/title>/);
  assertEquals(svg.includes("NaN") || svg.includes(">none<"), false);
});

Deno.test("barChart() has a bar for each figure that there is", () => {
  const svg = barChart({
    title: "bars",
    y: { label: "ms" },
    groups: ["PUT", "GET"],
    series: [{ name: "one", values: [1, 2] }, { name: "five", values: [3, NaN] }],
  });
  // Three bars, two colours of the legend, and the ground.
  assertEquals((svg.match(/<rect /g) ?? []).length, 6);
  assertEquals(svg.includes("NaN"), false);
});

Deno.test("docs/performance.md has a place for each part of the benchmark, and README one", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
  const check = (text: string, name: string) => {
    const [begin, end] = [`<!-- bench ${name} -->`, `<!-- end of bench ${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    assertEquals(from >= 0 && to > from, true, name);
  };
  const text = await read("docs/performance.md");
  for (const { name } of PARTS) check(text, name);
  check(await read("README.md"), "summary");
});
