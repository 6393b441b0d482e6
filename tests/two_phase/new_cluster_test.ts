/**
 * A new cluster started by force: what becomes of the old one's transactions, and that the two never
 * mix.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { type ClusterStart, recoverCluster } from "../../src/two_phase/new_cluster.ts";
import {
  ballotOf,
  incarnationBase,
  incarnationOf,
  type JournalRecord,
  type NodeId,
  type NodeSet,
  type TransactionNumber,
  transactionNumber,
  type View,
} from "../../src/two_phase/messages.ts";
import { Replica } from "../../src/two_phase/replica.ts";
import type { Outcome } from "../../src/two_phase/request.ts";
import { Store } from "../../src/two_phase/store.ts";
import { bothAt, read, Script, type StartedOn, write } from "./script.ts";

const NAMES = ["n0", "n1", "n2"];

/** A view of the old cluster. */
function oldView(number: number, about: Partial<View> = {}): View {
  const ballot = ballotOf(number, 1);
  return {
    number,
    cluster: { id: "old" },
    ballot,
    names: NAMES,
    members: 0b111,
    journals: ["j0", "j1", "j2"],
    commits: [],
    bases: [1, 1, 1].map(incarnationBase),
    ...about,
  };
}

/** A member of `view` starts with this. */
function membershipRecord(view: View): JournalRecord {
  return { type: "membership", view, isMember: true, joined: undefined, offset: 0 };
}

/** Node 1 has prepared that `key` becomes "new". */
function prepared(
  sequence: number,
  key: string,
  follows: readonly TransactionNumber[] = [],
): JournalRecord {
  const prepare = {
    type: "prepare",
    view: 5,
    number: transactionNumber(1, sequence),
    priority: 10 + sequence,
    version: 100 + sequence,
    effects: [{ key, value: "new" }],
    reads: [],
    follows,
  } as const;
  return { type: "prepared", coordinator: 1, prepare };
}

/** A node of the old cluster was started nine times. */
const LATE: JournalRecord = {
  type: "committed",
  coordinator: 2,
  number: transactionNumber(9, 3),
};

function newReplica(
  self: NodeId,
  journal: string,
  { records, store, names = NAMES }: {
    records: readonly JournalRecord[];
    store: Store;
    names?: readonly string[];
  },
): Replica {
  return new Replica({
    self,
    names,
    identity: { journal, incarnation: 1, process: "p" },
    timing: timingFor(5000),
    random: () => 0.5,
    now: bothAt(1000),
    store,
    records,
  });
}

/** Node 0 of the old cluster, which held `kept` and then wrote these records, begins a new one. */
function begin(
  records: readonly JournalRecord[],
  nodes: readonly string[] = NAMES,
): { beginning: ClusterStart; store: Store } {
  const store = new Store(0);
  store.restore({ key: "kept", value: "old", version: 7 });
  store.restore({ key: "a", value: "old", version: 8 });
  const old = newReplica(0, "j0", {
    records: [membershipRecord(oldView(5)), ...records],
    store,
  });
  const beginning = recoverCluster(old, { nodes, name: "n0", id: "new", at: 1e12 });
  return { beginning, store };
}

/** The same with "a" and "b" in doubt, and a view of `members` accepted, which commits "b". */
function beginAfterAccepting(
  members: NodeSet,
  about: Partial<View> = {},
): { beginning: ClusterStart; store: Store } {
  const proposal = oldView(6, {
    members,
    ...about,
    commits: [{ coordinator: 1, number: transactionNumber(1, 2) }],
  });
  return begin([
    prepared(1, "a"),
    prepared(2, "b"),
    { type: "accepted", ballot: proposal.ballot, journal: "j1", proposal },
  ]);
}

function values(store: Store): Record<string, string> {
  return Object.fromEntries([...store.entries()].map(({ key, value }) => [key, value ?? ""]));
}

