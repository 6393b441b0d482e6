/**
 * `dks serve`: reads the command line, and runs a node until it is told to stop.
 *
 * @module
 */

import * as log from "@std/log";
import {
  formatAddress,
  parseAddress,
  parseAddresses,
  parseAddressList,
  parsePort,
} from "../address.ts";
import { parseInteger } from "../command_line.ts";
import { parseDurationMs } from "../duration.ts";
import { FatalError, UsageError } from "../errors.ts";
import {
  CONFIG_BYTES_MAX,
  KEY_BYTES_LIMIT,
  KEY_BYTES_MAX,
  NODES_MAX,
  VALUE_BYTES_LIMIT,
  VALUE_BYTES_MAX,
} from "../limits.ts";
import { readInput, writeOutput } from "../standard_streams.ts";
import { SLOW_DISK, VIEW_TIMING } from "../two_phase/timing.ts";
import type { HttpOptions } from "./admin/status_server.ts";
import type { ViewTimes } from "./peer/handshake.ts";
import { defaultMemoryBytes, parseMemoryBytes } from "./memory.ts";
import { KeyNotifications } from "./pubsub/key_notifications.ts";
import { Node, type NodeOptions, type Storage } from "./node.ts";
import { readDocument, readServeFlags, ServeSettings } from "./serve_settings.ts";
import { type TlsSettings, whyNotTheseKeys } from "./tls_settings.ts";

/** What `dks serve --help` prints. */
export const SERVE_HELP = `dks serve: runs one node

usage: dks serve [options]

      --config -         reads a JSON document from standard input, whose keys
                         are the names of these options; options win
                         (docs/config.schema.json)
  -p, --port PORT        the port for clients and for the other nodes (5000)
      --host ADDRESS     the local address to listen at (0.0.0.0: all of IPv4;
                         :: all of IPv4 and IPv6)
      --peers LIST       all nodes of the first start, this one included:
                         a:5000,b:5000,c:5000; the port may be left out if it
                         is this node's own. The same list on every node.
                         Without it: a cluster of one. Later the journal knows
                         the list, and dks client member changes it
      --nodes N          the first start has N nodes, and names in --peers may
                         stand for several: a host name for each of its
                         addresses, _NAME for each host of an SRV record
      --join LIST        instead, for a node that is added to a cluster: nodes
                         that know the list. It waits until the list has it
      --advertise ADDR   this node's own entry in the list, if it cannot find
                         it by itself
      --data PATH        keeps the journal in this file, or in dks-PORT.kv in
                         this folder; needs a program that was compiled for
                         it (deno task compile --data FOLDER). Without it:
                         in a data folder of the user's, one for each port
      --http PORT        tells of this node by HTTP: a status page, /metrics
                         for Prometheus, /healthz and /readyz (off)
      --http-host ADDRESS  the local address for that; anybody who reaches it
                         may read all of it (127.0.0.1)
      --http-name LIST   other names under which it may be asked for than IP
                         addresses, localhost and the hosts of --peers
      --ephemeral        stores nothing: a node that restarts is a stranger to
                         its cluster
      --force-new-cluster  a majority of the nodes is lost for good: this node
                         starts a new cluster with these --peers from what its
                         journal holds. Writes may be lost: first read "A
                         majority is lost for good" in docs/operations.md.
                         Remove the flag afterwards
      --timeout TIME     a request is answered within this time (5s)
      --idle-timeout TIME  closes the connection of a client that has been
                         silent for this long (never)
      --lease TIME       a node may answer reads for this long after it sent a
                         heartbeat that a majority acknowledged (1s)
      --suspicion TIME   the others continue without a node that has been
                         silent for this long (1s)
      --heartbeat TIME   time between heartbeats (200ms), at most half of the
                         lease and of the suspicion. The lease is at most three
                         times the suspicion. All three must be the same on
                         every node
      --slow-force TIME  a disk is slow if its forces take longer on average:
                         the log, status and INFO name the node (100ms)
      --slow-member DO   warn, or exclude: leave such a node out of the view
                         while a majority is fast (warn)
      --max-key-bytes N  longest key (${KEY_BYTES_MAX})
      --max-value-bytes N  longest value (${VALUE_BYTES_MAX})
      --max-memory SIZE  memory for keys and values, such as 512mb: writes that
                         need more are refused; 0: no bound (60 % of what there
                         is)
      --notify-keyspace-events LETTERS
                         the keyspace events to publish, as in Redis (KEA:
                         all); CONFIG SET changes it
      --enable-debug-command
                         allows DEBUG SLEEP, which has the whole node stand
                         still: for tests of clients
      --log-level LEVEL  debug, info, warn, error or critical (info)
      --log-format FORM  text or json (text)
      --tls-auth-clients  with a certificate in the document of --config: lets
                         in only clients that show one too
      --tls-plain-clients  the same: serves clients without TLS too
      --plain-peers      while a cluster gets a secret or TLS, or loses it,
                         node by node: also talks to nodes that lack it, and
                         serves clients without TLS (docs/security.md)
  -h, --help             prints this

Exit codes: 0 stopped by SIGINT or SIGTERM, 1 cannot continue or ended by a
second signal, 2 wrong usage.
`;

