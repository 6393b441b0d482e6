/**
 * The metrics of a node: what `/metrics` serves. The figures are those of INFO and DKS.STATUS, and the
 * times of writes and of forces.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import * as log from "@std/log";
import { clocks } from "../../clock.ts";
import type { ClusterStatus, NodeStatus } from "../../cluster_status.ts";
import type { Histogram } from "../../histogram.ts";
import { COUNTER_NAMES, COUNTERS } from "../../two_phase/counters.ts";
import { size } from "../../two_phase/node_set.ts";
import type { Replica } from "../../two_phase/replica.ts";
import { VERSION } from "../../version.ts";
import type { ForceTimes } from "./force_times.ts";
import type { FiguresOfCommand, InfoSources } from "./info.ts";
import { type Family, type HistogramSample, metricsText, type Sample } from "./prometheus.ts";
import { clusterStatus } from "./status.ts";

/** Where the figures come from. */
export interface MetricsSources extends InfoSources {
  readonly forces: ForceTimes;
  /** Why the node is not a member with a lease; `undefined` if it is. */
  readonly whyNotReady: string | undefined;
  /** The port of `--http`: its connections, and the pages that are kept up to date. */
  readonly http: { readonly connections: number; readonly pages: number };
}

/** What all metrics are read from at one moment. */
interface Figures extends MetricsSources {
  readonly status: ClusterStatus;
}

/** What a metric is, and where its figures come from. */
type Metric =
  & { readonly name: string; readonly help: string }
  & (
    | {
      readonly type: "counter" | "gauge";
      readonly read: (figures: Figures) => number | readonly Sample[];
    }
    | {
      readonly type: "histogram";
      readonly read: (figures: Figures) => readonly HistogramSample[];
    }
  );

/** The same of a node that takes part: it has none of these while it starts. */
function ofReplica<Value>(
  read: (replica: Replica, figures: Figures) => Value,
): (figures: Figures) => Value | readonly [] {
  return (figures) => figures.replica === undefined ? [] : read(figures.replica, figures);
}

/** For each command: a figure. */
function byCommand(figure: (command: FiguresOfCommand) => number) {
  return ({ commands }: Figures): Sample[] =>
    commands.commands.map((one) => ({ labels: { command: one.name }, value: figure(one) }));
}

/** For each configured node, as this one sees it: a figure, unless it is not known. */
function byNode(figure: (node: NodeStatus) => number | null) {
  return ofReplica((_, { status }): Sample[] =>
    status.nodes.flatMap((node) => {
      const value = figure(node);
      return value === null ? [] : [{ labels: { node: node.address }, value }];
    })
  );
}

/** A histogram of milliseconds, in seconds. */
function inSeconds({ buckets, sum, count }: Histogram): HistogramSample {
  return {
    buckets: buckets.map((one) => ({ bound: one.bound / 1000, count: one.count })),
    sum: sum / 1000,
    count,
  };
}

const MICROS = 1e6;

