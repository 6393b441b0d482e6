/**
 * Cutting the journal's contents into values that the embedded store takes, and back.
 *
 * ```text
 * stream = item*
 * item   = length (4 bytes, little-endian: bytes of the body) body
 * part   = checksum (4 bytes, little-endian: CRC-32 of the rest) coding (1 byte) content
 * ```
 *
 * The content is some bytes of the stream: as they are (coding 0), or as a Zstandard frame (coding
 * 1), if that is shorter. Fewer bytes to write means fewer to force, and fewer for the store to
 * copy from its log to their place; under load that is most of the cost of a force.
 *
 * A stream is cut into parts regardless of its items: a long item spans many parts, and a part
 * holds many short ones. The checksum covers the lengths too: otherwise a damaged length that
 * points past the end could pass for an unfinished item.
 *
 * @module
 */

import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { ByteReader, MalformedError } from "../../byte_reader.ts";
import { ByteWriter } from "../../byte_writer.ts";

/** Most bytes of a part: the store takes 64 KiB, and adds a few of its own. */
export const PART_BYTES_MAX = 60 * 1024;

/** Bytes of a checksum, and of an item's length. */
const WORD_BYTES = 4;

/** Bytes of a part before its content. */
const HEADER_BYTES = WORD_BYTES + 1;

/** Most bytes of the stream that go into one part. */
const CONTENT_BYTES_MAX = PART_BYTES_MAX - HEADER_BYTES;

/** The most that a part may hold uncompressed, such as a long manifest. */
const UNPACKED_BYTES_MAX = 16 * 1024 * 1024;

const CODING = { plain: 0, zstandard: 1 } as const;

/** Shorter content is not compressed: calling the compressor costs more than writing it. */
const COMPRESSED_FROM_BYTES = 8 * 1024;

/**
 * Of longer content, a sample from the middle is compressed first, and tells whether the rest is worth it:
 * otherwise large values that do not shrink (pictures, archives) cost a fifth of the event loop's time for
 * a force.
 */
const SAMPLED_FROM_BYTES = 16 * 1024;
const SAMPLE_BYTES = 4 * 1024;

/** A sample that becomes no shorter than this is not worth it. */
const SAMPLE_BYTES_SHRUNK = SAMPLE_BYTES * 31 / 32;

/**
 * 60 KiB of text take 0.1 ms and shrink to a quarter or less; random bytes take 0.2 ms and do not
 * shrink.
 */
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** A buffer that has grown beyond this is freed. */
const KEPT_BYTES = 1024 * 1024;

/**
 * Returns the part that holds `bytes`. The store takes it if it has at most
 * {@linkcode PART_BYTES_MAX} bytes.
 */
export function seal(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { coding, content } = encode(bytes);
  const part = new Uint8Array(HEADER_BYTES + content.length);
  part[WORD_BYTES] = coding;
  part.set(content, HEADER_BYTES);
  new DataView(part.buffer).setUint32(0, crc32(part.subarray(WORD_BYTES)), true);
  return part;
}

function encode(bytes: Uint8Array): { coding: number; content: Uint8Array } {
  if (bytes.length >= COMPRESSED_FROM_BYTES && seemsCompressible(bytes)) {
    const compressed = zstdCompressSync(bytes, COMPRESSION);
    if (compressed.length < bytes.length) {
      return { coding: CODING.zstandard, content: compressed };
    }
  }
  return { coding: CODING.plain, content: bytes };
}

function seemsCompressible(bytes: Uint8Array): boolean {
  if (bytes.length < SAMPLED_FROM_BYTES) return true;
  const at = (bytes.length - SAMPLE_BYTES) >> 1;
  const sample = bytes.subarray(at, at + SAMPLE_BYTES);
  return zstdCompressSync(sample, COMPRESSION).length < SAMPLE_BYTES_SHRUNK;
}

/**
 * Returns what `part` holds; may share its memory.
 *
 * @throws {MalformedError} if it is not a part, or was damaged.
 */