const LEVELS: Readonly<Record<string, log.LevelName>> = {
  debug: "DEBUG",
  info: "INFO",
  warn: "WARN",
  error: "ERROR",
  critical: "CRITICAL",
};

/** Shortest and longest time of a request that may be configured. */
const TIMEOUT_MS_MIN = 100;
const TIMEOUT_MS_MAX = 60_000;

/** Shortest and longest time after which an idle client is disconnected. */
const IDLE_MS_MIN = 1000;
const IDLE_MS_MAX = 24 * 60 * 60 * 1000;

/** Shortest and longest of the times of the views that may be configured. */
const VIEW_MS_MIN = 20;
const VIEW_MS_MAX = 60_000;

/** A node that was asked to stop ends after this many milliseconds, whatever is not done by then. */
const STOP_MS_MAX = 4500;

/** Shortest force that may count as slow, in milliseconds: they are measured in whole ones. */
const SLOW_FORCE_MS_MIN = 1;

/**
 * Runs `dks serve` with these arguments.
 *
 * @throws {UsageError} if they are wrong.
 * @throws {FatalError} if the node cannot continue.
 */
export async function serve(args: readonly string[]): Promise<void> {
  const { line, hasDocument } = readServeFlags(args);
  if (line.has("help")) {
    await writeOutput(SERVE_HELP);
    return;
  }
  const isStopped = Promise.withResolvers<undefined>();
  let node: Node | undefined;
  // The first process of a container has no other way to end: signals come first.
  const atOnce = Promise.withResolvers<undefined>();
  atOnce.promise.catch(() => {}); // If it comes when nothing is left to end.
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    if (deadline !== undefined) return atOnce.reject(new FatalError("ended by a second signal"));
    deadline = setTimeout(() => atOnce.resolve(undefined), STOP_MS_MAX);
    if (node === undefined) isStopped.resolve(undefined);
    else node.stop();
  };
  const ignore = () => log.getLogger().info("SIGHUP is ignored: there is nothing to read again");
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, stop);
  for (const signal of IGNORED_SIGNALS) Deno.addSignalListener(signal, ignore);
  try {
    const opening = open(args, hasDocument);
    node = await Promise.race([opening, isStopped.promise]);
    if (node === undefined) opening.catch(() => {}); // What is being opened ends with the process.
    await Promise.race([node?.run(), atOnce.promise]);
  } finally {
    clearTimeout(deadline);
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, stop);
    for (const signal of IGNORED_SIGNALS) Deno.removeSignalListener(signal, ignore);
  }
}

async function open(args: readonly string[], hasDocument: boolean): Promise<Node> {
  const options = parseServeOptions(args, hasDocument ? await readConfiguration() : undefined);
  return await Node.open(options);
}

async function readConfiguration(): Promise<Uint8Array> {
  if (Deno.stdin.isTerminal()) {
    throw new UsageError("--config - reads from standard input: dks serve --config - < FILE");
  }
  return await readInput(CONFIG_BYTES_MAX);
}

/** Windows knows neither SIGTERM nor SIGHUP. */
const IS_WINDOWS = Deno.build.os === "windows";
const STOP_SIGNALS: readonly Deno.Signal[] = IS_WINDOWS ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/** Sent by a terminal that closes, or by an operator who expects a configuration to be read again. */
const IGNORED_SIGNALS: readonly Deno.Signal[] = IS_WINDOWS ? [] : ["SIGHUP"];

