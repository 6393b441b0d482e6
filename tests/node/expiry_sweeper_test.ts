/** The sweeper's transactions, each of so many keys and bytes at the most. */

import { assert, assertEquals } from "@std/assert";
import { EXPIRIES_PER_SWEEP_MAX, EXPIRY_BYTES_PER_SWEEP_MAX } from "../../src/limits.ts";
import { ExpirySweeper } from "../../src/node/expiry_sweeper.ts";
import { Store } from "../../src/two_phase/store.ts";

/** Returns the keys that the first transaction of a sweep deletes, where `keys` have expired. */
function firstSweep(keys: readonly string[]): readonly string[] {
  const store = new Store(0);
  for (const key of keys) store.restore({ key, value: "", version: 1, expiresAtMs: 1 });
  const swept: (readonly string[])[] = [];
  new ExpirySweeper({
    store,
    submit: (request) => swept.push(request.keys),
    nowMs: () => 2,
    isMyTurn: () => true,
    later: () => {},
  }).sweep();
  return swept[0] ?? [];
}

const keysOf = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, at) => String(at).padEnd(bytes, "."));

Deno.test("ExpirySweeper deletes keys by count, and by their bytes", () => {
  assertEquals(firstSweep([]), []);
  assertEquals(firstSweep(keysOf(10, 20)).length, 10);
  assertEquals(firstSweep(keysOf(2000, 20)).length, EXPIRIES_PER_SWEEP_MAX);
  const large = firstSweep(keysOf(200, 64 * 1024));
  assertEquals(large.length, EXPIRY_BYTES_PER_SWEEP_MAX / (64 * 1024));
  // One key of the most bytes is still deleted.
  assert(firstSweep(keysOf(3, 2 * EXPIRY_BYTES_PER_SWEEP_MAX)).length === 1);
});

Deno.test("ExpirySweeper goes on at once only while more is due than one transaction deletes", () => {
  const store = new Store(0);
  const count = 2 * EXPIRIES_PER_SWEEP_MAX + 5;
  for (const key of keysOf(count, 20)) {
    store.restore({ key, value: "", version: 1, expiresAtMs: 1 });
  }
  const swept: number[] = [];
  const later: (() => void)[] = [];
  const sweeper = new ExpirySweeper({
    store,
    submit: ({ keys }, requester) => {
      swept.push(keys.length);
      for (const key of keys) store.restore({ key, value: undefined, version: 2 });
      // While it is under way, another key falls due: a transaction of its own would cost too much.
      if (swept.length < 10) {
        store.restore({ key: `due:${swept.length}`, value: "", version: 2, expiresAtMs: 1 });
      }
      requester.onOutcome({ kind: "answered", reply: null });
    },
    nowMs: () => 2,
    isMyTurn: () => true,
    later: (action) => later.push(action),
  });
  sweeper.sweep();
  for (let next = later.shift(); next !== undefined; next = later.shift()) next();
  assertEquals(swept, [EXPIRIES_PER_SWEEP_MAX, EXPIRIES_PER_SWEEP_MAX, 7]);
  assertEquals(store.size, 1);
});
