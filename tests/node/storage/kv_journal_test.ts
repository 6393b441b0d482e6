import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EVERYTHING } from "../../../src/reserved_keys.ts";
import type { ByteString } from "../../../src/byte_string.ts";
import { FatalError } from "../../../src/errors.ts";
import type { Journal, RecoveryTarget } from "../../../src/node/storage/journal.ts";
import { askOwner, OwnerBeacon } from "../../../src/node/storage/journal_owner.ts";
import { type KvJournalOptions, openKvJournal } from "../../../src/node/storage/kv_journal.ts";
import {
  chunkKey,
  FORMAT,
  formatAfter,
  META_KEY,
  parseMeta,
} from "../../../src/node/storage/kv_layout.ts";
import { takeOwnership } from "../../../src/node/storage/kv_ownership.ts";
import {
  type KvBatch,
  type KvItem,
  type KvStore,
  openKvStore,
} from "../../../src/node/storage/kv_store.ts";
import type { Effect, JournalRecord, KeyRecord } from "../../../src/two_phase/messages.ts";
import { until } from "../../harness/processes.ts";

// --- Helpers ---------------------------------------------------------------------------------

/** A store that outlives the journals that use it, and stops to take commits when it is told to. */
class TestStore implements KvStore {
  readonly #store: KvStore;
  /** How many commits are taken before one fails. */
  commitsLeft = Infinity;
  /** How it fails. */
  failure = "disk I/O error";
  commits = 0;

  constructor(store: KvStore) {
    this.#store = store;
  }

  static async open(): Promise<TestStore> {
    return new TestStore((await openKvStore({ path: ":memory:" })).store);
  }

  get(key: Deno.KvKey): Promise<KvItem> {
    return this.#store.get(key);
  }

  list(selector: Deno.KvListSelector, batchSize: number): AsyncIterable<KvItem> {
    return this.#store.list(selector, batchSize);
  }

  commit(batch: KvBatch): Promise<string | undefined> {
    if (this.commitsLeft-- <= 0) return Promise.reject(new Error(this.failure));
    this.commits++;
    return this.#store.commit(batch);
  }

  close(): void {}

  [Symbol.dispose](): void {
    this.#store.close();
  }

  async items(prefix: Deno.KvKey = []): Promise<KvItem[]> {
    const items: KvItem[] = [];
    for await (const item of this.list({ prefix }, 100)) items.push(item);
    return items;
  }

  /** The numbers of the chunks. */
  async chunks(): Promise<number[]> {
    return (await this.items(["dks", "chunk"])).map(({ key }) => Number(key.at(-1)));
  }

  async blobBytes(): Promise<number> {
    const items = await this.items(["dks", "blob"]);
    return items.reduce(
      (sum, { value }) => sum + (value instanceof Uint8Array ? value.length : 0),
      0,
    );
  }
}

/** A clock that is moved on by hand. */
class OwnClock implements Disposable {
  readonly #now = performance.now;
  #at = performance.now();

  constructor() {
    performance.now = () => this.#at;
  }

