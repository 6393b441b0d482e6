/**
 * A node that is started on an older copy of its journal: the others' journals tell it so, and it counts
 * for nothing.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { timingFor, VIEW_TIMING } from "../../src/two_phase/timing.ts";
import {
  ballotOf,
  incarnationBase,
  type JournalRecord,
  type JournalSighting,
  type Message,
  type View,
} from "../../src/two_phase/messages.ts";
import type { ProtocolEvent } from "../../src/two_phase/outbox.ts";
import { countsAsProgress, isOlderCopy, SIGHTING_MS } from "../../src/two_phase/peer_journals.ts";
import { type JournalCopy, node, read, Script, write } from "./script.ts";

const SEEN: JournalSighting = { journal: "j", incarnation: 3, process: "p", position: 100 };

for (
  const { what, present, isOlder } of [
    { what: "it is that process", present: { ...SEEN, position: 7 }, isOlder: false },
    {
      what: "it is a later start",
      present: { ...SEEN, incarnation: 4, process: "q" },
      isOlder: false,
    },
    {
      what: "it is a later start that has lost records",
      present: { ...SEEN, incarnation: 4, process: "q", position: 99 },
      isOlder: true,
    },
    {
      what: "it is an earlier start",
      present: { ...SEEN, incarnation: 2, process: "q" },
      isOlder: true,
    },
    {
      what: "another process was started so often",
      present: { ...SEEN, process: "q", position: 200 },
      isOlder: true,
    },
    {
      what: "the process goes on with later numbers",
      present: { ...SEEN, incarnation: 2, position: 0 },
      isOlder: false,
    },
    {
      what: "it is another journal",
      present: { ...SEEN, journal: "k", process: "q", position: 0 },
      isOlder: false,
    },
  ]
) {
  Deno.test(`isOlderCopy() is ${isOlder} when ${what}`, () => {
    assertEquals(isOlderCopy(present, SEEN), isOlder);
  });
}

/** Writes at n0, and lets the others write down how far the journals have come. */
function writeAndWait(script: Script, value: string): void {
  script.ask(0, value, write({ k: value }));
  const until = script.now + SIGHTING_MS + 400;
  script.goOnUntil(() => script.now > until && script.outcomes.get(value) !== undefined);
  assertEquals(script.outcomes.get(value), { kind: "answered", reply: "OK" });
}

/** n2 comes back on a copy of its journal, in which k is old. */
function putBack(linked: readonly number[]): Script {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "old");
  const copy = script.copyJournal(2);
  writeAndWait(script, "new");
  script.putBack(2, copy);
  script.start(2, linked);
  return script;
}

Deno.test("a node on an older copy of its journal learns so from any other, and does nothing", () => {
  for (const linked of [[0], [1], [0, 1]]) {
    const script = putBack(linked);
    const { membership } = node(script, 2);
    assertEquals(membership.isOlderCopy, true);
    script.ask(2, "R", read("k"));
    assertEquals(script.outcomes.get("R")?.kind, "rejected");
    const sent = script.log.length;
    for (let i = 0; i < 20; i++) {
      script.wait(20);
      script.deliverAll();
    }
    assertEquals(script.log.slice(sent).filter((line) => line.startsWith("n2 ->")), []);
  }
});

Deno.test("a peer on an older copy of its journal does not count, whether it says so or not", () => {
  const script = putBack([]);
  const { identity } = node(script, 2).membership;
  script.step(0, { type: "peerUp", peer: 2, identity });
  assertEquals(node(script, 0).membership.counts(2), false);
  assertEquals(node(script, 0).membership.isInside(2), false);
});

Deno.test("all stop, and one comes back on an older copy: it serves nothing, and infects no other node", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "old");
  const copy = script.copyJournal(2);
  writeAndWait(script, "new");
  for (const index of [0, 1, 2]) script.kill(index);
  script.putBack(2, copy);
  for (const index of [2, 1, 0]) script.start(index);
  script.goOnUntil(() =>
    [0, 1].every((index) =>
      node(script, index).membership.mayWrite &&
      node(script, index).membership.mayRead(script.clocksOf(index))
    )
  );
  assertEquals(node(script, 2).membership.isOlderCopy, true);
  script.ask(0, "R", read("k"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["new"] });
  // With a new journal it is a stranger, and gets what the others have.
  script.wipe(2);
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
  assertEquals(node(script, 2).store.get("k")?.value, "new");
});

Deno.test("a copy of the same start is noticed by its length", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "old");
  const { identity, records } = script.copyJournal(2);
  writeAndWait(script, "new");
  // The end of the journal is gone, and the next start has the number that comes next.
  script.putBack(2, { identity, records });
  script.start(2, [0]);
  assertEquals(node(script, 2).membership.identity.incarnation, identity.incarnation + 1);
  assertEquals(node(script, 2).membership.isOlderCopy, true);
});

