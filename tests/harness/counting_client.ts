/**
 * A client that goes to the next node when one rejects its command or goes away, and checks each answer.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { callAnywhere, callOnce, type Connector } from "../../src/client/connector.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";

/** A request that takes longer is slow, in milliseconds. */
export const SLOW_MS = 300;

/**
 * How long a client rests between two rounds, in milliseconds: without, a few of them take the processors
 * from the nodes that start meanwhile.
 */
const REST_MS = 20;

/** How long all attempts of a request may take together, in milliseconds. */
export const TIMEOUT_MS = 10_000;

/** Counts a key of its own up, reads it, and rests, until it is stopped. */
export class CountingClient {
  count = 0;
  longestMs = 0;
  /** How long its slow requests took, and what they were. */
  readonly slow: string[] = [];
  readonly failures: string[] = [];
  readonly #connector: Connector;
  /** The key that it counts up. */
  readonly key: string;
  readonly #work: Promise<void>;
  #isWanted = true;

  constructor(connector: Connector, key: string) {
    this.#connector = connector;
    this.key = key;
    this.#work = this.#run();
  }

  async #run(): Promise<void> {
    const options = { connector: this.#connector, timeoutMs: TIMEOUT_MS };
    while (this.#isWanted) {
      const expected = this.count + 1;
      const incr = () => callOnce(["INCR", this.key], options);
      const get = () => callAnywhere(["GET", this.key], { ...options, mayRepeat: true });
      const isRight = await this.#ask("INCR", incr, expected) &&
        await this.#ask("GET", get, String(expected));
      if (!isRight) break;
      this.count = expected;
      await delay(REST_MS);
    }
    this.#connector.close();
  }

  /** Tells whether the reply is the one that was expected. */
  async #ask(what: string, ask: () => Promise<RespValue>, expected: RespValue): Promise<boolean> {
    const beganAt = performance.now();
    const reply = await ask().catch((error) => new ErrorReply("THROWN", String(error)));
    const tookMs = performance.now() - beganAt;
    this.longestMs = Math.max(this.longestMs, tookMs);
    if (tookMs > SLOW_MS) this.slow.push(`${what} ${Math.round(tookMs)} ms`);
    if (reply === expected) return true;
    const said = reply instanceof ErrorReply ? `${reply.code} ${reply.message}` : String(reply);
    this.failures.push(`${what} ${this.key}: ${said}, not ${expected}`);
    return false;
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    await this.#work;
  }
}
