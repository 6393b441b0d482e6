/**
 * The embedded store of Deno, as far as the journal uses it.
 *
 * Underneath is an SQLite database in WAL mode with full synchronization: a commit that was reported
 * has reached the disk.
 *
 * @module
 */

import { FatalError, messageOf } from "../../errors.ts";

/** One change of several keys, done wholly or not at all. */
export interface KvBatch {
  /** Nothing is done unless these keys have these versions; `null`: do not exist. */
  readonly checks?: readonly { readonly key: Deno.KvKey; readonly versionstamp: string | null }[];
  readonly sets?: readonly { readonly key: Deno.KvKey; readonly value: unknown }[];
  readonly deletes?: readonly Deno.KvKey[];
}

/** What a key holds: `null` and `null` where it does not exist. */
export interface KvItem {
  readonly key: Deno.KvKey;
  readonly value: unknown;
  readonly versionstamp: string | null;
}

/** An ordered store of keys and values. */
export interface KvStore {
  get(key: Deno.KvKey): Promise<KvItem>;
  /** Returns what is there in the order of the keys, `batchSize` at a time. */
  list(selector: Deno.KvListSelector, batchSize: number): AsyncIterable<KvItem>;
  /**
   * Makes a change durable.
   *
   * @returns the version that it gives to the keys that it sets, or `undefined` where a check failed.
   */
  commit(batch: KvBatch): Promise<string | undefined>;
  close(): void;
}

/** The store of the runtime. */
class DenoKvStore implements KvStore {
  readonly #kv: Deno.Kv;

  constructor(kv: Deno.Kv) {
    this.#kv = kv;
  }

  get(key: Deno.KvKey): Promise<KvItem> {
    return this.#kv.get<unknown>(key);
  }

  list(selector: Deno.KvListSelector, batchSize: number): AsyncIterable<KvItem> {
    return this.#kv.list<unknown>(selector, { batchSize });
  }

  async commit(batch: KvBatch): Promise<string | undefined> {
    let operation = this.#kv.atomic();
    for (const check of batch.checks ?? []) operation = operation.check(check);
    for (const { key, value } of batch.sets ?? []) operation = operation.set(key, value);
    for (const key of batch.deletes ?? []) operation = operation.delete(key);
    const result = await operation.commit();
    return result.ok ? result.versionstamp : undefined;
  }

  close(): void {
    this.#kv.close();
  }
}

/** A part of a store: all keys that begin with a prefix. */
class PrefixedKvStore implements KvStore {
  readonly #store: KvStore;
  readonly #prefix: Deno.KvKey;

  constructor(store: KvStore, prefix: Deno.KvKey) {
    this.#store = store;
    this.#prefix = prefix;
  }

  async get(key: Deno.KvKey): Promise<KvItem> {
    const item = await this.#store.get(this.#whole(key));
    return { ...item, key };
  }

  async *list(selector: Deno.KvListSelector, batchSize: number): AsyncGenerator<KvItem> {
    for await (const item of this.#store.list(this.#wholeSelector(selector), batchSize)) {
      yield { ...item, key: item.key.slice(this.#prefix.length) };
    }
  }

  commit(batch: KvBatch): Promise<string | undefined> {
    const { checks = [], sets = [], deletes = [] } = batch;
    return this.#store.commit({
      checks: checks.map((check) => ({ ...check, key: this.#whole(check.key) })),
      sets: sets.map((set) => ({ ...set, key: this.#whole(set.key) })),
      deletes: deletes.map((key) => this.#whole(key)),
    });
  }

  close(): void {
    this.#store.close();
  }

  #whole(key: Deno.KvKey): Deno.KvKey {
    return [...this.#prefix, ...key];
  }

  #wholeSelector(selector: Deno.KvListSelector): Deno.KvListSelector {
    if (!("prefix" in selector)) {
      return { start: this.#whole(selector.start), end: this.#whole(selector.end) };
    }
    const prefix = this.#whole(selector.prefix);
    if ("start" in selector) return { prefix, start: this.#whole(selector.start) };
    if ("end" in selector) return { prefix, end: this.#whole(selector.end) };
    return { prefix };
  }
}

/** The name of the database in a directory that is given for it. */
const FILE_NAME = "dks.kv";

/** Where {@linkcode openKvStore} finds the database. */
export interface KvPlace {
  /** A file, or a directory that holds it. Without it: the one that the runtime keeps. */
  readonly path?: string | undefined;
  /** What the database in a directory is called. */
  readonly fileName?: string | undefined;
  /** Which keys of the runtime's own database these are: those that begin with it. */
  readonly part?: string | undefined;
  /** What the runtime's own database is called for people. */
  readonly placeName?: string | undefined;
}

/**
 * Opens a database. The one that the runtime keeps for this program needs no permission; several nodes
 * may share it, each with a part of its own.
 *
 * @returns the store, and what its place is called for people.
 * @throws {FatalError} where it cannot be opened, or belongs to a program that is no user of this kind
 * of store; that is left as it is.
 */
export async function openKvStore(where: KvPlace): Promise<{ store: KvStore; place: string }> {
  const { path, fileName = FILE_NAME, part = "node" } = where;
  const file = path === undefined || !await isDirectory(path)
    ? path
    : `${path.replace(/[/\\]+$/, "")}/${fileName}`;
  const place = file ?? where.placeName ?? "in the default store of this program";
  try {
    if (file !== undefined) await expectKvOrNothing(file);
    const whole = new DenoKvStore(await Deno.openKv(file));
    return { store: file === undefined ? new PrefixedKvStore(whole, [part]) : whole, place };
  } catch (error) {
    if (error instanceof FatalError) throw error;
    const reason = await reasonNotOpened(error, file);
    throw new FatalError(`cannot open the journal ${place}: ${reason}`);
  }
}

/**
 * Makes sure that what stands at `file` may be opened as a store: that would add tables to any other
 * database of the same engine. Of the runtime's own place nobody else knows.
 *
 * @throws {FatalError} where it may not.
 */
async function expectKvOrNothing(file: string): Promise<void> {
  try {
    if ((await Deno.stat(file)).size === 0) return;
  } catch {
    return; // It is not there, or the attempt to open it tells what is wrong with it.
  }
  // Loaded when it is needed: nodes that keep their journal in the default place never do.
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    if (tables.length === 0 || tables.some(({ name }) => name === "migration_state")) return;
  } finally {
    database.close();
  }
  throw new FatalError(`the database ${file} holds the data of another program`);
}

async function reasonNotOpened(error: unknown, file: string | undefined): Promise<string> {
  if (error instanceof Deno.errors.NotCapable && file !== undefined) {
    return `this program may not use files there, one made by "deno task compile --data ${file}" may`;
  }
  const folder = file?.match(/^(.*)[/\\][^/\\]*$/)?.[1];
  if (folder !== undefined && folder !== "" && !await isDirectory(folder)) {
    return `there is no folder ${folder}`;
  }
  return reasonOf(error);
}

/** Returns what went wrong in the database, for people. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error);
  if (/disk is full|no space left/i.test(message)) {
    return "the disk is full; nothing that was acknowledged is lost: make room and start it again";
  }
  if (/read-?only/i.test(message)) return "it cannot be written, only read";
  // Its folder may be one that can only be read: the database does not say which it is.
  if (/^unable to open database file/.test(message)) {
    return "the file, or its folder, cannot be opened for reading and writing";
  }
  return message.replace(/\.$/, "");
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // The attempt to open it tells what is wrong with it.
  }
}
