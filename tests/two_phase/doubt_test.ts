/** What a node tells of the transactions that are in doubt for long. */

import { assertEquals } from "@std/assert";
import { RESERVED_PREFIX } from "../../src/reserved_keys.ts";
import { describeDoubt } from "../../src/node/admin/status.ts";
import { LONG_DOUBT_MS } from "../../src/two_phase/doubt.ts";
import { ballotOf, type NodeId } from "../../src/two_phase/messages.ts";
import { append, Script, write } from "./script.ts";

/** What `node` tells, a line for each. */
function doubtsOf(script: Script, node: NodeId): string[] {
  const replica = script.replicas[node];
  return (replica?.longDoubts() ?? []).map((doubt) => {
    const { transaction, waitsFor, keys, key } = describeDoubt(
      doubt,
      replica?.membership.view.names ?? [],
    );
    const [, name] = /^(\d+\.\d+\.\d+)\.[0-9a-f]{6}$/.exec(transaction) ?? [];
    return `${name} on ${keys} ${key} waits for ${waitsFor}`;
  });
}

/** A write of n0 that n2 has not heard of, and that is in doubt at n0 and n1. */
function undecided(): Script {
  const script = Script.complete();
  script.ask(0, "W", write({ k: "1", l: "2" }));
  script.deliver(0, 1);
  return script;
}

Deno.test("Replica.longDoubts() names whose votes are missing, and elsewhere the coordinator", () => {
  const script = undecided();
  const began = script.now;
  script.wait(LONG_DOUBT_MS - 1);
  assertEquals([0, 1, 2].map((node) => doubtsOf(script, node)), [[], [], []]);
  script.wait(1);
  assertEquals([0, 1, 2].map((node) => doubtsOf(script, node)), [
    ['0.1.1 on 2 "k" waits for the votes of n1, n2'],
    ['0.1.1 on 2 "k" waits for its coordinator n0'],
    [],
  ]);
  assertEquals(script.replicas[1]?.longDoubts().map(({ since }) => since), [began]);
  // The vote of n1 comes, and with that of n2 the doubt is over everywhere.
  script.deliver(1, 0);
  assertEquals(doubtsOf(script, 0), ['0.1.1 on 2 "k" waits for the vote of n2']);
  script.deliverAll();
  assertEquals([0, 1, 2].map((node) => doubtsOf(script, node)), [[], [], []]);
});

Deno.test("Replica.longDoubts() knows after a restart since when, and for whom it waits", () => {
  const script = undecided();
  script.deliver(1, 0);
  const began = script.now;
  script.wait(2 * LONG_DOUBT_MS);
  for (const node of [0, 1]) {
    script.restart(node);
    assertEquals(
      script.replicas[node]?.longDoubts().map(({ since }) => Math.round(since)),
      [began],
      `of n${node}`,
    );
  }
  assertEquals([0, 1].map((node) => doubtsOf(script, node)), [
    ['0.1.1 on 2 "k" waits for the votes of n1, n2'],
    ['0.1.1 on 2 "k" waits for its coordinator n0'],
  ]);
});

Deno.test("Replica.longDoubts() waits for the next view from a promise on", () => {
  const script = undecided();
  const message = { type: "viewPrepare", view: 1, ballot: ballotOf(9, 2) } as const;
  for (const node of [0, 1]) script.step(node, { type: "message", from: 2, message });
  script.wait(LONG_DOUBT_MS);
  for (const node of [0, 1]) {
    assertEquals(doubtsOf(script, node), ['0.1.1 on 2 "k" waits for the next view']);
  }
});

Deno.test("Replica.longDoubts() tells of a disk that does not end a force", () => {
  const script = Script.complete();
  script.forcesAtOnce = false;
  script.ask(0, "W", write({ k: "1" }));
  script.deliver(0, 1);
  script.deliver(0, 2);
  script.completeForce(1);
  script.wait(LONG_DOUBT_MS);
  assertEquals([0, 1, 2].map((node) => doubtsOf(script, node)), [
    ['0.1.1 on 1 "k" waits for the votes of n1, n2'],
    ['0.1.1 on 1 "k" waits for its coordinator n0'],
    ['0.1.1 on 1 "k" waits for the disk of this node'],
  ]);
  script.completeForce(2);
  script.deliver(1, 0);
  script.deliver(2, 0);
  assertEquals(doubtsOf(script, 0), ['0.1.1 on 1 "k" waits for the disk of this node']);
});

Deno.test("Replica.longDoubts() tells of all, the oldest first", () => {
  const script = Script.complete();
  script.ask(0, "W1", append("k", "a"));
  script.wait(1);
  script.ask(0, "W2", append("k", "b"));
  script.ask(0, "V", write({ j: "1" }));
  script.deliverAll((_from, to) => to === 2);
  script.wait(LONG_DOUBT_MS);
  assertEquals(doubtsOf(script, 0), [
    '0.1.1 on 1 "k" waits for the vote of n2',
    '0.1.2 on 1 "k" waits for the vote of n2',
    '0.1.3 on 1 "j" waits for the vote of n2',
  ]);
});

Deno.test("describeDoubt() shows no key that dks keeps for itself, and no line's end", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ [`${RESERVED_PREFIX}token`]: "1", "a\r\nb": "2" }));
  script.wait(LONG_DOUBT_MS);
  assertEquals(doubtsOf(script, 0), ['0.1.1 on 1 "a\\r\\nb" waits for the votes of n1, n2']);
});
