/**
 * `kill -9` of the coordinator, in each window between its prepare and the last word of its decision.
 *
 * The hooks are the script's journal and links: a force ends, and a message arrives, exactly when told
 * to, so no luck is needed to hit a window. n0 coordinates a write of k, at n1 a read and then a write
 * of k wait for how that ends, and n0 is killed. Then each window is played to its end twice:
 *
 * - n0 starts again at once. In the same view, recovery says how the write ends: committed exactly if
 *   n0 has a durable prepared record and no durable abort (it goes on as the coordinator, or has
 *   committed it before); else aborted.
 * - n0 stays away. The next view says it, by what n1 and n2 hold: committed if one of them has
 *   committed it or both have it prepared; else aborted. That need not be what n0 would have said,
 *   unless a client was told; when n0 comes back, it takes the view's word.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Timing, timingFor } from "../../src/two_phase/timing.ts";
import { transactionNumber } from "../../src/two_phase/messages.ts";
import { nameForClients } from "../../src/two_phase/transaction_name.ts";
import { append, outcomesOf, read, Script, write } from "./script.ts";

type End = "committed" | "aborted";

/** The value of k at the end, by how the write of n0 ended: that of n1 appends to it. */
const LEFT: Readonly<Record<End, string>> = { committed: "1+", aborted: "+" };

interface Window {
  readonly name: string;
  /** Plays the write of n0, from when it is asked for until n0 is killed. */
  readonly play: (script: Script) => void;
  /** What its client was told before that. */
  readonly isAnswered?: true;
  /** How it ends when n0 starts again at once, and when it stays away. */
  readonly restarted: End;
  readonly away: End;
}

const TIMEOUT_MS = 5000;

/** No node is suspected: the view stays. */
const SAME_VIEW: Timing = timingFor(TIMEOUT_MS, {
  leaseMs: 1e9,
  suspicionMs: 1e9,
  heartbeatMs: 1e9,
  driftMax: 0.01,
});

/** Delivers everything that is on its way from one node to another. */
function pass(script: Script, from: number, to: number): void {
  while (script.deliver(from, to));
}

/** n0 has its own record durable, and so have the members that have the prepare: all vote at once. */
function prepare(script: Script, receivers: readonly number[]): void {
  ask(script);
  for (const node of receivers) pass(script, 0, node);
}

function ask(script: Script): void {
  script.ask(0, "W", write({ k: "1" }));
}

const W_NUMBER = transactionNumber(1, 1);
const W = nameForClients({ coordinator: 0, number: W_NUMBER }, "j0");

/** n2 refuses W, and remembers nothing of that, as members do: so n0 aborts it. */
function refuse(script: Script): void {
  const no = { type: "vote", view: 1, number: W_NUMBER, vote: "no", reason: "conflict" } as const;
  script.step(0, { type: "message", from: 2, message: no });
}

const WINDOWS: readonly Window[] = [
  {
    name: "(a) its own record is not durable, one member is prepared",
    play: (script) => {
      script.forcesAtOnce = false;
      ask(script);
      pass(script, 0, 1);
      script.completeForce(1);
    },
    restarted: "aborted",
    away: "aborted",
  },
  {
    name: "(a) its own record is not durable, all others are prepared",
    play: (script) => {
      script.forcesAtOnce = false;
      ask(script);
      for (const node of [1, 2]) {
        pass(script, 0, node);
        script.completeForce(node);
      }
    },
    restarted: "aborted",
    away: "committed",
  },
  {
    name: "(b) its own record is durable, one member is prepared",
    play: (script) => prepare(script, [1]),
    restarted: "committed",
    away: "aborted",
  },
  {
    name: "(b) all are prepared, and it has seen no vote",
    play: (script) => prepare(script, [1, 2]),
    restarted: "committed",
    away: "committed",
  },
  {
    name: "(b) all are prepared, and it has seen one vote",
    play: (script) => {
      prepare(script, [1, 2]);
      pass(script, 1, 0);
    },
    restarted: "committed",
    away: "committed",
  },
  {
    name: "(c) it has committed and answered, which is not durable, and told no member",
    play: (script) => {
      prepare(script, [1, 2]);
      for (const node of [1, 2]) pass(script, node, 0);
    },
    isAnswered: true,
    restarted: "committed",
    away: "committed",
  },
  {
    name: "(c) it has committed and answered, which is durable, and told no member",
    play: (script) => {
      prepare(script, [1, 2]);
      for (const node of [1, 2]) pass(script, node, 0);
      script.wait(20); // A tick forces what nothing else does.
    },
    isAnswered: true,
    restarted: "committed",
    away: "committed",
  },
  {
    name: "(d) it has committed and answered, and told one member",
    play: (script) => {
      prepare(script, [1, 2]);
      for (const node of [1, 2]) pass(script, node, 0);
      pass(script, 0, 2);
    },
    isAnswered: true,
    restarted: "committed",
    away: "committed",
  },
  {
    name: "(e) its abort is not durable",
    play: (script) => {
      prepare(script, [1]);
      script.forcesAtOnce = false;
      refuse(script);
    },
    // No member was told of the abort; n2, which has forgotten its no, is asked once more.
    restarted: "committed",
    away: "aborted",
  },
  {
    name: "(e) its abort is durable, and told to no member",
    play: (script) => {
      prepare(script, [1]);
      refuse(script);
    },
    restarted: "aborted",
    away: "aborted",
  },
  {
    name: "(f) its abort is durable, and told to the member that is prepared",
    play: (script) => {
      prepare(script, [1]);
      refuse(script);
      pass(script, 0, 1);
    },
    restarted: "aborted",
    away: "aborted",
  },
  {
    name: "(f) its abort is durable, and told to the member that refused it",
    play: (script) => {
      prepare(script, [1]);
      refuse(script);
      pass(script, 0, 2);
    },
    restarted: "aborted",
    away: "aborted",
  },
];

