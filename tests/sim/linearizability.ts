/**
 * Is there an order of the operations, each taking effect at one moment between its call and its
 * return, that explains every reply? (Herlihy & Wing 1990.)
 *
 * The search is that of Wing & Gong (1993) with the memoization of Lowe (2017): states that were
 * reached with the same operations done are not searched twice. Operations on keys that nothing ties
 * together are searched apart (locality, Herlihy & Wing §3.3). An operation whose end is unknown may
 * take effect at any time after its call, or never: to take effect after everything else is the same
 * as never, so it never has to be placed.
 *
 * What WATCH has noted of a key is a part of the state: it is found `dirty` when the key is written.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import { type Call, formatCall } from "./history.ts";
import { bare, type Operation } from "./operations.ts";

/** After so many steps without a result the search is given up. */
const STEPS_MAX = 100_000;

/** The result for one set of keys that belong together. */
export type Verdict =
  | { readonly kind: "linearizable" }
  | { readonly kind: "violation"; readonly keys: readonly ByteString[]; readonly calls: string[] }
  /** The search took too long. */
  | { readonly kind: "undecided"; readonly keys: readonly ByteString[]; readonly count: number };

/** Checks the calls of a history, one set of keys that belong together after the other. */
export function checkLinearizability(calls: readonly Call[]): Verdict[] {
  const relevant = calls.filter((call) =>
    call.ending === "done" || (call.ending !== "none" && !call.operation.isRead)
  );
  return components(relevant).map(({ keys, calls }) => checkComponent(keys, calls));
}

/** The keys of the model: those of the nodes, and the notes. */
function keysOf({ keys, notes }: Operation): readonly ByteString[] {
  return notes === undefined ? keys : [...keys, ...notes.map(({ note }) => note)];
}

/** Splits calls so that those which share a key, directly or not, stay together. */
function components(
  calls: readonly Call[],
): { readonly keys: readonly ByteString[]; readonly calls: readonly Call[] }[] {
  const parent = new Map<ByteString, ByteString>();
  const find = (key: ByteString): ByteString => {
    const up = parent.get(key) ?? key;
    if (up === key) return key;
    const root = find(up);
    parent.set(key, root);
    return root;
  };
  for (const { operation } of calls) {
    const [first] = operation.keys;
    for (const key of keysOf(operation)) {
      if (!parent.has(key)) parent.set(key, key);
      if (first !== undefined) parent.set(find(key), find(first));
    }
  }
  const groups = new Map<ByteString, { keys: ByteString[]; calls: Call[] }>();
  for (const key of parent.keys()) {
    const root = find(key);
    const group = groups.get(root);
    if (group === undefined) groups.set(root, { keys: [key], calls: [] });
    else group.keys.push(key);
  }
  for (const call of calls) {
    const [first] = call.operation.keys;
    if (first !== undefined) groups.get(find(first))?.calls.push(call);
  }
  return [...groups.values()];
}

const NOWHERE: readonly number[] = [];

type State = readonly (ByteString | undefined)[];

function checkComponent(keys: readonly ByteString[], calls: readonly Call[]): Verdict {
  const search = new Search(keys, calls);
  const result = search.run();
  if (result === true) return { kind: "linearizable" };
  if (result === undefined) return { kind: "undecided", keys, count: calls.length };
  return { kind: "violation", keys, calls: calls.map(formatCall) };
}

/** The search over one component. */
class Search {
  readonly #places: ReadonlyMap<ByteString, number>;
  /** By key: the places of what is noted of it. */
  readonly #notes = new Map<ByteString, number[]>();
  readonly #keys: readonly ByteString[];
  /** Known ends by their return, then unknown ends by their call: the order in which to try. */
  readonly #calls: readonly Call[];
  readonly #isDone: Uint8Array;
  readonly #seen = new Set<string>();
  /** Known ends that have no place yet. */
  #left: number;
  #steps = 0;

