/**
 * The checkers, on histories that they must refuse and such that they must let pass.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import * as checkers from "./checkers.ts";
import { type Call, type Ending, History } from "./history.ts";
import {
  command,
  exec,
  execOnce,
  flushAll,
  longLifetime,
  once,
  scan,
  watch,
} from "./client_commands.ts";
import { checkLinearizability } from "./linearizability.ts";
import {
  ACCOUNTS,
  copy,
  get,
  increment,
  type Operation,
  set,
  setIf,
  transfer,
} from "./operations.ts";

/** A call: from when to when, what, and how it ended. */
type Line = readonly [
  from: number,
  to: number,
  operation: Operation,
  reply: string,
  ending?: Ending,
];

/** Makes a history of calls that overlap as their times do. */
function history(...lines: readonly Line[]): readonly Call[] {
  const made = new History();
  const calls = new Map<Line, Call>();
  const moments = lines.flatMap((line) => [
    { at: line[0], line, isCall: true },
    { at: line[1], line, isCall: false },
  ]).sort((a, b) => a.at - b.at);
  for (const { at, line, isCall } of moments) {
    const [, , operation, reply, ending = "done"] = line;
    if (isCall) calls.set(line, made.begin({ client: 0, node: 0, operation, nowMs: at }));
    else {
      const call = calls.get(line);
      if (call !== undefined && at < Infinity) {
        made.end(call, { ending, outcome: ending, reply, nowMs: at });
      }
    }
  }
  return made.calls;
}

const verdict = (...lines: readonly Line[]) =>
  checkLinearizability(history(...lines)).map(({ kind }) => kind);

const setX = (value: string) => command({ words: ["SET", "x0", value] });
const setForAWhile = command({
  words: ["SET", "x0", "v1", "PX", "30"],
  lifetime: { name: "9", ms: 30 },
});
const [endOfX] = setForAWhile.held?.flatMap(({ ends }) => ends) ?? [];
assert(endOfX !== undefined);

/** WATCH, and the EXEC that follows it. */
function session(key: string, ...words: readonly string[][]): readonly [Operation, Operation] {
  const commands = words.map((one) => ({ words: one }));
  const begin = watch([key], { session: 1, looks: false, thinkMs: 0, commands });
  const end = begin.next?.("OK");
  assert(end !== undefined);
  return [begin, end];
}
const [watchX, execX] = session("x0", ["INCR", "x1"], ["GET", "x0"]);

/** WATCH of x0, EXEC under a token, and the WATCH before the first repetition of that. */
function repeatedSession(): readonly [Operation, Operation, Operation] {
  const commands = [{ words: ["INCR", "x1"] }];
  const begin = watch(["x0"], { session: 2, looks: false, thinkMs: 0, commands, token: "t" });
  const end = begin.next?.("OK");
  const again = end?.beforeRepetition?.();
  assert(end !== undefined && again !== undefined);
  return [begin, end, again];
}

const copyOf = (from: string, to: string) => command({ words: ["COPY", from, to, "REPLACE"] });
const getX = command({ words: ["GET", "x0"] });

function prolong(condition: string): Operation {
  const lifetime = longLifetime(3);
  return command({ words: ["PEXPIRE", "x0", String(lifetime.ms), condition], lifetime });
}

