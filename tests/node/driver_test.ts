/** What a node may only do once its journal has it, on a journal whose forces end when told to. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Driver, type Transport } from "../../src/node/driver.ts";
import { type Journal, MemoryJournal } from "../../src/node/storage/journal.ts";
import { timingFor } from "../../src/two_phase/timing.ts";
import type { PeerIdentity } from "../../src/two_phase/membership.ts";
import {
  ballotOf,
  incarnationBase,
  type JournalRecord,
  type Message,
  type NodeId,
  type View,
} from "../../src/two_phase/messages.ts";
import { members } from "../../src/two_phase/node_set.ts";
import { MUST_WAIT, Replica } from "../../src/two_phase/replica.ts";
import type { Outcome, Request } from "../../src/two_phase/request.ts";
import { clocks } from "../../src/clock.ts";
import { FatalError } from "../../src/errors.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import { InvariantError } from "../../src/invariant.ts";
import { read, write } from "../two_phase/script.ts";

/** A journal whose forces are under way until they are ended by hand, in their order. */
class HeldJournal extends MemoryJournal implements Journal {
  override identity: PeerIdentity;
  readonly records: JournalRecord[] = [];
  durable = 0;
  #underWay: { readonly upTo: number; readonly done: () => void }[] = [];
  #hasFailed = false;
  isHeld = false;

  constructor(node: NodeId) {
    super();
    this.identity = { journal: `journal ${node}`, incarnation: 1, process: `${node}`, position: 0 };
  }

  get forces(): number {
    return this.#underWay.length;
  }

  override append(records: readonly JournalRecord[]): void {
    this.records.push(...records);
  }

  override force(done: () => void): void {
    if (this.#hasFailed) return;
    this.#underWay.push({ upTo: this.records.length, done });
    if (!this.isHeld) this.endForce();
  }

  endForce(): void {
    const force = this.#underWay.shift();
    assert(force !== undefined, "a force is under way");
    this.durable = force.upTo;
    force.done();
  }

  /** From now on nothing becomes durable: what was under way is never heard of again. */
  fail(): void {
    this.#hasFailed = true;
    this.#underWay = [];
  }

  /** Tells whether it is durable that `transaction` of `coordinator` is prepared. */
  holds(coordinator: NodeId, transaction: number): boolean {
    return this.records.slice(0, this.durable).some((record) =>
      record.type === "prepared" && record.coordinator === coordinator &&
      record.prepare.number === transaction
    );
  }
}

/** The nodes begin in a view of both. */
const VIEW: View = {
  number: 1,
  cluster: { id: "c" },
  ballot: ballotOf(1, 0),
  names: ["n0", "n1"],
  members: 0b11,
  journals: ["journal 0", "journal 1"],
  commits: [],
  bases: [incarnationBase(1), incarnationBase(1)],
};

/** Nothing here is about leases and suspicion. */
const TIMING = timingFor(5000, {
  leaseMs: 1e9,
  suspicionMs: 1e9,
  heartbeatMs: 1e9,
  driftMax: 0.01,
});

/** Two nodes with drivers, whose messages arrive at once. */
class Pair {
  readonly journals = [new HeldJournal(0), new HeldJournal(1)] as const;
  readonly drivers: readonly [Driver, Driver];
  /** What was answered to whom, and which votes were sent. */
  readonly log: string[] = [];
  /** By node: while set, what it sends does not arrive, but is kept here as on its link. */
  readonly held: (Message[] | undefined)[] = [undefined, undefined];

  constructor() {
    this.drivers = [this.#newDriver(0), this.#newDriver(1)];
  }

  /** Returns two nodes that are a complete cluster, whose forces are held from now on. */
  static async complete(): Promise<Pair> {
    const pair = new Pair();
    const [a, b] = pair.drivers;
    a.peerUp(1, { identity: pair.journals[1].identity, known: undefined });
    b.peerUp(0, { identity: pair.journals[0].identity, known: undefined });
    for (const driver of pair.drivers) driver.tick();
    await pair.settle();
    for (const journal of pair.journals) journal.isHeld = true;
    return pair;
  }

  #newDriver(self: NodeId): Driver {
    const journal = self === 0 ? this.journals[0] : this.journals[1];
    return new Driver({
      replica: new Replica({
        self,
        names: ["n0", "n1"],
        identity: journal.identity,
        timing: TIMING,
        random: () => 0.5,
        now: clocks(),
        records: [{ type: "view", view: VIEW }],
      }),
      journal,
      transport: this.#newTransport(self),
      onEvent: () => {},
    });
  }

