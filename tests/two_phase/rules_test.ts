/**
 * The rules of the protocol as tables: what a node in a given state does with an input.
 *
 * Every row names the rule of `docs/protocol.md` that it shows. The node under test is node 1 of
 * three, in view 1; its peers 0 and 2 are linked and have installed the view.
 */

import { assertEquals, assertThrows } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import {
  ballotOf,
  incarnationBase,
  type Message,
  type NodeId,
  type Prepare,
  transactionNumber,
  type View,
} from "../../src/two_phase/messages.ts";
import type { PeerIdentity } from "../../src/two_phase/membership.ts";
import type { Effects } from "../../src/two_phase/outbox.ts";
import { type Input, MUST_WAIT, Replica } from "../../src/two_phase/replica.ts";
import type { Request } from "../../src/two_phase/request.ts";
import { nameForClients } from "../../src/two_phase/transaction_name.ts";
import { formatAll } from "./notation.ts";
import { bothAt, read, setIfAbsent, write } from "./script.ts";

const BEGIN_MS = 1000;

/** View 1, of all three. */
const VIEW: View = {
  number: 1,
  cluster: { id: "c" },
  ballot: ballotOf(1, 0),
  names: ["n0", "n1", "n2"],
  members: 0b111,
  journals: ["j0", "j1", "j2"],
  commits: [],
  bases: [1, 1, 1].map((incarnation) => incarnationBase(incarnation)),
};

/** One heartbeat round is good for the whole of a table. */
const TIMING = timingFor(5000, {
  leaseMs: 1e9,
  suspicionMs: 1e9,
  heartbeatMs: 1e9,
  driftMax: 0.01,
});

/** What clients know the first transaction of the node under test by. */
const T = nameForClients({ coordinator: 1, number: transactionNumber(1, 1) }, "j1");

/** Who a peer of the node under test is. */
function identityOf(peer: NodeId): PeerIdentity {
  return { journal: `j${peer}`, incarnation: 1, process: `p${peer}`, position: 0 };
}

/** A node under test, which collects what it wants done. */
class Bench {
  readonly replica = new Replica({
    self: 1,
    names: ["n0", "n1", "n2"],
    identity: { journal: "j1", incarnation: 1, process: "p1" },
    timing: TIMING,
    random: () => 0.5,
    now: bothAt(BEGIN_MS),
    records: [{ type: "view", view: VIEW }],
  });
  #nowMs = BEGIN_MS;
  #position = 0;

  constructor() {
    for (const peer of [0, 2]) {
      this.step({
        type: "peerUp",
        peer,
        identity: identityOf(peer),
      });
      this.step(
        from(peer, {
          type: "viewInstalled",
          view: 1,
          cluster: "c",
          isMember: true,
          isVerified: true,
        }),
      );
    }
    this.step({ waitMs: 0 });
    this.step(
      from(0, { type: "heartbeatAcknowledged", view: 1, incarnation: 1, round: 1, wallMs: 1000 }),
    );
    this.take();
  }

