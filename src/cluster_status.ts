/**
 * The cluster as one node sees it: what DKS.STATUS returns, as JSON. The node writes it, the client reads
 * it.
 *
 * @module
 */

import type { ClusterOrigin } from "./two_phase/messages.ts";

/**
 * What a node is to the cluster.
 *
 * - `member`: it belongs to the view.
 * - `joining`: it is outside, and is being sent what the members hold.
 * - `outside`: it is outside, and nothing is known of a transfer.
 * - `down`: there is no link to it.
 */
export type NodeRole = "member" | "joining" | "outside" | "down";

/** One node as another one sees it. */
export interface NodeStatus {
  readonly address: string;
  readonly isSelf: boolean;
  readonly isUp: boolean;
  readonly isInView: boolean;
  readonly role: NodeRole;
  /** How many chunks it has got, while it joins; else `null`. */
  readonly chunks: number | null;
  /** Whether it may answer reads from its memory; `null` while it is not known. */
  readonly hasLease: boolean | null;
  /** Round-trip time in milliseconds; `null` for the node itself, or while it is not known. */
  readonly roundTripMs: number | null;
  /** `null` while it is not known. */
  readonly keys: number | null;
  readonly requestsPerSecond: number | null;
}

/**
 * A transaction that is prepared here, and of which this node does not know for long how it ends: its
 * keys answer nobody until then.
 */
export interface DoubtStatus {
  /** Its name, as DKS.OUTCOME takes it. */
  readonly transaction: string;
  /**
   * Since when, in milliseconds of the day's time; for one that was in doubt before the node's start,
   * by the clock of its coordinator.
   */
  readonly since: number;
  /** How many keys it has locked here, those that dks keeps for itself left out. */
  readonly keys: number;
  /** The first of them, in quotes and cut; `""` where there is none. */
  readonly key: string;
  /** What would end it, for people. */
  readonly waitsFor: string;
  /** The addresses of the nodes that would have to say something; none where that is no single one. */
  readonly nodes: readonly string[];
}

/** The cluster as one node sees it: what DKS.STATUS returns. */
export interface ClusterStatus {
  readonly version: string;
  readonly view: number;
  /**
   * When the view was installed here, in milliseconds of the day's time; `null` where that was before
   * the node has started.
   */
  readonly viewSince: number | null;
  /** The id of the cluster; empty before its first view. */
  readonly cluster: string;
  /**
   * Which node has begun the cluster by force, when, in milliseconds of the day's time, and with which
   * view; `null` where the nodes have begun it together.
   */
  readonly origin: ClusterOrigin | null;
  /** Whether writes can be done now. */
  readonly isComplete: boolean;
  /** Where the journal is kept, for people. */
  readonly journal: string;
  /** Nothing is stored: a restart forgets everything. */
  readonly isEphemeral: boolean;
  readonly uptimeSeconds: number;
  readonly nodes: readonly NodeStatus[];
  /** How many transactions are in doubt here for more than a second. */
  readonly inDoubt: number;
  /** The oldest of them, `DOUBTS_LISTED_MAX` at the most. */
  readonly doubts: readonly DoubtStatus[];
}
