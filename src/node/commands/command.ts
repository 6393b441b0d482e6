/**
 * What a command is: a row of data, and a pure function.
 *
 * The function turns words into a reply, or into a request for the protocol. It has side effects
 * only on its session, so it can be tested without a node. Everything else about a command is data,
 * in the terms of Redis 7 (redis.io, "Command key specifications", COMMAND DOCS): the gate, COMMAND
 * and the documents use it.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { EncodedPush } from "../../resp/encoder.ts";
import type { ErrorReply, RespValue, RespVersion } from "../../resp/value.ts";
import type { Request, WriteRequest } from "../../two_phase/request.ts";
import type { ChangeOutcome } from "../../two_phase/member_changes.ts";
import type { MemberChange } from "../../two_phase/messages.ts";

/** What KEYS looks for. */
export interface KeyPattern {
  matches(key: ByteString): boolean;
  /** How many steps were taken so far, of some nanoseconds each. */
  readonly steps: number;
}

/** What a connection knows about its client, and what a command may ask of the node. */
export interface Session extends Subscriber {
  readonly id: number;
  name: ByteString;
  version: RespVersion;
  /** Set by QUIT: the connection is closed after the reply. */
  isClosing: boolean;
  /** What the client does besides plain commands; most clients do nothing of that. */
  features: Features | undefined;
  /** What CLIENT SETINFO has said. */
  libraryName: ByteString;
  libraryVersion: ByteString;
  /** CLIENT NO-EVICT and NO-TOUCH. */
  isNoEvict: boolean;
  isNoTouch: boolean;
  /** The {@linkcode Command.index} of the command that has begun last; -1 before the first. */
  lastCommand: number;
  /** The name of the user that the client is; `default` for one that has not said who it is. */
  user: ByteString;
  /** The client has proven to be {@linkcode user}, or nobody has to. */
  isAuthenticated: boolean;
  /** What the client may not do; `undefined` for one that may do everything. */
  restriction: Restriction | undefined;
  readonly connection: ConnectionFacts;
  readonly node: CommandHost;
}

/** What is known of a connection besides what its commands have set. */
export interface ConnectionFacts {
  /** The client's end and this one: host and port. */
  readonly address: ByteString;
  readonly localAddress: ByteString;
  /** On the monotonic clock. */
  readonly connectedAtMs: number;
  /** When the client has sent something last, or was sent something. */
  readonly usedAtMs: number;
  /** The memory for what is received and has not begun. */
  readonly inputBytes: number;
  /** What is to be sent, and has not left. */
  readonly outputBytes: number;
  /** Closes it at once. */
  close(): void;
  /** Reads nothing more, and closes it when what was begun is answered. */
  end(): void;
}

/** What a client may not do. */
export interface Restriction {
  /** Returns why the client may not say that: an error with the code NOAUTH or NOPERM. */
  whyNot(command: Command, words: readonly ByteString[], session: Session): ErrorReply | undefined;
  /**
   * Returns why EXEC leaves out a command that could be queued, in words that Redis has for it: the
   * rules have changed since.
   */
  whyNoLonger(command: Command, words: readonly ByteString[]): string | undefined;
}

/** Who may do what. */
export interface AccessHost {
  /** The client is whoever clients are that have not said it. */
  begin(session: Session): void;
  /**
   * Makes the client a user whose password it knows. Returns why not, and then it stays who it was.
   *
   * @param by `name`: of the user; `undefined` for the default user; `command`: as the client wrote it
   */
  authenticate(
    session: Session,
    by: { name: ByteString | undefined; password: ByteString; command: ByteString },
  ): ErrorReply | undefined;
  /** Tells whether there is a user of this name. */
  has(name: ByteString): boolean;
  /** Returns all names, sorted. */
  names(): readonly ByteString[];
  /** Returns the rules of all users, a line each, sorted. */
  lines(): readonly ByteString[];
  /** Returns the rules of a user, part by part, as ACL GETUSER does; null for none. */
  describe(name: ByteString): RespValue;
  /** Adds a user, or changes one. */
  setUser(name: ByteString, rules: readonly ByteString[]): CommandResult;
  deleteUsers(names: readonly ByteString[]): CommandResult;
  /** Returns what ACL DRYRUN does. */
  dryRun(name: ByteString, words: readonly ByteString[]): RespValue;
  /** Returns the latest `count` entries of ACL LOG. */
  log(count: number): RespValue;
  resetLog(): void;
  /** Returns so many random bits, in hexadecimal. */
  randomHex(bits: number): string;
}