  step(input: Input | "forced" | { waitMs: number }): void {
    if (input === "forced") {
      this.replica.step({ type: "forced", position: this.#position }, bothAt(this.#nowMs));
    } else if ("waitMs" in input) {
      this.#nowMs += input.waitMs;
      this.replica.step({ type: "tick" }, bothAt(this.#nowMs));
    } else this.replica.step(input, bothAt(this.#nowMs));
  }

  /** Returns what is to be done, without what is only told by the way. */
  take(): string[] {
    const effects: Effects = this.replica.takeEffects();
    this.#position = effects.position;
    return formatAll(effects, 1).filter((line) => !/settled|forget up to/.test(line));
  }
}

function from(peer: NodeId, message: Message): Input {
  return { type: "message", from: peer, message };
}

/** Transaction `sequence` of node `peer`; the lower the priority, the older. */
function prepare(peer: NodeId, sequence: number, about: {
  keys: readonly string[];
  priority?: number;
  view?: number;
  follows?: readonly number[];
  reads?: readonly string[];
}): Input {
  const message: Prepare = {
    type: "prepare",
    view: about.view ?? 1,
    number: transactionNumber(1, sequence),
    priority: about.priority ?? 500_000,
    version: 600_000 + sequence,
    effects: about.keys.map((key) => ({ key, value: `${peer}.${sequence}` })),
    reads: about.reads ?? [],
    follows: (about.follows ?? []).map((one) => transactionNumber(1, one)),
  };
  return from(peer, message);
}

function decide(peer: NodeId, type: "commit" | "abort", sequence: number, view = 1): Input {
  return from(peer, { type, view, number: transactionNumber(1, sequence) });
}

function vote(peer: NodeId, answer: "yes" | "no" | "waiting", sequence: number): Input {
  const reason = answer === "no" ? "conflict" : "none";
  const number = transactionNumber(1, sequence);
  return from(peer, { type: "vote", view: 1, number, vote: answer, reason });
}

function acknowledge(peer: NodeId, sequence: number): Input {
  const number = transactionNumber(1, sequence);
  return from(peer, { type: "abortAcknowledged", view: 1, number });
}

function ask(request: Request): Input {
  return { type: "request", request, requester: { onOutcome: () => {} } };
}

const FORCED = "forced";

interface Row {
  readonly rule: string;
  readonly given: readonly (Input | typeof FORCED | { waitMs: number })[];
  readonly when: Input | typeof FORCED | { waitMs: number };
  readonly then: readonly string[];
}

function table(name: string, rows: readonly Row[]): void {
  for (const row of rows) {
    Deno.test(`${name}: ${row.rule}`, () => {
      const bench = new Bench();
      for (const input of row.given) {
        bench.step(input);
        bench.take();
      }
      bench.step(row.when);
      assertEquals(bench.take(), [...row.then]);
    });
  }
}

table("Participant", [
  {
    rule: "a prepare is made durable before anything is said",
    given: [],
    when: prepare(0, 1, { keys: ["k"] }),
    then: ["append prepared 0.1.1", "force"],
  },
  {
    rule: "a yes vote follows when the record is durable",
    given: [prepare(0, 1, { keys: ["k"] })],
    when: FORCED,
    then: ["to 0: v1 vote yes 0.1.1"],
  },
  {
    rule: "a prepare of an earlier view is refused",
    given: [],
    when: prepare(0, 1, { keys: ["k"], view: 0 }),
    then: ["to 0: v0 vote no 0.1.1 (view)"],
  },
  {
    rule: "a prepare of a later view is ignored: this node has yet to install that",
    given: [],
    when: prepare(0, 1, { keys: ["k"], view: 2 }),
    then: [],
  },
  {
    rule: "an older transaction waits for a younger one, and says so",
    given: [prepare(0, 1, { keys: ["k"], priority: 2000 }), FORCED],
    when: prepare(2, 1, { keys: ["k"], priority: 1000 }),
    then: ["to 2: v1 vote waiting 2.1.1"],
  },
  {
    rule: "a younger transaction is refused if an older one holds a key",
    given: [prepare(0, 1, { keys: ["k"], priority: 1000 }), FORCED],
    when: prepare(2, 1, { keys: ["k"], priority: 2000 }),
    then: ["to 2: v1 vote no 2.1.1 (conflict)"],
  },
  {
    rule: "all keys are checked before any is waited for: one conflict is enough",
    given: [prepare(0, 1, { keys: ["b"], priority: 1000 }), FORCED],
    when: prepare(2, 1, { keys: ["a", "b"], priority: 2000 }),
    then: ["to 2: v1 vote no 2.1.1 (conflict)"],
  },
  {
    rule: "of two that ask for the same age, the lower node index is the older",
    given: [prepare(2, 1, { keys: ["k"], priority: 1000 }), FORCED],
    when: prepare(0, 1, { keys: ["k"], priority: 1000 }),
    then: ["to 0: v1 vote waiting 0.1.1"],
  },
  {
    rule: "a transaction that waits is prepared when the lock is free",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 2000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 1000 }),
    ],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", "append prepared 2.1.1", "force"],
  },
  {
    rule: "an older one that comes to stand in line sends the younger ones in line away",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 3000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
    ],
    // Not of one chain, so it does not follow 0.1.1; older than all.
    when: prepare(0, 2, { keys: ["k"], priority: 1000 }),
    then: ["to 0: v1 vote waiting 0.1.2", "to 2: v1 vote no 2.1.1 (conflict)"],
  },
  {
    rule: "the older one in line gets the key, and a place is kept for the younger one",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 3000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      prepare(0, 2, { keys: ["k"], priority: 1000 }),
    ],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", "append prepared 0.1.2", "force"],
  },
  {
    rule: "a transaction that names the holder joins its chain",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: prepare(0, 2, { keys: ["k"], priority: 600_000, follows: [1] }),
    then: ["append prepared 0.1.2", "force"],
  },
  {
    rule: "a transaction that follows what is not prepared here is refused",
    given: [],
    when: prepare(0, 2, { keys: ["k"], follows: [1] }),
    then: ["to 0: v1 vote no 0.1.2 (follows)"],
  },
  {
    rule: "one joins its coordinator's chain past an older one in line",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 3000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
    ],
    when: prepare(0, 2, { keys: ["k"], priority: 4000, follows: [1] }),
    then: ["append prepared 0.1.2", "force"],
  },
  {
    rule: "the older one in line gets the key after the whole chain",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 3000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      prepare(0, 2, { keys: ["k"], priority: 4000, follows: [1] }),
      FORCED,
      decide(0, "commit", 1),
    ],
    when: decide(0, "commit", 2),
    then: ["append committed 0.1.2", "append prepared 2.1.1", "force"],
  },
  {
    rule: "a place is kept for one that was refused: a younger one does not get the free key",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 1000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      decide(0, "commit", 1),
    ],
    when: prepare(0, 2, { keys: ["k"], priority: 3000 }),
    then: ["to 0: v1 vote no 0.1.2 (conflict)"],
  },
  {
    rule: "the one that was refused gets the key that is kept for it when it comes again",
    given: [
      prepare(0, 1, { keys: ["k"], priority: 1000 }),
      FORCED,
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      decide(0, "commit", 1),
    ],
    when: prepare(2, 2, { keys: ["k"], priority: 2000 }),
    then: ["append prepared 2.1.2", "force"],
  },
  {
    rule: "a place is kept for one that was aborted: a younger one does not get the free key",
    given: [
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      FORCED,
      decide(2, "abort", 1),
      FORCED,
    ],
    when: prepare(0, 1, { keys: ["k"], priority: 3000 }),
    then: ["to 0: v1 vote no 0.1.1 (conflict)"],
  },
  {
    rule: "a place is kept for a short time only",
    given: [
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      FORCED,
      decide(2, "abort", 1),
      FORCED,
      { waitMs: 200 },
    ],
    when: prepare(0, 1, { keys: ["k"], priority: 3000 }),
    then: ["append prepared 0.1.1", "force"],
  },
  {
    rule: "a request of this node waits for the one for which the key is kept",
    given: [
      prepare(2, 1, { keys: ["k"], priority: 2000 }),
      FORCED,
      decide(2, "abort", 1),
      FORCED,
      ask(write({ k: "1" })),
    ],
    when: prepare(2, 2, { keys: ["k"], priority: 2000 }),
    then: ["append prepared 2.1.2", "force"],
  },
  {
    rule: "a repeated prepare is answered as before, and done once",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: prepare(0, 1, { keys: ["k"] }),
    then: ["to 0: v1 vote yes 0.1.1"],
  },
  {
    rule: "a repeated prepare of what is committed here is a yes",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, decide(0, "commit", 1)],
    when: prepare(0, 1, { keys: ["k"] }),
    then: ["to 0: v1 vote yes 0.1.1"],
  },
  {
    rule: "a repeated prepare before the record is durable gets no answer yet",
    given: [prepare(0, 1, { keys: ["k"] })],
    when: prepare(0, 1, { keys: ["k"] }),
    then: [],
  },
  {
    rule: "a commit need not be forced",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1"],
  },
  {
    rule: "a repeated commit does nothing",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, decide(0, "commit", 1)],
    when: decide(0, "commit", 1),
    then: [],
  },
  {
    rule: "a commit of another view does nothing",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: decide(0, "commit", 1, 2),
    then: [],
  },
  {
    rule: "an abort is made durable before it is acknowledged",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: decide(0, "abort", 1),
    then: ["append aborted 0.1.1", "force"],
  },
  {
    rule: "an abort is acknowledged when it is durable",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, decide(0, "abort", 1)],
    when: FORCED,
    then: ["to 0: v1 abortAcknowledged 0.1.1"],
  },
  {
    rule: "an abort of an unknown transaction is made durable too",
    given: [],
    when: decide(0, "abort", 1),
    then: ["append aborted 0.1.1", "force"],
  },
  {
    rule: "a prepare that comes after its abort is refused",
    given: [decide(0, "abort", 1), FORCED],
    when: prepare(0, 1, { keys: ["k"] }),
    then: ["to 0: v1 vote no 0.1.1 (aborted)"],
  },
  {
    rule: "a repeated abort is acknowledged again",
    given: [decide(0, "abort", 1), FORCED],
    when: decide(0, "abort", 1),
    then: ["to 0: v1 abortAcknowledged 0.1.1"],
  },
  {
    rule: "an abort before the prepared record is durable takes back the vote",
    given: [prepare(0, 1, { keys: ["k"] }), decide(0, "abort", 1)],
    when: FORCED,
    then: ["to 0: v1 abortAcknowledged 0.1.1"],
  },
  {
    rule: "an abort takes all that follow it along",
    given: [
      prepare(0, 1, { keys: ["k"] }),
      prepare(0, 2, { keys: ["k"], follows: [1] }),
      prepare(0, 3, { keys: ["k"], follows: [2] }),
      FORCED,
    ],
    when: decide(0, "abort", 1),
    then: ["append aborted 0.1.1", "append aborted 0.1.2", "append aborted 0.1.3", "force"],
  },
  {
    rule: "a transaction below the low-water mark is not known any more",
    given: [
      prepare(0, 1, { keys: ["k"] }),
      FORCED,
      decide(0, "commit", 1),
      from(0, { type: "forget", view: 1, upTo: transactionNumber(1, 1) }),
    ],
    when: prepare(0, 1, { keys: ["k"] }),
    then: [],
  },
]);

