/**
 * What clients do: operations with a sequential meaning, from which both the request to the protocol
 * and the model of the linearizability checker are made.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import type { Effect } from "../../src/two_phase/messages.ts";
import { once as onceRequest } from "../../src/node/commands/once.ts";
import { EVERYTHING } from "../../src/reserved_keys.ts";
import type { KeyFacts, KeyReader, Request, WriteRequest } from "../../src/two_phase/request.ts";
import type { Store } from "../../src/two_phase/store.ts";
import type { Random } from "./random.ts";
import type { Workload } from "./scenario.ts";

/** An operation: its keys, and what it does to them and answers when it is alone. */
export interface Operation {
  readonly name: string;
  readonly keys: readonly ByteString[];
  readonly isRead: boolean;
  /** The keys are looked at in a snapshot of all keys, as an export does. */
  readonly isExport?: boolean;
  /** With a token: done once, however often it is asked for (`src/node/once.ts`). */
  readonly token?: ByteString;
  /** The value that it gives a key for a while, and for how long, in milliseconds. */
  readonly held?: { readonly key: ByteString; readonly value: ByteString; readonly ms: number };
  /** All keys are deleted at once. */
  readonly isFlush?: boolean;
  /** @param facts absent where only the values count */
  apply(
    read: KeyReader,
    facts?: KeyFacts,
  ): { readonly effects: readonly Effect[]; readonly reply: string };
}

/** Returns what the protocol is asked for `operation`. */
export function requestFor(operation: Operation): Request {
  const { keys, token, isExport = false } = operation;
  if (isExport) {
    const evaluate = (store: Store) => operation.apply((key) => store.get(key)?.value).reply;
    return { kind: "barrier", isExact: true, evaluate };
  }
  if (operation.isRead) {
    return { kind: "read", keys, evaluate: (read) => operation.apply(read).reply };
  }
  if (operation.isFlush === true) {
    const effects = [{ key: EVERYTHING, value: undefined }];
    return { kind: "write", keys: [EVERYTHING], evaluate: () => ({ effects, reply: "OK" }) };
  }
  const write: WriteRequest = {
    kind: "write",
    keys,
    evaluate: (read, facts) => operation.apply(read, facts),
  };
  if (token === undefined) return write;
  return onceRequest(write, { token, command: [operation.name], nowMs: 0 });
}

/** What makes a value long, behind what tells it from others. */
const PADDING = "~";

/** Returns `value` without what makes it long. */
export function bare(value: ByteString): ByteString {
  const end = value.indexOf(PADDING);
  return end < 0 ? value : value.slice(0, end);
}

const show = (value: ByteString | undefined) => value === undefined ? "-" : bare(value);

export function get(...keys: ByteString[]): Operation {
  return {
    name: `get ${keys.join(" ")}`,
    keys,
    isRead: true,
    apply: (read) => ({ effects: [], reply: keys.map((key) => show(read(key))).join(" ") }),
  };
}

/** Reads the keys as an export does. */
export function exportOf(...keys: ByteString[]): Operation {
  return { ...get(...keys), name: `export ${keys.join(" ")}`, isExport: true };
}

export function set(keys: readonly ByteString[], value: ByteString | undefined): Operation {
  return {
    name: value === undefined
      ? `delete ${keys.join(" ")}`
      : `set ${keys.join(" ")} = ${bare(value)}`,
    keys,
    isRead: false,
    apply: () => ({ effects: keys.map((key) => ({ key, value })), reply: "OK" }),
  };
}

/** Sets a key for `ms`: what becomes of it then is an operation of its own, {@linkcode expiryOf}. */
export function hold(key: ByteString, value: ByteString, ms: number): Operation {
  return {
    name: `hold ${key} = ${bare(value)} for ${ms} ms`,
    keys: [key],
    isRead: false,
    held: { key, value, ms },
    apply: (_read, facts) => {
      const effect = facts === undefined
        ? { key, value }
        : { key, value, expiresAtMs: facts.nowMs + ms };
      return { effects: [effect], reply: "OK" };
    },
  };
}

