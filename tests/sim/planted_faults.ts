/**
 * Planted faults: rules of the protocol, each broken on purpose, to see that a checker finds it.
 *
 * The protocol has no switches. A fault is made from outside: by changing what goes into a replica
 * or comes out of it, or by replacing a method of one of its parts.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";
import type { Context } from "../../src/two_phase/context.ts";
import { EvaluationView } from "../../src/two_phase/evaluation.ts";
import { isReserved } from "../../src/reserved_keys.ts";
import type {
  Effect,
  JoinFinal,
  JoinPart,
  JournalRecord,
  Message,
  NodeId,
  NodeSet,
  TransactionNumber,
} from "../../src/two_phase/messages.ts";
import { members, size } from "../../src/two_phase/node_set.ts";
import { OwnTransaction } from "../../src/two_phase/own_transaction.ts";
import { majority } from "../../src/two_phase/quorum.ts";
import type { Effects } from "../../src/two_phase/outbox.ts";
import type { Input, Replica } from "../../src/two_phase/replica.ts";
import type { Evaluation, Request, WriteRequest } from "../../src/two_phase/request.ts";
import { PLANTED_COMMAND_FAULTS, withFacts } from "./planted_command_faults.ts";
import { PLANTED_PROTOCOL_FAULTS } from "./planted_protocol_faults.ts";

/** A rule that is broken. */
export interface PlantedFault {
  readonly name: string;
  /** Changes a replica that has just started. */
  readonly onStart?: (replica: Replica) => void;
  /** Changes what recovery finds in the journal. */
  readonly onRecover?: (records: readonly JournalRecord[]) => readonly JournalRecord[];
  /** Changes what a new cluster is begun from by force. */
  readonly onInspect?: (records: readonly JournalRecord[]) => readonly JournalRecord[];
  /** Changes what a checkpoint stores. */
  readonly onCheckpoint?: (records: readonly JournalRecord[]) => readonly JournalRecord[];
  /** Changes a message. */
  readonly onSend?: (message: Message, from: NodeId, to: NodeId) => Message;
  /** Changes a request. */
  readonly onRequest?: (request: Request, replica: Replica) => Request;
  /** Returns further inputs, which the replica is given behind `input`. */
  readonly afterInput?: (input: Input, replica: Replica) => readonly Input[];
  /** Whether the protocol is told at once that its records are durable. */
  readonly skipsForce?: (effects: Effects, node: NodeId) => boolean;
  /** A force that fails is taken for one that has succeeded. */
  readonly ignoresFailedForce?: boolean;
  /** Reads are answered however long ago the lease ran out. */
  readonly ignoresLeaseEnd?: boolean;
  /** Changes the clocks by which the driver looks whether a lease holds still. */
  readonly leaseClocks?: (now: Clocks) => Clocks;
  /** A wiped disk has the id of the journal that was on it. */
  readonly keepsJournalId?: boolean;
  /** A process goes on with the journal of another node as if it was its own. */
  readonly acceptsOthersJournal?: boolean;
}

