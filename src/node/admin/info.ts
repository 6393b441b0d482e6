/**
 * The text of INFO, in sections as Redis has them.
 *
 * @module
 */

import * as log from "@std/log";
import { COUNTER_NAMES, COUNTERS } from "../../two_phase/counters.ts";
import { ballotName } from "../../two_phase/messages.ts";
import { members } from "../../two_phase/node_set.ts";
import type { Replica } from "../../two_phase/replica.ts";
import { REDIS_VERSION, VERSION } from "../../version.ts";
import { clocks } from "../../clock.ts";
import { doubtStatus, roleOf, type StatusSources } from "./status.ts";

import type { TurnTimes } from "./turn_times.ts";

/** Where the figures come from. */
export interface InfoSources extends StatusSources {
  readonly port: number;
  readonly connections: number;
  /** What the keys take of the memory, the most of that, and what they may (0: no bound); in bytes. */
  readonly memory: {
    readonly usedBytes: number;
    readonly peakBytes: number;
    readonly boundBytes: number;
    readonly heapBytes: number;
    readonly residentBytes: number;
  };
  readonly turnTimes: TurnTimes;
  /** The writes under way, and how many wait for room. */
  readonly admission: { readonly bytes: number; readonly waiting: number };
  /** What this node's clients listen to, and the messages that did not leave for another node. */
  readonly pubsub: {
    localSize(kind: "channel" | "pattern" | "shard"): number;
    readonly dropped: number;
  };
  /** The clients that track keys, and the keys that are noted for them. */
  readonly tracking: { readonly clients: number; readonly keys: number };
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
  return [
    ["Server", {
      redis_version: REDIS_VERSION,
      redis_mode: "standalone",
      dks_version: VERSION,
      process_id: Deno.pid,
      tcp_port: port,
      uptime_in_seconds: statistics.uptimeSeconds,
    }],
    ["Clients", { connected_clients: connections, tracking_clients: sources.tracking.clients }],
    ["Memory", {
      used_memory: sources.memory.usedBytes,
      used_memory_peak: sources.memory.peakBytes,
      used_memory_rss: sources.memory.residentBytes,
      used_memory_heap: sources.memory.heapBytes,
      maxmemory: sources.memory.boundBytes,
      maxmemory_policy: "noeviction",
    }],
    ["Persistence", {
      loading: replica === undefined || replica.whyLoading !== undefined ? 1 : 0,
      journal: sources.journal.place,
      ephemeral: sources.journal.isEphemeral ? 1 : 0,
    }],
    ["Stats", {
      total_connections_received: statistics.connections,
      rejected_connections: statistics.connectionsRefused,
      total_commands_processed: statistics.requests,
      instantaneous_ops_per_sec: statistics.requestsPerSecond,
      pubsub_channels: sources.pubsub.localSize("channel"),
      pubsub_patterns: sources.pubsub.localSize("pattern"),
      pubsubshard_channels: sources.pubsub.localSize("shard"),
      publications_dropped: sources.pubsub.dropped,
      tracking_total_keys: sources.tracking.keys,
      write_bytes_under_way: sources.admission.bytes,
      writes_waiting_for_room: sources.admission.waiting,
      longest_turn_ms: Math.round(sources.turnTimes.longestMs),
      longest_turn_ms_recent: Math.round(sources.turnTimes.longestRecentMs),
      log_lines_dropped: log.droppedLines(),
    }],
    ["Replication", { role: "master", connected_slaves: 0 }],
    ["Cluster", { cluster_enabled: 0, ...viewFields(sources) }],
    ["Transactions", {
      requests_waiting: replica?.requests ?? 0,
      keys_locked: replica?.locks.size ?? 0,
      transactions_known: replica?.transactions ?? 0,
      ...counterFields(replica),
    }],
    ["Doubt", doubtFields(sources)],
    [
      "Keyspace",
      replica === undefined || replica.store.size === 0 ? {} : {
        db0: `keys=${replica.store.size},expires=${replica.store.expiring},avg_ttl=0`,
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
    node_role: roleOf({ replica, peers }, peers.self).role,
    nodes: peers.names.filter((name) => name !== "").join(","),
    linked: members(membership.linked).map(nameOf).join(","),
    complete: membership.mayWrite ? 1 : 0,
    clock_off_ms: Math.round(membership.time.offMs(time)),
    clock_is_right: membership.time.mayExpire(time) ? 1 : 0,
    lease: hasLease ? 1 : 0,
    // A node that is alone has it permanently.
    lease_ms_left: leaseMsLeft === Infinity ? 0 : Math.floor(leaseMsLeft),
    promised: ballotName(membership.promised),
    frozen: membership.isFrozen ? 1 : 0,
    force_ms: members(membership.all)
      .map((node) => `${nameOf(node)}=${replica.slowMembers.forceMsOf(node) ?? ""}`)
      .join(","),
    slow_disks: members(membership.all)
      .filter((node) => replica.slowMembers.isSlow(node)).map(nameOf).join(","),
    transfers: replica.transfers.map(({ node, chunks }) => `${nameOf(node)}=${chunks}`).join(","),
    chunks_received: replica.chunksReceived ?? 0,
  };
}

/**
 * Transactions that have been in doubt here for long: the key comes last, as it may hold any
 * character but a line end.
 */
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

/** The counters of the protocol, by the names that `COUNTERS` gives them. */
function counterFields(replica: Replica | undefined): Record<string, number> {
  if (replica === undefined) return {};
  return Object.fromEntries(
    COUNTER_NAMES.map((name) => [COUNTERS[name].name, replica.counters[name]]),
  );
}