  pass(ms: number): void {
    this.#at += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

/** A directory that is gone after the test. */
async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function neverFatal(error: FatalError): void {
  throw error;
}

/** What a journal has handed over. */
class Recovered implements RecoveryTarget {
  readonly entries = new Map<ByteString, KeyRecord>();
  readonly records: JournalRecord[] = [];

  isRestored(key: ByteString): boolean {
    return this.entries.has(key);
  }

  restoreEntry(entry: KeyRecord): void {
    assertEquals(this.isRestored(entry.key), false);
    this.entries.set(entry.key, entry);
  }

  restoreRecord(record: JournalRecord): void {
    this.records.push(record);
  }
}

async function recover(journal: Journal): Promise<Recovered> {
  const recovered = new Recovered();
  await journal.recover(recovered);
  return recovered;
}

/** Opens, recovers and closes. */
async function read(options: Partial<KvJournalOptions>): Promise<Recovered> {
  const journal = await openKvJournal({ onFatal: neverFatal, ...options });
  try {
    return await recover(journal);
  } finally {
    await journal.close();
  }
}

function forced(journal: Journal): Promise<void> {
  return new Promise((resolve) => journal.force(resolve));
}

function committed(number: number): JournalRecord {
  return { type: "committed", coordinator: 0, number };
}

function prepared(number: number, effects: readonly Effect[]): JournalRecord {
  const common = { view: 1, priority: number, version: number, reads: [], follows: [] };
  return {
    type: "prepared",
    coordinator: 0,
    prepare: { type: "prepare", number, effects, ...common },
  };
}

/** A node in small: it writes one transaction after the other. */
class SmallNode implements RecoveryTarget {
  readonly journal: Journal;
  /** What is committed, as far as the node knows. */
  readonly state = new Map<ByteString, KeyRecord>();
  /** What a transaction does that may be durable or not. */
  underWay: readonly Effect[] = [];
  #number = 0;
  #changed = new Set<ByteString>();
  #isCleared = false;
  #undecided: readonly JournalRecord[] = [];
  readonly #restored = new Map<number, readonly Effect[]>();

  constructor(journal: Journal) {
    this.journal = journal;
  }

  isRestored(key: ByteString): boolean {
    return this.state.has(key);
  }

  restoreEntry(entry: KeyRecord): void {
    this.state.set(entry.key, entry);
    this.#number = Math.max(this.#number, entry.version);
  }

  restoreRecord(record: JournalRecord): void {
    if (record.type === "prepared") {
      this.#restored.set(record.prepare.number, record.prepare.effects);
    } else if (record.type === "committed") {
      const effects = this.#restored.get(record.number) ?? [];
      apply(this.state, effects, record.number);
      this.#takeNote(effects);
      this.#number = Math.max(this.#number, record.number);
    }
  }

  async write(effects: readonly Effect[]): Promise<void> {
    const number = ++this.#number;
    this.underWay = effects;
    this.#undecided = [prepared(number, effects), committed(number)];
    this.journal.append(this.#undecided);
    await forced(this.journal);
    this.#undecided = [];
    this.underWay = [];
    apply(this.state, effects, number);
    this.#takeNote(effects);
  }

  /** As the store does: after the deletion of all keys, all that there are have changed. */
  #takeNote(effects: readonly Effect[]): void {
    for (const { key } of effects) {
      if (key !== EVERYTHING) this.#changed.add(key);
      else {
        this.#isCleared = true;
        this.#changed = new Set(this.state.keys());
      }
    }
  }

  /** What may be recovered: the state as it is, or as the transaction under way makes it. */
  get possibleStates(): ReadonlyMap<ByteString, KeyRecord>[] {
    const next = new Map(this.state);
    apply(next, this.underWay, this.#number);
    return [this.state, next];
  }

  checkpoint(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    const replacesAll = this.#isCleared;
    this.#isCleared = false;
    let liveBytes = 0;
    for (const { key, value } of this.state.values()) {
      liveBytes += key.length + (value?.length ?? 0);
    }
    return this.journal.checkpoint({
      replacesAll,
      tail: this.#undecided,
      changed: this.#entries(changed),
      isCurrent: ({ key, value, version }) => {
        const entry = this.state.get(key);
        return entry?.version === version && entry.value === value;
      },
      liveKeys: this.state.size,
      liveBytes,
    });
  }

  *#entries(keys: ReadonlySet<ByteString>): Generator<KeyRecord> {
    for (const key of keys) {
      yield this.state.get(key) ?? { key, value: undefined, version: this.#number };
    }
  }
}

/** Carries out what a transaction does, but for keys that hold a later write already. */
function apply(
  state: Map<ByteString, KeyRecord>,
  effects: readonly Effect[],
  version: number,
): void {
  for (const { key, value } of effects) {
    if (key === EVERYTHING) {
      for (const [other, record] of state) if (record.version < version) state.delete(other);
      continue;
    }
    if ((state.get(key)?.version ?? 0) >= version) continue;
    if (value === undefined) state.delete(key);
    else state.set(key, { key, value, version });
  }
}

async function openNode(options: Partial<KvJournalOptions>): Promise<SmallNode> {
  const node = new SmallNode(await openKvJournal({ onFatal: neverFatal, ...options }));
  await node.journal.recover(node);
  return node;
}

/** So that a handful of entries makes several segments and much garbage. */
const SMALL_SIZES = { segmentBytesMax: 2000, slackBytes: 1000 };

// --- Appending and recovering ----------------------------------------------------------------

Deno.test("recover() returns what was forced, in order, with the same journal and a new incarnation", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/node.kv`;
  const records = [prepared(1, [{ key: "\xff", value: "\x00" }]), committed(1), committed(2)];
  const first = await openKvJournal({ path, onFatal: neverFatal });
  assertEquals(first.place, path);
  assertEquals(first.identity.incarnation, 1);
  assertEquals(await recover(first), new Recovered());
  first.append(records.slice(0, 2));
  await forced(first);
  first.append(records.slice(2));
  await forced(first);
  assertEquals(first.tailBytes > 0, true);
  await first.close();

  const second = await openKvJournal({ path, onFatal: neverFatal });
  assertEquals(second.identity, { journal: first.identity.journal, incarnation: 2 });
  assertEquals((await recover(second)).records, records);
  assertEquals(second.tailBytes, first.tailBytes);
  await second.close();
});

Deno.test("openKvJournal() takes a directory, and makes the database in it", async () => {
  await using directory = await temporaryDirectory();
  const journal = await openKvJournal({ path: directory.path, onFatal: neverFatal });
  assertEquals(journal.place, `${directory.path}/dks.kv`);
  await journal.close();
  assertEquals((await Deno.stat(`${directory.path}/dks.kv`)).isFile, true);
});

Deno.test("force() calls back at once when there is nothing to write, and shares commits else", async () => {
  using store = await TestStore.open();
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  let isDone = false;
  journal.force(() => isDone = true);
  assertEquals(isDone, true);

  const before = store.commits;
  const order: number[] = [];
  const all = Array.from({ length: 100 }, (_, index) => {
    journal.append([committed(index)]);
    return forced(journal).then(() => order.push(index));
  });
  assertEquals(order, []);
  await Promise.all(all);
  assertEquals(order, Array.from({ length: 100 }, (_, index) => index));
  assertEquals(store.commits - before, 1);
  await journal.close();
});

Deno.test("close() makes durable what was only appended", async () => {
  using store = await TestStore.open();
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  journal.append([committed(1)]);
  await journal.close();
  assertEquals((await read({ store })).records, [committed(1)]);
});

Deno.test("recover() returns a value of 8 MiB from the tail and from a segment", async () => {
  await using directory = await temporaryDirectory();
  const { path } = directory;
  const value = "\x00\x7f\x80\xff".repeat(2 * 1024 * 1024);
  const node = await openNode({ path });
  await node.write([{ key: "large", value }]);
  await node.journal.close();
  const again = await openNode({ path });
  assertEquals(again.state.get("large")?.value === value, true);
  await again.checkpoint();
  assertEquals(again.journal.tailBytes, 0);
  await again.journal.close();
  const { entries, records } = await read({ path });
  assertEquals(records, []);
  assertEquals(entries.get("large")?.value === value, true);
});

Deno.test("recover() drops only the record that was not written to its end when the tail is cut anywhere", async () => {
  using store = await TestStore.open();
  const records = Array.from({ length: 8 }, (_, index) => {
    const value = "v".repeat(index % 3 === 1 ? 150_000 : 10);
    return prepared(index, [{ key: "k", value }]);
  });
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  /** How many chunks there must be for so many records. */
  const needed: number[] = [];
  for (const record of records) {
    journal.append([record]);
    await forced(journal);
    needed.push((await store.chunks()).length);
  }
  await journal.close();
  for (let count = needed.at(-1) ?? 0; count >= 0; count--) {
    const chunks = await store.chunks();
    if (chunks.length > count) await store.commit({ deletes: [chunkKey(count)] });
    const whole = records.filter((_, index) => (needed[index] ?? 0) <= count);
    assertEquals((await read({ store })).records, whole, `${count} chunks`);
  }
});

Deno.test("recover() cuts off an unfinished record in the middle of a chunk, and continues there", async () => {
  using store = await TestStore.open();
  const large = prepared(2, [{ key: "k", value: "v".repeat(150_000) }]);
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  journal.append([committed(1), large, committed(3)]);
  await forced(journal);
  await journal.close();
  assertEquals(await store.chunks(), [0, 1, 2]);

  await store.commit({ deletes: [chunkKey(2)] });
  const second = await openKvJournal({ store, onFatal: neverFatal });
  assertEquals((await recover(second)).records, [committed(1)]);
  assertEquals(await store.chunks(), [0]);
  second.append([committed(4)]);
  await second.close();
  assertEquals((await read({ store })).records, [committed(1), committed(4)]);
});

// --- Damage ----------------------------------------------------------------------------------

/** Makes a journal with three chunks of tail and three parts of a segment. */
async function writeSome(store: TestStore): Promise<void> {
  const node = await openNode({ store });
  await node.write([{ key: "a", value: "x".repeat(150_000) }]);
  await node.checkpoint();
  await node.write([{ key: "b", value: "y".repeat(150_000) }]);
  await node.journal.close();
}

/** Everything in the store except its owner. */
async function contents(store: TestStore): Promise<KvItem[]> {
  return (await store.items()).filter(({ key }) => key[1] !== "owner");
}

Deno.test("recover() refuses a journal when anything in it is missing or changed, and leaves it as it is", async () => {
  using pattern = await TestStore.open();
  await writeSome(pattern);
  const items = await contents(pattern);
  assertEquals(items.length, 8);
  for (const [index, { key, value }] of items.entries()) {
    const name = key.slice(1).join(" ");
    const isPart = value instanceof Uint8Array;
    const isLastChunk = key[1] === "chunk" && items[index + 1]?.key[1] !== "chunk";
    for (const kind of ["missing", "changed"]) {
      if (kind === "missing" ? isLastChunk : !isPart) continue;
      using store = await TestStore.open();
      for (const item of items) await store.commit({ sets: [item] });
      if (kind === "missing") await store.commit({ deletes: [key] });
      else if (isPart) {
        const damaged = value.slice();
        const middle = damaged.length >> 1;
        damaged[middle] = (damaged[middle] ?? 0) ^ 0x10;
        await store.commit({ sets: [{ key, value: damaged }] });
      }
      const before = (await contents(store)).map(({ value }) => value);
      const error = await assertRejects(() => read({ store }), FatalError, "is damaged");
      assertEquals(error.message.includes("\n"), false);
      const after = (await contents(store)).map(({ value }) => value);
      assertEquals(after, before, `${name} ${kind}`);
    }
  }
});

Deno.test("recover() names what is damaged", async () => {
  using store = await TestStore.open();
  await writeSome(store);
  const [, chunk = 0] = await store.chunks();
  await store.commit({ deletes: [chunkKey(chunk)] });
  await assertRejects(
    () => read({ store, placeName: "of the test" }),
    FatalError,
    `the journal of the test is damaged: chunk ${chunk} of the tail: it is missing`,
  );
});

Deno.test("openKvJournal() refuses a database of another program, and leaves it as it is", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/other.kv`;
  const kv = await Deno.openKv(path);
  await kv.set(["users", 1], "Ada");
  kv.close();
  await assertRejects(
    () => openKvJournal({ path, onFatal: neverFatal }),
    FatalError,
    `the database ${path} holds the data of another program`,
  );
  const again = await Deno.openKv(path);
  const keys = await Array.fromAsync(again.list({ prefix: [] }), ({ key }) => key);
  assertEquals(keys, [["users", 1]]);
  again.close();
});

Deno.test("openKvJournal() refuses another format", async () => {
  using store = await TestStore.open();
  await store.commit({ sets: [{ key: META_KEY, value: { format: 1, something: "else" } }] });
  await assertRejects(
    () => read({ store, placeName: "of the test" }),
    FatalError,
    "the journal of the test has format 1, this program knows 4 and 5",
  );
  assertEquals((await store.items()).length, 1);
});

Deno.test("openKvJournal() reads format 4, which then has the present format", async () => {
  using store = await TestStore.open();
  const journal = await openKvJournal({ onFatal: neverFatal, store });
  await recover(journal);
  journal.append([{ type: "clock", stamp: 7 }]);
  await forced(journal);
  await journal.close();
  const { value } = await store.get(META_KEY);
  await store.commit({ sets: [{ key: META_KEY, value: { ...Object(value), format: 4 } }] });
  assertEquals((await read({ store })).records, [{ type: "clock", stamp: 7 }]);
  const { value: after } = await store.get(META_KEY);
  assertEquals(parseMeta(after).format, FORMAT);
});

Deno.test("formatAfter() leaves a journal the later format that the next release has begun to write", () => {
  assertEquals([4, FORMAT, FORMAT + 1].map(formatAfter), [FORMAT, FORMAT, FORMAT + 1]);
});

Deno.test("openKvJournal() names the path when it cannot be opened", async () => {
  await using directory = await temporaryDirectory();
  const text = `${directory.path}/text`;
  await Deno.writeTextFile(text, "this is not a database, it is a text\n".repeat(100));
  const missing = `${directory.path}/no/such.kv`;
  for (const path of [text, missing]) {
    const error = await assertRejects(() => read({ path }), FatalError, `the journal ${path}: `);
    assertMatch(error.message, /^cannot open the journal [^:]+: [^\n]+$/);
  }
});

// --- Owners ----------------------------------------------------------------------------------

Deno.test("openKvJournal() refuses a journal that another process uses, until that one is dead", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/dks.kv`;
  const script = new URL("journal_process.ts", import.meta.url).pathname;
  await using process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", script, path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");

  const error = await assertRejects(() => read({ path }), FatalError);
  assertEquals(error.message, `the journal ${path} is in use by another process`);
  process.kill("SIGKILL");
  await process.status;
  await reader.cancel();
  assertEquals((await read({ path })).records, [committed(1)]);
});

Deno.test("a journal that was taken over fails at its next force", async () => {
  using store = await TestStore.open();
  const fatal = Promise.withResolvers<FatalError>();
  const first = await openKvJournal({ store, placeName: "of the test", onFatal: fatal.resolve });
  await recover(first);
  const second = await openKvJournal({
    store,
    onFatal: neverFatal,
    askOwner: () => Promise.resolve("dead"),
  });
  first.append([committed(1)]);
  first.force(() => fatal.reject(new Error("it was not durable")));
  const { message } = await fatal.promise;
  assertEquals(message, "another process has taken over the journal of the test");
  assertEquals((await recover(second)).records, []);
  await first.close();
  await second.close();
});

Deno.test("confirmOwner() resolves for the owner, and fails like a commit when another has taken over", async () => {
  using store = await TestStore.open();
  const fatal: string[] = [];
  const options = { store, placeName: "of the test" };
  const first = await openKvJournal({ ...options, onFatal: ({ message }) => fatal.push(message) });
  await recover(first);
  await first.confirmOwner();
  const askOwner = () => Promise.resolve("dead" as const);
  const second = await openKvJournal({ ...options, onFatal: neverFatal, askOwner });
  const taken = "another process has taken over the journal of the test";
  await assertRejects(() => first.confirmOwner(), FatalError, taken);
  await assertRejects(() => first.confirmOwner(), FatalError, taken);
  first.append([committed(1)]);
  first.force(() => fatal.push("it was durable"));
  await first.close();
  assertEquals(fatal, [taken]);
  await recover(second);
  await second.confirmOwner();
  await second.close();
  await second.confirmOwner();
});

Deno.test("confirmOwner() fails when a commit has failed while it asked", async () => {
  using store = await TestStore.open();
  const first = await openKvJournal({ store, placeName: "of the test", onFatal: () => {} });
  await recover(first);
  const { get } = store;
  const asked = Promise.withResolvers<void>();
  const answering = Promise.withResolvers<void>();
  store.get = async (key) => {
    const item = await get.call(store, key);
    asked.resolve();
    await answering.promise;
    return item;
  };
  const confirming = first.confirmOwner();
  await asked.promise;
  store.get = get;
  const askOwner = () => Promise.resolve("dead" as const);
  const second = await openKvJournal({ store, onFatal: neverFatal, askOwner });
  first.append([committed(1)]);
  first.force(() => {});
  const taken = "another process has taken over the journal of the test";
  await assertRejects(() => first.replaceState([]), FatalError, taken);
  answering.resolve();
  await assertRejects(() => confirming, FatalError, taken);
  await second.close();
  await first.close();
});

Deno.test("isInPlace() tells whether a start would find this journal, and makes nothing", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/sub/node.kv`;
  const sub = `${directory.path}/sub`;
  await Deno.mkdir(sub);
  const fatal: string[] = [];
  const onFatal = ({ message }: FatalError) => fatal.push(message);
  const first = await openKvJournal({ path, onFatal });
  await recover(first);
  for (let number = 1; number < 4; number++) {
    assertEquals(await first.isInPlace(), true);
    first.append([committed(number)]);
    await forced(first);
  }
  await Deno.rename(sub, `${sub}2`);
  assertEquals(await first.isInPlace(), false, "its folder is gone");
  await Deno.mkdir(sub);
  assertEquals(await first.isInPlace(), false, "it is gone");
  assertEquals(await Array.fromAsync(Deno.readDir(sub)), []);
  const other = await openKvJournal({ path, onFatal: neverFatal });
  assertEquals(await first.isInPlace(), false, "another one is there");
  assertEquals(await other.isInPlace(), true);
  await other.close();
  await Deno.remove(sub, { recursive: true });
  await Deno.rename(`${sub}2`, sub);
  assertEquals(await first.isInPlace(), true, "it is back");
  const askOwner = () => Promise.resolve("dead" as const);
  const second = await openKvJournal({ path, onFatal: neverFatal, askOwner });
  const taken = `another process has taken over the journal ${path}`;
  await assertRejects(() => first.isInPlace(), FatalError, taken);
  assertEquals(fatal, [taken]);
  await first.close();
  assertEquals((await recover(second)).records.length, 3);
  await second.close();
});

Deno.test("a journal is taken from a silent owner two seconds before it is used", async () => {
  using store = await TestStore.open();
  const first = await openKvJournal({ store, onFatal: () => {} });
  await recover(first);
  let isOpen = false;
  let wasTaken = false;
  const opening = openKvJournal({
    store,
    onFatal: neverFatal,
    askOwner: () => Promise.resolve("silent"),
  }).then((journal) => {
    isOpen = true;
    return journal;
  });
  const beganAt = performance.now();
  while (!wasTaken) {
    wasTaken = await first.confirmOwner().then(() => false, () => true);
    assertEquals(isOpen, false);
  }
  const second = await opening;
  assertEquals(performance.now() - beganAt > 1900, true);
  await second.close();
  await first.close();
});

Deno.test("takeOwnership() waits longer for a silent owner if the commit took long", async () => {
  for (const [commitMs, waitMs] of [[900, 2000], [1100, 12_000]] as const) {
    using store = await TestStore.open();
    const first = await openKvJournal({ store, onFatal: () => {} });
    using clock = new OwnClock();
    const { commit } = store;
    store.commit = async (batch) => {
      clock.pass(commitMs);
      return await commit.call(store, batch);
    };
    const waits: number[] = [];
    await takeOwnership({
      store,
      place: "of the test",
      owner: { instance: "another", hostname: "127.0.0.1", port: 1 },
      askOwner: () => {
        clock.pass(5000); // That takes as long as it takes.
        return Promise.resolve("silent");
      },
      logger: undefined,
      wait: (ms) => {
        waits.push(ms);
        return Promise.resolve();
      },
    });
    assertEquals(waits, [waitMs]);
    await first.close();
  }
});

Deno.test("askOwner() finds an owner dead that gives up its port while the question waits there", async () => {
  const beacon = new OwnerBeacon();
  assertEquals(await askOwner(beacon.owner), "alive");
  beacon.close();
  // The system may still take the connection, and resets it when the port is gone.
  assertEquals(await askOwner(beacon.owner), "dead");
});

Deno.test("of several that open a journal at the same time one gets it", async () => {
  using store = await TestStore.open();
  const options = { store, onFatal: neverFatal };
  const opened = await Promise.allSettled([1, 2, 3].map(() => openKvJournal(options)));
  const journals = opened.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  assertEquals(journals.length, 1);
  for (const journal of journals) await journal.close();
});

// --- Failures --------------------------------------------------------------------------------

Deno.test("a commit that fails is reported once, and nothing is durable from then on", async () => {
  using store = await TestStore.open();
  const errors: FatalError[] = [];
  const fatal = Promise.withResolvers<void>();
  const journal = await openKvJournal({
    store,
    placeName: "of the test",
    onFatal: (error) => {
      errors.push(error);
      fatal.resolve();
    },
  });
  await recover(journal);
  store.commitsLeft = 0;
  const done: string[] = [];
  journal.append([committed(1)]);
  journal.force(() => done.push("first"));
  await fatal.promise;
  store.commitsLeft = Infinity;
  journal.append([committed(2)]);
  journal.force(() => done.push("second"));
  await assertRejects(() => journal.replaceState([]), FatalError);
  await journal.close();
  assertEquals(done, []);
  const messages = errors.map(({ message }) => message);
  assertEquals(messages, ["cannot write the journal of the test: disk I/O error"]);
  assertEquals((await read({ store })).records, []);
});

const FULL = "database or disk is full";

/** A journal that tells whether it has room. */
async function openWithRoom(
  store: TestStore,
  roomPauseMs = 1,
): Promise<{ journal: Journal; told: string[] }> {
  const told: string[] = [];
  store.failure = FULL;
  const journal = await openKvJournal({
    store,
    placeName: "of the test",
    roomPauseMs,
    dataBytes: () => 2.5e6,
    onRoom: (shortage) => told.push(shortage ?? "room"),
    onFatal: neverFatal,
  });
  await recover(journal);
  return { journal, told };
}

const SHORTAGE = "the journal of 3 MB of keys and values takes up to 173 MB";

Deno.test("a force waits while the disk is full, and loses nothing", async () => {
  using store = await TestStore.open();
  const { journal, told } = await openWithRoom(store);
  const done: string[] = [];
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  // Two commits, of which the second finds no room.
  store.commitsLeft = 1;
  const long = [prepared(1, [{ key: "k", value: "v".repeat(600_000) }]), committed(1)];
  journal.append(long);
  journal.force(() => {
    done.push("first");
    first.resolve();
  });
  await until("it was tried again", () => store.commitsLeft < -3);
  assertEquals(told, [SHORTAGE]);
  journal.append([committed(2)]);
  journal.force(() => {
    done.push("second");
    second.resolve();
  });
  await until("it was tried again", () => store.commitsLeft < -5);
  assertEquals(done, []);
  store.commitsLeft = Infinity;
  await Promise.all([first.promise, second.promise]);
  assertEquals(done, ["first", "second"]);
  assertEquals(told, [SHORTAGE, "room"]);
  await journal.close();
  assertEquals((await read({ store })).records, [...long, committed(2)]);
});

Deno.test("a checkpoint waits while the disk is full", async () => {
  using store = await TestStore.open();
  const { journal, told } = await openWithRoom(store);
  journal.append([committed(1)]);
  await forced(journal);
  store.commitsLeft = 1;
  const checkpoint = journal.replaceState([committed(2)]);
  await until("it was tried again", () => store.commitsLeft < -3);
  store.commitsLeft = Infinity;
  await checkpoint;
  assertEquals(told, [SHORTAGE, "room"]);
  await journal.close();
  assertEquals((await read({ store })).records, [committed(2)]);
});

Deno.test("a journal without room can be closed: it keeps what was durable", async () => {
  using store = await TestStore.open();
  const { journal } = await openWithRoom(store, 60_000);
  journal.append([committed(1)]);
  await forced(journal);
  store.commitsLeft = 0;
  const done: string[] = [];
  journal.append([committed(2)]);
  journal.force(() => done.push("never"));
  await until("it waits for room", () => store.commitsLeft < 0);
  journal.append([committed(3)]);
  await journal.close();
  assertEquals(done, []);
  store.commitsLeft = Infinity;
  assertEquals((await read({ store })).records, [committed(1)]);
});

Deno.test("a journal without room cannot be recovered, and says how much it takes", async () => {
  using store = await TestStore.open();
  store.failure = FULL;
  const journal = await openKvJournal({
    store,
    placeName: "of the test",
    dataBytes: () => 2.5e6,
    onFatal: neverFatal,
  });
  store.commitsLeft = 0;
  const error = await assertRejects(() => recover(journal), FatalError);
  assertEquals(
    error.message,
    "cannot write the journal of the test: the disk is full; nothing that was acknowledged is lost: " +
      `make room and start it again, ${SHORTAGE}`,
  );
  await journal.close();
});

// --- Checkpoints -----------------------------------------------------------------------------

/** A run that leads through everything: long values, deletions, garbage, writes during checkpoints. */
async function runAll(node: SmallNode): Promise<void> {
  const value = (number: number) => String(number).repeat(number === 6 ? 140_000 : 100);
  async function writes(from: number, to: number): Promise<void> {
    for (let number = from; number < to; number++) {
      const key = `key ${number % 10}`;
      await node.write([{ key, value: number % 4 === 3 ? undefined : value(number) }]);
    }
  }
  await writes(0, 8);
  await Promise.all([node.checkpoint(), writes(8, 16)]);
  await Promise.all([node.checkpoint(), writes(16, 20)]);
  await node.write(Array.from({ length: 10 }, (_, number) => {
    return { key: `key ${number}`, value: number < 8 ? undefined : "last" };
  }));
  await Promise.all([node.checkpoint(), writes(20, 23)]);
  await node.write([{ key: EVERYTHING, value: undefined }]);
  await writes(23, 26);
  await Promise.all([node.checkpoint(), writes(26, 32)]);
}

Deno.test("checkpoint() keeps the state when the process crashes at any commit", async () => {
  for (let commits = 0;; commits++) {
    using store = await TestStore.open();
    const fatal = Promise.withResolvers<"crashed">();
    const sizes = SMALL_SIZES;
    const node = await openNode({ store, sizes, onFatal: () => fatal.resolve("crashed") });
    store.commitsLeft = commits;
    const run = runAll(node).then(() => "finished");
    run.catch(() => {});
    const outcome = await Promise.race([run, fatal.promise]);
    await node.journal.close();
    store.commitsLeft = Infinity;

    const again = await openNode({ store, sizes });
    const found = node.possibleStates.find((state) => equal(state, again.state));
    assertEquals(again.state, found ?? node.state, `${commits} commits`);

    // What a crash leaves behind must disturb nothing, and must be deleted in the end.
    for (const number of [5, 6, 7]) await again.write([{ key: `key ${number}`, value: undefined }]);
    await again.checkpoint();
    await again.journal.close();
    const third = await openNode({ store, sizes });
    assertEquals(third.state, again.state, `${commits} commits`);
    await third.journal.replaceState([]);
    await third.journal.close();
    const keys = (await store.items()).map(({ key }) => key.join(" "));
    assertEquals(keys, ["dks manifest", "dks meta"], `${commits} commits`);
    if (outcome === "finished") {
      assertEquals(commits > 45, true, `a run of ${commits} commits`);
      return;
    }
  }
});

function equal(a: ReadonlyMap<string, KeyRecord>, b: ReadonlyMap<string, KeyRecord>): boolean {
  return a.size === b.size && [...a.values()].every(({ key, value, version }) => {
    const other = b.get(key);
    return other?.version === version && other.value === value;
  });
}

Deno.test("checkpoint() writes its tail, and what comes after the call, after the entries", async () => {
  using store = await TestStore.open();
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  journal.append([committed(1)]);
  const entry = { key: "k", value: "v", version: 1 };
  const checkpoint = journal.checkpoint({
    replacesAll: false,
    tail: [committed(2)],
    changed: [entry],
    isCurrent: () => true,
    liveKeys: 1,
    liveBytes: 2,
  });
  assertEquals(journal.tailBytes, 0);
  journal.append([committed(3)]);
  await Promise.all([checkpoint, forced(journal)]);
  journal.append([committed(4)]);
  await journal.close();
  const { entries, records } = await read({ store });
  assertEquals([...entries.values()], [entry]);
  assertEquals(records, [committed(2), committed(3), committed(4)]);
});

Deno.test("checkpoint() lets forces through while it writes", async () => {
  using store = await TestStore.open();
  const node = await openNode({ store });
  const value = "v".repeat(1000);
  await node.write(Array.from({ length: 3000 }, (_, index) => ({ key: `k${index}`, value })));
  let isRunning = true;
  const checkpoint = node.checkpoint().then(() => isRunning = false);
  let forces = 0;
  while (isRunning) {
    node.journal.append([committed(forces++)]);
    await forced(node.journal);
  }
  await checkpoint;
  assertEquals(forces > 20, true, `${forces} forces during 25 commits`);
  await node.journal.close();
});

/** Returns `length` characters that nothing makes shorter. */
function randomText(length: number): string {
  let text = "";
  while (text.length < length) {
    text += String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16 * 1024)));
  }
  return text;
}

