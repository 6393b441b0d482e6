/**
 * What a node knows of each node, itself included: one record a node.
 *
 * Yes-or-no facts about nodes are kept as sets (`node_set.ts`) where they are used.
 *
 * @module
 */

import { NODES_MAX } from "../limits.ts";
import { invariant } from "../invariant.ts";
import {
  type JournalSighting,
  type NodeId,
  NOTHING_BEFORE,
  type TransactionNumber,
  type ViewInstalled,
} from "./messages.ts";

/** What is known of one node. */
export interface NodeRecord {
  readonly id: NodeId;

  // --- Membership

  /** What it said of itself when its link last came up. */
  met: JournalSighting | undefined;
  /** The first incarnation that this process has met, of its present journal; 0 for none. */
  firstMet: number;
  /** When a message came from it last, with the journal that counts: see `stillness.ts`. */
  heard: { at: number; stoodStillMs: number };
  /** When it last took in a part of what was sent to it, while more waited to be sent. */
  took: { at: number; stoodStillMs: number };
  /** The incarnation whose heartbeat was acknowledged last. */
  acknowledged: number;
  /** The incarnation that has said it serves no more requests; 0 for none. */
  left: number;
  /** The view that it was in then. */
  leftIn: number;
  /** The last announcement of its view since its link came up. */
  announced: ViewInstalled | undefined;
  /** What its disk records of this node's journal, if that is more than the journal itself has. */
  accusation: JournalSighting | undefined;

  // --- Forgetting

  /** Up to which number it has settled this node's transactions. */
  settledBy: TransactionNumber;
  /** The last low-water mark of this node that was sent to it. */
  forgetSent: TransactionNumber;
  /** Up to which of its numbers this node has told it that they are settled here. */
  settledSent: TransactionNumber;
}

/** The records of all nodes that this one has to do with. */
export class NodeRecords {
  readonly #records = new Map<NodeId, NodeRecord>();
  readonly #startedAt: number;

  /** @param startedAt the local clock: no node is silent for longer than since then */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** Returns the record of `node`; makes it if there is none. */
  of(node: NodeId): NodeRecord {
    let record = this.#records.get(node);
    if (record === undefined) {
      record = {
        id: node,
        met: undefined,
        firstMet: 0,
        heard: { at: this.#startedAt, stoodStillMs: 0 },
        took: { at: -Infinity, stoodStillMs: 0 },
        acknowledged: 0,
        left: 0,
        leftIn: 0,
        announced: undefined,
        accusation: undefined,
        settledBy: NOTHING_BEFORE,
        forgetSent: NOTHING_BEFORE,
        settledSent: NOTHING_BEFORE,
      };
      this.#records.set(node, record);
    }
    return record;
  }

  /** Begins the record of `node` anew: another node has its id. */
  forget(node: NodeId): void {
    this.#records.delete(node);
  }

  /** All records, in no particular order. */
  all(): IterableIterator<NodeRecord> {
    return this.#records.values();
  }
}

/**
 * Returns the names of `nodes` by id: a node that is in `old` keeps its id; the others get the
 * lowest ids that `old` does not use, and then those that it uses for nodes that are gone.
 *
 * @param old the names by id; `""` for an id that no node has
 * @param nodes at most `NODES_MAX` names, each once
 */
export function keepIds(old: readonly string[], nodes: readonly string[]): string[] {
  const names = old.map((name) => nodes.includes(name) ? name : "");
  const isUnused = (id: NodeId) => (old[id] ?? "") === "";
  const ids = Array.from({ length: NODES_MAX }, (_, id) => id);
  const free = [...ids.filter(isUnused), ...ids.filter((id) => !isUnused(id))]
    .filter((id) => (names[id] ?? "") === "");
  for (const name of nodes) {
    if (names.includes(name)) continue;
    const id = free.shift();
    invariant(id !== undefined, `a cluster has at most ${NODES_MAX} nodes`);
    while (names.length < id) names.push("");
    names[id] = name;
  }
  while (names.at(-1) === "") names.pop();
  return names;
}