Deno.test("an ordinary restart is no older copy, whatever was not durable yet", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "1");
  script.forcesAtOnce = false;
  script.ask(0, "2", write({ k: "2" }));
  script.deliverAll();
  for (let i = 0; i < 80; i++) {
    script.wait(20);
    script.deliverAll();
    script.completeForces(0, 1);
  }
  script.restart(2);
  script.forcesAtOnce = true;
  assertEquals(node(script, 2).membership.isOlderCopy, false);
  script.goOnUntil(() => node(script, 2).membership.mayRead(script.clocksOf(2)));
});

Deno.test("a node that has restarted takes part once a majority has said what it knows", () => {
  const script = Script.complete(5, timingFor(5000));
  writeAndWait(script, "1");
  script.restart(4, [0]);
  const { membership } = node(script, 4);
  const sent: Message[] = [];
  const { outbox } = node(script, 4).context;
  const send = outbox.send.bind(outbox);
  outbox.send = (to, message) => {
    if (to !== 0) sent.push(message);
    send(to, message);
  };
  const ballot = ballotOf(9, 0);
  const viewPrepare: Message = { type: "viewPrepare", view: 1, ballot };
  script.step(4, { type: "message", from: 0, message: viewPrepare });
  for (let i = 0; i < 15; i++) {
    script.wait(20);
    while (script.deliver(0, 4));
  }
  const types = () => [...new Set(sent.map(({ type }) => type))].sort();
  assertEquals(membership.isVerified, false);
  assertEquals(types(), ["heartbeat"]);
  assertEquals(membership.promised < ballot, true);
  script.connect(4, 1);
  assertEquals(membership.isVerified, true, "n0, n1 and itself are a majority of five");
  // What it was asked before counts now.
  assertEquals(membership.promised, ballot);
  while (script.deliver(0, 4));
  assert(types().includes("viewPromise"));
});

Deno.test("a node that was new to the cluster needs no such word", () => {
  const script = new Script(3);
  assertEquals(node(script, 0).membership.isVerified, true);
});

Deno.test("at rest, no node records how far the others have come", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "1");
  script.goOnUntil(() => script.now > 6000);
  const before = [0, 1, 2].map((index) => script.copyJournal(index).records.length);
  const until = script.now + 3000;
  script.goOnUntil(() => script.now > until);
  assertEquals([0, 1, 2].map((index) => script.copyJournal(index).records.length), before);
});

Deno.test("a checkpoint keeps the sightings, and how far the journal has come", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "1");
  const replica = node(script, 1);
  const { outbox, membership } = replica.context;
  const progress = outbox.durableProgress;
  assert(progress > 3);
  const counted = script.copyJournal(1).records.filter(countsAsProgress).length;
  assertEquals(counted, progress);
  const records: readonly JournalRecord[] = replica.checkpoint();
  assertEquals(records.at(-1), { type: "position", position: progress });
  const again = new Script(3, {
    journals: new Map([[1, { journal: "j1", records, store: replica.store }]]),
  });
  assertEquals(again.replicas[1]?.context.outbox.progress, progress);
  assertEquals(again.replicas[1]?.membership.peerJournals.records, membership.peerJournals.records);
});

Deno.test("both sides say that a journal is an older copy", () => {
  const script = putBack([]);
  const events: ProtocolEvent[] = [];
  for (const index of [0, 2]) {
    const { outbox } = node(script, index).context;
    outbox.report = (event) => events.push(event);
  }
  script.connect(0, 2);
  assertEquals(events.map(({ type }) => type), ["peerOnOlderCopy", "olderCopy"]);
  const [, older] = events;
  assert(older?.type === "olderCopy" && older.own.position < older.seen.position);
});

/** Lets time pass. */
function run(script: Script, ms: number): void {
  for (const until = script.now + ms; script.now < until;) {
    script.wait(20);
    script.deliverAll();
  }
}

/** What the program does: gives the journal up when it is told so. */
function startOverAt(script: Script, index: number): ProtocolEvent[] {
  const events: ProtocolEvent[] = [];
  const { outbox } = node(script, index).context;
  outbox.report = (event) => events.push(event);
  return events;
}

