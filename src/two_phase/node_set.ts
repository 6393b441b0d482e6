/**
 * Sets of nodes as bits of an integer.
 *
 * @module
 */

import type { NodeIndex, NodeSet } from "./messages.ts";

/** The set without a node. */
export const NOBODY: NodeSet = 0;

/** Returns the set that holds `node` alone. */
export function only(node: NodeIndex): NodeSet {
  return 1 << node;
}

/** Returns the set of the nodes 0 to `count` - 1. */
export function firstNodes(count: number): NodeSet {
  return count >= 31 ? 0x7fffffff : (1 << count) - 1;
}

/** Tells whether `node` is in `set`. */
export function contains(set: NodeSet, node: NodeIndex): boolean {
  return (set & (1 << node)) !== 0;
}

/** Returns how many nodes `set` holds. */
export function size(set: NodeSet): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Returns the nodes of `set`, in order. */
export function members(set: NodeSet): NodeIndex[] {
  const nodes: NodeIndex[] = [];
  for (let rest = set; rest !== 0; rest &= rest - 1) nodes.push(31 - Math.clz32(rest & -rest));
  return nodes;
}

/** Returns how many of `count` nodes are a majority: ⌊count/2⌋ + 1. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}
