/**
 * A client's connection: reads commands, has them carried out, writes the replies in order.
 *
 * Replies are in the order of the commands, yet commands run side by side: consecutive writes are
 * under way together, and so are consecutive reads; a read begins when the writes before it are
 * answered, and a write when the reads before it are. So a read sees the writes before it. Among
 * consecutive writes the locks keep the order of those that share a key: the line of a key is in
 * order of age, and an attempt that is made again keeps its age. Others may take effect in any order:
 * one may wait for a lock while those behind it go on, and one may fail while they succeed.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { writeLatin1 } from "../../byte_writer.ts";
import { messageOf } from "../../errors.ts";
import { isReserved } from "../../reserved_keys.ts";
import { OUTPUT_BYTES_MAX, PIPELINE_MAX } from "../../limits.ts";
import { OutputQueue } from "../../output_queue.ts";
import { CommandDecoder, ProtocolError } from "../../resp/command_decoder.ts";
import { encodeBulk, encodeNull, encodeReply, encodeValue } from "../../resp/encoder.ts";
import { ErrorReply, OK, type RespValue, type RespVersion } from "../../resp/value.ts";
import type { Outcome, Request, Requester } from "../../two_phase/request.ts";
import { MUST_WAIT } from "../../two_phase/replica.ts";
import {
  type Command,
  type CommandHost,
  findCommand,
  runCommand,
  type Session,
} from "../commands/commands.ts";
import { now } from "../clock.ts";
import type { Driver } from "../driver.ts";
import { replyOf } from "./outcome_reply.ts";
import { PEER_COMMAND } from "../peer/handshake.ts";
import type { Share, SharedBound } from "./shared_bound.ts";
import { closeQuietly, isDisconnect, writeAll } from "../../socket.ts";

/** Bytes of one write to the socket. */
const WRITE_BYTES = 64 * 1024;

const REPLY_OK = "+OK\r\n";

/** What a client is told that finds no room, and in what time a peer must have asked its question. */
const TOO_MANY_CLIENTS = "max number of clients reached";
const PEER_QUESTION_MS = 1000;

/** How an HTTP request goes on that a browser was tricked into sending here, in lower case. */
const HTTP_WORDS: readonly string[] = ["post", "host:"];

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
  readonly facts: CommandHost;
  /** `undefined` while the node is not ready for requests. */
  readonly driver: Driver | undefined;
  /** Why there is no driver yet. */
  readonly notReady: string;
  /** Takes note of a request, for the statistics. */
  onRequest(): void;
  /** Answers a peer's question. */
  onPeerQuestion(text: ByteString): Promise<PeerAnswer>;
  /** What all connections together may hold of unfinished commands, and of unread replies. */
  readonly input: SharedBound;
  readonly output: SharedBound;
  /** How long a command may wait for earlier ones of its connection before it begins. */
  readonly waitMsMax: number;
  /** The protocol has come upon something that cannot be: the process must end. */
  onFatal(error: unknown): void;
  /** The connection was closed because it could not be served. */
  onConnectionFailure(error: unknown): void;
  onClosed(connection: Connection): void;
}

/** A place in the order of replies. */
class Slot implements Requester {
  reply: ByteString | undefined;

  /** @param version the version of the protocol when the command was read: the reply's, too */
  constructor(
    readonly connection: Connection,
    readonly isWrite: boolean,
    readonly version: RespVersion,
  ) {}

