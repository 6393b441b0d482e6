/**
 * A client's connection: reads bytes, runs the commands in them, and writes the replies.
 *
 * @module
 */

import type { Address } from "../../address.ts";
import { type ByteString, fromText } from "../../byte_string.ts";
import { writeLatin1 } from "../../latin1.ts";
import { now } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import {
  ARGUMENTS_MAX,
  COMMAND_BYTES_EXTRA,
  COMMANDS_PER_TURN,
  PUSH_BYTES_MAX,
  STRANGER_ARGUMENTS_MAX,
  STRANGER_BYTES_MAX,
} from "../../limits.ts";
import { OutputQueue } from "../../output_queue.ts";
import { CommandDecoder, ProtocolError } from "../../resp/command_decoder.ts";
import { type EncodedPush, encodeValue } from "../../resp/encoder.ts";
import type { RespValue } from "../../resp/value.ts";
import { closeQuietly, isDisconnect, type Socket, writeAll, writeAtOnce } from "../../socket.ts";
import { errorRepeating } from "../commands/arguments.ts";
import { shownAddress } from "../commands/clients.ts";
import type { CommandHost, ConnectionFacts, Session } from "../commands/command.ts";
import { unsubscribeAll } from "../commands/pubsub.ts";
import { stopTracking } from "../commands/tracking.ts";
import { COMMANDS } from "../commands/table.ts";
import { Pipeline, type PipelineHost, type PipelineNode } from "./pipeline.ts";
import { ClientSession } from "./session.ts";
import type { Share, SharedBound } from "./shared_bound.ts";

/** Bytes of one write to the socket. */
const WRITE_BYTES = 64 * 1024;

/**
 * The error for a client if there is no room, and the time in which a peer must ask its question.
 */
const TOO_MANY_CLIENTS = "max number of clients reached";
const PEER_QUESTION_MS = 1000;

/** What a command may have of a client that has to say who it is first. */
const BOUNDS_OF_STRANGERS = {
  bulkBytesMax: STRANGER_BYTES_MAX,
  commandBytesMax: STRANGER_BYTES_MAX,
  argumentsMax: STRANGER_ARGUMENTS_MAX,
} as const;

/** Words of an HTTP request that a browser was tricked into sending here, in lower case. */
const HTTP_WORDS: readonly string[] = ["post", "host:"];

/** The answer to a question that may turn the connection into something else. */
export interface UpgradeAnswer {
  readonly reply: RespValue;
  /** Given if the connection is taken over after the reply. */
  readonly takeOver?: (socket: Socket, received: Uint8Array) => void;
  /** Called once the reply is written, or cannot be. */
  readonly afterwards?: () => void;
}

/** What is known of the connection that a question comes on. */
export interface Asker {
  readonly isEncrypted: boolean;
  readonly address: Address | undefined;
}

/** What a connection needs from the node. */
export interface ConnectionHost extends PipelineNode {
  readonly facts: CommandHost;
  /** Bounds of all connections together: of unfinished commands, and of waiting replies. */
  readonly input: SharedBound;
  readonly output: SharedBound;
  /** The name of the command that may come first instead of all others, in capitals: peers send it. */
  readonly upgradeCommand: string;
  /** Answers the word after {@linkcode upgradeCommand}. */
  onUpgrade(question: ByteString, from: Asker): Promise<UpgradeAnswer>;
  /** The connection was closed because it could not be served. */
  onConnectionFailure(error: unknown): void;
}

