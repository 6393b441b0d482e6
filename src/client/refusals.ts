/**
 * What a node says of a command that has had no effect: a code word that other clients know, and dks's
 * own word behind it, which says more.
 *
 * @module
 */

import { ErrorReply, type RespValue } from "../resp/value.ts";

/** The code words of Redis that dks uses for it. */
const CODES: readonly string[] = ["CLUSTERDOWN", "TRYAGAIN", "LOADING"];

/** What a node that has no room for a connection says, in Redis's words, and closes it. */
const FULL = "max number of clients reached";

/** Tells whether the node refused it: nothing has happened, and another node may accept it. */
export function isRejection(reply: RespValue | Error | undefined): reply is ErrorReply {
  if (!(reply instanceof ErrorReply)) return false;
  const { code, message } = reply;
  // A node that is starting says no more than that.
  return code === "LOADING" || code === "ERR" && message === FULL || ownWord(reply) === "REJECTED";
}

/** Tells whether the command has had no effect, and never will: it was refused, or has failed. */
export function isWithoutEffect(reply: RespValue | Error | undefined): boolean {
  return isRejection(reply) || ownWord(reply) === "ABORTED";
}

function ownWord(reply: RespValue | Error | undefined): string | undefined {
  if (!(reply instanceof ErrorReply) || !CODES.includes(reply.code)) return undefined;
  return reply.message.split(" ", 1)[0];
}