const HISTORIES: readonly {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly isLinearizable: boolean;
}[] = [
  {
    name: "a read after a write shows it",
    lines: [[1, 2, set(["k"], "v1"), "OK"], [3, 4, get("k"), "v1"]],
    isLinearizable: true,
  },
  {
    name: "a stale read",
    lines: [[1, 2, set(["k"], "v1"), "OK"], [3, 4, get("k"), "-"]],
    isLinearizable: false,
  },
  {
    name: "a read beside a write may show either",
    lines: [[1, 4, set(["k"], "v1"), "OK"], [2, 3, get("k"), "-"], [2, 3, get("k"), "v1"]],
    isLinearizable: true,
  },
  {
    name: "reads beside a write that go back",
    lines: [[1, 9, set(["k"], "v1"), "OK"], [2, 3, get("k"), "v1"], [4, 5, get("k"), "-"]],
    isLinearizable: false,
  },
  {
    name: "a lost write",
    lines: [
      [1, 2, set(["k"], "v1"), "OK"],
      [3, 4, set(["k"], "v2"), "OK"],
      [5, 6, get("k"), "v1"],
    ],
    isLinearizable: false,
  },
  {
    name: "a value that ends, comes back from a copy, and ends again",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [2, 2, endOfX, "", "unknown"],
      [3, 4, copyOf("x0", "x1"), "1"],
      [5, 6, getX, "-"],
      [7, 8, copyOf("x1", "x0"), "1"],
      [9, 10, getX, "-"],
    ],
    isLinearizable: true,
  },
  ...([["0", "-"], ["1", "v1"]] as const).map(([persisted, found]) => ({
    name: `a value that was kept by PERSIST: ${persisted}, and is ${found} after its time`,
    lines: [
      [1, 2, setForAWhile, "OK"],
      [3, 4, command({ words: ["PERSIST", "x0"] }), persisted],
      [2, 2, endOfX, "", "unknown"],
      [5, 6, getX, found],
    ] as const,
    isLinearizable: true,
  })),
  {
    name: "a value that was kept by PERSIST and ends",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [3, 4, command({ words: ["PERSIST", "x0"] }), "1"],
      [4, 4, endOfX, "", "unknown"],
      [5, 6, getX, "-"],
    ],
    isLinearizable: false,
  },
  ...([["NX", "0"], ["XX", "1"], ["GT", "1"], ["LT", "0"]] as const).map(([condition, reply]) => ({
    name: `a longer time to live if ${condition}: ${reply}`,
    lines: [[1, 2, setForAWhile, "OK"], [3, 4, prolong(condition), reply]] as const,
    isLinearizable: true,
  })),
  {
    name: "the same increments under a token, done twice",
    lines: [
      [
        1,
        2,
        execOnce([{ words: ["INCR", "x0"] }, { words: ["APPEND", "x1", "v1"] }], "t"),
        "1 appended",
      ],
      [3, 4, command({ words: ["MGET", "x0", "x1"] }), "2 v1v1"],
    ],
    isLinearizable: false,
  },
  ...([["", "1", "-"], ["LT", "1", "-"], ["GT", "0", "v1"]] as const).map(
    ([condition, reply, found]) => ({
      name: `a time to live that is over, ${condition}: ${reply}`,
      lines: [
        [1, 2, setX("v1"), "OK"],
        [3, 4, command({ words: ["PEXPIREAT", "x0", "1", condition].filter(Boolean) }), reply],
        [5, 6, getX, found],
      ] as const,
      isLinearizable: true,
    }),
  ),
  {
    name: "a value that stays though its time to live is over",
    lines: [
      [1, 2, setX("v1"), "OK"],
      [3, 4, command({ words: ["PEXPIREAT", "x0", "1"] }), "1"],
      [5, 6, getX, "v1"],
    ],
    isLinearizable: false,
  },
  {
    name: "a value that FLUSHALL has left",
    lines: [[1, 2, setX("v1"), "OK"], [3, 4, flushAll(), "OK"], [5, 6, getX, "v1"]],
    isLinearizable: false,
  },
  {
    name: "a FLUSHDB under a token that comes again, behind another write",
    lines: [
      [1, 2, flushAll({ name: "FLUSHDB", token: "t" }), "OK"],
      [3, 4, setX("v1"), "OK"],
      [5, 6, getX, "-"],
    ],
    isLinearizable: false,
  },
  {
    name: "an increment under a token, done twice",
    lines: [[1, 4, once({ words: ["INCR", "x0"] }, "t"), "1"], [5, 6, getX, "2"]],
    isLinearizable: false,
  },
  {
    name: "an EXEC in spite of FLUSHALL",
    lines: [
      [1, 2, setX("v1"), "OK"],
      [3, 4, watchX, "OK"],
      [5, 6, flushAll(), "OK"],
      [7, 8, execX, "1 -"],
    ],
    isLinearizable: false,
  },
  ...([
    ["nothing is changed", [], "1", true],
    ["nothing is changed", [], "nil", false],
    ["a write comes between", [4.1], "1", true],
    ["a write comes between", [4.1], "nil", true],
    ["a write comes behind both", [7], "1", true],
    ["a write comes behind both", [4.1, 7], "nil", true],
    ["a write comes before both", [1.5], "nil", false],
  ] as const).map(([what, writes, reply, isLinearizable]) => {
    const [watched, executed, again] = repeatedSession();
    const write = (at: number): Line => [at, at + 0.2, setX(`v${at}`), "OK"];
    return {
      name: `an EXEC under a token that watches again, and ${what}: ${reply}`,
      lines: [
        [1, 1.2, setX("v1"), "OK"] as Line,
        ...writes.map(write),
        [3, 4, watched, "OK"] as Line,
        [4.05, 9, executed, reply] as Line,
        [5, 6, again, "OK"] as Line,
      ],
      isLinearizable,
    };
  }),
  {
    name: "an EXEC under a token that is asked for when both have seen a change",
    lines: (() => {
      const [watched, executed, again] = repeatedSession();
      return [
        [1, 2, setX("v1"), "OK"],
        [3, 4, watched, "OK"],
        [4.5, 4.6, setX("v2"), "OK"],
        // The first attempt comes behind that; the second WATCH does not help it.
        [5, 6, executed, "1"],
        [7, 8, again, "OK"],
      ] as const;
    })(),
    isLinearizable: false,
  },
  {
    name: "a value that has ended and comes back by itself",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [2, 2, endOfX, "", "unknown"],
      [5, 6, getX, "-"],
      [9, 10, getX, "v1"],
    ],
    isLinearizable: false,
  },
  {
    name: "two that both were the first",
    lines: [[1, 5, setIf("k", "v1", "NX"), "OK"], [2, 6, setIf("k", "v2", "NX"), "OK"]],
    isLinearizable: false,
  },
  {
    name: "two increments that saw the same",
    lines: [[1, 5, increment("c"), "1"], [2, 6, increment("c"), "1"]],
    isLinearizable: false,
  },
  {
    name: "a write of unknown end that shows up late",
    lines: [
      [1, 2, set(["k"], "v1"), "", "unknown"],
      [3, 4, get("k"), "-"],
      [5, 6, get("k"), "v1"],
    ],
    isLinearizable: true,
  },
  {
    name: "a write of unknown end that shows up and goes away",
    lines: [
      [1, 2, set(["k"], "v1"), "", "unknown"],
      [3, 4, get("k"), "v1"],
      [5, 6, get("k"), "-"],
    ],
    isLinearizable: false,
  },
  {
    name: "a write of unknown end before its call",
    lines: [[1, 2, get("k"), "v1"], [3, 4, set(["k"], "v1"), "", "unknown"]],
    isLinearizable: false,
  },
  {
    name: "an aborted write that shows up",
    lines: [[1, 2, set(["k"], "v1"), "", "none"], [3, 4, get("k"), "v1"]],
    isLinearizable: false,
  },
  {
    name: "half of a write of two keys",
    lines: [[1, 2, set(["a", "b"], "v1"), "OK"], [3, 4, get("a", "b"), "v1 -"]],
    isLinearizable: false,
  },
  {
    name: "two reads that saw two writes in different orders",
    lines: [
      [1, 9, set(["a"], "v1"), "OK"],
      [1, 9, set(["b"], "v2"), "OK"],
      [2, 8, get("a", "b"), "v1 -"],
      [2, 8, get("a", "b"), "- v2"],
    ],
    isLinearizable: false,
  },
  {
    name: "write skew",
    lines: [
      [1, 2, set(["a"], "v1"), "OK"],
      [3, 8, set(["a"], "v2"), "OK"],
      [3, 8, copy("a", "b"), "v1"],
      [4, 9, get("a", "b"), "v2 -"],
      [10, 11, get("a", "b"), "v2 v1"],
    ],
    isLinearizable: false,
  },
  {
    name: "an EXEC whose watched key is unchanged",
    lines: [[1, 2, setX("v1"), "OK"], [3, 4, watchX, "OK"], [5, 6, execX, "1 v1"]],
    isLinearizable: true,
  },
  {
    name: "an EXEC that finds no change and does nothing",
    lines: [[1, 2, setX("v1"), "OK"], [3, 4, watchX, "OK"], [5, 6, execX, "nil"]],
    isLinearizable: false,
  },
  {
    name: "an EXEC in spite of a write of a watched key",
    lines: [[1, 2, watchX, "OK"], [3, 4, setX("v1"), "OK"], [5, 6, execX, "1 v1"]],
    isLinearizable: false,
  },
  {
    name: "an EXEC in spite of a write that has left the value as it was",
    lines: [
      [1, 2, setX("v1"), "OK"],
      [3, 4, watchX, "OK"],
      [5, 6, setX("v1"), "OK"],
      [7, 8, execX, "1 v1"],
    ],
    isLinearizable: false,
  },
  {
    name: "an EXEC whose watched key was missing, made and deleted",
    lines: [
      [1, 2, watchX, "OK"],
      [3, 4, setX("v1"), "OK"],
      [5, 6, command({ words: ["DEL", "x0"] }), "1"],
      [7, 8, execX, "1 -"],
    ],
    isLinearizable: true,
  },
  {
    name: "an EXEC in spite of an expiry",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [3, 4, watchX, "OK"],
      [5, 6, get("x0"), "v1"],
      [6, 7, endOfX, "", "unknown"],
      [8, 9, execX, "1 -"],
    ],
    isLinearizable: false,
  },
  {
    name: "an EXEC that has found an expiry",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [3, 4, watchX, "OK"],
      [6, 7, endOfX, "", "unknown"],
      [8, 9, execX, "nil"],
    ],
    isLinearizable: true,
  },
  {
    name: "half of an EXEC",
    lines: [
      [1, 2, exec([{ words: ["SET", "x0", "v1"] }, { words: ["SET", "x1", "v2"] }]), "OK OK"],
      [3, 4, get("x0", "x1"), "v1 -"],
    ],
    isLinearizable: false,
  },
  {
    name: "a time to live that does not go along with a new name",
    lines: [
      [1, 2, setForAWhile, "OK"],
      [3, 4, command({ words: ["RENAME", "x0", "x1"] }), "OK"],
      [5, 6, endOfX, "", "unknown"],
      [7, 8, get("x1"), "-"],
    ],
    isLinearizable: false,
  },
  {
    name: "keys that nothing ties together",
    lines: [[1, 2, set(["a"], "v1"), "OK"], [3, 4, get("b"), "-"]],
    isLinearizable: true,
  },
];

