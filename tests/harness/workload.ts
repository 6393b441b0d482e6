/**
 * A steady load of reads and writes through all nodes, which checks every answer.
 *
 * Each key has one writer, which sets it to 1, 2, 3… Any number of readers read all keys at all
 * nodes. A read is right when it returns the latest value that was acknowledged before it began, or a
 * later one that was under way, or one whose outcome the writer was never told; and never a value
 * that the writer was told is rejected or aborted, nor one older than a finished read has seen.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Address } from "../../src/address.ts";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { isWithoutEffect } from "../../src/client/refusals.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { Lateness } from "./lateness.ts";

/** Pause of a client that cannot connect. */
const RECONNECT_MS = 50;

/** How a workload is made up. */
export interface WorkloadOptions {
  readonly addresses: readonly Address[];
  /** Writers and readers at each node. */
  readonly writersPerNode: number;
  readonly readersPerNode: number;
  readonly keysPerWriter: number;
  /** How long a client waits for an answer, in milliseconds. */
  readonly timeoutMs: number;
  /** The prefix of the names of the keys, if several loads follow each other. */
  readonly prefix?: string;
  /** Returns how long a client of this node rests between requests; not at all, if not given. */
  readonly pauseMs?: (node: number) => number;
}

/**
 * How long clients rest between requests, in milliseconds, unless a test is about a full load: without,
 * they take the processors from nodes that start and join.
 */
export const REST_MS = 10;

/** Of five nodes: enough for every fault to hit some of it. */
export const STEADY_LOAD = {
  writersPerNode: 4,
  readersPerNode: 4,
  keysPerWriter: 5,
  pauseMs: () => REST_MS,
} as const;

/** What is known of one key. */
class Key {
  /** The last value that a write was begun with. */
  started = 0;
  /** The last value whose write was acknowledged. */
  acknowledged = 0;
  /** The highest value that a finished read has returned. */
  seen = 0;
  /** Values whose fate the writer was not told. */
  readonly unknown = new Set<number>();
  /** Values that must never be read. */
  readonly dead = new Set<number>();

  constructor(readonly name: string) {}
}

/** What one node's clients have seen. */
export interface NodeTally {
  reads: number;
  writes: number;
  /** When the last read and the last write were answered well, in milliseconds. */
  lastRead: number;
  lastWrite: number;
  /** The longest time between two good answers. */
  readGapMs: number;
  writeGapMs: number;
  /** The longest time that a request took, answered or not. */
  longestMs: number;
  /** Errors by code word; lost connections and missing answers count as `CONNECTION`. */
  readonly errors: Map<string, number>;
}

