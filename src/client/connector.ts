/**
 * One connection to a cluster, replaced when it breaks; and writes that survive that.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress, parseAddress } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import type { MemberList } from "../cluster_status.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { isRejection } from "./refusals.ts";
import { ClientConnection, ConnectionError } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import { statusOf } from "./status.ts";
import type { TlsKeys } from "../tls.ts";
import { now } from "../clock.ts";

/**
 * The first and the longest pause before a write is sent again, in milliseconds; it doubles in
 * between.
 */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1000;

/**
 * Keeps one connection. After it is given up, the next one goes to the next address of the list: of those
 * that were given, and behind them of the nodes that {@linkcode Connector.learn} has found.
 */
export class Connector {
  readonly #timeoutMs: number;
  readonly #credentials: Credentials | undefined;
  readonly #tls: TlsKeys | undefined;
  readonly #learns: boolean;
  #addresses: readonly Address[];
  #connecting: Promise<ClientConnection> | undefined;
  #name = "";

  /**
   * @param options `addresses`: where to try, in order; `timeoutMs`: how long a command may take;
   * `credentials`: who the client is, if it is not the default user without a password; `tls`: whom to
   * believe, if TLS is spoken; `learns`: each node that is reached is asked for the list of nodes
   */
  constructor(
    options: {
      addresses: readonly Address[];
      timeoutMs: number;
      credentials?: Credentials | undefined;
      tls?: TlsKeys | undefined;
      learns?: boolean | undefined;
    },
  ) {
    this.#learns = options.learns ?? false;
    this.#addresses = options.addresses;
    this.#timeoutMs = options.timeoutMs;
    this.#credentials = options.credentials;
    this.#tls = options.tls;
  }

  /** How many addresses there are to try. */
  get size(): number {
    return this.#addresses.length;
  }

  /** The address that was reached last, as the user gave it. */
  get name(): string {
    return this.#name;
  }