/** Every metric of a node, in the order in which they are served. */
export const METRICS: readonly Metric[] = [
  {
    name: "dks_build_info",
    type: "gauge",
    help: "Always 1; the label has the version.",
    read: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  {
    name: "dks_uptime_seconds",
    type: "gauge",
    help: "For how long the process has been running.",
    read: ({ statistics }) => statistics.uptimeSeconds,
  },
  {
    name: "process_cpu_seconds_total",
    type: "counter",
    help: "Processor time of the process, all threads together.",
    read: () => {
      const { system, user } = cpuUsage();
      return (system + user) / MICROS;
    },
  },
  {
    name: "process_resident_memory_bytes",
    type: "gauge",
    help: "Memory of the process, as the system counts it.",
    read: ({ memory }) => memory.residentBytes,
  },

  // --- The view ------------------------------------------------------------------------------
  {
    name: "dks_ready",
    type: "gauge",
    help: "1 if the node is a member with a lease, as /readyz has it.",
    read: ({ whyNotReady }) => whyNotReady === undefined ? 1 : 0,
  },
  {
    name: "dks_view_number",
    type: "gauge",
    help: "The view that the node has installed; it grows with every change of the members.",
    read: ofReplica(({ membership }) => membership.view.number),
  },
  {
    name: "dks_view_installed_timestamp_seconds",
    type: "gauge",
    help: "When the node installed the view; none if that was before its start.",
    read: ({ viewSince }) => viewSince === undefined ? [] : viewSince / 1000,
  },
  {
    name: "dks_nodes",
    type: "gauge",
    help: "The nodes that count: those in the list, without learners.",
    read: ofReplica(({ membership }) => size(membership.quorum.nodes)),
  },
  {
    name: "dks_learners",
    type: "gauge",
    help: "The nodes that are being added, and do not count yet.",
    read: ofReplica(({ membership }) => membership.view.learners?.length ?? 0),
  },
  {
    name: "dks_members",
    type: "gauge",
    help: "The members of the view.",
    read: ofReplica(({ membership }) => size(membership.members)),
  },
  {
    name: "dks_member",
    type: "gauge",
    help: "1 if this node is a member of the view.",
    read: ofReplica(({ membership }) => Number(membership.isMember)),
  },
  {
    name: "dks_complete",
    type: "gauge",
    help:
      "1 if this node can write: it is a member, linked to all others, and all their disks take writes.",
    read: ofReplica(({ membership }) => Number(membership.mayWrite)),
  },
  {
    name: "dks_frozen",
    type: "gauge",
    help: "1 while the view is being changed.",
    read: ofReplica(({ membership }) => Number(membership.isFrozen)),
  },
  {
    name: "dks_lease",
    type: "gauge",
    help: "1 if the node holds a lease, and so may answer reads.",
    read: ofReplica(({ membership }) => Number(membership.mayRead(clocks()))),
  },
  {
    name: "dks_lease_left_seconds",
    type: "gauge",
    help: "For how long the lease holds if nobody prolongs it; +Inf for a node that is alone.",
    read: ofReplica(({ membership }) => {
      const time = clocks();
      const msLeft = membership.mayRead(time) ? membership.lease.term?.msLeft(time) ?? 0 : 0;
      return Math.max(0, msLeft) / 1000;
    }),
  },
  {
    name: "dks_joiners",
    type: "gauge",
    help: "The nodes that this one sends all keys to, so that they can join.",
    read: ofReplica(({ transfers }) => transfers.length),
  },
  {
    name: "dks_join_chunks_received",
    type: "gauge",
    help: "The chunks that this node has received while it joins; 0 if it does not join.",
    read: ofReplica(({ chunksReceived }) => chunksReceived ?? 0),
  },
  {
    name: "dks_clock_offset_seconds",
    type: "gauge",
    help: "How far the wall clock of this node is ahead of the others; behind, if negative.",
    read: ofReplica(({ membership }) => membership.time.offMs(clocks()) / 1000),
  },
  {
    name: "dks_clock_right",
    type: "gauge",
    help: "1 if the wall clock is right enough for this node to take keys for expired.",
    read: ofReplica(({ membership }) => Number(membership.time.mayExpire(clocks()))),
  },

  // --- The other nodes -----------------------------------------------------------------------
  {
    name: "dks_node_up",
    type: "gauge",
    help: "By node: 1 if this node has a link to it.",
    read: byNode(({ isUp }) => Number(isUp)),
  },
  {
    name: "dks_node_member",
    type: "gauge",
    help: "By node: 1 if it is a member of the view that this node has installed.",
    read: byNode(({ isInView }) => Number(isInView)),
  },
  {
    name: "dks_node_slow",
    type: "gauge",
    help: "By node: 1 if its disk is slow, so that every write waits for it.",
    read: byNode(({ isSlow }) => Number(isSlow)),
  },
  {
    name: "dks_node_force_seconds",
    type: "gauge",
    help: "By node: how long a force of its disk takes on average, as it says.",
    read: byNode(({ forceMs }) => forceMs === null ? null : forceMs / 1000),
  },
  {
    name: "dks_node_round_trip_seconds",
    type: "gauge",
    help: "By node: the round trip of the last probe on the link to it.",
    read: byNode(({ roundTripMs }) => roundTripMs === null ? null : roundTripMs / 1000),
  },

  // --- Clients -------------------------------------------------------------------------------
  {
    name: "dks_client_connections",
    type: "gauge",
    help: "The connections of clients.",
    read: ({ connections }) => connections,
  },
  {
    name: "dks_client_connections_total",
    type: "counter",
    help: "Connections of clients that were accepted.",
    read: ({ statistics }) => statistics.connections,
  },
  {
    name: "dks_client_connections_refused_total",
    type: "counter",
    help: "Connections that came when there were too many already.",
    read: ({ statistics }) => statistics.connectionsRefused,
  },
  {
    name: "dks_received_bytes_total",
    type: "counter",
    help: "Bytes that clients have sent.",
    read: ({ commands }) => commands.inputBytes,
  },
  {
    name: "dks_sent_bytes_total",
    type: "counter",
    help: "Bytes that clients were sent.",
    read: ({ commands }) => commands.outputBytes,
  },
  {
    name: "dks_requests_total",
    type: "counter",
    help: "Reads and writes of clients, not PING and the like.",
    read: ({ statistics }) => statistics.requests,
  },
  {
    name: "dks_requests_waiting",
    type: "gauge",
    help: "Reads and writes that are not answered yet.",
    read: ofReplica(({ requests }) => requests),
  },
  {
    name: "dks_command_calls_total",
    type: "counter",
    help: "By command: how often it was begun.",
    read: byCommand(({ calls }) => calls),
  },
  {
    name: "dks_command_failures_total",
    type: "counter",
    help: "By command: how often it was begun and answered with an error.",
    read: byCommand(({ failed }) => failed),
  },
  {
    name: "dks_command_refusals_total",
    type: "counter",
    help: "By command: how often it was refused before it began.",
    read: byCommand(({ rejected }) => rejected),
  },
  {
    name: "dks_error_replies_total",
    type: "counter",
    help: "By the first word of the error: how many replies were errors.",
    read: ({ commands }) =>
      [...commands.errors].map(([code, value]) => ({ labels: { code }, value })),
  },
  {
    name: "dks_command_busy_seconds",
    type: "histogram",
    help: "By command: how long the node was busy with it, not how long it waited. " +
      "Of short commands one in 16 is timed.",
    read: ({ commands }) =>
      commands.commands.filter(({ calls }) => calls > 0).map(({ name, times }) => ({
        labels: { command: name },
        buckets: times.buckets.map(({ bound, count }) => ({ bound: bound / MICROS, count })),
        sum: times.sum / MICROS,
        count: times.count,
      })),
  },
  {
    name: "dks_keyspace_hits_total",
    type: "counter",
    help: "Keys that reads looked for and found.",
    read: ({ commands }) => commands.keyspaceHits,
  },
  {
    name: "dks_keyspace_misses_total",
    type: "counter",
    help: "Keys that reads looked for and did not find.",
    read: ({ commands }) => commands.keyspaceMisses,
  },

  // --- Writes --------------------------------------------------------------------------------
  {
    name: "dks_write_seconds",
    type: "histogram",
    help: "From the arrival of a write at this node to its commit.",
    read: ofReplica(({ writeTimes }) => [inSeconds(writeTimes.whole)]),
  },
  {
    name: "dks_write_phase_seconds",
    type: "histogram",
    help: "Phases of these writes. locks: until the prepare. force: from the prepare until it is " +
      "durable here. votes: from the prepare until all members have voted and it is committed.",
    read: ofReplica(({ writeTimes }) =>
      (["locks", "force", "votes"] as const).map((phase) => ({
        ...inSeconds(writeTimes[phase]),
        labels: { phase },
      }))
    ),
  },
  {
    name: "dks_aborts_by_reason_total",
    type: "counter",
    help:
      "Attempts of writes that this node aborted. conflict: an older one has the key. view: a " +
      "member is in another view. follows, leader: one that it follows is not known or was " +
      "aborted. deadline: not decided in time. aborted: a member had aborted it already.",
    read: ofReplica(({ writeTimes }) =>
      Object.entries(writeTimes.aborts).map(([reason, value]) => ({ labels: { reason }, value }))
    ),
  },
  {
    name: "dks_in_doubt_transactions",
    type: "gauge",
    help: "Transactions that have been in doubt here for a second or longer.",
    read: ofReplica((_, { status }) => status.inDoubt),
  },
  {
    name: "dks_in_doubt_oldest_seconds",
    type: "gauge",
    help: "For how long the oldest of them has been in doubt; 0 if there is none.",
    read: ofReplica((_, { status }) => {
      const [oldest] = status.doubts;
      return oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.since) / 1000;
    }),
  },
  {
    name: "dks_locked_keys",
    type: "gauge",
    help: "Keys that are locked or waited for.",
    read: ofReplica(({ locks }) => locks.size),
  },
  {
    name: "dks_known_transactions",
    type: "gauge",
    help: "Transactions that this node has not forgotten yet.",
    read: ofReplica(({ transactions }) => transactions),
  },
  {
    name: "dks_write_bytes_under_way",
    type: "gauge",
    help: "Bytes of the writes under way.",
    read: ({ admission }) => admission.bytes,
  },
  {
    name: "dks_writes_waiting_for_room",
    type: "gauge",
    help: "Writes that wait because too many bytes are under way.",
    read: ({ admission }) => admission.waiting,
  },
  {
    name: "dks_force_seconds",
    type: "histogram",
    help: "How long the forces of this node's journal take.",
    read: ({ forces }) => [inSeconds(forces.ms)],
  },
  {
    name: "dks_force_bytes",
    type: "histogram",
    help: "How many bytes a force makes durable.",
    read: ({ forces }) => [forces.bytes],
  },

  {
    name: "dks_journal_trouble",
    type: "gauge",
    help: "1 if something is wrong with the journal: DKS.STATUS and INFO say what.",
    read: ({ journal }) => Number(journal.trouble !== undefined),
  },

  // --- Keys and memory -----------------------------------------------------------------------
  {
    name: "dks_keys",
    type: "gauge",
    help: "The keys that this node holds.",
    read: ofReplica(({ store }) => store.size),
  },
  {
    name: "dks_expiring_keys",
    type: "gauge",
    help: "The keys among them that have a time to live.",
    read: ofReplica(({ store }) => store.expiring),
  },
  {
    name: "dks_memory_used_bytes",
    type: "gauge",
    help: "Memory of the keys and values.",
    read: ({ memory }) => memory.usedBytes,
  },
  {
    name: "dks_memory_peak_bytes",
    type: "gauge",
    help: "The most that keys and values have taken.",
    read: ({ memory }) => memory.peakBytes,
  },
  {
    name: "dks_memory_max_bytes",
    type: "gauge",
    help: "What keys and values may take (--max-memory); 0 for no bound.",
    read: ({ memory }) => memory.boundBytes,
  },
  {
    name: "dks_heap_bytes",
    type: "gauge",
    help: "Memory of the engine's heap that is in use.",
    read: ({ memory }) => memory.heapBytes,
  },

  // --- Publish and subscribe -----------------------------------------------------------------
  {
    name: "dks_pubsub_channels",
    type: "gauge",
    help: "What this node's clients have subscribed to, by kind: channel, pattern or shard.",
    read: ({ pubsub }) =>
      (["channel", "pattern", "shard"] as const).map((kind) => ({
        labels: { kind },
        value: pubsub.localSize(kind),
      })),
  },
  {
    name: "dks_publications_dropped_total",
    type: "counter",
    help: "Messages that did not leave for another node because too much was waiting.",
    read: ({ pubsub }) => pubsub.dropped,
  },
  {
    name: "dks_tracking_clients",
    type: "gauge",
    help: "Clients that keep keys of their own (CLIENT TRACKING).",
    read: ({ tracking }) => tracking.clients,
  },
  {
    name: "dks_tracked_keys",
    type: "gauge",
    help: "Keys that are noted for them.",
    read: ({ tracking }) => tracking.keys,
  },

  // --- The process ---------------------------------------------------------------------------
  {
    name: "dks_longest_turn_seconds",
    type: "gauge",
    help:
      "The longest turn of the event loop since the start: the node did nothing else meanwhile.",
    read: ({ turnTimes }) => turnTimes.longestMs / 1000,
  },
  {
    name: "dks_longest_recent_turn_seconds",
    type: "gauge",
    help: "The longest turn of the event loop in the last one or two minutes.",
    read: ({ turnTimes }) => turnTimes.longestRecentMs / 1000,
  },
  {
    name: "dks_log_lines_dropped_total",
    type: "counter",
    help: "Lines of the log that were dropped because nobody read them.",
    read: () => log.droppedLines(),
  },
  {
    name: "dks_http_connections",
    type: "gauge",
    help: "The connections at the port of --http, this one too.",
    read: ({ http }) => http.connections,
  },
  {
    name: "dks_http_pages",
    type: "gauge",
    help: "The status pages that are kept up to date.",
    read: ({ http }) => http.pages,
  },

  // --- The counters of the protocol ----------------------------------------------------------
  ...COUNTER_NAMES.map((counter): Metric => ({
    name: `dks_${COUNTERS[counter].name}_total`,
    type: "counter",
    help: COUNTERS[counter].help,
    read: ofReplica(({ counters }) => counters[counter]),
  })),
];

/** Returns all metrics as text for Prometheus. */
export function nodeMetrics(sources: MetricsSources): string {
  const figures: Figures = { ...sources, status: clusterStatus(sources) };
  return metricsText(METRICS.map((metric): Family => {
    const { name, help } = metric;
    if (metric.type === "histogram") {
      return { name, help, type: metric.type, samples: metric.read(figures) };
    }
    const read = metric.read(figures);
    const samples = typeof read === "number" ? [{ value: read }] : read;
    return { name, help, type: metric.type, samples };
  }));
}
