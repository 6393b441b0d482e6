/**
 * What a node tells of itself: the text of INFO, and the JSON of DKS.STATUS.
 *
 * @module
 */

import { quote } from "../../byte_string.ts";
import { isReserved } from "../../reserved_keys.ts";
import { DOUBTS_LISTED_MAX } from "../../limits.ts";
import type { Awaited, Doubt } from "../../two_phase/doubt.ts";
import type { Replica } from "../../two_phase/replica.ts";
import { ballotName, type ClusterOrigin, type NodeIndex } from "../../two_phase/messages.ts";
import { contains, members } from "../../two_phase/node_set.ts";
import { VERSION } from "../../version.ts";
import type { Peers } from "../peer/peers.ts";
import { clocks } from "../clock.ts";
import { REDIS_VERSION } from "../commands/commands.ts";
import type { Statistics } from "./statistics.ts";

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

/** Where the figures come from. */
export interface InfoSources {
  readonly port: number;
  readonly replica: Replica | undefined;
  readonly peers: Peers;
  readonly statistics: Statistics;
  readonly connections: number;
  /** When the view was installed here, in milliseconds of the day's time; see {@linkcode ClusterStatus}. */
  readonly viewSince: number | undefined;
  readonly journal: { readonly place: string; readonly isEphemeral: boolean };
}

/** Returns the cluster as this node sees it. */
export function clusterStatus(sources: InfoSources): ClusterStatus {
  const { replica, peers, statistics } = sources;
  const inView = replica?.membership.members ?? 0;
  const nodes = peers.names.map((address, index): NodeStatus => {
    const link = peers.links[index];
    const isSelf = replica !== undefined && index === peers.self;
    return {
      address,
      isSelf,
      isUp: isSelf || link !== undefined,
      isInView: contains(inView, index),
      ...roleOf(sources, index),
      roundTripMs: link?.roundTripMs ?? null,
      keys: isSelf ? replica.store.size : link?.report?.keys ?? null,
      requestsPerSecond: isSelf
        ? statistics.requestsPerSecond
        : link?.report?.requestsPerSecond ?? null,
    };
  });
  return {
    version: VERSION,
    view: replica?.membership.view.number ?? 0,
    viewSince: sources.viewSince ?? null,
    cluster: replica?.membership.view.cluster.id ?? "",
    origin: replica?.membership.view.cluster.origin ?? null,
    isComplete: replica?.membership.mayWrite ?? false,
    journal: sources.journal.place,
    isEphemeral: sources.journal.isEphemeral,
    uptimeSeconds: statistics.uptimeSeconds,
    nodes,
    ...doubtStatus(sources),
  };
}

/** What is in doubt here for long. */
function doubtStatus(
  { replica, peers }: Pick<InfoSources, "replica" | "peers">,
): Pick<ClusterStatus, "inDoubt" | "doubts"> {
  const doubts = replica?.longDoubts() ?? [];
  return {
    inDoubt: doubts.length,
    doubts: doubts.slice(0, DOUBTS_LISTED_MAX).map((doubt) => describeDoubt(doubt, peers.names)),
  };
}

/** Most characters of a key that are shown where it only says what a transaction is about. */
const KEY_SHOWN_MAX = 32;

/** Returns `doubt` with the nodes called as in `names`. */
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

