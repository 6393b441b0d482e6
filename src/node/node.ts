/**
 * One running node: composes the listener, the clients' connections, the links and the driver.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Logger } from "@std/log";
import { type Address, formatAddress, isLoopback, parseAddress } from "../address.ts";
import { type ByteString, fromText } from "../byte_string.ts";
import { FatalError, messageOf } from "../errors.ts";
import { ErrorReply } from "../resp/value.ts";
import { INPUT_BYTES_SUM_MAX, OUTPUT_BYTES_SUM_MAX, WRITE_BYTES_MAX } from "../limits.ts";
import { USERS_KEY } from "../reserved_keys.ts";
import { Seldom } from "../seldom.ts";
import { LOOKUPS } from "../socket.ts";
import { contains, members } from "../two_phase/node_set.ts";
import { type ChangeOutcome, renamedIds } from "../two_phase/member_changes.ts";
import type { KeyRecord, MemberChange, View } from "../two_phase/messages.ts";
import type { Change, ProtocolEvent } from "../two_phase/outbox.ts";
import { Replica } from "../two_phase/replica.ts";
import type { Refusal } from "../two_phase/request.ts";
import { Store } from "../two_phase/store.ts";
import { type Timing, timingFor, VIEW_TIMING } from "../two_phase/timing.ts";
import { Access } from "./access/access.ts";
import type { User } from "./access/user.ts";
import { EventLog } from "./admin/event_log.ts";
import { ForceTimes } from "./admin/force_times.ts";
import type { LiveState } from "./admin/live_pages.ts";
import type { PaceCounts } from "./admin/pace.ts";
import { ViewHistory } from "./admin/view_history.ts";
import { type InfoSources, infoText } from "./admin/info.ts";
import { nodeMetrics } from "./admin/metrics.ts";
import { Statistics } from "./admin/statistics.ts";
import { clusterStatus, memberList } from "./admin/status.ts";
import { type HttpOptions, type StatusHost, StatusServer } from "./admin/status_server.ts";
import { TurnTimes } from "./admin/turn_times.ts";
import { clocks, now, whyNotThisTime } from "../clock.ts";
import { describeAsked } from "../list_change.ts";
import {
  type CommandHost,
  type MembersHost,
  type MemoryFigures,
  type Pause,
  SCAN_PROCESSES,
  type Settings,
} from "./commands/command.ts";
import { Driver } from "./driver.ts";
import { ExpirySweeper } from "./expiry_sweeper.ts";
import { parseMemoryBytes, usedMemory } from "./memory.ts";
import { startNewCluster } from "./new_cluster.ts";
import { oneAtATime } from "./one_at_a_time.ts";
import { type OutcomeHost, Outcomes } from "./outcomes.ts";
import {
  type ClusterPosition,
  PEER_COMMAND,
  sharedConfig,
  type ViewTimes,
} from "./peer/handshake.ts";
import { discover, type DiscoveryOptions } from "./peer/discovery.ts";
import { findList, type FoundList } from "./peer/list_search.ts";
import type { NodeReport } from "./peer/messages.ts";
import { type ClusterList, Peers, UnfoundError } from "./peer/peers.ts";
import { ClusterSecret } from "./peer/secret.ts";
import { Admission } from "./server/admission.ts";
import type { Asker, UpgradeAnswer } from "./server/connection.ts";
import { KeyNotifications } from "./pubsub/key_notifications.ts";
import { Tracking } from "./pubsub/tracking.ts";
import { PubSub } from "./pubsub/pubsub.ts";
import { CommandStatistics } from "./server/command_statistics.ts";
import { Exports } from "./server/exports.ts";
import { ClientListener, type ListenerHost, PortInUseError } from "./server/listener.ts";
import { describeHolder } from "./server/port_holder.ts";
import { sessionOf } from "./server/pipeline.ts";
import { SharedBound } from "./server/shared_bound.ts";
import { Turns } from "./server/turns.ts";
import { type Journal, MemoryJournal, PLACE_CHECK_MS } from "./storage/journal.ts";
import type { KvJournalOptions } from "./storage/kv_journal.ts";
import {
  describeList,
  howListDiffers,
  isSameList,
  lastView,
  ownerOf,
  renamed,
  startList,
  whyNotThisJournal,
} from "./storage/journal_identity.ts";
import { lastValueOf, recover, type Recovered, trackChangesFor } from "./storage/recovery.ts";
import { isSweeper, TokenSweeper } from "./sweeper.ts";
import { NodeTls, type TlsSettings } from "./tls_settings.ts";

/** The options of a node. */
export interface NodeOptions extends ViewTimes {
  readonly port: number;
  /** The local address to listen at. */
  readonly hostname: string;
  /**
   * All nodes of the first start, sorted, this one included; `undefined` for a cluster of one, or if
   * `discover` or `join` is given. Once there is a view in the journal, its list counts.
   */
  readonly peers: readonly Address[] | undefined;
  /**
   * Names that stand for the nodes of the first start, this one included, and how many these are, see
   * `peer/discovery.ts`; instead of `peers`.
   */
  readonly discover?: Pick<DiscoveryOptions, "names" | "count"> | undefined;
  /** Nodes of the cluster that this node joins, which know the list; not with `peers`. */
  readonly join?: readonly Address[] | undefined;
  /** This node's entry in the list, if it is known. */
  readonly advertise: Address | undefined;
  readonly timeoutMs: number;
  /** See {@linkcode Timing}. */
  readonly slowForceMs: number;
  readonly excludesSlow: boolean;
  /** A client silent for this long is disconnected, in milliseconds; `Infinity` for never. */
  readonly idleMsMax: number;
  /** The value of `notify-keyspace-events` at the start. */
  readonly keyEvents: string;
  /** DEBUG SLEEP is allowed. */
  readonly allowsDebug: boolean;
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** The bound on the memory of keys, in bytes; 0: none. */
  readonly memoryBytesMax: number;
  /** The port for metrics, health and the status page; `undefined` for none. */
  readonly http: HttpOptions | undefined;
  /** What all nodes of the cluster know, and nobody else; `undefined` for nothing. */
  readonly clusterSecret: string | undefined;
  /** While a cluster gets a secret or TLS, or loses it: nodes without are talked to as well. */
  readonly allowsPlainPeers: boolean;
  /** `undefined`: there is no TLS. */
  readonly tls?: TlsSettings | undefined;
  /** Users that this node has whatever is stored, by name. */
  readonly users: ReadonlyMap<ByteString, User>;
  /** Where the journal is kept. */
  readonly storage: Storage;
  /** Start a new cluster from the journal, see `new_cluster.ts`. */
  readonly forcesNewCluster: boolean;
  readonly logger: Logger;
}

/** Where a node keeps its journal. */
export type Storage =
  /** Nowhere: it ends with the process. */
  | { readonly kind: "ephemeral" }
  /** In the runtime's own store for this program; `place` is its human-readable name. */
  | { readonly kind: "default"; readonly place: string }
  /** In a file, or in a folder in a file for this port; the program needs access to it. */
  | { readonly kind: "path"; readonly path: string };

/** The node makes a checkpoint when a start would have to replay this much of the journal. */
const TAIL_BYTES_MAX = 32 * 1024 * 1024;

/**
 * The same while the node joins. A checkpoint needs room for what it stores again, and each key comes
 * once: many small ones cost no more than a few large ones.
 */
const TAIL_BYTES_MAX_JOINING = 8 * 1024 * 1024;