/**
 * Parses the arguments, and the document that `--config -` has read.
 *
 * @throws {UsageError} if they are wrong.
 */
export function parseServeOptions(args: readonly string[], document?: Uint8Array): NodeOptions {
  const { line } = readServeFlags(args);
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`dks serve takes no argument "${extra}"`);
  const set = new ServeSettings(line, document === undefined ? undefined : readDocument(document));
  const port = parsePort(set.value("port") ?? "5000", set.label("port"));
  const forcesNewCluster = set.has("force-new-cluster");
  if (forcesNewCluster && set.has("ephemeral")) {
    throw new UsageError("--ephemeral stores nothing that --force-new-cluster could start from");
  }
  return {
    port,
    hostname: set.value("host") ?? "0.0.0.0",
    ...parsePeers(set, port),
    timeoutMs: parseTimeout(set),
    idleMsMax: parseIdleTimeout(set),
    ...parseViewTimes(set),
    ...parseSlowDisk(set),
    keyBytesMax: parseInteger(set.value("max-key-bytes") ?? String(KEY_BYTES_MAX), {
      name: set.label("max-key-bytes"),
      min: 1,
      max: KEY_BYTES_LIMIT,
    }),
    valueBytesMax: parseInteger(set.value("max-value-bytes") ?? String(VALUE_BYTES_MAX), {
      name: set.label("max-value-bytes"),
      min: 1,
      max: VALUE_BYTES_LIMIT,
    }),
    keyEvents: parseKeyEvents(set),
    allowsDebug: set.has("enable-debug-command"),
    memoryBytesMax: parseMemory(set),
    http: parseHttp(set),
    tls: parseTls(set),
    users: set.users,
    clusterSecret: set.clusterSecret,
    allowsPlainPeers: parsePlainPeers(set),
    storage: parseStorage(set),
    forcesNewCluster,
    logger: setUpLog(set),
  };
}

function parseMemory(set: ServeSettings): number {
  const text = set.value("max-memory");
  return text === undefined
    ? defaultMemoryBytes()
    : parseMemoryBytes(text, set.label("max-memory"));
}

/** Returns where `--http` listens, and under which other names it may be asked. */
function parseHttp(set: ServeSettings): HttpOptions | undefined {
  const text = set.value("http");
  if (text === undefined) {
    const extra = ["http-host", "http-name"].find((name) => set.value(name) !== undefined);
    if (extra === undefined) return undefined;
    throw new UsageError(`${set.label(extra)} is of no use without --http`);
  }
  const port = parsePort(text, set.label("http"));
  const names = (set.value("http-name") ?? "").split(",").filter((name) => name !== "");
  return {
    address: { hostname: set.value("http-host") ?? "127.0.0.1", port },
    names: names.map((name) =>
      parseAddress(name, { defaultPort: port, name: set.label("http-name") }).hostname
    ),
  };
}

/** Tells whether nodes are talked to that lack what this one has. */
function parsePlainPeers(set: ServeSettings): boolean {
  if (!set.has("plain-peers")) return false;
  if (set.clusterSecret !== undefined || set.value("tls-cert") !== undefined) return true;
  throw new UsageError(
    `${
      set.label("plain-peers")
    } is of no use without "cluster-secret" or "tls-cert" in the configuration`,
  );
}

/** Returns how TLS is spoken; `undefined` if there is no certificate: then it is not. */
function parseTls(set: ServeSettings): TlsSettings | undefined {
  const [cert, key, ca] = [set.value("tls-cert"), set.value("tls-key"), set.value("tls-ca")];
  const demandsCertificates = set.has("tls-auth-clients");
  // A node that connects without TLS looks like a client until it says what it wants.
  const allowsPlain = set.has("tls-plain-clients") || set.has("plain-peers");
  if (cert === undefined && key === undefined) {
    const extra = ["tls-ca", "tls-auth-clients", "tls-plain-clients"]
      .find((name) => set.value(name) !== undefined || set.has(name));
    if (extra === undefined) return undefined;
    throw new UsageError(`${set.label(extra)} is of no use without "tls-cert" and "tls-key"`);
  }
  const keys = { cert, key, ca };
  const reason = whyNotTheseKeys(keys, (part) => `"tls-${part}" in the configuration`);
  if (reason !== undefined) throw new UsageError(reason);
  const user = ["peers", "join"].find((name) => set.value(name) !== undefined) ??
    "tls-auth-clients";
  if (ca === undefined && (demandsCertificates || user !== "tls-auth-clients")) {
    throw new UsageError(`${set.label(user)} with TLS needs "tls-ca" in the configuration`);
  }
  return { keys, demandsCertificates, allowsPlain };
}