for (const { name, lines, isLinearizable } of HISTORIES) {
  Deno.test(`checkLinearizability() ${isLinearizable ? "accepts" : "refuses"}: ${name}`, () => {
    assertEquals(verdict(...lines).includes("violation"), !isLinearizable);
  });
}

Deno.test("scans() refuses a key that was there and is not told, and one that never was", () => {
  const set = command({ words: ["SET", "s0", "v1"] });
  const scanned = (reply: string) =>
    checkers.scans(history(
      [1, 2, set, "OK"],
      [3, 4, scan(1, 1), "16 x0"],
      [4, 5, get("x0"), "-"],
      [5, 6, scan(1, 1, "16"), reply],
    )).map(({ checker }) => checker);
  assertEquals(scanned("0 s0"), []);
  assertEquals(scanned("0 "), ["scan"]);
  assertEquals(scanned("0 s0 x7"), ["scan"]);
});

Deno.test("scans() asks nothing of a scan without an end, or of a key set meanwhile", () => {
  const set = command({ words: ["SET", "s0", "v1"] });
  const calls = history([1, 2, set, "OK"], [3, 4, scan(1, 1), "16"], [5, 6, scan(2, 9), "0 s0"]);
  assertEquals(checkers.scans(calls), []);
  assertEquals(checkers.scans(history([1, 4, set, "OK"], [3, 5, scan(1, 9), "0 "])), []);
});

