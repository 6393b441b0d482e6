/**
 * Exports under way: snapshots that clients read piece by piece (DKS.EXPORT).
 *
 * While a snapshot is read, the values that are overwritten meanwhile stay in memory. So there are
 * few at a time, and an export that is not read for a while is dropped. Finding the next keys takes
 * long if clients may see only few of many entries, so it is done in slices, and other work runs
 * between them.
 *
 * @module
 */

import { type ByteString, quote } from "../../byte_string.ts";
import { EXPORT_CHUNK_BYTES, EXPORT_IDLE_MS, EXPORTS_MAX, REPLY_BYTES_MAX } from "../../limits.ts";
import { encodeBulk } from "../../resp/encoder.ts";
import { EncodedArray, ErrorReply, type RespValue } from "../../resp/value.ts";
import type { Outcome, Refusal } from "../../two_phase/request.ts";
import type { Snapshot, SnapshotEntry } from "../../two_phase/snapshot.ts";
import { SnapshotRequest } from "../../two_phase/snapshot_request.ts";
import type { Driver } from "../driver.ts";
import type { KeyPattern } from "../commands/command.ts";
import { busy, rejected } from "../commands/rejections.ts";
import { replyOf } from "./outcome_reply.ts";

/** A slice of work ends after this long, in milliseconds. */
const SLICE_MS = 5;

/** How many keys are visited between two readings of the clock. */
const LOOKS_PER_STEP = 256;

/** How long their comparison with a pattern may take between these, in steps of some nanoseconds. */
const STEPS_PER_STEP = 64 * 1024;

/** The reply to KEYS is put together in parts of this length: the engine copies the bytes of each at once. */
const PART_BYTES = 64 * 1024;

/** What a call of KEYS is answered that has waited too long. */
const KEYS_LATE = busy("earlier calls of KEYS took all of its time");

interface Export {
  readonly snapshot: Snapshot;
  usedAtMs: number;
  /** How many calls are reading a piece. */
  readers: number;
}

/** What exports need from the node. */
export interface ExportHost {
  /** `undefined` until the node has found its own entry, and while it starts over. */
  readonly driver: Pick<Driver, "submit"> | undefined;
  /** Why there is no driver. */
  readonly notReady: Refusal;
  /** How long a call of KEYS waits for earlier ones at the most, in milliseconds. */
  readonly waitMsMax: number;
}

/** Returns the same string, which the engine keeps as one piece: to look at it has the parts copied. */
function inOnePiece(text: ByteString): ByteString {
  text.charCodeAt(0);
  return text;
}

/** The exports of one node. */
export class Exports {
  readonly #host: ExportHost;
  readonly #nowMs: () => number;
  readonly #byId = new Map<ByteString, Export>();
  /** Exports that wait for their moment: they may keep values already. */
  #starting = 0;
  /** Resolves when the last call of KEYS that has come is done with its snapshot. */
  #lastKeys: Promise<void> = Promise.resolve();
  /** How many calls of KEYS are not done with theirs. */
  #keysWaiting = 0;

  /**
   * @param host the node
   * @param nowMs returns a time in milliseconds that never goes back
   */
  constructor(host: ExportHost, nowMs: () => number) {
    this.#host = host;
    this.#nowMs = nowMs;
  }

  /** Answers DKS.EXPORT: starts an export of this moment. */
  async begin(): Promise<RespValue> {
    const { obstacle } = this;
    if (obstacle !== undefined) return obstacle;
    this.#starting++;
    const snapshot = await this.#takeSnapshot().finally(() => this.#starting--);
    return snapshot instanceof ErrorReply ? snapshot : this.add(snapshot);
  }

