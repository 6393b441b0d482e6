/**
 * Frames: how messages are put together for a connection, and taken apart.
 *
 * ```text
 * frame  = header (4 bytes, little-endian) body
 * header = bytes of the body, in the low 31 bits; the highest bit says that it is a piece
 * body   = message*                                           see `messages.ts`
 *        | a piece of a large message; before the first: its length (4 bytes, little-endian)
 * ```
 *
 * A message of more than {@linkcode PIECE_BYTES} travels in pieces, so that no frame is long:
 * between two of them other frames pass (`link_output.ts`). Pieces of one message come in order,
 * and those of the next one after them.
 *
 * @module
 */

import { ByteReader, MalformedError } from "../../byte_reader.ts";
import { ByteWriter } from "../../byte_writer.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_BYTES_TARGET,
  MESSAGE_BYTES_MAX,
  PIECE_BYTES,
  TRANSACTIONS_MAX,
} from "../../limits.ts";
import type { ReadBuffer } from "../../transaction_codec.ts";
import type { TransactionNumber } from "../../two_phase/messages.ts";
import {
  type LinkMessage,
  type MessageSink,
  type MessageSource,
  readMessages,
  writeMessage,
} from "./messages.ts";
import { PROTOCOL_NEWEST } from "./protocols.ts";

/** Bytes of a frame's header, and of the length of a large message. */
const HEADER_BYTES = 4;

/** In a frame's header: its body is a piece of a large message. */
const IS_PIECE = 0x80000000;

/** A buffer that has grown beyond this is freed after its frame was sent. */
const KEPT_BYTES = 1024 * 1024;

/** Collects messages for one peer into consecutive frames. */
export class FrameWriter implements MessageSink {
  readonly protocol: number;
  readonly #writer = new ByteWriter(4096);
  /** Where the frame that is being filled begins. */
  #start = 0;
  /** Where the frames before it end. */
  readonly #ends: number[] = [];
  /** Where the last added message begins, unless it is part of a run. */
  #messageStart = 0;
  #runKind = 0;
  #runView = 0;
  #runFirst: TransactionNumber = 0;
  #runCount = 0;

  /** @param protocol the version of the protocol that the messages are for */
  constructor(protocol: number = PROTOCOL_NEWEST) {
    this.protocol = protocol;
    this.#writer.uint32(0);
  }

  get isEmpty(): boolean {
    return this.#writer.length === HEADER_BYTES && this.#runCount === 0;
  }

  /** How many bytes all frames have so far. */
  get length(): number {
    return this.#writer.length;
  }

  /** Adds an encoded message of at most {@linkcode PIECE_BYTES}. */
  addEncoded(message: Uint8Array): void {
    this.#beginMessage();
    this.#writer.raw(message);
  }

  /**
   * Adds a message.
   *
   * @returns its encoding if it is too large for a frame: then it was not added, and must be sent
   * in pieces after all that was added.
   */
  add(message: LinkMessage): Uint8Array<ArrayBuffer> | undefined {
    this.#messageStart = this.#writer.length;
    writeMessage(this, message);
    if (this.#writer.length - this.#messageStart <= PIECE_BYTES) return undefined;
    const encoding = this.#writer.bytes.slice(this.#messageStart);
    this.#writer.truncate(this.#messageStart);
    return encoding;
  }

  begin(kind: number): ByteWriter {
    this.#beginMessage();
    this.#writer.uint8(kind);
    return this.#writer;
  }

  /** Returns all frames. They share memory with the writer, which must be reset after use. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#endRun();
    if (this.#writer.length - this.#start > HEADER_BYTES) this.#endFrame();
    else this.#writer.truncate(this.#start);
    return this.#writer.bytes;
  }

  /** Where the frames that {@linkcode finish} returned end. */
  get ends(): readonly number[] {
    return this.#ends;
  }

  /** Starts again from nothing. */
  reset(): void {
    this.#writer.reset(KEPT_BYTES);
    this.#writer.uint32(0);
    this.#start = 0;
    this.#ends.length = 0;
    this.#runCount = 0;
  }

  #endFrame(): void {
    this.#writer.setUint32(this.#start, this.#writer.length - this.#start - HEADER_BYTES);
    this.#ends.push(this.#writer.length);
  }

