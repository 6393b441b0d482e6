/**
 * The errors that clients act on by themselves.
 *
 * Some clients send a command again if its error begins with one of a few words of Redis's. So an error
 * begins with such a word if nothing has happened, or never will, and dks's own word stands behind it:
 * `CLUSTERDOWN REJECTED no majority: …`. The end that nobody knows, `INDETERMINATE`, stands alone: no
 * client repeats what has that.
 *
 * @module
 */

import { ErrorReply } from "../../resp/value.ts";
import type { Obstacle, Refusal } from "../../two_phase/request.ts";

const CODES: Readonly<Record<Obstacle, string>> = {
  down: "CLUSTERDOWN",
  busy: "TRYAGAIN",
  loading: "LOADING",
};

/** The error for a request of which nothing has happened. */
export function rejected({ obstacle, reason }: Refusal): ErrorReply {
  return new ErrorReply(CODES[obstacle], `REJECTED ${reason}`);
}

/** The error for a request that was tried, and never takes effect. */
export function aborted(message: string): ErrorReply {
  return new ErrorReply(CODES.busy, `ABORTED ${message}`);
}

/** The error for what there is no room for at the moment. */
export function busy(reason: string): ErrorReply {
  return rejected({ obstacle: "busy", reason });
}
