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
import type { Happening } from "./sim_node.ts";

/** How long something lasts: for so many milliseconds, or until a moment of virtual time. */
export type Span = { readonly ms: number } | { readonly untilMs: number };

/** An operation: its keys, and what it does to them and answers when it is alone. */
export interface Operation {
  readonly name: string;
  readonly keys: readonly ByteString[];
  readonly isRead: boolean;
  /** The keys are looked at in a snapshot of all keys, as an export does. */
  readonly isExport?: boolean;
  /** With a token: done once, however often it is asked for (`src/node/once.ts`). */
  readonly token?: ByteString | undefined;
  /** Returns what the client asks, on the same connection, before it repeats this under its token. */
  readonly beforeRepetition?: (() => Operation) | undefined;
  /** What it sets for a while: for how long, and the operations that may end it then. */
  readonly held?: readonly (Span & { readonly ends: readonly Operation[] })[];
  /** It may take effect several times, whenever it finds what it changes. */
  readonly repeats?: boolean;
  /** All keys are deleted at once. */
  readonly isFlush?: boolean;
  /** What WATCH has noted of keys, see `client_commands.ts`: keys that only the model has. */
  readonly notes?: readonly { readonly note: ByteString; readonly key: ByteString }[] | undefined;
  /** It is a part of this SCAN. */
  readonly scan?: number;
  /** What the protocol is asked, if that is not made from `apply`. */
  readonly request?: (scanProcess: number) => Request;
  /** Returns what the client sees of an answer, if that is not its text. */
  readonly finish?: (answer: unknown) => string;
  /** Returns what the client does next on the same connection. */
  readonly next?: (reply: string) => Operation | undefined;
  /** How long it waits at least before that, in milliseconds. */
  readonly thinkMs?: number;
  /** Returns what is counted. */
  readonly happening?: (reply: string) => Happening | undefined;
  /**
   * @param facts absent where only the values count
   * @param seen the reply that the client has got, if it has; only where several are right
   */
  apply(
    read: KeyReader,
    facts?: KeyFacts,
    seen?: string,
  ): { readonly effects: readonly Effect[]; readonly reply: string };
}

/**
 * Returns what the protocol is asked for `operation`.
 *
 * @param scanProcess tells the process that is asked from others in the cursors of SCAN
 */
export function requestFor(operation: Operation, scanProcess = 0): Request {
  const { keys, token, isExport = false } = operation;
  if (operation.request !== undefined) return operation.request(scanProcess);
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
export const PADDING = "~";

/** Returns `value` without what makes it long. */
export function bare(value: ByteString): ByteString {
  const end = value.indexOf(PADDING);
  return end < 0 ? value : value.slice(0, end);
}

/** Returns `value` as replies show it: without the name of its time to live, too. */
export function show(value: ByteString | undefined): string {
  if (value === undefined) return "-";
  const shown = bare(value);
  const end = shown.indexOf("@");
  return end < 0 ? shown : shown.slice(0, end);
}

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
    held: [{ ms, ends: [expiryOf(key, value)] }],
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
export const EXPIRING: readonly ByteString[] = ["e0", "e1"];

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