  #beginMessage(): void {
    this.#endRun();
    this.#endLongFrame();
    this.#messageStart = this.#writer.length;
  }

  #endLongFrame(): void {
    if (this.#writer.length - this.#start < FRAME_BYTES_TARGET) return;
    this.#endFrame();
    this.#start = this.#writer.length;
    this.#writer.uint32(0);
  }

  addToRun(kind: number, view: number, number: TransactionNumber): void {
    const continues = this.#runCount > 0 && this.#runCount < TRANSACTIONS_MAX &&
      kind === this.#runKind && view === this.#runView &&
      number === this.#runFirst + this.#runCount;
    if (continues) {
      this.#runCount++;
      return;
    }
    this.#endRun();
    this.#runKind = kind;
    this.#runView = view;
    this.#runFirst = number;
    this.#runCount = 1;
  }

  #endRun(): void {
    if (this.#runCount === 0) return;
    this.#endLongFrame();
    this.#writer.uint8(this.#runKind);
    this.#writer.varint(this.#runView);
    this.#writer.varint(this.#runFirst);
    this.#writer.varint(this.#runCount);
    this.#runCount = 0;
  }
}

/** A large message on its way out: it leaves as frames of one piece each. */
export class PieceWriter {
  readonly #message: Uint8Array;
  #at = 0;

  /** @param message its encoding, which must not change until the last piece is taken */
  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** How many bytes of the message are left. */
  get left(): number {
    return this.#message.length - this.#at;
  }

