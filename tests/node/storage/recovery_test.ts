/** What a node makes of a real journal when it starts. */

import { assertEquals } from "@std/assert";
import { ONCE_WINDOW_MS } from "../../../src/limits.ts";
import { tokenKey } from "../../../src/node/commands/once.ts";
import { checkpointOf } from "../../../src/node/driver.ts";
import { TokenSweeper } from "../../../src/node/sweeper.ts";
import { type Journal, MemoryJournal } from "../../../src/node/storage/journal.ts";
import { openKvJournal } from "../../../src/node/storage/kv_journal.ts";
import { lastValueOf, recover } from "../../../src/node/storage/recovery.ts";
import type { JournalRecord, KeyRecord, View } from "../../../src/two_phase/messages.ts";
import type { Request } from "../../../src/two_phase/request.ts";
import { Store } from "../../../src/two_phase/store.ts";

const onFatal = (error: Error): never => {
  throw error;
};

Deno.test("recover() counts the age of tokens from the start of the process, as after a checkpoint", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/node.kv`;
  try {
    const first = await openKvJournal({ path, onFatal });
    const { store } = await recover(first, 1000);
    store.restore({ key: tokenKey("t"), value: "1 digest answer", version: 7 });
    store.restore({ key: "k", value: "v", version: 8, expiresAtMs: 2e12 });
    await first.checkpoint(checkpointOf(store, []));
    await first.close();

    // The machine has been up for a day.
    const startedAt = 86_400_000;
    const again = await openKvJournal({ path, onFatal });
    const recovered = await recover(again, startedAt);
    await again.close();
    assertEquals(recovered.store.recordOf("k"), {
      key: "k",
      value: "v",
      version: 8,
      expiresAtMs: 2e12,
    });
    const asked: Request[] = [];
    const sweepAt = (nowMs: number) =>
      new TokenSweeper({
        store: recovered.store,
        nowMs: () => nowMs,
        isMyTurn: () => true,
        submit: (request) => asked.push(request),
      }).sweep();
    sweepAt(startedAt + 5000);
    sweepAt(startedAt + ONCE_WINDOW_MS);
    assertEquals(asked, []);
    sweepAt(startedAt + ONCE_WINDOW_MS + 1);
    assertEquals(asked.length, 1);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("lastValueOf() knows what the records say of a key before they are replayed", () => {
  const prepared = (number: number, value: string, version = 10 * number) => ({
    type: "prepared" as const,
    coordinator: 1,
    prepare: {
      type: "prepare" as const,
      view: 1,
      number,
      priority: version,
      version,
      effects: [{ key: "other", value: "x" }, { key: "k", value }],
      reads: [],
      follows: [],
    },
  });
  const committed = (number: number) => ({ type: "committed" as const, coordinator: 1, number });
  const view = (commits: readonly number[]): JournalRecord => ({
    type: "view",
    view: { commits: commits.map((number) => ({ coordinator: 1, number })) } as unknown as View,
  });
  const entry = { key: "k", value: "moved", version: 7 };
  const cases: readonly (readonly [string | undefined, ...JournalRecord[]])[] = [
    ["stored"],
    ["a", prepared(1, "a")],
    ["stored", prepared(1, "a"), { ...committed(1), type: "aborted" }],
    ["a", prepared(1, "a"), committed(1)],
    ["b", prepared(1, "a"), prepared(2, "b"), committed(1), committed(2)],
    ["a", prepared(1, "a"), prepared(2, "b"), committed(1), { ...committed(2), type: "aborted" }],
    // The checkpoint has what came later.
    ["stored", prepared(1, "old", 4), committed(1)],
    ["a", prepared(1, "a"), prepared(2, "b"), view([1])],
    ["stored", prepared(1, "a"), view([]), committed(1)],
    ["stored", { type: "transfer", isFirst: true, entries: [] }],
    ["moved", { type: "transfer", isFirst: true, entries: [entry] }],
    ["a", {
      type: "joined",
      ballot: 1,
      report: { undecided: [], marks: [] } as never,
      entries: [entry],
      prepared: [prepared(1, "a")],
      clock: 9,
    }, view([1])],
  ];
  for (const [expected, ...records] of cases) {
    const store = new Store(0);
    store.restore({ key: "k", value: "stored", version: 5 });
    assertEquals(lastValueOf("k", { store, records }), expected);
  }
  assertEquals(lastValueOf("k", { store: new Store(0), records: [] }), undefined);
});

Deno.test("recover() has no set of changed keys grow where no checkpoint empties it", async () => {
  const { store } = await recover(new MemoryJournal(), 1000);
  for (const value of ["v", undefined]) store.restore({ key: "k", value, version: 1 });
  assertEquals(store.takeChanged().size, 0);
});

Deno.test("a node that has dropped its keys to join keeps one entry beside them, which a start is told", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/node.kv`;
  const users = { key: "users", value: "x".repeat(200_000), version: 0 };
  let kept: KeyRecord | undefined = users;
  const start = async (end: (opened: { journal: Journal; store: Store }) => Promise<void>) => {
    const journal = await openKvJournal({ path, onFatal, kept: () => kept });
    const recovered = await recover(journal, 0);
    await end({ journal, store: recovered.store });
    await journal.close();
    return recovered;
  };
  try {
    await start(async ({ journal, store }) => {
      store.restore({ ...users, version: 5 });
      await journal.checkpoint(checkpointOf(store, []));
      store.clear();
      await journal.checkpoint(checkpointOf(store, []));
    });
    const joining = await start(async ({ journal, store }) => {
      // Another checkpoint before it has joined.
      store.restore({ key: "k", value: "v", version: 6 });
      await journal.checkpoint(checkpointOf(store, []));
    });
    assertEquals(joining.store.get("users"), undefined);
    assertEquals(lastValueOf("users", joining), users.value);
    assertEquals(lastValueOf("other", joining), undefined);
    const again = await start(async ({ journal, store }) => {
      kept = undefined;
      await journal.checkpoint(checkpointOf(store, []));
    });
    assertEquals(lastValueOf("users", again), users.value);
    // What came with the keys is later.
    again.store.restore({ ...users, value: "later", version: 9 });
    assertEquals(lastValueOf("users", again), "later");
    assertEquals((await start(() => Promise.resolve())).kept, undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
