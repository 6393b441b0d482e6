/**
 * How many of the configured nodes decide: the one place that knows what a majority is.
 *
 * @module
 */

import { isRecoveredCluster, type NodeSet, type View } from "./messages.ts";
import { only, setOf, size } from "./node_set.ts";

/** Returns how many of `nodes` nodes are a majority. */
export function majority(nodes: number): number {
  return Math.floor(nodes / 2) + 1;
}

/** Some nodes, and how many of them it takes: any two sets that reach a quorum have a node in common. */
export class Quorum {
  /** Those whose word counts towards it. */
  readonly nodes: NodeSet;
  /** How many of them are a quorum. */
  readonly needed: number;

  constructor(nodes: NodeSet) {
    this.nodes = nodes;
    this.needed = majority(size(nodes));
  }

  /** How many nodes there are in all. */
  get size(): number {
    return size(this.nodes);
  }

  /** Tells whether enough of its nodes are in `set`. */
  isReachedBy(set: NodeSet): boolean {
    return size(set & this.nodes) >= this.needed;
  }
}

/** Returns the nodes that `view` lists as configured, members or not. */
export function configuredNodes({ names }: Pick<View, "names">): NodeSet {
  return setOf(names.flatMap((name, node) => name === "" ? [] : [node]));
}

/** Returns the quorum of the configured nodes of `view`: members, leases, aborts. */
export function quorumOf(view: Pick<View, "names">): Quorum {
  return new Quorum(configuredNodes(view));
}

/**
 * Returns whose promises, and then whose acceptances, make the view after `view`. In the first view of a
 * recovered cluster one node counts, and no other journal holds anything.
 */
export function quorumForNext(view: View): Quorum {
  if (!isRecoveredCluster(view)) return quorumOf(view);
  const owner = view.journals.findIndex((journal) => journal !== "");
  return new Quorum(only(owner));
}
