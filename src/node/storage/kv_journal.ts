/**
 * The durable journal, kept in the embedded store of the runtime.
 *
 * What is appended goes to the end of one stream of records, the *tail*, which is cut into chunks of
 * at most 60 KiB. A checkpoint puts what the tail led to in the place of the tail: the entries that
 * changed go into new *segments*, which override older ones, and the state of the transactions into
 * the *head*. Then a single write of the manifest makes all of this the state (`kv_layout.ts`).
 *
 * ```text
 *   state = segment 1, segment 2, … segment n   entries, each segment over all before it
 *           head                                records at the time of the last checkpoint
 *           chunk k, chunk k + 1, …             records since then
 * ```
 *
 * A crash leaves the state as of some commit. What that means for recovery:
 *
 * 1. in the middle of a force: the tail ends in an unfinished record, which is cut off. Nobody was
 *    told that it is durable.
 * 2. in a checkpoint before its switch: the manifest names the old segments, the old head, and all
 *    chunks; the checkpoint's blobs have ids from `nextBlob` on, and are deleted.
 * 3. after the switch: the manifest names what is still to be deleted.
 *
 * Garbage: a checkpoint reads the oldest segments, writes what still holds into its own, and leaves
 * them away, until about half of what is stored holds. Whether an entry still holds the node itself
 * says, so the journal needs no memory for any key. As the oldest segments go first, no older one can
 * hold the key of a deletion in them: deletions go with them.
 *
 * One commit is under way at a time. Forces come first, but let one commit of a checkpoint pass after
 * each of their own; everything that is appended during a commit shares the next.
 *
 * @module
 */

import type { Logger } from "@std/log";
import { type ByteReader, MalformedError } from "../../byte_reader.ts";
import type { ByteString } from "../../byte_string.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { readKeyRecord, writeKeyRecord } from "../../transaction_codec.ts";
import { INCARNATION_MAX, type JournalRecord } from "../../two_phase/messages.ts";
import { BlobWriter } from "./blob_writer.ts";
import type { CheckpointOptions, Journal, JournalIdentity, RecoveryTarget } from "./journal.ts";
import { isOwnerAlive, type JournalOwner, OwnerBeacon } from "./journal_owner.ts";
import { ItemReader, ItemWriter, seal, unseal } from "./journal_parts.ts";
import {
  type Blob,
  BLOB_PREFIX,
  blobKey,
  CHUNK_PREFIX,
  chunkKey,
  deadKeys,
  EMPTY_MANIFEST,
  FORMAT,
  type Manifest,
  MANIFEST_KEY,
  type Meta,
  META_KEY,
  OWNER_KEY,
  parseManifest,
  parseMeta,
  parseOwner,
  ROOT,
  withoutDead,
  writeManifest,
} from "./kv_layout.ts";
import { type KvBatch, type KvStore, openKvStore, reasonOf } from "./kv_store.ts";
import { readRecords, writeRecords } from "./record_codec.ts";

/** Chunks of one commit of a force: the store takes 800 KB at a time. */
const CHUNKS_PER_COMMIT = 8;

/** Keys that are deleted by one commit: the space of each has to be freed page by page. */
const DELETES_PER_COMMIT = 32;

/** Parts that are read at a time when nothing else is going on. */
const READ_BATCH = 32;

/** Parts that are read at a time while forces wait for the store. */
const READ_BATCH_IN_BACKGROUND = 2;

/** About how many bytes an entry needs besides its key and value: length, flag, version, lengths. */
const ENTRY_OVERHEAD_BYTES = 16;

/** Segments beyond what their bytes need: so many small ones are merged. */
const SMALL_SEGMENTS_MAX = 64;

/** How often another process may be faster when it opens a journal at the same time. */
const ATTEMPTS_MAX = 5;

/** How large things are. Tests use smaller ones. */
export interface KvJournalSizes {
  /** A segment ends after the entry that takes it to this size. */
  readonly segmentBytesMax: number;
  /** Garbage that is not worth the trouble. */
  readonly slackBytes: number;
}

