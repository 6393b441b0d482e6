/**
 * DKS.ONCE: a write that takes effect once for its token, however often it is sent.
 *
 * The write also stores, in the same transaction and so on the same nodes and as durably, an entry
 * under a reserved key that the token names: the time, a digest of the command, and the answer. If
 * a client sends the command again, the node finds the entry, returns the answer, and changes
 * nothing. So a client whose connection broke may send its write again, to any node, without
 * knowing what became of it.
 *
 * ```text
 * entry = stamp " " digest " " answer
 * ```
 *
 * `stamp` is the coordinator's clock in milliseconds, which no two uses of a token at one process
 * share; it decides nothing else. `digest` is the SHA-256 of the command in hexadecimal, `answer` a
 * value in RESP3, but for the null of EXEC: that is in RESP2, where it is another one than that of GET.
 * Entries that are older than `ONCE_WINDOW_MS` are deleted, see `sweeper.ts`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type ByteString, quote, toBytes } from "../../byte_string.ts";
import { RESERVED_PREFIX } from "../../reserved_keys.ts";
import { ONCE_ANSWER_BYTES_MAX } from "../../limits.ts";
import { encodeCommand, encodeValue } from "../../resp/encoder.ts";
import { ReplyDecoder } from "../../resp/reply_decoder.ts";
import { ErrorReply, NULL_ARRAY, type RespValue } from "../../resp/value.ts";
import type { Evaluation, WriteRequest } from "../../two_phase/request.ts";

/** The entry of a token. */
export interface TokenEntry {
  /** The coordinator's clock, in milliseconds. */
  readonly stampMs: number;
  readonly digest: string;
  readonly answer: RespValue;
}

/** The prefix of the reserved keys of tokens. */
export const TOKEN_PREFIX: ByteString = `${RESERVED_PREFIX}once:`;

/** {@linkcode NULL_ARRAY} in an entry: RESP3 has one null for all. */
const NULL_ARRAY_ENCODED = encodeValue(NULL_ARRAY, 2);

/** Returns the reserved key of the entry of `token`. */
export function tokenKey(token: ByteString): ByteString {
  return TOKEN_PREFIX + token;
}

/**
 * Returns a request that executes `write` once for `token`, and gives the same answer every time.
 *
 * @param write its answers must be values of the Redis protocol
 * @param options `command`: the words of `write`, by which another use of the token is recognized;
 * `nowMs`: this process's clock, which never goes back
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
      const answer = reply === NULL_ARRAY ? NULL_ARRAY_ENCODED : encodeValue(reply as RespValue, 3);
      if (answer.length > ONCE_ANSWER_BYTES_MAX) {
        const message =
          `the answer has ${answer.length} bytes, DKS.ONCE keeps ${ONCE_ANSWER_BYTES_MAX} at most`;
        return { effects: [], reply: new ErrorReply("ERR", message) };
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
    "ERR",
    `the token ${quote(about.token)} was used for another command: a new command needs a new token`,
  );
}

/**
 * Parses a token's entry.
 *
 * @throws {Error} if it is not one: only {@linkcode once} writes under a token's key.
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

/** Different commands have different encodings. */
function digestOf(command: readonly ByteString[]): string {
  const [name = "", ...words] = command;
  const hash = createHash("sha256");
  hash.update(toBytes(encodeCommand([name.toUpperCase(), ...words])));
  return hash.digest("hex");
}

function decode(bytes: ByteString): RespValue | undefined {
  if (bytes === NULL_ARRAY_ENCODED) return NULL_ARRAY;
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