const W = write({ k: "1" });

table("Coordinator", [
  {
    rule: "the prepare goes to all members beside its own journal write",
    given: [],
    when: ask(W),
    then: [
      "append prepared 1.1.1",
      "force",
      "to 0: v1 prepare 1.1.1 k=1",
      "to 2: v1 prepare 1.1.1 k=1",
    ],
  },
  {
    rule: "its own vote counts when its record is durable: all others are not enough",
    given: [ask(W), vote(0, "yes", 1)],
    when: vote(2, "yes", 1),
    then: [],
  },
  {
    rule: "with all votes it commits, answers, and tells the members",
    given: [ask(W), vote(0, "yes", 1), FORCED],
    when: vote(2, "yes", 1),
    then: [
      "append committed 1.1.1",
      "to 0: v1 commit 1.1.1",
      "to 2: v1 commit 1.1.1",
      'answered "OK"',
    ],
  },
  {
    rule: "a vote that is given twice counts once",
    given: [ask(W), FORCED, vote(0, "yes", 1)],
    when: vote(0, "yes", 1),
    then: [],
  },
  {
    rule: "waiting is no vote",
    given: [ask(W), FORCED, vote(0, "yes", 1)],
    when: vote(2, "waiting", 1),
    then: [],
  },
  {
    rule: "a no vote aborts, and the abort is durable before it is sent",
    given: [ask(W), FORCED],
    when: vote(2, "no", 1),
    then: ["append aborted 1.1.1", "force"],
  },
  {
    rule: "a durable abort is sent to the members",
    given: [ask(W), FORCED, vote(2, "no", 1)],
    when: FORCED,
    then: ["to 0: v1 abort 1.1.1", "to 2: v1 abort 1.1.1"],
  },
  {
    rule: "a retry waits until all members have acknowledged the abort",
    given: [ask(W), FORCED, vote(2, "no", 1), FORCED],
    when: acknowledge(0, 1),
    then: [],
  },
  {
    rule: "a retry is a new transaction",
    given: [ask(W), FORCED, vote(2, "no", 1), FORCED, acknowledge(0, 1)],
    when: acknowledge(2, 1),
    then: [
      "append prepared 1.1.2",
      "force",
      "to 0: v1 prepare 1.1.2 k=1",
      "to 2: v1 prepare 1.1.2 k=1",
    ],
  },
  {
    rule: "a yes vote after the abort changes nothing",
    given: [ask(W), FORCED, vote(2, "no", 1), FORCED],
    when: vote(0, "yes", 1),
    then: [],
  },
  {
    rule: "what follows an undecided transaction does not commit before it",
    given: [ask(W), ask(write({ k: "2" })), FORCED, vote(0, "yes", 2)],
    when: vote(2, "yes", 2),
    then: [],
  },
  {
    rule: "what follows commits with the one before it, in order",
    given: [
      ask(W),
      ask(write({ k: "2" })),
      FORCED,
      vote(0, "yes", 1),
      vote(0, "yes", 2),
      vote(2, "yes", 2),
    ],
    when: vote(2, "yes", 1),
    then: [
      "append committed 1.1.1",
      "append committed 1.1.2",
      "to 0: v1 commit 1.1.1",
      "to 2: v1 commit 1.1.1",
      "to 0: v1 commit 1.1.2",
      "to 2: v1 commit 1.1.2",
      'answered "OK"',
      'answered "OK"',
    ],
  },
  {
    rule: "a node that aborts one aborts all that follow it",
    given: [ask(W), ask(write({ k: "2" })), FORCED],
    when: vote(2, "no", 1),
    then: ["append aborted 1.1.1", "append aborted 1.1.2", "force"],
  },
  {
    rule: "a request of a key that another coordinator holds waits in line",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: ask(W),
    then: [],
  },
  {
    rule: "a request in line begins when the key is free",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, ask(W)],
    when: decide(0, "commit", 1),
    then: [
      "append committed 0.1.1",
      "append prepared 1.1.1",
      "force",
      "to 0: v1 prepare 1.1.1 k=1",
      "to 2: v1 prepare 1.1.1 k=1",
    ],
  },
  {
    rule: "a condition is evaluated under the lock, after the earlier holders",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, ask(setIfAbsent("k", "mine"))],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", "answered false"],
  },
  {
    rule: "an answer that depends on what is undecided waits for that",
    given: [ask(W)],
    when: ask(setIfAbsent("k", "mine")),
    then: [],
  },
  {
    rule: "a write waits while a member is not linked, and holds nothing",
    given: [{ type: "peerDown", peer: 2 }],
    when: ask(W),
    then: [],
  },
  {
    rule: "what waited for a member to be linked begins when it is",
    given: [
      { type: "peerDown", peer: 2 },
      ask(W),
      { type: "peerUp", peer: 2, identity: identityOf(2) },
    ],
    when: from(2, {
      type: "viewInstalled",
      view: 1,
      cluster: "c",
      isMember: true,
      isVerified: true,
    }),
    then: [
      "append prepared 1.1.1",
      "force",
      "to 0: v1 prepare 1.1.1 k=1",
      "to 2: v1 prepare 1.1.1 k=1",
    ],
  },
  {
    rule: "nothing was sent: the end of the time rejects",
    given: [{ type: "peerDown", peer: 2 }, ask(W)],
    when: { waitMs: 4500 },
    then: ["rejected (down): no link to n2, and a write needs all members"],
  },
  {
    rule: "a request in line at the end of its time is rejected",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, ask(W)],
    when: { waitMs: 4500 },
    then: [
      `rejected (busy): a key is locked by transaction ${
        nameForClients({ coordinator: 0, number: transactionNumber(1, 1) }, "j0")
      } of n0`,
    ],
  },
  {
    rule: "the end of the time aborts a transaction under way",
    given: [ask(W), FORCED, vote(0, "yes", 1)],
    when: { waitMs: 4500 },
    then: ["append aborted 1.1.1", "force"],
  },
  {
    rule: "aborted is answered when a majority has acknowledged",
    given: [ask(W), FORCED, vote(0, "yes", 1), { waitMs: 4500 }, FORCED],
    when: acknowledge(0, 1),
    then: ["to 0: v1 withdrawn", "to 2: v1 withdrawn", `aborted ${T}: no vote from n2 in time`],
  },
  {
    rule: "without a majority's acknowledgement the answer is indeterminate, in time",
    given: [ask(W), FORCED, vote(0, "yes", 1), { waitMs: 4500 }, FORCED],
    when: { waitMs: 500 },
    then: [
      "to 0: v1 withdrawn",
      "to 2: v1 withdrawn",
      `indeterminate ${T}: no vote from n2 in time; the abort is not known to a majority yet`,
    ],
  },
  {
    rule: "a new link is told which view this node is in",
    given: [{ type: "peerDown", peer: 2 }],
    when: { type: "peerUp", peer: 2, identity: identityOf(2) },
    then: ["to 2: v1 viewInstalled"],
  },
  {
    rule: "a member that has said its view again is told what it may have missed",
    given: [
      ask(W),
      FORCED,
      vote(0, "yes", 1),
      { type: "peerDown", peer: 2 },
      { type: "peerUp", peer: 2, identity: identityOf(2) },
    ],
    when: {
      type: "message",
      from: 2,
      message: { type: "viewInstalled", view: 1, cluster: "c", isMember: true, isVerified: true },
    },
    then: ["to 2: v1 prepare 1.1.1 k=1"],
  },
]);

