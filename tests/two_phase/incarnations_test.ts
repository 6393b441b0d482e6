/**
 * A process whose numbers come to an end takes another incarnation: durably, without a pause, and no
 * number comes twice. Here an incarnation has a few numbers, in the place of 2³².
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { incarnationOf, type Message } from "../../src/two_phase/messages.ts";
import { node, read, Script, write } from "./script.ts";

const FEW = 4;

function complete(): Script {
  return Script.completed(3, { timing: timingFor(5000), sequencesMax: FEW });
}

/** Takes down which numbers n0 gives. */
function numbersOf(script: Script): number[] {
  const numbers: number[] = [];
  const { outbox } = node(script, 0).context;
  const send = outbox.send.bind(outbox);
  outbox.send = (to, message: Message) => {
    if (message.type === "prepare" && numbers.at(-1) !== message.number) {
      numbers.push(message.number);
    }
    send(to, message);
  };
  return numbers;
}

/** Writes at n0, one after the other; each is answered within the turn. */
function writes(script: Script, from: number, count: number): void {
  for (let i = from; i < from + count; i++) {
    script.ask(0, `w${i}`, write({ [`k${i}`]: `${i}` }));
    script.deliverAll();
    assertEquals(script.outcomes.get(`w${i}`), { kind: "answered", reply: "OK" }, `w${i}`);
  }
}

function rest(script: Script): void {
  for (let i = 0; i < 10; i++) {
    script.wait(20);
    script.deliverAll();
  }
}

Deno.test("a coordinator takes another incarnation before its numbers run out, and no request waits", () => {
  const script = complete();
  const numbers = numbersOf(script);
  writes(script, 0, 50);
  assert(node(script, 0).counters.incarnationsTaken >= 8);
  assertEquals(new Set(numbers).size, 50);
  assertEquals(numbers.toSorted((a, b) => a - b), numbers);
  rest(script);
  // Everything of all incarnations is settled and forgotten.
  assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
  assertEquals(node(script, 2).store.get("k49")?.value, "49");
});

Deno.test("an incarnation is used when its record is durable, and not before", () => {
  const script = complete();
  const numbers = numbersOf(script);
  writes(script, 0, FEW);
  script.forcesAtOnce = false;
  for (let i = 0; i < 6; i++) {
    script.ask(0, `held${i}`, write({ [`h${i}`]: "1" }));
    script.deliverAll();
  }
  assertEquals(new Set(numbers.map(incarnationOf)), new Set([1]));
  script.completeForces(0, 1, 2);
  script.forcesAtOnce = true;
  writes(script, 100, 1);
  assertEquals(incarnationOf(numbers.at(-1) ?? 0), 2);
});

for (const at of [3, 4, 5, 6, 9]) {
  Deno.test(`a process that starts after ${at} writes gives no number that was given before`, () => {
    const script = complete();
    const before = numbersOf(script);
    writes(script, 0, at);
    script.restart(0);
    rest(script);
    const after = numbersOf(script);
    writes(script, 100, 10);
    assert(Math.min(...after) > Math.max(...before));
    rest(script);
    assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
  });
}

Deno.test("what is undecided when an incarnation is taken continues", () => {
  const script = complete();
  writes(script, 0, FEW - 1);
  // n2 does not hear of these until the incarnation was taken.
  for (let i = 0; i < 8; i++) {
    script.ask(0, `u${i}`, write({ x: `${i}` }));
    script.deliverAll((from, to) => from === 0 && to === 2);
  }
  assert(node(script, 0).counters.incarnationsTaken >= 1);
  for (let i = 0; i < 8; i++) assertEquals(script.outcomes.get(`u${i}`), undefined);
  script.deliverAll();
  for (let i = 0; i < 8; i++) {
    assertEquals(script.outcomes.get(`u${i}`), { kind: "answered", reply: "OK" }, `u${i}`);
  }
  script.ask(1, "R", read("x"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["7"] });
  rest(script);
  assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
});

Deno.test("a member whose link breaks while an incarnation is taken misses nothing", () => {
  const script = complete();
  writes(script, 0, FEW - 1);
  for (let i = 0; i < 4; i++) script.ask(0, `u${i}`, write({ x: `${i}` }));
  script.deliver(0, 2);
  script.cut(0, 2);
  script.deliverAll();
  script.connect(0, 2);
  rest(script);
  for (let i = 0; i < 4; i++) {
    assertEquals(script.outcomes.get(`u${i}`), { kind: "answered", reply: "OK" }, `u${i}`);
  }
  writes(script, 100, 10);
  rest(script);
  assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
});

Deno.test("a member that restarts after many incarnations lets all be forgotten", () => {
  const script = complete();
  writes(script, 0, 20);
  rest(script);
  script.ask(0, "X", write({ x: "1" }));
  script.deliver(0, 1); // In the journal of n1 when it restarts.
  script.restart(1);
  rest(script);
  writes(script, 100, 30);
  rest(script);
  assertEquals(script.replicas.map(({ transactions }) => transactions), [0, 0, 0]);
});

Deno.test("a node that has taken another incarnation and leaves is known to have left", () => {
  const script = complete();
  writes(script, 0, FEW + 2);
  script.step(0, { type: "leave" });
  while (script.deliver(0, 1));
  assertEquals(node(script, 1).membership.hasLeft(0), true);
});