  #newTransport(self: NodeId): Transport {
    let queue: { to: NodeId; message: Message }[] = [];
    return {
      send: (to, message) => {
        this.#expectDurable(self, message);
        for (const receiver of members(to)) queue.push({ to: receiver, message });
      },
      flush: () => {
        const sent = queue;
        queue = [];
        for (const { to, message } of sent) {
          const held = this.held[self];
          if (held !== undefined) held.push(message);
          else queueMicrotask(() => this.drivers[to === 0 ? 0 : 1].receive(self, message));
        }
      },
    };
  }

  /** The rule: a yes is sent by a node that would still know of it after a crash. */
  #expectDurable(self: NodeId, message: Message): void {
    if (message.type !== "vote" || message.vote !== "yes") return;
    this.log.push(`n${self} votes`);
    const journal = self === 0 ? this.journals[0] : this.journals[1];
    assert(journal.holds(1 - self, message.number), "a vote is durable before it is sent");
  }

  /** Has `node` set `key`, in a turn of its own. */
  async put(node: 0 | 1, key: string): Promise<void> {
    this.drivers[node].submit(write({ [key]: "v" }), {
      onOutcome: ({ kind }: Outcome) => this.log.push(`${key} ${kind}`),
    });
    await this.settle();
  }

  /** Waits until nothing happens any more by itself. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Ends the oldest force of `node`. Returns what was logged because of it. */
  async endForce(node: 0 | 1): Promise<string[]> {
    const before = this.log.length;
    this.journals[node].endForce();
    await this.settle();
    return this.log.slice(before);
  }
}

Deno.test("Driver votes and answers only after the force that covers it, with several under way", async () => {
  const pair = await Pair.complete();
  for (const key of ["a", "b", "c"]) await pair.put(0, key);
  assertEquals(pair.journals.map(({ forces }) => forces), [3, 3]);
  assertEquals(pair.log, [], "nothing is durable: no vote, no answer");

  // The member's force is not enough: the coordinator's own vote is in its journal.
  assertEquals(await pair.endForce(1), ["n1 votes"]);
  assertEquals(await pair.endForce(0), ["a answered"]);

  // Nor is the coordinator's, and each force covers what was appended before it, no more.
  assertEquals(await pair.endForce(0), []);
  assertEquals(await pair.endForce(0), []);
  assertEquals(await pair.endForce(1), ["n1 votes", "b answered"]);
  assertEquals(await pair.endForce(1), ["n1 votes", "c answered"]);
});

Deno.test("Driver has one force for everything that arrives in one turn", async () => {
  const pair = await Pair.complete();
  const puts = ["a", "b", "c"].map((key) => pair.put(0, key));
  await Promise.all(puts);
  assertEquals(pair.journals.map(({ forces }) => forces), [1, 1]);
  await pair.endForce(0);
  assertEquals(pair.log, []);
  await pair.endForce(1);
  assertEquals(pair.log.filter((line) => line === "n1 votes").length, 3);
  assertEquals(pair.log.slice(3), ["a answered", "b answered", "c answered"]);
});

for (const failing of [0, 1] as const) {
  const role = failing === 0 ? "coordinator" : "member";
  Deno.test(`Driver never votes or answers after a force of the ${role} has failed`, async () => {
    const pair = await Pair.complete();
    await pair.put(0, "a");
    await pair.put(0, "b");
    pair.journals[failing].fail();
    for (let force = 0; force < 2; force++) await pair.endForce(failing === 0 ? 1 : 0);
    await pair.put(0, "c");
    await pair.put(1, "d");
    const other = pair.journals[failing === 0 ? 1 : 0];
    while (other.forces > 0) {
      other.endForce();
      await pair.settle();
    }
    assertEquals(pair.log.filter((line) => line.endsWith(" answered")), []);
    assertEquals(pair.log.includes(`n${failing} votes`), false);
    // What it held before still holds, and is no secret.
    let isRead = false;
    pair.drivers[failing].submit(read("z"), {
      onOutcome: ({ kind }: Outcome) => isRead = kind === "answered",
    });
    await pair.settle();
    assertEquals(isRead, true);
  });
}

