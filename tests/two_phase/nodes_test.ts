/** Ids of nodes, which never move, and quorums of the nodes that have one. */

import { assertEquals, assertThrows } from "@std/assert";
import { NODES_MAX } from "../../src/limits.ts";
import { InvariantError } from "../../src/invariant.ts";
import { setOf } from "../../src/two_phase/node_set.ts";
import { keepIds } from "../../src/two_phase/nodes.ts";
import { configuredNodes, Quorum, quorumForNext, quorumOf } from "../../src/two_phase/quorum.ts";

Deno.test("keepIds() moves no node, and first gives ids that were not used before", () => {
  const table: [old: string[], nodes: string[], expected: string[]][] = [
    [[], ["a", "b"], ["a", "b"]],
    [["a", "b", "c"], ["c", "a", "b"], ["a", "b", "c"]],
    [["a", "b", "c"], ["b"], ["", "b"]],
    [["a", "b", "c"], ["c", "d"], ["", "", "c", "d"]],
    [["a", "", "c"], ["a", "c", "d", "e"], ["a", "d", "c", "e"]],
  ];
  for (const [old, nodes, expected] of table) assertEquals(keepIds(old, nodes), expected);
});

Deno.test("keepIds() uses the ids of nodes that are gone when there are no others", () => {
  const old = Array.from({ length: NODES_MAX }, (_, i) => `old${i}`);
  const expected = [...old];
  expected[0] = "new";
  assertEquals(keepIds(old, [...old.slice(1), "new"]), expected);
  assertThrows(() => keepIds(old, [...old, "new"]), InvariantError, `at most ${NODES_MAX} nodes`);
});

Deno.test("a quorum counts the nodes that have an id, and two of them always meet", () => {
  const view = { names: ["a", "", "c", "d"] };
  assertEquals(configuredNodes(view), setOf([0, 2, 3]));
  const quorum = quorumOf(view);
  assertEquals([quorum.size, quorum.needed], [3, 2]);
  assertEquals(quorum.isReachedBy(setOf([0, 1])), false, "1 is no node");
  assertEquals(quorum.isReachedBy(setOf([0, 3])), true);
  for (let nodes = 1; nodes <= 7; nodes++) {
    const all = new Quorum(2 ** nodes - 1);
    for (let set = 0; set < 2 ** nodes; set++) {
      const others = all.nodes & ~set;
      assertEquals(all.isReachedBy(set) && all.isReachedBy(others), false);
    }
  }
});

Deno.test("the view after a recovered cluster's first takes the word of its one journal", () => {
  const view = {
    number: 7,
    cluster: { id: "new", origin: { by: "c", at: 0, view: 7 } },
    ballot: 1,
    names: ["", "b", "c"],
    members: setOf([2]),
    journals: ["", "", "jc"],
    commits: [],
    bases: [0, 0, 0],
  };
  assertEquals(quorumForNext(view).isReachedBy(setOf([1])), false);
  assertEquals(quorumForNext(view).isReachedBy(setOf([2])), true);
  assertEquals(quorumForNext({ ...view, number: 8 }).isReachedBy(setOf([2])), false);
});