Deno.test("scans() asks for no key that FLUSHALL may have deleted", () => {
  const set = command({ words: ["SET", "s0", "v1"] });
  const begin: Line[] = [[1, 2, set, "OK"]];
  const end: Line = [7, 8, scan(1, 9), "0 "];
  const found = (...lines: Line[]) => checkers.scans(history(...begin, ...lines, end)).length;
  assertEquals(found(), 1);
  assertEquals(found([3, 4, flushAll(), "OK"]), 0);
  assertEquals(found([3, 4, flushAll(), "", "none"]), 1);
  assertEquals(found([3, 4, flushAll(), "", "unknown"], [5, 6, set, "OK"]), 0);
  assertEquals(found([3, 4, flushAll(), "OK"], [5, 6, set, "OK"]), 1);
});

Deno.test("visibleAborts() refuses a value of an aborted write", () => {
  const calls = history([1, 2, set(["k"], "v1"), "", "none"], [3, 4, get("k"), "v1"]);
  assertEquals(checkers.visibleAborts(calls).map(({ checker }) => checker), ["visible abort"]);
});

Deno.test("visibleAborts() lets a value of an indeterminate write pass", () => {
  const calls = history([1, 2, set(["k"], "v1"), "", "unknown"], [3, 4, get("k"), "v1"]);
  assertEquals(checkers.visibleAborts(calls), []);
});