Deno.test("a node that takes part continues, whatever a journal from elsewhere says of it", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "1");
  const copies = [0, 1, 2].map((index) => script.copyJournal(index));
  // A drill: the copies are started somewhere else.
  const drill = new Script(3, {
    timing: timingFor(5000),
    journals: new Map(
      copies.map(({ identity: { journal }, records }, index) =>
        [index, { journal, records }] as const
      ),
    ),
  });
  for (const index of [0, 1, 2]) drill.restart(index);
  run(drill, 2000);
  writeAndWait(drill, "drill");
  for (let i = 2; i < 5; i++) writeAndWait(script, `${i}`);
  script.kill(1);
  run(script, 3000);
  const events = startOverAt(script, 0);
  // n1 comes back with the disk of the drill.
  script.putBack(1, drill.copyJournal(1));
  script.start(1);
  const own = startOverAt(script, 1);
  run(script, 2000);
  for (const index of [0, 2]) {
    const { membership } = node(script, index);
    assertEquals([membership.isVerified, membership.isOlderCopy], [true, false], `n${index}`);
  }
  assert(events.some(({ type }) => type === "contradicted"), "it says so");
  assertEquals(node(script, 0).membership.counts(1), false);
  script.ask(0, "R", read("k"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["4"] });
  assertEquals(node(script, 1).membership.isVerified, false);
  assert(own.every(({ type }) => type !== "verified"));
});

Deno.test("copies of different moments: no node gives up its journal while none takes part", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "kept");
  const copies = [0, 1, 2].map((index) => {
    const copy = script.copyJournal(index);
    writeAndWait(script, `after ${index}`);
    return copy;
  });
  for (const index of [0, 1, 2]) script.kill(index);
  copies.forEach((copy, index) => script.putBack(index, copy));
  for (const index of [0, 1, 2]) script.start(index);
  const events = [0, 1, 2].map((index) => startOverAt(script, index));
  run(script, 10_000);
  assertEquals([0, 1].map((index) => node(script, index).membership.isOlderCopy), [true, true]);
  assertEquals(node(script, 2).membership.isOlderCopy, false);
  assertEquals(events.flat().filter(({ type }) => type === "startOver"), []);
  for (const index of [0, 1, 2]) {
    assert(node(script, index).store.get("k")?.value !== undefined, `n${index}`);
    script.ask(index, `R${index}`, read("k"));
    assertEquals(script.outcomes.get(`R${index}`)?.kind, "rejected");
  }
  const said = script.outcomes.get("R2");
  assert(said?.kind === "rejected");
  assertMatch(said.reason, /n0, n1 started with an older copy of its journal/);
});

Deno.test("an older copy is given up when a member that takes part says so, and not before", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "old");
  const copy = script.copyJournal(2);
  writeAndWait(script, "new");
  for (const index of [0, 1, 2]) script.kill(index);
  script.putBack(2, copy);
  script.start(2);
  script.start(0);
  const events = startOverAt(script, 2);
  run(script, 1000);
  assertEquals(node(script, 2).membership.isOlderCopy, true);
  assertEquals(node(script, 0).membership.isVerified, false);
  assertEquals(events, []);
  script.start(1);
  run(script, 500);
  assertEquals(events.map(({ type }) => type), ["olderCopy", "startOver"]);
});

Deno.test("an older copy is given up when a majority takes part without it, whoever knew of it", () => {
  const { script, copy } = acknowledged();
  for (const index of [0, 1, 2]) script.kill(index);
  script.putBack(3, copy);
  script.start(3);
  script.start(0);
  const events = startOverAt(script, 3);
  run(script, 500);
  assertEquals(node(script, 3).membership.isOlderCopy, true);
  // n0, which alone knows of it, is gone again before it takes part.
  script.kill(0);
  script.start(1);
  script.start(2);
  run(script, 500);
  assertEquals(events, [], "two are no majority");
  script.start(4);
  run(script, 500);
  assertEquals(events.map(({ type }) => type), ["startOver"]);
});

Deno.test("two nodes that each know more of the other's journal say nothing by that", () => {
  const script = Script.complete(3, timingFor(5000));
  writeAndWait(script, "1");
  const copies = [0, 1].map((index) => script.copyJournal(index));
  writeAndWait(script, "2");
  const later = [0, 1].map((index) => script.copyJournal(index));
  assertEquals(copies.length + later.length, 4);
  for (const index of [0, 1, 2]) script.kill(index);
  // n0 has an older copy; n1 has one that is older still in what n0 knows of it, but knows more of n0.
  copies.forEach((copy, index) => script.putBack(index, copy));
  const other = (own: number) => later[1 - own]?.identity;
  for (const index of [0, 1]) {
    const identity = other(index);
    assert(identity !== undefined);
    script.start(index, []);
    script.step(index, {
      type: "peerUp",
      peer: 1 - index,
      identity: { ...identity, incarnation: 1, process: "a copy", position: 0 },
      known: { ...node(script, index).membership.identity, process: "later", position: 1e6 },
    });
    assertEquals(node(script, index).membership.isOlderCopy, false, `n${index}`);
    assertEquals(node(script, index).membership.isVerified, false, `n${index}`);
  }
});

