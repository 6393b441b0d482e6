/**
 * One connection to a cluster, replaced when it breaks; and writes that survive that.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Address } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { isRejection, isWithoutEffect } from "./refusals.ts";
import { ClientConnection, ConnectionError } from "./connection.ts";
import { now } from "../clock.ts";

/**
 * The first and the longest pause before a write is sent again, in milliseconds; it doubles in
 * between.
 */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1000;

/**
 * Keeps one connection. After it is given up, the next one goes to the next address of the list.
 */
export class Connector {
  readonly #timeoutMs: number;
  #addresses: readonly Address[];
  #connecting: Promise<ClientConnection> | undefined;

  /** @param options `addresses`: where to try, in order; `timeoutMs`: how long a command may take */
  constructor(options: { addresses: readonly Address[]; timeoutMs: number }) {
    this.#addresses = options.addresses;
    this.#timeoutMs = options.timeoutMs;
  }

  /** How many addresses there are to try. */
  get size(): number {
    return this.#addresses.length;
  }

  /**
   * Returns the connection; makes it if there is none.
   *
   * @throws {ConnectionError} if no address can be reached.
   */
  async get(): Promise<ClientConnection> {
    const timeoutMs = this.#timeoutMs;
    const connecting = this.#connecting ??= ClientConnection.open(this.#addresses, { timeoutMs });
    try {
      return await connecting;
    } catch (error) {
      if (this.#connecting === connecting) this.#connecting = undefined;
      throw error;
    }
  }

  /** Gives up `connection`, unless that has already happened. */
  async giveUp(connection: ClientConnection): Promise<void> {
    const connecting = this.#connecting;
    connection.close();
    if (connecting === undefined || await connecting.catch(() => undefined) !== connection) return;
    if (this.#connecting !== connecting) return;
    this.#connecting = undefined;
    const after = 1 + this.#addresses.indexOf(connection.address);
    this.#addresses = [...this.#addresses.slice(after), ...this.#addresses.slice(0, after)];
  }

  close(): void {
    this.#connecting?.then((connection) => connection.close(), () => {});
    this.#connecting = undefined;
  }
}

/**
 * Sends a write under a token of its own (DKS.ONCE), and again under the same token, to the next
 * address, while the connection breaks or the reply is INDETERMINATE. A node that rejects it may be
 * outside the view, or stopping: then each of the others is asked too.
 *
 * @param options `timeoutMs`: how long all attempts may take together
 * @throws {ConnectionError} if no node can be reached, or the time is over.
 */
export async function callOnce(
  words: readonly ByteString[],
  options: { connector: Connector; timeoutMs: number },
): Promise<RespValue> {
  const { connector, timeoutMs } = options;
  const command = ["DKS.ONCE", crypto.randomUUID(), ...words];
  const endAt = now() + timeoutMs;
  // A node that hangs must leave time for another one.
  const attemptMs = connector.size > 1 ? timeoutMs / 2 : timeoutMs;
  /** The result of the last attempt whose outcome is unknown. */
  let doubt: ConnectionError | ErrorReply | undefined;
  /** How many nodes have rejected it while nothing was in doubt. */
  let rejections = 0;
  for (let pauseMs = PAUSE_MS_MIN;; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    const leftMs = Math.min(attemptMs, endAt - now());
    const result = await attempt(command, { connector, timeoutMs: leftMs });
    if (result !== undefined && isOfUnknownEnd(result)) doubt = result;
    else if (isRejection(result) && doubt === undefined && ++rejections < connector.size) continue;
    // A rejection or an abort says nothing about earlier attempts.
    else if (result !== undefined && (doubt === undefined || !isFailure(result))) {
      return orThrow(result);
    }
    if (now() + pauseMs >= endAt) return orThrow(doubt ?? NOT_SENT);
    await delay(pauseMs);
  }
}

/**
 * Sends a command, and again to the next address if it cannot have taken effect: if it was
 * rejected, or the connection broke before it was sent. Each address is tried once.
 *
 * @param options `timeoutMs`: how long all attempts may take together; `mayRepeat`: whether it may
 * be sent again if it might have taken effect, as a read may
 * @throws {ConnectionError} if no node can be reached, or the outcome of the command is not known.
 */
export async function callAnywhere(
  words: readonly ByteString[],
  options: { connector: Connector; timeoutMs: number; mayRepeat: boolean },
): Promise<RespValue> {
  const { connector, timeoutMs, mayRepeat } = options;
  const endAt = now() + timeoutMs;
  // A node that hangs must leave time for another one, if another may be asked.
  const attemptMs = mayRepeat && connector.size > 1 ? timeoutMs / 2 : timeoutMs;
  for (let left = connector.size - 1;; left--) {
    const leftMs = Math.max(1, Math.min(attemptMs, endAt - now()));
    const result = await attempt(words, { connector, timeoutMs: leftMs });
    const isOpen = result === undefined || isRejection(result) ||
      (mayRepeat && result instanceof ConnectionError && result.maybeDone);
    if (!isOpen || left <= 0 || now() >= endAt) {
      // A key that does not exist is `null`: that is an answer.
      return orThrow(result === undefined ? NOT_SENT : result);
    }
  }
}

const NOT_SENT = new ConnectionError("every connection broke before the command was sent", false);

/**
 * Returns the result of one attempt; `undefined` if the connection had broken before it. If another
 * node should be tried, the next attempt goes there.
 */
async function attempt(
  command: readonly ByteString[],
  options: { connector: Connector; timeoutMs: number },
): Promise<RespValue | ConnectionError | undefined> {
  const { connector, timeoutMs } = options;
  let connection: ClientConnection | undefined;
  try {
    connection = await connector.get();
    const reply = await connection.call(command, { timeoutMs });
    if (isRejection(reply) && connector.size > 1) await connector.giveUp(connection);
    return reply;
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    if (connection === undefined) return error;
    await connector.giveUp(connection);
    return error.maybeDone ? error : undefined;
  }
}

function isOfUnknownEnd(
  result: RespValue | ConnectionError,
): result is ConnectionError | ErrorReply {
  if (result instanceof ConnectionError) return result.maybeDone;
  return result instanceof ErrorReply && result.code === "INDETERMINATE";
}

/** Tells whether the attempt had no effect. */
function isFailure(result: RespValue | ConnectionError): boolean {
  return result instanceof ConnectionError ||
    isWithoutEffect(result);
}

function orThrow(result: RespValue | ConnectionError): RespValue {
  if (result instanceof ConnectionError) throw result;
  return result;
}
