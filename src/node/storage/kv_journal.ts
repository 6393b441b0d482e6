/**
 * The durable journal, kept in the embedded store of the runtime.
 *
 * Appended records go to the end of one stream, the *tail*, which is cut into chunks of at most 60
 * KiB. A checkpoint replaces the tail by its result: the changed entries go into new *segments*,
 * which override older ones, and the state of the transactions goes into the *head*. Then a single
 * write of the manifest makes all of this the state (`kv_layout.ts`).
 *
 * ```text
 *   state = segment 1, segment 2, … segment n   entries, each segment over all before it
 *           head                                records at the time of the last checkpoint
 *           chunk k, chunk k + 1, …             records since then
 * ```
 *
 * A crash leaves the state of some commit. What that means for recovery:
 *
 * 1. in the middle of a force: the tail ends in an unfinished record, which recovery cuts off. It
 *    was never reported as durable.
 * 2. in a checkpoint before its switch: the manifest names the old segments, the old head, and all
 *    chunks; the checkpoint's blobs have ids from `nextBlob` on, and are deleted.
 * 3. after the switch: the manifest names what is still to be deleted.
 *
 * Garbage: a checkpoint reads the oldest segments, copies the entries that are still current into
 * its own, and drops the old segments, until about half of the stored data is current. The node
 * says whether an entry is current, so the journal needs no memory per key. As the oldest segments
 * go first, no older one can hold the key of a deletion in them, so their deletions are dropped
 * too.
 *
 * One commit is under way at a time. Forces come first, but after each commit of a force, one
 * commit of a checkpoint may run; everything that is appended during a commit shares the next.
 *
 * @module
 */

import type { Logger } from "@std/log";
import { now } from "../../clock.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { invariant, InvariantError } from "../../invariant.ts";
import { readKeyRecord, writeKeyRecord } from "../../transaction_codec.ts";
import type { JournalRecord, KeyRecord } from "../../two_phase/messages.ts";
import { BlobWriter } from "./blob_writer.ts";
import type { CheckpointOptions, Journal, JournalIdentity, RecoveryTarget } from "./journal.ts";
import { askOwner, type JournalOwner, OwnerBeacon, type OwnerState } from "./journal_owner.ts";
import { ItemWriter, PART_BYTES_MAX } from "./journal_parts.ts";
import {
  type Blob,
  chunkKey,
  EMPTY_MANIFEST,
  formatAfter,
  type Manifest,
  MANIFEST_KEY,
  type Meta,
  META_KEY,
  OWNER_KEY,
  parseManifest,
  parseOwner,
  withoutDead,
  writeManifest,
} from "./kv_layout.ts";
import { takeOwnership } from "./kv_ownership.ts";
import { deleteDead, KvRecovery, readBlob, type Reading } from "./kv_recovery.ts";
import {
  describeRoom,
  type KvBatch,
  type KvStore,
  type OpenedKvStore,
  openKvStore,
  reasonOf,
} from "./kv_store.ts";
import { PatientKvStore } from "./patient_store.ts";
import { writeRecords } from "./record_codec.ts";
import { isOutOfRoom, Room } from "./room.ts";

/** Chunks of one commit of a force: the store takes at most 800 KB at a time. */
const CHUNKS_PER_COMMIT = 8;
const COMMIT_BYTES = CHUNKS_PER_COMMIT * PART_BYTES_MAX;

/** Parts of one commit of a checkpoint: a force waits for at most one commit. */
const PARTS_PER_COMMIT = 2;

/**
 * If the tail has grown by this much since a checkpoint began, the checkpoint commits as much as the
 * forces do: all that is appended meanwhile is stored twice until the next one has ended.
 */
const HURRY_BYTES = 4 * 1024 * 1024;

/** Parts that are read at a time while forces wait for the store. */
const READ_BATCH_IN_BACKGROUND = 2;

/** About how many bytes an entry needs besides its key and value: length, flag, version, lengths. */
const ENTRY_OVERHEAD_BYTES = 16;

/** More segments than this beyond what their bytes need are merged. */
const SMALL_SEGMENTS_MAX = 64;