/** How long a node that stops waits for what clients have asked before, in milliseconds. */
const DRAIN_MS = 2000;

/** It looks this often whether that is done. */
const DRAIN_CHECK_MS = 5;

/** How long a node that stops waits for the others to continue without it. */
const LEAVE_MS = 1000;

/** How often a node that was removed asks whether the others know it, in milliseconds. */
const REMOVAL_KNOWN_MS = 300;

/** How long it then waits for clients to read the last answers, in milliseconds. */
const LAST_ANSWERS_MS = 500;

/** What requests are told from the moment on when a node is asked to stop. */
const STOPPING: Refusal = { obstacle: "down", reason: "this node is stopping" };

/** How often the node checks whether a checkpoint is due, in milliseconds. */
const CHECKPOINT_CHECK_MS = 500;

/** What clients are told while the node starts over. */
const STARTING_OVER = "this node starts over with a new journal";

/** What clients are told who write to a node alone whose journal is gone. */
const GONE = "the journal of this node is gone, and a restart would forget this";

/** What clients are told before the node knows which of the peers it is. */
const STARTING = "this node is starting: it is finding its own entry in the list of peers";

/** The same complaint is logged once in this time, in milliseconds. */
const COMPLAINT_MS = 10_000;

/** A node that is not in the list of its cluster says so this often, in milliseconds. */
const NOT_LISTED_MS = 30_000;

/** How often the node looks for old tokens and idle exports, in milliseconds. */
const SWEEP_MS = 5000;

/** How often expired keys are looked for, in milliseconds. */
const EXPIRY_SWEEP_MS = 100;

/** So many orders of keys of one node the cursors of SCAN tell apart. */
const SCAN_TAGS = SCAN_PROCESSES / 32;

