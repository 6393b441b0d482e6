/**
 * The protocol's values as short lines, for tables, golden scripts and traces.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import {
  ballotName,
  type Effect,
  type JournalRecord,
  type Message,
  type NodeId,
  transactionName,
  type View,
} from "../../src/two_phase/messages.ts";
import { members } from "../../src/two_phase/node_set.ts";
import type { Effects, ProtocolEvent } from "../../src/two_phase/outbox.ts";
import type { Outcome } from "../../src/two_phase/request.ts";

/** Returns `message`, about a transaction of `coordinator`, as a line. */
export function formatMessage(message: Message, coordinator: NodeId): string {
  const { view } = message;
  switch (message.type) {
    case "prepare": {
      const name = transactionName(coordinator, message.number);
      const reads = message.reads.length > 0 ? ` reads ${message.reads.join(" ")}` : "";
      const follows = message.follows.map((number) => transactionName(coordinator, number));
      const behind = follows.length > 0 ? ` follows ${follows.join(" ")}` : "";
      return `v${view} prepare ${name} ${formatEffects(message.effects)}${reads}${behind}`;
    }
    case "vote": {
      const name = transactionName(coordinator, message.number);
      const why = message.reason === "none" ? "" : ` (${message.reason})`;
      return `v${view} vote ${message.vote} ${name}${why}`;
    }
    case "settled":
    case "forget":
      return `v${view} ${message.type} up to ${transactionName(coordinator, message.upTo)}`;
    case "viewInstalled":
      return `v${view} viewInstalled${message.isMember ? "" : " (outside)"}`;
    case "heartbeat":
    case "heartbeatAcknowledged":
      return `v${view} ${message.type} ${message.round}`;
    case "viewPrepare":
    case "viewAbandoned":
    case "viewAccepted":
      return `v${view} ${message.type} ${ballotName(message.ballot)}`;
    case "viewRefuse":
      return `v${view} viewRefuse ${ballotName(message.ballot)}, promised ${
        ballotName(message.promised)
      }`;
    case "viewPromise": {
      const table = message.table.map((entry) =>
        `${transactionName(entry.coordinator, entry.number)} ${entry.state}`
      );
      const accepted = message.accepted === undefined
        ? ""
        : `, accepted ${formatView(message.accepted.proposal)}`;
      return `v${view} viewPromise ${ballotName(message.ballot)} [${table.join(", ")}]${accepted}`;
    }
    case "viewAccept":
      return `v${view} viewAccept ${ballotName(message.ballot)} ${formatView(message.proposal)}`;
    case "viewInstall":
      return `v${view} viewInstall ${formatView(message.chosen)}`;
    case "leaving":
    case "joinRequest":
      return `v${view} ${message.type}`;
    case "joinChunk":
    case "joinAcknowledged":
      return `v${view} ${message.type} ${message.chunk}`;
    case "joinPart":
      return `v${view} joinPart ${message.part} ${ballotName(message.ballot)}`;
    case "joinFinal":
    case "joinConfirmed":
      return `v${view} ${message.type} ${ballotName(message.ballot)}`;
    case "recovered": {
      const undecided = message.undecided.map((number) => transactionName(coordinator, number));
      const upTo = transactionName(coordinator, message.upTo);
      return `v${view} recovered up to ${upTo} but ${undecided.join(" ") || "none"}`;
    }
    case "withdrawn":
      return `v${view} withdrawn`;
    default:
      return `v${view} ${message.type} ${transactionName(coordinator, message.number)}`;
  }
}

function formatView(view: View): string {
  const list = members(view.members).map((node) => `n${node}`).join(" ");
  const commits = view.commits.map(({ coordinator, number }) =>
    transactionName(coordinator, number)
  );
  return `view ${view.number} of ${list}, commits ${commits.join(" ") || "nothing"}`;
}

