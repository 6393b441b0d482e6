import { assertEquals, assertThrows } from "@std/assert";
import { RESERVED_PREFIX } from "../../../src/reserved_keys.ts";
import {
  KEYS_PER_COMMAND_MAX,
  ONCE_ANSWER_BYTES_MAX,
  ONCE_WINDOW_MS,
  SWEEP_DELETIONS_MAX,
} from "../../../src/limits.ts";
import { once, parseTokenEntry, tokenKey } from "../../../src/node/commands/once.ts";
import { isSweeper, TokenSweeper } from "../../../src/node/sweeper.ts";
import { ErrorReply, OK, type RespValue, SimpleString } from "../../../src/resp/value.ts";
import type { Requester, WriteRequest } from "../../../src/two_phase/request.ts";
import { Store } from "../../../src/two_phase/store.ts";
import { factsOf, runWords } from "./session.ts";

/** Keys and values on which requests are carried out at once. */
class State {
  readonly values = new Map<string, string>();

  run(...words: string[]): RespValue {
    return this.runAll(words);
  }

  runAll(words: readonly string[]): RespValue {
    const result = runWords(words);
    if ("reply" in result) return result.reply;
    if (!("request" in result) || result.request.kind !== "write") throw new Error("no write");
    return this.carryOut(result.request);
  }

  carryOut(request: WriteRequest): RespValue {
    const read = (key: string) => {
      assertEquals(request.keys.includes(key), true, `${key} is not among the keys`);
      return this.values.get(key);
    };
    const { effects, reply } = request.evaluate(read, factsOf(read));
    for (const { key, value } of effects) {
      if (value === undefined) this.values.delete(key);
      else this.values.set(key, value);
    }
    return reply as RespValue;
  }
}

Deno.test("DKS.ONCE does a write once for its token, and repeats the first answer", () => {
  const state = new State();
  state.run("SET", "a", "old");
  assertEquals(state.run("DKS.ONCE", "t", "SET", "a", "new", "GET"), "old");
  state.run("SET", "a", "later");
  assertEquals(state.run("dks.once", "t", "set", "a", "new", "GET"), "old", "in any case");
  assertEquals(state.values.get("a"), "later");
  assertEquals(state.run("DKS.ONCE", "u", "SET", "a", "new", "GET"), "later");
});

Deno.test("DKS.ONCE repeats the answer of a write that has changed nothing", () => {
  const state = new State();
  state.run("SET", "a", "1");
  assertEquals(state.run("DKS.ONCE", "t", "SET", "a", "2", "NX"), null);
  assertEquals(state.run("DKS.ONCE", "u", "DEL", "x", "y"), 0);
  state.run("DEL", "a");
  state.run("SET", "x", "1");
  assertEquals(state.run("DKS.ONCE", "t", "SET", "a", "2", "NX"), null);
  assertEquals(state.run("DKS.ONCE", "u", "DEL", "x", "y"), 0);
  assertEquals(state.values.get("x"), "1");
});

Deno.test("DKS.ONCE refuses a token that was used for another command", () => {
  const state = new State();
  state.run("DKS.ONCE", "t", "SET", "a", "1");
  const refused = new ErrorReply(
    "ERR",
    'the token "t" was used for another command: a new command needs a new token',
  );
  assertEquals(state.run("DKS.ONCE", "t", "SET", "a", "2"), refused);
  assertEquals(state.run("DKS.ONCE", "t", "PUT", "a", "1"), refused);
  assertEquals(state.run("DKS.ONCE", "t", "DEL", "a"), refused);
  assertEquals(state.values.get("a"), "1");
});

Deno.test("DKS.ONCE stores the time, the command's digest and the answer in one effect", () => {
  const state = new State();
  state.run("DKS.ONCE", "t", "MSET", "a", "1", "b", "2");
  assertEquals([...state.values.keys()], ["a", "b", `${RESERVED_PREFIX}once:t`]);
  const stored = state.values.get(tokenKey("t")) ?? "";
  const { stampMs, digest, answer } = parseTokenEntry(stored);
  assertEquals([stampMs, digest.length, answer], [1234, 64, OK]);
  assertThrows(() => parseTokenEntry("nonsense"), Error, 'not a token\'s entry: "nonsense"');
});

