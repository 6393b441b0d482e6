/**
 * Writing blobs in small commits, so that nothing else waits for long.
 *
 * @module
 */

import type { ByteWriter } from "../../byte_writer.ts";
import { ItemWriter, PART_BYTES_MAX } from "./journal_parts.ts";
import { type Blob, blobKey } from "./kv_layout.ts";
import type { KvBatch } from "./kv_store.ts";

/** Writes items into consecutive blobs. */
export class BlobWriter {
  readonly #items = new ItemWriter();
  readonly #blobBytesMax: number;
  readonly #partsPerCommit: () => number;
  readonly #commit: (batch: KvBatch) => Promise<void>;
  #finished: Blob[] = [];
  #nextId: number;
  #parts = 0;
  #bytes = 0;
  #total = 0;

  /**
   * @param options `nextId` is the id of the first blob; a blob ends after the item with which it
   * reaches `blobBytesMax`; a commit has at most as many parts as `partsPerCommit` says then
   */
  constructor(options: {
    nextId: number;
    blobBytesMax: number;
    partsPerCommit: () => number;
    commit: (batch: KvBatch) => Promise<void>;
  }) {
    this.#nextId = options.nextId;
    this.#blobBytesMax = options.blobBytesMax;
    this.#partsPerCommit = options.partsPerCommit;
    this.#commit = options.commit;
  }

  /** The id of the blob that comes after all of these. */
  get nextId(): number {
    return this.#nextId;
  }

  /** How many bytes were added to all blobs. */
  get total(): number {
    return this.#total;
  }

  /** How many blobs were started since the last {@linkcode finish}. */
  get count(): number {
    return this.#finished.length + 1;
  }

  /** Tells whether there is enough for a commit: {@linkcode flush} before more is added. */
  get isFull(): boolean {
    return this.#items.length >= this.#partsPerCommit() * PART_BYTES_MAX ||
      this.#bytes >= this.#blobBytesMax;
  }

  /** Adds one item, which `write` writes. Returns how many bytes it takes. */
  add(write: (writer: ByteWriter) => void): number {
    const bytes = this.#items.add(write);
    this.#bytes += bytes;
    this.#total += bytes;
    return bytes;
  }

  /** Commits whole parts, and all of a blob that is long enough. */
  async flush(): Promise<void> {
    if (this.#bytes >= this.#blobBytesMax) await this.#endBlob();
    else await this.#write(this.#items.takeFull());
  }

  /** Commits the rest. Returns the blobs since the last call; later items go into another blob. */
  async finish(): Promise<readonly Blob[]> {
    await this.#endBlob();
    const blobs = this.#finished;
    this.#finished = [];
    return blobs;
  }

  async #endBlob(): Promise<void> {
    if (this.#bytes === 0) return;
    await this.#write(this.#items.takeAll().after);
    this.#finished.push({ id: this.#nextId++, parts: this.#parts, bytes: this.#bytes });
    this.#parts = 0;
    this.#bytes = 0;
  }

  async #write(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    for (let at = 0; at < parts.length;) {
      const end = at + this.#partsPerCommit();
      const sets = parts.slice(at, end).map((value) => {
        return { key: blobKey(this.#nextId, this.#parts++), value };
      });
      await this.#commit({ sets });
      at = end;
    }
  }
}
