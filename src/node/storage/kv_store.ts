/**
 * The part of Deno's embedded store that the journal uses.
 *
 * Underneath is an SQLite database in WAL mode with full synchronization: a commit that was
 * reported is on disk.
 *
 * @module
 */

import type { Logger } from "@std/log";
import { FatalError, messageOf } from "../../errors.ts";
import { isLocked, LOCKED_MS_MAX, whileLocked } from "./locked.ts";

/** One atomic change of several keys. */
export interface KvBatch {
  /**
   * The change is made only if these keys have these versions; `null` for a key that does not
   * exist.
   */
  readonly checks?: readonly { readonly key: Deno.KvKey; readonly versionstamp: string | null }[];
  readonly sets?: readonly { readonly key: Deno.KvKey; readonly value: unknown }[];
  readonly deletes?: readonly Deno.KvKey[];
}

/** What a key holds; `null` and `null` if it does not exist. */
export interface KvItem {
  readonly key: Deno.KvKey;
  readonly value: unknown;
  readonly versionstamp: string | null;
}

/** An ordered store of keys and values. */
export interface KvStore {
  get(key: Deno.KvKey): Promise<KvItem>;
  /** Lists the items in the order of their keys, reading `batchSize` at a time. */
  list(selector: Deno.KvListSelector, batchSize: number): AsyncIterable<KvItem>;
  /**
   * Makes a change durable.
   *
   * @returns the version that it gives to the keys that it sets, or `undefined` if a check failed.
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

/** A database that was opened. */
export interface OpenedKvStore {
  readonly store: KvStore;
  /** A human-readable name of its place. */
  readonly place: string;
  /**
   * Opens whatever is at the place now, beside `store`. The runtime's own database is made if it is
   * not there, like at any start.
   *
   * @returns `undefined` if the file is not there.
   */
  openAgain(): Promise<KvStore | undefined>;
}

/** Where {@linkcode openKvStore} looks for the database. */
export interface KvPlace {
  /** A file, or a directory that holds it. Without it: the one that the runtime keeps. */
  readonly path?: string | undefined;
  /** The file name of the database in a directory. */
  readonly fileName?: string | undefined;
  /** Which keys of the runtime's own database these are: those that begin with it. */
  readonly part?: string | undefined;
  /** The human-readable name of the runtime's own database. */
  readonly placeName?: string | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * Opens a database. The runtime's own database for this program needs no permission; several nodes
 * may share it, each with its own part.
 *
 * @throws {FatalError} if it cannot be opened, or is another program's SQLite database, which is
 * left unchanged.
 */
export async function openKvStore(where: KvPlace): Promise<OpenedKvStore> {
  const { path, fileName = FILE_NAME, part = "node" } = where;
  const file = path === undefined || !await isDirectory(path)
    ? path
    : `${path.replace(/[/\\]+$/, "")}/${fileName}`;
  const place = file ?? where.placeName ?? "in the default store of this program";
  const patience = { place, logger: where.logger };
  const openIt = async () => {
    const whole = new DenoKvStore(await whileLocked(patience, () => Deno.openKv(file)));
    return file === undefined ? new PrefixedKvStore(whole, [part]) : whole;
  };
  const openAgain = async () =>
    file !== undefined && await isMissing(file) ? undefined : await openIt();
  try {
    if (file !== undefined) await whileLocked(patience, () => expectKvOrNothing(file));
    return { store: await openIt(), place, openAgain };
  } catch (error) {
    if (error instanceof FatalError) throw error;
    const reason = await reasonNotOpened(error, file);
    throw new FatalError(`cannot open the journal ${place}: ${reason}`);
  }
}

/**
 * Makes sure that `file` may be opened as a store: opening it would add tables to any other SQLite
 * database. The runtime's own place needs no check, as no other program uses it.
 *
 * @throws {FatalError} if it may not.
 */
async function expectKvOrNothing(file: string): Promise<void> {
  try {
    if ((await Deno.stat(file)).size === 0) return;
  } catch {
    return; // It does not exist, or the attempt to open it reports what is wrong.
  }
  // Loaded on demand: nodes that keep their journal in the default place never need it.
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

/** The most that a journal takes: twice its data, and so much for the tail and for checkpoints. */
const EXTRA_ROOM_BYTES = 160 * 1024 * 1024;

/**
 * Returns what went wrong in the database, human-readable.
 *
 * @param dataBytes how much the keys and values in it take, if that is known
 */
export function reasonOf(error: unknown, dataBytes?: number): string {
  const message = messageOf(error);
  if (/disk is full|no space left/i.test(message)) {
    return "the disk is full; nothing that was acknowledged is lost: make room and start it again" +
      (dataBytes === undefined ? "" : `, ${describeRoom(dataBytes)}`);
  }
  if (isLocked(error)) {
    return `another process has had it locked for ${LOCKED_MS_MAX / 1000} s (${message})`;
  }
  if (/read-?only/i.test(message)) return "it cannot be written, only read";
  // Perhaps its folder is read-only: the database does not say which of the two it is.
  if (/^unable to open database file/.test(message)) {
    return "the file, or its folder, cannot be opened for reading and writing";
  }
  return message.replace(/\.$/, "");
}

/** Says how much room a journal needs with `dataBytes` of keys and values. */
export function describeRoom(dataBytes: number): string {
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString("en-US")} MB`;
  return `the journal of ${megabytes(dataBytes)} of keys and values takes up to ${
    megabytes(2 * dataBytes + EXTRA_ROOM_BYTES)
  }`;
}

async function isMissing(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // The attempt to open it reports what is wrong.
  }
}
