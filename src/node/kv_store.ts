/**
 * The embedded store of Deno, as far as the journal uses it.
 *
 * Underneath is an SQLite database in WAL mode with full synchronization: a commit that was reported
 * has reached the disk.
 *
 * @module
 */

import { FatalError, messageOf } from "../errors.ts";

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

/**
 * Opens the database at `path`: a file, or a directory that holds it. Without a path it is the one that
 * the runtime keeps for this program, which needs no permission; of that, only the keys that begin
 * with `part`, so that several nodes may share it.
 *
 * @throws {FatalError} where it cannot be opened.
 */
export async function openKvStore(
  path: string | undefined,
  part = "node",
): Promise<{ store: KvStore; path: string | undefined }> {
  const file = path === undefined || !await isDirectory(path)
    ? path
    : `${path.replace(/[/\\]+$/, "")}/${FILE_NAME}`;
  try {
    const whole = new DenoKvStore(await Deno.openKv(file));
    const store = file === undefined ? new PrefixedKvStore(whole, [part]) : whole;
    return { store, path: file };
  } catch (error) {
    throw new FatalError(`cannot open the journal ${nameOf(file)}: ${reasonOf(error)}`);
  }
}

/** Returns how a store is called in a message. */
function nameOf(file: string | undefined): string {
  return file === undefined ? "in the default store of this program" : `at "${file}"`;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "it needs the permission to read and write there (--allow-read, --allow-write)";
  }
  // The message of the database repeats the path behind a colon.
  return messageOf(error).replace(/^(unable to open database file): .*$/, "$1");
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // The attempt to open it tells what is wrong with it.
  }
}
