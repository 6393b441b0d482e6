import { assertEquals } from "@std/assert";
import { Store } from "../../src/two_phase/store.ts";
import { Random } from "../sim/random.ts";

Deno.test("Store.expired() returns what is due, whatever was written and deleted before", () => {
  const random = new Random(1);
  const store = new Store(0);
  const model = new Map<string, number>();
  for (let i = 0; i < 20_000; i++) {
    const key = `k${random.integer(300)}`;
    const expiresAtMs = random.chance(0.7) ? random.integer(1000) : undefined;
    const value = random.chance(0.8) ? "v" : undefined;
    const record = value === undefined || expiresAtMs === undefined
      ? { key, value, version: i + 1 }
      : { key, value, version: i + 1, expiresAtMs };
    store.restore(record);
    model.delete(key);
    if ("expiresAtMs" in record) model.set(key, record.expiresAtMs);
    if (i % 500 !== 0) continue;
    const now = random.integer(1000);
    const due = [...model].filter(([, at]) => at <= now).map(([one]) => one).sort();
    assertEquals(store.expired(now, Infinity).map((entry) => entry.key).sort(), due);
    assertEquals(store.expired(now, 3).length, Math.min(3, due.length));
    assertEquals(store.expiring, model.size);
  }
});

Deno.test("Store.behind() has every entry once, in the order in which they were made", () => {
  const random = new Random(2);
  const store = new Store(0);
  for (let i = 0; i < 20_000; i++) {
    const key = `k${random.integer(3000)}`;
    store.restore({ key, value: random.chance(0.6) ? "v" : undefined, version: i + 1 });
    if (i % 1000 !== 0) continue;
    const expected = [...store.entries()].sort((a, b) => a.order - b.order)
      .map(({ key: one }) => one);
    assertEquals([...store.behind(0)].map(({ key: one }) => one), expected);
    const [at = 0] = [...store.behind(0)].map(({ order }) => order).slice(expected.length >> 1);
    const rest = [...store.behind(at)];
    assertEquals(rest.length, Math.max(0, expected.length - (expected.length >> 1) - 1));
  }
});
