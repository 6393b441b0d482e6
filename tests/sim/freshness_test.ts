/** What the freshness checker takes for committed. */

import { assertEquals } from "@std/assert";
import { Store } from "../../src/two_phase/store.ts";
import { Freshness } from "./freshness.ts";

/** Returns a store that `freshness` follows. */
function followed(freshness: Freshness): Store {
  const store = new Store(0);
  freshness.follow(store);
  return store;
}

/** Tells whether a node with this store shows less of `k` than what is committed. */
function isStale(freshness: Freshness, store: Store): boolean {
  const replica = { store, peek: (key: string) => store.get(key)?.value };
  const now = { monotonicMs: 0, wallMs: 0 };
  return freshness.check({ name: "n0", replica, now }, ["k"]).length > 0;
}

Deno.test("Freshness sees a node that shows less than what is committed at another", () => {
  const freshness = new Freshness();
  const [ahead, behind] = [followed(freshness), followed(freshness)];
  for (const store of [ahead, behind]) store.restore({ key: "k", value: "v1", version: 1 });
  assertEquals([isStale(freshness, ahead), isStale(freshness, behind)], [false, false]);
  ahead.restore({ key: "k", value: undefined, version: 2 });
  assertEquals([isStale(freshness, ahead), isStale(freshness, behind)], [false, true]);
});

Deno.test("Freshness learns nothing from an old journal that comes back to a new cluster", () => {
  const freshness = new Freshness();
  const survivor = followed(freshness);
  survivor.restore({ key: "k", value: "v1", version: 1 });
  survivor.restore({ key: "k", value: undefined, version: 2 });
  freshness.forget();
  followed(freshness).restore({ key: "k", value: "v1", version: 1 });
  assertEquals(isStale(freshness, survivor), false);
  followed(freshness).restore({ key: "k", value: "v3", version: 3 });
  assertEquals(isStale(freshness, survivor), true);
});
