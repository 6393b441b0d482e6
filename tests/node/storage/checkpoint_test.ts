/** What a driver tells the journal of the store for a checkpoint. */

import { assertEquals } from "@std/assert";
import { checkpointOf } from "../../../src/node/driver.ts";
import { Store } from "../../../src/two_phase/store.ts";

Deno.test("checkpointOf() takes a stored entry for current only when version and value are the same", () => {
  const store = new Store(0);
  store.restore({ key: "k", value: "new", version: 7 });
  const { isCurrent } = checkpointOf(store, []);
  assertEquals(isCurrent({ key: "k", value: "new", version: 7 }), true);
  assertEquals(isCurrent({ key: "k", value: "old", version: 7 }), false);
  assertEquals(isCurrent({ key: "k", value: "new", version: 6 }), false);
  assertEquals(isCurrent({ key: "gone", value: "", version: 7 }), false);
});