Deno.test("lostWrites() refuses a value that an acknowledged write had replaced", () => {
  const calls = history([1, 2, set(["k"], "v1"), "OK"], [3, 4, set(["k"], "v2"), "OK"]);
  assertEquals(checkers.lostWrites(calls, new Map([["k", { value: "v1" }]])).length, 1);
  assertEquals(checkers.lostWrites(calls, new Map([["k", { value: "v2" }]])), []);
});

Deno.test("lostWrites() lets an indeterminate write replace an acknowledged one", () => {
  const calls = history([1, 2, set(["k"], "v1"), "", "unknown"], [3, 4, set(["k"], "v2"), "OK"]);
  assertEquals(checkers.lostWrites(calls, new Map([["k", { value: "v1" }]])), []);
});

Deno.test("sums() refuses money that comes from nowhere", () => {
  const [first = "", second = ""] = ACCOUNTS;
  const calls = history(
    [1, 2, transfer(first, second, 10), "OK"],
    [3, 4, get(...ACCOUNTS), "100 110 - -"],
    [5, 6, get(...ACCOUNTS), "90 110 - -"],
  );
  assertEquals(checkers.sums(calls).length, 1);
});

Deno.test("atRest() refuses members that differ, lock, doubt or remember", () => {
  const quiet = { locks: 0, undecided: [], remembered: 0 };
  const record = { key: "k", value: "v1", version: 1 };
  const records = new Map([["k", record]]);
  const check = (member: Partial<checkers.MemberAtRest>) =>
    checkers.atRest([
      { name: "n0", records, ...quiet },
      { name: "n1", records, ...quiet, ...member },
    ]).map(({ checker }) => checker);
  assertEquals(check({}), []);
  assertEquals(check({ records: new Map() }), ["agreement"]);
  for (const other of [{ value: "v2" }, { version: 2 }, { expiresAtMs: 1 }]) {
    assertEquals(check({ records: new Map([["k", { ...record, ...other }]]) }), ["agreement"]);
  }
  assertEquals(check({ locks: 1 }), ["locks"]);
  assertEquals(check({ undecided: ["0.1.1"] }), ["in doubt"]);
  assertEquals(check({ remembered: 1 }), ["forgetting"]);
});