/** Plays `window`, with clients that wait at n1, up to the crash. Returns when they have asked. */
function playUntilCrash(script: Script, window: Window): number {
  script.deliverAll();
  window.play(script);
  const askedAt = script.now;
  script.ask(1, "R", read("k"));
  script.ask(1, "V", append("k", "+"));
  const outcome = script.outcomes.get("W");
  if (window.isAnswered === true) assertEquals(outcome, { kind: "answered", reply: "OK" });
  else assertEquals(outcome, undefined);
  script.kill(0);
  script.forcesAtOnce = true;
  return askedAt;
}

/** Lets time pass until `isOver`, for `ms` at the most. */
function runUntil(script: Script, ms: number, isOver: () => boolean): void {
  for (const end = script.now + ms; script.now < end && !isOver();) {
    script.deliverAll();
    script.wait(20);
  }
  script.deliverAll();
  assert(isOver(), script.log.slice(-40).join("\n"));
}

/** Checks that the requests that waited were answered in time, and what they saw of the write. */
function assertAnswered(script: Script, options: { askedAt: number; end: End }): void {
  const left = options.askedAt + TIMEOUT_MS - script.now;
  runUntil(script, left, () => script.outcomes.has("R") && script.outcomes.has("V"));
  const value = options.end === "committed" ? "1" : null;
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: [value] });
  assertEquals(script.outcomes.get("V"), { kind: "answered", reply: `${value ?? ""}+` });
}

/** Checks that all nodes are members, hold the same, and have nothing left to do. */
function assertAtRest(script: Script, value: string | undefined): void {
  runUntil(
    script,
    TIMEOUT_MS,
    () =>
      script.replicas.every((replica) =>
        replica.membership.isMember && replica.transactions === 0 && replica.locks.size === 0
      ),
  );
  const values = script.replicas.map(({ store }) => store.get("k")?.value);
  assertEquals(values, [value, value, value]);
}

for (const window of WINDOWS) {
  Deno.test(`a coordinator killed when ${window.name}, and started again: ${window.restarted}`, () => {
    const script = Script.complete(3, SAME_VIEW);
    const askedAt = playUntilCrash(script, window);
    script.start(0);
    assertAnswered(script, { askedAt, end: window.restarted });
    assertAtRest(script, LEFT[window.restarted]);
    assertEquals(script.replicas.map(({ membership }) => membership.view.number), [1, 1, 1]);
  });

  Deno.test(`a coordinator killed when ${window.name}, and gone: ${window.away}`, () => {
    const script = Script.complete(3, timingFor(TIMEOUT_MS));
    const askedAt = playUntilCrash(script, window);
    assertAnswered(script, { askedAt, end: window.away });
    // It was a view without n0 that said so.
    assertEquals(script.replicas[1]?.membership.members, 0b110);
    script.start(0);
    assertAtRest(script, LEFT[window.away]);
  });
}

for (const isAway of [false, true]) {
  const end = isAway ? "gone: committed" : "started again: aborted";
  Deno.test(`a coordinator killed when (e) it has given up what all others have prepared, and ${end}`, () => {
    // A request is given up before any node is suspected.
    const script = Script.complete(3, isAway ? timingFor(1000) : { ...SAME_VIEW, timeoutMs: 1000 });
    script.deliverAll();
    prepare(script, [1, 2]);
    script.wait(isAway ? 800 : 1000);
    assertEquals(outcomesOf(script, W)[0], "abortedHere");
    // No majority knows of the abort: so the client was not told that it is one.
    assertEquals(script.outcomes.get("W")?.kind === "aborted", false);
    script.ask(1, "R", read("k"));
    script.kill(0);
    if (isAway) {
      // The next view comes later than the deadline.
      runUntil(script, 1000, () => script.outcomes.get("R")?.kind === "rejected");
      runUntil(script, TIMEOUT_MS, () => script.replicas[1]?.membership.members === 0b110);
      script.start(0);
      assertAtRest(script, "1");
    } else {
      script.start(0);
      runUntil(script, 1000, () => script.outcomes.has("R"));
      assertEquals(script.outcomes.get("R"), { kind: "answered", reply: [null] });
      assertAtRest(script, undefined);
    }
  });
}
