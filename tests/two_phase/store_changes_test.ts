/** Store: which keys a checkpoint is told of, however often each is written. */

import { assertEquals } from "@std/assert";
import { Store } from "../../src/two_phase/store.ts";

function write(store: Store, key: string, value: string | undefined, version: number): void {
  const entry = store.entryOf(key);
  store.write(entry, value, version);
  store.dropIfEmpty(entry);
}

const changed = (store: Store) => [...store.takeChanged()].sort();

Deno.test("Store tells each checkpoint of what was written since the last one, once", () => {
  const store = new Store(0);
  write(store, "before", "0", 1);
  store.trackChanges();
  write(store, "a", "1", 2);
  write(store, "a", "2", 3);
  write(store, "b", "1", 4);
  assertEquals(changed(store), ["a", "b"]);
  assertEquals(changed(store), []);
  write(store, "a", "3", 5);
  write(store, "before", "1", 6);
  assertEquals(changed(store), ["a", "before"]);
});

Deno.test("Store tells of a key that was deleted, and of one that was made anew", () => {
  const store = new Store(0);
  store.trackChanges();
  write(store, "a", "1", 1);
  assertEquals(changed(store), ["a"]);
  write(store, "a", undefined, 2);
  assertEquals(changed(store), ["a"]);
  write(store, "a", "2", 3);
  write(store, "a", undefined, 4);
  write(store, "a", "3", 5);
  assertEquals(changed(store), ["a"]);
});

Deno.test("Store tells of what is written after everything was forgotten", () => {
  const store = new Store(0);
  store.trackChanges();
  const entry = store.entryOf("a");
  store.write(entry, "1", 1);
  store.clear();
  assertEquals(changed(store), []);
  write(store, "a", "2", 2);
  assertEquals(changed(store), ["a"]);
});

Deno.test("Store counts bytes and keys through writes, overwrites and deletions", () => {
  const store = new Store(0);
  write(store, "key", "12345", 1);
  assertEquals([store.size, store.bytes], [1, 8]);
  write(store, "key", "1", 2);
  assertEquals([store.size, store.bytes], [1, 4]);
  write(store, "key", "", 3);
  assertEquals([store.size, store.bytes], [1, 3]);
  write(store, "key", undefined, 4);
  assertEquals([store.size, store.bytes], [0, 0]);
  write(store, "none", undefined, 5);
  assertEquals([store.size, store.bytes], [0, 0]);
});