/** One client's connection. */
export class Connection implements PipelineHost, ConnectionFacts {
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #onClosed: () => void;
  readonly #onProven: () => void;
  readonly #decoder: CommandDecoder;
  /** What a command may have, once the client has said who it is. */
  readonly #bounds: Parameters<CommandDecoder["bound"]>[0];
  /** The decoder takes little: nobody knows who this is. */
  #isStranger = true;
  readonly #session: ClientSession;
  readonly #pipeline: Pipeline;
  #isFirstCommand = true;
  readonly connectedAtMs = now();
  #usedAtMs = this.connectedAtMs;
  /** For a connection above the limit of clients: ends it if it is not a peer's. */
  #peerTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #output = new OutputQueue();
  /** How many bytes are being written. */
  #writingBytes = 0;
  readonly #inputShare: Share;
  readonly #outputShare: Share;
  #outputBuffer: Uint8Array<ArrayBuffer> | undefined;
  #isWriting = false;
  /** What the client was told leaves at the end of the turn. */
  #isTelling = false;
  #isClosed = false;
  /** Nothing more is read: the client has quit, or sent something that is not a command. */
  #isEnding = false;
  /** A peer has asked its question. */
  #isUpgrading = false;
  #resume: (() => void) | undefined;
  /** There may be more commands that have arrived: they are for the next turn. */
  #hasMore = false;