/** Node 0 as it starts after it has begun a new cluster of `nodes`, with what it held. */
function begun(names: readonly string[] = NAMES): StartedOn {
  const { beginning, store } = begin([LATE, prepared(1, "a")], names);
  return { journal: "j0", records: beginning.records, store, isTrusted: true };
}

/** A node that has lost its disk. */
function fresh(node: NodeId): StartedOn {
  return { journal: `new${node}`, records: [], store: new Store(0) };
}

Deno.test("recoverCluster() commits what is prepared here, as it alone answers", () => {
  const { beginning, store } = begin([prepared(1, "a"), prepared(2, "b")]);
  assertEquals(values(store), { kept: "old", a: "new", b: "new" });
  assertEquals([beginning.committed, beginning.aborted], [2, 0]);
  assertEquals([...store.entries()].filter(({ lock }) => lock !== undefined), []);
});

Deno.test("recoverCluster() keeps what was committed and what was aborted", () => {
  const { beginning, store } = begin([
    prepared(1, "a"),
    { type: "aborted", coordinator: 1, number: transactionNumber(1, 1) },
    prepared(2, "b"),
    { type: "committed", coordinator: 1, number: transactionNumber(1, 2) },
    // It follows one that is aborted.
    prepared(3, "c", [transactionNumber(1, 1)]),
  ]);
  assertEquals(values(store), { kept: "old", a: "old", b: "new" });
  assertEquals([beginning.committed, beginning.aborted], [0, 1]);
});

Deno.test("recoverCluster() follows a proposal that it has accepted: it may have been chosen", () => {
  const { beginning, store } = beginAfterAccepting(0b111);
  assertEquals(values(store), { kept: "old", a: "old", b: "new" });
  assertEquals([beginning.committed, beginning.aborted], [1, 1]);
  // With this node in it, nothing can have been acknowledged without it.
  assertEquals(beginning.leftOutBy, undefined);
  assertEquals(beginning.view.number, 7);
});

Deno.test("recoverCluster() keeps what it has in doubt if a proposal leaves it out", () => {
  // That names what its members did not know the end of; "a" they may all have had as committed.
  for (
    const { beginning, store } of [
      beginAfterAccepting(0b110),
      // Another machine has this one's id by then.
      beginAfterAccepting(0b111, { journals: ["k0", "j1", "j2"] }),
    ]
  ) {
    assertEquals(values(store), { kept: "old", a: "new", b: "new" });
    assertEquals([beginning.committed, beginning.aborted], [2, 0]);
    assertEquals(beginning.leftOutBy, 6);
    assertEquals(beginning.view.number, 7);
  }
});

Deno.test("recoverCluster() makes a view above all that was, with this node and its journal only", () => {
  const promised = ballotOf(40, 2);
  const { beginning } = begin([{ type: "promise", ballot: promised, journal: "j1" }, LATE], [
    "x",
    "n0",
    "y",
  ]);
  const { view } = beginning;
  assert(view.ballot > promised);
  // The old list named n0, n1 and n2: their ids mean no other nodes.
  assertEquals([view.number, view.members, view.names], [6, 0b1, ["n0", "", "", "x", "y"]]);
  assertEquals(view.journals, ["j0", "", "", "", ""]);
  assertEquals(view.cluster, { id: "new", origin: { by: "n0", at: 1e12, view: 6 } });
  assertEquals(view.bases.map(incarnationOf), [10, 10, 10, 10, 10]);
});

Deno.test("recoverCluster() has records from which the node starts as what it has become", () => {
  const names = ["n0"];
  const { beginning, store } = begin([prepared(1, "a")], names);
  const again = newReplica(0, "j0", { records: beginning.records, store, names });
  assertEquals(again.membership.view, beginning.view);
  assert(again.membership.isMember);
  assertEquals(again.locks.size, 0);
  assert(again.membership.identity.incarnation > incarnationOf(beginning.view.bases[0] ?? 0));
  again.step({ type: "tick" }, bothAt(1000));
  assert(
    again.membership.mayWrite && again.membership.mayRead(bothAt(1000)),
    "alone it serves at once",
  );
});

