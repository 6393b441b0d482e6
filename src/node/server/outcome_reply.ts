/**
 * The replies that tell clients how a request ended.
 *
 * @module
 */

import { ErrorReply, type RespValue } from "../../resp/value.ts";
import { aborted, rejected } from "../commands/rejections.ts";
import type { Outcome } from "../../two_phase/request.ts";

/** Returns the reply that tells `outcome`; an answer must be a value of the Redis protocol. */
export function replyOf(outcome: Outcome): RespValue {
  switch (outcome.kind) {
    case "answered":
      return outcome.reply as RespValue;
    case "rejected":
      return rejected(outcome);
    default: {
      const message = `${outcome.reason} (transaction ${outcome.transaction})`;
      return outcome.kind === "aborted"
        ? aborted(message)
        : new ErrorReply("INDETERMINATE", message);
    }
  }
}