  async #takeSnapshot(): Promise<Snapshot | ErrorReply> {
    const { driver, notReady } = this.#host;
    if (driver === undefined) return rejected(notReady);
    const request = new SnapshotRequest();
    const outcome = await new Promise<Outcome>((resolve) => {
      driver.submit(request, { onOutcome: resolve });
    });
    if (outcome.kind === "answered") return outcome.reply as Snapshot;
    request.release();
    return replyOf(outcome) as ErrorReply;
  }

  /**
   * Answers KEYS: all keys of one moment that `pattern` describes. One call after the other takes a snapshot and
   * reads it. A call that has waited for earlier ones is rejected if it has no snapshot by the time that it
   * may wait, as each of those may wait for its own for as long.
   */
  keys(pattern: KeyPattern): Promise<RespValue> {
    const { promise, resolve, reject } = Promise.withResolvers<RespValue>();
    let isLate = false;
    const timer = this.#keysWaiting === 0 ? undefined : setTimeout(() => {
      isLate = true;
      resolve(KEYS_LATE);
    }, this.#host.waitMsMax);
    const answer = async () => {
      if (isLate) return;
      const snapshot = await this.#takeSnapshot();
      clearTimeout(timer);
      if (snapshot instanceof ErrorReply) resolve(snapshot);
      else if (isLate) snapshot.release();
      else resolve(await this.#keysOf(snapshot, pattern));
    };
    this.#keysWaiting++;
    this.#lastKeys = this.#lastKeys.then(answer).catch(reject)
      .finally(() => this.#keysWaiting--);
    return promise;
  }

  async #keysOf(snapshot: Snapshot, pattern: KeyPattern): Promise<RespValue> {
    const parts: ByteString[] = [];
    let part = "";
    let bytes = 0;
    let count = 0;
    let stepsMax = STEPS_PER_STEP;
    const take = ({ key }: SnapshotEntry) => {
      if (pattern.matches(key)) {
        const element = encodeBulk(key);
        count++;
        bytes += element.length;
        part += element;
        if (part.length >= PART_BYTES) {
          parts.push(inOnePiece(part));
          part = "";
        }
      }
      if (pattern.steps < stepsMax) return false;
      stepsMax = pattern.steps + STEPS_PER_STEP;
      return true;
    };
    await this.#readSliced(snapshot, take, () => bytes <= REPLY_BYTES_MAX);
    if (bytes > REPLY_BYTES_MAX) snapshot.release();
    return new EncodedArray(count, parts.join("") + part);
  }

  /** Reads a snapshot while `goesOn`, and lets everything else go on between the slices. */
  async #readSliced(
    snapshot: Snapshot,
    receive: (entry: SnapshotEntry) => boolean,
    goesOn: () => boolean,
  ): Promise<void> {
    let sliceBeganAt = this.#nowMs();
    while (goesOn() && snapshot.read(LOOKS_PER_STEP, receive)) {
      if (this.#nowMs() - sliceBeganAt < SLICE_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      sliceBeganAt = this.#nowMs();
    }
  }

  /** Why no export can start now; `undefined` if one can. */
  get obstacle(): ErrorReply | undefined {
    if (this.#byId.size + this.#starting < EXPORTS_MAX) return undefined;
    return busy(`this node has ${EXPORTS_MAX} exports under way already`);
  }

  /** Keeps `snapshot` for clients to read. Returns its id and how many keys it has. */
  add(snapshot: Snapshot): RespValue {
    const { obstacle } = this;
    if (obstacle !== undefined) {
      snapshot.release();
      return obstacle;
    }
    const id = crypto.randomUUID();
    this.#byId.set(id, { snapshot, usedAtMs: this.#nowMs(), readers: 0 });
    return [id, snapshot.size];
  }

  /**
   * Returns the next keys, each followed by its value and its expiry (or null); none at the end, which
   * ends the export.
   */
  async next(id: ByteString): Promise<RespValue> {
    const found = this.#byId.get(id);
    if (found === undefined) {
      const message = `there is no export ${quote(id)}: it has ended, or was not read for ${
        EXPORT_IDLE_MS / 1000
      } s`;
      return new ErrorReply("ERR", message);
    }
    found.usedAtMs = this.#nowMs();
    const chunk: RespValue[] = [];
    let bytes = 0;
    const add = ({ key, value, expiresAtMs }: SnapshotEntry) => {
      chunk.push(key, value, expiresAtMs ?? null);
      bytes += key.length + value.length;
      return bytes >= EXPORT_CHUNK_BYTES;
    };
    found.readers++;
    await this.#readSliced(found.snapshot, add, () => bytes < EXPORT_CHUNK_BYTES);
    found.readers--;
    found.usedAtMs = this.#nowMs();
    if (chunk.length === 0) this.#byId.delete(id);
    return chunk;
  }

  /** Drops the exports that were not read for a while. */
  dropIdle(): void {
    const before = this.#nowMs() - EXPORT_IDLE_MS;
    for (const [id, { usedAtMs, snapshot, readers }] of this.#byId) {
      if (usedAtMs >= before || readers > 0) continue;
      snapshot.release();
      this.#byId.delete(id);
    }
  }
}