Deno.test("recoverCluster() throws when the node is no member of its view", () => {
  const view = oldView(6, { members: 0b110 });
  assertThrows(() => begin([{ type: "view", view }]), Error, "only a member");
});

Deno.test("a forced cluster serves no requests before a majority of its nodes has joined", () => {
  const names = ["n0", "n1", "n2", "n3", "n4"];
  const script = new Script(5, { journals: new Map([[0, begun(names)]]) });
  const ask = (label: string, node = 0) => {
    script.ask(node, label, write({ [label]: "1" }));
    script.settle();
    return script.outcomes.get(label);
  };
  const waits: Outcome = {
    kind: "rejected",
    obstacle: "down",
    reason: "this cluster was started by force, and waits until 3 of its nodes are members",
  };
  script.settle();
  assertEquals(ask("alone"), waits);
  script.connect(0, 1);
  script.settle();
  assertEquals(ask("of two"), waits);
  assertEquals(script.replicas[0]?.membership.mayRead(bothAt(1000)), false);
  script.connect(0, 2);
  script.connect(1, 2);
  script.settle();
  assertEquals(ask("of three"), { kind: "answered", reply: "OK" });
  assertEquals(ask("at a new one", 2), { kind: "answered", reply: "OK" });
  for (const node of [0, 1, 2]) {
    const { store, membership } = script.replicas[node] ?? { store: new Store(0) };
    assertEquals(values(store), {
      kept: "old",
      a: "new",
      "of three": "1",
      "at a new one": "1",
    }, `node ${node}`);
    assertEquals(membership?.view.cluster.id, "new");
  }
  // The rest comes in as always.
  for (const node of [0, 1, 2, 4]) script.connect(3, node);
  for (const node of [0, 1, 2]) script.connect(4, node);
  for (let i = 0; i < 6; i++) script.settle();
  assertEquals(script.replicas.map(({ membership }) => membership.members), Array(5).fill(0b11111));
  // A joiner's numbers go on behind those of the old cluster, though its journal is new.
  const { view } = script.replicas[2]?.membership ?? {};
  script.restart(2);
  script.settle();
  assertEquals(script.replicas[2]?.membership.view, view, "no later view is needed for that");
  assertEquals(ask("after a restart", 2), { kind: "answered", reply: "OK" });
});

Deno.test("a new node that meets only a minority of the old cluster says so", () => {
  const left = { journal: "j0", records: [membershipRecord(oldView(5))], store: new Store(0) };
  const journals = new Map([[0, left], ...[1, 2].map((node) => [node, fresh(node)] as const)]);
  const script = new Script(3, { journals });
  for (const [one, other] of [[0, 1], [0, 2], [1, 2]] as const) script.connect(one, other);
  script.settle();
  script.ask(1, "write", write({ k: "1" }));
  script.wait(5000);
  assertEquals(script.outcomes.get("write"), {
    kind: "rejected",
    obstacle: "loading",
    reason: "the cluster has started without this node's journal, and n0 cannot admit it: " +
      "no majority of the members is up",
  });
  assertEquals(script.replicas[1]?.membership.view.number, 0);
});