Deno.test("once() repeats answers of every kind", () => {
  const answers: RespValue[] = [
    "",
    "\x00\r\n\xff",
    "v".repeat(60_000),
    7,
    null,
    true,
    new SimpleString("DONE"),
    new ErrorReply("WRONG", "no é"),
    ["a", 1, [null]],
    new Map<RespValue, RespValue>([["k", 1]]),
  ];
  for (const reply of answers) {
    const write: WriteRequest = {
      kind: "write",
      keys: ["k"],
      evaluate: () => ({ effects: [], reply }),
    };
    const request = once(write, { token: "t", command: ["x"], nowMs: 0 });
    const state = new State();
    assertEquals([state.carryOut(request), state.carryOut(request)], [reply, reply]);
  }
});

Deno.test("DKS.ONCE refuses what it cannot repeat, and what is no write", () => {
  const state = new State();
  const rows: [words: string[], code: string, message: string][] = [
    [["", "SET", "a", "1"], "ERR", "a token has 1 to 64 bytes, not 0"],
    [["t".repeat(65), "SET", "a", "1"], "ERR", "a token has 1 to 64 bytes, not 65"],
    [["t", "GET", "a"], "ERR", 'DKS.ONCE takes a command that writes, not "GET"'],
    [["t", "PING", "a"], "ERR", 'DKS.ONCE takes a command that writes, not "PING"'],
    [
      ["t", "DKS.ONCE", "u", "DEL", "a"],
      "ERR",
      'DKS.ONCE takes a command that writes, not "DKS.ONCE"',
    ],
    [["t", "NOPE", "a"], "ERR", "unknown command 'NOPE', with args beginning with: 'a' "],
    [["t", "SET", "a"], "ERR", "wrong number of arguments for 'set' command"],
    [["t", "DEL"], "ERR", "wrong number of arguments for 'del' command"],
    [["t", "SET", "k".repeat(11), "1"], "ERR", "key of 11 bytes, at most 10 are allowed"],
    [["t", "SET", "a", "1", "EX", "0"], "ERR", "invalid expire time in 'set' command"],
    [
      ["t", "SET", "\0dks:x", "1"],
      "ERR",
      'keys that begin with "\\x00dks:" are reserved for dks',
    ],
  ];
  for (const [words, code, message] of rows) {
    assertEquals(state.run("DKS.ONCE", ...words), new ErrorReply(code, message), words.join(" "));
  }
  const pairs = Array.from({ length: KEYS_PER_COMMAND_MAX }, (_, i) => [`${i}`, "v"]).flat();
  assertEquals(
    state.runAll(["DKS.ONCE", "t", "MSET", ...pairs]),
    new ErrorReply("ERR", "more than 65535 keys in one command with a token"),
  );
  assertEquals(state.values.size, 0);
  state.values.set("a", "v".repeat(ONCE_ANSWER_BYTES_MAX));
  assertEquals(
    state.run("DKS.ONCE", "t", "SET", "a", "1", "GET"),
    new ErrorReply("ERR", "the answer has 65546 bytes, DKS.ONCE keeps 65536 at most"),
  );
  assertEquals(state.values.get("a")?.length, ONCE_ANSWER_BYTES_MAX, "nothing was done");
});

// --- Sweeping ------------------------------------------------------------------------------------

/** A store with tokens, and a sweeper of it whose requests are carried out at once. */
class Swept {
  readonly store = new Store(0);
  readonly sizes: number[] = [];
  isMyTurn = true;
  readonly sweeper = new TokenSweeper({
    store: this.store,
    nowMs: () => this.store.nowMs,
    isMyTurn: () => this.isMyTurn,
    submit: (request, client) => this.carryOut(request, client),
  });
  #version = 0;

  /** A write under `token`, now; `clockMs` is what its coordinator's clock shows. */
  add(token: string, clockMs = this.store.nowMs): void {
    const write = { kind: "write", keys: ["k"], evaluate: () => ({ effects: [], reply: OK }) };
    const request = once(write as WriteRequest, { token, command: ["x"], nowMs: clockMs });
    this.#apply(request);
  }

