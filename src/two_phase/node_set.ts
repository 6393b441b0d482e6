/**
 * Sets of nodes as bits of an integer.
 *
 * @module
 */

import type { NodeId, NodeSet } from "./messages.ts";

/** The set without a node. */
export const NOBODY: NodeSet = 0;

/** Returns the set that holds `node` alone. */
export function only(node: NodeId): NodeSet {
  return 1 << node;
}

/** Tells whether `node` is in `set`. */
export function contains(set: NodeSet, node: NodeId): boolean {
  return (set & (1 << node)) !== 0;
}

/** Returns how many nodes `set` holds. */
export function size(set: NodeSet): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Returns the nodes of `set`, in order. */
export function members(set: NodeSet): NodeId[] {
  const nodes: NodeId[] = [];
  for (let rest = set; rest !== 0; rest &= rest - 1) nodes.push(31 - Math.clz32(rest & -rest));
  return nodes;
}

/** Returns the set that holds each of `nodes`. */
export function setOf(nodes: readonly NodeId[]): NodeSet {
  return nodes.reduce((set, node) => set | only(node), NOBODY);
}
