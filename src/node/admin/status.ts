/**
 * The reply to DKS.STATUS: the cluster as this node sees it.
 *
 * @module
 */

import { quote } from "../../byte_string.ts";
import type {
  ClusterStatus,
  DoubtStatus,
  MemberList,
  NodeRole,
  NodeStatus,
} from "../../cluster_status.ts";
import { DOUBTS_LISTED_MAX } from "../../limits.ts";
import { isReserved } from "../../reserved_keys.ts";
import type { Awaited, Doubt } from "../../two_phase/doubt.ts";
import type { NodeId } from "../../two_phase/messages.ts";
import { contains } from "../../two_phase/node_set.ts";
import type { Replica } from "../../two_phase/replica.ts";
import { VERSION } from "../../version.ts";
import { clocks } from "../../clock.ts";
import type { Peers } from "../peer/peers.ts";
import type { Statistics } from "./statistics.ts";

/** Where the figures come from. */
export interface StatusSources {
  readonly replica: Replica | undefined;
  readonly peers: Pick<Peers, "names" | "self" | "links">;
  readonly statistics: Statistics;
  /**
   * When the view was installed here, in milliseconds of wall-clock time; see
   * {@linkcode ClusterStatus}.
   */
  readonly viewSince: number | undefined;
  /** See {@linkcode ClusterStatus}. */
  readonly isOpenToPeers: boolean;
  /** Why the list of the cluster does not count for this node; `undefined` if it has this node. */
  readonly notListed: string | undefined;
  readonly journal: {
    readonly place: string;
    readonly isEphemeral: boolean;
    /** What is wrong with it, human-readable; `undefined` if nothing is. */
    readonly trouble: string | undefined;
  };
}

/** Returns the cluster as this node sees it. */
export function clusterStatus(sources: StatusSources): ClusterStatus {
  const { replica, peers, statistics } = sources;
  const inView = replica?.membership.members ?? 0;
  const nodes = peers.names.flatMap((address, index): NodeStatus[] => {
    if (address === "") return [];
    const link = peers.links[index];
    const isSelf = replica !== undefined && index === peers.self;
    const isUp = isSelf || link !== undefined;
    return [{
      address,
      isSelf,
      isUp,
      isInView: contains(inView, index),
      ...learnerOf(sources, index),
      ...roleOf(sources, index),
      roundTripMs: link?.roundTripMs ?? null,
      keys: isSelf ? replica.store.size : link?.report?.keys ?? null,
      requestsPerSecond: isSelf
        ? statistics.requestsPerSecond
        : link?.report?.requestsPerSecond ?? null,
      // What a node that is down has said last is no news.
      forceMs: isUp ? replica?.slowMembers.forceMsOf(index) ?? null : null,
      isSlow: replica?.slowMembers.isSlow(index) ?? false,
    }];
  });
  return {
    version: VERSION,
    view: replica?.membership.view.number ?? 0,
    viewSince: sources.viewSince ?? null,
    cluster: replica?.membership.view.cluster.id ?? "",
    origin: replica?.membership.view.cluster.origin ?? null,
    listChange: replica?.membership.view.change ?? null,
    notListed: sources.notListed ?? null,
    isComplete: replica?.membership.mayWrite ?? false,
    isOpenToPeers: sources.isOpenToPeers,
    journal: sources.journal.place,
    isEphemeral: sources.journal.isEphemeral,
    journalTrouble: sources.journal.trouble ?? null,
    uptimeSeconds: statistics.uptimeSeconds,
    clockOffMs: Math.round(replica?.membership.time.offMs(clocks()) ?? 0),
    isClockRight: replica?.membership.time.mayExpire(clocks()) ?? true,
    nodes,
    ...doubtStatus(sources),
  };
}

/** Whether a node does not count yet, and which node it replaces then. */
function learnerOf(
  { replica, peers }: StatusSources,
  node: NodeId,
): Pick<NodeStatus, "isLearner" | "replaces"> {
  const learner = replica?.membership.view.learners?.find((one) => one.node === node);
  const replaces = learner?.replaces;
  return {
    isLearner: learner !== undefined,
    replaces: replaces === undefined ? null : peers.names[replaces] ?? null,
  };
}

/** Returns the list of nodes as this node knows it. */
export function memberList(sources: StatusSources): MemberList {
  const { view, listChange, notListed, nodes } = clusterStatus(sources);
  return {
    view,
    listChange,
    notListed,
    nodes: nodes.map(({ address, isSelf, role, isLearner, replaces, chunks, keys }) => {
      return { address, isSelf, role, isLearner, replaces, chunks, keys };
    }),
  };
}

/** Transactions that have been in doubt here for long. */
export function doubtStatus(
  { replica, peers }: Pick<StatusSources, "replica" | "peers">,
): Pick<ClusterStatus, "inDoubt" | "doubts"> {
  const doubts = replica?.longDoubts() ?? [];
  return {
    inDoubt: doubts.length,
    doubts: doubts.slice(0, DOUBTS_LISTED_MAX).map((doubt) => describeDoubt(doubt, peers.names)),
  };
}

/** Most characters of a key that are shown to indicate what a transaction is about. */
const KEY_SHOWN_MAX = 32;

/** Returns `doubt` with the nodes named as in `names`. */
export function describeDoubt(doubt: Doubt, names: readonly string[]): DoubtStatus {
  const { transaction: { entries }, name, since, awaited } = doubt;
  const keys = entries.map(({ key }) => key).filter((key) => !isReserved(key));
  const [first] = keys;
  const nodes = awaitedNodes(awaited).map((node) => names[node] ?? "");
  return {
    transaction: name,
    since: Math.floor(since),
    keys: keys.length,
    key: first === undefined ? "" : quote(first, KEY_SHOWN_MAX),
    waitsFor: describeAwaited(awaited, nodes),
    nodes,
  };
}

function awaitedNodes(awaited: Awaited): readonly NodeId[] {
  if (awaited.kind === "votes") return awaited.nodes;
  return awaited.kind === "coordinator" ? [awaited.node] : [];
}

function describeAwaited({ kind }: Awaited, nodes: readonly string[]): string {
  const list = nodes.join(", ");
  switch (kind) {
    case "votes":
      return `${nodes.length === 1 ? "the vote" : "the votes"} of ${list}`;
    case "coordinator":
      return `its coordinator ${list}`;
    case "view":
      return "the next view";
    case "disk":
      return "the disk of this node";
  }
}

/** A node's role in the cluster, as this node sees it. */
export function roleOf(
  { replica, peers }: Pick<StatusSources, "replica" | "peers">,
  index: number,
): Pick<NodeStatus, "role" | "chunks" | "hasLease"> {
  if (replica === undefined) return { role: "outside", chunks: null, hasLease: null };
  const { membership } = replica;
  if (index === peers.self) {
    const chunks = replica.chunksReceived ?? null;
    const hasLease = membership.mayRead(clocks());
    return { ...roleFor(membership.isMember, chunks), hasLease };
  }
  const link = peers.links[index];
  if (link === undefined) return { role: "down", chunks: null, hasLease: null };
  const chunks = replica.transfers.find(({ node }) => node === index)?.chunks ??
    link.report?.chunks ?? null;
  const hasLease = link.report?.hasLease ?? null;
  return { ...roleFor(membership.isInside(index), chunks), hasLease };
}

function roleFor(
  isMember: boolean,
  chunks: number | null,
): { readonly role: NodeRole; readonly chunks: number | null } {
  if (isMember) return { role: "member", chunks: null };
  return { role: chunks === null ? "outside" : "joining", chunks };
}
