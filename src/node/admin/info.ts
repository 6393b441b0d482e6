/**
 * The text of INFO, in sections as Redis has them.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import * as log from "@std/log";
import { COUNTER_NAMES, COUNTERS } from "../../two_phase/counters.ts";
import { ballotName, type View } from "../../two_phase/messages.ts";
import { members } from "../../two_phase/node_set.ts";
import type { Replica } from "../../two_phase/replica.ts";
import { CONNECTIONS_MAX } from "../../limits.ts";
import { REDIS_VERSION, VERSION } from "../../version.ts";
import { clocks } from "../../clock.ts";
import { describeAsker, describeChange } from "../../list_change.ts";
import { PROTOCOL_NEWEST, PROTOCOL_OLDEST } from "../peer/protocols.ts";
import { doubtStatus, roleOf, type StatusSources } from "./status.ts";

import type { TurnTimes } from "./turn_times.ts";

/** What is counted of one command. */
export interface FiguresOfCommand {
  readonly name: string;
  readonly calls: number;
  readonly rejected: number;
  readonly failed: number;
  readonly microsPerCall: number;
  /** Returns a time that so much of the calls did not exceed, in microseconds. */
  percentile(percent: number): number;
  /** The calls that were timed, in microseconds. */
  readonly times: {
    readonly buckets: readonly { readonly bound: number; readonly count: number }[];
    readonly count: number;
    readonly sum: number;
  };
}

/** What is counted of the commands of clients. */
export interface CommandFigures {
  readonly keyspaceHits: number;
  readonly keyspaceMisses: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly errorReplies: number;
  readonly commands: readonly FiguresOfCommand[];
  /** How often each first word of an error was sent. */
  readonly errors: ReadonlyMap<string, number>;
}

/** Where the figures come from. */
export interface InfoSources extends StatusSources {
  readonly port: number;
  readonly connections: number;
  /** Tells this process from others. */
  readonly runId: string;
  readonly commands: CommandFigures;
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
  /** How often clients were refused: attempts to log in, commands, keys, channels. */
  readonly denied: Readonly<Record<"auth" | "command" | "key" | "channel", number>>;
}

/** The sections that tools must ask for by name, or by ALL, as in Redis. */
const ON_DEMAND: readonly string[] = ["commandstats", "latencystats"];

type Section = readonly [title: string, fields: Readonly<Record<string, string | number>>];

/** Returns the text of INFO: the sections named (in lower case), or all of them. */
export function infoText(sources: InfoSources, wanted: readonly string[]): string {
  const isAll = wanted.some((name) => ["all", "everything"].includes(name));
  const isDefault = wanted.length === 0 || wanted.includes("default");
  return sections(sources)
    .filter(([title]) => {
      const name = title.toLowerCase();
      return isAll || wanted.includes(name) || (isDefault && !ON_DEMAND.includes(name));
    })
    .map(([title, fields]) => {
      const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}`);
      return [`# ${title}`, ...lines, ""].join("\r\n");
    })
    .join("\r\n");
}

function sections(sources: InfoSources): Section[] {
  const { replica, statistics, port, connections, commands } = sources;
  return [
    ["Server", {
      redis_version: REDIS_VERSION,
      redis_mode: "standalone",
      dks_version: VERSION,
      os: `${Deno.build.os} ${Deno.build.arch}`,
      process_id: Deno.pid,
      run_id: sources.runId,
      tcp_port: port,
      uptime_in_seconds: statistics.uptimeSeconds,
    }],
    ["Clients", {
      connected_clients: connections,
      maxclients: CONNECTIONS_MAX,
      blocked_clients: 0,
      tracking_clients: sources.tracking.clients,
    }],
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
      journal_trouble: sources.journal.trouble ?? "",
    }],
    ["Stats", {
      total_connections_received: statistics.connections,
      rejected_connections: statistics.connectionsRefused,
      total_commands_processed: statistics.requests,
      instantaneous_ops_per_sec: statistics.requestsPerSecond,
      total_net_input_bytes: commands.inputBytes,
      total_net_output_bytes: commands.outputBytes,
      keyspace_hits: commands.keyspaceHits,
      keyspace_misses: commands.keyspaceMisses,
      evicted_keys: 0,
      total_error_replies: commands.errorReplies,
      pubsub_channels: sources.pubsub.localSize("channel"),
      pubsub_patterns: sources.pubsub.localSize("pattern"),
      pubsubshard_channels: sources.pubsub.localSize("shard"),
      publications_dropped: sources.pubsub.dropped,
      tracking_total_keys: sources.tracking.keys,
      acl_access_denied_auth: sources.denied.auth,
      acl_access_denied_cmd: sources.denied.command,
      acl_access_denied_key: sources.denied.key,
      acl_access_denied_channel: sources.denied.channel,
      write_bytes_under_way: sources.admission.bytes,
      writes_waiting_for_room: sources.admission.waiting,
      longest_turn_ms: Math.round(sources.turnTimes.longestMs),
      longest_turn_ms_recent: Math.round(sources.turnTimes.longestRecentMs),
      log_lines_dropped: log.droppedLines(),
    }],
    ["Replication", { role: "master", connected_slaves: 0 }],
    ["CPU", cpuFields()],
    ["Commandstats", commandFields(commands)],
    ["Errorstats", errorFields(commands)],
    ["Latencystats", latencyFields(commands)],
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

/** Processor time of the process, in seconds: all threads together. */
function cpuFields(): Record<string, string> {
  const { system, user } = cpuUsage();
  const seconds = (micros: number) => (micros / 1e6).toFixed(6);
  return { used_cpu_sys: seconds(system), used_cpu_user: seconds(user) };
}

function commandFields({ commands }: CommandFigures): Record<string, string> {
  return Object.fromEntries(commands.map(({ name, calls, microsPerCall, rejected, failed }) => {
    const usec = Math.round(calls * microsPerCall);
    const text = `calls=${calls},usec=${usec},usec_per_call=${microsPerCall.toFixed(2)},` +
      `rejected_calls=${rejected},failed_calls=${failed}`;
    return [`cmdstat_${name}`, text];
  }));
}

function errorFields({ errors }: CommandFigures): Record<string, string> {
  return Object.fromEntries(
    [...errors].map(([code, count]) => [`errorstat_${code}`, `count=${count}`]),
  );
}

/** The percentiles of which INFO tells, as Redis has them by default. */
const PERCENTILES: readonly number[] = [50, 99, 99.9];

function latencyFields({ commands }: CommandFigures): Record<string, string> {
  return Object.fromEntries(
    commands.filter(({ calls }) => calls > 0).map((command) => {
      const text = PERCENTILES.map((one) => `p${one}=${command.percentile(one).toFixed(3)}`);
      return [`latency_percentiles_usec_${command.name}`, text.join(",")];
    }),
  );
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
    learners: (membership.view.learners ?? []).map(({ node }) => nameOf(node)).join(","),
    list_change: changeText(membership.view),
    linked: members(membership.linked).map(nameOf).join(","),
    protocols: PROTOCOL_OLDEST === PROTOCOL_NEWEST
      ? PROTOCOL_NEWEST
      : `${PROTOCOL_OLDEST}-${PROTOCOL_NEWEST}`,
    link_protocols: peers.links
      .flatMap((link) => link === undefined ? [] : [`${nameOf(link.peer)}=${link.protocol}`])
      .join(","),
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

function changeText({ change }: View): string {
  if (change === undefined) return "";
  return `view ${change.view}: ${describeChange(change)}; ${describeAsker(change)}`;
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