const DEFAULT_SIZES: KvJournalSizes = {
  segmentBytesMax: 16 * 1024 * 1024,
  slackBytes: 32 * 1024 * 1024,
};

/** What {@linkcode openKvJournal} needs. */
export interface KvJournalOptions {
  /**
   * The database file, or a directory that has it: needs the permission to read and write there.
   * Without it: the store that the runtime keeps for this program, which needs none.
   */
  readonly path?: string;
  /** What the database is called where `path` is a directory: `dks.kv`, if not given. */
  readonly fileName?: string;
  /** Which part of the runtime's own store it is: nodes of one user on one machine share that. */
  readonly part?: string;
  /** What the place is called for people, instead of the path. */
  readonly placeName?: string;
  /** Called once when a commit fails: nothing is durable from then on, the process must end. */
  readonly onFatal: (error: FatalError) => void;
  readonly logger?: Logger;
  /** How another process is asked whether it lives. */
  readonly isOwnerAlive?: (owner: JournalOwner) => Promise<boolean>;
  /** What to use in the place of the database. It is closed with the journal. */
  readonly store?: KvStore;
  readonly sizes?: KvJournalSizes;
}

/**
 * Opens a journal, makes it where there is none, and takes it for this process.
 *
 * @throws {FatalError} where the place cannot be opened, holds something else or a later format, or
 * belongs to a process that lives.
 */
export async function openKvJournal(options: KvJournalOptions): Promise<Journal> {
  const { store, place } = await open(options);
  const beacon = startBeacon();
  try {
    const { meta, ownerStamp } = await takeOwnership({
      store,
      place,
      owner: beacon.owner,
      isOwnerAlive: options.isOwnerAlive ?? isOwnerAlive,
      logger: options.logger,
    });
    return new KvJournal({ ...options, store, place, beacon, meta, ownerStamp });
  } catch (error) {
    beacon.close();
    store.close();
    if (error instanceof FatalError) throw error;
    throw new FatalError(`cannot open the journal ${place}: ${reasonOf(error)}`);
  }
}

async function open(options: KvJournalOptions): Promise<{ store: KvStore; place: string }> {
  const { store, placeName } = options;
  if (store !== undefined) return { store, place: placeName ?? "given" };
  return await openKvStore(options);
}

function startBeacon(): OwnerBeacon {
  try {
    return new OwnerBeacon();
  } catch (error) {
    throw new FatalError(`cannot listen on the loopback interface: ${messageOf(error)}`);
  }
}

// --- Ownership -------------------------------------------------------------------------------

interface Taking {
  readonly store: KvStore;
  readonly place: string;
  readonly owner: JournalOwner;
  readonly isOwnerAlive: (owner: JournalOwner) => Promise<boolean>;
  readonly logger: Logger | undefined;
}

/** Writes this process down as the owner. */
async function takeOwnership(taking: Taking): Promise<{ meta: Meta; ownerStamp: string }> {
  const { store, place, owner } = taking;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const metaItem = await store.get(META_KEY);
    const isNew = metaItem.value === null;
    if (isNew) await expectEmpty(store, place);
    const meta = isNew
      ? { format: FORMAT, journal: crypto.randomUUID(), incarnation: 0 }
      : readMeta(metaItem.value, place);
    const ownerItem = await store.get(OWNER_KEY);
    await expectNoOwner(taking, ownerItem.value);
    const ownerStamp = await store.commit({
      checks: [
        { key: META_KEY, versionstamp: metaItem.versionstamp },
        { key: OWNER_KEY, versionstamp: ownerItem.versionstamp },
      ],
      sets: [
        { key: OWNER_KEY, value: owner },
        ...(isNew
          ? [
            { key: META_KEY, value: meta },
            { key: MANIFEST_KEY, value: writeManifest(EMPTY_MANIFEST) },
          ]
          : []),
      ],
    });
    if (ownerStamp !== undefined) return { meta, ownerStamp };
    // Another process was faster: it is asked in its turn.
  }
  throw new FatalError(`the journal ${place} is being opened by other processes again and again`);
}