/** Returns new faults for each run, because some keep state. */
export const PLANTED_FAULTS: readonly (() => PlantedFault)[] = [
  () => ({
    name: "vote before force",
    skipsForce: ({ records }, node) =>
      records.some((record) => record.type === "prepared" && record.coordinator !== node),
  }),
  () => ({
    name: "own vote counted before force",
    skipsForce: ({ records }, node) =>
      records.some((record) => record.type === "prepared" && record.coordinator === node),
  }),
  () => ({
    name: "abort told before force",
    skipsForce: ({ records }) => records.some((record) => record.type === "aborted"),
  }),
  () => ({ name: "a failed force taken for success", ignoresFailedForce: true }),
  () => ({
    name: "locks not rebuilt at recovery",
    onStart: ({ context: { transactions, locks } }) => {
      for (const transaction of transactions.holdingLocks()) locks.release(transaction);
    },
  }),
  () => ({
    name: "recovery forgets what is prepared",
    onRecover: (records) => {
      const decided = new Set(
        records.flatMap((record) =>
          record.type === "committed" || record.type === "aborted"
            ? [`${record.coordinator} ${record.number}`]
            : []
        ),
      );
      return records.filter((record) =>
        record.type !== "prepared" || decided.has(`${record.coordinator} ${record.prepare.number}`)
      );
    },
  }),
  () => ({
    name: "recovery forgets an abort",
    onRecover: (records) => records.filter((record) => record.type !== "aborted"),
  }),
  () => ({
    name: "checkpoint drops what is prepared",
    onCheckpoint: (records) => records.filter((record) => record.type !== "prepared"),
  }),
  () => ({
    name: "read served under a prepared lock",
    onStart: ({ context: { locks } }) => {
      locks.lastWriter = () => undefined;
    },
  }),
  () => votesInvented("commit by majority", (votes, nodes) => votes >= majority(nodes)),
  () => votesInvented("answer before all have voted", (votes) => votes >= 1),
  duplicateVotesCounted,
  () => ({
    name: "keys that are only read are not locked",
    onRequest: (request, { context }) => {
      if (request.kind !== "write") return request;
      const { effects } = evaluateUnlocked(request, context);
      return effects.length === 0 ? request : { ...request, keys: effects.map(({ key }) => key) };
    },
  }),
  () => ({
    name: "effects evaluated before the lock",
    onRequest: (request, { context }) => {
      if (request.kind !== "write") return request;
      const evaluation = evaluateUnlocked(request, context);
      return { ...request, evaluate: () => evaluation };
    },
  }),
  () => ({
    name: "forgetting too early",
    onSend: (message) =>
      message.type === "settled" ? { ...message, upTo: message.upTo + 3 } : message,
  }),
  () => ({
    name: "low-water mark taken from one member",
    afterInput: (input, { context: { membership } }) => {
      if (input.type !== "message" || input.message.type !== "settled") return [];
      const { message } = input;
      return fromAll(message, membership.all);
    },
  }),
  () => ({
    name: "a late prepare of an aborted transaction locks again",
    onStart: ({ context: { transactions, self } }) => {
      const get = transactions.get.bind(transactions);
      transactions.get = (coordinator, number) => {
        const known = get(coordinator, number);
        return known === "aborted" && coordinator !== self ? undefined : known;
      };
      transactions.isClosed = () => false;
    },
  }),
  () => ({
    name: "retry with a new priority",
    onStart: ({ context }) => {
      const { locks, clock, self } = context;
      const acquire = locks.acquire.bind(locks);
      locks.acquire = (transaction) => {
        if (transaction.coordinator === self && !transaction.ready) {
          Object.assign(transaction, { priority: clock.tick(context.now) });
        }
        return acquire(transaction);
      };
    },
  }),
  () => ({
    name: "presumed abort of what is still running",
    onSend: (message) => message.type === "recovered" ? { ...message, undecided: [] } : message,
  }),
  tokenStoredApart,
  () => ({
    name: "a key is taken for expired by the local clock alone",
    onRequest: (request, { context }) => {
      if (request.kind !== "read") return request;
      return {
        ...request,
        evaluate: (read, facts) => {
          const isOver = (key: ByteString) => {
            const expiresAtMs = context.store.get(key)?.expiresAtMs;
            return expiresAtMs !== undefined && expiresAtMs <= context.clocks.wallMs;
          };
          return request.evaluate((key) => isOver(key) ? undefined : read(key), facts);
        },
      };
    },
  }),
  () => ({
    name: "WATCH forgets that a time to live is over",
    onRequest: (request, { context: { store } }) =>
      withFacts(request, (facts) => (key) => {
        const record = facts.recordOf(key);
        const entry = record === undefined ? store.get(key) : undefined;
        return entry?.expiresAtMs === undefined
          ? record
          : { key, value: undefined, version: entry.version };
      }),
  }),
  () => ({
    name: "EXEC is evaluated before it holds all locks",
    onStart: ({ context }) => {
      const { locks } = context;
      const acquire = locks.acquire.bind(locks);
      locks.acquire = (transaction) => {
        const result = acquire(transaction);
        if (!(transaction instanceof OwnTransaction) || result === "held") return result;
        const request = transaction.pending?.request;
        if (request?.kind === "write" && request.keys.length > 1) {
          const evaluation = evaluateUnlocked(request, context);
          Object.assign(request, { evaluate: () => evaluation });
        }
        return result;
      };
    },
  }),
  () => ({
    name: "SCAN loses a key that moves",
    onStart: ({ context: { store } }) => {
      const behind = store.behind.bind(store);
      // A cursor counts the keys before it: if one of them goes, all others move.
      store.behind = function* (place) {
        let before = 0;
        for (const entry of behind(0)) if (++before > place) yield { ...entry, order: before };
      };
    },
  }),
  () => ({
    name: "all keys are deleted without a lock of all",
    onStart: ({ context: { locks } }) => {
      Object.defineProperty(locks, "clearing", { get: () => undefined });
      const acquire = locks.acquire.bind(locks);
      locks.acquire = (transaction) => {
        Object.assign(transaction, { clears: false });
        return acquire(transaction);
      };
    },
  }),
  () => ({
    name: "the abort of one node is told as final",
    onStart: (replica) => {
      const outcomeOf = replica.outcomeOf.bind(replica);
      replica.outcomeOf = (asked) => {
        const said = outcomeOf(asked);
        return said.outcome === "abortedHere" ? { ...said, outcome: "aborted" } : said;
      };
    },
  }),
  () => ({
    name: "a commit is not sent again after a reconnect",
    onStart: ({ context: { transactions, self } }) => {
      const of = transactions.of.bind(transactions);
      transactions.of = function* (coordinator) {
        for (const [number, known] of of(coordinator)) {
          if (coordinator !== self || known !== "committed") yield [number, known];
        }
      };
    },
  }),
  ...viewFaults(),
  () => ({
    name: "a promise is not forced",
    skipsForce: ({ records }) => records.some(({ type }) => type === "promise"),
  }),
  () => ({
    name: "an accepted proposal is not forced",
    skipsForce: ({ records }) => records.some(({ type }) => type === "accepted"),
  }),
  ...PLANTED_PROTOCOL_FAULTS,
  ...PLANTED_COMMAND_FAULTS,
];