  onOutcome(outcome: Outcome): void {
    this.connection.attempt(() => this.connection.onAnswer(this, outcome));
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
  /** A command that must wait for earlier ones; those behind it are in the decoder still. */
  #held: readonly ByteString[] | undefined;
  /** When the held command had arrived, on the local clock, and those behind it too. */
  #heldSince = 0;
  /** What is held waits for the client to read, which is not the node's fault. */
  #waitsForClient = false;
  /** What was held back is too old to begin now. */
  #isOverdue = false;
  #isFirstCommand = true;
  /** For a connection above the most that clients may have: ends it if no peer speaks. */
  #peerTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #output = new OutputQueue();
  /** Bytes of replies that stand behind one that is not ready, and of what is being written. */
  #waitingBytes = 0;
  #writingBytes = 0;
  readonly #inputShare: Share;
  readonly #outputShare: Share;
  #outputBuffer: Uint8Array<ArrayBuffer> | undefined;
  #isWriting = false;
  #isFlushPlanned = false;
  #isClosed = false;
  /** Nothing more is read: the client has said goodbye, or something that is no command. */
  #isEnding = false;
  #resume: (() => void) | undefined;

  /** @param options `isForPeers`: there are too many clients, and only a peer is let in */
  constructor(
    options: { conn: Deno.TcpConn; id: number; host: ConnectionHost; isForPeers?: boolean },
  ) {
    this.#conn = options.conn;
    if (options.isForPeers === true) {
      this.#peerTimer = setTimeout(() => this.#fail(TOO_MANY_CLIENTS), PEER_QUESTION_MS);
    }
    this.#host = options.host;
    this.#inputShare = options.host.input.share();
    this.#outputShare = options.host.output.share();
    const { facts } = options.host;
    // What is a little too large is read, so that it can be refused without losing the connection.
    this.#decoder = new CommandDecoder(2 * Math.max(facts.valueBytesMax, facts.keyBytesMax));
    this.#session = { id: options.id, name: "", version: 2, isClosing: false, node: facts };
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
    clearTimeout(this.#peerTimer);
    this.#resume?.();
    closeQuietly(this.#conn);
    this.#giveUpShares();
    this.#host.onClosed(this);
  }

  #giveUpShares(): void {
    this.#inputShare.set(0);
    this.#outputShare.set(0);
  }

  /** Does `action` for this connection: whatever goes wrong in it ends this connection, no other. */
  attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.close();
      this.#host.onConnectionFailure(error);
    }
  }

  // --- Reading -------------------------------------------------------------------------------

