import { assertEquals } from "@std/assert";
import { whyNotThisList } from "../../src/node/known_nodes.ts";
import type { JournalRecord } from "../../src/two_phase/messages.ts";

function installed(number: number, names: readonly string[]): JournalRecord {
  const view = {
    number,
    cluster: { id: "c" },
    ballot: 1,
    origin: 1,
    names,
    members: 1,
    journals: names.map(() => "j"),
    commits: [],
    bases: names.map(() => 0),
  };
  return { type: "view", view };
}

Deno.test("whyNotThisList() refuses a journal whose latest view names other nodes", () => {
  const table: [records: JournalRecord[], names: string[], isRefused: boolean][] = [
    [[], ["a:1", "b:1"], false],
    [[installed(0, ["a:1"])], ["a:1", "b:1"], false],
    [[installed(1, ["a:1", "b:1"])], ["a:1", "b:1"], false],
    [[installed(1, ["a:1"])], ["b:1"], false],
    [[installed(1, ["a:1"])], ["a:1", "b:1"], true],
    [[installed(1, ["a:1", "b:1"])], ["a:1"], true],
    [[installed(1, ["a:1"]), installed(2, ["a:1", "b:1"])], ["a:1", "c:1"], true],
  ];
  for (const [records, names, isRefused] of table) {
    assertEquals(whyNotThisList(records, names) !== undefined, isRefused, names.join());
  }
  assertEquals(
    whyNotThisList([installed(7, ["a:1", "b:1"])], ["a:1"]),
    "the journal is of a cluster of a:1, b:1 (view 7), not of a:1: " +
      "start with the same --peers, or with an empty journal; if a majority of its nodes is lost " +
      "for good, see --force-new-cluster",
  );
});
