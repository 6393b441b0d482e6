/**
 * The owner of the journal in a database: one process, which has recorded itself there.
 *
 * Every commit of an owner depends on that record being in place (`KvJournal.#commit`), so a
 * process that was taken for dead, and is not, fails at its next commit.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Logger } from "@std/log";
import { now } from "../../clock.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { INCARNATION_MAX } from "../../two_phase/messages.ts";
import { PLACE_CHECK_MS } from "./journal.ts";
import type { JournalOwner, OwnerState } from "./journal_owner.ts";
import {
  EMPTY_MANIFEST,
  FORMAT,
  FORMATS_READ,
  MANIFEST_KEY,
  type Meta,
  META_KEY,
  OWNER_KEY,
  parseMeta,
  parseOwner,
  ROOT,
  writeManifest,
} from "./kv_layout.ts";
import type { KvStore } from "./kv_store.ts";

/** How often another process that opens the journal at the same time may be faster. */
const ATTEMPTS_MAX = 5;

/**
 * How long a process that has taken the journal from a silent owner waits before it uses it, in
 * milliseconds: the owner may go on at any time, and knows after `ASK_AGAIN_MS` (`owner_watch.ts`).
 */
const SILENT_OWNER_MS = 2000;

/**
 * An owner that goes on right after it was asked in vain asks the journal `ASK_AGAIN_MS` later. If the commit
 * takes longer than this, in milliseconds, it may not have found that done yet, and finds it done when it looks
 * at its place the next time.
 */
const FAST_COMMIT_MS = 1000;

/**
 * Returns how long the journal of a silent owner is left alone once it is taken, in milliseconds.
 *
 * @param commitMs from the end of the question to the owner to that of the commit
 */
function silentOwnerMs(commitMs: number): number {
  return SILENT_OWNER_MS + (commitMs > FAST_COMMIT_MS ? PLACE_CHECK_MS : 0);
}

/** What {@linkcode takeOwnership} needs. */
export interface Taking {
  readonly store: KvStore;
  readonly place: string;
  readonly owner: JournalOwner;
  readonly askOwner: (owner: JournalOwner) => Promise<OwnerState>;
  readonly logger: Logger | undefined;
  /** Waits so many milliseconds; for tests. */
  readonly wait?: (ms: number) => Promise<void>;
}

/**
 * Records this process as the owner.
 *
 * @returns the journal's metadata, and the version of the owner's record
 * @throws {FatalError} if the database holds something else or a later format, or its owner is
 * alive.
 */
export async function takeOwnership(taking: Taking): Promise<{ meta: Meta; ownerStamp: string }> {
  const { store, place, owner } = taking;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const metaItem = await store.get(META_KEY);
    const isNew = metaItem.value === null;
    if (isNew) await expectEmpty(store, place);
    const meta = isNew
      ? { format: FORMAT, journal: crypto.randomUUID(), incarnation: 0 }
      : readMeta(metaItem.value, place);
    const ownerItem = await store.get(OWNER_KEY);
    const former = await formerOwner(taking, ownerItem.value);
    const askedAt = now();
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
    if (ownerStamp !== undefined) {
      if (former === "silent") await waitForSilent(taking, now() - askedAt);
      return { meta, ownerStamp };
    }
    // Another process was faster: ask that one in the next attempt.
  }
  throw new FatalError(`the journal ${place} is being opened by other processes again and again`);
}

/** @param commitMs see {@linkcode silentOwnerMs} */
async function waitForSilent(taking: Taking, commitMs: number): Promise<void> {
  const { wait = delay, logger, place } = taking;
  const ms = silentOwnerMs(commitMs);
  if (ms > SILENT_OWNER_MS) {
    const [took, waits] = [`${Math.round(commitMs)} ms`, `${ms / 1000} s`];
    logger?.warn(
      `took ${took} to take the journal ${place}: waits ${waits}, until the process that used it ` +
        "last has looked there",
    );
  }
  await wait(ms);
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
  if (!FORMATS_READ.includes(meta.format)) {
    throw new FatalError(
      `the journal ${place} has format ${meta.format}, this program knows ${
        FORMATS_READ.join(" and ")
      }`,
    );
  }
  if (meta.incarnation >= INCARNATION_MAX) {
    throw new FatalError(
      `the journal ${place} was started on ${meta.incarnation} times, which is the most`,
    );
  }
  return meta;
}

/** @throws {FatalError} if the owner in `value` is alive. */
async function formerOwner(taking: Taking, value: unknown): Promise<"none" | "dead" | "silent"> {
  const former = parseOwner(value);
  if (former === undefined) return "none";
  const state = await taking.askOwner(former);
  if (state === "alive") {
    throw new FatalError(`the journal ${taking.place} is in use by another process`);
  }
  taking.logger?.info(
    state === "dead"
      ? "the journal was not closed by the process that used it last"
      : "the process that used the journal last does not answer: takes the journal from it",
  );
  return state;
}