export function unseal(part: unknown): Uint8Array {
  if (!(part instanceof Uint8Array) || part.length < HEADER_BYTES) {
    throw new MalformedError("it is no byte array");
  }
  const stored = new DataView(part.buffer, part.byteOffset).getUint32(0, true);
  if (stored !== crc32(part.subarray(WORD_BYTES))) {
    throw new MalformedError("its checksum is wrong");
  }
  const content = part.subarray(HEADER_BYTES);
  switch (part[WORD_BYTES]) {
    case CODING.plain:
      return content;
    case CODING.zstandard:
      return zstdDecompressSync(content, { maxOutputLength: UNPACKED_BYTES_MAX });
    default:
      throw new MalformedError(`it has an unknown coding: ${part[WORD_BYTES]}`);
  }
}

/** Returns the parts that hold `content`, which may be empty. */
export function cutIntoParts(content: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < content.length; at += CONTENT_BYTES_MAX) {
    parts.push(seal(content.subarray(at, at + CONTENT_BYTES_MAX)));
  }
  return parts;
}

/** Collects items, to be cut into parts. */
export class ItemWriter {
  readonly #writer = new ByteWriter(64 * 1024);

  /** How many bytes wait to be taken. */
  get length(): number {
    return this.#writer.length;
  }

  /** Adds one item, which `write` writes. Returns how many bytes it takes. */
  add(write: (writer: ByteWriter) => void): number {
    const writer = this.#writer;
    const start = writer.length;
    writer.uint32(0);
    write(writer);
    writer.setUint32(start, writer.length - start - WORD_BYTES);
    return writer.length - start;
  }

  /** Takes all bytes. A part ends at `boundary` at the latest, and the next one starts there. */
  takeAll(boundary = 0): { before: Uint8Array<ArrayBuffer>[]; after: Uint8Array<ArrayBuffer>[] } {
    const { bytes } = this.#writer;
    const before = cutIntoParts(bytes.subarray(0, boundary));
    const after = cutIntoParts(bytes.subarray(boundary));
    this.#writer.reset(KEPT_BYTES);
    return { before, after };
  }

  /** Takes the bytes that fill whole parts. */
  takeFull(): Uint8Array<ArrayBuffer>[] {
    const { bytes } = this.#writer;
    const rest = bytes.length % CONTENT_BYTES_MAX;
    const parts = cutIntoParts(bytes.subarray(0, bytes.length - rest));
    const kept = bytes.slice(bytes.length - rest);
    this.#writer.reset(KEPT_BYTES);
    this.#writer.raw(kept);
    return parts;
  }
}

/** Puts items together from the contents of parts. */
export class ItemReader {
  #buffer = new Uint8Array(4 * PART_BYTES_MAX);
  #reader = new ByteReader(this.#buffer);
  #start = 0;
  #end = 0;

  /** How many bytes of an unfinished item it holds; 0 between two items. */
  get held(): number {
    return this.#end - this.#start;
  }

  /**
   * Adds the next content, and passes every complete item to `receive`, which must read it to its
   * end.
   *
   * @throws {MalformedError} if it does not.
   */
  push(content: Uint8Array, receive: (reader: ByteReader) => void): void {
    this.#hold(content);
    while (this.held >= WORD_BYTES) {
      const bodyStart = this.#start + WORD_BYTES;
      const bodyEnd = bodyStart + this.#itemLength();
      if (bodyEnd > this.#end) return;
      this.#reader.window(bodyStart, bodyEnd);
      receive(this.#reader);
      if (this.#reader.left > 0) throw new MalformedError(`${this.#reader.left} bytes too many`);
      this.#start = bodyEnd;
    }
  }

  #hold(content: Uint8Array): void {
    const { held } = this;
    if (this.#end + content.length > this.#buffer.length) {
      const needed = held + content.length;
      const isShort = needed <= this.#buffer.length;
      const buffer = isShort ? this.#buffer : new Uint8Array(2 * needed);
      if (isShort) buffer.copyWithin(0, this.#start, this.#end);
      else {
        buffer.set(this.#buffer.subarray(this.#start, this.#end));
        this.#buffer = buffer;
        this.#reader = new ByteReader(buffer);
      }
      this.#start = 0;
      this.#end = held;
    }
    this.#buffer.set(content, this.#end);
    this.#end += content.length;
  }

  #itemLength(): number {
    const at = this.#start;
    return new DataView(this.#buffer.buffer).getUint32(at, true);
  }
}
