/**
 * A client's connection: reads commands, has them carried out, writes the replies in order.
 *
 * Commands of one connection take effect in the order in which they were sent, as far as a client can
 * tell, and yet run side by side: consecutive writes are under way together (the locks keep the order
 * of those that share a key), and so are consecutive reads; a read begins when the writes before it
 * are answered, and a write when the reads before it are.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { writeLatin1 } from "../byte_writer.ts";
import { messageOf } from "../errors.ts";
import { isHidden } from "../hidden_keys.ts";
import { OUTPUT_BYTES_MAX, PIPELINE_MAX } from "../limits.ts";
import { CommandDecoder, ProtocolError } from "../resp/command_decoder.ts";
import { encodeBulk, encodeNull, encodeValue } from "../resp/encoder.ts";
import { ErrorReply, OK, type RespValue } from "../resp/value.ts";
import type { Client, Outcome, Request } from "../two_phase/request.ts";
import { MUST_WAIT } from "../two_phase/replica.ts";
import { type Command, findCommand, type NodeFacts, runCommand, type Session } from "./commands.ts";
import type { Driver } from "./driver.ts";
import { PEER_COMMAND } from "./handshake.ts";
import { closeQuietly, isDisconnect, writeAll } from "./socket.ts";

/** Bytes of one write to the socket. */
const WRITE_BYTES = 64 * 1024;

const REPLY_OK = "+OK\r\n";

/** The answer to a peer's question. */
export interface PeerAnswer {
  readonly reply: RespValue;
  /** Given where the connection becomes a link behind the reply. */
  readonly takeOver?: (conn: Deno.TcpConn, received: Uint8Array) => void;
  /** Done once the reply is written, or cannot be. */
  readonly afterwards?: () => void;
}

/** What a connection needs of the node. */
export interface ConnectionHost {
  readonly facts: NodeFacts;
  /** `undefined` while the node is not ready for requests. */
  readonly driver: Driver | undefined;
  /** Why there is no driver yet. */
  readonly notReady: string;
  /** Takes note of a request, for the statistics. */
  onRequest(): void;
  /** Answers a peer's question. */
  onPeerQuestion(text: ByteString): Promise<PeerAnswer>;
  /** Tells whether the connection may hold as much of unfinished commands as it does. */
  mayHold(connection: Connection): boolean;
  onClosed(connection: Connection): void;
}

/** A place in the order of replies. */
class Slot implements Client {
  reply: ByteString | undefined;

  constructor(readonly connection: Connection, readonly isWrite: boolean) {}

  answered(outcome: Outcome): void {
    this.connection.onAnswer(this, outcome);
  }
}

/** One client's connection. */
export class Connection {
  readonly #conn: Deno.TcpConn;
  readonly #host: ConnectionHost;
  readonly #decoder: CommandDecoder;
  readonly #session: Session;
  /** Replies that are not ready, or stand behind one that is not; the oldest first. */
  #slots: Slot[] = [];
  #firstSlot = 0;
  #openReads = 0;
  #openWrites = 0;
  /** A command that must wait for the open requests of the other kind. */
  #held: readonly ByteString[] | undefined;
  #output: ByteString = "";
  #outputBuffer: Uint8Array<ArrayBuffer> | undefined;
  #isWriting = false;
  #isFlushPlanned = false;
  #isClosed = false;
  /** Nothing more is read: the client has said goodbye, or something that is no command. */
  #isEnding = false;
  #resume: (() => void) | undefined;

  constructor(options: { conn: Deno.TcpConn; id: number; host: ConnectionHost }) {
    this.#conn = options.conn;
    this.#host = options.host;
    const { facts } = options.host;
    // What is a little too large is read, so that it can be refused without losing the connection.
    this.#decoder = new CommandDecoder(2 * Math.max(facts.valueBytesMax, facts.keyBytesMax));
    this.#session = { id: options.id, name: "", version: 2, isClosing: false, node: facts };
  }

  /** Bytes of memory that this connection holds for what it has not understood yet. */
  get heldBytes(): number {
    return this.#decoder.heldBytes;
  }

