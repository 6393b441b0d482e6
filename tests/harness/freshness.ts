/**
 * A load that sees at once when some nodes answer what is old.
 *
 * Writers at one set of nodes count keys up, each its own ones. At the watched nodes each key has a
 * reader of its own, which asks again and again without a rest; so a reader that waits for a key in
 * doubt holds up none of the others. The comparison is by real time: a read that begins when `n` was
 * acknowledged must not return less than `n`.
 *
 * Writers at the watched nodes also try to write, with keys that are not read.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Address } from "../../src/address.ts";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";

/** Pause of a client that cannot connect. */
const RECONNECT_MS = 50;

/** How the load is made up. */
export interface FreshnessOptions {
  /** Where the keys that are read are written: one writer at each. */
  readonly writtenAt: readonly Address[];
  /** Where all of them are read, and where other keys are written. */
  readonly watched: readonly Address[];
  readonly keysPerWriter: number;
  /** How long a client waits for an answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** A key that is counted up. */
export interface CountedKey {
  readonly name: string;
  /** The last value whose write was acknowledged. */
  acknowledged: number;
  /** Values whose writer was not told what came of them: they may appear at any time. */
  readonly unknown: Set<number>;
}

/** What a watched node has answered. */
export interface WatchedTally {
  /** Reads with a value, and reads that were refused. */
  reads: number;
  refusals: number;
  /** When the last write that was acknowledged had begun, in milliseconds. */
  lastWriteBeganAt: number;
}

/** Clients that go on until they are stopped. */
export class Freshness {
  readonly keys: readonly CountedKey[];
  /** By watched node. */
  readonly tallies: readonly WatchedTally[];
  /** How many answers were too old. */
  stale = 0;
  /** The first of them. */
  firstStale: string | undefined;
  readonly #loops: Promise<void>[] = [];
  readonly #connections = new Set<ClientConnection>();
  readonly #timeoutMs: number;
  #isStopped = false;

  constructor({ writtenAt, watched, keysPerWriter, timeoutMs }: FreshnessOptions) {
    this.#timeoutMs = timeoutMs;
    const keys: CountedKey[] = [];
    this.keys = keys;
    this.tallies = watched.map(() => ({ reads: 0, refusals: 0, lastWriteBeganAt: -Infinity }));
    writtenAt.forEach((address, writer) => {
      const own = Array.from({ length: keysPerWriter }, (_, index): CountedKey => ({
        name: `counted:${writer}:${index}`,
        acknowledged: 0,
        unknown: new Set(),
      }));
      keys.push(...own);
      this.#loops.push(this.#countUp(address, own));
    });
    watched.forEach((address, node) => {
      for (const key of keys) this.#loops.push(this.#read(address, node, key));
      this.#loops.push(this.#tryToWrite(address, node));
    });
  }

  /** Stops all clients; calls that wait for an answer fail. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const connection of this.#connections) connection.close();
    await Promise.all(this.#loops);
  }

  async #countUp(address: Address, keys: readonly CountedKey[]): Promise<void> {
    let turn = 0;
    await this.#converse(address, async (call) => {
      const key = keys[turn % keys.length];
      // All keys are set to 1, then all to 2, and so on, whatever comes of it.
      const value = 1 + Math.floor(turn++ / keys.length);
      if (key === undefined) throw new Error("a writer without keys");
      const reply = await call(["PUT", key.name, String(value)]);
      if (reply === undefined || reply instanceof ErrorReply) key.unknown.add(value);
      else key.acknowledged = value;
    });
  }

  async #read(address: Address, node: number, key: CountedKey): Promise<void> {
    await this.#converse(address, async (call) => {
      const least = key.acknowledged;
      const reply = await call(["GET", key.name]);
      if (reply === undefined) return;
      const tally = this.#tally(node);
      if (reply instanceof ErrorReply) {
        tally.refusals++;
        return;
      }
      tally.reads++;
      const value = Number(reply ?? 0);
      if (value >= least || key.unknown.has(value)) return;
      this.stale++;
      this.firstStale ??= `${address.hostname} answered ${key.name} = ${value} after ${least}`;
    });
  }

  async #tryToWrite(address: Address, node: number): Promise<void> {
    let value = 0;
    await this.#converse(address, async (call) => {
      const beganAt = performance.now();
      const reply = await call(["PUT", `watched:${node}`, String(++value)]);
      if (reply === undefined || reply instanceof ErrorReply) return;
      this.#tally(node).lastWriteBeganAt = beganAt;
    });
  }

  /** Calls `turn` again and again over a connection, which is opened again whenever it breaks. */
  async #converse(
    address: Address,
    turn: (call: (words: readonly string[]) => Promise<RespValue | undefined>) => Promise<void>,
  ): Promise<void> {
    let connection: ClientConnection | undefined;
    const call = async (words: readonly string[]): Promise<RespValue | undefined> => {
      try {
        return await connection?.call(words);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        if (connection !== undefined) this.#connections.delete(connection);
        connection = undefined;
        return undefined;
      }
    };
    while (!this.#isStopped) {
      if (connection === undefined) {
        try {
          connection = await ClientConnection.open([address], { timeoutMs: this.#timeoutMs });
        } catch {
          await delay(RECONNECT_MS);
          continue;
        }
        this.#connections.add(connection);
      }
      await turn(call);
    }
    connection?.close();
  }

  #tally(node: number): WatchedTally {
    const tally = this.tallies[node];
    if (tally === undefined) throw new Error(`node ${node} is not watched`);
    return tally;
  }
}
