/**
 * How many of the configured nodes decide: the only place that knows what a majority is.
 *
 * @module
 */

import { isRecoveredCluster, type NodeSet, type View } from "./messages.ts";
import { only, setOf, size } from "./node_set.ts";

/** Returns how many of `nodes` nodes are a majority. */
export function majority(nodes: number): number {
  return Math.floor(nodes / 2) + 1;
}

/**
 * A set of nodes, and how many of them are needed: any two sets that reach a quorum share a node.
 */
export class Quorum {
  /** The nodes that count towards it. */
  readonly nodes: NodeSet;
  /** How many of them make a quorum. */
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

/** Returns the nodes that `view` lists as configured: members or not, and learners. */
export function configuredNodes({ names }: Pick<View, "names">): NodeSet {
  return setOf(names.flatMap((name, node) => name === "" ? [] : [node]));
}

/** Returns the configured nodes of `view` that count: all but the learners. */
export function voters(view: Pick<View, "names" | "learners">): NodeSet {
  const learners = setOf((view.learners ?? []).map(({ node }) => node));
  return configuredNodes(view) & ~learners;
}

/** Returns the quorum of the voters of `view`: members, leases, aborts. */
export function quorumOf(view: Pick<View, "names" | "learners">): Quorum {
  return new Quorum(voters(view));
}

/**
 * Returns the quorum whose promises, and then acceptances, choose the view after `view`. In the
 * first view of a recovered cluster only one node counts, as no other journal holds anything.
 */
export function quorumForNext(view: View): Quorum {
  if (!isRecoveredCluster(view)) return quorumOf(view);
  const owner = view.journals.findIndex((journal) => journal !== "");
  return new Quorum(only(owner));
}