table("Reads", [
  {
    rule: "a key that no transaction has prepared is read from memory",
    given: [],
    when: ask(read("k")),
    then: ["answered [null]"],
  },
  {
    rule: "a read waits while a transaction that writes the key is prepared",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED],
    when: ask(read("k")),
    then: [],
  },
  {
    rule: "a read is answered with the outcome",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, ask(read("k"))],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", 'answered ["0.1"]'],
  },
  {
    rule: "a read does not wait for a transaction that only reads the key",
    given: [prepare(0, 1, { keys: ["other"], reads: ["k"] }), FORCED],
    when: ask(read("k")),
    then: ["answered [null]"],
  },
  {
    rule: "a read of one key does not wait for later transactions",
    given: [
      prepare(0, 1, { keys: ["k"] }),
      FORCED,
      ask(read("k")),
      prepare(0, 2, { keys: ["k"], follows: [1] }),
      FORCED,
    ],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", 'answered ["0.1"]'],
  },
  {
    rule: "a read of several keys waits until all of them are free at one moment",
    given: [
      prepare(0, 1, { keys: ["a"] }),
      prepare(2, 1, { keys: ["b"] }),
      FORCED,
      ask(read("a", "b")),
      decide(0, "commit", 1),
    ],
    when: decide(2, "commit", 1),
    then: ["append committed 2.1.1", 'answered ["0.1","2.1"]'],
  },
  {
    rule: "a read that waits too long is rejected",
    given: [prepare(0, 1, { keys: ["k"] }), FORCED, ask(read("k"))],
    when: { waitMs: 4500 },
    then: ["rejected (busy): a key is locked by a transaction whose outcome is not known here"],
  },
  {
    rule: "a count waits for what was prepared when it came",
    given: [
      prepare(0, 1, { keys: ["k"] }),
      FORCED,
      ask({ kind: "barrier", isExact: false, evaluate: (store) => store.size }),
    ],
    when: decide(0, "commit", 1),
    then: ["append committed 0.1.1", "answered 1"],
  },
]);

Deno.test("Replica.peek() must wait when a transaction that writes the key is prepared", () => {
  const bench = new Bench();
  assertEquals(bench.replica.peek("k", bothAt(BEGIN_MS)), undefined);
  bench.step(prepare(0, 1, { keys: ["k"] }));
  assertEquals(bench.replica.peek("k", bothAt(BEGIN_MS)), MUST_WAIT);
  bench.step(FORCED);
  bench.take();
  bench.step(FORCED);
  bench.step(decide(0, "commit", 1));
  assertEquals(bench.replica.peek("k", bothAt(BEGIN_MS)), "0.1");
});

Deno.test("Replica.step() throws when a commit comes for what is not prepared", () => {
  const bench = new Bench();
  bench.step(prepare(0, 1, { keys: ["k"] }));
  assertThrows(() => bench.step(decide(0, "commit", 1)), Error, "cannot become committed");
});