async function expectEmpty(store: KvStore, place: string): Promise<void> {
  for await (const { key } of store.list({ prefix: [] }, 1)) {
    throw new FatalError(
      key[0] === ROOT
        ? `the journal ${place} is damaged: it lacks its first record`
        : `the database ${place} holds the data of another program`,
    );
  }
}

function readMeta(value: unknown, place: string): Meta {
  let meta: Meta;
  try {
    meta = parseMeta(value);
  } catch (error) {
    throw new FatalError(`the journal ${place} is damaged: ${messageOf(error)}`);
  }
  if (meta.format !== FORMAT) {
    throw new FatalError(
      `the journal ${place} has format ${meta.format}, this program knows format ${FORMAT}`,
    );
  }
  if (meta.incarnation >= INCARNATION_MAX) {
    throw new FatalError(
      `the journal ${place} was started on ${meta.incarnation} times, no more go`,
    );
  }
  return meta;
}

async function expectNoOwner(taking: Taking, value: unknown): Promise<void> {
  const former = parseOwner(value);
  if (former === undefined) return;
  if (await taking.isOwnerAlive(former)) {
    throw new FatalError(`the journal ${taking.place} is in use by another process`);
  }
  taking.logger?.info("the journal was not closed by the process that used it last");
}

// --- The journal -----------------------------------------------------------------------------

/** Something that has to wait for its turn with the store. */
interface Job {
  readonly work: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a checkpoint replaces the state with. */
interface CheckpointPlan extends Omit<CheckpointOptions, "liveKeys" | "liveBytes"> {
  /** Bytes that may be stored after it. */
  readonly storedBytesMax: number;
  /** Whether the old entries are left away unseen. */
  readonly discards: boolean;
}

/** Ends a checkpoint when the journal is closed under it. */
class ClosedError extends Error {
  override name = "ClosedError";
}

class KvJournal implements Journal {
  #identity: JournalIdentity;
  readonly place: string;
  readonly #store: KvStore;
  readonly #beacon: OwnerBeacon;
  readonly #ownerStamp: string;
  readonly #onFatal: (error: FatalError) => void;
  readonly #logger: Logger | undefined;
  readonly #sizes: KvJournalSizes;
  #state: "opened" | "recovering" | "ready" | "closed" = "opened";
  #failure: FatalError | undefined;
  #manifest: Manifest = EMPTY_MANIFEST;

  /** What was appended and is not on its way yet. */
  readonly #pending = new ItemWriter();
  #tailBytes = 0;
  #nextChunk = 0;
  /** Where in `pending` a checkpoint has made its cut, and the number of the first chunk after it. */
  #cutAt: number | undefined;
  #cutChunk = 0;

  /** Who waits for the next commit of the tail. */
  #forces: (() => void)[] = [];
  readonly #jobs: Job[] = [];
  #isWriting = false;
  #pumping: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;

  constructor(options: {
    store: KvStore;
    place: string;
    beacon: OwnerBeacon;
    meta: Meta;
    ownerStamp: string;
    onFatal: (error: FatalError) => void;
    logger?: Logger;
    sizes?: KvJournalSizes;
  }) {
    const { meta } = options;
    this.#identity = { journal: meta.journal, incarnation: meta.incarnation + 1 };
    this.place = options.place;
    this.#store = options.store;
    this.#beacon = options.beacon;
    this.#ownerStamp = options.ownerStamp;
    this.#onFatal = options.onFatal;
    this.#logger = options.logger;
    this.#sizes = options.sizes ?? DEFAULT_SIZES;
  }

  get identity(): JournalIdentity {
    return this.#identity;
  }

  get tailBytes(): number {
    return this.#tailBytes;
  }

  // --- Recovery ------------------------------------------------------------------------------