/** The sizes of parts of the journal. Tests use smaller ones. */
export interface KvJournalSizes {
  /** A segment ends after the entry with which it reaches this size. */
  readonly segmentBytesMax: number;
  /** Garbage up to this size is not collected. */
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
  /** The file name of the database if `path` is a directory; by default `dks.kv`. */
  readonly fileName?: string;
  /**
   * Which part of the runtime's own store it is: nodes of one user on one machine share the store.
   */
  readonly part?: string;
  /** The human-readable name of the place, instead of the path. */
  readonly placeName?: string;
  /** Called once when a commit fails: nothing is durable from then on, and the process must end. */
  readonly onFatal: (error: FatalError) => void;
  readonly logger?: Logger;
  /**
   * A force has ended: how long it took without the waits for room, in milliseconds, and how many bytes it
   * has made durable.
   */
  readonly onForced?: (ms: number, bytes: number) => void;
  /**
   * A recovered journal has no room on its disk, for the reason given: nothing is lost, and its forces wait
   * until there is room. Or it has room again, and `undefined` is given.
   */
  readonly onRoom?: (shortage: string | undefined) => void;
  /** How long the first wait for room is, in milliseconds; for tests. */
  readonly roomPauseMs?: number;
  /**
   * Returns how many bytes the keys and values take that the journal holds, or is to hold;
   * `undefined` if that is not known yet. For the message when there is no room for them.
   */
  readonly dataBytes?: () => number | undefined;
  /**
   * Returns an entry that the next start is to know though this node has dropped all entries to join;
   * `undefined` if it has dropped none. It is asked at each checkpoint.
   */
  readonly kept?: () => KeyRecord | undefined;
  /** Asks whether another process is alive. */
  readonly askOwner?: (owner: JournalOwner) => Promise<OwnerState>;
  /** A store to use instead of the database. It is closed with the journal. */
  readonly store?: KvStore;
  readonly sizes?: KvJournalSizes;
}

/**
 * Opens a journal, or makes one if there is none, and takes ownership of it.
 *
 * @throws {FatalError} if the place cannot be opened, holds something else or a later format, or
 * belongs to a live process.
 */
export async function openKvJournal(options: KvJournalOptions): Promise<Journal> {
  const { store, place, openAgain } = await open(options);
  const beacon = startBeacon();
  try {
    const { meta, ownerStamp } = await takeOwnership({
      store,
      place,
      owner: beacon.owner,
      askOwner: options.askOwner ?? askOwner,
      logger: options.logger,
    });
    return new KvJournal({ ...options, store, place, openAgain, beacon, meta, ownerStamp });
  } catch (error) {
    const dataBytes = await dataBytesIn(store);
    beacon.close();
    store.close();
    if (error instanceof FatalError) throw error;
    throw new FatalError(`cannot open the journal ${place}: ${reasonOf(error, dataBytes)}`);
  }
}

/** Returns about how much the keys and values in `store` take; `undefined` if it cannot be read. */
async function dataBytesIn(store: KvStore): Promise<number | undefined> {
  try {
    return dataBytesOf(parseManifest((await store.get(MANIFEST_KEY)).value));
  } catch {
    return undefined;
  }
}

/** Values that were overwritten count, too. */
function dataBytesOf({ segments }: Manifest): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function open(options: KvJournalOptions): Promise<OpenedKvStore> {
  const { store, placeName = "given", logger } = options;
  const opened = store === undefined
    ? await openKvStore(options)
    : { store, place: placeName, openAgain: () => Promise.resolve(undefined) };
  const { place } = opened;
  const patient = (one: KvStore) => new PatientKvStore(one, { place, logger });
  return {
    place,
    store: patient(opened.store),
    openAgain: async () => {
      const again = await opened.openAgain();
      return again === undefined ? undefined : patient(again);
    },
  };
}

function startBeacon(): OwnerBeacon {
  try {
    return new OwnerBeacon();
  } catch (error) {
    throw new FatalError(`cannot listen on the loopback interface: ${messageOf(error)}`);
  }
}

// --- The journal -----------------------------------------------------------------------------