function awaitedNodes(awaited: Awaited): readonly NodeIndex[] {
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

/** What a node is to the cluster, as this one sees it. */
function roleOf(
  { replica, peers }: Pick<InfoSources, "replica" | "peers">,
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

type Section = readonly [title: string, fields: Readonly<Record<string, string | number>>];

/** Returns the text of INFO: the sections named (in lower case), or all of them. */
export function infoText(sources: InfoSources, wanted: readonly string[]): string {
  const isAll = wanted.length === 0 ||
    wanted.some((name) => ["all", "default", "everything"].includes(name));
  return sections(sources)
    .filter(([title]) => isAll || wanted.includes(title.toLowerCase()))
    .map(([title, fields]) => {
      const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}`);
      return [`# ${title}`, ...lines, ""].join("\r\n");
    })
    .join("\r\n");
}

function sections(sources: InfoSources): Section[] {
  const { replica, statistics, port, connections } = sources;
  const counters = replica?.counters;
  const memory = Deno.memoryUsage();
  return [
    ["Server", {
      redis_version: REDIS_VERSION,
      redis_mode: "standalone",
      dks_version: VERSION,
      tcp_port: port,
      uptime_in_seconds: statistics.uptimeSeconds,
    }],
    ["Clients", { connected_clients: connections }],
    ["Memory", { used_memory: memory.heapUsed, used_memory_rss: memory.rss }],
    ["Persistence", {
      loading: 0,
      journal: sources.journal.place,
      ephemeral: sources.journal.isEphemeral ? 1 : 0,
    }],
    ["Stats", {
      total_connections_received: statistics.connections,
      rejected_connections: statistics.connectionsRefused,
      total_commands_processed: statistics.requests,
      instantaneous_ops_per_sec: statistics.requestsPerSecond,
    }],
    ["Replication", { role: "master", connected_slaves: 0 }],
    ["Cluster", { cluster_enabled: 0, ...viewFields(sources) }],
    ["Transactions", {
      requests_waiting: replica?.requests ?? 0,
      keys_locked: replica?.locks.size ?? 0,
      transactions_known: replica?.transactions ?? 0,
      ...snakeCase(counters ?? {}),
    }],
    ["Doubt", doubtFields(sources)],
    [
      "Keyspace",
      replica === undefined || replica.store.size === 0 ? {} : {
        db0: `keys=${replica.store.size},expires=0,avg_ttl=0`,
      },
    ],
  ];
}

function viewFields(
  { replica, peers, viewSince }: InfoSources,
): Record<string, string | number> {
  if (replica === undefined) return { view: 0 };
  const { membership } = replica;
  const { origin } = membership.view.cluster;
  const nameOf = (node: number) => peers.names[node] ?? "";
  const time = clocks();
  const hasLease = membership.mayRead(time);
  const leaseMsLeft = hasLease ? membership.lease.term?.msLeft(time) ?? 0 : 0;
  return {
    view: membership.view.number,
    members: members(membership.members).map(nameOf).join(","),
    view_since: viewSince === undefined ? "" : new Date(viewSince).toISOString(),
    cluster_id: membership.view.cluster.id,
    forced_by: origin?.by ?? "",
    forced_at: origin === undefined ? "" : new Date(origin.at).toISOString(),
    self: nameOf(peers.self),
    role: roleOf({ replica, peers }, peers.self).role,
    nodes: peers.names.join(","),
    linked: members(membership.linked).map(nameOf).join(","),
    complete: membership.mayWrite ? 1 : 0,
    lease: hasLease ? 1 : 0,
    // A node alone has it for good.
    lease_ms_left: leaseMsLeft === Infinity ? 0 : Math.floor(leaseMsLeft),
    promised: ballotName(membership.promised),
    frozen: membership.isFrozen ? 1 : 0,
    transfers: replica.transfers.map(({ node, chunks }) => `${nameOf(node)}=${chunks}`).join(","),
    chunks_received: replica.chunksReceived ?? 0,
  };
}

/** What is in doubt here for long: the key comes last, as it may hold any character but a line's end. */
function doubtFields(sources: InfoSources): Record<string, string | number> {
  const { inDoubt, doubts } = doubtStatus(sources);
  const lines = doubts.map((one, index) => {
    const since = new Date(one.since).toISOString();
    const text = `transaction=${one.transaction},since=${since},waits_for=${one.waitsFor},` +
      `keys=${one.keys},key=${one.key}`;
    return [`in_doubt_${index}`, text] as const;
  });
  return {
    in_doubt: inDoubt,
    in_doubt_since: doubts[0] === undefined ? "" : new Date(doubts[0].since).toISOString(),
    ...Object.fromEntries(lines),
  };
}

function snakeCase(fields: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      Number(value),
    ]),
  );
}