/** Returns which node coordinates the transaction that `message` is about. */
export function coordinatorOf(message: Message, from: NodeId, to: NodeId): NodeId {
  switch (message.type) {
    case "vote":
    case "abortAcknowledged":
    case "settled":
      return to;
    default:
      return from;
  }
}

function formatEffects(effects: readonly Effect[]): string {
  return effects.map(({ key, value }) =>
    value === undefined ? `-${key}` : `${key}=${shorten(value)}`
  )
    .join(" ");
}

function shorten(value: ByteString): string {
  return value.length > 16 ? `${value.slice(0, 13)}...` : value;
}

/** Returns a journal record as a line. */
export function formatRecord(record: JournalRecord): string {
  switch (record.type) {
    case "prepared":
      return `append prepared ${transactionName(record.coordinator, record.prepare.number)}`;
    case "committed":
    case "aborted":
      return `append ${record.type} ${transactionName(record.coordinator, record.number)}`;
    case "mark":
      return `append mark ${transactionName(record.coordinator, record.upTo)}`;
    case "view":
      return `append view ${formatView(record.view)}`;
    case "membership":
      return `append membership in ${formatView(record.view)}`;
    case "offset":
      return `append offset ${record.incarnations}`;
    case "promise":
      return `append promise ${ballotName(record.ballot)}`;
    case "accepted":
      return `append accepted ${ballotName(record.ballot)} ${formatView(record.proposal)}`;
    case "transfer":
      return `append transfer ${formatEffects(record.entries)}`;
    case "joined":
      return `append joined ${ballotName(record.ballot)}`;
    case "clock":
      return `append clock ${record.stamp}`;
    case "sighting":
      return `append sighting of n${record.node}, start ${record.incarnation}`;
    case "position":
      return `append position ${record.position}`;
  }
}

/** Returns an answer as a line. */
export function formatOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case "answered":
      return `answered ${JSON.stringify(outcome.reply)}`;
    case "rejected":
      return `rejected (${outcome.obstacle}): ${outcome.reason}`;
    default:
      return `${outcome.kind} ${outcome.transaction}: ${outcome.reason}`;
  }
}

/** Returns an event as a line. */
export function formatEvent(event: ProtocolEvent): string {
  switch (event.type) {
    case "viewInstalled":
      return `event ${formatView(event.view)} installed`;
    case "viewChangeBegins":
      return `event begins ballot ${event.ballot}: ${event.reason}`;
    case "listChanged":
      return `event the nodes are ${event.view.names.join(" ")}`;
    case "isRemoved":
      return `event ${formatView(event.view)} does not list it`;
    case "foreignPeer":
      return `event n${event.peer} is of another cluster`;
    case "olderCopy":
      return `event the journal is older than n${event.peer} has seen it`;
    case "startOver":
      return `event starts over, as n${event.peer} takes part`;
    case "contradicted":
      return `event the journal of n${event.peer} is from elsewhere`;
    case "peerOnOlderCopy":
      return `event the journal of n${event.peer} is an older copy`;
    case "verified":
      return "event verified";
    case "slowDisk":
      return `event the disk of n${event.node} is ${event.isSlow ? "slow" : "fast again"}`;
    case "joinerLate":
      return `event n${event.peer} was late, and waits for ${event.waitMs} ms`;
    case "complete":
      return "event complete";
    case "clockIsOff":
      return `event the clock is off by ${Math.round(event.offMs)} ms`;
    case "clockIsRight":
      return "event the clock is right again";
  }
}

/** Returns all effects of a step of node `self`, a line each, in the order in which they count. */
export function formatAll(effects: Effects, self: NodeId): string[] {
  const lines = effects.records.map(formatRecord);
  if (effects.force) lines.push("force");
  for (const { to, message } of effects.sends) {
    for (const node of members(to)) {
      lines.push(`to ${node}: ${formatMessage(message, coordinatorOf(message, self, node))}`);
    }
  }
  for (const { outcome } of effects.answers) lines.push(formatOutcome(outcome));
  for (const event of effects.events) lines.push(formatEvent(event));
  return lines;
}