/** Whose commands are held back. */
export type Pause = "none" | "writes" | "all";

/** So many processes the cursors of SCAN tell apart: 8 bits beside the id of the node. */
export const SCAN_PROCESSES: number = 2 ** 13;

/** What some clients do besides plain commands. */
export interface Features {
  /** MULTI and WATCH. */
  transaction: ClientTransaction | undefined;
  /** What the client listens to. */
  subscriptions: Subscriptions | undefined;
  /** CLIENT TRACKING. */
  tracking: TrackingState | undefined;
  /** CLIENT CACHING has said something of the next command. */
  isCachingSaid: boolean;
  /** CLIENT REPLY: which commands get no reply. */
  silence: "all" | "next" | undefined;
  /** MONITOR: the client is told of all commands. */
  isMonitor: boolean;
}

/** How a client tracks keys. */
export interface TrackingState {
  /** Who is told instead of the client. */
  readonly redirect: Session | undefined;
  /** All changes of keys with the prefixes are reported, and not those of keys that were read. */
  readonly isBroadcast: boolean;
  /** Which reads are noted: all, those behind CLIENT CACHING YES, or those not behind NO. */
  readonly mode: "all" | "optIn" | "optOut";
  /** The client's own changes are not told. */
  readonly isNoLoop: boolean;
  /** In the order of bytes; the empty one for all keys. */
  readonly prefixes: readonly ByteString[];
}

/** The clients of the node that track keys. */
export interface TrackingHost {
  /** Tracks for a client, or adds prefixes. Returns why not. */
  start(session: Session, prefixes: readonly ByteString[]): ErrorReply | undefined;
  stop(session: Session): void;
  /** The client is about to be given what it has read of these keys. */
  onRead(session: Session, keys: readonly ByteString[]): void;
}

/** What a client may subscribe to. */
export type SubscriptionKind = "channel" | "pattern" | "shard";

/** All {@linkcode SubscriptionKind}s. */
export const SUBSCRIPTION_KINDS: readonly SubscriptionKind[] = ["channel", "pattern", "shard"];

/** The names that a client has subscribed to, in the order in which it has. */
export type Subscriptions = Readonly<Record<SubscriptionKind, Set<ByteString>>>;

/** What gets published messages. */
export interface Subscriber {
  tell(push: EncodedPush): void;
}

/** Publish and subscribe, over all nodes. */
export interface PubSubHost {
  /** Has `subscriber` told what is published under a name, once. Returns why not. */
  subscribe(
    kind: SubscriptionKind,
    name: ByteString,
    subscriber: Subscriber,
  ): ErrorReply | undefined;
  unsubscribe(kind: SubscriptionKind, name: ByteString, subscriber: Subscriber): void;
  /** Resolves when all linked nodes know of all subscriptions here; `undefined` if they do. */
  allKnow(): Promise<void> | undefined;
  /** Sends to all subscribers, anywhere. Returns how many there are. */
  publish(kind: "channel" | "shard", channel: ByteString, message: ByteString): number;
  /** Returns the names that have subscribers, anywhere. */
  names(kind: SubscriptionKind): ReadonlySet<ByteString>;
  /** Returns how many clients listen to a name, anywhere. */
  count(kind: SubscriptionKind, name: ByteString): number;
}

