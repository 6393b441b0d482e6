/**
 * The values of the Redis protocol as this program holds them, RESP2 and RESP3 alike.
 *
 * | RESP                                | here                        |
 * | ----------------------------------- | --------------------------- |
 * | bulk or verbatim string             | a byte string               |
 * | integer, double                     | a number; an integer that a number cannot hold exactly, a `bigint` |
 * | big number                          | its digits, as a byte string |
 * | null                                | `null`                      |
 * | null array                          | {@linkcode NULL_ARRAY}; in version 3 it is null |
 * | boolean                             | a boolean                   |
 * | simple string                       | {@linkcode SimpleString}    |
 * | simple or bulk error                | {@linkcode ErrorReply}      |
 * | array                               | an array; or {@linkcode EncodedArray}, to be sent |
 * | set                                 | a `Set`; one that is received, an array |
 * | push                                | {@linkcode Push}; one that is received, an array |
 * | map                                 | a `Map`, in order           |
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";

/** A status such as `OK`: never binary, never empty, no line breaks. */
export class SimpleString {
  constructor(readonly text: string) {}
}

/** An error: a code word, then a human-readable sentence. */
export class ErrorReply {
  /**
   * @param code one word in capitals, by which a program tells errors apart
   * @param message human-readable
   * @param isBinary the message is a byte string that may not be text, as it repeats what a client
   * has sent
   */
  constructor(readonly code: string, readonly message: string, readonly isBinary = false) {}
}

/** What version 2 has for no array, where version 3 has the one null. */
export class NullArray {}

/** The one {@linkcode NullArray}. */
export const NULL_ARRAY: NullArray = new NullArray();

/** What a client is told that is no reply to a command; in version 2 it looks like an array. */
export class Push {
  constructor(readonly values: readonly RespValue[]) {}
}

/** Several replies to one command, as to SUBSCRIBE. Never inside another value. */
export class Replies {
  constructor(readonly values: readonly RespValue[]) {}
}

/** A human-readable text; in version 2 it looks like any other string. */
export class VerbatimString {
  constructor(readonly text: ByteString) {}
}

/** An array whose elements are encoded already, the same in both versions. It is only sent. */
export class EncodedArray {
  constructor(readonly length: number, readonly elements: ByteString) {}
}

/** Any value of the protocol. */
export type RespValue =
  | ByteString
  | number
  | bigint
  | boolean
  | null
  | SimpleString
  | ErrorReply
  | NullArray
  | Push
  | Replies
  | VerbatimString
  | EncodedArray
  | readonly RespValue[]
  | ReadonlySet<RespValue>
  | ReadonlyMap<RespValue, RespValue>;

/** Which version of the protocol a connection speaks. */
export type RespVersion = 2 | 3;

/** The status of everything that went well. */
export const OK: SimpleString = new SimpleString("OK");