  async #readAll(): Promise<void> {
    while (!this.#isEnding) {
      const count = await this.#conn.read(this.#decoder.space);
      if (count === null || this.#isClosed) return;
      this.#decoder.received(count);
      const question = this.#runAll();
      if (!this.#inputShare.set(this.#decoder.heldBytes)) {
        this.#fail("this node holds too many unfinished commands");
      }
      this.#flush();
      if (question !== undefined && await this.#turnIntoLink(question)) return;
      while (this.#mustPause && !this.#isClosed) await this.#pause();
    }
  }

  /** Nothing more may be read for now. */
  get #mustPause(): boolean {
    return this.#held !== undefined || this.#isFull;
  }

  /** Too many replies are waiting to begin another command. */
  get #isFull(): boolean {
    return this.#slots.length - this.#firstSlot >= PIPELINE_MAX ||
      this.#output.bytes + this.#waitingBytes > OUTPUT_BYTES_MAX;
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
        if (this.#isFirstCommand || command === undefined) {
          const isFirst = this.#isFirstCommand;
          this.#isFirstCommand = false;
          if (name.toUpperCase() === PEER_COMMAND) {
            if (isFirst) return words[1] ?? "";
            return this.#fail(`${PEER_COMMAND} must be the first command of a connection`);
          }
          if (this.#peerTimer !== undefined) return this.#fail(TOO_MANY_CLIENTS);
          // As Redis does: or a web page could have a browser send commands in an HTTP request.
          if (HTTP_WORDS.includes(name.toLowerCase())) this.#isEnding = true;
          if (this.#isEnding) return undefined;
        }
        if (!this.#mayBegin(command) || this.#isFull) {
          this.#hold(words);
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

  #hold(words: readonly ByteString[]): void {
    // One that is held again has been late since then; and nothing is read meanwhile.
    if (this.#heldSince === 0) this.#heldSince = now();
    this.#held = words;
    this.#waitsForClient = this.#output.bytes > OUTPUT_BYTES_MAX;
  }

  /** Goes on with what was held back: what has waited for too long is rejected. */
  #runHeld(): void {
    if (this.#held === undefined) return;
    if (this.#waitsForClient) this.#heldSince = now();
    this.#isOverdue = now() - this.#heldSince >= this.#host.waitMsMax;
    this.#runAll();
    this.#isOverdue = false;
    if (this.#held === undefined) this.#heldSince = 0;
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
    const slot = new Slot(this, false, this.#session.version);
    this.#slots.push(slot);
    this.#openReads++;
    later.then(
      (reply) => slot.onOutcome({ kind: "answered", reply }),
      (error) =>
        this.attempt(() => {
          throw error;
        }),
    );
  }

  /** The most frequent command, by the shortest way. */
  #runGet(key: ByteString): boolean {
    const { driver, facts } = this.#host;
    if (driver === undefined || key.length > facts.keyBytesMax || isReserved(key)) return false;
    const value = driver.peek(key);
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
    if (this.#isOverdue) {
      const late = new ErrorReply(
        "REJECTED",
        "earlier commands of its connection took all of its time",
      );
      this.#replyInOrder(encodeValue(late, this.#session.version));
      return;
    }
    const slot = new Slot(this, request.kind === "write", this.#session.version);
    this.#slots.push(slot);
    if (slot.isWrite) this.#openWrites++;
    else this.#openReads++;
    try {
      driver.submit(request, slot);
    } catch (error) {
      this.#host.onFatal(error); // Not this connection's fault: the protocol itself is broken.
    }
  }

  // --- Replies -------------------------------------------------------------------------------

  #replyInOrder(reply: ByteString): void {
    if (this.#slots.length === this.#firstSlot) {
      this.#output.append(reply);
      return;
    }
    const slot = new Slot(this, false, this.#session.version);
    slot.reply = reply;
    this.#waitingBytes += reply.length;
    this.#slots.push(slot);
  }

  /** A request of this connection has come to its end. */
  onAnswer(slot: Slot, outcome: Outcome): void {
    slot.reply = encodeOutcome(outcome, slot.version);
    this.#waitingBytes += slot.reply.length;
    if (slot.isWrite) this.#openWrites--;
    else this.#openReads--;
    this.#collect();
    if (this.#isFlushPlanned || this.#isClosed) return;
    this.#isFlushPlanned = true;
    const flush = () => this.attempt(() => this.#afterTurn());
    const { driver } = this.#host;
    // While a node starts over it has none.
    if (driver === undefined) queueMicrotask(flush);
    else driver.afterTurn(flush);
  }

  /** Moves the replies that are ready and have nobody before them to the output. */
  #collect(): void {
    for (let slot = this.#slots[this.#firstSlot]; slot?.reply !== undefined;) {
      this.#output.append(slot.reply);
      this.#waitingBytes -= slot.reply.length;
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
    this.#runHeld();
    this.#flush();
    if (!this.#mustPause) this.#resume?.();
  }

  /** Tells the client that it cannot be understood, and closes the connection behind that. */
  #fail(message: string): undefined {
    this.#replyInOrder(encodeValue(new ErrorReply("ERR", message), this.#session.version));
    this.#isEnding = true;
    this.#flush();
  }

  // --- Writing -------------------------------------------------------------------------------

  #flush(): void {
    if (this.#isClosed) return;
    if (!this.#outputShare.set(this.#output.bytes + this.#waitingBytes + this.#writingBytes)) {
      this.close(); // It reads more slowly than others can afford; it could not read why, either.
      return;
    }
    if (this.#isWriting || this.#output.bytes === 0) return;
    this.#isWriting = true;
    this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      for (let output = this.#output.take(); output !== "" && !this.#isClosed;) {
        this.#writingBytes = output.length;
        for (let at = 0; at < output.length; at += WRITE_BYTES) {
          await writeAll(this.#conn, this.#encode(output, at));
        }
        this.#writingBytes = 0;
        this.#runHeld();
        if (!this.#mustPause) this.#resume?.();
        output = this.#output.take();
      }
    } catch {
      this.close(); // Nobody reads the replies any more.
    }
    this.#isWriting = false;
    if (this.#isEnding && this.#slots.length === this.#firstSlot) this.close();
    else this.#flush(); // Takes note of what is left.
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
    clearTimeout(this.#peerTimer);
    const { reply, takeOver, afterwards } = await this.#host.onPeerQuestion(question);
    this.#replyInOrder(encodeValue(reply, this.#session.version));
    if (takeOver === undefined && afterwards === undefined) {
      this.#isEnding = true;
      this.#flush();
      return true;
    }
    const output = this.#output.take();
    const bytes = new Uint8Array(output.length);
    writeLatin1(bytes, 0, output);
    try {
      await writeAll(this.#conn, bytes);
    } finally {
      afterwards?.();
    }
    if (takeOver === undefined) return true;
    this.#isClosed = true; // As a client's connection; the socket lives on.
    this.#giveUpShares();
    this.#host.onClosed(this);
    takeOver(this.#conn, this.#decoder.takeRest());
    return true;
  }
}

function encodeOutcome(outcome: Outcome, version: RespVersion): ByteString {
  if (outcome.kind !== "answered") return encodeValue(replyOf(outcome), version);
  return outcome.reply === OK ? REPLY_OK : encodeReply(replyOf(outcome), version);
}