function parsePeers(
  set: ServeSettings,
  port: number,
): Pick<NodeOptions, "peers" | "discover" | "join" | "advertise"> {
  const [list, own, join] = [set.value("peers"), set.value("advertise"), set.value("join")];
  const advertise = own === undefined
    ? undefined
    : parseAddress(own, { defaultPort: port, name: set.label("advertise") });
  const count = set.value("nodes");
  if (count !== undefined && list === undefined) {
    throw new UsageError(`${set.label("nodes")} is of no use without --peers`);
  }
  if (join !== undefined) {
    if (list !== undefined) {
      throw new UsageError(
        `${set.label("join")} asks other nodes for the list, and ${set.label("peers")} gives it: ` +
          "give one of the two",
      );
    }
    if (set.has("force-new-cluster")) {
      throw new UsageError("--force-new-cluster takes its nodes from --peers, not from --join");
    }
    const seeds = parseAddresses(join, { defaultPort: port, name: set.label("join") });
    return { peers: undefined, join: seeds, advertise };
  }
  if (list === undefined) return { peers: undefined, advertise };
  if (count !== undefined) {
    if (set.has("force-new-cluster")) {
      throw new UsageError("--force-new-cluster takes the names of the nodes, without --nodes");
    }
    const discover = {
      names: parseAddresses(list, { defaultPort: port, name: set.label("peers") }),
      count: parseInteger(count, { name: set.label("nodes"), min: 2, max: NODES_MAX }),
    };
    return { peers: undefined, discover, advertise };
  }
  const peers = parseAddressList(list, { defaultPort: port, name: set.label("peers") });
  const name = advertise === undefined ? undefined : formatAddress(advertise);
  if (name !== undefined && !peers.some((peer) => formatAddress(peer) === name)) {
    throw new UsageError(
      `${set.label("advertise")} ${name} is not among the ${set.label("peers")} ${list}`,
    );
  }
  return { peers, advertise };
}

/** Returns the letters, if they are Redis's. */
function parseKeyEvents(set: ServeSettings): string {
  const name = "notify-keyspace-events";
  const letters = set.value(name) ?? "";
  if (new KeyNotifications({ tellLocal: () => {} }).choose(letters)) return letters;
  throw new UsageError(
    `${set.label(name)} takes letters of Ag$lshzxeKEtmdn, not "${letters}"`,
  );
}

function parseStorage(set: ServeSettings): Storage {
  const path = set.value("data");
  if (set.has("ephemeral")) {
    if (path !== undefined) throw new UsageError("--ephemeral stores nothing: not with --data");
    return { kind: "ephemeral" };
  }
  if (path === "") throw new UsageError('--data takes a file or a folder, not ""');
  if (path !== undefined) return { kind: "path", path: asPath(path) };
  return { kind: "default", place: defaultPlace() };
}

/**
 * Returns `text` so that it can only be a path: the store knows other names, such as `:memory:`.
 */
function asPath(text: string): string {
  return /^([.]{0,2}[/\\]|[A-Za-z]:[/\\])/.test(text) ? text : `./${text}`;
}

/**
 * Returns the name of the place of the runtime's own store. The header of the portable program
 * passes it as the path of its location; a compiled program keeps it where programs keep their
 * data; for one that is run from the source it is in a cache.
 */
function defaultPlace(): string {
  const { location } = globalThis as { location?: Location };
  if (location !== undefined && location.pathname !== "/") return decoded(location.pathname);
  if (!Deno.build.standalone) return "location_data of Deno's cache";
  switch (Deno.build.os) {
    case "windows":
      return "%LOCALAPPDATA%\\dks";
    case "darwin":
      return "~/Library/Application Support/dks";
    default:
      return "$XDG_DATA_HOME/dks or ~/.local/share/dks";
  }
}