  /** Writes the next piece, as a frame, into `writer`, which is reset before. */
  writeNext(writer: ByteWriter): void {
    writer.reset();
    const end = Math.min(this.#at + PIECE_BYTES, this.#message.length);
    const lengthBytes = this.#at === 0 ? HEADER_BYTES : 0;
    writer.uint32((end - this.#at + lengthBytes) | IS_PIECE);
    if (this.#at === 0) writer.uint32(this.#message.length);
    writer.raw(this.#message.subarray(this.#at, end));
    this.#at = end;
  }
}

/** A large message on its way in. */
interface LargeMessage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  filled: number;
}

/** Bytes of a reader's buffer, unless a frame needs more. */
const BUFFER_BYTES = 64 * 1024;

/** A reader replaces a buffer that has less space than this. */
const SPACE_BYTES_MIN = 16 * 1024;

/**
 * Turns the stream of bytes from one peer into messages.
 *
 * Bytes that were read are never overwritten, as prepares refer to them (`ReceivedPrepare` in
 * `transaction_codec.ts`): a buffer is filled once, and released when the next one is full. So a
 * link has at most two buffers, however many prepares still wait for a lock.
 */
export class FrameReader {
  readonly #protocol: number;
  #buffer: Uint8Array<ArrayBuffer>;
  #reader: ByteReader;
  /** The buffer, and the one before it, as prepares refer to them. */
  #present: ReadBuffer;
  #source: MessageSource;
  #previous: ReadBuffer = { bytes: undefined };
  #start = 0;
  #end = 0;
  /** The message of which some pieces, but not all, have arrived. */
  #large: LargeMessage | undefined;

  /**
   * @param received bytes that arrived on the connection before it switched to frames
   * @param protocol the version of the protocol that the messages are of
   */
  constructor(received: Uint8Array = new Uint8Array(), protocol: number = PROTOCOL_NEWEST) {
    this.#protocol = protocol;
    this.#buffer = new Uint8Array(Math.max(BUFFER_BYTES, received.length));
    this.#present = { bytes: this.#buffer };
    this.#reader = new ByteReader(this.#buffer);
    this.#source = { protocol, reader: this.#reader, buffer: this.#present };
    this.#buffer.set(received);
    this.#end = received.length;
  }

  /** Where the next bytes belong. Call {@linkcode received} with their number. */
  get space(): Uint8Array<ArrayBuffer> {
    const held = this.#end - this.#start;
    const isFull = this.#buffer.length - this.#end < SPACE_BYTES_MIN;
    const isTooLarge = held === 0 && this.#buffer.length > KEPT_BYTES;
    if (isFull || isTooLarge) {
      this.#replaceBuffer(Math.max(BUFFER_BYTES, 2 * held));
      this.#start = 0;
      this.#end = held;
    }
    return this.#end === 0 ? this.#buffer : this.#buffer.subarray(this.#end);
  }

  /** Records that `count` bytes were put into the {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
  }

  /**
   * Passes every message of every complete frame to `receive`.
   *
   * @throws {MalformedError} if the bytes are not frames: the link cannot continue.
   */
  drain(receive: (message: LinkMessage) => void): void {
    while (this.#end - this.#start >= HEADER_BYTES) {
      const header = this.#uint32(this.#start);
      const isPiece = header >= IS_PIECE;
      const length = isPiece ? header - IS_PIECE : header;
      if (length > FRAME_BYTES_MAX) {
        throw new MalformedError(`a frame of ${length} bytes, at most ${FRAME_BYTES_MAX}`);
      }
      const bodyStart = this.#start + HEADER_BYTES;
      const bodyEnd = bodyStart + length;
      if (bodyEnd > this.#end) return;
      this.#start = bodyEnd;
      if (isPiece) this.#takePiece(bodyStart, bodyEnd, receive);
      else {
        this.#reader.window(bodyStart, bodyEnd);
        while (this.#reader.left > 0) readMessages(this.#source, receive);
      }
    }
  }

  /** Tells whether part of a large message has arrived. */
  get isInMessage(): boolean {
    return this.#large !== undefined;
  }

  #takePiece(start: number, end: number, receive: (message: LinkMessage) => void): void {
    let at = start;
    if (this.#large === undefined) {
      if (end - at < HEADER_BYTES) throw new MalformedError("a piece without the message's length");
      const length = this.#uint32(at);
      if (length > MESSAGE_BYTES_MAX) {
        throw new MalformedError(`a message of ${length} bytes, at most ${MESSAGE_BYTES_MAX}`);
      }
      this.#large = { bytes: new Uint8Array(length), filled: 0 };
      at += HEADER_BYTES;
    }
    const { bytes, filled } = this.#large;
    if (filled + end - at > bytes.length) {
      throw new MalformedError("a piece that is longer than the rest of its message");
    }
    bytes.set(this.#buffer.subarray(at, end), filled);
    this.#large.filled += end - at;
    if (this.#large.filled < bytes.length) return;
    this.#large = undefined;
    const protocol = this.#protocol;
    const source = { protocol, reader: new ByteReader(bytes), buffer: { bytes } };
    while (source.reader.left > 0) readMessages(source, receive);
  }

  #uint32(start: number): number {
    let value = 0;
    for (let i = HEADER_BYTES - 1; i >= 0; i--) {
      value = value * 256 + (this.#buffer[start + i] ?? 0);
    }
    return value;
  }

  #replaceBuffer(size: number): void {
    const buffer = new Uint8Array(size);
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    // A buffer that a long message has made large is not kept for prepares that may refer to it.
    if (this.#buffer.length > KEPT_BYTES) this.#present.bytes = undefined;
    this.#buffer = buffer;
    this.#reader = new ByteReader(buffer);
    this.#previous.bytes = undefined;
    this.#previous = this.#present;
    this.#present = { bytes: buffer };
    this.#source = { protocol: this.#protocol, reader: this.#reader, buffer: this.#present };
  }
}
