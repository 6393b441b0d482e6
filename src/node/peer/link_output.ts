/**
 * The output of one link, and its order.
 *
 * There are two lanes. Nearly everything goes in order, on the first. The second is for messages
 * that must not wait behind large values and may overtake anything: signs of life, and what keeps
 * the first lane going. It is used only while something waits on the first lane; otherwise all
 * messages leave in one frame.
 *
 * The first lane stops while the peer has {@linkcode UNTAKEN_BYTES_MAX} bytes still to process. So
 * an urgent message never waits behind more than that, however slow the network, and a loop that
 * writes to a fast socket lets other work run.
 *
 * @module
 */

import { ByteWriter } from "../../byte_writer.ts";
import { PIECE_BYTES, UNTAKEN_BYTES_MAX } from "../../limits.ts";
import { FrameWriter, PieceWriter } from "./frames.ts";
import { MESSAGE_RULES, type MessageRule, type MessageType } from "../../two_phase/messages.ts";
import type { LinkMessage } from "./messages.ts";
import { PROTOCOL_NEWEST } from "./protocols.ts";

/** The messages of links themselves: none of them may wait. */
const OF_LINKS: ReadonlySet<string> = new Set(["probe", "probeAnswer", "taken"]);

function mayOvertake({ type }: LinkMessage): boolean {
  if (!(type in MESSAGE_RULES)) return OF_LINKS.has(type);
  const rule: MessageRule = MESSAGE_RULES[type as MessageType];
  return rule.mayOvertake === true;
}

/** Complete frames, which are sent a few at a time. */
class Frames {
  readonly #writer: FrameWriter;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;
  #nextEnd = 0;

  constructor(writer: FrameWriter) {
    this.#writer = writer;
    this.#bytes = writer.finish();
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Returns the next frames: one, or several that are small together. */
  next(): Uint8Array<ArrayBuffer> {
    const { ends } = this.#writer;
    let end = ends[this.#nextEnd++] ?? this.#bytes.length;
    for (let next = ends[this.#nextEnd]; next !== undefined && next - this.#at <= PIECE_BYTES;) {
      end = next;
      next = ends[++this.#nextEnd];
    }
    const frames = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return frames;
  }

  /** Returns the writer, empty. */
  release(): FrameWriter {
    this.#writer.reset();
    return this.#writer;
  }
}

/** Orders the messages that leave over one link. */
export class LinkOutput {
  /** The newest messages of the first lane. */
  #filling: FrameWriter;
  /** The earlier messages of the first lane, the oldest first. */
  readonly #queue: (Frames | PieceWriter)[] = [];
  #queuedBytes = 0;
  /** Used in turn with {@linkcode #filling}. */
  #spare: FrameWriter | undefined;
  /** The second lane, and the part of it that is being sent. */
  #urgent: FrameWriter;
  #urgentSending: FrameWriter;
  readonly #piece = new ByteWriter();
  #untakenBytes = 0;
  readonly #protocol: number;

  /** @param protocol the version of the protocol that the link has */
  constructor(protocol: number = PROTOCOL_NEWEST) {
    this.#protocol = protocol;
    this.#filling = new FrameWriter(protocol);
    this.#spare = new FrameWriter(protocol);
    this.#urgent = new FrameWriter(protocol);
    this.#urgentSending = new FrameWriter(protocol);
  }

  /** How many bytes wait. */
  get bytes(): number {
    return this.#queuedBytes + this.#filling.length;
  }

  /** Adds a message. */
  add(message: LinkMessage): void {
    if (this.#mustWait && mayOvertake(message)) {
      this.#urgent.add(message);
      return;
    }
    const large = this.#filling.add(message);
    if (large !== undefined) this.#addLarge(large);
  }

  /** Adds an encoded message. A large one must not change afterwards. */
  addEncoded(message: Uint8Array): void {
    if (message.length > PIECE_BYTES) this.#addLarge(message);
    else this.#filling.addEncoded(message);
  }

  /** Tells whether a message added to the first lane now must wait. */
  get #mustWait(): boolean {
    return this.#queue.length > 0 || this.#untakenBytes >= UNTAKEN_BYTES_MAX ||
      this.#filling.length > PIECE_BYTES;
  }

  #addLarge(message: Uint8Array): void {
    this.#sealFilling();
    this.#queue.push(new PieceWriter(message));
    this.#queuedBytes += message.length;
  }

  #sealFilling(): void {
    if (this.#filling.isEmpty) return;
    const frames = new Frames(this.#filling);
    this.#queue.push(frames);
    this.#queuedBytes += frames.left;
    this.#filling = this.#spare ?? new FrameWriter(this.#protocol);
    this.#spare = undefined;
  }

  /** The peer has processed this many bytes. */
  taken(bytes: number): void {
    this.#untakenBytes -= bytes;
  }

  /**
   * Returns the next bytes to write, valid until the next call; `undefined` if there is nothing, or
   * the peer has enough to process.
   */
  next(): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.#nextUrgent() ?? this.#nextInOrder();
    this.#untakenBytes += bytes?.length ?? 0;
    return bytes;
  }

  #nextUrgent(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#urgent.isEmpty) return undefined;
    const sending = this.#urgent;
    this.#urgent = this.#urgentSending;
    this.#urgent.reset();
    this.#urgentSending = sending;
    return sending.finish();
  }

  #nextInOrder(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#untakenBytes >= UNTAKEN_BYTES_MAX) return undefined;
    this.#dropSent();
    if (this.#queue.length === 0) this.#sealFilling();
    const first = this.#queue[0];
    if (first === undefined) return undefined;
    const before = first.left;
    const bytes = this.#nextOf(first);
    this.#queuedBytes -= before - first.left;
    return bytes;
  }

  #nextOf(first: Frames | PieceWriter): Uint8Array<ArrayBuffer> {
    if (first instanceof Frames) return first.next();
    first.writeNext(this.#piece);
    return this.#piece.bytes;
  }

  /** The last returned bytes are written: reuses their memory. */
  #dropSent(): void {
    const first = this.#queue[0];
    if (first === undefined || first.left > 0) return;
    this.#queue.shift();
    if (first instanceof Frames) this.#spare ??= first.release();
  }
}
