/** KeyMap: as the engine's map, but for the order, and no table of it grows large. */

import { assert, assertEquals } from "@std/assert";
import { KeyMap, KeySet, shardOf } from "../src/key_map.ts";
import { Random } from "./sim/random.ts";

Deno.test("KeyMap does what Map does", () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new Random(seed, 1);
    const map = new KeyMap<number>();
    const expected = new Map<string, number>();
    for (let i = 0; i < 500; i++) {
      const key = `${"x".repeat(random.integer(40))}${random.integer(60)}`;
      if (random.chance(0.6)) {
        map.set(key, i);
        expected.set(key, i);
      } else assertEquals(map.delete(key), expected.delete(key));
      assertEquals(map.size, expected.size);
      assertEquals(map.get(key), expected.get(key));
      assertEquals(map.has(key), expected.has(key));
    }
    assertEquals([...map.keys(seed)].sort(), [...expected.keys()].sort());
    const byNumber = (a: number, b: number) => a - b;
    assertEquals([...map.values()].sort(byNumber), [...expected.values()].sort(byNumber));
  }
});

Deno.test("KeyMap gives all keys that stay, though others are deleted meanwhile", () => {
  const set = new KeySet();
  for (let i = 0; i < 10_000; i++) set.add(`k${i}`);
  set.add("k0");
  assertEquals(set.size, 10_000);
  const seen = new Set<string>();
  for (const key of set) {
    seen.add(key);
    set.delete(key);
  }
  assertEquals(seen.size, 10_000);
  assertEquals(set.size, 0);
});

/** Keys as programs make them: `count` of each kind. */
const KINDS: readonly [string, (at: number) => string][] = [
  ["a number at the end", (at) => `key:${at}`],
  ["a number in between", (at) => `user:${at}:name:of:something`],
  ["a number in front", (at) => `${at}:session:data`],
  ["padded numbers", (at) => `key:${String(at).padStart(12, "0")}`],
  ["hexadecimal digits", (at) => `cache:${(at * 0x9e3779b1 >>> 0).toString(16).padStart(32, "0")}`],
];

for (const [kind, make] of KINDS) {
  Deno.test(`keys with ${kind} are spread: no shard has more than four times its part`, () => {
    const count = 100_000;
    const counts = new Map<number, number>();
    for (let at = 0; at < count; at++) {
      const shard = shardOf(make(at));
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    const most = Math.max(...counts.values());
    assert(most <= 4 * count / 64, `${most} of ${count}`);
  });
}