/** One running node. */
export class Node implements ListenerHost, OutcomeHost, StatusHost {
  readonly facts: CommandHost;
  readonly waitMsMax: number;
  readonly statistics = new CommandStatistics();
  readonly input = new SharedBound(INPUT_BYTES_SUM_MAX);
  readonly output = new SharedBound(OUTPUT_BYTES_SUM_MAX);
  readonly turns = new Turns(now);
  readonly admission: Admission;
  readonly #turnTimes = new TurnTimes(now());
  readonly #options: NodeOptions;
  readonly #listener: ClientListener;
  readonly #tls: NodeTls | undefined;
  readonly #journal: Journal;
  readonly #forces: ForceTimes;
  /** The port of `--http`. */
  readonly #http: StatusServer | undefined;
  #recovered: Recovered;
  readonly #peers: Peers;
  readonly #statistics = new Statistics();
  readonly #ended: PromiseWithResolvers<void>;
  #checkpoints: ReturnType<typeof setInterval> | undefined;
  #sweeps: ReturnType<typeof setInterval> | undefined;
  #placeChecks: ReturnType<typeof setInterval> | undefined;
  /** Tells the orders of keys of this node apart, in the cursors of SCAN. */
  #scanTag = 0;
  #isCheckpointing = false;
  readonly #settings: Settings;
  /** The most that the keys took, at the times at which that was looked at. */
  #peakBytes = 0;
  /** Tells this process from others: 40 hexadecimal digits, as Redis has them. */
  readonly #runId = Array.from(
    crypto.getRandomValues(new Uint8Array(20)),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
  /** CLIENT PAUSE. */
  #pause: Pause = "none";
  #pausedUntil = 0;
  #pauseTimer: ReturnType<typeof setTimeout> | undefined;
  #isStopping = false;
  /** What is wrong with the journal, human-readable; `undefined` if nothing is. */
  #journalTrouble: string | undefined;
  /** Why the journal has no room on its disk, human-readable; `undefined` while it has. */
  #shortage: string | undefined;
  readonly #placeComplaints = new Seldom(COMPLAINT_MS);
  /** What ends the node once the others continue without it. */
  #onLeft: (() => void) | undefined;
  #isStartingOver = false;
  /** The view whose list this node has; 0: the list is `--peers`, or there is none yet. */
  #listView = 0;
  /** The list of `--peers` is that of a cluster that is to be started by force, and is not yet. */
  #isForcing: boolean;
  /** The latest view that is known to lack this node; 0: none. */
  #lackedBy = 0;
  /** Why this node is no part of the cluster: its list does not have it; `undefined` if it has. */
  #notListed: string | undefined;
  readonly #notListedComplaints = new Seldom(NOT_LISTED_MS);
  readonly #noListComplaints = new Seldom(NOT_LISTED_MS);
  readonly #stopping = new AbortController();
  /** The node was asked to stop. */
  #isDraining = false;
  #driver: Driver | undefined;
  /** A replica has run in this process. */
  #hasRun = false;
  /** What the last replica had installed, while there is none and its journal is still this node's. */
  #viewBefore: View | undefined;
  /**
   * When the present view was installed here, in milliseconds of wall-clock time; `undefined` if
   * that was before this node started.
   */
  #viewSince: number | undefined;
  readonly #eventLog: EventLog;
  readonly #viewHistory = new ViewHistory();
  readonly #outcomes: Outcomes;
  readonly #exports = new Exports(this, now);
  readonly #pubsub: PubSub = new PubSub({
    send: (peer, message) => this.#peers.tell(peer, message),
  });
  readonly #access: Access;
  /** A change of the users was not decided when this process began. */
  #areUsersInDoubt = false;
  readonly #acceptFailures = new Seldom(COMPLAINT_MS);
  readonly #shortages = new Seldom(COMPLAINT_MS);
  readonly #fewerClients = new Seldom(COMPLAINT_MS);
  readonly #tracking = new Tracking(() => this.#wantChanges());
  /** Whether the node could read when it was looked at last. */
  #couldRead = false;
  readonly #keyNotifications = new KeyNotifications(this.#pubsub);

  /**
   * Takes the port, opens the journal, and recovers what it holds. The port comes first: a second start
   * of a node ends there, and never gets to ask for the journal of the first one.
   *
   * @throws {FatalError} if the node cannot read the journal or listen on the port, or if its clock
   * is a century ahead.
   */
  static async open(options: NodeOptions): Promise<Node> {
    const ended = Promise.withResolvers<void>();
    ended.promise.catch(() => {}); // `run` reports the error.
    const refusal = whyNotThisTime(clocks());
    if (refusal !== undefined) throw new FatalError(refusal);
    const tls = options.tls === undefined ? undefined : new NodeTls(options.tls, options.logger);
    const listener = await takePort(options, tls);
    const forces = new ForceTimes();
    let http: StatusServer | undefined;
    let journal: Journal | undefined;
    let node: Node | undefined;
    try {
      http = openHttp(options);
      journal = await openJournal(options, {
        onFatal: (error) => ended.reject(error),
        onForced: (ms, bytes) => forces.add(ms, bytes),
        onRoom: (room) => node === undefined ? undefined : node.#onRoom(room),
        dataBytes: () => node === undefined ? undefined : node.#dataBytes,
        kept: () => node === undefined ? undefined : node.#keptUsers,
      });
      const recovered = await recover(journal, now());
      return node = new Node(options, { listener, tls, http, journal, forces, recovered, ended });
    } catch (error) {
      listener.close();
      http?.close();
      await journal?.close();
      throw error;
    }
  }

  private constructor(
    options: NodeOptions,
    opened: {
      listener: ClientListener;
      tls: NodeTls | undefined;
      http: StatusServer | undefined;
      journal: Journal;
      forces: ForceTimes;
      recovered: Recovered;
      ended: PromiseWithResolvers<void>;
    },
  ) {
    this.#options = options;
    this.#journal = opened.journal;
    this.#forces = opened.forces;
    this.#http = opened.http;
    this.#keyNotifications.choose(options.keyEvents);
    this.#recovered = opened.recovered;
    this.#ended = opened.ended;
    const { timeoutMs, giveUpMs } = timingFor(options.timeoutMs);
    this.waitMsMax = timeoutMs - giveUpMs;
    this.admission = new Admission({
      bytesMax: WRITE_BYTES_MAX,
      waitMsMax: this.waitMsMax,
      backlogBytes: () => this.#peers.backlogBytes,
      nowMs: now,
    });
    const { statistics } = this;
    this.#settings = {
      tls: opened.tls,
      memoryBytesMax: options.memoryBytesMax,
      idleMsMax: options.idleMsMax,
      parseMemoryBytes: (text) => parseMemoryBytes(text, "maxmemory"),
      get slowMicros() {
        return statistics.slowMicros;
      },
      set slowMicros(micros) {
        statistics.slowMicros = micros;
      },
    };
    this.#listener = opened.listener;
    const { tls } = opened;
    this.#tls = tls;
    const { records } = opened.recovered;
    const { journal } = opened.journal.identity;
    const isAlone = options.join === undefined && options.discover === undefined;
    const addresses = options.peers ??
      (isAlone ? [options.advertise ?? this.#ownAddress] : []);
    const given = addresses.map(formatAddress);
    const list = options.forcesNewCluster
      ? { view: 0, names: given }
      : startList(records, { given, mayRename: isAlone || options.peers !== undefined, journal });
    this.#listView = list.view;
    this.#isForcing = options.forcesNewCluster;
    this.#peers = new Peers({
      addresses,
      hostname: options.hostname,
      config: sharedConfig(options),
      secret: options.clusterSecret === undefined
        ? undefined
        : new ClusterSecret(options.clusterSecret),
      identity: () => this.#journal.identity,
      clusterPosition: () => this.#clusterPosition,
      logger: options.logger,
      ...tls === undefined ? {} : { tlsKeys: () => tls.keys },
      allowsPlainPeers: options.allowsPlainPeers,
      onOutOfFiles: () => this.#listener.makeRoom(),
      report: () => reportOf(this.#driver?.replica, this.#statistics),
      pubsub: this.#pubsub,
      onFatal: (error) => this.onFatal(error),
      onOtherIds: (list) => this.#takeList(list),
      onNotListed: (list) => this.#leaveOnceKnown(list),
    });
    this.#peers.setNames(list.names);
    this.#http?.allow(hostsOf(this.#peers.list));
    this.#eventLog = new EventLog({
      logger: options.logger,
      place: this.#journal.place,
      peers: this.#peers,
      isStopping: () => this.#isDraining,
    });
    this.#outcomes = new Outcomes(this);
    this.#access = new Access({
      configured: options.users,
      sessions: () => this.#listener.sessions(),
      later: (action) => {
        if (this.#driver === undefined) queueMicrotask(action);
        else this.#driver.afterTurn(action);
      },
      nowMs: now,
      warn: (message) => options.logger.warn(message),
    });
    // Clients come before the records are replayed, which takes until the node knows its name.
    this.#access.onStored(lastValueOf(USERS_KEY, opened.recovered), { isJoining: true });
    this.facts = {
      keyBytesMax: options.keyBytesMax,
      valueBytesMax: options.valueBytesMax,
      settings: this.#settings,
      access: this.#access,
      slowLog: statistics.slowLog,
      latency: statistics.latency,
      resetStatistics: () => {
        statistics.reset();
        this.#statistics.reset();
      },
      monitor: (session) => statistics.monitor(session),
      info: (sections) => fromText(infoText(this.#sources, sections)),
      status: () => fromText(JSON.stringify(clusterStatus(this.#sources))),
      members: this.#members,
      isEphemeral: this.#isEphemeral,
      standStill: options.allowsDebug ? standStill : undefined,
      otherMembers: () => {
        const { membership } = this.#driver?.replica ?? {};
        return membership?.isMember === true ? members(membership.members).length - 1 : 0;
      },
      memory: () => this.#memory,
      wallMs: Date.now,
      nowMs: now,
      isOutOfMemory: (beyond) => this.#isOutOfMemory(beyond),
      beginExport: () => this.#exports.begin(),
      nextOfExport: (id) => this.#exports.next(id),
      keys: (pattern) => this.#exports.keys(pattern),
      scanProcess: () => this.#peers.self * SCAN_TAGS + this.#scanTag,
      random: Math.random,
      pubsub: this.#pubsub,
      tracking: this.#tracking,
      sessionOf: (id) => this.#listener.sessionOf(id),
      sessions: () => this.#listener.sessions(),
      pauseClients: (what, ms) => this.#pauseClients(what, ms),
      unpauseClients: () => this.#unpauseClients(),
      keyEvents: () => this.#keyNotifications.letters,
      isKeyEvents: (letters) => this.#keyNotifications.isKnown(letters),
      setKeyEvents: (letters) => this.#setKeyEvents(letters),
      whyLoading: () => {
        const { replica } = this.#driver ?? {};
        return replica === undefined ? this.notReady.reason : replica.whyLoading;
      },
      outcome: (transaction) => this.#outcomes.answer(transaction),
    };
  }

  /** The port that the node listens at. */
  get port(): number {
    return this.#listener.port;
  }

  /**
   * Runs the node until it is stopped.
   *
   * @throws {FatalError} if it cannot continue.
   */
  async run(): Promise<void> {
    this.#listener.serve(this);
    this.#http?.serve(this);
    const begun = this.#begin();
    begun.catch((error) => this.#ended.reject(error));
    try {
      await this.#ended.promise;
    } finally {
      await this.#shutDown();
    }
  }

  /**
   * Makes {@linkcode run} return. Before that the node accepts nothing more, and what is under way is
   * answered. Then it tells the others, so that they continue without this node at once, and need not
   * detect that it is gone. All of that takes 3.5 s at the most, and then the journal is closed.
   */
  stop(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#stopping.abort();
    this.#listener.stopAccepting();
    this.#driver?.refuseAll(STOPPING);
    const since = now();
    const check = setInterval(() => {
      const isDone = (this.#driver?.replica.requests ?? 0) === 0;
      if (!isDone && now() - since < DRAIN_MS) return;
      clearInterval(check);
      this.#leaveAndEnd(() => this.#ended.resolve());
    }, DRAIN_CHECK_MS);
  }

  /** Tells the others, and then calls `end`, which makes {@linkcode run} return. */
  #leaveAndEnd(end: () => void): void {
    const { members: set, isMember } = this.#driver?.replica.membership ??
      { members: 0, isMember: false };
    if (this.#isStopping || !isMember || members(set).length === 1) {
      end();
      return;
    }
    this.#isStopping = true;
    this.#onLeft = end;
    this.#driver?.leave();
    setTimeout(end, LEAVE_MS);
  }

  async #begin(): Promise<void> {
    const peers = this.#peers;
    const { forcesNewCluster } = this.#options;
    if (!await this.#discoverList()) return;
    const name = await this.#findOwnName();
    if (name === undefined) {
      await this.#beginToWait(undefined);
    } else {
      peers.setSelf(name);
      this.#expectOwnJournal(name);
      if (forcesNewCluster) {
        this.#recovered = await startNewCluster({
          peers,
          journal: this.#journal,
          recovered: this.#recovered,
          timing: this.#timing,
          logger: this.#options.logger,
        });
        const { journal } = this.#journal.identity;
        const { records } = this.#recovered;
        this.#setList(startList(records, { given: peers.list, mayRename: false, journal }));
      } else if (this.#listView > 0) {
        this.#keepName(name);
        await this.#catchUp();
      }
    }
    if (this.#isDraining) return;
    const driver = this.#startReplica();
    if (!this.#isEphemeral) {
      this.#placeChecks = setInterval(oneAtATime(() => this.#checkPlace()), PLACE_CHECK_MS);
    }
    this.#options.logger.info(
      `listening on port ${this.port}, peers reach this node as ${peers.ownName}`,
    );
    this.#options.logger.info(this.#whereStored);
    if (this.#options.allowsPlainPeers) {
      this.#options.logger.warn(
        "NODES ARE LET IN WITHOUT PROOF (--plain-peers): start this one without the flag as soon as all " +
          "others have the cluster secret, and the certificates, too; see docs/security.md",
      );
    } else if (this.#isOpenToPeers) {
      this.#options.logger.warn(
        "THERE IS NO CLUSTER SECRET: whoever reaches this port may be able to pose as a node; give all " +
          'nodes the same "cluster-secret" with --config -, see docs/security.md',
      );
    }
    peers.start(driver);
    if (this.#options.advertise !== undefined) peers.checkOwnName();
  }

  /** A cluster of one may have another name than before: then its view says so, too. */
  #keepName(name: string): void {
    this.#recovered = { ...this.#recovered, records: renamed(this.#recovered.records, name) };
  }

  #setList({ view, names }: ClusterList): void {
    this.#listView = view;
    this.#isForcing = false;
    this.#peers.setNames(names);
    this.#http?.allow(hostsOf(names));
  }

  // --- The list of nodes -----------------------------------------------------------------------

  /**
   * Finds the nodes of the first start, if there is no view yet and they have to be found. Returns false
   * if the node stops before.
   */
  async #discoverList(): Promise<boolean> {
    const { discover: sought, advertise, logger } = this.#options;
    if (sought === undefined || this.#listView > 0) return true;
    const { signal } = this.#stopping;
    const complaints = new Seldom(NOT_LISTED_MS);
    const onWaiting = (found: readonly string[], reasons: readonly string[]) =>
      complaints.say(() => {
        const those = found.length === 0 ? "none" : found.join(", ");
        const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
        logger.warn(
          `waits for the ${sought.count} nodes of the first start: the names of --peers stand for ` +
            `${those} now${why}. If the cluster runs already, start this node with --join`,
        );
      });
    let names: readonly string[];
    try {
      names = await discover({ ...sought, resolver: LOOKUPS, onWaiting, signal });
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
    logger.info(`the nodes of the first start are ${names.join(", ")}`);
    const own = advertise === undefined ? undefined : formatAddress(advertise);
    if (own !== undefined && !names.includes(own)) {
      throw new FatalError(
        `--advertise ${own} is none of the nodes that the names of --peers stand for: ` +
          names.join(", "),
      );
    }
    this.#setList({ view: 0, names });
    return true;
  }

  /** Returns this node's name in the list; `undefined` if the list does not have it. */
  async #findOwnName(): Promise<string | undefined> {
    const { advertise, peers: given, join, logger } = this.#options;
    const { records } = this.#recovered;
    const peers = this.#peers;
    const view = this.#listView;
    const { journal } = this.#journal.identity;
    if (view > 0 && given !== undefined) {
      const difference = howListDiffers(records, { given: given.map(formatAddress), journal });
      if (difference !== undefined) logger.warn(difference);
    }
    if (peers.list.length === 0) return undefined;
    const owner = ownerOf(records, journal);
    if (advertise !== undefined) {
      const name = formatAddress(advertise);
      if (peers.list.includes(name)) return name;
      const ownerName = owner === undefined ? undefined : peers.names[owner];
      if (ownerName === undefined || ownerName === "") return undefined;
      throw new FatalError(
        `the journal in ${this.#journal.place} is that of ${ownerName}, and --advertise is ${name}: ` +
          `advertise ${ownerName}, or start with an empty journal`,
      );
    }
    const isAlone = peers.list.length === 1 && (view === 0 || owner !== undefined);
    if (given === undefined && join === undefined && isAlone) return peers.list[0];
    try {
      return await peers.findSelf();
    } catch (error) {
      // A node that was removed has a view without itself, and is at none of its names.
      if (view > 0 && owner === undefined && error instanceof UnfoundError) return undefined;
      throw error;
    }
  }

  /**
   * Waits until the list of the cluster has this node. Then the node has no records but that list: what a
   * node that was removed has stored counts for nothing.
   *
   * @param list the list that does not have it, if that is known
   */
  async #beginToWait(list: ClusterList | undefined): Promise<void> {
    const { logger } = this.#options;
    if (list?.names.includes(this.#peers.ownName) === true) logger.warn(describeBack(list));
    else if (list !== undefined || this.#listView > 0) this.#sayNotListed(list);
    // An older list is that of a node that is behind.
    const found = await this.#waitForList(list?.view ?? this.#listView);
    if (found === undefined) return;
    this.#notListed = undefined;
    logger.info(`is in the list of view ${found.list.view} as ${found.ownName}`);
    // A replica that has run in no view may have promised things that only its journal knows.
    const isFresh = !this.#hasRun && this.#listView === 0 &&
      lastView(this.#recovered.records) === undefined;
    if (isFresh) this.#setList(found.list);
    else await this.#beginFromEmpty(found.list);
    this.#peers.setSelf(found.ownName);
  }

  /**
   * A node that has slept through changes may know no node that is still there. Then those of `--join` tell
   * it whom to have links to, and these send it the view.
   */
  async #catchUp(): Promise<void> {
    const { join = [] } = this.#options;
    const peers = this.#peers;
    const replies = await Promise.all(join.map((address) => peers.find(address)));
    let latest: ClusterList = { view: this.#listView, names: peers.names };
    for (const reply of replies) {
      if (reply === undefined || reply.instance === peers.instance) continue;
      const { listView, names } = reply.clusterPosition;
      if (listView > latest.view) latest = { view: listView, names };
    }
    const { view, names } = latest;
    if (view === this.#listView) return;
    if (this.#isListedIn(names)) this.#setList(latest);
    else if (await this.#isKnown(latest)) await this.#beginToWait(latest);
    else this.#leaveOnceKnown(latest);
  }

  /**
   * Tells whether a list has this node under its present id. If it has only its name, the node was removed
   * and then added again: for the cluster it is another one.
   */
  #isListedIn(names: readonly string[]): boolean {
    return names[this.#peers.self] === this.#peers.ownName;
  }

  /** Has this node begin with a new journal, and with the nodes of `list`. */
  async #beginFromEmpty(list: ClusterList): Promise<void> {
    await this.#journal.renew();
    this.#viewBefore = undefined;
    const store = new Store(now());
    trackChangesFor(this.#journal, store);
    this.#recovered = { store, records: [] };
    this.#setList(list);
  }

  /** Returns the list that has this node; `undefined` if the node stops before. */
  async #waitForList(since: number): Promise<FoundList | undefined> {
    const { join = [], peers: given = [] } = this.#options;
    const { signal } = this.#stopping;
    try {
      return await findList({
        seeds: [...join, ...given, ...this.#peers.addresses],
        ownName: this.#nameIfKnown,
        since,
        ask: (address) => this.#peers.find(address),
        instance: this.#peers.instance,
        onWaiting: (list) => this.#sayNotListed(list),
        signal,
      });
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }

  /** The name of this node; `undefined` if it has not found it, and was not told. */
  get #nameIfKnown(): string | undefined {
    const { advertise } = this.#options;
    return this.#peers.knownName ??
      (advertise === undefined ? undefined : formatAddress(advertise));
  }

  /** Says, now and then, that this node is not in the list, and what is to be done. */
  #sayNotListed(list: ClusterList | undefined): void {
    const { join, logger } = this.#options;
    const own = this.#nameIfKnown;
    const known = list ??
      (this.#listView > 0 ? { view: this.#listView, names: this.#peers.names } : undefined);
    if (known === undefined) {
      const nodes = (join ?? []).map(formatAddress).join(", ");
      this.#notListed = `this node waits for the list of nodes: none of ${nodes} has told it yet`;
    } else {
      this.#notListed = describeNotListed(
        known,
        own === undefined ? "this node" : `this node, ${own},`,
      );
    }
    const complaints = known === undefined ? this.#noListComplaints : this.#notListedComplaints;
    complaints.say(() => {
      const server = known?.names.find((name) => name !== "") ?? "";
      const name = own ?? `NAME:${this.port}`;
      const advice = known === undefined
        ? "it asks again and again"
        : "it serves nothing, and waits. To let it in, run: dks client -s " +
          `${server} member add ${name}, or member replace OLD ${name}`;
      logger.warn(`${this.#notListed}: ${advice}`);
    });
  }

  /**
   * A later view does not list this node, which goes on until half of that list has the view. Until then
   * the others may need this node, to hear of the view or to have it chosen once more.
   */
  #leaveOnceKnown(list: ClusterList): void {
    if (this.#lackedBy >= list.view || this.#notListed !== undefined) return;
    this.#lackedBy = list.view;
    this.#leaveWhenKnown(list).catch((error) => {
      if (!this.#stopping.signal.aborted) this.#ended.reject(error);
    });
  }

  async #leaveWhenKnown(list: ClusterList): Promise<void> {
    const { signal } = this.#stopping;
    // Once this node has left, by this list or a later one, it may come back, in no view at first.
    const isBefore = () =>
      this.#lackedBy === list.view &&
      (this.#driver?.replica.membership.view.number ?? 0) < list.view;
    // After that, the view that it has says whether it is listed.
    while (isBefore()) {
      if (this.#driver !== undefined && await this.#isKnown(list)) {
        if (isBefore()) this.#leaveCluster(list);
        return;
      }
      await delay(REMOVAL_KNOWN_MS, { signal });
    }
  }

  /**
   * Tells whether half of the nodes of `list` have its view, or a later one: if the others are a majority, one
   * of them can still hear of it. A node with this one's name is another one, and begins when this one ends.
   */
  async #isKnown({ view, names }: ClusterList): Promise<boolean> {
    const others = names.filter((name) => name !== "" && name !== this.#peers.ownName);
    const replies = await Promise.all(
      others.map((name) =>
        this.#peers.find(parseAddress(name, { defaultPort: 0, name: "the list of nodes" }))
      ),
    );
    const knowing = replies.filter((reply) => (reply?.clusterPosition.view ?? 0) >= view);
    return knowing.length * 2 >= others.length;
  }

  /** The list of a later view than this node's does not have this node: it is no part of the cluster. */
  #leaveCluster(list: ClusterList): void {
    if (this.#driver === undefined || this.#notListed !== undefined || this.#isDraining) return;
    this.#lackedBy = 0;
    // The nodes that begin a cluster have their first list from --peers. A view that does not list this
    // node has another list.
    const { number, names } = this.#driver.replica.membership.view;
    this.#listView = Math.max(this.#listView, this.#isListedIn(names) ? number : 1);
    const isMember = this.#listView > 0;
    const isBack = list.names.includes(this.#peers.ownName);
    this.#notListed = isBack ? describeBack(list) : describeNotListed(list, "this node");
    if (isMember && !isBack) {
      this.#options.logger.error(
        `THIS NODE WAS REMOVED from the cluster: ${this.#notListed}. It serves nothing from now on`,
      );
    }
    const refusal: Refusal = { obstacle: "down", reason: this.#notListed };
    this.#leaveAndWait(list, refusal).catch((error) => this.#ended.reject(error));
  }

  async #leaveAndWait(list: ClusterList, refusal: Refusal): Promise<void> {
    this.#stopReplica(refusal);
    this.#peers.pause();
    this.#isStartingOver = true;
    await this.#beginToWait(list);
    this.#isStartingOver = false;
    if (!this.#isDraining) this.#peers.resume(this.#startReplica());
  }

  /** Runs a replica on the recovered state. */
  #startReplica(): Driver {
    this.#hasRun = true;
    const replica = new Replica({
      self: this.#peers.self,
      names: this.#peers.names,
      identity: { ...this.#journal.identity, process: this.#peers.instance },
      timing: this.#timing,
      random: Math.random,
      now: clocks(),
      ...this.#recovered,
    });
    const driver = new Driver({
      replica,
      journal: this.#journal,
      transport: this.#peers,
      onEvent: (event) => this.#onEvent(event),
      onChanges: (changes) => this.#onChanges(changes),
      // Nobody was told of a change of what they had not been given yet.
      onLateAnswers: () => this.#tracking.forgetAll(),
      takeActivity: () => this.turns.takeActivity(),
      onTick: (lateMs, nowMs) => {
        this.turns.onTimer();
        // On the driver's timer: one of its own would wake an idle node ten times a second more.
        if (nowMs - sweptAt >= EXPIRY_SWEEP_MS) {
          sweptAt = nowMs;
          sweepExpiries();
        }
        this.#turnTimes.recordLateness(lateMs, nowMs);
        this.statistics.latency.note("event-loop", lateMs, Date.now());
        this.#checkLease(driver.replica);
        if (this.#areUsersInDoubt) this.#takeUsers(driver.replica);
        // What is stored holds no more, or much comes: make room before more comes.
        const { store, chunksReceived } = driver.replica;
        if (store.isCleared || chunksReceived !== undefined) this.#checkpointIfDue();
      },
    });
    let sweptAt = now();
    const sweepExpiries = this.#expirySweeperOf(driver);
    this.#driver = driver;
    this.#viewBefore = undefined;
    this.#takeUsers(replica);
    this.#wantChanges();
    driver.start();
    if (this.#shortage !== undefined) driver.onRoom(true);
    this.#sweeps = setInterval(this.#sweeperOf(driver), SWEEP_MS);
    this.#scanTag = Math.floor(Math.random() * SCAN_TAGS);
    this.#checkpoints = setInterval(() => this.#checkpointIfDue(), CHECKPOINT_CHECK_MS);
    return driver;
  }

  /**
   * The cluster that this node joins has other nodes than the list that this node has, or has them by
   * other ids: this node starts over with those. It is in no view yet, so nothing is lost.
   */
  #takeList(list: ClusterList): void {
    if (this.#driver === undefined) return;
    const { logger } = this.#options;
    const given = this.#peers.list;
    const theirs = list.names.filter((name) => name !== "");
    if (isSameList(given, theirs)) {
      logger.info("adopts the ids by which the cluster knows its nodes");
    } else {
      logger.warn(
        `the list of the cluster is ${
          describeList(theirs)
        } (view ${list.view}), and counts; this ` +
          `node had ${describeList(given)}`,
      );
    }
    this.#beginToStartOver(list);
  }

  #beginToStartOver(list: ClusterList): void {
    if (this.#isStartingOver) return;
    this.#startOver(list).catch((error) => this.#ended.reject(error));
  }

  /** Continues with a new journal, as a stranger that joins, and with the nodes of `list`. */
  async #startOver(list: ClusterList): Promise<void> {
    this.#isStartingOver = true;
    this.#stopReplica({ obstacle: "loading", reason: STARTING_OVER });
    this.#peers.pause();
    await this.#beginFromEmpty(list);
    this.#peers.resume(this.#startReplica());
    this.#isStartingOver = false;
  }

  /** The users of before this node dropped all keys to join; `undefined` if they are among its keys. */
  get #keptUsers(): KeyRecord | undefined {
    const { storedUsers } = this.#access;
    const isAmongKeys = this.#driver?.replica.store.get(USERS_KEY)?.value !== undefined;
    if (storedUsers === undefined || isAmongKeys) return undefined;
    return { key: USERS_KEY, value: storedUsers, version: 0 };
  }

  /** Has the users that the replica holds be in force, now and when they change. */
  #takeUsers({ store, membership }: Replica): void {
    const { value, lock } = store.get(USERS_KEY) ?? {};
    // What is in doubt stays in force, as it was before the records were replayed, until it is decided.
    this.#areUsersInDoubt = lock !== undefined;
    if (!this.#areUsersInDoubt) {
      // Whoever has come before came by what was known then. A member without users has none.
      const known = membership.isMember ? value ?? "" : value;
      this.#access.onStored(known, { isJoining: true });
    }
    store.onReservedWrite = (key, value) => {
      if (key === USERS_KEY) this.#access.onStored(value, { isJoining: !membership.isMember });
    };
  }

  #setKeyEvents(letters: string): boolean {
    const isKnown = this.#keyNotifications.choose(letters);
    this.#wantChanges();
    return isKnown;
  }

  /** As in Redis, a second pause only adds to the first. */
  #pauseClients(what: Exclude<Pause, "none">, ms: number): void {
    this.#pause = this.#pause === "all" ? "all" : what;
    const until = Math.max(now() + ms, this.#pausedUntil);
    this.#pausedUntil = until;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => this.#unpauseClients(), until - now());
  }

  #unpauseClients(): void {
    clearTimeout(this.#pauseTimer);
    this.#pause = "none";
    this.#pausedUntil = 0;
    this.#listener.resume();
  }

  get idleMsMax(): number {
    return this.#settings.idleMsMax;
  }

  get pause(): Pause {
    return this.#pause;
  }

  /** Makes the replica report changes, if anything uses them. */
  #wantChanges(): void {
    this.#driver?.replica.tellChanges(this.#keyNotifications.isOn || this.#tracking.isOn);
  }

  /** A node that may not read learns of no changes: its clients must not rely on what they keep. */
  #checkLease({ membership }: Replica): void {
    if (!this.#tracking.isOn && !this.#couldRead) return;
    const canRead = membership.mayRead(clocks());
    if (this.#couldRead && !canRead) this.#tracking.forgetAll();
    this.#couldRead = canRead;
  }

  #onChanges(changes: readonly Change[]): void {
    for (const { effects } of changes) this.#keyNotifications.onEffects(effects);
    if (!this.#tracking.isOn) return;
    this.#tracking.onChanges(
      changes.map(({ effects, requester }) => ({ effects, writer: sessionOf(requester) })),
    );
  }

  /** There is no replica from now on: whatever was asked of it is answered with `refusal`. */
  #stopReplica(refusal: Refusal): void {
    clearInterval(this.#checkpoints);
    clearInterval(this.#sweeps);
    const driver = this.#driver;
    this.#driver = undefined;
    this.#viewBefore = driver?.replica.membership.view ?? this.#viewBefore;
    this.#tracking.forgetAll();
    driver?.stop(refusal);
  }

  /** @throws {FatalError} if the journal is that of another node of the list. */
  #expectOwnJournal(name: string): void {
    const { identity: { journal }, place } = this.#journal;
    const refusal = whyNotThisJournal(this.#recovered.records, {
      journal,
      place,
      name,
    });
    if (refusal !== undefined) throw new FatalError(refusal);
  }

  get #timing(): Timing {
    const { timeoutMs, leaseMs, suspicionMs, heartbeatMs, slowForceMs, excludesSlow } =
      this.#options;
    const { driftMax } = VIEW_TIMING;
    const views = { leaseMs, suspicionMs, heartbeatMs, driftMax };
    return timingFor(timeoutMs, { ...views, slowForceMs, excludesSlow });
  }

  /** This node's cluster and view: by its journal, until it runs; then those that it had last. */
  get #clusterPosition(): ClusterPosition {
    const running = this.#driver?.replica.membership.view;
    const view = running ?? this.#viewBefore ?? lastView(this.#recovered.records);
    const number = view?.number ?? 0;
    // The list of a cluster that may never be is not that of the old one: a node would go by it.
    if (this.#isForcing) {
      return { view: number, cluster: view?.cluster ?? { id: "" }, names: [], listView: 0 };
    }
    const { names } = this.#peers;
    // A node that was removed has the view that lacks it, and the list of before.
    const isOut = running === undefined && this.#viewBefore !== undefined;
    const listView = isOut ? this.#listView : Math.max(number, this.#listView);
    return { view: number, cluster: view?.cluster ?? { id: "" }, names, listView };
  }

  /**
   * Returns the periodic work: it drops idle exports, and starts deleting old tokens if this is the
   * first linked member.
   */
  #sweeperOf(driver: Driver): () => void {
    const { replica } = driver;
    const sweeper = new TokenSweeper({
      store: replica.store,
      nowMs: now,
      isMyTurn: () => isSweeper(replica.membership, this.#peers.self),
      submit: (request, client) => driver.submit(request, client),
    });
    return () => {
      sweeper.sweep();
      this.#exports.dropIdle();
      this.#peakBytes = Math.max(this.#peakBytes, this.#usedMemory);
    };
  }

  #isOutOfMemory(beyond = 0): boolean {
    const { memoryBytesMax } = this.#settings;
    return memoryBytesMax > 0 && this.#usedMemory > memoryBytesMax * (1 + beyond);
  }

  get #memory(): MemoryFigures {
    const store = this.#driver?.replica.store;
    const { heapUsed, rss } = Deno.memoryUsage();
    const usedBytes = this.#usedMemory;
    this.#peakBytes = Math.max(this.#peakBytes, usedBytes);
    return {
      usedBytes,
      peakBytes: this.#peakBytes,
      boundBytes: this.#settings.memoryBytesMax,
      keys: store?.size ?? 0,
      valueBytes: store?.bytes ?? 0,
      heapBytes: heapUsed,
      residentBytes: rss,
    };
  }

  get #usedMemory(): number {
    const store = this.#driver?.replica.store;
    return store === undefined ? 0 : usedMemory(store);
  }

  /** About how much the keys and values take that the journal holds, or is to hold. */
  get #dataBytes(): number {
    const { store } = this.#driver?.replica ?? this.#recovered;
    // A node that joins has a part of them: the others say how many there are.
    const keys = Math.max(...Array.from(this.#peers.links, (link) => link?.report?.keys ?? 0));
    return store.bytes * Math.max(1, keys / Math.max(1, store.size));
  }

  /** Returns what begins to delete expired keys, if this is the node that does so. */
  #expirySweeperOf(driver: Driver): () => void {
    const { replica: { membership, store } } = driver;
    const sweeper = new ExpirySweeper({
      store,
      nowMs: () => membership.time.nowMs(clocks()),
      isMyTurn: () => {
        const both = clocks();
        const { time } = membership;
        const { self } = this.#peers;
        return isSweeper(
          membership,
          self,
          (node) => node === self ? time.mayExpire(both) : !time.isPeerOff(node, both),
        );
      },
      submit: (request, client) => driver.submit(request, client),
      later: (action) => setTimeout(action),
    });
    return () => sweeper.sweep();
  }

  get #isEphemeral(): boolean {
    return this.#options.storage.kind === "ephemeral";
  }

  /** Nothing tells the other nodes from somebody else who can reach this one. */
  get #isOpenToPeers(): boolean {
    const { peers, join, hostname, clusterSecret, allowsPlainPeers, tls } = this.#options;
    const hasPeers = peers !== undefined || join !== undefined || this.#peers.list.length > 1;
    const isPlain = clusterSecret === undefined && tls === undefined;
    return hasPeers && (isPlain || allowsPlainPeers) && !isLoopback(hostname);
  }

  get #whereStored(): string {
    if (this.#isEphemeral) return "ephemeral: nothing is stored, a restart forgets everything";
    const { identity, place } = this.#journal;
    const keys = this.#recovered.store.size;
    return `journal in ${place}: ${keys} keys, start number ${identity.incarnation}`;
  }

  async #checkpointIfDue(): Promise<void> {
    const replica = this.#driver?.replica;
    const isJoining = replica?.chunksReceived !== undefined;
    const tailBytesMax = isJoining ? TAIL_BYTES_MAX_JOINING : TAIL_BYTES_MAX;
    const isDue = replica?.store.isCleared === true || this.#journal.tailBytes >= tailBytesMax;
    if (this.#isCheckpointing || !isDue) return;
    this.#isCheckpointing = true;
    const { logger } = this.#options;
    const beganAt = now();
    try {
      await this.#driver?.checkpoint();
      logger.debug(`made a checkpoint of the journal in ${Math.round(now() - beganAt)} ms`);
    } catch (error) {
      // The journal has already reported it to `onFatal`.
      logger.debug(`a checkpoint failed: ${messageOf(error)}`);
    }
    this.#isCheckpointing = false;
  }

  #onEvent(event: ProtocolEvent): void {
    this.#eventLog.log(event);
    this.#viewHistory.onEvent(event, Date.now());
    switch (event.type) {
      case "viewInstalled":
        this.#tracking.forgetAll();
        this.#viewSince = Date.now();
        if (this.#isStopping && !contains(event.view.members, this.#peers.self)) {
          // The same turn answered clients: write to them before the process ends.
          this.#driver?.afterTurn(() => setTimeout(() => this.#onLeft?.(), 10));
        }
        return;
      case "foreignPeer":
        // After the turn: messages to it in this turn still leave.
        this.#driver?.afterTurn(() => this.#peers.dropForeign(event.peer));
        return;
      case "startOver":
        // After the turn: requests that wait get their answers.
        this.#driver?.afterTurn(() => {
          this.#beginToStartOver({ view: this.#listView, names: this.#peers.names });
        });
        return;
      case "isRemoved":
        this.#leaveOnceKnown({ view: event.view.number, names: event.view.names });
        return;
      case "listChanged":
        // After the turn: messages to nodes that are not in it any more still leave.
        this.#driver?.afterTurn(() => this.#onListChanged(event));
        return;
    }
  }

  #onListChanged({ view, before }: { readonly view: View; readonly before: View }): void {
    const { number, names } = view;
    if (!this.#isListedIn(names)) {
      this.#leaveCluster({ view: number, names });
      return;
    }
    this.#listView = number;
    this.#peers.changeNames(names, renamedIds(view, before));
    this.#http?.allow(hostsOf(names));
  }

  /** What DKS.MEMBER asks of this node. */
  get #members(): MembersHost {
    const port = this.#listener.port;
    const peers = this.#peers;
    return {
      port,
      get list() {
        return peers.list;
      },
      describe: () => fromText(JSON.stringify(memberList(this.#sources))),
      change: (change, by) => this.#changeMembers(change, by),
    };
  }

  #changeMembers(change: MemberChange, by: string): Promise<ChangeOutcome> {
    const refuse = (reason: string) => Promise.resolve({ kind: "refused", reason } as const);
    if (this.#isDraining) return refuse(STOPPING.reason);
    const driver = this.#driver;
    if (driver === undefined) return refuse(this.notReady.reason);
    this.#options.logger.info(`${by} asks to ${describeAsked(change)}`);
    return new Promise((resolve) => {
      driver.changeMembers({ change, by, requester: { onChangeOutcome: resolve } });
    });
  }

  /** The journal has no room on its disk, and needs what `room` says; or it has room again. */
  #onRoom(room: string | undefined): void {
    const { place } = this.#journal;
    this.#shortage = room === undefined
      ? undefined
      : `THE DISK IS FULL: nothing can be written to the journal in ${place}. This node takes no writes, ` +
        "and is in no view if enough others are, until there is room; nothing that was acknowledged is " +
        `lost: make room, ${room}`;
    if (this.#shortage === undefined) this.#options.logger.info("the disk has room again");
    else this.#options.logger.error(this.#shortage);
    this.#driver?.onRoom(this.#shortage !== undefined);
  }

  /** A journal whose files were deleted keeps nothing over a restart, and says nothing of it. */
  async #checkPlace(): Promise<void> {
    if (this.#shortage !== undefined) return; // What is opened may need room.
    try {
      if (await this.#journal.isInPlace() || this.#journalTrouble !== undefined) return;
    } catch (error) {
      if (error instanceof FatalError) return; // The journal has already reported it to `onFatal`.
      this.#placeComplaints.say(() =>
        this.#options.logger.warn(
          `cannot look for the journal at ${this.#journal.place}: ${messageOf(error)}`,
        )
      );
      return;
    }
    const gone =
      `THE JOURNAL IS GONE from ${this.#journal.place}: its files were deleted or replaced`;
    // A learner may not hold anything yet.
    if ((this.#driver?.replica.membership.quorum.size ?? this.#peers.list.length) > 1) {
      // A start makes a new journal, and gets from the others what this one held.
      this.#leaveAndEnd(() => this.#ended.reject(new FatalError(gone)));
      return;
    }
    // Its memory may be the last copy.
    this.#journalTrouble =
      `${gone}; this node takes no more writes, and a restart forgets everything`;
    this.#options.logger.error(`${this.#journalTrouble}: export its keys now`);
    this.#driver?.refuseWrites({ obstacle: "down", reason: GONE });
  }

  async #shutDown(): Promise<void> {
    clearInterval(this.#placeChecks);
    this.#stopReplica(STOPPING);
    this.#peers.stop();
    clearTimeout(this.#pauseTimer);
    this.#http?.close();
    await this.#listener.finish(LAST_ANSWERS_MS);
    this.#listener.close();
    this.admission.close();
    await this.#journal.close();
  }

  get #ownAddress(): Address {
    return { hostname: "localhost", port: this.#listener.port };
  }

  get #sources(): InfoSources {
    return {
      port: this.port,
      replica: this.#driver?.replica,
      peers: this.#peers,
      statistics: this.#statistics,
      connections: this.#listener.connections,
      commands: this.statistics,
      runId: this.#runId,
      memory: this.#memory,
      turnTimes: this.#turnTimes,
      pubsub: this.#pubsub,
      tracking: this.#tracking,
      denied: this.#access.denied,
      admission: this.admission,
      viewSince: this.#viewSince,
      isOpenToPeers: this.#isOpenToPeers,
      notListed: this.#notListed,
      journal: {
        place: this.#journal.place,
        isEphemeral: this.#isEphemeral,
        trouble: this.#journalTrouble ?? this.#shortage,
      },
    };
  }

  // --- What parts of the node ask of it --------------------------------------------------------

  get whyNotReady(): string | undefined {
    if (this.#isDraining) return STOPPING.reason;
    const replica = this.#driver?.replica;
    return replica === undefined ? this.notReady.reason : replica.whyNotReady(clocks());
  }

  metrics(): string {
    return nodeMetrics({
      ...this.#sources,
      forces: this.#forces,
      whyNotReady: this.whyNotReady,
      http: { connections: this.#http?.connections ?? 0, pages: this.#http?.pages ?? 0 },
    });
  }

  get paceCounts(): PaceCounts {
    const { counters, writeTimes } = this.#driver?.replica ?? {};
    return {
      requests: this.#statistics.requests,
      commits: counters?.commits ?? 0,
      failures: counters === undefined
        ? 0
        : counters.rejected + counters.aborted + counters.indeterminate,
      writeMs: writeTimes?.whole,
    };
  }

  liveState(): Omit<LiveState, "sample"> {
    const { usedBytes, boundBytes } = this.#memory;
    return {
      at: Date.now(),
      status: clusterStatus(this.#sources),
      whyNotReady: this.whyNotReady ?? null,
      views: this.#viewHistory.entries,
      connections: this.#listener.connections,
      usedBytes,
      boundBytes,
      longestTurnMs: this.#turnTimes.longestRecentMs,
    };
  }

  get driver(): Driver | undefined {
    return this.#driver;
  }

  get replica(): Replica | undefined {
    return this.#driver?.replica;
  }

  get peers(): Peers {
    return this.#peers;
  }

  get notReady(): Refusal {
    if (this.#notListed !== undefined) return { obstacle: "down", reason: this.#notListed };
    return { obstacle: "loading", reason: this.#isStartingOver ? STARTING_OVER : STARTING };
  }

  /** Ends the node: an invariant is broken, or it cannot continue. */
  onFatal(error: unknown): void {
    this.#ended.reject(error);
  }

  onConnectionFailure(error: unknown): void {
    this.#options.logger.error(
      `closed a client's connection for an internal error: ${messageOf(error)}`,
    );
  }

  onRequest(): void {
    this.#statistics.requests++;
  }

  readonly upgradeCommand = PEER_COMMAND;

  async onUpgrade(question: ByteString, asker: Asker): Promise<UpgradeAnswer> {
    if (this.#tls !== undefined && !asker.isEncrypted && !this.#options.allowsPlainPeers) {
      this.#tls.onPlainPeer(asker.address);
      return { reply: new ErrorReply("ERR", "the nodes of this cluster speak TLS") };
    }
    return await this.#peers.answer(question);
  }

  onAccepted({ isRefused }: { isRefused: boolean }): void {
    this.#statistics.connections++;
    if (isRefused) this.#statistics.connectionsRefused++;
  }

  onAcceptFailure(error: unknown): void {
    this.#acceptFailures.say((unsaid) => {
      const more = unsaid === 0 ? "" : `; so were ${unsaid} before it`;
      this.#options.logger.info(
        `a connection was lost before it was accepted: ${messageOf(error)}${more}`,
      );
    });
  }

  onShortage(error: unknown): void {
    this.#shortages.say(() => {
      this.#options.logger.error(`cannot accept a connection: ${messageOf(error)}`);
    });
  }

  onFewerClients({ connectionsMax, closed }: { connectionsMax: number; closed: number }): void {
    this.#fewerClients.say(() => {
      this.#options.logger.error(
        `this process may open no more files: ${closed} idle clients were hung up on, and from now ` +
          `on there is room for ${connectionsMax}; raise the limit of open files (ulimit -n, LimitNOFILE)`,
      );
    });
  }
}

