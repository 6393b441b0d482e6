/**
 * The checkers: what must hold of every run, looked at from outside.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { KeyRecord } from "../../src/two_phase/messages.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { type Call, formatCall } from "./history.ts";
import { checkLinearizability } from "./linearizability.ts";
import { cursorOf, STAYING } from "./client_commands.ts";
import { ACCOUNTS, INITIAL_BALANCE } from "./operations.ts";

/** Something that must not be. */
export interface Violation {
  /** Which checker saw it. */
  readonly checker:
    | "linearizability"
    | "visible abort"
    | "lost write"
    | "freshness"
    | "outcome"
    | "change"
    | "sum"
    | "scan"
    | "token"
    | "deadline"
    | "priority"
    | "agreement"
    | "locks"
    | "in doubt"
    | "forgetting"
    | "liveness"
    | "invariant"
    | "white box";
  readonly text: string;
}

/** What one member holds when everything is at rest. */
export interface MemberAtRest {
  readonly name: string;
  /** Of the keys that exist, the reserved ones too. */
  readonly records: ReadonlyMap<ByteString, KeyRecord>;
  readonly locks: number;
  /** Names of the transactions that are not decided. */
  readonly undecided: readonly string[];
  /** How many transactions are remembered. */
  readonly remembered: number;
}

/**
 * Every history is linearizable.
 *
 * @returns what was found, and how many sets of keys the search had to give up
 */
export function linearizability(
  calls: readonly Call[],
): { readonly violations: readonly Violation[]; readonly undecided: number } {
  const verdicts = checkLinearizability(calls);
  const violations = verdicts.flatMap((verdict) =>
    verdict.kind !== "violation" ? [] : [{
      checker: "linearizability" as const,
      text: `no order explains the replies for ${verdict.keys.join(" ")}:\n` +
        verdict.calls.map((line) => `  ${line}`).join("\n"),
    }]
  );
  return { violations, undecided: verdicts.filter(({ kind }) => kind === "undecided").length };
}

/**
 * What was answered "aborted" or "rejected" never takes effect: no reply shows a value that only such
 * a call wrote.
 */
export function visibleAborts(calls: readonly Call[]): Violation[] {
  const written = new Map<string, Call[]>();
  for (const call of calls) {
    for (const [, value = ""] of call.operation.name.matchAll(/ = (v\d+)/g)) {
      const writers = written.get(value);
      if (writers === undefined) written.set(value, [call]);
      else writers.push(call);
    }
  }
  const violations: Violation[] = [];
  for (const call of calls) {
    if (call.ending !== "done") continue;
    for (const value of call.reply.match(/\bv\d+\b/g) ?? []) {
      const writers = written.get(value) ?? [];
      if (writers.some((writer) => writer.ending !== "none")) continue;
      violations.push({
        checker: "visible abort",
        text: `${formatCall(call)}\n  shows ${value}, of ${
          writers.map(formatCall).join(", ") || "nobody"
        }`,
      });
    }
  }
  return violations;
}

/**
 * No acknowledged write is lost: the value that stands at the end is not one that an acknowledged
 * write had replaced.
 */
export function lostWrites(
  calls: readonly Call[],
  atRest: ReadonlyMap<ByteString, Pick<KeyRecord, "value">>,
): Violation[] {
  const violations: Violation[] = [];
  const last = new Map<ByteString, Call>();
  const writers = new Map<string, number>();
  for (const call of calls) {
    const { operation } = call;
    if (operation.isRead || call.ending === "none") continue;
    for (const { key, value } of blindEffects(call)) {
      const name = `${key} ${value}`;
      // The value counts as written at the latest moment at which it may have been.
      writers.set(name, Math.max(writers.get(name) ?? 0, call.returnedAt));
      if (call.ending !== "done") writers.set(name, Infinity);
      const latest = last.get(key);
      if (call.ending === "done" && (latest === undefined || call.calledAt > latest.calledAt)) {
        last.set(key, call);
      }
    }
  }
  for (const [key, call] of last) {
    if (calls.some((other) => mayRewrite(other, key) && endedAt(other) >= call.calledAt)) continue;
    const value = atRest.get(key)?.value;
    const writtenAt = writers.get(`${key} ${value}`);
    if (writtenAt === undefined || writtenAt >= call.calledAt) continue;
    violations.push({
      checker: "lost write",
      text: `${key} is ${value ?? "missing"} at the end, which was replaced by ${formatCall(call)}`,
    });
  }
  return violations;
}

/** Tells whether the call may have given `key` a value that depends on what it found. */
function mayRewrite(call: Call, key: ByteString): boolean {
  const { operation, ending } = call;
  return !operation.isRead && ending !== "none" && operation.keys.includes(key) &&
    blindEffects(call).length === 0;
}

function endedAt(call: Call): number {
  return call.ending === "done" ? call.returnedAt : Infinity;
}