/** What a client has begun with MULTI or WATCH: see `transaction_queue.ts`. */
export interface ClientTransaction {
  /** MULTI has come, and neither EXEC nor DISCARD. */
  readonly isQueueing: boolean;
  /** How many commands are queued. */
  readonly queued: number;
  /** Bytes of memory that it holds, roughly. */
  readonly bytes: number;
  /** What EXEC waits for. */
  readonly order: CommandOrder;
  /** A command was queued that is refused when the keys take more memory than they may: so is EXEC. */
  needsMemory: boolean;
  /** MULTI. */
  begin(): void;
  /** EXEC is to do nothing. */
  breakOff(): void;
  /** Queues a command for EXEC. Returns why not, if it cannot be. */
  add(
    command: RunnableCommand,
    words: readonly ByteString[],
    session: Session,
  ): ErrorReply | undefined;
  /** Forgets what was queued and what is watched. */
  discard(): void;
  /** Begins to watch keys: EXEC changes nothing unless they are then what they are when this is done. */
  watch(keys: readonly ByteString[]): CommandResult;
  unwatch(): void;
  /** EXEC: what was queued, as one request; nothing is queued or watched from now on. */
  execute(session: Session): CommandResult;
  /**
   * EXEC under a token: returns the write, and by which words it is known again; or the reply, if it does
   * nothing, or has a command whose effect a token cannot keep.
   */
  executeOnce(session: Session):
    | { readonly write: WriteRequest; readonly words: readonly ByteString[] }
    | { readonly reply: RespValue };
}

/** A row of the table that can be run. */
export type RunnableCommand = Command & Required<Pick<Command, "run">>;

/** Returns the features of `session`, which has them from now on. */
export function featuresOf(session: Session): Features {
  return session.features ??= {
    transaction: undefined,
    subscriptions: undefined,
    tracking: undefined,
    isCachingSaid: false,
    silence: undefined,
    isMonitor: false,
  };
}

/** What commands ask of the node. */
export interface CommandHost {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** What CONFIG SET changes. */
  readonly settings: Settings;
  readonly access: AccessHost;
  readonly slowLog: SlowLogHost;
  readonly latency: LatencyHost;
  /** Sets the counters of INFO to 0. */
  resetStatistics(): void;
  /** Tells `session` of all commands. */
  monitor(session: Session): void;
  /** Tells whether the keys take more memory than they may; `beyond`: by more than this part of it. */
  isOutOfMemory(beyond?: number): boolean;
  /** Returns the text of INFO: of these sections, or of all. */
  info(sections: readonly string[]): string;
  /** Returns the JSON of DKS.STATUS. */
  status(): string;
  readonly members: MembersHost;
  /** The node keeps no journal. */
  readonly isEphemeral: boolean;
  /** Has the whole process stand still, in milliseconds; `undefined` if that is not allowed. */
  readonly standStill: ((ms: number) => void) | undefined;
  /** How many members the view has besides this node; 0 while this node is none. */
  otherMembers(): number;
  memory(): MemoryFigures;
  /** Returns the wall-clock time in milliseconds since 1970, perhaps with a fraction. */
  wallMs(): number;
  /** Returns the monotonic clock of this process, in milliseconds. */
  nowMs(): number;
  /** Tells this process from others in the cursors of SCAN: below {@linkcode SCAN_PROCESSES}. */
  scanProcess(): number;
  /** Returns a number from 0 up to but not including 1. */
  random(): number;
  /** Returns the keys that a pattern describes, as they stood at one moment. */
  keys(pattern: KeyPattern): Promise<RespValue>;
  /** Starts an export: the reply is an id and the number of keys. */
  beginExport(): Promise<RespValue>;
  /** Returns the next keys and values of an export. */
  nextOfExport(id: ByteString): Promise<RespValue>;
  readonly pubsub: PubSubHost;
  readonly tracking: TrackingHost;
  /** Returns the session of a connection by its number. */
  sessionOf(id: number): Session | undefined;
  /** Returns the sessions of all connections. */
  sessions(): Iterable<Session>;
  /** Holds back the commands of clients for so many milliseconds, or their writes. */
  pauseClients(what: "writes" | "all", ms: number): void;
  unpauseClients(): void;
  /** Returns the value of `notify-keyspace-events`. */
  keyEvents(): string;
  /** Tells whether there is an event for each letter. */
  isKeyEvents(letters: string): boolean;
  /** Sets `notify-keyspace-events` at this node. Returns false if it has a letter that there is not. */
  setKeyEvents(letters: string): boolean;
  /** Why this node has not joined the cluster, or not again; `undefined` if it has. */
  whyLoading(): string | undefined;
  /** Finds out how the transaction of this name ended. */
  outcome(transaction: string): Promise<RespValue>;
}