Deno.test("the owner of a recovered cluster that is on an older copy does not continue by itself", () => {
  const script = recovered();
  script.kill(2);
  const copy = script.copyJournal(0);
  script.connect(0, 1);
  script.goOnUntil(() => node(script, 0).membership.mayWrite);
  writeAndWait(script, "new");
  for (const index of [0, 1]) script.kill(index);
  script.putBack(0, copy);
  script.start(0);
  script.start(2);
  run(script, 3000);
  assertEquals(node(script, 0).membership.view.number, 6);
  assertEquals(node(script, 0).membership.isVerified, false, "n1 may know more");
  script.start(1);
  run(script, 500);
  assertEquals(node(script, 0).membership.isOlderCopy, true);
});

/**
 * n4 of five acknowledges "new" and crashes. That n3 has prepared it, only n0 has recorded.
 *
 * @returns also the journal of n3 from before that
 */
function acknowledged(): { readonly script: Script; readonly copy: JournalCopy } {
  const script = Script.complete(5, timingFor(5000, { ...VIEW_TIMING, suspicionMs: 10_000 }));
  writeAndWait(script, "old");
  run(script, 2 * SIGHTING_MS);
  const copy = script.copyJournal(3);
  script.ask(4, "new", write({ k: "new" }));
  const isWithheld = (from: number, to: number) => from === 4 || from === 3 && to in [0, 1, 2];
  for (const to of [0, 1, 2, 3]) while (script.deliver(4, to));
  for (const from of [0, 1, 2, 3]) while (script.deliver(from, 4));
  assertEquals(script.outcomes.get("new"), { kind: "answered", reply: "OK" });
  // What n4 has told the others since is lost.
  script.kill(4);
  for (const until = script.now + 2 * SIGHTING_MS; script.now < until;) {
    script.wait(20);
    while (script.deliver(3, 0));
    script.deliverAll(isWithheld);
  }
  return { script, copy };
}

/** n3 starts on the older copy, and n1 and n2, which know of no more, vouch for it; then it meets n0. */
function putBackAndVouchedFor(script: Script, copy: JournalCopy): ProtocolEvent[] {
  script.putBack(3, copy);
  script.start(3, []);
  const events = startOverAt(script, 3);
  for (const peer of [1, 2]) script.connect(3, peer);
  assertEquals(node(script, 3).membership.isVerified, true);
  script.connect(3, 0);
  assertEquals(node(script, 0).membership.hasOlderCopy(3), true);
  return events;
}

Deno.test("a proposer does not ask an older copy what was committed, and leaves it out at once", () => {
  const { script, copy } = acknowledged();
  const events = putBackAndVouchedFor(script, copy);
  const { membership } = node(script, 0);
  script.goOnUntil(() => membership.view.number === 2 && membership.mayWrite);
  assertEquals(membership.members, 0b00111);
  script.ask(0, "R", read("k"));
  script.goOnUntil(() => script.outcomes.has("R"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["new"] });
  // It is left out, holds nothing, and is told by a member that it runs on an older copy.
  const types = events.map(({ type }) => type).filter((type) =>
    /contradicted|startOver/.test(type)
  );
  assertEquals(types, ["contradicted", "startOver"]);
  script.wipe(3);
  script.goOnUntil(() => node(script, 3).membership.mayRead(script.clocksOf(3)));
  assertEquals(node(script, 3).store.get("k")?.value, "new");
});

Deno.test("a promise does not count any more when its node comes back on an older copy", () => {
  const { script, copy } = acknowledged();
  const { membership } = node(script, 0);
  script.change(0, "C", { kind: "remove", name: "n4" });
  script.wait(20);
  while (script.deliver(0, 3));
  while (script.deliver(3, 0));
  assertMatch(script.log.at(-1) ?? "", /viewPromise/);
  putBackAndVouchedFor(script, copy);
  const isBetween = (from: number, to: number) => from === 3 && to === 0 || from === 0 && to === 3;
  script.deliverUntil(() => membership.view.number === 2, isBetween);
  assertEquals(membership.members, 0b00111);
});

/** n0 has just begun a cluster of three by force; n1 and n2 are new. */
function recovered(): Script {
  const names = ["n0", "n1", "n2"];
  const view: View = {
    number: 6,
    cluster: { id: "new", origin: { by: "n0", at: 0, view: 6 } },
    ballot: ballotOf(6, 0),
    names,
    members: 0b001,
    journals: ["j0", "", ""],
    commits: [],
    bases: names.map(() => incarnationBase(2)),
  };
  const membership: JournalRecord = {
    type: "membership",
    view,
    isMember: true,
    joined: undefined,
    offset: 2,
  };
  const started = { journal: "j0", records: [membership], isTrusted: true };
  return new Script(3, { timing: timingFor(5000), journals: new Map([[0, started]]) });
}
