/**
 * Reads a journal from its database, and removes what a crash left behind (see `kv_journal.ts`).
 *
 * @module
 */

import type { Logger } from "@std/log";
import { type ByteReader, MalformedError } from "../../byte_reader.ts";
import type { ByteString } from "../../byte_string.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { readKeyRecord } from "../../transaction_codec.ts";
import type { RecoveryTarget } from "./journal.ts";
import { ItemReader, seal, unseal } from "./journal_parts.ts";
import {
  type Blob,
  BLOB_PREFIX,
  blobKey,
  CHUNK_PREFIX,
  chunkKey,
  deadKeys,
  type Manifest,
  MANIFEST_KEY,
  parseManifest,
  withoutDead,
} from "./kv_layout.ts";
import type { KvBatch, KvStore } from "./kv_store.ts";
import { readRecords } from "./record_codec.ts";

/** Parts that are read at a time while nothing else runs. */
const READ_BATCH = 32;

/** Keys that one commit deletes: the store frees the space of each page by page. */
const DELETES_PER_COMMIT = 32;

/** Makes a change durable. */
type Commit = (batch: KvBatch) => Promise<void>;

/** What reading a journal needs. */
export interface Reading {
  readonly store: KvStore;
  readonly place: string;
}

/** What a recovery works on. */
export interface RecoveryOptions extends Reading {
  readonly commit: Commit;
  readonly logger: Logger | undefined;
}

/** The result of a recovery. */
export interface RecoveredJournal {
  readonly manifest: Manifest;
  /** How many bytes the tail has. */
  readonly tailBytes: number;
  /** The number of the chunk after it. */
  readonly nextChunk: number;
}

/** What follows the last complete record of the tail: nothing, if `bytes` is 0. */
interface UnfinishedRecord {
  readonly bytes: number;
  /** The chunk in which it begins, and where. */
  readonly chunk: number;
  readonly content: Uint8Array;
  readonly offset: number;
}

const NO_BYTES: Uint8Array = new Uint8Array();

