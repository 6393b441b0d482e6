/**
 * A process that opens the journal at the path that it is given, says so, and goes on until it is
 * killed. For `kv_journal_test.ts`.
 *
 * @module
 */

import { openKvJournal } from "../../../src/node/storage/kv_journal.ts";

const [path = ""] = Deno.args;
const journal = await openKvJournal({
  path,
  onFatal: (error) => {
    throw error;
  },
});
await journal.recover({
  isRestored: () => false,
  restoreEntry: () => {},
  restoreRecord: () => {},
});
journal.append([{ type: "committed", coordinator: 0, number: 1 }]);
journal.force(() => Deno.stdout.write(new TextEncoder().encode("ready\n")));
// Keeps the process alive.
setInterval(() => {}, 60_000);