/** Work that waits for its turn with the store. */
interface Job {
  readonly work: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a checkpoint replaces the state with. */
interface CheckpointPlan extends Omit<CheckpointOptions, "liveKeys" | "liveBytes" | "replacesAll"> {
  /** Bytes that may be stored after it. */
  readonly storedBytesMax: number;
  /** Whether the old entries are dropped without reading them. */
  readonly discards: boolean;
}

/** Ends a checkpoint when the journal is closed under it. */
class ClosedError extends Error {
  override name = "ClosedError";
}

class KvJournal implements Journal {
  #identity: JournalIdentity;
  /** What the journal has once it is recovered. */
  readonly #format: number;
  readonly place: string;
  readonly #store: KvStore;
  readonly #openAgain: () => Promise<KvStore | undefined>;
  readonly #beacon: OwnerBeacon;
  readonly #ownerStamp: string;
  readonly #onFatal: (error: FatalError) => void;
  readonly #onForced: ((ms: number, bytes: number) => void) | undefined;
  readonly #logger: Logger | undefined;
  readonly #dataBytes: () => number | undefined;
  readonly #kept: () => KeyRecord | undefined;
  readonly #room: Room;
  readonly #sizes: KvJournalSizes;
  #state: "opened" | "recovering" | "ready" | "closed" = "opened";
  #failure: FatalError | undefined;
  #manifest: Manifest = EMPTY_MANIFEST;

  /** What was appended and is not being written yet. */
  readonly #pending = new ItemWriter();
  #tailBytes = 0;
  #nextChunk = 0;
  /**
   * Where in `pending` a checkpoint has cut the tail, and the number of the first chunk after it.
   */
  #cutAt: number | undefined;
  #cutChunk = 0;

  /** Callbacks that wait for the next commit of the tail. */
  #forces: (() => void)[] = [];
  readonly #jobs: Job[] = [];
  #isWriting = false;
  #pumping: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;