Deno.test("Driver answers everything in hand when it is stopped, and heeds nothing after that", async () => {
  const pair = await Pair.complete();
  const [driver] = pair.drivers;
  const said: string[] = [];
  const ask = (name: string, request: Request) => {
    driver.submit(request, {
      onOutcome: (outcome) =>
        said.push(`${name} ${outcome.kind} ${"reason" in outcome ? outcome.reason : ""}`),
    });
  };
  ask("prepared", write({ k: "1" }));
  ask("follower", write({ k: "2" }));
  ask("reader", read("k"));
  ask("barrier", { kind: "barrier", isExact: false, evaluate: () => 0 });
  await pair.settle();
  assertEquals(said, []);
  // The answers of this turn are given, too.
  ask("same turn", write({ j: "1" }));
  driver.stop({ obstacle: "loading", reason: "it is replaced" });
  assertEquals(said.toSorted(), [
    "barrier rejected it is replaced",
    "follower indeterminate it is replaced",
    "prepared indeterminate it is replaced",
    "reader rejected it is replaced",
    "same turn indeterminate it is replaced",
  ]);
  assertEquals(driver.replica.requests, 0);

  // Its own forces end, the other member votes, and time passes.
  const votes: Message[] = pair.held[1] = [];
  while (pair.journals[1].forces > 0) await pair.endForce(1);
  assertEquals(votes.filter(({ type }) => type === "vote").length, 3);
  const sent: Message[] = pair.held[0] = [];
  const records = pair.journals[0].records.length;
  while (pair.journals[0].forces > 0) pair.journals[0].endForce();
  for (const vote of votes) driver.receive(1, vote);
  driver.tick();
  driver.leave();
  await pair.settle();
  assertEquals(sent, []);
  assertEquals(pair.journals[0].records.length, records);
  assertEquals(driver.peek("z", clocks()), MUST_WAIT, "it vouches for nothing any more");
  ask("later", read("z"));
  assertEquals(said.slice(5), ["later rejected it is replaced"]);
});

for (const isClosedFirst of [true, false]) {
  const how = isClosedFirst ? "after the end of the one before" : "in the place of another";
  Deno.test(`Driver sends nothing on a link ${how} that was meant for that one`, async () => {
    const pair = await Pair.complete();
    const [driver] = pair.drivers;
    const { identity } = pair.journals[1];
    // Both are prepared at both; the votes for them are on their way.
    pair.held[1] = [];
    await pair.put(0, "a");
    await pair.put(0, "b");
    for (const node of [0, 0, 1, 1] as const) await pair.endForce(node);
    const votes = pair.held[1].filter(({ type }) => type === "vote");
    assertEquals(votes.length, 2);
    // The commit of the first one is lost with the link.
    const lost: Message[] = pair.held[0] = [];
    for (const vote of votes.slice(0, 1)) driver.receive(1, vote);
    await pair.settle();
    assertEquals(lost.map(({ type }) => type), ["commit"]);
    // One turn: the second one is committed, and the peer has dialed again.
    const sent: Message[] = pair.held[0] = [];
    for (const vote of votes.slice(1)) driver.receive(1, vote);
    if (isClosedFirst) driver.peerDown(1);
    driver.peerUp(1, { identity, known: undefined });
    await pair.settle();
    assertEquals(pair.log.filter((line) => line.endsWith("answered")), [
      "a answered",
      "b answered",
    ]);
    // What the peer has missed follows when it has said which view it is in.
    assertEquals(sent.map(({ type }) => type), ["viewInstalled"]);
  });
}