/** Evaluates a write by what is committed, without its locks. */
function evaluateUnlocked(request: WriteRequest, context: Context): Evaluation {
  const view = new EvaluationView(context);
  view.begin(undefined);
  return request.evaluate(view.read, view);
}

/** A token is stored by a transaction of its own, a little after that of its write. */
function tokenStoredApart(): PlantedFault {
  const held = new Map<Replica, Effect[]>();
  return {
    name: "token stored apart from its write",
    onRequest: (request, replica) => {
      if (request.kind !== "write" || !request.keys.some(isReserved)) return request;
      const evaluate: WriteRequest["evaluate"] = (read, facts) => {
        const { effects, reply } = request.evaluate(read, facts);
        const tokens = effects.filter(({ key }) => isReserved(key));
        held.set(replica, [...held.get(replica) ?? [], ...tokens]);
        return { effects: effects.filter(({ key }) => !isReserved(key)), reply };
      };
      return { ...request, evaluate };
    },
    afterInput: (input, replica) => {
      const effects = held.get(replica);
      if (input.type !== "tick" || effects === undefined) return [];
      held.delete(replica);
      return effects.map((effect) => ({
        type: "request",
        request: {
          kind: "write",
          keys: [effect.key],
          evaluate: () => ({ effects: [effect], reply: "OK" }),
        },
        requester: { onOutcome: () => {} },
      }));
    },
  };
}

/** Faults of views, leases and joining. */
function viewFaults(): (() => PlantedFault)[] {
  return [
    () => ({
      name: "read without a lease",
      ignoresLeaseEnd: true,
      onStart: ({ context: { membership } }) => {
        membership.mayRead = () => membership.isMember;
      },
    }),
    () => leaseWithout("the lease looks at the monotonic clock alone", "wallMs"),
    () => leaseWithout("the lease looks at the wall clock alone", "monotonicMs"),
    () => ({
      name: "the proposer does not wait for leases",
      onStart: ({ context: { membership } }) => {
        membership.leftIncarnation = () => Number.MAX_SAFE_INTEGER;
      },
    }),
    () => ({
      name: "votes and decisions after a promise",
      onStart: ({ context: { membership } }) => {
        Object.defineProperty(membership, "isFrozen", { get: () => false });
      },
    }),
    () => ({
      name: "an accepted proposal is not proposed again",
      onSend: (message) =>
        message.type === "viewPromise" ? { ...message, accepted: undefined } : message,
      onStart: ({ context: { membership } }) => {
        Object.defineProperty(membership, "accepted", { get: () => undefined });
      },
    }),
    () => ({
      name: "abort told to the client before a majority knows",
      afterInput: (input, { context: { membership } }) => {
        if (input.type !== "message" || input.message.type !== "abortAcknowledged") return [];
        const { message } = input;
        return fromAll(message, membership.all);
      },
    }),
    () => ({
      name: "a cluster started by force drops what is in doubt",
      onInspect: (records) => {
        const committed = new Set(
          records.flatMap((record) =>
            record.type === "committed" ? [`${record.coordinator} ${record.number}`] : []
          ),
        );
        return records.filter((record) =>
          record.type !== "prepared" ||
          committed.has(`${record.coordinator} ${record.prepare.number}`)
        );
      },
    }),
    () => ({
      name: "amnesia after a wiped disk",
      keepsJournalId: true,
      // Else the others would know the journal for an older copy.
      onStart: ({ context: { membership: { peerJournals } } }) => {
        peerJournals.of = () => undefined;
      },
    }),
    () => ({
      name: "an older copy of a journal counts",
      onStart: ({ context: { membership: { peerJournals } } }) => {
        peerJournals.of = () => undefined;
      },
    }),
    () => ({ name: "journal of another node accepted", acceptsOthersJournal: true }),
    () => ({
      name: "a joiner is not sent what changed last",
      onSend: (message) => isLast(message) ? { ...message, entries: [] } : message,
    }),
    () => ({
      name: "a joiner is not sent what is undecided",
      onSend: (message) => isLast(message) ? { ...message, prepared: [] } : message,
    }),
    () => ({
      name: "a view is installed without its outcomes",
      onSend: (message) =>
        message.type === "viewInstall"
          ? { ...message, chosen: { ...message.chosen, commits: [] } }
          : message,
    }),
    () => ({
      name: "the table of a promise lacks what is prepared",
      onSend: (message) =>
        message.type === "viewPromise"
          ? { ...message, table: message.table.filter(({ state }) => state !== "prepared") }
          : message,
    }),
  ];
}

