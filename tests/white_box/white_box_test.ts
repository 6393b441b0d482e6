/**
 * The white-box checks find what they look for, and no message is left out.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  ballotOf,
  type Message,
  MESSAGE_RULES,
  type MessageRule,
  type View,
} from "../../src/two_phase/messages.ts";
import { Replica } from "../../src/two_phase/replica.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import { ASSERTIONS } from "./assertions.ts";
import { WhiteBox } from "./white_box.ts";

const NAMES = ["n0", "n1", "n2"];
const JOURNALS = ["journal 0", "journal 1", "journal 2"];

const VIEW: View = {
  number: 1,
  cluster: { id: "a cluster" },
  ballot: ballotOf(1, 0),
  names: NAMES,
  members: 0b111,
  journals: JOURNALS,
  commits: [],
  bases: [0, 0, 0],
};

/** A node 0 that is a member of view 1, and looked into. */
function node(): { whiteBox: WhiteBox; replica: Replica } {
  const now = { monotonicMs: 1000, wallMs: 1000 };
  const records = [{
    type: "membership",
    view: VIEW,
    isMember: true,
    joined: undefined,
    offset: 0,
  }] as const;
  const replica = new Replica({
    self: 0,
    names: NAMES,
    identity: { journal: "journal 0", incarnation: 2, process: "the second" },
    timing: timingFor(1000),
    random: () => 0,
    now,
    records,
    isTrusted: true,
  });
  const whiteBox = new WhiteBox();
  whiteBox.onStart(0, replica, { journal: "journal 0", starts: 2, records });
  return { whiteBox, replica };
}

Deno.test("ASSERTIONS has an entry for each message that needs something durable, and no other", () => {
  const needing = Object.entries<MessageRule>(MESSAGE_RULES)
    .flatMap(([type, { durableFirst }]) => durableFirst === "nothing" ? [] : [type]);
  assertEquals(Object.keys(ASSERTIONS).sort(), needing.sort());
});

const ballot = ballotOf(2, 0);
const report = { table: [], marks: [] };

/** By what is sent, though nothing of it is durable: what is said about that. */
const LIES: readonly (readonly [Message, string])[] = [
  [{ type: "vote", view: 1, number: 7, vote: "yes", reason: "none" }, "is prepared"],
  [{ type: "commit", view: 1, number: 7 }, "is prepared"],
  [{ type: "abort", view: 1, number: 7 }, "is aborted"],
  [{ type: "abortAcknowledged", view: 1, number: 7 }, "is aborted"],
  [{ type: "settled", view: 1, upTo: 7 }, "how 1.0.7 ended"],
  [{ type: "forget", view: 1, upTo: 3 * 2 ** 32 + 7 }, "how 0.3.7 ended"],
  [{ type: "recovered", view: 1, upTo: 3 * 2 ** 32, undecided: [] }, "incarnation 3"],
  [
    { type: "viewInstalled", view: 2, cluster: "a cluster", isMember: true, isVerified: true },
    "view 2",
  ],
  [
    {
      type: "heartbeat",
      view: 1,
      ballot,
      incarnation: 2,
      round: 1,
      position: 99,
      isStuck: false,
      hears: 0b111,
      forceMs: 0,
    },
    "99 records",
  ],
  [{ type: "viewPrepare", view: 1, ballot }, "its own promise"],
  [{ type: "viewAccept", view: 1, ballot, proposal: VIEW }, "its own promise"],
  [{ type: "viewAccepted", view: 1, ballot }, "is accepted"],
  [
    {
      type: "viewPromise",
      view: 1,
      ballot,
      journal: "journal 0",
      installed: VIEW,
      isMember: true,
      isJoined: false,
      accepted: undefined,
      lastNumber: 0,
      acknowledged: [],
      met: [],
      uptimeMs: 0,
      ...report,
    },
    "the promise of ballot 2.0",
  ],
  [{ type: "joinAcknowledged", view: 1, transfer: 5, chunk: 0 }, "part 0 of transfer 5"],
  [
    { type: "joinPart", view: 1, transfer: 5, ballot, part: 0, entries: [], prepared: [] },
    "its own promise",
  ],
  [
    {
      type: "joinFinal",
      view: 1,
      transfer: 5,
      ballot,
      parts: 0,
      entries: [],
      prepared: [],
      report,
      clock: 0,
    },
    "its own promise",
  ],
  [{ type: "joinConfirmed", view: 1, transfer: 5, ballot, lastNumber: 0 }, "that it has joined"],
];

Deno.test("LIES has one for each assertion", () => {
  assertEquals(LIES.map(([{ type }]) => type).sort(), Object.keys(ASSERTIONS).sort());
});

for (const [message, text] of LIES) {
  Deno.test(`WhiteBox sees ${message.type} sent before what it asserts is durable`, () => {
    const { whiteBox, replica } = node();
    replica.context.outbox.send(0b010, message);
    assertStringIncludes(whiteBox.violations.join("\n"), text);
  });
}

Deno.test("WhiteBox says nothing of a message whose assertion is durable", () => {
  const { whiteBox, replica } = node();
  whiteBox.onDurable(0, [{ type: "promise", ballot, journal: "journal 0" }]);
  replica.context.outbox.send(0b010, { type: "viewPrepare", view: 1, ballot });
  assertEquals(whiteBox.violations, []);
});