/** Returns what this node reports to its peers about itself. */
function reportOf(replica: Replica | undefined, statistics: Statistics): NodeReport {
  return {
    keys: replica?.store.size ?? 0,
    requestsPerSecond: statistics.requestsPerSecond,
    hasLease: replica?.membership.mayRead(clocks()) ?? false,
    chunks: replica?.chunksReceived ?? null,
  };
}

/** Says that `list` does not have the node that the sentence calls `who`. */
function describeNotListed({ view, names }: ClusterList, who: string): string {
  return `${who} is not in the list of view ${view}, which is ${describeList(names)}`;
}

/** Says that `list` has the name of this node, but as that of another node than this one was. */
function describeBack({ view }: ClusterList): string {
  return `this node was removed from the cluster and is in the list of view ${view} again: it begins ` +
    "with a new journal, and joins from empty";
}

/** Returns the hosts of nodes by their names. */
function hostsOf(names: readonly string[]): string[] {
  return names.filter((name) => name !== "").map((name) =>
    parseAddress(name, { defaultPort: 0, name: "the list of nodes" }).hostname
  );
}

/** What clients and peers are told that connect before the node can answer. */
const RECOVERING = "LOADING REJECTED this node is starting: it is reading its journal";

/** @throws {FatalError} if the port is taken: the line says which process has it, if it answers. */
async function takePort(
  options: NodeOptions,
  tls: NodeTls | undefined,
): Promise<ClientListener> {
  try {
    return new ClientListener(options, RECOVERING, tls);
  } catch (error) {
    if (!(error instanceof PortInUseError)) throw error;
    throw new FatalError(`${error.message}${await describeHolder(options)}`);
  }
}