/** The end of a value that was set for a while: at any time, or never, if something else stands there. */
export function expiryOf(key: ByteString, value: ByteString): Operation {
  return {
    name: `expiry of ${bare(value)}`,
    keys: [key],
    isRead: false,
    apply: (read) => ({
      effects: read(key) === value ? [{ key, value: undefined }] : [],
      reply: "OK",
    }),
  };
}

/** Deletes all keys. Of those of other workloads there are none, but for the last phase's. */
export function flush(): Operation {
  const keys = [...EXPIRING, ...Array.from({ length: 16 }, (_, client) => `final${client}`)];
  return {
    name: "flush",
    keys,
    isRead: false,
    isFlush: true,
    apply: () => ({ effects: keys.map((key) => ({ key, value: undefined })), reply: "OK" }),
  };
}

/** The keys of the workload with expiries. */
const EXPIRING: readonly ByteString[] = ["e0", "e1"];

/** For how long values are set, in milliseconds. */
const HOLD_MS: readonly number[] = [30, 300, 1000, 4000];

/** Sets a key if it exists, or if it does not; answers whether it did. */
export function setIf(key: ByteString, value: ByteString, condition: "NX" | "XX"): Operation {
  return {
    name: `set ${key} = ${bare(value)} ${condition}`,
    keys: [key],
    isRead: false,
    apply: (read) =>
      (read(key) === undefined) === (condition === "NX")
        ? { effects: [{ key, value }], reply: "OK" }
        : { effects: [], reply: "-" },
  };
}

/** Sets a key, and answers with its old value. */
export function getSet(key: ByteString, value: ByteString): Operation {
  return {
    name: `getset ${key} = ${bare(value)}`,
    keys: [key],
    isRead: false,
    apply: (read) => ({ effects: [{ key, value }], reply: show(read(key)) }),
  };
}

export function increment(key: ByteString): Operation {
  return {
    name: `increment ${key}`,
    keys: [key],
    isRead: false,
    apply: (read) => {
      const value = String(Number(read(key) ?? "0") + 1);
      return { effects: [{ key, value }], reply: value };
    },
  };
}

/** What every account holds at first. */
export const INITIAL_BALANCE = 100;

const balance = (value: ByteString | undefined) => Number(value ?? INITIAL_BALANCE);

/** Moves an amount from one account to another, if there is enough. */
export function transfer(from: ByteString, to: ByteString, amount: number): Operation {
  return {
    name: `transfer ${amount} from ${from} to ${to}`,
    keys: [from, to],
    isRead: false,
    apply: (read) => {
      if (balance(read(from)) < amount) return { effects: [], reply: "too little" };
      const effects = [
        { key: from, value: String(balance(read(from)) - amount) },
        { key: to, value: String(balance(read(to)) + amount) },
      ];
      return { effects, reply: "OK" };
    },
  };
}

/** Writes one key by what stands in another, which it only reads. */
export function copy(from: ByteString, to: ByteString): Operation {
  return {
    name: `copy ${from} to ${to}`,
    keys: [from, to],
    isRead: false,
    apply: (read) => ({ effects: [{ key: to, value: read(from) }], reply: show(read(from)) }),
  };
}

/** A write under a token: in the history it is one operation, from the first call to the last answer. */
export function once(operation: Operation, token: ByteString): Operation {
  return { ...operation, name: `once ${token}: ${operation.name}`, token };
}

/** The accounts that transfers go between. */
export const ACCOUNTS: readonly ByteString[] = ["account0", "account1", "account2", "account3"];

/** Makes the operations of a workload. */
export class OperationSource {
  readonly #random: Random;
  readonly #workload: Workload;
  readonly #valueBytesMax: number;
  #values = 0;
  #tokens = 0;

  constructor(
    { workload, valueBytesMax }: { workload: Workload; valueBytesMax: number },
    random: Random,
  ) {
    this.#workload = workload;
    this.#valueBytesMax = valueBytesMax;
    this.#random = random;
  }