Deno.test("checkpoint() keeps pace with a tail that grows fast", async () => {
  using store = await TestStore.open();
  const journal = await openKvJournal({ store, onFatal: neverFatal });
  await recover(journal);
  const value = randomText(64 * 1024);
  const keys = 256;
  function* changed(): Generator<KeyRecord> {
    for (let key = 0; key < keys; key++) yield { key: `${key}`, value, version: 1 };
  }
  let isDone = false;
  const checkpoint = journal.checkpoint({
    tail: [],
    changed: changed(),
    replacesAll: false,
    isCurrent: () => true,
    liveKeys: keys,
    liveBytes: keys * value.length,
  }).then(() => isDone = true);
  const large = randomText(1024 * 1024);
  for (let number = 1; !isDone; number++) {
    journal.append([prepared(number, [{ key: "k", value: large }])]);
    await forced(journal);
  }
  await checkpoint;
  // What was appended meanwhile is stored until the next checkpoint, besides what this one wrote.
  assertEquals(journal.tailBytes < 2 * keys * value.length, true, `${journal.tailBytes} bytes`);
  await journal.close();
});

Deno.test("checkpoint() is given up when the journal is closed", async () => {
  using store = await TestStore.open();
  const node = await openNode({ store });
  await node.write(Array.from({ length: 500 }, (_, index) => {
    return { key: `k${index}`, value: "v".repeat(1000) };
  }));
  const checkpoint = node.checkpoint();
  await node.journal.close();
  await checkpoint;
  const again = await openNode({ store });
  assertEquals(again.state, node.state);
  await again.journal.close();
});