  async recover(target: RecoveryTarget): Promise<void> {
    if (this.#state !== "opened") throw new Error("a journal is recovered once");
    this.#state = "recovering";
    try {
      const manifest = await this.#readManifest();
      await this.#readEntries(manifest.segments, target);
      await this.#readBlobs("head", manifest.head, (reader) => {
        readRecords(reader, (record) => target.restoreRecord(record));
      });
      const unfinished = await this.#readTail(manifest.firstChunk, (reader) => {
        readRecords(reader, (record) => target.restoreRecord(record));
      });
      // Everything could be read: only from here on the journal changes.
      await this.#cutOff(unfinished);
      await this.#sweep(manifest);
      const nextBlob = await this.#deleteUnfinishedBlobs(manifest.nextBlob);
      this.#manifest = withoutDead({ ...manifest, nextBlob });
      const meta: Meta = { format: FORMAT, ...this.identity };
      await this.#commit({
        sets: [
          { key: META_KEY, value: meta },
          { key: MANIFEST_KEY, value: writeManifest(this.#manifest) },
        ],
      });
    } catch (error) {
      if (error instanceof FatalError) throw error;
      throw new FatalError(`cannot read the journal ${this.place}: ${reasonOf(error)}`);
    }
    this.#state = "ready";
  }

  async #readManifest(): Promise<Manifest> {
    const { value } = await this.#store.get(MANIFEST_KEY);
    try {
      return parseManifest(value);
    } catch (error) {
      throw this.#damage("the manifest", error);
    }
  }

  /** Restores the newest entry of each key: newest first, so that nothing else is ever kept. */
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
    for (const blob of blobs) await this.#readBlob(blob, { name, batchSize: READ_BATCH, receive });
  }

  /** Hands every item of `blob` to `receive`, and waits for `afterPart` after each part. */
  async #readBlob(blob: Blob, options: {
    name: string;
    batchSize: number;
    receive: (reader: ByteReader) => void;
    afterPart?: () => Promise<void> | undefined;
  }): Promise<void> {
    const { batchSize, receive, afterPart } = options;
    const name = `${options.name} ${blob.id}`;
    const items = new ItemReader();
    const selector = { prefix: [...BLOB_PREFIX, blob.id] };
    let part = 0;
    for await (const { key, value } of this.#store.list(selector, batchSize)) {
      if (key.at(-1) !== part) break;
      this.#push(items, { value, name: `part ${part} of ${name}`, receive });
      part++;
      const waiting = afterPart?.();
      if (waiting !== undefined) await waiting;
    }
    if (part < blob.parts) throw this.#damage(`part ${part} of ${name}`, "it is missing");
    if (part > blob.parts) throw this.#damage(name, `it has more than ${blob.parts} parts`);
    if (items.held > 0) throw this.#damage(name, "it ends in the middle");
  }

  /** Reads the tail. Returns what stands behind its last whole record. */
  async #readTail(
    firstChunk: number,
    receive: (reader: ByteReader) => void,
  ): Promise<UnfinishedRecord> {
    const items = new ItemReader();
    const selector = { prefix: CHUNK_PREFIX, start: chunkKey(firstChunk) };
    let begin = { chunk: firstChunk, content: NO_BYTES, offset: 0 };
    let next = firstChunk;
    for await (const { key, value } of this.#store.list(selector, READ_BATCH)) {
      const chunk = next++;
      const name = `chunk ${chunk} of the tail`;
      if (key.at(-1) !== chunk) throw this.#damage(name, "it is missing");
      const content = this.#push(items, { value, name, receive });
      this.#tailBytes += content.length;
      const { held } = items;
      if (held <= content.length) begin = { chunk, content, offset: content.length - held };
    }
    this.#nextChunk = next;
    return { ...begin, bytes: items.held };
  }

  #push(
    items: ItemReader,
    part: { value: unknown; name: string; receive: (reader: ByteReader) => void },
  ): Uint8Array {
    try {
      const content = unseal(part.value);
      items.push(content, part.receive);
      return content;
    } catch (error) {
      if (error instanceof MalformedError) throw this.#damage(part.name, error);
      throw error;
    }
  }

  /**
   * Removes a record that was not written to its end, from the back: a crash in between leaves one
   * that is a little shorter.
   */
  async #cutOff(unfinished: UnfinishedRecord): Promise<void> {
    const { bytes, chunk, offset, content } = unfinished;
    if (bytes === 0) return;
    this.#logger?.info(`${bytes} bytes of a record that was never finished were dropped`);
    this.#tailBytes -= bytes;
    const kept = offset === 0 ? chunk : chunk + 1;
    while (this.#nextChunk > kept) {
      const from = Math.max(kept, this.#nextChunk - DELETES_PER_COMMIT);
      const deletes = [];
      for (let number = from; number < this.#nextChunk; number++) deletes.push(chunkKey(number));
      await this.#commit({ deletes });
      this.#nextChunk = from;
    }
    if (offset === 0) return;
    await this.#commit({
      sets: [{ key: chunkKey(chunk), value: seal(content.subarray(0, offset)) }],
    });
  }

  /** Deletes what an unfinished checkpoint has left. Returns the first id that is free. */
  async #deleteUnfinishedBlobs(from: number): Promise<number> {
    let next = from;
    let deletes: Deno.KvKey[] = [];
    const selector = { prefix: BLOB_PREFIX, start: blobKey(from, 0) };
    for await (const { key } of this.#store.list(selector, READ_BATCH)) {
      const id = key.at(-2);
      if (typeof id === "number") next = Math.max(next, id + 1);
      deletes.push(key);
      if (deletes.length < DELETES_PER_COMMIT) continue;
      await this.#commit({ deletes });
      deletes = [];
    }
    if (deletes.length > 0) await this.#commit({ deletes });
    return next;
  }

  #damage(what: string, why: unknown): FatalError {
    return new FatalError(`the journal ${this.place} is damaged: ${what}: ${messageOf(why)}`);
  }

  // --- Appending and forcing -----------------------------------------------------------------

  append(records: readonly JournalRecord[]): void {
    if (this.#state === "opened" || this.#state === "recovering") {
      throw new Error("a journal is recovered before anything is appended");
    }
    if (this.#isOver) return;
    this.#tailBytes += writeRecords(records, (write) => this.#pending.add(write));
  }

  force(done: () => void): void {
    if (this.#isOver) return;
    if (this.#pending.length === 0 && !this.#isWriting && this.#forces.length === 0) {
      done();
      return;
    }
    this.#forces.push(done);
    this.#wake();
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || this.#state === "closed";
  }

  #wake(): void {
    this.#pumping ??= this.#pump();
  }

  /** Does what there is to do with the store, one thing after the other. */
  async #pump(): Promise<void> {
    // Whoever comes in the same turn of the event loop shares the commit.
    await Promise.resolve();
    while (this.#failure === undefined && (this.#forces.length > 0 || this.#jobs.length > 0)) {
      if (this.#forces.length > 0) await this.#writeTail().catch(this.#rethrowBug);
      const job = this.#jobs.shift();
      if (job !== undefined) await job.work().then(job.resolve, job.reject);
    }
    this.#pumping = undefined;
  }

  /** A commit that failed was told to the node already; anything else is an error of the node. */
  readonly #rethrowBug = (error: unknown): void => {
    if (error !== this.#failure) throw error;
  };

  /** Commits everything that was appended so far, and tells who waits for it. */
  async #writeTail(): Promise<void> {
    const forces = this.#forces;
    this.#forces = [];
    const { before, after } = this.#pending.takeAll(this.#cutAt);
    if (this.#cutAt !== undefined) {
      this.#cutChunk = this.#nextChunk + before.length;
      this.#cutAt = undefined;
    }
    this.#isWriting = true;
    const chunks = [...before, ...after];
    for (let at = 0; at < chunks.length; at += CHUNKS_PER_COMMIT) {
      const sets = chunks.slice(at, at + CHUNKS_PER_COMMIT).map((value) => {
        return { key: chunkKey(this.#nextChunk++), value };
      });
      await this.#commit({ sets });
    }
    this.#isWriting = false;
    for (const done of forces) done();
  }

  /**
   * Makes a change durable, if this process still owns the journal.
   *
   * @throws {FatalError} where that fails. The node knows it then.
   */
  async #commit(batch: KvBatch): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const checks = [{ key: OWNER_KEY, versionstamp: this.#ownerStamp }];
    let stamp: string | undefined;
    try {
      stamp = await this.#store.commit({ ...batch, checks });
    } catch (error) {
      throw this.#fail(`cannot write the journal ${this.place}: ${reasonOf(error)}`);
    }
    if (stamp === undefined) {
      throw this.#fail(`another process has taken over the journal ${this.place}`);
    }
  }

  #fail(message: string, cause?: unknown): FatalError {
    const error = new FatalError(message, { cause });
    this.#failure = error;
    for (const job of this.#jobs.splice(0)) job.reject(error);
    // A recovery tells its caller itself.
    if (this.#state === "ready") this.#onFatal(error);
    return error;
  }

  /** Has `work` done when the store is free and the forces had their turn. */
  #inBackground(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#state === "closed") return Promise.reject(new ClosedError());
    return new Promise((resolve, reject) => {
      this.#jobs.push({ work, resolve, reject });
      this.#wake();
    });
  }

  // --- Checkpoints ---------------------------------------------------------------------------

  checkpoint(options: CheckpointOptions): Promise<void> {
    const liveBytes = options.liveBytes + options.liveKeys * ENTRY_OVERHEAD_BYTES;
    const storedBytesMax = 2 * liveBytes + this.#sizes.slackBytes;
    return this.#checkpointOnce({ ...options, storedBytesMax, discards: false });
  }

  replaceState(records: readonly JournalRecord[]): Promise<void> {
    return this.#checkpointOnce({
      tail: records,
      changed: [],
      isCurrent: () => false,
      storedBytesMax: 0,
      discards: true,
    });
  }

  async renew(): Promise<void> {
    const identity: JournalIdentity = { journal: crypto.randomUUID(), incarnation: 1 };
    const meta: Meta = { format: FORMAT, ...identity };
    // The id first: an empty journal with an id that counts would be a member without a memory.
    await this.#inBackground(() => this.#commit({ sets: [{ key: META_KEY, value: meta }] }));
    this.#identity = identity;
    await this.#checkpointing; // A checkpoint under way is of what is given up here.
    await this.replaceState([]);
  }

  async #checkpointOnce(plan: CheckpointPlan): Promise<void> {
    if (this.#state !== "ready" && !this.#isOver) {
      throw new Error("the journal is not recovered yet");
    }
    if (this.#checkpointing !== undefined) throw new Error("one checkpoint at a time");
    const checkpointing = this.#runCheckpoint(plan);
    this.#checkpointing = checkpointing.catch(() => {});
    try {
      await checkpointing;
    } catch (error) {
      if (error instanceof ClosedError) return;
      if (error === this.#failure) throw error;
      // Whatever it was, its blobs stand in the way of the next checkpoint: only a start removes them.
      const message = error instanceof FatalError ? error.message : undefined;
      throw this.#fail(
        message ?? `a checkpoint of the journal ${this.place} failed: ${messageOf(error)}`,
        error,
      );
    } finally {
      this.#checkpointing = undefined;
    }
  }

  async #runCheckpoint(plan: CheckpointPlan): Promise<void> {
    const firstChunk = await this.#cut();
    const began = performance.now();
    const old = this.#manifest;
    const writer = new BlobWriter({
      nextId: old.nextBlob,
      blobBytesMax: this.#sizes.segmentBytesMax,
      commit: (batch) => this.#inBackground(() => this.#commit(batch)),
    });
    for (const record of plan.tail) {
      writeRecords([record], (write) => writer.add(write));
      if (writer.isFull) await writer.flush();
    }
    const head = await writer.finish();
    // Without an older segment there is nothing that a deletion could override.
    const needsDeletions = old.segments.length > 0 && !plan.discards;
    for (const entry of plan.changed) {
      if (entry.value === undefined && !needsDeletions) continue;
      writer.add((bytes) => writeKeyRecord(bytes, entry));
      if (writer.isFull) await writer.flush();
    }
    const kept = plan.discards ? [] : await this.#rewriteOldest({ plan, writer, old });
    const segments = [...kept, ...await writer.finish()];
    const blobs = [...old.head, ...old.segments.slice(0, old.segments.length - kept.length)];
    const { nextId: nextBlob } = writer;
    const dead = { blobs, chunksFrom: old.firstChunk };
    // The switch: a crash before it leaves the old state, one after it the new.
    await this.#replaceManifest({ firstChunk, nextBlob, head, segments, dead });
    await this.#sweep(this.#manifest, (batch) => this.#inBackground(() => this.#commit(batch)));
    await this.#replaceManifest(withoutDead(this.#manifest));
    const ms = Math.round(performance.now() - began);
    this.#logger?.debug(`checkpoint: ${writer.total} bytes in ${ms} ms`, {
      segments: segments.length,
    });
  }

  /**
   * Ends the tail as it is now: what is appended from now on goes into chunks of its own.
   *
   * @returns the number of the first of these, when everything before it is durable.
   */
  async #cut(): Promise<number> {
    this.#cutAt = this.#pending.length;
    this.#tailBytes = 0;
    await this.#inBackground(() => this.#writeTail());
    return this.#cutChunk;
  }

  /** Writes anew what holds in the oldest segments, while too much is stored. Returns the others. */
  async #rewriteOldest(
    { plan, writer, old }: { plan: CheckpointPlan; writer: BlobWriter; old: Manifest },
  ): Promise<readonly Blob[]> {
    const countMax = SMALL_SEGMENTS_MAX + plan.storedBytesMax / this.#sizes.segmentBytesMax;
    let oldBytes = old.segments.reduce((sum, { bytes }) => sum + bytes, 0);
    let rewritten = 0;
    for (const segment of old.segments) {
      const count = old.segments.length - rewritten + writer.count;
      if (oldBytes + writer.total <= plan.storedBytesMax && count <= countMax) break;
      await this.#rewrite(segment, { plan, writer });
      oldBytes -= segment.bytes;
      rewritten++;
    }
    return old.segments.slice(rewritten);
  }

  async #rewrite(
    segment: Blob,
    { plan, writer }: { plan: CheckpointPlan; writer: BlobWriter },
  ): Promise<void> {
    await this.#readBlob(segment, {
      name: "segment",
      batchSize: READ_BATCH_IN_BACKGROUND,
      receive: (reader) => {
        const entry = readKeyRecord(reader);
        if (entry.value === undefined || !plan.isCurrent(entry)) return;
        writer.add((bytes) => writeKeyRecord(bytes, entry));
      },
      afterPart: () => writer.isFull ? writer.flush() : undefined,
    });
  }

  async #replaceManifest(manifest: Manifest): Promise<void> {
    const sets = [{ key: MANIFEST_KEY, value: writeManifest(manifest) }];
    await this.#inBackground(() => this.#commit({ sets }));
    this.#manifest = manifest;
  }

  /** Deletes what `manifest` says is dead. */
  async #sweep(
    manifest: Manifest,
    commit: (batch: KvBatch) => Promise<void> = (batch) => this.#commit(batch),
  ): Promise<void> {
    let deletes: Deno.KvKey[] = [];
    for (const key of deadKeys(manifest)) {
      deletes.push(key);
      if (deletes.length < DELETES_PER_COMMIT) continue;
      await commit({ deletes });
      deletes = [];
    }
    if (deletes.length > 0) await commit({ deletes });
  }

  // --- The end -------------------------------------------------------------------------------

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    const wasReady = this.#state === "ready";
    this.#state = "closed";
    for (const job of this.#jobs.splice(0)) job.reject(new ClosedError());
    await this.#pumping;
    await this.#checkpointing;
    try {
      if (wasReady) await this.#writeTail();
      await this.#commit({ deletes: [OWNER_KEY] });
    } catch {
      // Nobody waits for it: what was forced is durable, and the next owner finds this one dead.
    }
    this.#beacon.close();
    this.#store.close();
  }
}

const NO_BYTES: Uint8Array = new Uint8Array();

/** What stands behind the last whole record of the tail: nothing, where `bytes` is 0. */
interface UnfinishedRecord {
  readonly bytes: number;
  /** The chunk in which it begins, and where. */
  readonly chunk: number;
  readonly content: Uint8Array;
  readonly offset: number;
}