/** @throws {FatalError} if the port of `--http` cannot be had. */
function openHttp({ http, peers = [], logger }: NodeOptions): StatusServer | undefined {
  if (http === undefined) return undefined;
  const names = [...http.names, ...peers.map(({ hostname }) => hostname)];
  const server = new StatusServer({ ...http, names }, (error) => {
    logger.error(`could not answer a request at the port of --http: ${messageOf(error)}`);
  });
  const { hostname } = http.address;
  logger.info(`status page at http://${formatAddress({ hostname, port: server.port })}/`);
  return server;
}

async function openJournal(
  options: NodeOptions,
  host: Pick<KvJournalOptions, "onFatal" | "onForced" | "onRoom" | "dataBytes" | "kept">,
): Promise<Journal> {
  const { storage, port, logger } = options;
  if (storage.kind === "ephemeral") return new MemoryJournal();
  // Loaded on demand: it loads a part of the runtime that takes a while.
  const { openKvJournal } = await import("./storage/kv_journal.ts");
  if (storage.kind === "path") {
    const fileName = `dks-${port}.kv`;
    return await openKvJournal({ path: storage.path, fileName, logger, ...host });
  }
  return await openKvJournal({
    part: `port ${port}`,
    placeName: `${storage.place} (port ${port})`,
    logger,
    ...host,
  });
}

/** Has the whole process stand still. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