Deno.test("checkpoint() bounds what is stored, and loses nothing, when keys are written again and again", async () => {
  using store = await TestStore.open();
  const sizes = { segmentBytesMax: 20_000, slackBytes: 20_000 };
  const node = await openNode({ store, sizes });
  const rounds = 60;
  let most = 0;
  for (let round = 0; round < rounds; round++) {
    // A third of the keys is written once and never again.
    const effects = Array.from({ length: 20 }, (_, index) => {
      const key = round === 0 || index >= 7
        ? `k${index * 10 + (round % 10)}`
        : `cold ${round % 20}`;
      return { key, value: `${round}`.repeat(500) };
    });
    await node.write(effects);
    await node.checkpoint();
    most = Math.max(most, await store.blobBytes());
  }
  let live = 0;
  for (const { key, value } of node.state.values()) live += key.length + (value?.length ?? 0) + 16;
  // Twice what lives, the slack, and what the last checkpoint itself has written.
  assertEquals(most < 2 * live + 20_000 + 25_000, true, `${most} stored, ${live} live`);
  await node.journal.close();
  const { entries } = await read({ store });
  assertEquals(entries, node.state);
});

Deno.test("checkpoint() forgets deletions when no older segment can hold their keys", async () => {
  using store = await TestStore.open();
  const sizes = { segmentBytesMax: 2000, slackBytes: 0 };
  const node = await openNode({ store, sizes });
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
  await node.write(keys.map((key) => ({ key, value: "v".repeat(100) })));
  await node.checkpoint();
  assertEquals(await store.blobBytes() > 10_000, true);
  await node.write(keys.map((key) => ({ key, value: undefined })));
  await node.checkpoint();
  await node.checkpoint();
  assertEquals(await store.blobBytes(), 0);
  await node.journal.close();
  assertEquals((await read({ store })).entries.size, 0);
});

