/**
 * What each message asserts, and where that must be recorded before it is sent: in the durable records of the
 * sender. One entry for each type whose rule in `MESSAGE_RULES` says that something is durable first; a
 * type without one does not compile.
 *
 * @module
 */

import {
  ballotName,
  incarnationOf,
  MESSAGE_RULES,
  type MessageByType,
  type MessageType,
  type NodeId,
  transactionName,
} from "../../src/two_phase/messages.ts";
import type { Ledger } from "./ledger.ts";

/** Who sends a message, and to whom. */
export interface Sending {
  readonly self: NodeId;
  readonly to: NodeId;
  /** What is durable at the sender. */
  readonly ledger: Ledger;
  /** How often a process was started on the sender's journal. */
  readonly starts: number;
  /** The ballot of the proposal accepted last, durable or not; 0 for none. */
  readonly accepted: number;
  /** The highest ballot that it has promised, durably or not. */
  readonly promised: number;
  /** The entries of a part of a transfer, as they came from `to`. */
  partFrom(transfer: number, chunk: number): object | undefined;
}

/** Returns what is not durable, though `message` says so. */
type Assertion<Type extends MessageType> = (
  message: MessageByType[Type],
  sending: Sending,
) => string | undefined;

/** The types of messages that need something durable. */
type Asserting = {
  [Type in MessageType]: typeof MESSAGE_RULES[Type]["durableFirst"] extends "nothing" ? never
    : Type;
}[MessageType];

const ownPromise = (
  { ballot }: { readonly ballot: number },
  { ledger }: Sending,
): string | undefined =>
  ledger.promises.has(ballot) ? undefined : `its own promise of ballot ${ballotName(ballot)}`;

/** By type: see {@linkcode Assertion}. */
export const ASSERTIONS: { readonly [Type in Asserting]: Assertion<Type> } = {
  vote: ({ vote, number }, { to, ledger }) => {
    if (vote !== "yes") return undefined;
    const progress = ledger.progressOf(to, number);
    if (progress === "prepared" || progress === "committed") return undefined;
    return `that ${transactionName(to, number)} is prepared`;
  },
  commit: ({ number }, { self, ledger }) => {
    const progress = ledger.progressOf(self, number);
    if (progress === "prepared" || progress === "committed") return undefined;
    return `that ${transactionName(self, number)} is prepared`;
  },
  abort: ({ number }, { self, ledger }) =>
    ledger.progressOf(self, number) === "aborted"
      ? undefined
      : `that ${transactionName(self, number)} is aborted`,
  abortAcknowledged: ({ number }, { to, ledger }) =>
    ledger.progressOf(to, number) === "aborted"
      ? undefined
      : `that ${transactionName(to, number)} is aborted`,
  settled: ({ upTo }, { to, ledger }) => howEnded(to, ledger.unsettled(to, upTo)),
  forget: ({ upTo }, { self, ledger, starts }) => {
    // The numbers of an earlier process that left no record belong to no process any more.
    const isEnded = incarnationOf(upTo) < starts + ledger.offset;
    return howEnded(self, ledger.unsettled(self, upTo, isEnded));
  },
  recovered: ({ upTo }, { ledger, starts }) =>
    incarnationOf(upTo) <= starts + ledger.offset
      ? undefined
      : `that incarnation ${incarnationOf(upTo)} has begun`,
  viewInstalled: ({ view }, { ledger }) =>
    (ledger.view?.number ?? 0) >= view ? undefined : `view ${view}`,
  heartbeat: ({ position, view }, { ledger }) => {
    if ((ledger.view?.number ?? 0) < view) return `view ${view}`;
    return ledger.progress >= position ? undefined : `${position} records of progress`;
  },
  viewPrepare: ownPromise,
  viewAccept: ownPromise,
  joinPart: ownPromise,
  joinFinal: ownPromise,
  viewPromise: (message, { ledger, accepted: acceptedNow }) => {
    const { ballot, accepted, installed, table, isJoined, isMember, marks } = message;
    if (!ledger.hasPromised(ballot)) return `the promise of ballot ${ballotName(ballot)}`;
    if (installed.number > (ledger.view?.number ?? 0)) return `view ${installed.number}`;
    if (accepted !== undefined && !ledger.accepted.has(accepted.ballot)) {
      return `that ballot ${ballotName(accepted.ballot)} is accepted`;
    }
    const latest = ledger.acceptedAfter(installed, ballot);
    // Once the proposal of this very ballot has come, its proposer heeds no promise any more.
    const isLate = acceptedNow === ballot;
    if (!isLate && latest !== undefined && (accepted?.ballot ?? 0) < latest.ballot) {
      return `what it says was accepted last: it was ${ballotName(latest.ballot)}`;
    }
    if (isJoined || !isMember || installed.number !== ledger.view?.number) return undefined;
    for (const { coordinator, number, state } of table) {
      if (ledger.progressOf(coordinator, number) === state) continue;
      return `that ${transactionName(coordinator, number)} is ${state}`;
    }
    for (const { coordinator, number } of ledger.undecided()) {
      const isTold = table.some((entry) =>
        entry.coordinator === coordinator && entry.number === number
      );
      if (isTold || number <= (marks[coordinator] ?? 0)) continue;
      return `the table that it tells: ${transactionName(coordinator, number)} is prepared too`;
    }
    return undefined;
  },
  viewAccepted: ({ ballot }, { ledger, promised }) => {
    if (!ledger.accepted.has(ballot)) return `that ballot ${ballotName(ballot)} is accepted`;
    return promised > ballot ? `no promise above it: ${ballotName(promised)}` : undefined;
  },
  joinAcknowledged: ({ transfer, chunk }, { ledger, partFrom }) => {
    if (chunk < 0) return undefined; // It declines.
    const part = partFrom(transfer, chunk);
    return part !== undefined && ledger.holdsPart(part)
      ? undefined
      : `part ${chunk} of transfer ${transfer}`;
  },
  joinConfirmed: ({ ballot }, { ledger }) =>
    ledger.joined.has(ballot) ? undefined : `that it has joined for ballot ${ballotName(ballot)}`,
};

function howEnded(coordinator: NodeId, number: number | undefined): string | undefined {
  return number === undefined ? undefined : `how ${transactionName(coordinator, number)} ended`;
}

/** Returns what `message` says and the sender does not have on its disk, or `undefined`. */
export function whatIsNotDurable<Type extends MessageType>(
  message: MessageByType[Type] & { readonly type: Type },
  sending: Sending,
): string | undefined {
  const assertions: { readonly [Each in MessageType]?: Assertion<Each> } = ASSERTIONS;
  const assertion: Assertion<Type> | undefined = assertions[message.type];
  return assertion?.(message, sending);
}
