import { assertEquals, assertMatch } from "@std/assert";
import {
  howListDiffers,
  lastView,
  ownerOf,
  renamed,
  startList,
  whyNotThisJournal,
} from "../../../src/node/storage/journal_identity.ts";
import type { JournalRecord } from "../../../src/two_phase/messages.ts";

function installed(
  number: number,
  names: readonly string[],
  journals = names.map(() => "j"),
): JournalRecord {
  const view = {
    number,
    cluster: { id: "c" },
    ballot: 1,
    names,
    members: 1,
    journals,
    commits: [],
    bases: names.map(() => 0),
  };
  return { type: "view", view };
}

Deno.test("howListDiffers() names both lists if --peers is another than the journal's", () => {
  const table: [records: JournalRecord[], names: string[], differs: boolean][] = [
    [[], ["a:1", "b:1"], false],
    [[installed(0, ["a:1"])], ["a:1", "b:1"], false],
    [[installed(1, ["b:1", "", "a:1"])], ["a:1", "b:1"], false],
    // A cluster of one may have another name than before.
    [[installed(1, ["a:1"])], ["b:1"], false],
    [[installed(1, ["a:1"])], ["a:1", "b:1"], true],
    [[installed(1, ["a:1", "b:1"])], ["a:1"], true],
    [[installed(1, ["a:1"]), installed(2, ["a:1", "b:1"])], ["a:1", "c:1"], true],
  ];
  for (const [records, names, differs] of table) {
    assertEquals(
      howListDiffers(records, { given: names, journal: "j" }) !== undefined,
      differs,
      names.join(),
    );
  }
  assertEquals(
    howListDiffers([installed(7, ["b:1", "a:1"])], { given: ["a:1"], journal: "j" }),
    "the nodes of the cluster are a:1, b:1 (view 7 in the journal), and --peers is a:1: the journal " +
      "counts. To change the nodes, use dks client member; if a majority of them is lost for good, " +
      "see --force-new-cluster",
  );
});

Deno.test("startList() has each node at the id that the latest view gives it", () => {
  const table: [records: JournalRecord[], given: string[], expected: readonly string[]][] = [
    [[], ["a:1", "b:1"], ["a:1", "b:1"]],
    [[installed(4, ["b:1", "", "a:1"])], ["a:1", "b:1"], ["b:1", "", "a:1"]],
    // A node alone may have another name than before; its id is the old one.
    [[installed(4, ["", "a:1"])], ["new:1"], ["", "new:1"]],
    [[installed(4, ["b:1", "", "a:1"])], ["a:1", "c:1"], ["b:1", "", "a:1"]],
    [[installed(4, ["b:1", "", "a:1"])], [], ["b:1", "", "a:1"]],
  ];
  for (const [records, given, expected] of table) {
    const { view, names } = startList(records, { given, mayRename: true, journal: "j" });
    assertEquals(names, expected);
    assertEquals(view, records.length === 0 ? 0 : 4);
  }
  const alone = [installed(4, ["", "a:1"])];
  const options = { given: ["new:1"], mayRename: false, journal: "j" };
  assertEquals(startList(alone, options).names, ["", "a:1"]);
  // The node with this journal was removed: the one that is left is another one.
  const removed = { given: ["b:1"], mayRename: true, journal: "other" };
  assertEquals(startList(alone, removed).names, ["", "a:1"]);
  assertMatch(howListDiffers(alone, removed) ?? "", /^the nodes of the cluster are a:1 \(view 4/);
});

Deno.test("renamed() has the view say the name that a cluster of one has now", () => {
  const records = [installed(3, ["", "old:1"]), installed(4, ["", "a:1"])];
  const names = (some: readonly JournalRecord[], name: string) => {
    const view = lastView(renamed(some, name));
    return view?.names;
  };
  assertEquals(names(records, "new:1"), ["", "new:1"]);
  assertEquals(names([installed(4, ["a:1", "b:1"])], "new:1"), ["a:1", "b:1"]);
});

Deno.test("ownerOf() is the node for which the latest view lists the journal", () => {
  const names = ["a:1", "b:1"];
  const first = installed(1, names, ["ja", "jb"]);
  const table: [records: JournalRecord[], journal: string, owner: number | undefined][] = [
    [[], "ja", undefined],
    [[first], "ja", 0],
    [[first], "jb", 1],
    [[first], "jc", undefined],
    // b has lost its journal, and was let in again with another one.
    [[first, installed(2, names, ["ja", "jc"])], "jc", 1],
    [[first, installed(2, names, ["ja", "jc"])], "jb", undefined],
  ];
  for (const [records, journal, owner] of table) {
    assertEquals(ownerOf(records, journal), owner, `${journal} in ${records.length} views`);
  }
});

Deno.test("whyNotThisJournal() names both nodes if the journal is another node's", () => {
  const records = [installed(2, ["a:1", "b:1"], ["ja", "jb"])];
  const why = (journal: string, name: string) =>
    whyNotThisJournal(records, { journal, name, place: "/data/x.kv" });
  assertEquals(
    why("jb", "a:1"),
    "the journal in /data/x.kv is that of b:1, and this node is a:1: " +
      "give each node its own, or this one an empty one",
  );
  assertEquals(why("jb", "b:1"), undefined);
  assertEquals(why("new", "a:1"), undefined);
  assertEquals(why("jb", "c:1"), undefined); // The list is a new one: b:1 is called c:1 in it.
});