Deno.test("checkpoint() keeps the last value when two values of a key have one version", async () => {
  using store = await TestStore.open();
  const sizes = { segmentBytesMax: 2000, slackBytes: 4000 };
  const journal = await openKvJournal({ store, sizes, onFatal: neverFatal });
  await recover(journal);
  /** What the node holds: the version of x never changes. */
  const state = new Map<ByteString, KeyRecord>();
  const checkpoint = (key: string, value: string) => {
    const entry = { key, value, version: 1 };
    state.set(key, entry);
    let liveBytes = 0;
    for (const one of state.values()) liveBytes += one.key.length + (one.value?.length ?? 0);
    return journal.checkpoint({
      replacesAll: false,
      tail: [],
      changed: [entry],
      isCurrent: (stored) => state.get(stored.key)?.value === stored.value,
      liveKeys: state.size,
      liveBytes,
    });
  };
  await checkpoint("x", "old");
  await checkpoint("x", "new");
  // Other keys are written until the oldest segment is read and written again.
  const before = await store.blobBytes();
  for (let i = 0; i < 30; i++) await checkpoint("z", `${i}`.padEnd(1500, "."));
  assertEquals(await store.blobBytes() < before + 20_000, true, "nothing was written again");
  await journal.close();
  const { entries } = await read({ store });
  assertEquals(entries.get("x")?.value, "new");
});

Deno.test("replaceState() drops all entries and records, and keeps the journal's identity", async () => {
  using store = await TestStore.open();
  const node = await openNode({ store });
  await node.write([{ key: "a", value: "1" }]);
  await node.checkpoint();
  await node.write([{ key: "b", value: "2" }]);
  const replaced = node.journal.replaceState([committed(7)]);
  node.journal.append([committed(8)]);
  await replaced;
  await node.journal.close();
  const again = await openKvJournal({ store, onFatal: neverFatal });
  const { entries, records } = await recover(again);
  assertEquals(entries.size, 0);
  assertEquals(records, [committed(7), committed(8)]);
  assertEquals(again.identity, { ...node.journal.identity, incarnation: 2 });
  await again.close();
});
