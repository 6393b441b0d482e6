/**
 * The protocol's values as short lines, for tables, golden scripts and traces.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import {
  type Effect,
  type JournalRecord,
  type Message,
  type NodeIndex,
  transactionName,
} from "../../src/two_phase/messages.ts";
import { members } from "../../src/two_phase/node_set.ts";
import type { Effects, ProtocolEvent } from "../../src/two_phase/outbox.ts";
import type { Outcome } from "../../src/two_phase/request.ts";

/** Returns `message`, about a transaction of `coordinator`, as a line. */
export function formatMessage(message: Message, coordinator: NodeIndex): string {
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
      return `v${view} viewInstalled ${message.journals.join(" ")}`;
    case "recovered": {
      const undecided = message.undecided.map((number) => transactionName(coordinator, number));
      const upTo = transactionName(coordinator, message.upTo);
      return `v${view} recovered up to ${upTo} but ${undecided.join(" ") || "none"}`;
    }
    default:
      return `v${view} ${message.type} ${transactionName(coordinator, message.number)}`;
  }
}

/** Returns which node coordinates the transaction that `message` is about. */
export function coordinatorOf(message: Message, from: NodeIndex, to: NodeIndex): NodeIndex {
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
      return `append view ${record.number}`;
    case "clock":
      return `append clock ${record.stamp}`;
  }
}

/** Returns an answer as a line. */
export function formatOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case "answered":
      return `answered ${JSON.stringify(outcome.reply)}`;
    case "rejected":
      return `rejected: ${outcome.reason}`;
    default:
      return `${outcome.kind} ${outcome.transaction}: ${outcome.reason}`;
  }
}

/** Returns an event as a line. */
export function formatEvent(event: ProtocolEvent): string {
  switch (event.type) {
    case "viewInstalled":
      return `event view ${event.view} installed`;
    case "complete":
      return "event complete";
    case "refused":
      return `event refused: ${event.reason}`;
  }
}

/** Returns all effects of a step of node `self`, a line each, in the order in which they count. */
export function formatAll(effects: Effects, self: NodeIndex): string[] {
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
