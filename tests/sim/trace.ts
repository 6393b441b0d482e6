/**
 * A human-readable account of a run: which node sent what when, by transaction.
 *
 * @module
 */

import type { Message, NodeId } from "../../src/two_phase/messages.ts";
import type { Effects } from "../../src/two_phase/outbox.ts";
import { coordinatorOf, formatMessage, formatRecord } from "../two_phase/notation.ts";
import type { Scheduler } from "./scheduler.ts";

/** Collects lines, or nothing if they will not be read. */
export class Trace {
  readonly lines: string[] = [];
  readonly #scheduler: Scheduler;
  readonly #isOn: boolean;

  constructor(scheduler: Scheduler, options: { isOn: boolean }) {
    this.#scheduler = scheduler;
    this.#isOn = options.isOn;
  }

  note(node: NodeId, text: string): void {
    if (this.#isOn) this.#write(`n${node} ${text}`);
  }

  client(text: string): void {
    if (this.#isOn) this.#write(text);
  }

  received(from: NodeId, to: NodeId, message: Message): void {
    if (!this.#isOn) return;
    this.#write(`n${from} -> n${to}  ${formatMessage(message, coordinatorOf(message, from, to))}`);
  }

  effects(node: NodeId, effects: Effects): void {
    if (!this.#isOn) return;
    for (const record of effects.records) this.#write(`   n${node} ${formatRecord(record)}`);
    if (effects.force) this.#write(`   n${node} force up to ${effects.position}`);
  }

  #write(text: string): void {
    this.lines.push(`${this.#scheduler.now.toFixed(3).padStart(10)}  ${text}`);
  }
}