Deno.test("WhiteBox sees a frozen node vote, decide and grant", () => {
  const { whiteBox, replica } = node();
  replica.membership.promise(ballot, "journal 1");
  replica.context.outbox.send(
    0b010,
    { type: "vote", view: 1, number: 7, vote: "waiting", reason: "none" },
  );
  replica.context.outbox.append({ type: "aborted", coordinator: 1, number: 7 });
  replica.context.outbox.send(
    0b010,
    { type: "heartbeatAcknowledged", view: 1, incarnation: 1, round: 1, wallMs: 1000 },
  );
  assertEquals(whiteBox.violations.map((text) => text.split(",")[0]), [
    "n0 is frozen",
    "n0 is frozen",
    "n0 has promised 2.0",
  ]);
});

Deno.test("WhiteBox sees a promise that a journal has lost, and lets an older copy pass", () => {
  for (const isOlderCopy of [false, true]) {
    const { whiteBox, replica } = node();
    whiteBox.onDurable(0, [{ type: "promise", ballot, journal: "journal 1" }]);
    whiteBox.onEnd(0);
    if (isOlderCopy) whiteBox.forgetJournal("journal 0");
    whiteBox.onStart(0, replica, { journal: "journal 0", starts: 3, records: [] });
    assertEquals(whiteBox.violations.length > 0, !isOlderCopy);
  }
});

Deno.test("WhiteBox sees a ballot used for two proposals, and by two processes", () => {
  const { whiteBox, replica } = node();
  const { outbox } = replica.context;
  whiteBox.onDurable(0, [{ type: "promise", ballot, journal: "journal 0" }]);
  for (const members of [0b011, 0b101]) {
    outbox.send(0b010, {
      type: "viewAccept",
      view: 1,
      ballot,
      proposal: { ...VIEW, number: 2, members },
    });
  }
  assertEquals(whiteBox.violations.length, 1);
});

Deno.test("WhiteBox sees a version with two values, and a lower one", () => {
  const { whiteBox, replica: { store } } = node();
  store.write(store.entryOf("k"), "one", 7);
  store.write(store.entryOf("k"), "one", 7);
  assertEquals(whiteBox.violations, []);
  store.write(store.entryOf("k"), "two", 7);
  assertEquals(whiteBox.violations.length, 1);
  store.write(store.entryOf("k"), "before", 6);
  assertStringIncludes(whiteBox.violations.at(-1) ?? "", "goes back from version 7");
});

Deno.test("WhiteBox sees a commit that is not durable everywhere, and a number given twice", () => {
  const { whiteBox, replica: { context: { outbox } } } = node();
  const prepare = {
    type: "prepare",
    view: 1,
    number: 7,
    priority: 1,
    version: 2,
    effects: [],
    reads: [],
    follows: [],
  } as const;
  outbox.append({ type: "prepared", coordinator: 0, prepare });
  outbox.append({ type: "committed", coordinator: 0, number: 7 });
  assertStringIncludes(whiteBox.violations.join("\n"), "not durable at n0, n1, n2");
  outbox.append({ type: "prepared", coordinator: 0, prepare: { ...prepare, version: 3 } });
  assert(whiteBox.violations.at(-1)?.includes("twice"));
});

Deno.test("WhiteBox sees a proposal accepted without the view before it", () => {
  const { whiteBox } = node();
  const accepted = { type: "accepted", ballot, journal: "journal 0" } as const;
  whiteBox.onDurable(0, [{ ...accepted, proposal: { ...VIEW, ballot, number: 2 } }]);
  assertEquals(whiteBox.violations, []);
  whiteBox.onDurable(0, [{ ...accepted, proposal: { ...VIEW, ballot, number: 3 } }]);
  assertEquals(whiteBox.violations, ["n0 accepts view 3 in view 1"]);
});

Deno.test("WhiteBox sees a list that is not that of the view", () => {
  const { whiteBox, replica: { membership } } = node();
  whiteBox.begin(VIEW);
  membership.announce(0b010);
  assertEquals(whiteBox.violations, []);
  membership.restore({ ...VIEW, names: ["n0", "n1", ""] });
  membership.announce(0b010);
  assertStringIncludes(whiteBox.violations.join("\n"), "counts the nodes 0 1 of 0 1 in view 1");
});

Deno.test("WhiteBox sees what may not change from one view to the next", () => {
  const learner = { node: 3, by: "ops", at: 0 };
  const names = [...NAMES, "n3"];
  const journals = [...JOURNALS, ""];
  const cases: [Partial<View>, string][] = [
    [{ names, journals }, "a new node counts that is no member"],
    [{ names: ["n0", "", ""] }, "two changes of the list at once"],
    [{ names: [...names, "n4"], learners: [learner, { ...learner, node: 4 }] }, "two learners"],
    [{ names, learners: [learner], members: 0b1111 }, "a member that does not count"],
    [{ members: 0b001 }, "are no majority of its list"],
  ];
  for (const [change, text] of cases) {
    const { whiteBox, replica: { context: { outbox } } } = node();
    whiteBox.begin(VIEW);
    outbox.append({ type: "view", view: { ...VIEW, number: 2, ballot, ...change } });
    assertStringIncludes(whiteBox.violations.join("\n"), text);
  }
});