  /**
   * @param options `isForPeers`: there are too many clients, and only a peer is admitted;
   * `onClosed`: called once, when the connection is closed or taken over; `onProven`: called when a peer speaks
   * on a connection that is `isForPeers`
   */
  constructor(
    options: {
      socket: Socket;
      id: number;
      host: ConnectionHost;
      isForPeers?: boolean;
      onClosed: () => void;
      onProven?: () => void;
    },
  ) {
    this.#socket = options.socket;
    this.#onClosed = options.onClosed;
    this.#onProven = options.onProven ?? (() => {});
    if (options.isForPeers === true) {
      this.#peerTimer = setTimeout(() => this.#fail(TOO_MANY_CLIENTS), PEER_QUESTION_MS);
    }
    this.#host = options.host;
    this.#inputShare = options.host.input.share();
    this.#outputShare = options.host.output.share();
    const { facts } = options.host;
    // Read what is a little too large, so that it can be refused without losing the connection.
    const bytesMax = Math.max(facts.valueBytesMax, facts.keyBytesMax);
    this.#bounds = {
      bulkBytesMax: 2 * bytesMax,
      commandBytesMax: 2 * bytesMax + COMMAND_BYTES_EXTRA,
      argumentsMax: ARGUMENTS_MAX,
    };
    this.#decoder = new CommandDecoder(2 * bytesMax);
    this.#decoder.bound(BOUNDS_OF_STRANGERS);
    this.#session = new ClientSession(options.id, facts, (push) => this.#tell(push), this);
    this.#pipeline = new Pipeline({
      session: this.#session,
      node: options.host,
      host: this,
      output: this.#output,
    });
  }

  /** No command is under way, no reply, and the client waits for no message. */
  get isAtRest(): boolean {
    const isBusy = this.#hasMore || this.#isWriting || this.#isClosed || this.#isUpgrading;
    const { channel, pattern, shard } = this.#session.features?.subscriptions ?? {};
    const isListening = [channel, pattern, shard].some((names) => (names?.size ?? 0) > 0);
    return !isBusy && !isListening && this.#pipeline.isIdle;
  }

  /** The client has sent a whole command at some time. */
  get hasSpoken(): boolean {
    return !this.#isFirstCommand;
  }

  /** When the client has sent something last, or has connected, on the monotonic clock; some 20 ms early. */
  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  get address(): ByteString {
    return shownAddress(this.#socket.remoteAddr);
  }

  get localAddress(): ByteString {
    return shownAddress(this.#socket.localAddr);
  }

  get inputBytes(): number {
    return this.#decoder.heldBytes + this.#pipeline.heldBytes;
  }

  get outputBytes(): number {
    return this.#output.bytes + this.#pipeline.waitingBytes + this.#writingBytes;
  }

  /** Serves the client until one of the two closes the connection. */
  async serve(): Promise<void> {
    try {
      await this.#readAll();
    } catch (error) {
      if (!isDisconnect(error)) this.#fail(fromText(`internal error: ${messageOf(error)}`));
    }
    this.#isEnding = true;
    if (this.#pipeline.isIdle && !this.#isWriting) this.close();
  }

  get session(): Session {
    return this.#session;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#peerTimer);
    this.#resume?.();
    closeQuietly(this.#socket);
    this.#giveUpShares();
    this.#onClosed();
  }

  end(): void {
    if (this.#isUpgrading) return; // It is a peer's, which no user is.
    this.#isEnding = true;
    if (!this.#pipeline.isIdle || this.#isWriting) return;
    if (this.#output.bytes === 0) this.close();
    else this.attempt(() => this.#flush());
  }

  #giveUpShares(): void {
    this.#session.isClosing = true; // Others may have been told to send it what changes.
    unsubscribeAll(this.#session);
    stopTracking(this.#session);
    this.#inputShare.set(0);
    this.#outputShare.set(0);
  }

  /** Runs `action` for this connection: an error in it ends this connection, and no other. */
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
      const count = await this.#socket.read(this.#decoder.space);
      if (count === null || this.#isClosed) return;
      const { turns } = this.#host;
      this.#usedAtMs = turns.timerRanAtMs;
      this.#decoder.received(count);
      this.#host.statistics.inputBytes += count;
      if (turns.isOver(count)) await turns.next(count);
      do {
        if (this.#hasMore) await turns.next(count);
        const question = this.#runAll();
        const queuedBytes = this.#session.features?.transaction?.bytes ?? 0;
        const { heldBytes } = this.#pipeline;
        if (!this.#inputShare.set(this.#decoder.heldBytes + heldBytes + queuedBytes)) {
          this.#fail("this node holds too many unfinished commands");
        }
        this.#flush();
        if (question !== undefined && await this.#upgrade(question)) return;
        while (this.#mustPause && !this.#isClosed) await this.#pause();
      } while (this.#hasMore && !this.#isEnding && !this.#isClosed);
    }
  }

  /** Tells whether nothing more may be read for now. */
  get #mustPause(): boolean {
    return this.#pipeline.held !== undefined || this.#pipeline.isFull;
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resume = resolve;
    await promise;
    this.#resume = undefined;
  }

  /**
   * Starts as many of the commands that have arrived as may start.
   *
   * @returns the question that may end the conversation in this protocol
   */
  #runAll(): ByteString | undefined {
    this.#hasMore = false;
    this.#pipeline.onArrived();
    try {
      for (let count = 0; !this.#isEnding && !this.#isClosed; count++) {
        this.#hasMore = count === COMMANDS_PER_TURN;
        if (this.#hasMore) return undefined;
        if (this.#isStranger === this.#session.isAuthenticated) this.#setBounds();
        const words = this.#pipeline.held ?? this.#decoder.next();
        if (words === undefined) return undefined;
        if (this.#isFirstCommand) {
          this.#isFirstCommand = false;
          if (this.#isUpgrade(words)) return words[1] ?? "";
          if (this.#peerTimer !== undefined) return this.#fail(TOO_MANY_CLIENTS);
        }
        this.#pipeline.begin(words);
        if (this.#pipeline.held !== undefined) return undefined;
        if (this.#session.isClosing) this.#isEnding = true;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(`Protocol error: ${error.message}`);
    }
    return undefined;
  }

  /** Those who have not said who they are get little of the memory for commands. */
  #setBounds(): void {
    this.#isStranger = !this.#session.isAuthenticated;
    this.#decoder.bound(this.#isStranger ? BOUNDS_OF_STRANGERS : this.#bounds);
  }

  #isUpgrade([name = ""]: readonly ByteString[]): boolean {
    return name.toUpperCase() === this.#host.upgradeCommand;
  }

  /** Ends the connection if the words are such as no client sends. */
  endsConversation(words: readonly ByteString[]): boolean {
    const [name = ""] = words;
    if (COMMANDS.named(name) !== undefined) return false;
    if (this.#isUpgrade(words)) {
      this.#fail(`${this.#host.upgradeCommand} must be the first command of a connection`);
      // As Redis does: or a web page could have a browser send commands in an HTTP request.
    } else if (HTTP_WORDS.includes(name.toLowerCase())) this.#isEnding = true;
    return this.#isEnding;
  }

  // --- Replies -------------------------------------------------------------------------------

  /**
   * All answers of one turn are ready: writes them, and continues with commands that waited for
   * them.
   */
  onReplies(): void {
    if (this.#isClosed) return;
    this.#pipeline.runHeld(() => this.#runAll());
    this.#flush();
    if (!this.#mustPause) this.#resume?.();
    // Behind a command without a reply there is no write at whose end it would be closed.
    if (this.#isEnding && this.#pipeline.isIdle && !this.#isWriting) this.close();
  }

  /**
   * Sends something that is no reply, behind the replies to what was begun: what a client is told of a key
   * must not come before an older reply that has its value.
   */
  #tell(push: EncodedPush): void {
    if (this.#isClosed || this.#isEnding) return;
    this.attempt(() => {
      this.#pipeline.reply(push.in(this.#session.version));
      if (this.#output.bytes + this.#pipeline.waitingBytes + this.#writingBytes > PUSH_BYTES_MAX) {
        this.close(); // It reads more slowly than is published.
        return;
      }
      if (this.#isTelling) return;
      this.#isTelling = true;
      queueMicrotask(() => {
        this.#isTelling = false;
        this.attempt(() => this.#flush());
      });
    });
  }

  /** Replies with a protocol error, and closes the connection after it. */
  #fail(message: ByteString): undefined {
    this.#pipeline.reply(encodeValue(errorRepeating(message), this.#session.version));
    this.#isEnding = true;
    this.#flush();
  }

  // --- Writing -------------------------------------------------------------------------------

  #flush(): void {
    if (this.#isClosed) return;
    const bytes = this.#output.bytes + this.#pipeline.waitingBytes + this.#writingBytes;
    if (!this.#outputShare.set(bytes)) {
      this.close(); // It reads too slowly for the others; it could not read a reason either.
      return;
    }
    if (this.#isWriting || this.#output.bytes === 0) return;
    this.#isWriting = true;
    this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    const { turns } = this.#host;
    try {
      for (let output = this.#output.take(); output !== "" && !this.#isClosed;) {
        this.#writingBytes = output.length;
        for (let at = 0; at < output.length; at += WRITE_BYTES) {
          const length = Math.min(output.length - at, WRITE_BYTES);
          if (turns.isOver(length)) await turns.next(length);
          const bytes = this.#encode(output, at, length);
          const writing = writeAtOnce(this.#socket, bytes);
          if (writing !== undefined) await writing; // Mostly it is done already.
          this.#host.statistics.outputBytes += bytes.length;
        }
        this.#writingBytes = 0;
        this.#pipeline.runHeld(() => this.#runAll());
        if (!this.#mustPause) this.#resume?.();
        output = this.#output.take();
      }
    } catch {
      this.close(); // The client no longer reads the replies.
    }
    this.#isWriting = false;
    this.#usedAtMs = turns.timerRanAtMs;
    if (this.#isEnding && this.#pipeline.isIdle) this.close();
    else this.#flush(); // Records what is left.
  }

  #encode(output: ByteString, at: number, length: number): Uint8Array {
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

  // --- Upgrades ------------------------------------------------------------------------------

  /** Answers the question. Returns whether the conversation in this protocol is over. */
  async #upgrade(question: ByteString): Promise<boolean> {
    clearTimeout(this.#peerTimer);
    this.#isUpgrading = true;
    this.#onProven();
    const { reply, takeOver, afterwards } = await this.#host.onUpgrade(question, {
      isEncrypted: this.#socket.isEncrypted === true,
      address: this.#socket.remoteAddr,
    });
    this.#pipeline.reply(encodeValue(reply, this.#session.version));
    if (takeOver === undefined && afterwards === undefined) {
      this.#isEnding = true;
      this.#flush();
      return true;
    }
    const output = this.#output.take();
    const bytes = new Uint8Array(output.length);
    writeLatin1(bytes, 0, output);
    try {
      await writeAll(this.#socket, bytes);
    } finally {
      afterwards?.();
    }
    if (takeOver === undefined) return true;
    this.#isClosed = true; // It ends as a client's connection; the socket stays open.
    this.#giveUpShares();
    this.#onClosed();
    takeOver(this.#socket, this.#decoder.takeRest());
    return true;
  }
}