  /**
   * Returns the connection; makes it if there is none.
   *
   * @throws {ConnectionError} if no address can be reached, or the node does not let the client in.
   */
  async get(): Promise<ClientConnection> {
    const options = {
      timeoutMs: this.#timeoutMs,
      credentials: this.#credentials,
      tls: this.#tls,
    };
    const isNew = this.#connecting === undefined;
    const connecting = this.#connecting ??= ClientConnection.open(this.#addresses, options);
    // In the background: what is asked of the node does not wait for it.
    if (isNew && this.#learns) connecting.then((one) => this.#learnFrom(one)).catch(() => {});
    try {
      const connection = await connecting;
      this.#name = connection.name;
      return connection;
    } catch (error) {
      if (this.#connecting === connecting) this.#connecting = undefined;
      throw error;
    }
  }

  /** A node that does not tell, as to a user who may not ask, is as good as before. */
  async #learnFrom(connection: ClientConnection): Promise<void> {
    const reply = await connection.call(["DKS.STATUS"]);
    if (typeof reply === "string") this.learn(addressesOf(statusOf(reply, connection.name)));
  }

  /** Goes to these nodes, too, when those that it knows are gone. */
  learn(addresses: readonly Address[]): void {
    const known = new Set(this.#addresses.map(formatAddress));
    const others = addresses.filter((one) => !known.has(formatAddress(one)));
    this.#addresses = [...this.#addresses, ...others];
  }

  /**
   * Gives up `connection`, unless that has already happened. Commands that were sent over it are still
   * answered, if the node answers.
   */
  async giveUp(connection: ClientConnection): Promise<void> {
    const connecting = this.#connecting;
    connection.retire();
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

/** Returns the addresses of the nodes that a list has. */
export function addressesOf({ nodes }: Pick<MemberList, "nodes">): Address[] {
  return nodes.flatMap(({ address }) => {
    try {
      return [parseAddress(address, { defaultPort: 0, name: "the list of nodes" })];
    } catch {
      return [];
    }
  });
}

/**
 * Sends a write under a token of its own (DKS.ONCE), and again under the same token, to the next
 * address, while the connection breaks or the reply is INDETERMINATE. A node that rejects it may be
 * outside the view, or stopping: then each of the others is asked too.
 *
 * Once an attempt may have taken effect, an error in reply to a later one says nothing of it: another node
 * may refuse what the first has done, as at full memory. So only an answer, or the end of the time, ends it.
 *
 * @param words a write whose answer is no error whenever it is carried out, as of PUT and DELETE
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
  /** The result of the last attempt whose outcome is unknown. */
  let doubt: ConnectionError | ErrorReply | undefined;
  let unsent = TIME_IS_OVER;
  /** How many nodes have rejected it while nothing was in doubt. */
  let rejections = 0;
  let pauseMs = PAUSE_MS_MIN;
  for (let tries = 0;; tries++) {
    const othersLeft = connector.size - 1 - tries % connector.size;
    const attemptMs = shareOf(endAt - now(), othersLeft);
    const isInDoubt = doubt !== undefined;
    const result = await attempt(command, { connector, timeoutMs: attemptMs, isInDoubt });
    if (result instanceof Unsent) unsent = result.reason;
    else if (isOfUnknownEnd(result)) doubt = result;
    else if (isRejection(result) && !isInDoubt && ++rejections < connector.size) continue;
    else if (!isInDoubt || !isFailure(result)) return orThrow(result);
    if (now() + pauseMs >= endAt) return orThrow(doubt ?? unsent);
    await delay(pauseMs);
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
  }
}

/**
 * Sends a command, and again to the next address if it cannot have taken effect: if it was
 * rejected, or the connection broke before it was sent. Each address is tried once.
 *
 * @param options `timeoutMs`: how long all attempts may take together; `mayRepeat`: whether it may
 * be sent again if it might have taken effect, as a read may
 * @throws {ConnectionError} if no node can be reached, or the outcome of the command is not known.
 * The message says what happened at each address.
 */
export async function callAnywhere(
  words: readonly ByteString[],
  options: { connector: Connector; timeoutMs: number; mayRepeat: boolean },
): Promise<RespValue> {
  const { connector, timeoutMs, mayRepeat } = options;
  const endAt = now() + timeoutMs;
  const failures: string[] = [];
  for (let othersLeft = connector.size - 1;; othersLeft--) {
    const leftMs = endAt - now();
    const attemptMs = shareOf(leftMs, mayRepeat ? othersLeft : 0);
    const result = await attempt(words, { connector, timeoutMs: attemptMs, isInDoubt: false });
    const isLast = othersLeft <= 0 || now() >= endAt;
    if (result instanceof Unsent) failures.push(result.reason.message);
    else if (result instanceof ConnectionError) {
      failures.push(result.message);
      if (isLast || !mayRepeat || !result.maybeDone) {
        throw new ConnectionError(failures.join("; "), result.maybeDone && !mayRepeat);
      }
    } else if (isRejection(result) && !isLast) {
      failures.push(`${connector.name} says: ${result.code} ${result.message}`);
    } else return result;
    if (isLast) throw new ConnectionError(failures.join("; "), false);
  }
}

/** Returns how long an attempt may take: a node that hangs must leave time for the others. */
function shareOf(leftMs: number, othersLeft: number): number {
  return Math.max(1, othersLeft > 0 ? leftMs / 2 : leftMs);
}

const TIME_IS_OVER = new ConnectionError("the time was over before the command was sent", false);

/** The connection broke before the command was sent. */
class Unsent {
  constructor(readonly reason: ConnectionError) {}
}

/**
 * Returns the result of one attempt. If another node should be tried, the next attempt goes there.
 *
 * @param options `isInDoubt`: an earlier attempt may have taken effect: other nodes may know that
 */
async function attempt(
  command: readonly ByteString[],
  options: { connector: Connector; timeoutMs: number; isInDoubt: boolean },
): Promise<RespValue | ConnectionError | Unsent> {
  const { connector, timeoutMs, isInDoubt } = options;
  let connection: ClientConnection | undefined;
  try {
    connection = await connector.get();
    const reply = await connection.call(command, { timeoutMs });
    const isUseless = isInDoubt ? reply instanceof ErrorReply : isRejection(reply);
    if (isUseless && connector.size > 1) await connector.giveUp(connection);
    return reply;
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    if (connection === undefined) return error;
    await connector.giveUp(connection);
    return error.maybeDone ? error : new Unsent(error);
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
  return result instanceof ConnectionError || result instanceof ErrorReply;
}

function orThrow(result: RespValue | ConnectionError): RespValue {
  if (result instanceof ConnectionError) throw result;
  return result;
}
