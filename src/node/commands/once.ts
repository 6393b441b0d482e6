/**
 * DKS.ONCE: a write that takes effect once for its token, however often it is sent.
 *
 * The write also stores, in the same transaction and so on the same nodes and as durably, an entry
 * under a hidden key that the token names: when it was done, a digest of the command, and the answer.
 * Who sends the command again finds the entry, is given the answer, and changes nothing. So a client
 * whose connection broke may send its write again, to any node, without knowing what became of it.
 *
 * ```text
 * entry = stamp " " digest " " answer
 * ```
 *
 * `stamp` is the coordinator's clock in milliseconds, which no two uses of a token at one process share;
 * nothing else is decided by it. `digest` is the SHA-256 of the command in hexadecimal, `answer` a value
 * in RESP3. Entries that are older than `ONCE_WINDOW_MS` are swept away, see `sweeper.ts`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type ByteString, quote, toBytes } from "../../byte_string.ts";
import { RESERVED_PREFIX } from "../../reserved_keys.ts";
import { ONCE_ANSWER_BYTES_MAX } from "../../limits.ts";
import { encodeCommand, encodeValue } from "../../resp/encoder.ts";
import { ReplyDecoder } from "../../resp/reply_decoder.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import type { Evaluation, WriteRequest } from "../../two_phase/request.ts";

/** What a token's entry says. */
export interface TokenEntry {
  /** The coordinator's clock, in milliseconds. */
  readonly stampMs: number;
  readonly digest: string;
  readonly answer: RespValue;
}

/** What the hidden keys of tokens begin with. */
export const TOKEN_PREFIX: ByteString = `${RESERVED_PREFIX}once:`;

/** Returns the hidden key of the entry of `token`. */
export function tokenKey(token: ByteString): ByteString {
  return TOKEN_PREFIX + token;
}

/**
 * Returns a request that does what `write` does once for `token`, and answers every time as it did
 * then.
 *
 * @param write its answers must be values of the Redis protocol
 * @param options `command`: the words of `write`, by which another use of the token is recognized;
 *   `nowMs`: this process's clock, which never goes back
 */
export function once(
  write: WriteRequest,
  options: { token: ByteString; command: readonly ByteString[]; nowMs: number },
): WriteRequest {
  const { token, command, nowMs } = options;
  const key = tokenKey(token);
  const digest = digestOf(command);
  return {
    kind: "write",
    keys: [...write.keys, key],
    evaluate: (read, facts): Evaluation => {
      const stored = read(key);
      if (stored !== undefined) {
        return { effects: [], reply: replyAgain(stored, { token, digest }) };
      }
      const { effects, reply } = write.evaluate(read, facts);
      const answer = encodeValue(reply as RespValue, 3);
      if (answer.length > ONCE_ANSWER_BYTES_MAX) {
        const message =
          `the answer has ${answer.length} bytes, DKS.ONCE keeps ${ONCE_ANSWER_BYTES_MAX} at most`;
        return { effects: [], reply: new ErrorReply("REJECTED", message) };
      }
      const value = `${Math.floor(nowMs)} ${digest} ${answer}`;
      return { effects: [...effects, { key, value }], reply };
    },
  };
}

function replyAgain(
  stored: ByteString,
  about: { token: ByteString; digest: string },
): RespValue {
  const entry = parseTokenEntry(stored);
  if (entry.digest === about.digest) return entry.answer;
  return new ErrorReply(
    "REJECTED",
    `the token ${quote(about.token)} was used for another command: a new command needs a new token`,
  );
}

/**
 * Returns what a token's entry says.
 *
 * @throws {Error} where it is none: only {@linkcode once} writes under a hidden key.
 */
export function parseTokenEntry(stored: ByteString): TokenEntry {
  const stampEnd = stored.indexOf(" ");
  const digestEnd = stored.indexOf(" ", stampEnd + 1);
  const answer = stampEnd < 0 || digestEnd < 0 ? undefined : decode(stored.slice(digestEnd + 1));
  if (answer === undefined) throw new Error(`not a token's entry: ${quote(stored)}`);
  return {
    stampMs: Number(stored.slice(0, stampEnd)),
    digest: stored.slice(stampEnd + 1, digestEnd),
    answer,
  };
}

/** Commands that differ have encodings that differ. */
function digestOf(command: readonly ByteString[]): string {
  const [name = "", ...words] = command;
  const hash = createHash("sha256");
  hash.update(toBytes(encodeCommand([name.toUpperCase(), ...words])));
  return hash.digest("hex");
}

function decode(bytes: ByteString): RespValue | undefined {
  const decoder = new ReplyDecoder();
  for (let rest = toBytes(bytes); rest.length > 0;) {
    const { space } = decoder;
    const count = Math.min(space.length, rest.length);
    space.set(rest.subarray(0, count));
    decoder.received(count);
    rest = rest.subarray(count);
    const value = decoder.next();
    if (value !== undefined) return value;
  }
  return undefined;
}
