import { assert, assertEquals } from "@std/assert";
import { Glob } from "../../../src/node/commands/glob.ts";
import { Exports } from "../../../src/node/server/exports.ts";
import { tokenKey } from "../../../src/node/commands/once.ts";
import {
  EXPORT_CHUNK_BYTES,
  EXPORT_IDLE_MS,
  EXPORTS_MAX,
  REPLY_BYTES_MAX,
} from "../../../src/limits.ts";
import { encodeReply } from "../../../src/resp/encoder.ts";
import { EncodedArray, ErrorReply } from "../../../src/resp/value.ts";
import type { Request, Requester } from "../../../src/two_phase/request.ts";
import { Store } from "../../../src/two_phase/store.ts";

const NOT_READY = { obstacle: "loading", reason: "no" } as const;

/** A node that starts. */
const HOST = { driver: undefined, notReady: NOT_READY, waitMsMax: 60_000 };

function storeOf(values: Readonly<Record<string, string>>): Store {
  const store = new Store(0);
  for (const [key, value] of Object.entries(values)) store.restore({ key, value, version: 1 });
  return store;
}

Deno.test("Exports.next() returns all keys and values in pieces, then nothing, then an error", async () => {
  const exports = new Exports(HOST, () => 0);
  const value = "v".repeat(EXPORT_CHUNK_BYTES / 2);
  const store = storeOf({ a: value });
  store.restore({ key: "b", value, version: 1, expiresAtMs: 5 });
  store.restore({ key: "c", value: "", version: 1 });
  const [id = "", count] = exports.add(store.snapshot()) as [string, number];
  assertEquals(count, 3);
  assertEquals(await exports.next(id), ["a", value, null, "b", value, 5]);
  assertEquals(await exports.next(id), ["c", "", null]);
  assertEquals(await exports.next(id), []);
  assertEquals(store.snapshots, 0);
  const message = `there is no export "${id}": it has ended, or was not read for 60 s`;
  assertEquals(await exports.next(id), new ErrorReply("ERR", message));
});

Deno.test("Exports.add() refuses too many, until some are idle, and keeps no snapshot for those", async () => {
  let nowMs = 0;
  const exports = new Exports(HOST, () => nowMs);
  const store = storeOf({ k: "v" });
  const begin = () => exports.add(store.snapshot());
  const ids = Array.from({ length: EXPORTS_MAX }, () => (begin() as [string])[0]);
  const refused = new ErrorReply("TRYAGAIN", "REJECTED this node has 4 exports under way already");
  assertEquals([begin(), exports.obstacle], [refused, refused]);
  assertEquals(store.snapshots, EXPORTS_MAX);
  nowMs = EXPORT_IDLE_MS;
  const [first = "", second = ""] = ids;
  assertEquals(await exports.next(first), ["k", "v", null]);
  exports.dropIdle();
  assertEquals(exports.obstacle, refused, "none is idle for long enough");
  nowMs++;
  exports.dropIdle();
  assertEquals(exports.obstacle, undefined);
  assertEquals(store.snapshots, 0, "the first was read to its end, and the others are given up");
  assertEquals(await exports.next(first), []);
  assertEquals(await exports.next(second) instanceof ErrorReply, true);
});

Deno.test("Exports.begin() counts those that wait for their moment, too", async () => {
  const waiting: { request: Request; requester: Requester }[] = [];
  const driver = {
    submit: (request: Request, requester: Requester) => void waiting.push({ request, requester }),
  };
  const exports = new Exports({ ...HOST, driver }, () => 0);
  const store = storeOf({ k: "v" });
  const started = Array.from({ length: EXPORTS_MAX }, () => exports.begin());
  const refused = new ErrorReply("TRYAGAIN", "REJECTED this node has 4 exports under way already");
  assertEquals(await exports.begin(), refused);
  assertEquals(waiting.length, EXPORTS_MAX);
  // One of them fails, and the others get their moment.
  const [failed, ...others] = waiting;
  failed?.requester.onOutcome({ kind: "rejected", ...NOT_READY });
  assertEquals(await started[0], new ErrorReply("LOADING", "REJECTED no"));
  for (const { request, requester } of others) {
    assert(request.kind === "barrier");
    requester.onOutcome({ kind: "answered", reply: request.evaluate(store) });
  }
  for (const one of started.slice(1)) assert(Array.isArray(await one));
  assertEquals(exports.obstacle, undefined, "the one that failed leaves room for another");
});