/** What DKS.MEMBER asks of the node. */
export interface MembersHost {
  /** The port of the node: that of a name without one. */
  readonly port: number;
  /** The names of the nodes in the list. */
  readonly list: readonly string[];
  /** Returns the JSON of DKS.MEMBER LIST. */
  describe(): string;
  /** Has the list changed; `by`: who asks. */
  change(change: MemberChange, by: string): Promise<ChangeOutcome>;
}

/** What can be set while the node runs. */
export interface Settings {
  /** The bound on the memory of keys, in bytes; 0: none. */
  memoryBytesMax: number;
  /** A client silent for this long is disconnected, in milliseconds; `Infinity` for never. */
  idleMsMax: number;
  /** What takes so long is slow, in microseconds; -1: nothing is. */
  slowMicros: number;
  /** The certificate for connections that are made from now on; `undefined` if there is no TLS. */
  readonly tls: TlsParameters | undefined;
  /**
   * Returns how many bytes `text` names.
   *
   * @throws {UsageError} if it names none, or more than the engine can give.
   */
  parseMemoryBytes(text: string): number;
}

/** The parts of a certificate, by the names of their parameters; all are PEM texts. */
export type TlsPart = "tls-cert" | "tls-key" | "tls-ca";

/** The certificate of a node, as CONFIG shows and sets it. */
export interface TlsParameters {
  /** Returns a part; nothing of the key. */
  get(part: TlsPart): string;
  /** Returns why the certificate cannot be changed in these parts; `undefined` if it can. */
  whyNot(changes: ReadonlyMap<string, string>): string | undefined;
  set(changes: ReadonlyMap<string, string>): void;
}

/** A command that the node was busy with for long. */
export interface SlowCommand {
  readonly id: number;
  /** Since 1970. */
  readonly atSeconds: number;
  readonly micros: number;
  readonly words: readonly ByteString[];
  /** Of the client. */
  readonly address: ByteString;
  readonly name: ByteString;
}

/** The log of slow commands. */
export interface SlowLogHost {
  readonly length: number;
  lengthMax: number;
  /** Returns the latest `count` entries, the latest first. */
  latest(count: number): readonly SlowCommand[];
  reset(): void;
}

/** Something that took so long, in whole milliseconds. */
export interface LatencySample {
  /** Since 1970. */
  readonly atSeconds: number;
  readonly ms: number;
}

/** What took long, by kind of event. */
export interface LatencyHost {
  /** What takes so long is noted, in milliseconds; 0: nothing. */
  thresholdMs: number;
  /** Returns the latest sample of each event, and the longest time. */
  latest(): readonly (readonly [event: string, sample: LatencySample, maxMs: number])[];
  /** Returns the samples of an event, the oldest first. */
  history(event: string): readonly LatencySample[];
  /** Forgets these events, or all if none is named. Returns how many there were. */
  reset(events: readonly string[]): number;
}

