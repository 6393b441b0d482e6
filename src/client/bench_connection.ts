/**
 * One client of `bench`: sends requests, and matches the replies with the times of their requests.
 *
 * It makes no promise and no timer per request, as {@linkcode file://./connection.ts} does: the program
 * should measure the server, not itself.
 *
 * @module
 */

import { type Address, formatAddress } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import { writeLatin1 } from "../latin1.ts";
import { now } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { OutputQueue } from "../output_queue.ts";
import { encodeCommand } from "../resp/encoder.ts";
import { ReplyDecoder } from "../resp/reply_decoder.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { closeQuietly, connect, type Socket, writeAll } from "../socket.ts";
import { connectTls, type TlsKeys } from "../tls.ts";
import { AccessError, ConnectionError } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import { isRejection } from "./refusals.ts";

/** Time for one attempt to connect, in milliseconds. */
const CONNECT_MS = 2000;

/** What is told of the replies. */
export interface ReplyObserver {
  /**
   * @param kind what was given to {@linkcode BenchConnection.send}
   * @param startedAt the time that was given to it
   */
  onReply(reply: RespValue, kind: number, startedAt: number): void;
  /** What was read in one piece has been told. */
  onTurn(connection: BenchConnection): void;
  /** The connection broke with this many requests unanswered. */
  onBreak(connection: BenchConnection, unanswered: number): void;
}

/** What a connection is made with. */
export interface BenchConnectionOptions {
  readonly address: Address;
  /** Most requests that are under way at a time. */
  readonly window: number;
  readonly observer: ReplyObserver;
  readonly credentials?: Credentials | undefined;
  readonly tls?: TlsKeys | undefined;
}

/** A connection with at most `window` requests under way. */
export class BenchConnection {
  readonly name: string;
  readonly #socket: Socket;
  readonly #observer: ReplyObserver;
  readonly #window: number;
  readonly #decoder = new ReplyDecoder();
  readonly #output = new OutputQueue();
  #bytes = new Uint8Array(4096);
  #isWriting = false;
  #isBroken = false;
  /** Rings: the time and the kind of each request under way. */
  readonly #startedAt: Float64Array;
  readonly #kinds: Uint8Array;
  #first = 0;
  #underWay = 0;
  /** When a reply came last, or a request was sent while none was under way. */
  #movedAt = 0;
  /** Since when there has been room for another request. */
  #roomSince: number;

  private constructor(socket: Socket, { address, window, observer }: BenchConnectionOptions) {
    this.name = formatAddress(address);
    this.#socket = socket;
    this.#observer = observer;
    this.#window = window;
    this.#startedAt = new Float64Array(window);
    this.#kinds = new Uint8Array(window);
    this.#roomSince = now();
  }

  /**
   * Connects, and says who the client is.
   *
   * @throws {ConnectionError} if the address cannot be reached.
   * @throws {AccessError} if it does not let the client in.
   */
  static async open(options: BenchConnectionOptions): Promise<BenchConnection> {
    const { address, tls, credentials } = options;
    let socket: Socket | undefined;
    try {
      socket = tls === undefined
        ? await connect(address, CONNECT_MS)
        : await connectTls(address, CONNECT_MS, tls);
      const connection = new BenchConnection(socket, options);
      if (credentials !== undefined) await connection.#logIn(credentials);
      connection.#readAll();
      return connection;
    } catch (error) {
      if (socket !== undefined) closeQuietly(socket);
      if (error instanceof AccessError) throw error;
      const message = `cannot reach ${formatAddress(address)}: ${messageOf(error)}`;
      throw new ConnectionError(message, false);
    }
  }

  async #logIn({ user, password }: Credentials): Promise<void> {
    const words = ["AUTH", ...user === undefined ? [] : [user], password];
    await writeAll(this.#socket, latin1(encodeCommand(words)));
    let reply = this.#decoder.next();
    while (reply === undefined) {
      const count = await this.#socket.read(this.#decoder.space);
      if (count === null) throw new Error("it closed the connection");
      this.#decoder.received(count);
      reply = this.#decoder.next();
    }
    if (!(reply instanceof ErrorReply)) return;
    const { code, message } = reply;
    // It lets nobody in now.
    if (isRejection(reply)) throw new Error(`${code} ${message}`);
    throw new AccessError(`${this.name} does not let you in: ${code} ${message}`, false);
  }

  /** How many requests are under way. */
  get underWay(): number {
    return this.#underWay;
  }

  /** How many more requests may be sent now; none after it broke. */
  get room(): number {
    return this.#isBroken ? 0 : this.#window - this.#underWay;
  }

  /** Since when there has been room, in the time of {@linkcode now}. */
  get roomSince(): number {
    return this.#roomSince;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Sends a request, for which there must be {@linkcode room}. Requests of one turn leave in one write. */
  send(request: ByteString, kind: number, startedAt: number): void {
    const at = (this.#first + this.#underWay) % this.#window;
    this.#startedAt[at] = startedAt;
    this.#kinds[at] = kind;
    if (this.#underWay++ === 0) this.#movedAt = now();
    this.#output.append(request);
    if (this.#isWriting) return;
    this.#isWriting = true;
    queueMicrotask(() => this.#writeAll());
  }

  /** Breaks the connection if no reply has come for `timeoutMs` though some are missing. */
  checkTime(time: number, timeoutMs: number): void {
    if (this.#underWay > 0 && time - this.#movedAt > timeoutMs) this.#break();
  }

  /** Closes the connection without a report of it. */
  close(): void {
    this.#isBroken = true;
    closeQuietly(this.#socket);
  }

  async #writeAll(): Promise<void> {
    try {
      for (let text = this.#output.take(); text !== ""; text = this.#output.take()) {
        if (this.#bytes.length < text.length) this.#bytes = new Uint8Array(2 * text.length);
        writeLatin1(this.#bytes, 0, text);
        await writeAll(this.#socket, this.#bytes.subarray(0, text.length));
      }
      this.#isWriting = false;
    } catch {
      this.#break();
    }
  }

  async #readAll(): Promise<void> {
    try {
      for (;;) {
        const count = await this.#socket.read(this.#decoder.space);
        if (count === null || this.#isBroken) break;
        this.#decoder.received(count);
        this.#takeReplies();
      }
    } catch {
      // It broke, whatever the reason.
    }
    this.#break();
  }

  #takeReplies(): void {
    const wasFull = this.#underWay === this.#window;
    let hasMoved = false;
    for (let reply = this.#decoder.next(); reply !== undefined; reply = this.#decoder.next()) {
      if (this.#underWay === 0) throw new ConnectionError("a reply to no request", true);
      const [kind = 0, startedAt = 0] = [this.#kinds[this.#first], this.#startedAt[this.#first]];
      this.#first = (this.#first + 1) % this.#window;
      this.#underWay--;
      hasMoved = true;
      this.#observer.onReply(reply, kind, startedAt);
    }
    if (!hasMoved) return;
    this.#movedAt = now();
    if (wasFull) this.#roomSince = this.#movedAt;
    this.#observer.onTurn(this);
  }

  #break(): void {
    if (this.#isBroken) return;
    this.close();
    this.#observer.onBreak(this, this.#underWay);
  }
}

function latin1(text: ByteString): Uint8Array {
  const bytes = new Uint8Array(text.length);
  writeLatin1(bytes, 0, text);
  return bytes;
}
