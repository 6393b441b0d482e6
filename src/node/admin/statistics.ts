/**
 * What a node counts in addition to the protocol's counters.
 *
 * @module
 */

import { now } from "../../clock.ts";

/** The rate is the mean over the last whole interval of this length. */
const INTERVAL_MS = 1000;

/** Counts requests and connections. */
export class Statistics {
  readonly startedAt = now();
  /** Requests of clients since the start: reads and writes, not PING and the like. */
  requests = 0;
  /** Connections of clients since the start. */
  connections = 0;
  /** Connections that were refused because there were too many. */
  connectionsRefused = 0;
  #rate = 0;
  #intervalStart = now();
  #requestsBefore = 0;

  /** Requests a second. Call it at least once a second for a smooth figure. */
  get requestsPerSecond(): number {
    const time = now();
    const elapsed = time - this.#intervalStart;
    if (elapsed >= INTERVAL_MS) {
      this.#rate = Math.round((this.requests - this.#requestsBefore) / (elapsed / 1000));
      this.#intervalStart = time;
      this.#requestsBefore = this.requests;
    }
    return this.#rate;
  }

  /** Begins to count at 0. */
  reset(): void {
    this.requests = 0;
    this.connections = 0;
    this.connectionsRefused = 0;
    this.#requestsBefore = 0;
  }

  get uptimeSeconds(): number {
    return Math.floor((now() - this.startedAt) / 1000);
  }
}