/** What takes memory, in bytes. */
export interface MemoryFigures {
  /** What the keys take, as they are counted against the bound; and the most that was seen. */
  readonly usedBytes: number;
  readonly peakBytes: number;
  /** The bound; 0: none. */
  readonly boundBytes: number;
  /** How many keys there are. */
  readonly keys: number;
  /** Of keys and values alone. */
  readonly valueBytes: number;
  /** Of the engine, and of the process. */
  readonly heapBytes: number;
  readonly residentBytes: number;
}

/** The result of a command: a reply at once or later, or a request whose outcome is the reply. */
export type CommandResult =
  | { readonly reply: RespValue }
  | { readonly later: Promise<RespValue> }
  | RequestResult;

/** A request. `finish`, if it is given, makes the reply of what was answered. */
export interface RequestResult {
  readonly request: Request;
  readonly finish?: ((answer: RespValue) => RespValue) | undefined;
}

/**
 * Redis's flags (COMMAND INFO). `readonly` and `write` also say what a command of one connection
 * waits for: a read for the writes before it, a write for the reads before it. The node answers a
 * command that has neither at once.
 */
export type CommandFlag =
  | "readonly"
  | "write"
  | "denyoom"
  | "pubsub"
  | "admin"
  | "fast"
  | "loading"
  | "stale"
  | "noscript"
  | "allow_busy"
  | "skip_slowlog"
  | "no_auth"
  | "movablekeys";

/** Redis's groups (COMMAND DOCS), and one for what dks adds. */
export type CommandGroup =
  | "string"
  | "generic"
  | "bitmap"
  | "transactions"
  | "pubsub"
  | "connection"
  | "server"
  | "cluster"
  | "dks";

/** Redis's ACL categories that do not follow from the flags: see {@linkcode categoriesOf}. */
export type CommandCategory =
  | "admin"
  | "keyspace"
  | "string"
  | "bitmap"
  | "transaction"
  | "connection"
  | "dangerous";

/** The names of Redis's categories, those that no command of dks is in too; in Redis's order. */
export const CATEGORIES: readonly string[] = (
  "keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin " +
  "fast slow blocking dangerous connection transaction scripting"
).split(" ");

/**
 * The positions of the keys among the words: from `first` to `last` (negative: from the end) by
 * `step`.
 */
export interface KeyRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** Which word says how many keys there are, where one does: then `last` means nothing. */
  readonly countAt?: number;
}

export const NO_KEYS: KeyRange = { first: 0, last: 0, step: 0 };
export const ONE_KEY: KeyRange = { first: 1, last: 1, step: 1 };
export const ALL_KEYS: KeyRange = { first: 1, last: -1, step: 1 };
export const TWO_KEYS: KeyRange = { first: 1, last: 2, step: 1 };
export const KEY_VALUE_PAIRS: KeyRange = { first: 1, last: -1, step: 2 };
/** BITOP: behind the name of an operation. */
export const BITOP_KEYS: KeyRange = { first: 2, last: -1, step: 1 };
/** MSETEX: behind their number. */
export const COUNTED_PAIRS: KeyRange = { first: 2, last: 2, step: 2, countAt: 1 };

/**
 * What a command of one connection waits for: see {@linkcode CommandFlag}. `alone`: for all before it,
 * and all behind it wait for it. `queued`: for what the commands wait for that are queued.
 */
export type CommandOrder = "read" | "write" | "none" | "alone" | "queued";

