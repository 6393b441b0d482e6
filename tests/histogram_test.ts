/** Histograms: which bucket a value is in, and what percentiles say of it. */

import { assertEquals } from "@std/assert";
import { Histogram } from "../src/histogram.ts";

/** The bound of the bucket that `value` is in; `undefined` if it is above all. */
function boundOf(value: number): number | undefined {
  const histogram = new Histogram(0.5);
  histogram.add(value);
  return histogram.buckets.find(({ count }) => count === 1)?.bound;
}

Deno.test("Histogram.add() puts a value into the bucket of the least bound that it does not exceed", () => {
  const table: [value: number, bound: number | undefined][] = [
    [-1, 0.5],
    [0, 0.5],
    [0.5, 0.5],
    [0.50001, 1],
    [1, 1],
    [1.1, 2],
    [2, 2],
    [3, 4],
    [0.5 * 2 ** 20, 0.5 * 2 ** 20],
    [0.5 * 2 ** 20 + 1, undefined],
    [2 ** 40, undefined],
    [Infinity, undefined],
  ];
  assertEquals(table.map(([value]) => boundOf(value)), table.map(([, bound]) => bound));
});

Deno.test("Histogram.buckets counts those of lower bounds, too", () => {
  const histogram = new Histogram(1);
  for (const value of [1, 2, 2, 4, 2 ** 30]) histogram.add(value);
  const counts = histogram.buckets.map(({ count }) => count);
  assertEquals(counts.slice(0, 4), [1, 3, 4, 4]);
  assertEquals([counts.at(-1), histogram.count, histogram.sum], [4, 5, 9 + 2 ** 30]);
});

Deno.test("Histogram.percentileSince() tells only of what came since", () => {
  const histogram = new Histogram(1);
  histogram.add(1000);
  const before = histogram.copy();
  assertEquals(histogram.percentileSince(before, 50), undefined);
  for (const value of [1, 1, 1, 8]) histogram.add(value);
  const table = [0, 50, 75, 76, 100].map((percent) => histogram.percentileSince(before, percent));
  assertEquals(table, [1, 1, 1, 8, 8]);
  assertEquals(histogram.percentileSince(new Histogram(1), 100), 1024);
});