Deno.test("Exports.next() lets other work through while it looks for the next keys", async () => {
  // By this clock every look takes a millisecond.
  let nowMs = 0;
  const exports = new Exports(HOST, () => nowMs++);
  const store = new Store(0);
  // Clients see few of them.
  for (let i = 0; i < 20_000; i++) store.restore({ key: tokenKey(`${i}`), value: "", version: 1 });
  store.restore({ key: "k", value: "v", version: 1 });
  const [id = ""] = exports.add(store.snapshot()) as [string];
  let others = 0;
  const timer = setInterval(() => others++);
  const keys = await exports.next(id);
  clearInterval(timer);
  assertEquals(keys, ["k", "v", null]);
  assert(others > 5, `others had ${others} turns`);
});

/** Returns the keys in a reply to KEYS, which are texts of one line. */
function keysIn(reply: unknown): readonly string[] {
  assert(reply instanceof EncodedArray, Deno.inspect(reply));
  const [head, ...lines] = encodeReply(reply, 2).split("\r\n");
  const keys = lines.filter((_, at) => at % 2 === 1);
  assertEquals(head, `*${keys.length}`);
  return keys;
}

/** A driver that answers at once what waits for everything that is prepared. */
function driverOf(store: Store) {
  return {
    submit: (request: Request, { onOutcome }: Requester) => {
      assert(request.kind === "barrier" && request.isExact);
      onOutcome({ kind: "answered", reply: request.evaluate(store) });
    },
  };
}

Deno.test("Exports.keys() returns the keys of one moment, and lets other work through", async () => {
  const store = storeOf(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, ""])));
  store.restore({ key: tokenKey("t"), value: "", version: 1 });
  let nowMs = 0;
  // Every look at the clock finds that much time has passed: each step is a slice of its own.
  const exports = new Exports({ ...HOST, driver: driverOf(store) }, () => nowMs += 10);
  const keys = exports.keys(new Glob("*9"));
  let turns = 0;
  const timer = setInterval(() => {
    turns++;
    store.restore({ key: "k4999", value: undefined, version: 2 });
    store.restore({ key: "new 9", value: "", version: 2 });
  });
  const found = keysIn(await keys);
  clearInterval(timer);
  assert(found.length === 500 && found.includes("k4999"));
  assert(turns > 0, "nothing else had its turn");
  assertEquals(store.snapshots, 0);
});

Deno.test("Exports.keys() lets other work through while few keys take long to compare", async () => {
  const names = Array.from({ length: 200 }, (_, at) => `${"a".repeat(1000)}${at}`);
  const store = storeOf(Object.fromEntries(names.map((name) => [name, ""])));
  let nowMs = 0;
  const exports = new Exports({ ...HOST, driver: driverOf(store) }, () => nowMs += 10);
  const keys = exports.keys(new Glob(`*${"a".repeat(500)}[0-9]*`));
  let turns = 0;
  const timer = setInterval(() => turns++);
  const found = keysIn(await keys);
  clearInterval(timer);
  assertEquals(found, names);
  assert(turns > 10, `others had ${turns} turns`);
});

Deno.test("Exports.keys() gives up its moment when the reply is too long", async () => {
  const bytes = 1024 * 1024;
  const names = Array.from(
    { length: REPLY_BYTES_MAX / bytes + 1 },
    (_, at) => `${"a".repeat(bytes)}${at}`,
  );
  const store = storeOf(Object.fromEntries(names.map((name) => [name, ""])));
  const exports = new Exports({ ...HOST, driver: driverOf(store) }, () => 0);
  const reply = encodeReply(await exports.keys(new Glob("*")), 3);
  assert(reply.startsWith("-ERR a reply of "), reply.slice(0, 100));
  assertEquals(store.snapshots, 0);
});

Deno.test("Exports.keys() rejects calls that wait for earlier ones for too long", async () => {
  const submitted: { request: Request; requester: Requester }[] = [];
  const driver = {
    submit: (request: Request, requester: Requester) => void submitted.push({ request, requester }),
  };
  const exports = new Exports({ ...HOST, driver, waitMsMax: 20 }, () => 0);
  const store = storeOf({ k: "v" });
  const answers: unknown[] = [];
  const [first, ...others] = [1, 2, 3].map(async () =>
    answers.push(await exports.keys(new Glob("*")))
  );
  // The first one waits for as long as the protocol has it wait, and keeps none of the others.
  await Promise.all(others);
  const late = new ErrorReply("TRYAGAIN", "REJECTED earlier calls of KEYS took all of its time");
  assertEquals([answers, submitted.length], [[late, late], 1]);
  const end = () => {
    const { request, requester } = submitted.pop() ?? {};
    assert(request?.kind === "barrier");
    requester?.onOutcome({ kind: "answered", reply: request.evaluate(store) });
  };
  end();
  await first;
  assertEquals(keysIn(answers.at(-1)), ["k"]);
  const last = exports.keys(new Glob("*"));
  while (submitted.length === 0) await Promise.resolve();
  end();
  assertEquals(keysIn(await last), ["k"]);
  assertEquals(store.snapshots, 0);
});
