/**
 * The two clocks of a node.
 *
 * The monotonic clock never goes back, but stands still while the machine is suspended. The wall
 * clock keeps running then, but people and programs set it. A node that needs an upper bound on the
 * time that has passed therefore reads both.
 *
 * @module
 */

/** One reading of both clocks, in milliseconds. */
export interface Clocks {
  /** Never goes back. Stands still while the machine is suspended. */
  readonly monotonicMs: number;
  /** The wall-clock time. May jump either way. */
  readonly wallMs: number;
}