/** The lease takes one of the two clocks to show what the other one does. */
function leaseWithout(name: string, clock: keyof Clocks): PlantedFault {
  const other = clock === "wallMs" ? "monotonicMs" : "wallMs";
  return {
    name,
    onStart: ({ context: { membership: { lease } } }) => {
      const extend = lease.begin.bind(lease);
      const end = lease.endIfClocksParted.bind(lease);
      const onOther = (at: Clocks): Clocks => ({ ...at, [clock]: at[other] });
      lease.begin = (round) => extend({ ...round, sentAt: onOther(round.sentAt) });
      lease.holds = (at) => lease.term?.holds(onOther(at)) === true;
      lease.endIfClocksParted = (at) => end(onOther(at));
    },
    leaseClocks: (at) => ({ ...at, [clock]: at[other] }),
  };
}

/** Faults that the fixed set is too small for: `docs/simulation.md` says how many seeds they take. */
export const RARE_PLANTED_FAULTS: readonly (() => PlantedFault)[] = [
  () => ({
    name: "messages of another view are heeded",
    onStart: (replica) => {
      const step = replica.step.bind(replica);
      replica.step = (input, now) => {
        if (input.type !== "message" || !ABOUT_TRANSACTIONS.has(input.message.type)) {
          step(input, now);
          return;
        }
        const { number: view } = replica.membership.view;
        step({ ...input, message: { ...input.message, view } }, now);
      };
    },
  }),
];

/** Messages that mean nothing in another view. */
const ABOUT_TRANSACTIONS: ReadonlySet<Message["type"]> = new Set([
  "prepare",
  "vote",
  "commit",
  "abort",
  "abortAcknowledged",
  "withdrawn",
  "settled",
  "forget",
  "recovered",
]);

/** When `isEnough` votes have come, those that are missing are made up. */
function votesInvented(
  name: string,
  isEnough: (votes: number, nodes: number) => boolean,
): PlantedFault {
  const voters = new Map<string, Set<NodeId>>();
  return {
    name,
    afterInput: (input, { context: { membership, self } }) => {
      if (input.type !== "message" || input.message.type !== "vote") return [];
      const { message, from } = input;
      if (message.vote !== "yes") return [];
      const key = `${self} ${message.number}`;
      const known = voters.get(key) ?? new Set();
      voters.set(key, known.add(from));
      if (!isEnough(known.size + 1, size(membership.all))) return [];
      return fromAll(message, membership.all);
    },
  };
}

/** A vote that comes twice also counts for another node. */
function duplicateVotesCounted(): PlantedFault {
  const seen = new Set<string>();
  return {
    name: "a duplicate vote counted twice",
    afterInput: (input, { context: { membership, self } }) => {
      if (input.type !== "message" || input.message.type !== "vote") return [];
      const { message, from } = input;
      if (message.vote !== "yes") return [];
      const key: `${NodeId} ${TransactionNumber} ${NodeId}` = `${self} ${message.number} ${from}`;
      if (!seen.has(key)) {
        seen.add(key);
        return [];
      }
      const next = (from + 1) % size(membership.all);
      return fromAll(message, membership.all).filter(({ from: other }) => other === next);
    },
  };
}

/** The message, as if every node had sent it. */
function fromAll(
  message: Message,
  nodes: NodeSet,
): { readonly type: "message"; readonly from: NodeId; readonly message: Message }[] {
  return members(nodes).map((from) => ({ type: "message", from, message }));
}

/** Tells whether a message is of what a joiner is sent last. */
function isLast(message: Message): message is JoinPart | JoinFinal {
  return message.type === "joinPart" || message.type === "joinFinal";
}
