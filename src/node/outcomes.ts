/**
 * DKS.OUTCOME: how a transaction ended, from this node's own table if that is enough, otherwise by
 * asking the others too.
 *
 * @module
 */

import { type ByteString, fromText, quote } from "../byte_string.ts";
import { OUTCOME_QUESTIONS_MAX } from "../limits.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { Refusal } from "../two_phase/request.ts";
import { combineOutcomes, type NodeOutcome } from "../two_phase/outcome.ts";
import type { Replica } from "../two_phase/replica.ts";
import { busy, rejected } from "./commands/rejections.ts";
import { parseTransactionName } from "../two_phase/transaction_name.ts";

/** What answering needs from the node. */
export interface OutcomeHost {
  /** `undefined` while the node does not run. */
  readonly replica: Replica | undefined;
  /** Why the node does not run. */
  readonly notReady: Refusal;
  readonly peers: {
    /** By id. */
    readonly names: readonly string[];
    readonly ownName: string;
    askOutcomes(transaction: ByteString): Promise<readonly NodeOutcome[]>;
  };
}

/** Answers the questions of one node's clients. */
export class Outcomes {
  readonly #host: OutcomeHost;
  #underWay = 0;

  constructor(host: OutcomeHost) {
    this.#host = host;
  }

  /** Returns the reply to DKS.OUTCOME. */
  async answer(transaction: ByteString): Promise<RespValue> {
    const { peers, replica, notReady } = this.#host;
    const parsed = parseTransactionName(transaction, {
      nodes: peers.names.length,
      shown: quote(transaction),
    });
    if (typeof parsed === "string") return new ErrorReply("ERR", parsed);
    if (replica === undefined) return rejected(notReady);
    const said = replica.outcomeOf(parsed);
    if (said.outcome === "committed" || said.outcome === "aborted") return said.outcome;
    if (this.#underWay >= OUTCOME_QUESTIONS_MAX) {
      return busy(
        `this node has ${OUTCOME_QUESTIONS_MAX} questions for outcomes under way already`,
      );
    }
    this.#underWay++;
    try {
      const others = await peers.askOutcomes(transaction);
      return fromText(combineOutcomes([{ name: peers.ownName, said }, ...others]));
    } finally {
      this.#underWay--;
    }
  }
}