/** Clients of all nodes that go on until they are stopped. */
export class Workload {
  /** Answers that are wrong. Must be empty. */
  readonly wrong: string[] = [];
  readonly tallies: readonly NodeTally[];
  readonly keys: readonly Key[];
  readonly #options: WorkloadOptions;
  readonly #loops: Promise<void>[] = [];
  #isStopped = false;
  /** How late this process was meanwhile. */
  readonly lateness = new Lateness();
  /** When the last write was acknowledged by whichever node, and the longest time between two. */
  #lastWrite = performance.now();
  #writeGapMs = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    const now = performance.now();
    this.tallies = options.addresses.map(() => ({
      reads: 0,
      writes: 0,
      lastRead: now,
      lastWrite: now,
      readGapMs: 0,
      writeGapMs: 0,
      longestMs: 0,
      errors: new Map(),
    }));
    const keys: Key[] = [];
    this.keys = keys;
    options.addresses.forEach((address, node) => {
      for (let writer = 0; writer < options.writersPerNode; writer++) {
        const own = Array.from(
          { length: options.keysPerWriter },
          (_, index) => new Key(`${options.prefix ?? "load"}:${node}:${writer}:${index}`),
        );
        keys.push(...own);
        this.#loops.push(this.#write(address, node, own));
      }
      for (let reader = 0; reader < options.readersPerNode; reader++) {
        this.#loops.push(this.#read(address, node));
      }
    });
  }

  /** How many writes were acknowledged, at these nodes or all. */
  writes(nodes: readonly number[] = [...this.tallies.keys()]): number {
    return nodes.reduce((sum, node) => sum + (this.tallies[node]?.writes ?? 0), 0);
  }

  /** How many reads were answered, at these nodes or all. */
  reads(nodes: readonly number[] = [...this.tallies.keys()]): number {
    return nodes.reduce((sum, node) => sum + (this.tallies[node]?.reads ?? 0), 0);
  }

  /** How many errors there were with this code word. */
  errors(code: string): number {
    return this.tallies.reduce((sum, tally) => sum + (tally.errors.get(code) ?? 0), 0);
  }

  /** The longest time without a write that was acknowledged, by whichever node. */
  get writeGapMs(): number {
    return Math.max(this.#writeGapMs, performance.now() - this.#lastWrite);
  }

  /** The longest time without a good answer to a read and to a write, at the worst of these nodes. */
  gapsMs(nodes: readonly number[]): { readonly read: number; readonly write: number } {
    const now = performance.now();
    const tallies = nodes.map((node) => this.#tally(node));
    return {
      read: Math.max(...tallies.map((one) => Math.max(one.readGapMs, now - one.lastRead))),
      write: Math.max(...tallies.map((one) => Math.max(one.writeGapMs, now - one.lastWrite))),
    };
  }

  /** Measures gaps from now on. */
  resetGaps(): void {
    const now = performance.now();
    this.#lastWrite = now;
    this.#writeGapMs = 0;
    for (const tally of this.tallies) {
      tally.lastRead = now;
      tally.lastWrite = now;
      tally.readGapMs = 0;
      tally.writeGapMs = 0;
      tally.longestMs = 0;
    }
  }

  /** Has all clients finish what they are at, and stop. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
    this.lateness.stop();
  }

  async #write(address: Address, node: number, keys: readonly Key[]): Promise<void> {
    await this.#converse(address, node, async (call) => {
      const key = pick(keys);
      const value = ++key.started;
      const reply = await call(["PUT", key.name, String(value)]);
      const tally = this.#tally(node);
      if (reply === "lost") key.unknown.add(value);
      else if (reply instanceof ErrorReply) {
        if (isWithoutEffect(reply)) key.dead.add(value);
        else key.unknown.add(value);
      } else {
        key.acknowledged = value;
        const now = performance.now();
        tally.writes++;
        tally.writeGapMs = Math.max(tally.writeGapMs, now - tally.lastWrite);
        tally.lastWrite = now;
        this.#writeGapMs = Math.max(this.#writeGapMs, now - this.#lastWrite);
        this.#lastWrite = now;
      }
    });
  }

  async #read(address: Address, node: number): Promise<void> {
    await this.#converse(address, node, async (call) => {
      const key = pick(this.keys);
      const least = Math.max(key.acknowledged, key.seen);
      const reply = await call(["GET", key.name]);
      if (reply === "lost" || reply instanceof ErrorReply) return;
      const value = reply === null ? 0 : Number(reply);
      this.#check(key, { value, least, node });
      if (!key.unknown.has(value)) key.seen = Math.max(key.seen, value);
      const tally = this.#tally(node);
      const now = performance.now();
      tally.reads++;
      tally.readGapMs = Math.max(tally.readGapMs, now - tally.lastRead);
      tally.lastRead = now;
    });
  }

  #check(key: Key, found: { value: number; least: number; node: number }): void {
    const { value, least, node } = found;
    const say = (why: string) => {
      this.wrong.push(`node ${node} answered ${key.name} = ${value}, ${why}`);
    };
    if (key.dead.has(value)) say("which was rejected or aborted");
    else if (value > key.started) say(`but only ${key.started} was ever written`);
    else if (value < least && !key.unknown.has(value)) say(`after ${least} was known`);
  }

  /** Calls `turn` again and again over a connection, which is opened again whenever it breaks. */
  async #converse(
    address: Address,
    node: number,
    turn: (call: (words: readonly string[]) => Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    let connection: ClientConnection | undefined;
    const { timeoutMs, pauseMs } = this.#options;
    const tally = this.#tally(node);
    const call = async (words: readonly string[]): Promise<unknown> => {
      const begin = performance.now();
      try {
        const reply = await connection?.call(words);
        if (reply instanceof ErrorReply) count(tally.errors, reply.code);
        return reply;
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        count(tally.errors, "CONNECTION");
        connection = undefined;
        return "lost";
      } finally {
        tally.longestMs = Math.max(tally.longestMs, performance.now() - begin);
      }
    };
    while (!this.#isStopped) {
      try {
        connection ??= await ClientConnection.open([address], { timeoutMs });
      } catch {
        await delay(RECONNECT_MS);
        continue;
      }
      await turn(call);
      const restMs = pauseMs?.(node) ?? 0;
      if (restMs > 0) await delay(restMs);
    }
    connection?.close();
  }

  #tally(node: number): NodeTally {
    const tally = this.tallies[node];
    if (tally === undefined) throw new Error(`there is no node ${node}`);
    return tally;
  }
}

function pick<Item>(items: readonly Item[]): Item {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
