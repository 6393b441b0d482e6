/**
 * The cluster as one node sees it: what DKS.STATUS returns, as JSON. The node writes it, the client reads
 * it.
 *
 * @module
 */

import type { ClusterOrigin, ListChange } from "./two_phase/messages.ts";

/**
 * A node's role in the cluster.
 *
 * - `member`: it belongs to the view.
 * - `joining`: it is outside, and is receiving what the members hold.
 * - `outside`: it is outside, and no transfer is known.
 * - `down`: there is no link to it.
 */
export type NodeRole = "member" | "joining" | "outside" | "down";

/** One node as another one sees it. */
export interface NodeStatus {
  readonly address: string;
  readonly isSelf: boolean;
  readonly isUp: boolean;
  readonly isInView: boolean;
  /** It is in the list and does not count yet: it is being added. */
  readonly isLearner: boolean;
  /** The node that it replaces when it counts; `null` for none. */
  readonly replaces: string | null;
  readonly role: NodeRole;
  /** How many chunks it has received, while it joins; else `null`. */
  readonly chunks: number | null;
  /** Whether it may answer reads from its memory; `null` while it is not known. */
  readonly hasLease: boolean | null;
  /** Round-trip time in milliseconds; `null` for the node itself, or while it is not known. */
  readonly roundTripMs: number | null;
  /** `null` while it is not known. */
  readonly keys: number | null;
  readonly requestsPerSecond: number | null;
  /** How long a force of its disk takes on average, in milliseconds; `null` while it is not known. */
  readonly forceMs: number | null;
  /** Its disk is slow, or has not been fast for long enough: every write waits for it. */
  readonly isSlow: boolean;
}

/**
 * A transaction that has been prepared here for long without a known outcome: its keys are blocked
 * until then.
 */
export interface DoubtStatus {
  /** Its name, as DKS.OUTCOME takes it. */
  readonly transaction: string;
  /**
   * Since when, in milliseconds of wall-clock time; for a transaction that was in doubt before the
   * node's start, by the clock of its coordinator.
   */
  readonly since: number;
  /** How many keys it has locked here, reserved keys not counted. */
  readonly keys: number;
  /** The first of them, in quotes and cut; `""` if there is none. */
  readonly key: string;
  /** What would end it, human-readable. */
  readonly waitsFor: string;
  /** The addresses of the nodes that it waits for; empty if it waits for no particular node. */
  readonly nodes: readonly string[];
}

/** The cluster as one node sees it: what DKS.STATUS returns. */
export interface ClusterStatus {
  readonly version: string;
  readonly view: number;
  /**
   * When the view was installed here, in milliseconds of wall-clock time; `null` if that was before
   * the node started.
   */
  readonly viewSince: number | null;
  /** The id of the cluster; empty before its first view. */
  readonly cluster: string;
  /**
   * Which node started the cluster by force, when, in milliseconds of wall-clock time, and with
   * which view; `null` if the nodes started it together.
   */
  readonly origin: ClusterOrigin | null;
  /** The last change of the list of nodes; `null` if there was none. */
  readonly listChange: ListChange | null;
  /** Why the node is no part of the cluster: the list does not have it; `null` if it has. */
  readonly notListed: string | null;
  /** Whether writes can be done now. */
  readonly isComplete: boolean;
  /**
   * The node listens beyond its machine, and there is no cluster secret, or `--plain-peers` does not demand
   * it: others can pose as nodes.
   */
  readonly isOpenToPeers: boolean;
  /** Where the journal is kept, human-readable. */
  readonly journal: string;
  /** Nothing is stored: a restart forgets everything. */
  readonly isEphemeral: boolean;
  /** What is wrong with the journal, human-readable; `null` if nothing is. */
  readonly journalTrouble: string | null;
  readonly uptimeSeconds: number;
  /**
   * How far the wall clock of this node is ahead of the others, in milliseconds, behind if negative; and
   * whether that is little enough for it to take keys for expired.
   */
  readonly clockOffMs: number;
  readonly isClockRight: boolean;
  readonly nodes: readonly NodeStatus[];
  /** How many transactions are in doubt here for more than a second. */
  readonly inDoubt: number;
  /** The oldest of them, at most `DOUBTS_LISTED_MAX`. */
  readonly doubts: readonly DoubtStatus[];
}

/** The list of nodes as one node knows it: what DKS.MEMBER LIST returns. */
export interface MemberList extends Pick<ClusterStatus, "view" | "listChange" | "notListed"> {
  readonly nodes: readonly Pick<
    NodeStatus,
    "address" | "isSelf" | "role" | "isLearner" | "replaces" | "chunks" | "keys"
  >[];
}
