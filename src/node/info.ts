/**
 * What a node tells of itself: the text of INFO, and the JSON of DKS.STATUS.
 *
 * @module
 */

import type { Replica } from "../two_phase/replica.ts";
import { contains } from "../two_phase/node_set.ts";
import { VERSION } from "../version.ts";
import type { Cluster } from "./cluster.ts";
import { REDIS_VERSION } from "./commands.ts";
import type { Statistics } from "./statistics.ts";

/** One node as another one sees it. */
export interface NodeStatus {
  readonly address: string;
  readonly isSelf: boolean;
  readonly isUp: boolean;
  readonly isInView: boolean;
  /** Round-trip time in milliseconds; `null` for the node itself, or while it is not known. */
  readonly roundTripMs: number | null;
  /** `null` while it is not known. */
  readonly keys: number | null;
  readonly requestsPerSecond: number | null;
}

/** The cluster as one node sees it: what DKS.STATUS returns. */
export interface ClusterStatus {
  readonly version: string;
  readonly view: number;
  /** Whether writes can be done now. */
  readonly isComplete: boolean;
  /** Where the journal is kept, for people. */
  readonly journal: string;
  /** Nothing is stored: a restart forgets everything. */
  readonly isEphemeral: boolean;
  readonly uptimeSeconds: number;
  readonly nodes: readonly NodeStatus[];
}

/** Where the figures come from. */
export interface InfoSources {
  readonly port: number;
  readonly replica: Replica | undefined;
  readonly cluster: Cluster;
  readonly statistics: Statistics;
  readonly connections: number;
  /** When the view was installed here, in milliseconds of the day's time. */
  readonly viewSince: number;
  readonly journal: { readonly place: string; readonly isEphemeral: boolean };
}

/** Returns the cluster as this node sees it. */
export function clusterStatus(sources: InfoSources): ClusterStatus {
  const { replica, cluster, statistics } = sources;
  const members = replica?.membership.members ?? 0;
  const nodes = cluster.names.map((address, index): NodeStatus => {
    const link = cluster.links[index];
    const isSelf = replica !== undefined && index === cluster.self;
    return {
      address,
      isSelf,
      isUp: isSelf || link !== undefined,
      isInView: contains(members, index),
      roundTripMs: link?.roundTripMs ?? null,
      keys: isSelf ? replica.store.size : link?.report.keys ?? null,
      requestsPerSecond: isSelf
        ? statistics.requestsPerSecond
        : link?.report.requestsPerSecond ?? null,
    };
  });
  return {
    version: VERSION,
    view: replica?.membership.view.number ?? 0,
    isComplete: replica?.membership.mayWrite ?? false,
    journal: sources.journal.place,
    isEphemeral: sources.journal.isEphemeral,
    uptimeSeconds: statistics.uptimeSeconds,
    nodes,
  };
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
  const { replica, cluster, statistics, port, connections } = sources;
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
    ["Cluster", { cluster_enabled: 0, ...viewFields(replica, cluster) }],
    ["Transactions", {
      requests_waiting: replica?.requests ?? 0,
      keys_locked: replica?.locks.size ?? 0,
      transactions_known: replica?.transactions ?? 0,
      ...snakeCase(counters ?? {}),
    }],
    [
      "Keyspace",
      replica === undefined || replica.store.size === 0 ? {} : {
        db0: `keys=${replica.store.size},expires=0,avg_ttl=0`,
      },
    ],
  ];
}

function viewFields(
  replica: Replica | undefined,
  cluster: Cluster,
): Record<string, string | number> {
  if (replica === undefined) return { view: 0 };
  const { membership } = replica;
  const linked = cluster.names.filter((_name, index) => contains(membership.linked, index));
  return {
    view: membership.view.number,
    self: cluster.names[cluster.self] ?? "",
    nodes: cluster.names.join(","),
    linked: linked.join(","),
    complete: membership.mayWrite ? 1 : 0,
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