/** One recovery of a journal. */
export class KvRecovery {
  readonly #options: RecoveryOptions;
  #tailBytes = 0;
  #nextChunk = 0;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Passes what the journal holds to `target`, then removes unfinished parts.
   *
   * @throws {FatalError} if it is damaged. Then it is left unchanged.
   */
  async run(target: RecoveryTarget): Promise<RecoveredJournal> {
    const manifest = await this.#readManifest();
    await this.#readEntries(manifest.segments, target);
    await this.#readBlobs("kept entry", manifest.kept, (reader) => {
      target.restoreKept?.(readKeyRecord(reader));
    });
    await this.#readBlobs("head", manifest.head, (reader) => {
      readRecords(reader, (record) => target.restoreRecord(record));
    });
    const unfinished = await this.#readTail(manifest.firstChunk, (reader) => {
      readRecords(reader, (record) => target.restoreRecord(record));
    });
    // Everything could be read: the journal changes only from here on.
    await this.#cutOff(unfinished);
    await deleteDead(manifest, this.#options.commit);
    const nextBlob = await this.#deleteUnfinishedBlobs(manifest.nextBlob);
    return {
      manifest: withoutDead({ ...manifest, nextBlob }),
      tailBytes: this.#tailBytes,
      nextChunk: this.#nextChunk,
    };
  }

  async #readManifest(): Promise<Manifest> {
    const { value } = await this.#options.store.get(MANIFEST_KEY);
    try {
      return parseManifest(value);
    } catch (error) {
      throw damage(this.#options, "the manifest", error);
    }
  }

  /** Restores the newest entry of each key: newest first, so that memory holds nothing else. */
  async #readEntries(segments: readonly Blob[], target: RecoveryTarget): Promise<void> {
    const deleted = new Set<ByteString>();
    await this.#readBlobs("segment", segments.toReversed(), (reader) => {
      const entry = readKeyRecord(reader);
      const { key, value } = entry;
      if (target.isRestored(key) || deleted.has(key)) return;
      if (value === undefined) deleted.add(key);
      else target.restoreEntry(entry);
    });
  }

  async #readBlobs(
    name: string,
    blobs: readonly Blob[],
    receive: (reader: ByteReader) => void,
  ): Promise<void> {
    for (const blob of blobs) {
      await readBlob(this.#options, blob, { name, batchSize: READ_BATCH, receive });
    }
  }

  /** Reads the tail. Returns what follows its last complete record. */
  async #readTail(
    firstChunk: number,
    receive: (reader: ByteReader) => void,
  ): Promise<UnfinishedRecord> {
    const items = new ItemReader();
    const selector = { prefix: CHUNK_PREFIX, start: chunkKey(firstChunk) };
    let begin = { chunk: firstChunk, content: NO_BYTES, offset: 0 };
    let next = firstChunk;
    for await (const { key, value } of this.#options.store.list(selector, READ_BATCH)) {
      const chunk = next++;
      const name = `chunk ${chunk} of the tail`;
      if (key.at(-1) !== chunk) throw damage(this.#options, name, "it is missing");
      const content = push(this.#options, items, { value, name, receive });
      this.#tailBytes += content.length;
      const { held } = items;
      if (held <= content.length) begin = { chunk, content, offset: content.length - held };
    }
    this.#nextChunk = next;
    return { ...begin, bytes: items.held };
  }

  /** Removes an unfinished record, from its end: a crash in between leaves a shorter one. */
  async #cutOff(unfinished: UnfinishedRecord): Promise<void> {
    const { commit, logger } = this.#options;
    const { bytes, chunk, offset, content } = unfinished;
    if (bytes === 0) return;
    logger?.info(`${bytes} bytes of an unfinished record were dropped`);
    this.#tailBytes -= bytes;
    const kept = offset === 0 ? chunk : chunk + 1;
    while (this.#nextChunk > kept) {
      const from = Math.max(kept, this.#nextChunk - DELETES_PER_COMMIT);
      const deletes = [];
      for (let number = from; number < this.#nextChunk; number++) deletes.push(chunkKey(number));
      await commit({ deletes });
      this.#nextChunk = from;
    }
    if (offset === 0) return;
    await commit({ sets: [{ key: chunkKey(chunk), value: seal(content.subarray(0, offset)) }] });
  }

  /** Deletes what an unfinished checkpoint left. Returns the first free id. */
  async #deleteUnfinishedBlobs(from: number): Promise<number> {
    const { store, commit } = this.#options;
    let next = from;
    const keys: Deno.KvKey[] = [];
    const selector = { prefix: BLOB_PREFIX, start: blobKey(from, 0) };
    for await (const { key } of store.list(selector, READ_BATCH)) {
      const id = key.at(-2);
      if (typeof id === "number") next = Math.max(next, id + 1);
      keys.push(key);
      if (keys.length === DELETES_PER_COMMIT) await commit({ deletes: keys.splice(0) });
    }
    if (keys.length > 0) await commit({ deletes: keys });
    return next;
  }
}

/** Deletes what `manifest` says is dead. */
export async function deleteDead(manifest: Manifest, commit: Commit): Promise<void> {
  const keys: Deno.KvKey[] = [];
  for (const key of deadKeys(manifest)) {
    keys.push(key);
    if (keys.length === DELETES_PER_COMMIT) await commit({ deletes: keys.splice(0) });
  }
  if (keys.length > 0) await commit({ deletes: keys });
}

/** How a blob is read. */
export interface BlobReading {
  /** Its name in errors. */
  readonly name: string;
  /** Parts that are read at a time. */
  readonly batchSize: number;
  /** Reads one item. */
  readonly receive: (reader: ByteReader) => void;
  /** Called after each part. */
  readonly afterPart?: () => Promise<void> | undefined;
}

/**
 * Reads all items of `blob`.
 *
 * @throws {FatalError} if it is damaged.
 */
export async function readBlob(
  reading: Reading,
  blob: Blob,
  { name: kind, batchSize, receive, afterPart }: BlobReading,
): Promise<void> {
  const name = `${kind} ${blob.id}`;
  const items = new ItemReader();
  const selector = { prefix: [...BLOB_PREFIX, blob.id] };
  let part = 0;
  for await (const { key, value } of reading.store.list(selector, batchSize)) {
    if (key.at(-1) !== part) break;
    push(reading, items, { value, name: `part ${part} of ${name}`, receive });
    part++;
    const waiting = afterPart?.();
    if (waiting !== undefined) await waiting;
  }
  if (part < blob.parts) throw damage(reading, `part ${part} of ${name}`, "it is missing");
  if (part > blob.parts) throw damage(reading, name, `it has more than ${blob.parts} parts`);
  if (items.held > 0) throw damage(reading, name, "it ends in the middle");
}

function push(
  reading: Reading,
  items: ItemReader,
  part: { value: unknown; name: string; receive: (reader: ByteReader) => void },
): Uint8Array {
  try {
    const content = unseal(part.value);
    items.push(content, part.receive);
    return content;
  } catch (error) {
    if (error instanceof MalformedError) throw damage(reading, part.name, error);
    throw error;
  }
}

function damage({ place }: Reading, what: string, why: unknown): FatalError {
  return new FatalError(`the journal ${place} is damaged: ${what}: ${messageOf(why)}`);
}