  constructor(keys: readonly ByteString[], calls: readonly Call[]) {
    this.#keys = keys;
    this.#places = new Map(keys.map((key, place) => [key, place]));
    const known = calls.filter((call) => call.ending === "done");
    const unknown = calls.filter((call) => call.ending !== "done");
    known.sort((a, b) => a.returnedAt - b.returnedAt);
    unknown.sort((a, b) => a.calledAt - b.calledAt);
    this.#calls = [...known, ...unknown];
    this.#isDone = new Uint8Array(this.#calls.length);
    this.#left = known.length;
    for (const { operation: { notes = [], isRead } } of calls) {
      for (const { note, key } of isRead ? notes : []) {
        const places = this.#notes.get(key) ?? [];
        const place = this.#places.get(note) ?? -1;
        if (!places.includes(place)) this.#notes.set(key, [...places, place]);
      }
    }
  }

  /** Returns whether there is such an order; `undefined` if the search took too long. */
  run(): boolean | undefined {
    return this.#extend(this.#keys.map(() => undefined), 0);
  }

  /** @param from calls before this place in the list are done */
  #extend(state: State, from: number): boolean | undefined {
    if (this.#left === 0) return true;
    if (++this.#steps > STEPS_MAX) return undefined;
    while (this.#isDone[from] === 1) from++;
    // Nothing may come before an operation that had returned before it was called.
    const firstReturn = this.#firstReturn(from);
    for (let i = from; i < this.#calls.length; i++) {
      const call = this.#calls[i];
      if (call === undefined || this.#isDone[i] === 1 || call.calledAt > firstReturn) continue;
      const next = this.#apply(state, call);
      if (next === undefined) continue;
      const isKnown = call.ending === "done";
      // An effect that changes nothing need not take place.
      if (!isKnown && next === state) continue;
      // Only another operation can bring back the state in which this one changes something.
      this.#isDone[i] = call.operation.repeats === true ? 0 : 1;
      if (isKnown) this.#left--;
      const name = this.#nameOf(next, from);
      if (!this.#seen.has(name)) {
        this.#seen.add(name);
        const result = this.#extend(next, from);
        if (result !== false) return result;
      }
      this.#isDone[i] = 0;
      if (isKnown) this.#left++;
    }
    return false;
  }

  /** Calls with known ends stand in the order of their returns. */
  #firstReturn(from: number): number {
    for (let i = from; i < this.#calls.length; i++) {
      if (this.#isDone[i] === 0) return this.#calls[i]?.returnedAt ?? Infinity;
    }
    return Infinity;
  }

  /** Returns the state after `call`, or `undefined` if its reply would be another one. */
  #apply(state: State, call: Call): State | undefined {
    const read = (key: ByteString) => state[this.#places.get(key) ?? -1];
    const seen = call.ending === "done" ? call.reply : undefined;
    const { effects, reply } = call.operation.apply(read, undefined, seen);
    if (seen !== undefined && reply !== seen) return undefined;
    let next: (ByteString | undefined)[] | undefined;
    for (const { key, value } of effects) {
      for (const noted of this.#notes.get(key) ?? NOWHERE) {
        if (state[noted] !== "clean") continue;
        next ??= state.slice();
        next[noted] = "dirty";
      }
      const place = this.#places.get(key) ?? -1;
      if (state[place] === value) continue;
      next ??= state.slice();
      next[place] = value;
    }
    return next ?? state;
  }

  #nameOf(state: State, from: number): string {
    let bits = "";
    for (let i = from; i < this.#isDone.length; i += 16) {
      let word = 0;
      for (let j = 0; j < 16; j++) word = word * 2 + (this.#isDone[i + j] ?? 0);
      bits += String.fromCharCode(word);
    }
    // What makes values long tells nothing of them.
    return `${from} ${bits} ${state.map((value) => bare(value ?? "")).join(" ")}`;
  }
}
