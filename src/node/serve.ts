/**
 * `dks serve`: reads the command line, and runs a node until it is told to stop.
 *
 * @module
 */

import * as log from "@std/log";
import {
  type Address,
  formatAddress,
  parseAddress,
  parseAddressList,
  parsePort,
} from "../address.ts";
import { type CommandLine, parseInteger, readCommandLine } from "../command_line.ts";
import { parseDurationMs } from "../duration.ts";
import { UsageError } from "../errors.ts";
import { KEY_BYTES_LIMIT, KEY_BYTES_MAX, VALUE_BYTES_LIMIT, VALUE_BYTES_MAX } from "../limits.ts";
import { writeOutput } from "../standard_streams.ts";
import { SLOW_DISK, VIEW_TIMING } from "../two_phase/timing.ts";
import type { ViewTimes } from "./peer/handshake.ts";
import { defaultMemoryBytes, parseMemoryBytes } from "./memory.ts";
import { KeyNotifications } from "./pubsub/key_notifications.ts";
import { Node, type NodeOptions, type Storage } from "./node.ts";

/** What `dks serve --help` prints. */
export const SERVE_HELP = `dks serve: runs one node

usage: dks serve [options]

  -p, --port PORT        the port for clients and for the other nodes (5000)
      --host ADDRESS     the local address to listen at (0.0.0.0: all of IPv4;
                         :: all of IPv4 and IPv6)
      --peers LIST       all nodes, this one included: a:5000,b:5000,c:5000;
                         the port may be left out if it is this node's own.
                         The same list on every node. Without it: a cluster of
                         one
      --advertise ADDR   this node's own entry in the list, if it cannot find
                         it by itself
      --data PATH        keeps the journal in this file, or in dks-PORT.kv in
                         this folder; needs a program that was compiled for
                         it (deno task compile --data FOLDER). Without it:
                         in a data folder of the user's, one for each port
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
      --log-level LEVEL  debug, info, warn, error or critical (info)
      --log-format FORM  text or json (text)
  -h, --help             prints this

Exit codes: 0 stopped by SIGINT or SIGTERM, 1 cannot continue, 2 wrong usage.
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

/** Shortest force that may count as slow, in milliseconds: they are measured in whole ones. */
const SLOW_FORCE_MS_MIN = 1;

/**
 * Runs `dks serve` with these arguments.
 *
 * @throws {UsageError} if they are wrong.
 * @throws {FatalError} if the node cannot continue.
 */
export async function serve(args: readonly string[]): Promise<void> {
  const options = parseServeOptions(args);
  if (options === "help") {
    await writeOutput(SERVE_HELP);
    return;
  }
  const isStopped = Promise.withResolvers<undefined>();
  let node: Node | undefined;
  // The first process of a container has no other way to end: signals come first.
  const stop = () => node === undefined ? isStopped.resolve(undefined) : node.stop();
  const ignore = () => options.logger.info("SIGHUP is ignored: there is nothing to read again");
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, stop);
  for (const signal of IGNORED_SIGNALS) Deno.addSignalListener(signal, ignore);
  try {
    const opening = Node.open(options);
    node = await Promise.race([opening, isStopped.promise]);
    if (node === undefined) opening.catch(() => {}); // What is being opened ends with the process.
    await node?.run();
  } finally {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, stop);
    for (const signal of IGNORED_SIGNALS) Deno.removeSignalListener(signal, ignore);
  }
}

/** Windows knows neither SIGTERM nor SIGHUP. */
const IS_WINDOWS = Deno.build.os === "windows";
const STOP_SIGNALS: readonly Deno.Signal[] = IS_WINDOWS ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/** Sent by a terminal that closes, or by an operator who expects a configuration to be read again. */
const IGNORED_SIGNALS: readonly Deno.Signal[] = IS_WINDOWS ? [] : ["SIGHUP"];

/**
 * Parses the arguments.
 *
 * @throws {UsageError} if they are wrong.
 */
export function parseServeOptions(args: readonly string[]): NodeOptions | "help" {
  const line = readCommandLine(args, {
    values: [
      "port",
      "host",
      "peers",
      "advertise",
      "data",
      "timeout",
      "idle-timeout",
      "lease",
      "suspicion",
      "heartbeat",
      "slow-force",
      "slow-member",
      "max-key-bytes",
      "max-value-bytes",
      "max-memory",
      "notify-keyspace-events",
      "log-level",
      "log-format",
    ],
    switches: ["ephemeral", "force-new-cluster", "help"],
    alias: { p: "port", h: "help" },
  });
  if (line.has("help")) return "help";
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`dks serve takes no argument "${extra}"`);
  const port = parsePort(line.value("port") ?? "5000", "--port");
  const forcesNewCluster = line.has("force-new-cluster");
  if (forcesNewCluster && line.has("ephemeral")) {
    throw new UsageError("--ephemeral stores nothing that --force-new-cluster could start from");
  }
  const { peers, advertise } = parsePeers(line.value("peers"), line.value("advertise"), port);
  return {
    port,
    hostname: line.value("host") ?? "0.0.0.0",
    peers,
    advertise,
    timeoutMs: parseTimeout(line.value("timeout") ?? "5s"),
    idleMsMax: parseIdleTimeout(line.value("idle-timeout")),
    ...parseViewTimes(line),
    ...parseSlowDisk(line),
    keyBytesMax: parseInteger(line.value("max-key-bytes") ?? String(KEY_BYTES_MAX), {
      name: "--max-key-bytes",
      min: 1,
      max: KEY_BYTES_LIMIT,
    }),
    valueBytesMax: parseInteger(line.value("max-value-bytes") ?? String(VALUE_BYTES_MAX), {
      name: "--max-value-bytes",
      min: 1,
      max: VALUE_BYTES_LIMIT,
    }),
    keyEvents: parseKeyEvents(line.value("notify-keyspace-events") ?? ""),
    memoryBytesMax: parseMemory(line.value("max-memory")),
    storage: parseStorage(line.value("data"), line.has("ephemeral")),
    forcesNewCluster,
    logger: setUpLog(line.value("log-level") ?? "info", line.value("log-format") ?? "text"),
  };
}

function parseMemory(text: string | undefined): number {
  return text === undefined ? defaultMemoryBytes() : parseMemoryBytes(text, "--max-memory");
}

function parsePeers(
  list: string | undefined,
  own: string | undefined,
  port: number,
): { peers: readonly Address[] | undefined; advertise: Address | undefined } {
  const advertise = own === undefined
    ? undefined
    : parseAddress(own, { defaultPort: port, name: "--advertise" });
  if (list === undefined) return { peers: undefined, advertise };
  const peers = parseAddressList(list, { defaultPort: port, name: "--peers" });
  const name = advertise === undefined ? undefined : formatAddress(advertise);
  if (name !== undefined && !peers.some((peer) => formatAddress(peer) === name)) {
    throw new UsageError(`--advertise ${name} is not among the --peers ${list}`);
  }
  return { peers, advertise };
}

/** Returns the letters, if they are Redis's. */
function parseKeyEvents(letters: string): string {
  if (new KeyNotifications({ tellLocal: () => {} }).choose(letters)) return letters;
  throw new UsageError(
    `--notify-keyspace-events takes letters of Ag$lshzxeKEtmdn, not "${letters}"`,
  );
}

function parseStorage(path: string | undefined, isEphemeral: boolean): Storage {
  if (isEphemeral) {
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
 * data.
 */
function defaultPlace(): string {
  const { location } = globalThis as { location?: Location };
  if (location !== undefined && location.pathname !== "/") return decoded(location.pathname);
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

function parseTimeout(text: string): number {
  const timeoutMs = parseDurationMs(text, "--timeout");
  if (timeoutMs < TIMEOUT_MS_MIN || timeoutMs > TIMEOUT_MS_MAX) {
    throw new UsageError(`--timeout takes a time from 100ms to 60s, not "${text}"`);
  }
  return timeoutMs;
}

function parseIdleTimeout(text: string | undefined): number {
  if (text === undefined) return Infinity;
  const idleMs = parseDurationMs(text, "--idle-timeout");
  if (idleMs >= IDLE_MS_MIN && idleMs <= IDLE_MS_MAX) return idleMs;
  throw new UsageError(`--idle-timeout takes a time from 1s to 1440m, not "${text}"`);
}

/** Returns when a disk is slow, and what comes of it. */
function parseSlowDisk(line: CommandLine): Pick<NodeOptions, "slowForceMs" | "excludesSlow"> {
  const text = line.value("slow-force");
  const slowForceMs = text === undefined
    ? SLOW_DISK.slowForceMs
    : parseDurationMs(text, "--slow-force");
  if (slowForceMs < SLOW_FORCE_MS_MIN || slowForceMs > VIEW_MS_MAX) {
    throw new UsageError(`--slow-force takes a time from 1ms to 60s, not "${text}"`);
  }
  const what = line.value("slow-member") ?? "warn";
  if (what !== "warn" && what !== "exclude") {
    throw new UsageError(`--slow-member takes warn or exclude, not "${what}"`);
  }
  return { slowForceMs, excludesSlow: what === "exclude" };
}

/**
 * Returns the times of the views. They depend on each other. If one lost heartbeat ended a lease or
 * raised a suspicion, the cluster would never be stable. And a view that excludes a node waits for
 * its lease, so a long lease makes every failover long.
 */
function parseViewTimes(line: CommandLine): ViewTimes {
  const time = (flag: string, defaultMs: number) => {
    const text = line.value(flag);
    if (text === undefined) return defaultMs;
    const ms = parseDurationMs(text, `--${flag}`);
    if (ms >= VIEW_MS_MIN && ms <= VIEW_MS_MAX) return ms;
    throw new UsageError(`--${flag} takes a time from 20ms to 60s, not "${text}"`);
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

function setUpLog(levelName: string, format: string): log.Logger {
  const level = LEVELS[levelName.toLowerCase()];
  if (level === undefined) {
    throw new UsageError(`--log-level takes ${Object.keys(LEVELS).join(", ")}, not "${levelName}"`);
  }
  if (format !== "text" && format !== "json") {
    throw new UsageError(`--log-format takes text or json, not "${format}"`);
  }
  const formatter = format === "json" ? log.formatters.jsonFormatter : log.formatters.textFormatter;
  log.setup({
    handlers: { console: new log.ConsoleHandler(level, { formatter }) },
    loggers: { default: { level, handlers: ["console"] } },
  });
  return log.getLogger();
}
