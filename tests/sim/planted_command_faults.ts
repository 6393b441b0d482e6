/**
 * Planted faults of commands: of DKS.ONCE EXEC, of times to live, and of FLUSHALL.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import { hashOf } from "../../src/key_map.ts";
import { TOKEN_PREFIX } from "../../src/node/commands/once.ts";
import { EVERYTHING, isReserved } from "../../src/reserved_keys.ts";
import { NULL_ARRAY } from "../../src/resp/value.ts";
import type { Stamp } from "../../src/two_phase/messages.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import type { Evaluation, KeyFacts, Request } from "../../src/two_phase/request.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { ACCOUNTS } from "./operations.ts";
import type { PlantedFault } from "./planted_faults.ts";

/** See `PLANTED_FAULTS`. */
export const PLANTED_COMMAND_FAULTS: readonly (() => PlantedFault)[] = [
  () => ({
    name: "EXEC forgets its token",
    onRequest: (request) => {
      if (request.kind !== "write" || !request.keys.some(isReserved)) return request;
      // Of the other writes with tokens, only a transfer has several keys.
      const isTransfer = request.keys.some((key) => ACCOUNTS.includes(key));
      return request.keys.length < 3 || isTransfer ? request : changed(request, withoutTokens);
    },
  }),
  () => ({
    name: "a token does not keep that EXEC has done nothing",
    onRequest: (request) =>
      changed(request, (done) => done.reply === NULL_ARRAY ? withoutTokens(done) : done),
  }),
  () => ({
    name: "a time to live stays where the value does",
    onStart: ({ context: { store } }) => keepLifetimes(store),
  }),
  () => ({
    name: "PERSIST is lost at one member",
    onStart: ({ context: { store, self } }) => {
      if (self === 0) keepLifetimes(store);
    },
  }),
  () => ({
    name: "FLUSHALL leaves a part of the keys",
    onStart: ({ context: { store } }) =>
      aroundFlush(store, () => {
        const left = [...store.entries()]
          .filter(({ key }) => !isReserved(key) && (hashOf(key) >>> 31) === 0)
          .map(({ key }) => store.recordOf(key));
        return () => left.forEach((record) => store.restore(record));
      }),
  }),
  () => ({
    name: "FLUSHALL deletes the tokens, too",
    onStart: ({ context: { store } }) =>
      aroundFlush(store, (version) => () => {
        for (const [key] of [...store.reservedKeys()]) {
          if (isToken(key)) store.restore({ key, value: undefined, version });
        }
      }),
  }),
  watchForgetsFlush,
];

function isToken(key: ByteString): boolean {
  return key.startsWith(TOKEN_PREFIX);
}

/** Returns a request that comes to something else. */
function changed(request: Request, change: (done: Evaluation) => Evaluation): Request {
  if (request.kind !== "write") return request;
  return { ...request, evaluate: (read, facts) => change(request.evaluate(read, facts)) };
}

function withoutTokens({ effects, reply }: Evaluation): Evaluation {
  return { effects: effects.filter(({ key }) => !isToken(key)), reply };
}

/** A write that leaves the value as it was leaves its time to live, too. */
function keepLifetimes(store: Store): void {
  const write = store.write.bind(store);
  store.write = (entry, value, version, expiresAtMs) => {
    const kept = value !== undefined && value === entry.value ? entry.expiresAtMs : undefined;
    write(entry, value, version, expiresAtMs ?? kept);
  };
}

/** Calls `before` when all keys are deleted at once, and what that returns behind it. */
function aroundFlush(store: Store, before: (version: Stamp) => () => void): void {
  const write = store.write.bind(store);
  store.write = (entry, value, version, expiresAtMs) => {
    const after = entry.key === EVERYTHING ? before(version) : undefined;
    write(entry, value, version, expiresAtMs);
    after?.();
  };
}

/** A key that FLUSHALL has deleted has the version that it had, for who watches it. */
function watchForgetsFlush(): PlantedFault {
  const flushed = new Map<Replica, Map<ByteString, Stamp>>();
  return {
    name: "WATCH forgets FLUSHALL",
    onStart: (replica) => {
      const { context: { store } } = replica;
      aroundFlush(store, () => {
        const versions = [...store.entries()].map(({ key, version }) => [key, version] as const);
        flushed.set(replica, new Map(versions));
        return () => {};
      });
    },
    onRequest: (request, replica) =>
      withFacts(request, (facts) => (key) => {
        const record = facts.recordOf(key);
        const version = flushed.get(replica)?.get(key);
        return record !== undefined || version === undefined
          ? record
          : { key, value: undefined, version };
      }),
  };
}

/** Returns a request that finds other records of its keys. */
export function withFacts(
  request: Request,
  recordOf: (facts: KeyFacts) => KeyFacts["recordOf"],
): Request {
  if (request.kind === "barrier") return request;
  const seen = (facts: KeyFacts): KeyFacts => ({
    recordOf: recordOf(facts),
    get nowMs() {
      return facts.nowMs;
    },
    get version() {
      return facts.version;
    },
  });
  return request.kind === "read"
    ? { ...request, evaluate: (read, facts) => request.evaluate(read, seen(facts)) }
    : { ...request, evaluate: (read, facts) => request.evaluate(read, seen(facts)) };
}
