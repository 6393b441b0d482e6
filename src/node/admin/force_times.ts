/**
 * How long the forces of the journal take, and how much each makes durable.
 *
 * @module
 */

import { Histogram } from "../../histogram.ts";

/** The forces of one node. */
export class ForceTimes {
  /** In milliseconds. */
  readonly ms = new Histogram(0.0625);
  readonly bytes = new Histogram(64);

  /** A force has ended. */
  add(ms: number, bytes: number): void {
    this.ms.add(ms);
    this.bytes.add(bytes);
  }
}