Deno.test("a forced cluster whose second view was chosen and not installed continues with it", () => {
  const script = new Script(3, { journals: new Map([[0, begun()]]) });
  script.forcesAtOnce = false;
  script.connect(0, 1);
  const isAccepted = () => script.replicas[0]?.membership.accepted !== undefined;
  for (let i = 0; i < 500; i++) {
    script.deliverAll();
    if (isAccepted()) break;
    const node = [0, 1].find((one) => script.forcesUnderWay(one) > 0);
    if (node === undefined) script.wait(20);
    else script.completeForce(node);
  }
  const proposal = script.replicas[0]?.membership.accepted?.proposal;
  assertEquals([proposal?.number, proposal?.members], [7, 0b011]);
  // It is chosen with this; that it is, is lost in the crash.
  script.completeForce(0);
  script.forcesAtOnce = true;
  script.restart(0);
  script.connect(1, 2);
  assertEquals(script.replicas[0]?.membership.view.number, 6);
  assertEquals(script.replicas[0]?.membership.accepted?.proposal, proposal);
  script.settle();
  assert((script.replicas[0]?.counters.proposalsRepeated ?? 0) > 0);
  script.ask(1, "W", write({ k: "1" }));
  script.settle();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
});

/** Node 1 of the old cluster, which has gone on to a later view. */
const SURVIVOR: StartedOn = {
  journal: "j1",
  records: [membershipRecord(oldView(9))],
};

Deno.test("a node of the old cluster and the forced one never heed each other", () => {
  const survivor = new Store(0);
  survivor.restore({ key: "kept", value: "survivor's", version: 9 });
  const script = new Script(3, {
    journals: new Map([[0, begun()], [1, { ...SURVIVOR, store: survivor }]]),
  });
  script.connect(0, 1);
  script.settle();
  const [forced, other] = script.replicas;
  assertEquals(forced?.membership.view.number, 6);
  assertEquals(other?.membership.view.number, 9);
  assertEquals(forced?.membership.linked, 0b001);
  assertEquals(other?.membership.linked, 0b010);
  assert(script.log.includes("  n0 event n1 is of another cluster"));
  assert(script.log.includes("  n1 event n0 is of another cluster"));
  assertEquals(values(survivor), { kept: "survivor's" });
  // A whole majority of the old cluster, back again, is no other matter.
  const more = new Script(3, {
    journals: new Map([[0, begun()], [1, SURVIVOR], [2, { ...SURVIVOR, journal: "j2" }]]),
  });
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) more.connect(a, b);
  more.settle();
  assertEquals(more.replicas.map(({ membership }) => membership.view.cluster.id), [
    "new",
    "old",
    "old",
  ]);
  assertEquals(more.replicas.map(({ membership }) => membership.linked), [0b001, 0b110, 0b110]);
});

Deno.test("a new node joins the forced cluster, though it meets a node of the old one first", () => {
  const fresh = { journal: "fresh", records: [] };
  const script = new Script(3, { journals: new Map([[0, begun()], [1, SURVIVOR], [2, fresh]]) });
  script.connect(1, 2);
  script.settle();
  assertEquals(script.replicas[2]?.membership.view.number, 0, "an old view was shown to it");
  script.connect(0, 1);
  script.connect(0, 2);
  script.settle();
  script.ask(2, "W", write({ k: "1" }));
  script.settle();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  script.ask(0, "R", read("kept", "a", "k"));
  script.settle();
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["old", "new", "1"] });
  assertEquals(script.replicas[1]?.membership.view.number, 9);
});

Deno.test("a node that was shown a view of one cluster installs none of another one", () => {
  const script = new Script(2);
  const view = (id: string, number: number) =>
    oldView(number, {
      cluster: { id },
      names: ["n0", "n1"],
      members: 0b10,
      journals: ["", "j1"],
      bases: [0, 0],
    });
  script.forcesAtOnce = false;
  const show = (chosen: View) =>
    script.step(0, {
      type: "message",
      from: 1,
      message: { type: "viewInstall", view: chosen.number, chosen },
    });
  show(view("new", 6)); // Appended, and not durable when the next one comes.
  show(view("old", 9));
  script.completeForce(0);
  show(view("old", 10));
  assertEquals(script.replicas[0]?.membership.view.cluster.id, "new");
  assertEquals(script.replicas[0]?.membership.view.number, 6);
  assertEquals(script.replicas[0]?.counters.foreign, 2);
});
