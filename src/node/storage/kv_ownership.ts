/**
 * The owner of the journal in a database: one process, which has recorded itself there.
 *
 * Every commit of an owner depends on that record being in place (`KvJournal.#commit`), so a
 * process that was taken for dead, and is not, fails at its next commit.
 *
 * @module
 */

import type { Logger } from "@std/log";
import { FatalError, messageOf } from "../../errors.ts";
import { INCARNATION_MAX } from "../../two_phase/messages.ts";
import type { JournalOwner } from "./journal_owner.ts";
import {
  EMPTY_MANIFEST,
  FORMAT,
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

/** What {@linkcode takeOwnership} needs. */
export interface Taking {
  readonly store: KvStore;
  readonly place: string;
  readonly owner: JournalOwner;
  readonly isOwnerAlive: (owner: JournalOwner) => Promise<boolean>;
  readonly logger: Logger | undefined;
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
    // Another process was faster: ask that one in the next attempt.
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
      `the journal ${place} was started on ${meta.incarnation} times, which is the most`,
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
