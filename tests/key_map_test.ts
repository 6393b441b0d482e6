/** KeyMap: as the engine's map, but for the order, and no table of it grows large. */

import { assert, assertEquals } from "@std/assert";
import { hashOf, KeyMap, KeySet } from "../src/key_map.ts";
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

/** Keys of 2,048 bytes that have one hash: they differ where it does not look. */
const ofOneHash = (at: number) =>
  `${"x".repeat(8)}${at.toString(36).padStart(5, "0")}${"x".repeat(2035)}`;

for (const make of [(at: number) => `k${at}`, ofOneHash]) {
  const kind = make === ofOneHash ? "keys of one hash" : "keys";
  Deno.test(`KeyMap gives ${kind} that stay once, though tables are moved meanwhile`, () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = new Random(seed, 2);
      const map = new KeyMap<number>();
      const before = random.integer(3000);
      for (let at = 0; at < before; at++) map.set(make(at), at);
      const stays = (at: number) => at % 7 === 0;
      const seen: number[] = [];
      let next = before;
      for (const value of map.values()) {
        if (value >= before) continue; // Added meanwhile: may come or not.
        seen.push(value);
        const deleted = random.integer(before);
        if (!stays(deleted)) map.delete(make(deleted));
        for (let i = 0; i < (seed % 3) * 8; i++, next++) map.set(make(next), next);
      }
      assertEquals(new Set(seen).size, seen.length);
      const missed = Array.from({ length: before }, (_, at) => at)
        .filter((at) => stays(at) && !seen.includes(at));
      assertEquals(missed, []);
    }
  });
}

Deno.test("KeyMap keeps all keys when one table is divided, and while it is gone through", () => {
  const map = new KeyMap<number>();
  const count = 40_000;
  for (let at = 0; at < 30_000; at++) map.set(`k${at}`, at);
  const seen = new Set<string>();
  for (const key of map.keys(5)) {
    if (seen.size === 100) { for (let at = 30_000; at < count; at++) map.set(`k${at}`, at); }
    if (seen.size === 200) map.delete("k17");
    assert(!seen.has(key));
    seen.add(key);
  }
  for (let at = 0; at < 30_000; at++) assert(seen.has(`k${at}`) || at === 17, `k${at}`);
  assertEquals(map.size, count - 1);
  for (let at = 0; at < count; at++) assertEquals(map.get(`k${at}`), at === 17 ? undefined : at);
  for (let at = 0; at < count; at++) map.delete(`k${at}`);
  assertEquals([...map.keys()], []);
});

Deno.test("KeyMap takes out a key with the value that is given, and not with another", () => {
  for (const make of [(at: number) => `k${at}`, ofOneHash]) {
    const map = new KeyMap<number>();
    for (let at = 0; at < 200; at++) map.set(make(at), at);
    for (let at = 0; at < 200; at++) assert(!map.delete(make(at), at + 1));
    assertEquals(map.size, 200);
    for (let at = 0; at < 200; at++) assert(map.delete(make(at), at) && !map.delete(make(at), at));
    assertEquals(map.size, 0);
  }
});

Deno.test("KeyMap holds keys of one hash as one map of the engine does", () => {
  const map = new KeyMap<number>();
  const count = 20_000;
  assertEquals(new Set(Array.from({ length: count }, (_, at) => hashOf(ofOneHash(at)))).size, 1);
  // A look at each key before would take half a minute.
  for (let at = 0; at < count; at++) map.set(ofOneHash(at), at);
  for (let at = 0; at < count; at++) assertEquals(map.get(ofOneHash(at)), at);
  for (let at = 0; at < count; at += 2) assert(map.delete(ofOneHash(at)));
  for (let at = 0; at < count; at++) assertEquals(map.has(ofOneHash(at)), at % 2 === 1);
  assertEquals(map.size, count / 2);
});

Deno.test("KeyMap does not move keys of one hash for each that is deleted", () => {
  const map = new KeyMap<number>();
  const count = 5000;
  const beganAt = performance.now();
  for (let at = 0; at < count; at++) map.set(ofOneHash(at), at);
  const filledAt = performance.now();
  for (let at = 0; at < count; at++) assert(map.delete(ofOneHash(at)));
  const deletedAt = performance.now();
  assertEquals(map.size, 0);
  // To move all of them each time takes a thousand times as long as to fill it.
  assert(deletedAt - filledAt < 100 * (filledAt - beganAt));
});

Deno.test("KeyMap begins at another key for each `from`", () => {
  const map = new KeyMap<number>();
  for (let at = 0; at < 1000; at++) map.set(`k${at}`, at);
  const first = new Set(Array.from({ length: 100 }, (_, from) => map.keys(from).next().value));
  assert(first.size > 80, `${first.size}`);
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
  Deno.test(`the hashes of keys with ${kind} are spread`, () => {
    const count = 100_000;
    const hashes = Array.from({ length: count }, (_, at) => hashOf(make(at)));
    assert(hashes.every((hash) => hash === (hash | 0) && hash !== 0 && hash !== 1));
    // By the upper 6 bits they are in tables, and by the lower ones at places, as many as keys here.
    for (
      const [places, placeOf] of [
        [64, (hash: number) => hash >>> 26],
        [2 ** 17, (hash: number) => (hash >>> 2) & (2 ** 17 - 1)],
      ] as const
    ) {
      const counts = new Int32Array(places);
      for (const hash of hashes) counts[placeOf(hash)]!++;
      // Evenly random ones are at 1 - e^(-count / places) of the places, and none of them has many.
      const taken = counts.reduce((sum, one) => sum + (one > 0 ? 1 : 0), 0);
      const expected = places * (1 - Math.exp(-count / places));
      assert(taken >= 0.9 * expected, `${taken} of ${places}, not ${expected}`);
      const most = counts.reduce((max, one) => Math.max(max, one), 0);
      assert(most <= Math.max(12, 1.5 * count / places), `${most} of ${count} at one of ${places}`);
    }
  });
}