Deno.test("Driver.checkpoint() finds nothing left to do, whatever the end of the turn brings about", async () => {
  const pair = await Pair.complete();
  const [driver] = pair.drivers;
  const [journal] = pair.journals;
  let atCheckpoint: readonly JournalRecord[] = [];
  let hadEffects: boolean | undefined;
  journal.checkpoint = () => {
    atCheckpoint = [...journal.records];
    hadEffects = driver.replica.hasEffects;
    return Promise.resolve();
  };
  // As a connection whose next commands have waited for the answers of the turn.
  driver.afterTurn(() => {
    driver.submit(write({ a: "1" }), { onOutcome: () => {} });
    driver.afterTurn(() => driver.submit(write({ b: "1" }), { onOutcome: () => {} }));
  });
  await driver.checkpoint();
  assertEquals(hadEffects, false);
  assertEquals(atCheckpoint.filter(({ type }) => type === "prepared").length, 2);
  await pair.settle();
  assertEquals(journal.records.length, atCheckpoint.length);

  const inTurn = Promise.withResolvers<void>();
  driver.afterTurn(() => driver.checkpoint().then(inTurn.resolve, inTurn.reject));
  await assertRejects(() => inTurn.promise, InvariantError, "between two turns");
});

Deno.test("Driver sends replies before frames, and what comes of replies in the same frames", async () => {
  const log: string[] = [];
  const node = new OwnTime(["n0"], () => log.push("frames"));
  log.length = 0;
  const submit = (key: string, onReply: () => void) =>
    node.driver.submit(write({ [key]: "1" }), {
      onOutcome: () =>
        node.driver.replyLater(() => {
          log.push(`reply to ${key}`);
          onReply();
        }),
    });
  node.driver.afterTurn(() => log.push("after the turn"));
  submit("a", () => submit("b", () => {}));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(log.filter((line, at) => line !== log[at - 1]), [
    "reply to a",
    "reply to b",
    "frames",
    "after the turn",
    "frames",
  ]);
});

// --- After a standstill ----------------------------------------------------------------------

/** A journal that says whose it is when it is told to. */
class AskedJournal extends HeldJournal {
  asked: PromiseWithResolvers<void>[] = [];

  override confirmOwner(): Promise<void> {
    const answer = Promise.withResolvers<void>();
    this.asked.push(answer);
    return answer.promise;
  }

