/**
 * A client's connection to one node.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { type Address, formatAddress } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import { writeLatin1 } from "../latin1.ts";
import { messageOf } from "../errors.ts";
import { closeQuietly, connect, type Socket, writeAll } from "../socket.ts";
import { connectTls, type TlsKeys } from "../tls.ts";
import { OutputQueue } from "../output_queue.ts";
import { encodeCommand } from "../resp/encoder.ts";
import { ReplyDecoder } from "../resp/reply_decoder.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { Credentials } from "./credentials.ts";
import { isRejection } from "./refusals.ts";

/** Bytes of one write to the socket. */
const WRITE_BYTES = 256 * 1024;

/** Time to read what the node said before it hung up. */
const LAST_WORDS_MS = 1000;

/** Time for one attempt to connect. */
const CONNECT_MS = 2000;

/** The node could not be reached, or the connection broke. */
export class ConnectionError extends Error {
  override name = "ConnectionError";

  /**
   * @param message human-readable
   * @param maybeDone whether a command was sent whose outcome is unknown
   */
  constructor(message: string, readonly maybeDone: boolean) {
    super(message);
  }
}

/** The node does not let the client in as the user that it says it is: another attempt ends no other way. */
export class AccessError extends ConnectionError {
  override name = "AccessError";
}

/** What a node says of itself, as one that is starting does. */
function describeUnasked(value: RespValue): string {
  if (value instanceof ErrorReply) return `${value.code} ${value.message}`;
  return "it has sent what nobody has asked for";
}

interface Waiter {
  readonly resolve: (value: RespValue) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Sends commands and returns their replies. Commands may be sent before earlier ones are answered.
 */
export class ClientConnection {
  /** The node at the other end, by the name that the user gave. */
  readonly name: string;
  readonly address: Address;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #decoder = new ReplyDecoder();
  readonly #reading: Promise<void>;
  /** The calls that wait for the next replies, in order; answered ones before `#firstWaiter`. */
  readonly #waiters: Waiter[] = [];
  #firstWaiter = 0;
  readonly #output = new OutputQueue();
  #isWriting = false;
  #isRetired = false;
  #broken: ConnectionError | undefined;

  private constructor(socket: Socket, options: { address: Address; timeoutMs: number }) {
    this.#socket = socket;
    this.address = options.address;
    this.name = formatAddress(options.address);
    this.#timeoutMs = options.timeoutMs;
    this.#reading = this.#readAll();
  }

  /**
   * Connects to the first of `addresses` that can be reached.
   *
   * @param options `timeoutMs`: how long a command may take; `credentials`: who the client is, if it is not
   * the default user without a password; `tls`: whom to believe, if TLS is spoken
   * @throws {ConnectionError} if none can be reached.
   * @throws {AccessError} if one does not let the client in.
   */
  static async open(
    addresses: readonly Address[],
    options: {
      timeoutMs: number;
      credentials?: Credentials | undefined;
      tls?: TlsKeys | undefined;
    },
  ): Promise<ClientConnection> {
    const { timeoutMs, credentials, tls } = options;
    const failures: string[] = [];
    for (const address of addresses) {
      try {
        const socket = await (tls === undefined
          ? connect(address, CONNECT_MS)
          : connectTls(address, CONNECT_MS, tls));
        const connection = new ClientConnection(socket, { address, timeoutMs });
        if (credentials !== undefined) {
          await connection.#logIn(credentials);
        }
        return connection;
      } catch (error) {
        if (error instanceof AccessError) throw error;
        failures.push(`cannot reach ${formatAddress(address)}: ${messageOf(error)}`);
      }
    }
    throw new ConnectionError(failures.join("; "), false);
  }

  async #logIn({ user, password }: Credentials): Promise<void> {
    const reply = await this.call(["AUTH", ...user === undefined ? [] : [user], password]);
    if (!(reply instanceof ErrorReply)) return;
    this.close();
    const { code, message } = reply;
    // A node that is starting, or is full, lets nobody in now; another one may.
    if (isRejection(reply)) throw new Error(`${code} ${message}`);
    throw new AccessError(`${this.name} does not let you in: ${code} ${message}`, false);
  }

  /**
   * Sends a command, and returns its reply; an error of the server's is a reply too.
   *
   * @param options `timeoutMs`: how long it may take, if not as long as given at the opening
   * @throws {ConnectionError} if the connection breaks first, or no reply comes in time.
   */
  async call(
    words: readonly ByteString[],
    { timeoutMs = this.#timeoutMs }: { timeoutMs?: number } = {},
  ): Promise<RespValue> {
    if (this.#broken !== undefined) throw new ConnectionError(this.#broken.message, false);
    const { promise, resolve, reject } = Promise.withResolvers<RespValue>();
    this.#waiters.push({ resolve, reject });
    this.#output.append(encodeCommand(words));
    if (!this.#isWriting) {
      this.#isWriting = true;
      // Commands of one turn leave in one write.
      queueMicrotask(() => this.#writeAll());
    }
    const timer = setTimeout(() => {
      this.#break(
        `no answer from ${this.name} within ${Number((timeoutMs / 1000).toPrecision(2))} s`,
      );
    }, timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes the connection when all replies are there. */
  retire(): void {
    this.#isRetired = true;
    if (this.#waiters.length === 0) this.close();
  }

  /** Closes the connection. Replies that are still missing are lost. */
  close(): void {
    this.#break(`the connection to ${this.name} was closed`);
  }

  async #writeAll(): Promise<void> {
    try {
      for (let output = this.#output.take(); output !== ""; output = this.#output.take()) {
        for (let at = 0; at < output.length && this.#broken === undefined; at += WRITE_BYTES) {
          const piece = output.slice(at, at + WRITE_BYTES);
          const bytes = new Uint8Array(piece.length);
          writeLatin1(bytes, 0, piece);
          await writeAll(this.#socket, bytes);
        }
      }
    } catch (error) {
      // A node that refuses a command says why, and hangs up: its reason is better than this error.
      await deadline(this.#reading, LAST_WORDS_MS).catch(() => {});
      this.#break(`the connection to ${this.name} broke: ${messageOf(error)}`);
    }
    this.#isWriting = false;
  }

  async #readAll(): Promise<void> {
    try {
      for (;;) {
        for (let value = this.#decoder.next(); value !== undefined;) {
          const waiter = this.#waiters[this.#firstWaiter];
          if (waiter === undefined) {
            this.#break(`${this.name} hung up: ${describeUnasked(value)}`);
            return;
          }
          this.#firstWaiter++;
          waiter.resolve(value);
          value = this.#decoder.next();
        }
        if (this.#firstWaiter === this.#waiters.length) {
          this.#waiters.length = 0;
          this.#firstWaiter = 0;
          if (this.#isRetired) this.close();
        }
        const count = await this.#socket.read(this.#decoder.space);
        if (count === null) break;
        this.#decoder.received(count);
      }
      this.#break(`${this.name} closed the connection`);
    } catch (error) {
      this.#break(`the connection to ${this.name} broke: ${messageOf(error)}`);
    }
  }

  #break(message: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = new ConnectionError(message, true);
    closeQuietly(this.#socket);
    for (let i = this.#firstWaiter; i < this.#waiters.length; i++) {
      this.#waiters[i]?.reject(this.#broken);
    }
  }
}