  constructor(options: {
    store: KvStore;
    place: string;
    openAgain: () => Promise<KvStore | undefined>;
    beacon: OwnerBeacon;
    meta: Meta;
    ownerStamp: string;
    onFatal: (error: FatalError) => void;
    onForced?: (ms: number, bytes: number) => void;
    onRoom?: (shortage: string | undefined) => void;
    roomPauseMs?: number;
    logger?: Logger;
    dataBytes?: () => number | undefined;
    kept?: () => KeyRecord | undefined;
    sizes?: KvJournalSizes;
  }) {
    const { meta } = options;
    this.#identity = { journal: meta.journal, incarnation: meta.incarnation + 1 };
    this.#format = formatAfter(meta.format);
    this.place = options.place;
    this.#store = options.store;
    this.#openAgain = options.openAgain;
    this.#beacon = options.beacon;
    this.#ownerStamp = options.ownerStamp;
    this.#onFatal = options.onFatal;
    this.#onForced = options.onForced;
    this.#logger = options.logger;
    this.#dataBytes = options.dataBytes ?? (() => undefined);
    this.#kept = options.kept ?? (() => undefined);
    this.#room = new Room({
      onRoom: (isDiskFull) => {
        options.onRoom?.(isDiskFull ? describeRoom(this.#bytesOfData) : undefined);
      },
      pauseMsMin: options.roomPauseMs,
    });
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
    invariant(this.#state === "opened", "a journal is recovered once");
    this.#state = "recovering";
    try {
      const recovery = new KvRecovery({
        ...this.#reading,
        commit: (batch) => this.#commit(batch),
        logger: this.#logger,
      });
      const { manifest, tailBytes, nextChunk } = await recovery.run(target);
      this.#manifest = manifest;
      this.#tailBytes = tailBytes;
      this.#nextChunk = nextChunk;
      const meta: Meta = { format: this.#format, ...this.identity };
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

  get #reading(): Reading {
    return { store: this.#store, place: this.place };
  }

  // --- Appending and forcing -----------------------------------------------------------------

  append(records: readonly JournalRecord[]): void {
    if (this.#state === "opened" || this.#state === "recovering") {
      throw new InvariantError("a journal is recovered before anything is appended");
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

  /** Does the work with the store, one job at a time. */
  async #pump(): Promise<void> {
    // Forces of the same turn of the event loop share the commit.
    await Promise.resolve();
    while (this.#failure === undefined && (this.#forces.length > 0 || this.#jobs.length > 0)) {
      const bytes = this.#forces.length === 0
        ? 0
        : await this.#writeTail().catch(this.#rethrowBug) ?? 0;
      await this.#runJob();
      for (let more = bytes; more > COMMIT_BYTES && this.#isInHurry; more -= COMMIT_BYTES) {
        // The next commit of the checkpoint is ready after this turn.
        await new Promise((resolve) => setTimeout(resolve));
        await this.#runJob();
      }
    }
    this.#pumping = undefined;
  }

  async #runJob(): Promise<void> {
    const job = this.#jobs.shift();
    if (job !== undefined) await job.work().then(job.resolve, job.reject);
  }

  /** Whether a checkpoint should end soon, for the room that the tail takes meanwhile. */
  get #isInHurry(): boolean {
    return this.#checkpointing !== undefined && this.#tailBytes >= HURRY_BYTES;
  }

  /** The node already knows of a failed commit; anything else is a bug. */
  readonly #rethrowBug = (error: unknown): void => {
    if (error !== this.#failure) throw error;
  };

  /** Commits everything appended so far, and calls what waits for it. Returns how many bytes. */
  async #writeTail(): Promise<number> {
    const forces = this.#forces;
    this.#forces = [];
    const { before, after } = this.#pending.takeAll(this.#cutAt);
    if (this.#cutAt !== undefined) {
      this.#cutChunk = this.#nextChunk + before.length;
      this.#cutAt = undefined;
    }
    this.#isWriting = true;
    const beganAt = now();
    const { waitedMs } = this.#room;
    const chunks = [...before, ...after];
    for (let at = 0; at < chunks.length; at += CHUNKS_PER_COMMIT) {
      const sets = chunks.slice(at, at + CHUNKS_PER_COMMIT).map((value) => {
        return { key: chunkKey(this.#nextChunk++), value };
      });
      await this.#commit({ sets });
    }
    this.#isWriting = false;
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    const roomMs = this.#room.waitedMs - waitedMs;
    if (bytes > 0) this.#onForced?.(now() - beganAt - roomMs, bytes);
    for (const done of forces) done();
    return bytes;
  }

  /**
   * Makes a change durable, if this process still owns the journal. Waits for room if there is none, in a
   * recovered journal that is not closed.
   *
   * @throws {FatalError} if that fails. The node already knows then.
   */
  async #commit(batch: KvBatch): Promise<void> {
    const checks = [{ key: OWNER_KEY, versionstamp: this.#ownerStamp }];
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        const stamp = await this.#store.commit({ ...batch, checks });
        if (stamp !== undefined) break;
      } catch (error) {
        if (this.#state !== "ready" || !isOutOfRoom(error)) {
          throw this.#fail(
            `cannot write the journal ${this.place}: ${reasonOf(error, this.#bytesOfData)}`,
          );
        }
        await this.#room.wait();
        continue;
      }
      throw this.#failAsTakenOver();
    }
    this.#room.found();
  }

  /** About how much the keys and values take that the journal holds, or is to hold. */
  get #bytesOfData(): number {
    return this.#dataBytes() ?? dataBytesOf(this.#manifest) + this.#tailBytes;
  }

  async confirmOwner(): Promise<void> {
    this.#throwFailure();
    let isOwner: boolean;
    try {
      isOwner = await this.#isOwnerIn(this.#store);
    } catch (error) {
      this.#throwFailure();
      if (this.#state === "closed") return;
      throw this.#fail(`cannot read the journal ${this.place}: ${reasonOf(error)}`);
    }
    // A commit may have found out meanwhile: whoever asks must not take that for a yes.
    this.#throwFailure();
    if (!isOwner && this.#state !== "closed") throw this.#failAsTakenOver();
  }

  async isInPlace(): Promise<boolean> {
    let isThere: boolean;
    try {
      const found = await this.#openAgain();
      try {
        isThere = found !== undefined && await this.#isOwnerIn(found);
      } finally {
        found?.close();
      }
    } catch (error) {
      throw new Error(reasonOf(error));
    }
    if (isThere || this.#isOver) return true;
    // What is there may be this store with another owner.
    await this.confirmOwner();
    return this.#isOver;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Tells whether `store` records this process as the owner. */
  async #isOwnerIn(store: KvStore): Promise<boolean> {
    const { value, versionstamp } = await store.get(OWNER_KEY);
    // Another store may have the same version by chance.
    return versionstamp === this.#ownerStamp &&
      parseOwner(value)?.instance === this.#beacon.owner.instance;
  }

  #failAsTakenOver(): FatalError {
    return this.#fail(`another process has taken over the journal ${this.place}`);
  }

  #fail(message: string, cause?: unknown): FatalError {
    const error = new FatalError(message, { cause });
    this.#failure = error;
    for (const job of this.#jobs.splice(0)) job.reject(error);
    // A recovery reports to its caller itself.
    if (this.#state === "ready") this.#onFatal(error);
    return error;
  }

  /** Runs `work` when the store is free and the forces have had their turn. */
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
    return this.#checkpointOnce({ ...options, storedBytesMax, discards: options.replacesAll });
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
    const meta: Meta = { format: this.#format, ...identity };
    // The id first: an empty journal with an id that counts would be a member without its promises.
    await this.#inBackground(() => this.#commit({ sets: [{ key: META_KEY, value: meta }] }));
    this.#identity = identity;
    // Stop a checkpoint under way: it is of the state that is given up here.
    await this.#checkpointing;
    await this.replaceState([]);
  }

  async #checkpointOnce(plan: CheckpointPlan): Promise<void> {
    if (this.#state !== "ready" && !this.#isOver) {
      throw new InvariantError("a journal is recovered before a checkpoint");
    }
    invariant(this.#checkpointing === undefined, "there is one checkpoint at a time");
    const checkpointing = this.#runCheckpoint(plan);
    this.#checkpointing = checkpointing.catch(() => {});
    try {
      await checkpointing;
    } catch (error) {
      if (error instanceof ClosedError) return;
      if (error === this.#failure) throw error;
      // Whatever failed, its blobs block the next checkpoint: only a restart removes them.
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
    const began = now();
    const old = this.#manifest;
    const writer = new BlobWriter({
      nextId: old.nextBlob,
      blobBytesMax: this.#sizes.segmentBytesMax,
      partsPerCommit: () => this.#isInHurry ? CHUNKS_PER_COMMIT : PARTS_PER_COMMIT,
      commit: (batch) => this.#inBackground(() => this.#commit(batch)),
    });
    for (const record of plan.tail) {
      writeRecords([record], (write) => writer.add(write));
      if (writer.isFull) await writer.flush();
    }
    const head = await writer.finish();
    const keptEntry = this.#kept();
    if (keptEntry !== undefined) writer.add((bytes) => writeKeyRecord(bytes, keptEntry));
    const kept = await writer.finish();
    // Without an older segment, a deletion overrides nothing.
    const needsDeletions = old.segments.length > 0 && !plan.discards;
    for (const entry of plan.changed) {
      if (entry.value === undefined && !needsDeletions) continue;
      writer.add((bytes) => writeKeyRecord(bytes, entry));
      if (writer.isFull) await writer.flush();
    }
    const rest = plan.discards ? [] : await this.#rewriteOldest({ plan, writer, old });
    const segments = [...rest, ...await writer.finish()];
    const dropped = old.segments.slice(0, old.segments.length - rest.length);
    const blobs = [...old.head, ...old.kept, ...dropped];
    const { nextId: nextBlob } = writer;
    const dead = { blobs, chunksFrom: old.firstChunk };
    // The switch: a crash before it leaves the old state, one after it the new.
    await this.#replaceManifest({ firstChunk, nextBlob, head, segments, kept, dead });
    await deleteDead(this.#manifest, (batch) => this.#inBackground(() => this.#commit(batch)));
    await this.#replaceManifest(withoutDead(this.#manifest));
    const ms = Math.round(now() - began);
    this.#logger?.debug(`checkpoint: ${writer.total} bytes in ${ms} ms`, {
      segments: segments.length,
    });
  }

  /**
   * Ends the tail here: later records go into new chunks.
   *
   * @returns the number of the first of these, when everything before it is durable.
   */
  async #cut(): Promise<number> {
    this.#cutAt = this.#pending.length;
    this.#tailBytes = 0;
    await this.#inBackground(async () => {
      await this.#writeTail();
    });
    return this.#cutChunk;
  }

  /**
   * Rewrites the current entries of the oldest segments, while too much is stored. Returns the
   * other segments.
   */
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
    await readBlob(this.#reading, segment, {
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

  // --- The end -------------------------------------------------------------------------------

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    const wasReady = this.#state === "ready";
    this.#state = "closed";
    for (const job of this.#jobs.splice(0)) job.reject(new ClosedError());
    this.#room.wakeUp();
    await this.#pumping;
    await this.#checkpointing;
    try {
      if (wasReady) await this.#writeTail();
      await this.#commit({ deletes: [OWNER_KEY] });
    } catch {
      // An error here does no harm: what was forced is durable, and the next owner finds this one
      // dead.
    }
    this.#beacon.close();
    this.#store.close();
  }
}