/** One command, or a subcommand of one, as its family defines it. */
export interface CommandRow {
  /** In lower case; that of a subcommand follows its command's, such as `client|id`. */
  readonly name: string;
  /** The number of words with the name, or at least that many if it is negative. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  readonly group: CommandGroup;
  readonly categories: readonly CommandCategory[];
  readonly keys: KeyRange;
  /** One sentence without a full stop, as in COMMAND DOCS. */
  readonly summary: string;
  /** The words after the name, as a manual writes them. */
  readonly syntax: string;
  /** The first version of Redis that has it; of dks, if Redis does not have it. */
  readonly since: string;
  /** What is other than in Redis, for `docs/commands.md`. */
  readonly differs?: string;
  /** What it waits for, if its flags do not say it. */
  readonly waits?: CommandOrder;
  /** Behind MULTI most are queued; others run at once, or are refused. */
  readonly inMulti?: "runs" | "refused";
  /** It may be sent in version 2 by a client that has subscribed. */
  readonly isForSubscribers?: boolean;
  /**
   * The index of the word at which another command starts, which also passes the gate: DKS.ONCE
   * token command….
   */
  readonly wraps?: number;
  /** Rows of their own; the second word names one of them. */
  readonly subcommands?: readonly CommandRow[];
  /** Absent for a command that needs a subcommand. */
  readonly run?: (words: readonly ByteString[], session: Session) => CommandResult;
}

/** A row of the table of all commands. */
export interface Command extends CommandRow {
  /** Its number: no other command and no other subcommand has it. They begin at 0. */
  readonly index: number;
  readonly order: CommandOrder;
  /** It is refused when the keys take more memory than they may. */
  readonly needsMemory: boolean;
  readonly subcommands?: readonly Command[];
}

/** All commands, for commands that describe commands or carry one. */
export interface CommandTable {
  /** Returns the command that the first words name, or its subcommand; `undefined` for none. */
  find(words: readonly ByteString[]): Command | undefined;
  /** Returns the command of this name, case-insensitive, ignoring subcommands. */
  named(name: ByteString): Command | undefined;
  /** Returns the command, or the subcommand, with this {@linkcode Command.index}. */
  withIndex(index: number): Command | undefined;
  /** All commands, without their subcommands. */
  readonly all: readonly Command[];
  /** All commands and their subcommands, by their {@linkcode Command.index}. */
  readonly byIndex: readonly Command[];
}

/** Returns the row of the table for a row of a family, with the next number; and adds it to `byIndex`. */
export function commandOf({ subcommands, ...row }: CommandRow, byIndex: Command[]): Command {
  const { flags, waits } = row;
  const order = waits !== undefined
    ? waits
    : flags.includes("write")
    ? "write"
    : flags.includes("readonly")
    ? "read"
    : "none";
  const command: Command = {
    ...row,
    index: byIndex.length,
    order,
    needsMemory: flags.includes("denyoom"),
  };
  byIndex.push(command);
  if (subcommands === undefined) return command;
  const whole = { ...command, subcommands: subcommands.map((one) => commandOf(one, byIndex)) };
  byIndex[command.index] = whole;
  return whole;
}

/** Returns all of Redis's ACL categories that a command is in, as `@name`. */
export function categoriesOf({ flags, categories }: CommandRow): string[] {
  return [
    ...categories,
    ...flags.includes("write") ? ["write"] : [],
    ...flags.includes("readonly") ? ["read"] : [],
    ...flags.includes("admin") ? ["admin", "dangerous"] : [],
    ...flags.includes("pubsub") ? ["pubsub"] : [],
    flags.includes("fast") ? "fast" : "slow",
  ].map((name) => `@${name}`);
}

/** Returns the keys among `words`, in their order, as often as they appear. */
export function keysOf({ keys }: CommandRow, words: readonly ByteString[]): ByteString[] {
  const { first, step } = keys;
  if (step === 0) return [];
  const end = endOfKeys(keys, words);
  return words.filter((_, at) => at >= first && at <= end && (at - first) % step === 0);
}

/** Returns the index of the last key among `words`. */
export function endOfKeys(
  { first, last, step, countAt }: KeyRange,
  words: readonly ByteString[],
): number {
  if (countAt !== undefined) {
    const count = Number(words[countAt]);
    return Number.isSafeInteger(count)
      ? Math.min(first + (count - 1) * step, words.length - 1)
      : first - 1;
  }
  return last < 0 ? words.length + last : last;
}