function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname; // A path that is not UTF-8.
  }
}

function parseTimeout(set: ServeSettings): number {
  const text = set.value("timeout") ?? "5s";
  const timeoutMs = parseDurationMs(text, set.label("timeout"));
  if (timeoutMs < TIMEOUT_MS_MIN || timeoutMs > TIMEOUT_MS_MAX) {
    throw new UsageError(`${set.label("timeout")} takes a time from 100ms to 60s, not "${text}"`);
  }
  return timeoutMs;
}

function parseIdleTimeout(set: ServeSettings): number {
  const text = set.value("idle-timeout");
  if (text === undefined) return Infinity;
  const idleMs = parseDurationMs(text, set.label("idle-timeout"));
  if (idleMs >= IDLE_MS_MIN && idleMs <= IDLE_MS_MAX) return idleMs;
  throw new UsageError(
    `${set.label("idle-timeout")} takes a time from 1s to 1440m, not "${text}"`,
  );
}

/** Returns when a disk is slow, and what comes of it. */
function parseSlowDisk(set: ServeSettings): Pick<NodeOptions, "slowForceMs" | "excludesSlow"> {
  const text = set.value("slow-force");
  const slowForceMs = text === undefined
    ? SLOW_DISK.slowForceMs
    : parseDurationMs(text, set.label("slow-force"));
  if (slowForceMs < SLOW_FORCE_MS_MIN || slowForceMs > VIEW_MS_MAX) {
    throw new UsageError(
      `${set.label("slow-force")} takes a time from 1ms to 60s, not "${text}"`,
    );
  }
  const what = set.value("slow-member") ?? "warn";
  if (what !== "warn" && what !== "exclude") {
    throw new UsageError(`${set.label("slow-member")} takes warn or exclude, not "${what}"`);
  }
  return { slowForceMs, excludesSlow: what === "exclude" };
}

/**
 * Returns the times of the views. They depend on each other. If one lost heartbeat ended a lease or
 * raised a suspicion, the cluster would never be stable. And a view that excludes a node waits for
 * its lease, so a long lease makes every failover long.
 */
function parseViewTimes(set: ServeSettings): ViewTimes {
  const time = (flag: string, defaultMs: number) => {
    const text = set.value(flag);
    if (text === undefined) return defaultMs;
    const ms = parseDurationMs(text, set.label(flag));
    if (ms >= VIEW_MS_MIN && ms <= VIEW_MS_MAX) return ms;
    throw new UsageError(`${set.label(flag)} takes a time from 20ms to 60s, not "${text}"`);
  };
  const leaseMs = time("lease", VIEW_TIMING.leaseMs);
  const suspicionMs = time("suspicion", VIEW_TIMING.suspicionMs);
  const heartbeatMs = time("heartbeat", VIEW_TIMING.heartbeatMs);
  if (2 * heartbeatMs > suspicionMs) {
    throw new UsageError(
      `--suspicion ${suspicionMs}ms is less than twice --heartbeat ${heartbeatMs}ms`,
    );
  }
  if (2 * heartbeatMs > leaseMs) {
    throw new UsageError(`--lease ${leaseMs}ms is less than twice --heartbeat ${heartbeatMs}ms`);
  }
  if (leaseMs > 3 * suspicionMs) {
    throw new UsageError(
      `--lease ${leaseMs}ms is more than three times --suspicion ${suspicionMs}ms`,
    );
  }
  return { leaseMs, suspicionMs, heartbeatMs };
}

function setUpLog(set: ServeSettings): log.Logger {
  const levelName = set.value("log-level") ?? "info";
  const format = set.value("log-format") ?? "text";
  const level = LEVELS[levelName.toLowerCase()];
  if (level === undefined) {
    const levels = Object.keys(LEVELS).join(", ");
    throw new UsageError(`${set.label("log-level")} takes ${levels}, not "${levelName}"`);
  }
  if (format !== "text" && format !== "json") {
    throw new UsageError(`${set.label("log-format")} takes text or json, not "${format}"`);
  }
  const formatter = format === "json" ? log.formatters.jsonFormatter : log.formatters.textFormatter;
  log.setup({
    handlers: { console: new log.ConsoleHandler(level, { formatter }) },
    loggers: { default: { level, handlers: ["console"] } },
  });
  return log.getLogger();
}