  next(): Operation {
    const kinds = ["registers", "hot", "counters", "multi", "transfers", "many"] as const;
    const kind = this.#workload === "mixed" ? this.#random.pick(kinds) : this.#workload;
    switch (kind) {
      case "registers":
        return this.#onOneKey(`r${this.#random.integer(4)}`, { reads: 0.5 });
      case "hot":
        return this.#onOneKey("hot", { reads: 0.3 });
      case "many":
        return this.#onOneKey(`m${this.#random.integer(40)}`, { reads: 0.4 });
      case "counters": {
        const key = `c${this.#random.integer(2)}`;
        return this.#random.chance(0.7) ? increment(key) : get(key);
      }
      case "multi":
        return this.#onSeveralKeys();
      case "expiry":
        return this.#expiry();
      case "once":
        return this.#once();
      case "transfers":
        if (this.#random.chance(0.6)) return this.#transfer();
        return this.#random.chance(0.1) ? exportOf(...ACCOUNTS) : get(...ACCOUNTS);
    }
  }

  /** What must not be done twice, and now and then something else with the same keys. */
  #once(): Operation {
    const key = `o${this.#random.integer(2)}`;
    switch (this.#random.integer(8)) {
      case 0:
        return get(key);
      case 1:
        return increment(key);
      case 2:
        return once(setIf(`${key}x`, this.#value, "NX"), this.#token);
      case 3:
        return set([`${key}x`], undefined);
      case 4:
        return once(this.#transfer(), this.#token);
      case 5:
        return get(...ACCOUNTS);
      default:
        return once(increment(key), this.#token);
    }
  }

  #expiry(): Operation {
    const key = this.#random.pick(EXPIRING);
    switch (this.#random.integer(12)) {
      case 0:
        return set([key], this.#value);
      case 1:
        return setIf(key, this.#value, "NX");
      case 2:
        return getSet(key, this.#value);
      case 3:
        return get(...EXPIRING);
      case 4:
        return this.#random.chance(0.4) ? flush() : setIf(key, this.#value, "XX");
      case 5:
      case 6:
      case 7:
        return hold(key, this.#value, this.#random.pick(HOLD_MS));
      default:
        return get(key);
    }
  }

  get #token(): ByteString {
    return `t${++this.#tokens}`;
  }

  /** Every value is written once, so that a read tells which write it saw. */
  get #value(): ByteString {
    const value = `v${++this.#values}`;
    if (this.#valueBytesMax === 0 || this.#random.chance(0.5)) return value;
    return value.padEnd(Math.floor(this.#random.skewed(10, this.#valueBytesMax)), PADDING);
  }

  #onOneKey(key: ByteString, options: { reads: number }): Operation {
    if (this.#random.chance(options.reads)) return get(key);
    switch (this.#random.integer(8)) {
      case 0:
        return set([key], undefined);
      case 1:
        return setIf(key, this.#value, "NX");
      case 2:
        return setIf(key, this.#value, "XX");
      case 3:
        return getSet(key, this.#value);
      default:
        return set([key], this.#value);
    }
  }

  #onSeveralKeys(): Operation {
    const keys = ["a", "b", "c", "d"].filter(() => this.#random.chance(0.5));
    const [first = "a", second = "b"] = keys;
    switch (this.#random.integer(7)) {
      case 0:
        return set([first], this.#value);
      case 1:
        return get(first);
      case 2:
        return copy(first, first === second ? "e" : second);
      case 3:
        return set(
          keys.length === 0 ? ["d"] : keys,
          this.#random.chance(0.3) ? undefined : this.#value,
        );
      case 4:
        return this.#random.chance(0.3) ? exportOf("a", "b", "c", "d") : get("a", "b", "c", "d");
      default:
        return set(keys.length < 2 ? ["a", "c"] : keys, this.#value);
    }
  }

  #transfer(): Operation {
    const from = this.#random.integer(ACCOUNTS.length);
    const to = (from + 1 + this.#random.integer(ACCOUNTS.length - 1)) % ACCOUNTS.length;
    const amount = 1 + this.#random.integer(60);
    return transfer(`account${from}`, `account${to}`, amount);
  }
}
