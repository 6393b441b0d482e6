/**
 * Which keys of the embedded store the journal uses, and their values.
 *
 * | key                       | value                                                          |
 * | ------------------------- | -------------------------------------------------------------- |
 * | `dks`, `meta`             | format, id of the journal, incarnation (an object)             |
 * | `dks`, `owner`            | the process that uses it (an object, `journal_owner.ts`)       |
 * | `dks`, `manifest`         | what belongs to the state: JSON in a part                      |
 * | `dks`, `chunk`, n         | part n of the stream of records after the last checkpoint      |
 * | `dks`, `blob`, id, n      | part n of a blob: a stream of entries (a segment), or of the   |
 * |                           | records that stood for all earlier ones at the checkpoint      |
 *
 * Only what the manifest names is part of the state: the chunks from `firstChunk` on, and its
 * blobs. So a single write of the manifest replaces the whole state.
 *
 * @module
 */

import { MalformedError } from "../../byte_reader.ts";
import { seal, unseal } from "./journal_parts.ts";
import type { JournalOwner } from "./journal_owner.ts";

/** The format that this program writes. */
export const FORMAT = 5;

/**
 * The formats that it reads. In format 4, views have no learners. A journal of any other format is left
 * alone; one of an earlier format has {@linkcode FORMAT} from its recovery on, and one of a later format,
 * which the next release has begun to write, keeps that: the release before must not take it for its own.
 */
export const FORMATS_READ: readonly number[] = [4, FORMAT];

/** Returns the format that a journal has which had `format`, once this program has recovered it. */
export function formatAfter(format: number): number {
  return Math.max(format, FORMAT);
}

/** The first part of every key. */
export const ROOT = "dks";

export const META_KEY: Deno.KvKey = [ROOT, "meta"];
export const OWNER_KEY: Deno.KvKey = [ROOT, "owner"];
export const MANIFEST_KEY: Deno.KvKey = [ROOT, "manifest"];
export const CHUNK_PREFIX: Deno.KvKey = [ROOT, "chunk"];
export const BLOB_PREFIX: Deno.KvKey = [ROOT, "blob"];

export function chunkKey(number: number): Deno.KvKey {
  return [...CHUNK_PREFIX, number];
}

export function blobKey(id: number, part: number): Deno.KvKey {
  return [...BLOB_PREFIX, id, part];
}

/** What is known of a journal as a whole. */
export interface Meta {
  readonly format: number;
  /** Random id, made with the journal. */
  readonly journal: string;
  /** How often it was recovered. */
  readonly incarnation: number;
}

/** A stream of items that is written once. */
export interface Blob {
  readonly id: number;
  readonly parts: number;
  readonly bytes: number;
}

/** What belongs to the state. */
export interface Manifest {
  /** The number of the first chunk after the last checkpoint. */
  readonly firstChunk: number;
  /** Blobs from this id on belong to a checkpoint that did not finish. */
  readonly nextBlob: number;
  /** The records that replace all records before `firstChunk`. */
  readonly head: readonly Blob[];
  /** Entries; the later segment overrides the earlier one. */
  readonly segments: readonly Blob[];
  /** An entry that a node outside the view keeps beside the others, which it drops to join. */
  readonly kept: readonly Blob[];
  /** What the last checkpoint replaced and may still have to be deleted. */
  readonly dead: {
    readonly blobs: readonly Blob[];
    /** Chunks from here up to `firstChunk`. */
    readonly chunksFrom: number;
  };
}

/** The state of a new journal. */
export const EMPTY_MANIFEST: Manifest = {
  firstChunk: 0,
  nextBlob: 0,
  head: [],
  segments: [],
  kept: [],
  dead: { blobs: [], chunksFrom: 0 },
};

/** Returns `manifest` with nothing left to delete. */
export function withoutDead(manifest: Manifest): Manifest {
  return { ...manifest, dead: { blobs: [], chunksFrom: manifest.firstChunk } };
}

/** Yields the keys that `manifest` says are to be deleted. */
export function* deadKeys({ dead, firstChunk }: Manifest): Generator<Deno.KvKey> {
  for (const { id, parts } of dead.blobs) {
    for (let part = 0; part < parts; part++) yield blobKey(id, part);
  }
  for (let number = dead.chunksFrom; number < firstChunk; number++) yield chunkKey(number);
}

/**
 * Parses the value at {@linkcode META_KEY}, whatever its format.
 *
 * @throws {MalformedError} if it is something else.
 */
export function parseMeta(value: unknown): Meta {
  if (isObject(value)) {
    const { format, journal, incarnation } = value;
    if (isCount(format) && typeof journal === "string" && isCount(incarnation)) {
      return { format, journal, incarnation };
    }
    // A later format may keep anything else here.
    if (isCount(format) && !FORMATS_READ.includes(format)) {
      return { format, journal: "", incarnation: 0 };
    }
  }
  throw new MalformedError("it says neither format nor id");
}

/**
 * Parses the value at {@linkcode OWNER_KEY}.
 *
 * @returns `undefined` if there is no owner to ask.
 */
export function parseOwner(value: unknown): JournalOwner | undefined {
  if (!isObject(value)) return undefined;
  const { instance, hostname, port } = value;
  if (typeof instance !== "string" || typeof hostname !== "string" || !isCount(port)) {
    return undefined;
  }
  return { instance, hostname, port };
}

/** Returns the value for {@linkcode MANIFEST_KEY}. */
export function writeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  const { firstChunk, nextBlob, head, segments, kept, dead } = manifest;
  const text = JSON.stringify({
    firstChunk,
    nextBlob,
    head: head.map(toRow),
    segments: segments.map(toRow),
    kept: kept.map(toRow),
    dead: dead.blobs.map(toRow),
    chunksFrom: dead.chunksFrom,
  });
  return seal(new TextEncoder().encode(text));
}

/**
 * Parses the value at {@linkcode MANIFEST_KEY}.
 *
 * @throws {MalformedError} if it is something else.
 */
export function parseManifest(value: unknown): Manifest {
  const fields: unknown = JSON.parse(new TextDecoder().decode(unseal(value)));
  if (isObject(fields)) {
    const { firstChunk, nextBlob, chunksFrom } = fields;
    const [head, segments, blobs] = ["head", "segments", "dead"].map((name) =>
      toBlobs(fields[name])
    );
    const kept = fields["kept"] === undefined ? [] : toBlobs(fields["kept"]);
    if (
      isCount(firstChunk) && isCount(nextBlob) && isCount(chunksFrom) && head && segments && kept &&
      blobs
    ) {
      return { firstChunk, nextBlob, head, segments, kept, dead: { blobs, chunksFrom } };
    }
  }
  throw new MalformedError("it lacks a field");
}

/** A blob in the short form of the manifest: there may be thousands. */
function toRow({ id, parts, bytes }: Blob): readonly number[] {
  return [id, parts, bytes];
}

function toBlobs(rows: unknown): readonly Blob[] | undefined {
  if (!Array.isArray(rows)) return undefined;
  const blobs: Blob[] = [];
  for (const row of rows) {
    if (!Array.isArray(row)) return undefined;
    const [id, parts, bytes]: unknown[] = row;
    if (!isCount(id) || !isCount(parts) || !isCount(bytes)) return undefined;
    blobs.push({ id, parts, bytes });
  }
  return blobs;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
