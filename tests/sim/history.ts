/**
 * What clients saw: for every operation when it was called, when and how it ended.
 *
 * @module
 */

import type { Operation } from "./operations.ts";

/**
 * How an operation ended for its client: `done` with a reply; `none`, it is certain to have had no
 * effect (rejected, aborted); `unknown`, it may take effect at any time after its call, or never
 * (indeterminate, or the connection was lost).
 */
export type Ending = "done" | "none" | "unknown";

/** Returns how an operation ended for its client, from the kind of its outcome. */
export function endingOf(outcome: string): Ending {
  if (outcome === "answered") return "done";
  return outcome === "rejected" || outcome === "aborted" ? "none" : "unknown";
}

/** One call of an operation. */
export interface Call {
  readonly id: number;
  readonly client: number;
  readonly node: number;
  readonly operation: Operation;
  /** The order of calls and returns: of two, the later one has the higher number. */
  readonly calledAt: number;
  /** Virtual milliseconds. */
  readonly calledAtMs: number;
  returnedAt: number;
  returnedAtMs: number;
  /** A process has got it: else nothing can come of it, though its client does not know that. */
  hasArrived: boolean;
  /** `undefined` while it is under way. */
  ending: Ending | undefined;
  /** The name of the transaction that an indeterminate end has told. */
  transaction: string | undefined;
  /** The kind of the outcome, human-readable. */
  outcome: string;
  reply: string;
}

/** The calls of one run. */
export class History {
  readonly calls: Call[] = [];
  #order = 0;

  begin(
    about: { client: number; node: number; operation: Operation; nowMs: number },
  ): Call {
    const call: Call = {
      id: this.calls.length,
      client: about.client,
      node: about.node,
      operation: about.operation,
      calledAt: ++this.#order,
      calledAtMs: about.nowMs,
      returnedAt: Infinity,
      returnedAtMs: Infinity,
      hasArrived: false,
      ending: undefined,
      transaction: undefined,
      outcome: "",
      reply: "",
    };
    this.calls.push(call);
    return call;
  }

  end(
    call: Call,
    how: { ending: Ending; outcome: string; reply: string; nowMs: number },
  ): void {
    call.ending = how.ending;
    call.outcome = how.outcome;
    call.reply = how.reply;
    call.returnedAt = ++this.#order;
    call.returnedAtMs = how.nowMs;
  }
}

/** Returns a call as a human-readable line. */
export function formatCall(call: Call): string {
  const { client, node, operation, calledAtMs, returnedAtMs, outcome, reply } = call;
  const until = returnedAtMs === Infinity ? "..." : returnedAtMs.toFixed(3);
  const end = call.ending === "done" ? reply : outcome || "no answer";
  return `#${call.id} client ${client} at n${node}  ${calledAtMs.toFixed(3)} to ${until}  ` +
    `${operation.name}: ${end}`;
}