  /** Serves the client until one of the two closes the connection. */
  async serve(): Promise<void> {
    try {
      await this.#readAll();
    } catch (error) {
      if (!isDisconnect(error)) this.#fail(`internal error: ${messageOf(error)}`);
    }
    this.#isEnding = true;
    if (this.#slots.length === this.#firstSlot && !this.#isWriting) this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#resume?.();
    closeQuietly(this.#conn);
    this.#host.onClosed(this);
  }

  // --- Reading -------------------------------------------------------------------------------

  async #readAll(): Promise<void> {
    while (!this.#isEnding) {
      const count = await this.#conn.read(this.#decoder.space);
      if (count === null || this.#isClosed) return;
      this.#decoder.received(count);
      const question = this.#runAll();
      if (!this.#host.mayHold(this)) this.#fail("this node holds too many unfinished commands");
      this.#flush();
      if (question !== undefined && await this.#turnIntoLink(question)) return;
      while (this.#mustPause && !this.#isClosed) await this.#pause();
    }
  }

  /** Too much is waiting to take in more. */
  get #mustPause(): boolean {
    return this.#held !== undefined || this.#slots.length - this.#firstSlot >= PIPELINE_MAX ||
      this.#output.length > OUTPUT_BYTES_MAX;
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resume = resolve;
    await promise;
    this.#resume = undefined;
  }

  /**
   * Begins as many of the commands that have arrived as may begin.
   *
   * @returns the question of a peer, which ends the conversation in this protocol
   */
  #runAll(): ByteString | undefined {
    try {
      while (!this.#isEnding && !this.#isClosed) {
        const words = this.#held ?? this.#decoder.next();
        if (words === undefined) return undefined;
        const [name = ""] = words;
        const command = findCommand(name);
        if (command === undefined && name.toUpperCase() === PEER_COMMAND) return words[1] ?? "";
        if (!this.#mayBegin(command) || (this.#held === undefined && this.#mustPause)) {
          this.#held = words;
          return undefined;
        }
        this.#held = undefined;
        this.#run(command, words);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(`Protocol error: ${error.message}`);
    }
    return undefined;
  }

  #mayBegin(command: Command | undefined): boolean {
    if (command?.flag === "read") return this.#openWrites === 0;
    if (command?.flag === "write") return this.#openReads === 0;
    return true;
  }

  #run(command: Command | undefined, words: readonly ByteString[]): void {
    if (command?.name === "get" && words.length === 2 && this.#runGet(words[1] ?? "")) return;
    const result = runCommand(command, words, this.#session);
    if ("reply" in result) {
      this.#replyInOrder(encodeValue(result.reply, this.#session.version));
      if (this.#session.isClosing) this.#isEnding = true;
      return;
    }
    if ("later" in result) this.#replyLater(result.later);
    else this.#submit(result.request);
  }

  #replyLater(later: Promise<RespValue>): void {
    const slot = new Slot(this, false);
    this.#slots.push(slot);
    this.#openReads++;
    later.then((reply) => this.onAnswer(slot, { kind: "answered", reply }));
  }

  /** The most frequent command, by the shortest way. */
  #runGet(key: ByteString): boolean {
    const { driver, facts } = this.#host;
    if (driver === undefined || key.length > facts.keyBytesMax || isHidden(key)) return false;
    const value = driver.replica.peek(key);
    if (value === MUST_WAIT) return false;
    this.#host.onRequest();
    const reply = value === undefined ? encodeNull(this.#session.version) : encodeBulk(value);
    this.#replyInOrder(reply);
    return true;
  }

  #submit(request: Request): void {
    const { driver } = this.#host;
    if (driver === undefined) {
      const notReady = new ErrorReply("REJECTED", this.#host.notReady);
      this.#replyInOrder(encodeValue(notReady, this.#session.version));
      return;
    }
    this.#host.onRequest();
    const slot = new Slot(this, request.kind === "write");
    this.#slots.push(slot);
    if (slot.isWrite) this.#openWrites++;
    else this.#openReads++;
    driver.submit(request, slot);
  }

  // --- Replies -------------------------------------------------------------------------------

  #replyInOrder(reply: ByteString): void {
    if (this.#slots.length === this.#firstSlot) {
      this.#output += reply;
      return;
    }
    const slot = new Slot(this, false);
    slot.reply = reply;
    this.#slots.push(slot);
  }

  /** A request of this connection has come to its end. */
  onAnswer(slot: Slot, outcome: Outcome): void {
    slot.reply = this.#encodeOutcome(outcome);
    if (slot.isWrite) this.#openWrites--;
    else this.#openReads--;
    this.#collect();
    if (this.#isFlushPlanned || this.#isClosed) return;
    this.#isFlushPlanned = true;
    this.#host.driver?.afterTurn(() => this.#afterTurn());
  }

  #encodeOutcome(outcome: Outcome): ByteString {
    switch (outcome.kind) {
      case "answered":
        if (outcome.reply === OK) return REPLY_OK;
        return encodeValue(outcome.reply as RespValue, this.#session.version);
      case "rejected":
        return encodeValue(new ErrorReply("REJECTED", outcome.reason), this.#session.version);
      default: {
        const message = `${outcome.reason} (transaction ${outcome.transaction})`;
        const code = outcome.kind === "aborted" ? "ABORTED" : "INDETERMINATE";
        return encodeValue(new ErrorReply(code, message), this.#session.version);
      }
    }
  }

  /** Moves the replies that are ready and have nobody before them to the output. */
  #collect(): void {
    for (let slot = this.#slots[this.#firstSlot]; slot?.reply !== undefined;) {
      this.#output += slot.reply;
      slot = this.#slots[++this.#firstSlot];
    }
    if (this.#firstSlot === this.#slots.length) {
      this.#slots.length = 0;
      this.#firstSlot = 0;
    } else if (this.#firstSlot > PIPELINE_MAX) {
      this.#slots.splice(0, this.#firstSlot);
      this.#firstSlot = 0;
    }
  }

  /** All answers of one turn are there: writes them, and goes on with what had to wait for them. */
  #afterTurn(): void {
    this.#isFlushPlanned = false;
    if (this.#held !== undefined) this.#runAll();
    this.#flush();
    if (!this.#mustPause) this.#resume?.();
  }

  /** Tells the client that it cannot be understood, and closes the connection behind that. */
  #fail(message: string): void {
    this.#replyInOrder(encodeValue(new ErrorReply("ERR", message), this.#session.version));
    this.#isEnding = true;
    this.#flush();
  }

  // --- Writing -------------------------------------------------------------------------------

  #flush(): void {
    if (this.#isWriting || this.#isClosed || this.#output.length === 0) return;
    this.#isWriting = true;
    this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#output.length > 0 && !this.#isClosed) {
        const output = this.#output;
        this.#output = "";
        for (let at = 0; at < output.length; at += WRITE_BYTES) {
          await writeAll(this.#conn, this.#encode(output, at));
        }
        if (this.#held !== undefined) this.#runAll();
        if (!this.#mustPause) this.#resume?.();
      }
    } catch {
      this.close(); // Nobody reads the replies any more.
    }
    this.#isWriting = false;
    if (this.#isEnding && this.#slots.length === this.#firstSlot) this.close();
  }

  #encode(output: ByteString, at: number): Uint8Array {
    const length = Math.min(output.length - at, WRITE_BYTES);
    if (this.#outputBuffer === undefined || this.#outputBuffer.length < length) {
      this.#outputBuffer = new Uint8Array(length <= 1024 ? 1024 : WRITE_BYTES);
    }
    writeLatin1(
      this.#outputBuffer,
      0,
      length === output.length ? output : output.slice(at, at + length),
    );
    return this.#outputBuffer.subarray(0, length);
  }

  // --- Peers ---------------------------------------------------------------------------------

  /** Answers a peer's question. Returns whether the connection belongs to a link now. */
  async #turnIntoLink(question: ByteString): Promise<boolean> {
    const { reply, takeOver, afterwards } = await this.#host.onPeerQuestion(question);
    this.#replyInOrder(encodeValue(reply, this.#session.version));
    if (takeOver === undefined && afterwards === undefined) {
      this.#isEnding = true;
      this.#flush();
      return true;
    }
    const output = this.#output;
    this.#output = "";
    const bytes = new Uint8Array(output.length);
    writeLatin1(bytes, 0, output);
    try {
      await writeAll(this.#conn, bytes);
    } finally {
      afterwards?.();
    }
    if (takeOver === undefined) return true;
    this.#isClosed = true; // As a client's connection; the socket lives on.
    this.#host.onClosed(this);
    takeOver(this.#conn, this.#decoder.takeRest());
    return true;
  }
}