/** The effects of an operation that has the same ones in every state; none of any other. */
function blindEffects(
  call: Call,
): readonly { readonly key: ByteString; readonly value: ByteString | undefined }[] {
  return /^(set|delete) (?!.*(NX|XX)$)/.test(call.operation.name)
    ? call.operation.apply(() => undefined).effects
    : [];
}

/** Transfers move money and make none. */
export function sums(calls: readonly Call[]): Violation[] {
  const name = `get ${ACCOUNTS.join(" ")}`;
  const expected = ACCOUNTS.length * INITIAL_BALANCE;
  return calls.flatMap((call) => {
    if (call.operation.name !== name || call.ending !== "done") return [];
    const balances = call.reply.split(" ").map((text) => text === "-" ? INITIAL_BALANCE : +text);
    const sum = balances.reduce((total, one) => total + one, 0);
    if (sum === expected) return [];
    return [{ checker: "sum" as const, text: `${formatCall(call)}\n  is ${sum}, not ${expected}` }];
  });
}

/**
 * A SCAN that has come to its end has told every key that was there from its beginning on, and none that
 * nobody has ever named. What was there before FLUSHALL need not be.
 */
export function scans(calls: readonly Call[]): Violation[] {
  const setAt = new Map<ByteString, Call[]>();
  const flushes = calls.filter(({ operation, ending }) =>
    operation.isFlush === true && ending !== "none"
  );
  const named = new Set<ByteString>();
  const told = new Map<number, { readonly since: number; readonly keys: Set<ByteString> }>();
  const violations: Violation[] = [];
  for (const { operation: { keys } } of calls) for (const key of keys) named.add(key);
  for (const call of calls.toSorted((a, b) => a.returnedAt - b.returnedAt)) {
    if (call.ending !== "done") continue;
    const { keys, isRead, scan } = call.operation;
    if (!isRead && call.operation.isFlush !== true) {
      for (const key of keys) setAt.set(key, [...setAt.get(key) ?? [], call]);
    }
    if (scan === undefined || cursorOf(call.reply) === undefined) continue;
    const known = told.get(scan) ?? { since: call.calledAt, keys: new Set() };
    told.set(scan, known);
    const [cursor, ...now] = call.reply.split(" ");
    for (const key of now) if (key !== "") known.keys.add(key);
    if (cursor !== "0") continue;
    const flushed = flushes.filter(({ calledAt }) => calledAt < call.returnedAt).map(endedAt);
    const flushedAt = Math.max(-Infinity, ...flushed);
    const isThere = (one: Call) => one.calledAt > flushedAt && one.returnedAt < known.since;
    const missed = STAYING.filter((key) => setAt.get(key)?.some(isThere) && !known.keys.has(key));
    const invented = [...known.keys].filter((key) => !named.has(key));
    const wrong = [
      ...missed.map((key) => `has not told ${key}, which was there`),
      ...invented.map((key) => `has told ${key}, which never was`),
    ];
    for (const text of wrong) {
      violations.push({
        checker: "scan",
        text: `${formatCall(call)}
  ${text}`,
      });
    }
  }
  return violations;
}

/** Returns the records of all keys that exist. */
export function recordsIn(store: Store): Map<ByteString, KeyRecord> {
  return new Map([...store.entries()].map(({ key }) => [key, store.recordOf(key)]));
}

/** Members are identical, hold no lock, are in doubt of nothing, and have forgotten what they may. */
export function atRest(members: readonly MemberAtRest[]): Violation[] {
  const violations: Violation[] = [];
  const [first] = members;
  for (const member of members) {
    if (first !== undefined) {
      const keys = new Set([...first.records.keys(), ...member.records.keys()]);
      for (const key of keys) {
        const [a, b] = [first, member].map(({ records }) => formatRecord(records.get(key)));
        if (a === b) continue;
        const text = `${key} is ${a} on ${first.name} and ${b} on ${member.name}`;
        violations.push({ checker: "agreement", text });
      }
    }
    if (member.locks > 0) {
      violations.push({ checker: "locks", text: `${member.name} holds ${member.locks} locks` });
    }
    if (member.undecided.length > 0) {
      violations.push({
        checker: "in doubt",
        text: `${member.name} is in doubt of ${member.undecided.join(", ")}`,
      });
    }
    if (member.remembered > 0) {
      violations.push({
        checker: "forgetting",
        text: `${member.name} remembers ${member.remembered} transactions that all have settled`,
      });
    }
  }
  return violations;
}

function formatRecord(record: KeyRecord | undefined): string {
  if (record === undefined) return "missing";
  const { value, version, expiresAtMs } = record;
  return `${value} of version ${version}, which ${
    expiresAtMs === undefined ? "does not expire" : `expires at ${expiresAtMs}`
  },`;
}