  carryOut(request: WriteRequest, requester: Requester): void {
    this.sizes.push(this.#apply(request));
    requester.onOutcome({ kind: "answered", reply: null });
  }

  #apply(request: WriteRequest): number {
    const read = (key: string) => this.store.get(key)?.value;
    const { effects } = request.evaluate(read, factsOf(read));
    for (const { key, value } of effects) {
      this.store.restore({ key, value, version: ++this.#version });
    }
    return effects.length;
  }

  get tokens(): string[] {
    return [...this.store.reservedKeys()].map(([key]) => key.slice(tokenKey("").length));
  }
}

Deno.test("isSweeper() is true at the first linked member that may write, whoever else is linked", () => {
  const all = { linked: 0b111, members: 0b111, mayWrite: true };
  const sweepers = (about: Partial<typeof all>) =>
    [0, 1, 2].filter((self) => isSweeper({ ...all, ...about }, self));
  assertEquals(sweepers({}), [0]);
  assertEquals(sweepers({ linked: 0b110 }), [1]);
  // Node 0 is back, and outside the view.
  assertEquals(sweepers({ members: 0b110 }), [1]);
  assertEquals(sweepers({ mayWrite: false }), []);
});

Deno.test("TokenSweeper.sweep() deletes the tokens that are older than the window", async () => {
  const swept = new Swept();
  swept.store.restore({ key: "user", value: "v", version: 1 });
  swept.add("old");
  swept.store.nowMs = 1;
  swept.add("just");
  swept.store.nowMs = ONCE_WINDOW_MS;
  swept.add("young");
  swept.store.nowMs = ONCE_WINDOW_MS + 1;
  swept.isMyTurn = false;
  swept.sweeper.sweep();
  assertEquals(swept.tokens, ["old", "just", "young"], "another node sweeps");
  swept.isMyTurn = true;
  swept.sweeper.sweep();
  await Promise.resolve();
  assertEquals(swept.tokens, ["just", "young"]);
  assertEquals([swept.store.size, swept.store.sizeWithReserved], [1, 3]);
});

for (const off of ["an hour behind", "an hour ahead"]) {
  Deno.test(`TokenSweeper.sweep() keeps a token for its time when the coordinator's clock is ${off}`, async () => {
    const swept = new Swept();
    swept.store.nowMs = 1e12;
    swept.add("t", 1e12 + (off === "an hour behind" ? -1 : 1) * 3_600_000);
    swept.store.nowMs += ONCE_WINDOW_MS;
    swept.sweeper.sweep();
    assertEquals(swept.tokens, ["t"]);
    swept.store.nowMs += 1;
    swept.sweeper.sweep();
    await Promise.resolve();
    assertEquals(swept.tokens, []);
  });
}

Deno.test("TokenSweeper.sweep() deletes a bounded number in one transaction, and continues", async () => {
  const swept = new Swept();
  const count = 2 * SWEEP_DELETIONS_MAX + 5;
  for (let i = 0; i < count; i++) swept.add(`t${i}`);
  swept.store.nowMs = 2 * ONCE_WINDOW_MS;
  swept.sweeper.sweep();
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assertEquals(swept.sizes, [SWEEP_DELETIONS_MAX, SWEEP_DELETIONS_MAX, 5]);
  assertEquals(swept.tokens, []);
});

for (const isCommitted of [true, false]) {
  const how = isCommitted ? "was used again" : "is used again by a transaction before it";
  Deno.test(`TokenSweeper.sweep() leaves a token alone that ${how}`, () => {
    const swept = new Swept();
    swept.add("t");
    swept.store.nowMs = 2 * ONCE_WINDOW_MS;
    let held: WriteRequest | undefined;
    const sweeper = new TokenSweeper({
      store: swept.store,
      nowMs: () => swept.store.nowMs,
      isMyTurn: () => true,
      submit: (request) => held = request,
    });
    sweeper.sweep();
    const old = swept.store.get(tokenKey("t"))?.value;
    swept.store.restore({ key: tokenKey("t"), value: undefined, version: 100 });
    swept.add("t");
    const again = swept.store.get(tokenKey("t"))?.value;
    if (!isCommitted) {
      swept.store.nowMs = 0;
      swept.store.restore({ key: tokenKey("t"), value: old, version: 101 });
      swept.store.nowMs = 2 * ONCE_WINDOW_MS;
    }
    // The transaction sees what the one before it intends.
    assertEquals(held?.evaluate(() => again, factsOf(() => again)).effects, []);
  });
}
