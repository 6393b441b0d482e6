/**
 * A ballot is used for one proposal at the most: whatever is said of it is durable before it is said,
 * and what a frozen node has reported stays as it is.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { ballotOf, type Message } from "../../src/two_phase/messages.ts";
import { transactionReportOf } from "../../src/two_phase/settlement.ts";
import { node, Script, write } from "./script.ts";

function promised(script: Script, index: number): number {
  return node(script, index).membership.promised;
}

/** Takes down what a node sends from now on. */
function sentBy(script: Script, index: number): Message[] {
  const sent: Message[] = [];
  const { outbox } = node(script, index).context;
  const send = outbox.send.bind(outbox);
  outbox.send = (to, message) => {
    sent.push(message);
    send(to, message);
  };
  return sent;
}

/** n0 has begun a ballot, as it hears nothing of n2, and its own promise is not durable yet. */
function begun(): { script: Script; ballot: number } {
  const script = Script.complete(3, timingFor(5000));
  const before = promised(script, 0);
  script.forcesAtOnce = false;
  for (let i = 0; promised(script, 0) === before; i++) {
    assert(i < 200, "n0 begins a ballot");
    script.wait(20);
    script.deliverAll((from, to) => from === 2 && to === 0);
    script.completeForces(1, 2);
  }
  return { script, ballot: promised(script, 0) };
}

Deno.test("a proposer asks for promises when its own is durable, and not before", () => {
  const { script, ballot } = begun();
  for (let i = 0; i < 10; i++) {
    script.wait(20);
    script.deliverAll();
    script.completeForces(1, 2);
  }
  assert(promised(script, 1) < ballot && promised(script, 2) < ballot);
  script.completeForces(0);
  script.deliverAll();
  assertEquals(promised(script, 1), ballot);
});

Deno.test("a proposer whose promise is not durable asks no node when a link comes up", () => {
  const { script, ballot } = begun();
  script.cut(0, 1);
  script.connect(0, 1);
  script.deliverAll();
  assert(promised(script, 1) < ballot);
  script.completeForces(0);
  script.deliverAll();
  assertEquals(promised(script, 1), ballot, "it is asked like all nodes that are linked by then");
});

Deno.test("a proposer proposes nothing while its own promise is not durable", () => {
  const { script, ballot } = begun();
  const { membership } = node(script, 0);
  // Others promise all the same, as a proposer of before would have asked them to.
  for (const from of [1, 2]) {
    const message: Message = {
      type: "viewPromise",
      view: 1,
      ballot,
      journal: `j${from}`,
      installed: membership.view,
      isMember: true,
      isJoined: false,
      accepted: undefined,
      table: [],
      marks: [],
      lastNumber: 0,
      acknowledged: [0, 0, 0],
      met: [0, 0, 0],
      uptimeMs: 1e9,
    };
    script.step(0, { type: "message", from, message });
  }
  script.wait(200);
  assertEquals(membership.accepted, undefined);
});

Deno.test("a proposer that restarts takes a later ballot than the one that it has asked for", () => {
  const { script, ballot } = begun();
  script.completeForces(0);
  script.forcesAtOnce = true;
  script.deliver(0, 1);
  assertEquals(promised(script, 1), ballot);
  script.restart(0);
  assertEquals(promised(script, 0), ballot, "its promise is in its journal");
  script.goOnUntil(() => node(script, 0).membership.view.number > 1);
  assert(promised(script, 1) > ballot);
});

Deno.test("a node that has lost its disk before view 1 gets no promise of a ballot that it had before", () => {
  const script = new Script(3, { timing: timingFor(5000) });
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) script.connect(a, b);
  script.wait(20);
  const ballot = promised(script, 0);
  assertEquals(ballot, ballotOf(1, 0));
  while (script.deliver(0, 1));
  assertEquals(promised(script, 1), ballot);
  script.wipe(0);
  const messages = sentBy(script, 1);
  script.goOnUntil(() => [0, 1, 2].every((index) => node(script, index).membership.mayWrite));
  const promises = messages.flatMap((one) => one.type === "viewPromise" ? [one.ballot] : []);
  assert(messages.some((one) => one.type === "viewRefuse" && one.ballot === ballot));
  assert(!promises.includes(ballot), "the ballot was promised to the journal of before");
  assert(node(script, 0).membership.view.ballot > ballot);
});

Deno.test("a promise reports an accepted proposal when that is durable, and not before", () => {
  const script = Script.complete(3, timingFor(5000));
  const { membership } = node(script, 1);
  const sent = sentBy(script, 1);
  const ballot = ballotOf(9, 0);
  const tell = (message: Message) => script.step(1, { type: "message", from: 0, message });
  script.forcesAtOnce = false;
  tell({ type: "viewPrepare", view: 1, ballot });
  tell({ type: "viewPrepare", view: 1, ballot }); // It is asked twice, as after a broken link.
  const proposal = { ...membership.view, number: 2, ballot };
  tell({ type: "viewAccept", view: 1, ballot, proposal });
  const reported = () =>
    sent.flatMap((one) => one.type === "viewPromise" ? [one.accepted?.ballot] : []);
  assertEquals(reported(), []);
  script.completeForce(1); // The promise; the accepted record comes with the next force.
  assertEquals(reported(), [undefined, undefined]);
  script.completeForces(1);
  tell({ type: "viewPrepare", view: 1, ballot });
  assertEquals(reported(), [undefined, undefined, ballot]);
});

Deno.test("a node that is asked again for a promise tells no report of the view that came of it", () => {
  const script = Script.complete(3, timingFor(5000));
  const { membership: { view } } = node(script, 1);
  const sent = sentBy(script, 1);
  script.ask(0, "T1", write({ k: "1" }));
  script.deliver(0, 1);
  // As after a broken link: the proposer asks for what it has had, and used, long ago.
  const message: Message = { type: "viewPrepare", view: 0, ballot: view.ballot };
  script.step(1, { type: "message", from: 0, message });
  script.completeForces(1);
  assertEquals(sent.filter(({ type }) => type === "viewPromise" || type === "viewRefuse"), []);
});

Deno.test("a frozen node grants no lock, and its report does not change", () => {
  const script = Script.complete(3, timingFor(5000));
  // T2 is older than T1, and comes to n1 after it: it waits there.
  script.ask(2, "T2", write({ k: "2" }));
  script.wait(5);
  script.ask(0, "T1", write({ k: "1" }));
  while (script.deliver(0, 1));
  while (script.deliver(2, 1));
  // n2 refuses T1, so n0 aborts it.
  while (script.deliver(0, 2));
  while (script.deliver(2, 0));
  const { transactions } = node(script, 1).context;
  const states = () =>
    [0, 2].flatMap((coordinator) =>
      [...transactions.of(coordinator)].map(([, known]) =>
        typeof known === "string" ? known : known.state
      )
    );
  assertEquals(states(), ["prepared", "waiting"]);
  script.forcesAtOnce = false;
  while (script.deliver(0, 1));
  assertEquals(states(), ["aborting", "waiting"]);
  // Before the abort is durable here, n1 promises. With the abort the key becomes free.
  const ballot = ballotOf(9, 2);
  const viewPrepare: Message = { type: "viewPrepare", view: 1, ballot };
  script.step(1, { type: "message", from: 2, message: viewPrepare });
  const before = transactionReportOf(node(script, 1).context);
  script.completeForces(1);
  script.wait(20);
  script.completeForces(1);
  assertEquals(states(), ["aborted", "waiting"]);
  assertEquals(transactionReportOf(node(script, 1).context), before);
});
