/**
 * A client's session with a node that does nothing, for tests of commands.
 *
 * @module
 */

import type { CommandResult, Session } from "../../../src/node/commands/command.ts";
import { Access } from "../../../src/node/access/access.ts";
import { admit } from "../../../src/node/server/gate.ts";
import { parseMemoryBytes } from "../../../src/node/memory.ts";
import { LatencyMonitor } from "../../../src/node/server/latency_monitor.ts";
import { SlowLog } from "../../../src/node/server/slow_log.ts";
import { ErrorReply } from "../../../src/resp/value.ts";
import type { KeyFacts, KeyReader } from "../../../src/two_phase/request.ts";

/** Returns a session with a node that allows keys of 10 and values of 20 bytes. */
export function session(): Session {
  return {
    id: 7,
    name: "",
    version: 2,
    isClosing: false,
    features: undefined,
    libraryName: "",
    libraryVersion: "",
    isNoEvict: false,
    isNoTouch: false,
    lastCommand: -1,
    user: "default",
    isAuthenticated: true,
    restriction: undefined,
    connection: {
      address: "10.0.0.1:5000",
      localAddress: "10.0.0.2:6379",
      connectedAtMs: -8765.5,
      usedAtMs: -765.5,
      inputBytes: 3,
      outputBytes: 4,
      close: () => {},
      end: () => {},
    },
    tell: () => {},
    node: {
      keyBytesMax: 10,
      valueBytesMax: 20,
      settings: {
        tls: undefined,
        memoryBytesMax: 0,
        idleMsMax: 300_000,
        slowMicros: 10_000,
        parseMemoryBytes: (text) => parseMemoryBytes(text, "maxmemory"),
      },
      access: new Access({
        configured: new Map(),
        sessions: () => [],
        later: (action) => action(),
        nowMs: () => 1234.5,
        warn: () => {},
      }),
      slowLog: new SlowLog(3),
      latency: new LatencyMonitor(),
      resetStatistics: () => {},
      monitor: () => {},
      isOutOfMemory: () => false,
      info: (sections) => `info ${sections.join()}`,
      status: () => "{}",
      members: {
        port: 5000,
        list: ["n1:5000", "n2:5000"],
        describe: () => "{}",
        change: (change, by) => {
          const reason = `${by} asks: ${JSON.stringify(change)}`;
          return Promise.resolve({ kind: "refused", reason });
        },
      },
      nowMs: () => 1234.5,
      wallMs: () => 1_234_567_890_123.5,
      isEphemeral: false,
      standStill: undefined,
      otherMembers: () => 4,
      memory: () => ({
        usedBytes: 600,
        peakBytes: 700,
        boundBytes: 1000,
        keys: 3,
        valueBytes: 60,
        heapBytes: 5000,
        residentBytes: 9000,
      }),
      beginExport: () => Promise.resolve(["id", 2]),
      nextOfExport: (id) => Promise.resolve([`key of ${id}`, "value"]),
      keys: (pattern) => Promise.resolve(["a", "bb"].filter((key) => pattern.matches(key))),
      scanProcess: () => 3,
      random: () => 0.5,
      tracking: { start: () => undefined, stop: () => {}, onRead: () => {} },
      sessionOf: () => undefined,
      sessions: () => [],
      pauseClients: () => {},
      unpauseClients: () => {},
      keyEvents: () => "",
      isKeyEvents: (letters) => letters !== "?",
      setKeyEvents: (letters) => letters !== "?",
      pubsub: {
        subscribe: () => undefined,
        unsubscribe: () => {},
        allKnow: () => undefined,
        publish: () => 0,
        names: () => new Set(),
        count: () => 0,
      },
      whyLoading: () => undefined,
      outcome: () => Promise.resolve("committed"),
    },
  };
}

/** The wall-clock time of evaluations here, in milliseconds, and the version that they give. */
export const NOW_MS = 1_000_000;
export const VERSION = 77;

/** Returns what an evaluation knows of keys, which all have the version 1. */
export function factsOf(
  read: KeyReader,
  expiresAtMs: Readonly<Record<string, number>> = {},
): KeyFacts {
  return {
    nowMs: NOW_MS,
    version: VERSION,
    recordOf: (key) => {
      const value = read(key);
      return value === undefined
        ? undefined
        : { key, value, version: 1, expiresAtMs: expiresAtMs[key] };
    },
  };
}

/** Returns what `words` come to, behind the gate. */
export function runWords(words: readonly string[], of: Session = session()): CommandResult {
  const command = admit(words, of);
  return command instanceof ErrorReply ? { reply: command } : command.run(words, of);
}
