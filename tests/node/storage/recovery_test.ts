/** What a node makes of a real journal when it starts. */

import { assertEquals } from "@std/assert";
import { ONCE_WINDOW_MS } from "../../../src/limits.ts";
import { tokenKey } from "../../../src/node/commands/once.ts";
import { checkpointOf } from "../../../src/node/driver.ts";
import { TokenSweeper } from "../../../src/node/sweeper.ts";
import { openKvJournal } from "../../../src/node/storage/kv_journal.ts";
import { recover } from "../../../src/node/storage/recovery.ts";
import type { Request } from "../../../src/two_phase/request.ts";

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