  /** Answers the latest question. */
  async confirm(): Promise<void> {
    this.asked.at(-1)?.resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** A node whose time passes by hand: alone, or one of two of which the other is played by the test. */
class OwnTime {
  readonly journal = new AskedJournal(0);
  readonly driver: Driver;
  readonly sent: Message[] = [];
  readonly said: string[] = [];
  #at: Clocks = clocks();

  constructor(names: readonly string[], onFlush: () => void = () => {}) {
    const view = { ...VIEW, names, members: 2 ** names.length - 1 };
    this.driver = new Driver({
      replica: new Replica({
        self: 0,
        names,
        identity: this.journal.identity,
        timing: TIMING,
        random: () => 0.5,
        now: this.#at,
        records: [{ type: "view", view }],
      }),
      journal: this.journal,
      transport: { send: (_to, message) => this.sent.push(message), flush: onFlush },
      onEvent: () => {},
      onLateAnswers: () => this.said.push("late"),
      clocks: () => this.#at,
    });
    this.pass(20);
  }

  /** Lets `ms` pass without a tick; not by the monotonic clock if the machine is suspended. */
  standStill(ms: number, how: "stopped" | "suspended" = "stopped"): void {
    const { monotonicMs, wallMs } = this.#at;
    this.#at = { monotonicMs: monotonicMs + (how === "stopped" ? ms : 0), wallMs: wallMs + ms };
  }

  /** Lets `ms` pass as they do while the process runs. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 20) {
      this.standStill(20);
      this.driver.tick();
    }
  }

  async read(): Promise<void> {
    const onOutcome = (outcome: Outcome) =>
      this.said.push("reason" in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind);
    this.driver.submit(read("k"), { onOutcome });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

for (const how of ["stopped", "suspended"] as const) {
  Deno.test(`Driver answers nothing from memory after it was ${how} until its journal says whose it is`, async () => {
    const node = new OwnTime(["n0"]);
    node.pass(5000);
    node.standStill(200, how);
    assertEquals(node.driver.peek("k", node.driver.readClocks()), undefined);
    await node.read();
    assertEquals([node.said, node.journal.asked.length], [["answered"], 0]);

    node.standStill(300, how);
    // Before any tick: a command may be read first.
    assertEquals(node.driver.peek("k", node.driver.readClocks()), MUST_WAIT);
    await node.read();
    node.pass(900);
    assertEquals(node.said, ["answered"]);
    await node.journal.confirm();
    assertEquals(node.said, ["answered", "answered", "late"], "keys may have changed since");
    assertEquals(node.driver.peek("k", node.driver.readClocks()), undefined);
    assertEquals(node.journal.asked.length, 1);

    // Another process may have asked in vain just before, and written its name since.
    node.pass(640);
    assertEquals(node.journal.asked.length, 2);
    assertEquals(node.driver.peek("k", node.driver.readClocks()), MUST_WAIT);
    await node.journal.confirm();
    assertEquals(node.driver.peek("k", node.driver.readClocks()), undefined);
    node.pass(5000);
    assertEquals(node.journal.asked.length, 2);
  });
}

Deno.test("Driver rejects reads for which the journal has not said for a second whose it is", async () => {
  const node = new OwnTime(["n0"]);
  node.standStill(300);
  await node.read();
  node.pass(1000);
  assertEquals(node.said, []);
  node.pass(40);
  assertEquals(node.said, [
    "rejected: this node has stood still, and its journal does not say yet whether it is still its own",
  ]);
  await node.read();
  node.driver.stop({ obstacle: "down", reason: "it ends" });
  assertEquals(node.said.slice(1), ["rejected: it ends"]);
});

Deno.test("Driver does not take an answer of its journal for good that is older than a standstill", async () => {
  const node = new OwnTime(["n0"]);
  node.standStill(300);
  await node.read();
  node.standStill(300);
  // What was read before is as it was then; what is read from now on waits for another answer.
  assertEquals(node.driver.peek("k", node.driver.readClocks()), MUST_WAIT);
  const [first, second] = node.journal.asked;
  first?.resolve();
  await node.read();
  assertEquals([node.said, node.journal.asked.length], [["answered", "late"], 2]);
  second?.reject(new FatalError("another process has taken over the journal"));
  await node.read();
  assertEquals(node.said, ["answered", "late"]);
  assertEquals(node.driver.peek("k", node.driver.readClocks()), MUST_WAIT);
});

Deno.test("Driver answers reads though each of its turns is so long that it may have stood still", async () => {
  const node = new OwnTime(["n0"]);
  for (let turn = 1; turn <= 5; turn++) {
    node.standStill(300);
    node.driver.tick();
    await node.read();
    // The answer to a question comes a turn later, when the next one is asked already.
    node.journal.asked.at(-2)?.resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
    const answered = node.said.filter((what) => what === "answered");
    assertEquals(answered.length, turn - 1);
  }
});

const PEER = { journal: "journal 1", incarnation: 1, process: "1", position: 0 };

function heartbeat(round: number): Message {
  return {
    type: "heartbeat",
    view: 1,
    ballot: VIEW.ballot,
    incarnation: 1,
    round,
    position: 0,
    isStuck: false,
    hears: 0b11,
    forceMs: 0,
  };
}

/** The rounds of heartbeats that `sent` acknowledges: each gives a lease. */
function rounds(sent: readonly Message[]): number[] {
  return sent.flatMap((message) => message.type === "heartbeatAcknowledged" ? [message.round] : []);
}

Deno.test("Driver gives no other node a lease after a standstill until its journal says whose it is", async () => {
  const node = new OwnTime(["n0", "n1"]);
  const { driver, sent } = node;
  driver.peerUp(1, { identity: PEER, known: undefined });
  driver.receive(1, heartbeat(1));
  driver.flush();
  assertEquals(rounds(sent), [1]);
  node.standStill(300);
  driver.receive(1, heartbeat(2));
  driver.flush();
  assertEquals(rounds(sent), [1]);
  await node.journal.confirm();
  assertEquals(rounds(sent), [1, 2]);
});

for (const event of ["ends", "is replaced"] as const) {
  Deno.test(`Driver gives a node no lease that it held for a link that ${event}`, async () => {
    const node = new OwnTime(["n0", "n1"]);
    const { driver, sent } = node;
    driver.peerUp(1, { identity: PEER, known: undefined });
    node.standStill(300);
    driver.receive(1, heartbeat(1));
    driver.flush();
    if (event === "ends") driver.peerDown(1);
    else driver.peerUp(1, { identity: PEER, known: undefined });
    await node.journal.confirm();
    assertEquals(rounds(sent), []);
  });
}
