/** Links that are cut while every node reaches others: one end is left out once, and then held back. */

import { assert, assertEquals } from "@std/assert";
import type { NodeId, NodeSet } from "../../src/two_phase/messages.ts";
import { Quorum } from "../../src/two_phase/quorum.ts";
import { Reachability } from "../../src/two_phase/reachability.ts";
import { Stillness } from "../../src/two_phase/stillness.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { Script, write } from "./script.ts";

const TIMING = timingFor(5000);
const ALL = 0b11111;
const QUORUM = new Quorum(ALL);

type Pairs = readonly (readonly [NodeId, NodeId])[];

/** In a chain each node reaches only its neighbours. */
const CHAIN: Pairs = [[0, 2], [0, 3], [0, 4], [1, 3], [1, 4], [2, 4]];

/** Five nodes, one of which knows which nodes hear each other. */
class Observer {
  readonly reachability: Reachability;
  now = 1000;

  constructor(readonly self: NodeId) {
    const stillness = new Stillness(TIMING.suspicionMs);
    this.reachability = new Reachability({ self, timing: TIMING, stillness });
  }

  /** For `ms`, all say every 100 ms which nodes they hear: none hears the other end of a `cut` link. */
  pass(ms: number, cut: Pairs): void {
    const isCut = (a: NodeId, b: NodeId) =>
      cut.some((pair) => pair.includes(a) && pair.includes(b) && a !== b);
    for (let i = 0; i < ms / 100; i++) {
      this.now += 100;
      for (let from = 0; from < 5; from++) {
        if (from === this.self || isCut(from, this.self)) continue;
        let hears: NodeSet = 0;
        for (let to = 0; to < 5; to++) if (!isCut(from, to)) hears |= 1 << to;
        this.reachability.onHeard(from, this.now);
        this.reachability.onHeartbeat(from, hears);
      }
      this.reachability.onTick(ALL, this.now);
    }
  }

  get best(): NodeSet {
    const heard = this.reachability.heard(this.now);
    return this.reachability.best(ALL, { quorum: QUORUM, heard });
  }
}

const SETS: readonly { readonly cut: Pairs; readonly best: NodeSet; readonly why: string }[] = [
  { cut: [], best: 0b11111, why: "all hear each other" },
  { cut: [[0, 1]], best: 0b11101, why: "of one pair, the higher one is out" },
  { cut: [[0, 4], [1, 4]], best: 0b01111, why: "one node is the end of both cut links" },
  { cut: [[0, 1], [2, 3]], best: 0b10101, why: "two pairs" },
  { cut: CHAIN, best: 0b01110, why: "no three hear each other, and the middle one hears two" },
];

for (const { cut, best, why } of SETS) {
  Deno.test(`Reachability.best() returns the same at every node that hears a majority: ${why}`, () => {
    for (let self = 0; self < 5; self++) {
      const observer = new Observer(self);
      observer.pass(5000, cut);
      const heard = observer.reachability.heard(observer.now);
      if (!QUORUM.isReachedBy(heard)) continue;
      assertEquals(observer.best, best, `n${self}`);
    }
  });
}

Deno.test("Reachability.isWelcome() holds back for a time that doubles, also at an end of the link", () => {
  for (const self of [0, 2]) {
    const observer = new Observer(self);
    const { reachability } = observer;
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      observer.pass(3000, [[0, 1]]);
      assert(!reachability.isWelcome(1, 0b11101, observer.now));
      const healedAt = observer.now;
      while (!reachability.isWelcome(1, 0b11101, observer.now)) observer.pass(100, []);
      waits.push(Math.round((observer.now - healedAt) / 1000));
    }
    assertEquals(waits, [5, 10, 20, 40, 80, 120, 120], `at n${self}`);
    observer.pass(300_000, []);
    observer.pass(3000, [[0, 1]]);
    const healedAt = observer.now;
    while (!reachability.isWelcome(1, 0b11101, observer.now)) observer.pass(100, []);
    assertEquals(Math.round((observer.now - healedAt) / 1000), 5, "what is long ago is forgotten");
  }
});

Deno.test("Reachability.isWelcome() waits for no link that was not cut for long", () => {
  const observer = new Observer(2);
  observer.pass(600, [[0, 1]]);
  observer.pass(100, []);
  assert(observer.reachability.isWelcome(1, 0b11101, observer.now));
});

/** A quiet cluster of five, of which these links are cut for `ms`; and how many views that made. */
function tear(cut: Pairs, ms: number): { readonly script: Script; readonly views: number } {
  const script = Script.complete(5, TIMING);
  for (let i = 0; i < 50; i++) {
    script.wait(20);
    script.deliverAll();
  }
  const latest = () => Math.max(...script.replicas.map(({ membership }) => membership.view.number));
  const before = latest();
  for (const [a, b] of cut) script.cut(a, b);
  for (let i = 0; i < ms / 20; i++) {
    script.wait(20);
    script.deliverAll();
  }
  return { script, views: latest() - before };
}

function answerAt(script: Script, node: NodeId): unknown {
  const label = `W${node} at ${script.now}`;
  script.ask(node, label, write({ k: label }));
  script.goOnUntil(() => script.outcomes.has(label));
  return script.outcomes.get(label);
}

Deno.test("one cut pair makes one view, and its higher node comes back when it is whole", () => {
  const { script, views } = tear([[0, 1]], 15_000);
  assertEquals(views, 1);
  assertEquals(script.replicas[2]?.membership.members, 0b11101);
  for (const node of [0, 2, 3, 4]) {
    assertEquals(answerAt(script, node), { kind: "answered", reply: "OK" });
  }
  script.connect(0, 1);
  const healedAt = script.now;
  const isBack = () => script.replicas[1]?.membership.isMember === true;
  for (let i = 0; i < 600 && !isBack(); i++) {
    script.wait(20);
    script.deliverAll();
  }
  const waited = script.now - healedAt;
  assert(waited >= TIMING.heldBackMs && waited < TIMING.heldBackMs + 2000, `after ${waited} ms`);
});

Deno.test("a chain of five comes to rest in a majority whose middle node can write", () => {
  const { script, views } = tear(CHAIN, 15_000);
  assert(views <= 3, `${views} views`);
  const attempts = () => script.replicas.map(({ counters }) => counters.viewAttempts);
  const before = attempts();
  for (let i = 0; i < 3000; i++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(attempts(), before);
  assertEquals(script.replicas[2]?.membership.members, 0b01110);
  assertEquals(answerAt(script, 2), { kind: "answered", reply: "OK" });
  const clocks = (node: NodeId) => script.clocksOf(node);
  const reading = script.replicas.map(({ membership }, node) => membership.mayRead(clocks(node)));
  assertEquals(reading, [false, true, true, true, false]);
});

Deno.test("a node that is held back is admitted at once if the view needs it", () => {
  const { script } = tear([[0, 1]], 5000);
  for (const node of [3, 4]) script.kill(node);
  // Of n0 and n2 alone there is no majority; n1 reaches n2.
  for (let i = 0; i < 500; i++) {
    script.wait(20);
    script.deliverAll();
  }
  assertEquals(script.replicas[2]?.membership.members, 0b00111);
  assertEquals(answerAt(script, 2), { kind: "answered", reply: "OK" });
});
