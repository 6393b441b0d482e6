/**
 * Frames: how messages are put together for a connection, and taken apart.
 *
 * ```text
 * frame = length (4 bytes, little-endian: bytes of the body) body
 * body  = message*                                           see `messages.ts`
 * ```
 *
 * @module
 */

import { ByteReader, MalformedError } from "../../byte_reader.ts";
import { ByteWriter } from "../../byte_writer.ts";
import { FRAME_BYTES_MAX, FRAME_BYTES_TARGET, TRANSACTIONS_MAX } from "../../limits.ts";
import type { ReadBuffer } from "../../transaction_codec.ts";
import type { TransactionNumber } from "../../two_phase/messages.ts";
import {
  type LinkMessage,
  type MessageSink,
  type MessageSource,
  readMessages,
  writeMessage,
} from "./messages.ts";

/** Bytes of a frame's length. */
const HEADER_BYTES = 4;

/** A buffer that has grown beyond this is given back after its frame was sent. */
const KEPT_BYTES = 1024 * 1024;

/** Collects messages for one peer into frames, one behind the other. */
export class FrameWriter implements MessageSink {
  readonly #writer = new ByteWriter(4096);
  /** Where the frame begins that is being filled. */
  #start = 0;
  #runKind = 0;
  #runView = 0;
  #runFirst: TransactionNumber = 0;
  #runCount = 0;

  constructor() {
    this.#writer.uint32(0);
  }

  get isEmpty(): boolean {
    return this.#writer.length === HEADER_BYTES && this.#runCount === 0;
  }

  /** How many bytes all frames have so far. */
  get length(): number {
    return this.#writer.length;
  }

  /** Adds a message that was encoded before. */
  addEncoded(message: Uint8Array): void {
    this.#beginMessage();
    this.#writer.raw(message);
  }

  add(message: LinkMessage): void {
    writeMessage(this, message);
  }

  begin(kind: number): ByteWriter {
    this.#beginMessage();
    this.#writer.uint8(kind);
    return this.#writer;
  }

  /** Returns all frames. They share memory with the writer, which must be reset after use. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#endRun();
    this.#endFrame();
    return this.#writer.bytes;
  }

  /** Starts again from nothing. */
  reset(): void {
    this.#writer.reset(KEPT_BYTES);
    this.#writer.uint32(0);
    this.#start = 0;
    this.#runCount = 0;
  }

  #endFrame(): void {
    this.#writer.setUint32(this.#start, this.#writer.length - this.#start - HEADER_BYTES);
  }

  #beginMessage(): void {
    this.#endRun();
    this.#endLongFrame();
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

/** Bytes of a reader's buffer, where no frame needs more. */
const BUFFER_BYTES = 64 * 1024;

/** A buffer with less space than this is left behind. */
const SPACE_BYTES_MIN = 16 * 1024;

/**
 * Turns the stream of bytes from one peer into messages.
 *
 * What was read is never written over, as prepares refer to it (`ReceivedPrepare` in `transaction_codec.ts`): a buffer is
 * filled once, and given up when the one after it is full. So a link has two of them at the most,
 * whoever may still wait for a lock.
 */
export class FrameReader {
  #buffer: Uint8Array<ArrayBuffer>;
  #reader: ByteReader;
  /** The buffer, and the one before it, as prepares refer to them. */
  #present: ReadBuffer;
  #source: MessageSource;
  #previous: ReadBuffer = { bytes: undefined };
  #start = 0;
  #end = 0;

  /** @param received what came on the connection before it turned to frames */
  constructor(received: Uint8Array = new Uint8Array()) {
    this.#buffer = new Uint8Array(Math.max(BUFFER_BYTES, received.length));
    this.#present = { bytes: this.#buffer };
    this.#reader = new ByteReader(this.#buffer);
    this.#source = { reader: this.#reader, buffer: this.#present };
    this.#buffer.set(received);
    this.#end = received.length;
  }

  /** Where the next bytes belong. Call {@linkcode received} with how many came. */
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

  /** Takes note that `count` bytes were put into the {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
  }

  /**
   * Hands every message of every frame that has arrived whole to `receive`.
   *
   * @throws {MalformedError} where the bytes are no frames: the link cannot go on.
   */
  drain(receive: (message: LinkMessage) => void): void {
    while (this.#end - this.#start >= HEADER_BYTES) {
      const length = this.#frameLength();
      if (length > FRAME_BYTES_MAX) {
        throw new MalformedError(`a frame of ${length} bytes, at most ${FRAME_BYTES_MAX}`);
      }
      const bodyStart = this.#start + HEADER_BYTES;
      const bodyEnd = bodyStart + length;
      if (bodyEnd > this.#end) return;
      this.#reader.window(bodyStart, bodyEnd);
      while (this.#reader.left > 0) readMessages(this.#source, receive);
      this.#start = bodyEnd;
    }
  }

  #frameLength(): number {
    let length = 0;
    for (let i = HEADER_BYTES - 1; i >= 0; i--) {
      length = length * 256 + (this.#buffer[this.#start + i] ?? 0);
    }
    return length;
  }

  #replaceBuffer(size: number): void {
    const buffer = new Uint8Array(size);
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    // One that a long message has made large is not kept for those who may refer to it.
    if (this.#buffer.length > KEPT_BYTES) this.#present.bytes = undefined;
    this.#buffer = buffer;
    this.#reader = new ByteReader(buffer);
    this.#previous.bytes = undefined;
    this.#previous = this.#present;
    this.#present = { bytes: buffer };
    this.#source = { reader: this.#reader, buffer: this.#present };
  }
}
