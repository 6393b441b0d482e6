/**
 * The peers of one node: finds this node's own entry in the list, keeps a link to every other node,
 * and carries messages over the links.
 *
 * Of two nodes, the one whose name comes first as text dials; the other one answers, whichever lists
 * the two know. A permanent fault (a different list before the first view, another version, a journal
 * that is not the known one) ends the process that is at fault: of two that differ, the one that was
 * started later, and never one whose cluster is complete.
 *
 * The list is a part of the view, so two nodes may know different ones for a while: the one that has
 * slept gets the view over a link. Messages name nodes by ids, so the two nodes of a link must know
 * each other by the same ids. A node that is in no view yet takes the list of a node that is in one.
 * A node that finds itself missing in a later list than its own says so, and is in no links.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { retry } from "@std/async/retry";
import type { Logger } from "@std/log";
import { type Address, formatAddress, parseAddress } from "../../address.ts";
import { type ByteString, fromText, toBytes, toText } from "../../byte_string.ts";
import { FatalError, messageOf, TlsError } from "../../errors.ts";
import {
  PEER_CONNECTIONS_MAX,
  PUBLICATION_LINK_BYTES_MAX,
  QUESTION_BYTES_MAX,
} from "../../limits.ts";
import { CommandDecoder } from "../../resp/command_decoder.ts";
import { encodeValue } from "../../resp/encoder.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import type {
  JournalSighting,
  Message,
  NodeId,
  NodeSet,
  Prepare,
} from "../../two_phase/messages.ts";
import type { Membership, PeerIdentity } from "../../two_phase/membership.ts";
import { invariant } from "../../invariant.ts";
import { contains, size } from "../../two_phase/node_set.ts";
import { parseTransactionName } from "../../two_phase/transaction_name.ts";
import { Seldom } from "../../seldom.ts";
import { now } from "../../clock.ts";
import { shown } from "../descriptions.ts";
import type { Driver, Transport } from "../driver.ts";
import type { PubSubMessage } from "../pubsub/messages.ts";
import { UnknownHostError } from "../../name_lookup.ts";
import {
  type Answered,
  ask,
  askOnce,
  clusterDifference,
  type ClusterPosition,
  difference,
  HandshakeError,
  type Introduction,
  listDifference,
  parseQuestion,
  PEER_COMMAND,
  type Proof,
  type Question,
  type Reply,
  SecretError,
  type SharedConfig,
  UNPROVEN,
} from "./handshake.ts";
import { challengeOf, type ClusterSecret, nonceOf, type Nonces } from "./secret.ts";
import type { NodeOutcome } from "../../two_phase/outcome.ts";
import { commonProtocol } from "./protocols.ts";
import { encodeOnce, type LinkOwner, PeerLink } from "./link.ts";
import type { NodeReport } from "./messages.ts";
import { closeQuietly, isOutOfFiles, type Socket, writeAll } from "../../socket.ts";
import type { TlsKeys } from "../../tls.ts";

/** Time in which a node must have found its own entry in the list. */
const FIND_SELF_MS = 5000;

/**
 * The first and the longest pause between attempts to reach a peer; it doubles in between, with
 * jitter.
 */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1000;

/** After a link that lasted less than this, there is a pause before the next one, in milliseconds. */
const SHORT_LIVED_MS = 1000;

/** A node that is to dial this one, and has no link, is asked for its list this often, in milliseconds. */
const ASK_LIST_MS = 2000;

/** If no node answers at this node's own name, it tries again after at most this long. */
const CHECK_OWN_NAME_MS = 10_000;

/** The pause between two questions to a node that is looked for, in milliseconds. */
const LOOK_AGAIN_MS = 250;

/** Time for another node to answer what it knows of a transaction, in milliseconds. */
const OUTCOME_MS = 500;

/** The same complaint about a peer is logged once in this time, in milliseconds. */
const COMPLAINT_MS = 10_000;

/** Somebody that poses as a node is logged once in this time, in milliseconds. */
const REFUSAL_MS = 60_000;

/** Time to prove the cluster secret, in milliseconds. */
const PROOF_MS = 1000;

/** What {@linkcode Peers} needs before it can start. */
export interface PeersOptions {
  /** The list as it is known at the start; none while the node knows no list. */
  readonly addresses: readonly Address[];
  /** The local address that this node listens at. */
  readonly hostname: string;
  readonly config: SharedConfig;
  /** What all nodes of the cluster know, and nobody else; `undefined` if there is nothing of that kind. */
  readonly secret: ClusterSecret | undefined;
  /** Returns this node's identity, by its journal, at the moment. */
  readonly identity: () => Pick<PeerIdentity, "journal" | "incarnation">;
  /** Returns this node's cluster and view at the moment. */
  readonly clusterPosition: () => ClusterPosition;
  readonly logger: Logger;
  /** Returns what this node reports to its peers about itself. */
  readonly report: () => NodeReport;
  /** Publish and subscribe, which is told what its part of other nodes says. */
  readonly pubsub: PeerListener;
  /** What links speak TLS with, at the moment; `undefined` if they do not. */
  readonly tlsKeys?: () => TlsKeys;
  /** Nodes without the secret, and without TLS, are talked to as well. */
  readonly allowsPlainPeers?: boolean;
  /** Called when the process has as many files open as it may: a link could not be made for that. */
  readonly onOutOfFiles: () => void;
  /** Called when the process must end. */
  readonly onFatal: (error: unknown) => void;
  /**
   * Called if a node of a cluster knows the configured nodes by other ids, or other nodes, and this
   * one is in no view yet.
   */
  readonly onOtherIds: (list: ClusterList) => void;
  /** Called if the list of a later view than this node's does not have this node, or under another id. */
  readonly onNotListed: (list: ClusterList) => void;
}

/** The configured nodes, as a view lists them. */
export interface ClusterList {
  /** The number of the view. */
  readonly view: number;
  /** By id; `""` for an id that no node has. */
  readonly names: readonly string[];
}

/** What uses the links to other nodes besides the protocol. */
export interface PeerListener {
  /** There is a link: nothing that was said over an earlier one counts. */
  linkUp(peer: NodeId): void;
  linkDown(peer: NodeId): void;
  receive(peer: NodeId, message: PubSubMessage): void;
}

/** A node that was looked for and has answered. */
export interface FoundNode {
  readonly name: string;
  readonly reply: Reply;
}

/** The decision on a question for a link. */
export interface LinkDecision {
  readonly reply: Reply;
  /** The name of the asking node, if the connection becomes a link after the answer. */
  readonly peer: string | undefined;
  /** How often this node had started over when it answered. */
  readonly epoch: number;
}

/** The answer to the text of a question. */
export interface PeerAnswer {
  readonly reply: RespValue;
  /** Given if the connection becomes a link after the reply. */
  readonly takeOver?: (socket: Socket, received: Uint8Array) => void;
}

/** Why a question for a link is refused. */
interface Refusal {
  readonly refusal: string;
}

/** No entry of the list leads to this node. */
export class UnfoundError extends FatalError {
  override name = "UnfoundError";
}

/** Knows the other nodes and how to reach them. */
export class Peers implements Transport, LinkOwner {
  readonly #options: PeersOptions;
  /** Random id of this process. */
  readonly instance: string = crypto.randomUUID();
  readonly #startedAt = now();
  /** By id: the names of the configured nodes; `""` for an id that no node has. */
  #names: readonly string[];
  /** By name. */
  #addresses: ReadonlyMap<string, Address>;
  /** Ends the attempts to have a link, by the name of the other node. */
  readonly #attempts = new Map<string, AbortController>();
  /** By id: the links that are up. */
  #links: (PeerLink | undefined)[] = [];
  readonly #wasLinked = new Set<string>();
  readonly #tokens = new Set<string>();
  readonly #complaints = new Map<string, Seldom>();
  readonly #refusals = new Seldom(REFUSAL_MS);
  /** How many connections are to prove the cluster secret at the moment. */
  #hearing = 0;
  /** The names of nodes whose host had no address at the last attempt. */
  readonly #unknownHosts = new Set<string>();
  readonly #stopped = new AbortController();
  #driver: Driver | undefined;
  /** The name of this node. */
  #self: string | undefined;
  /** Its id: the last one, once the list does not have it any more. */
  #selfId: NodeId = -1;
  /**
   * How often this node has started over. What it said in an earlier handshake no longer counts:
   * that was about another journal.
   */
  #epoch = 0;
  /** What was told beside the protocol leaves at the end of the turn. */
  #isFlushPlanned = false;
  /** This node is about to start a cluster by force, and does not run yet. */
  #isStartingCluster = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#names = options.addresses.map(formatAddress);
    this.#addresses = new Map(options.addresses.map((one) => [formatAddress(one), one]));
  }

  /** By id: the names of the configured nodes; `""` for an id that no node has. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** The names of the configured nodes, sorted. */
  get list(): readonly string[] {
    return [...this.#addresses.keys()];
  }

  /** The name of this node. */
  get ownName(): string {
    invariant(this.#self !== undefined, "this node has found itself");
    return this.#self;
  }

  /** The name of this node, once it is known. */
  get knownName(): string | undefined {
    return this.#self;
  }

  /** The addresses of the configured nodes. */
  get addresses(): readonly Address[] {
    return [...this.#addresses.values()];
  }

  /** The id of this node: the last one, once the list does not have it any more. */
  get self(): NodeId {
    invariant(this.#selfId >= 0, "this node has been in the list");
    return this.#selfId;
  }

  /** Sets the names of the configured nodes by id. There must be no links. */
  setNames(names: readonly string[]): void {
    invariant(
      this.#links.every((link) => link === undefined),
      "ids change while there are no links",
    );
    this.#take(names);
  }

  /**
   * Takes the list of another view. Links to nodes that are not in it any more, or have another id,
   * are closed; links to new ones are made.
   *
   * @param renamed ids that another node had in the view before: for the protocol their links are over, even
   * that to the new node, which this node may have known of before it had the view
   */
  changeNames(names: readonly string[], renamed: readonly NodeId[]): void {
    const before = this.#names;
    // A link that is closed is named in the log as it was known.
    for (const link of this.#links) {
      if (link === undefined) continue;
      const { peer } = link;
      if (names[peer] !== before[peer]) link.close("it is not in the list of nodes any more");
      else if (renamed.includes(peer)) link.close("another node had its id in the view before");
    }
    if (names.join() === before.join()) return;
    this.#take(names);
    if (this.#driver !== undefined) this.#keepAllLinked();
  }

  #take(names: readonly string[]): void {
    this.#names = names;
    const listed = names.filter((name) => name !== "").sort(compare);
    this.#addresses = new Map(listed.map((name) => [name, addressOf(name)]));
    this.#findOwnId();
  }

  #findOwnId(): void {
    const id = this.#self === undefined ? -1 : this.#names.indexOf(this.#self);
    if (id >= 0) this.#selfId = id;
  }

  /** The links that are up, by node. */
  get links(): readonly (PeerLink | undefined)[] {
    return this.#links;
  }

  /** How many bytes wait for the peer that takes in the fewest. */
  get backlogBytes(): number {
    let most = 0;
    for (const link of this.#links) most = Math.max(most, link?.waitingBytes ?? 0);
    return most;
  }

  // --- Finding itself ------------------------------------------------------------------------

  /** Sets which entry of the list this node is, if that is known. */
  setSelf(name: string): void {
    this.#self = name;
    this.#findOwnId();
  }

  /**
   * Finds out which entry of the list this node is, by asking the node at each entry for its
   * instance. This node must already be listening: it answers itself.
   *
   * @throws {UnfoundError} if no entry is this node.
   */
  async findSelf(): Promise<string> {
    const found = new AbortController();
    const signal = AbortSignal.any([found.signal, this.#stopped.signal]);
    const searches = [...this.#addresses.values()].map((one) => this.#isSelf(one, signal));
    // A name that has no address yet may be this node's: then it has the time that the name takes.
    const timer = setInterval(() => {
      if (this.#unknownHosts.size === 0) found.abort();
    }, FIND_SELF_MS);
    try {
      return await Promise.any(searches);
    } catch (error) {
      throw this.#whyNotFound(error);
    } finally {
      clearInterval(timer);
      found.abort();
    }
  }

  #whyNotFound(error: unknown): FatalError {
    const causes = error instanceof AggregateError ? error.errors : [error];
    const fatal = causes.find((cause) => cause instanceof FatalError);
    return fatal ?? new UnfoundError(
      `none of the --peers ${this.list.join(", ")} leads to this node${this.#hint}`,
    );
  }

  /** Asks a node who it is. Returns `undefined` if it does not answer, or is none of this cluster. */
  async find(address: Address): Promise<Reply | undefined> {
    try {
      const reply = await this.#askOnce(address, { purpose: "find" });
      if (reply.instance === this.instance) return reply;
      return this.#checkConfig(reply, formatAddress(address)) ? reply : undefined;
    } catch (error) {
      if (error instanceof HandshakeError) return undefined;
      throw error;
    }
  }

  get #hint(): string {
    const isIpv6 = [...this.#addresses.values()].some(({ hostname }) => hostname.includes(":"));
    if (isIpv6 && this.#options.hostname === "0.0.0.0") {
      return ", which listens at 0.0.0.0, so at no IPv6 address: listen at all with --host ::";
    }
    return ": name its own entry with --advertise";
  }

  /** Resolves with the name of `address` if the node there is this one; rejects if it is not. */
  async #isSelf(address: Address, signal: AbortSignal): Promise<string> {
    const name = formatAddress(address);
    const reply = await retry(() => this.#askOnce(address, { purpose: "find" }), {
      minTimeout: RETRY_MS_MIN,
      maxTimeout: RETRY_MS_MAX,
      maxAttempts: Number.MAX_SAFE_INTEGER,
      isRetriable: (error: unknown) => error instanceof HandshakeError && !signal.aborted,
      signal,
    });
    if (reply.instance === this.instance) return name;
    this.#checkConfig(reply, name);
    throw new HandshakeError(`${name} is another node`);
  }

  /**
   * Makes sure that the name that this node was given leads to no other node, as soon as somebody answers
   * there; nobody may, as behind an address translation. {@linkcode findSelf} has seen that it leads here.
   */
  async checkOwnName(): Promise<void> {
    const address = this.#addresses.get(this.ownName);
    const { signal } = this.#stopped;
    if (address === undefined) return;
    try {
      const reply = await retry(() => this.#askOnce(address, { purpose: "find" }), {
        minTimeout: RETRY_MS_MIN,
        maxTimeout: CHECK_OWN_NAME_MS,
        maxAttempts: Number.MAX_SAFE_INTEGER,
        isRetriable: (error: unknown) => error instanceof HandshakeError && !signal.aborted,
        signal,
      });
      if (reply.instance === this.instance || !this.#checkConfig(reply, this.ownName)) return;
      this.#options.onFatal(
        new FatalError(
          `the name ${this.ownName} leads to another process of the cluster: say with --advertise ` +
            "which of the --peers leads to this one, or end the other",
        ),
      );
    } catch (error) {
      if (!signal.aborted) this.#options.onFatal(error);
    }
  }

  /**
   * Asks the nodes of another list for their identity, repeatedly for `ms`. Their last answers
   * count, as they too may be about to start a cluster by force. A node that asks this one
   * meanwhile learns that this one is.
   *
   * @returns the nodes that have answered, without this node
   */
  async lookFor(names: readonly string[], ms: number): Promise<FoundNode[]> {
    this.#isStartingCluster = true;
    const end = now() + ms;
    const found = await Promise.all(names.map(async (name): Promise<FoundNode[]> => {
      const address = addressOf(name);
      let last: Reply | undefined;
      while (now() < end && !this.#stopped.signal.aborted) {
        // Pause, or a node that answers or refuses quickly would be asked in a tight loop.
        const pause = delay(LOOK_AGAIN_MS);
        const question = this.#question({ purpose: "find" });
        const reply = await askOnce(address, question, this.#proof)
          .catch(() => undefined);
        if (reply?.instance === this.instance) return [];
        last = reply ?? last;
        await pause;
      }
      return last === undefined ? [] : [{ name, reply: last }];
    }));
    return found.flat();
  }

  // --- Links ---------------------------------------------------------------------------------

  /** Starts linking to all other nodes. */
  start(driver: Driver): void {
    this.#driver = driver;
    this.#keepAllLinked();
  }

  /** Closes all links: there are none until {@linkcode resume}. */
  pause(): void {
    this.#driver = undefined;
    this.#epoch++;
    for (const link of this.#links) link?.close("this node starts over");
  }

  /** Makes links again, for another driver. */
  resume(driver: Driver): void {
    this.#driver = driver;
    this.#keepAllLinked();
  }

  /** Closes all links and dials no more. */
  stop(): void {
    this.#stopped.abort();
    for (const link of this.#links) link?.close("this node stops");
  }

  /** Begins attempts to have links to nodes that are in the list, and ends those to others. */
  #keepAllLinked(): void {
    for (const [name, attempts] of this.#attempts) {
      if (this.#addresses.has(name)) continue;
      this.#attempts.delete(name);
      attempts.abort();
    }
    for (const name of this.list) {
      if (name === this.ownName || this.#attempts.has(name)) continue;
      const attempts = new AbortController();
      this.#attempts.set(name, attempts);
      const signal = AbortSignal.any([attempts.signal, this.#stopped.signal]);
      const keeping = this.ownName < name
        ? this.#keepLinked(name, signal)
        : this.#keepAsking(name, signal);
      keeping.catch((error) => {
        if (signal.aborted) return;
        this.#options.onFatal(
          error instanceof FatalError ? error : new FatalError(messageOf(error)),
        );
      });
    }
  }

  async #keepLinked(name: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await retry(() => this.#link(name), {
        minTimeout: RETRY_MS_MIN,
        maxTimeout: RETRY_MS_MAX,
        maxAttempts: Number.MAX_SAFE_INTEGER,
        isRetriable: (error: unknown) => error instanceof HandshakeError && !signal.aborted,
        signal,
      });
      const linkedAt = now();
      await this.#links[this.#names.indexOf(name)]?.closed;
      // Whoever closes links at once would be dialed in a tight loop.
      if (now() - linkedAt < SHORT_LIVED_MS) await delay(RETRY_MS_MIN, { signal });
    }
  }

  /**
   * Asks a node that is to dial this one, while there is no link to it: it does not dial who is not
   * in its list, and this node may not know that yet.
   */
  async #keepAsking(name: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      await delay(ASK_LIST_MS, { signal });
      const address = this.#addresses.get(name);
      const isLinked = this.#links[this.#names.indexOf(name)] !== undefined;
      if (address === undefined || isLinked || this.#driver === undefined) continue;
      try {
        const reply = await this.#askOnce(address, { purpose: "find" });
        if (this.#driver !== undefined && this.#checkConfig(reply, name)) {
          this.#agreesOnIds(reply, name);
        }
      } catch (error) {
        if (!(error instanceof HandshakeError)) throw error;
      }
    }
  }

  async #link(name: string): Promise<void> {
    const address = this.#addresses.get(name);
    if (address === undefined) throw new HandshakeError(`${name} is in the list no more`);
    if (this.#driver === undefined) throw new HandshakeError(STARTING);
    const epoch = this.#epoch;
    const token = crypto.randomUUID();
    this.#tokens.add(token);
    try {
      const known = this.#knownOf(name);
      const question = this.#question({
        purpose: "link",
        from: this.ownName,
        to: name,
        token,
        known,
      });
      const { socket, reply, received } = await this.#ask(address, question);
      const obstacle = this.#obstacle(reply, name);
      if (obstacle !== undefined) {
        closeQuietly(socket);
        // The first node to start meets the others while they start: that is not worth a log line.
        if (reply.refusal === STARTING || obstacle === OTHER_LIST) {
          this.#options.logger.debug(`${name}: ${obstacle}`);
        } else this.#complain(name, obstacle);
        throw new HandshakeError(obstacle);
      }
      this.adopt({ name, socket, received, said: reply, epoch });
    } finally {
      this.#tokens.delete(token);
    }
  }

  /** Returns why the answer to a question for a link makes no link. */
  #obstacle(reply: Reply, name: string): string | undefined {
    if (reply.instance === this.instance) {
      throw new FatalError(`--peers names this node twice: ${this.ownName} and ${name}`);
    }
    if (!this.#checkConfig(reply, name)) return `${name} has another configuration`;
    if (!this.#agreesOnIds(reply, name)) return OTHER_LIST;
    if (reply.refusal === undefined) return undefined;
    return `${name} refuses a link: ${shown(reply.refusal)}`;
  }

  /** Asks, and records what keeps this node from asking. */
  async #ask(address: Address, question: Question): Promise<Answered> {
    const name = formatAddress(address);
    try {
      const answered = await ask(address, question, this.#proof);
      this.#unknownHosts.delete(name);
      return answered;
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (isOutOfFiles(cause)) this.#options.onOutOfFiles();
      if (error instanceof SecretError) this.#complain(name, error.message);
      if (cause instanceof UnknownHostError) {
        this.#unknownHosts.add(name);
        this.#complain(name, `cannot reach ${name}, trying on: ${messageOf(cause)}`);
      } else this.#unknownHosts.delete(name);
      if (cause instanceof TlsError) {
        this.#complain(name, `no link to ${name}, trying on: ${messageOf(cause)}`);
      }
      throw error;
    }
  }

  async #askOnce(
    address: Address,
    about: Pick<Question, "purpose" | "token">,
  ): Promise<Reply> {
    const { socket, reply } = await this.#ask(address, this.#question(about));
    closeQuietly(socket);
    return reply;
  }

  /** Makes a connection a link. Closes an older link to the same peer. */
  adopt(
    options: {
      name: string;
      socket: Socket;
      received: Uint8Array;
      /** What the peer said of itself and of this node's journal. */
      said: Introduction;
      /**
       * The epoch in which this node introduced itself to the peer: {@linkcode LinkDecision.epoch}.
       */
      epoch: number;
    },
  ): void {
    const { name, socket, received, said: { config, identity, known }, epoch } = options;
    const peer = this.#names.indexOf(name);
    const protocol = commonProtocol(this.#options.config, config);
    if (
      this.#driver === undefined || peer < 0 || epoch !== this.#epoch || protocol === undefined
    ) {
      // This node has started over since it introduced itself, or has another list. Or the peer has said
      // something else when it was asked back.
      closeQuietly(socket);
      return;
    }
    this.#links[peer]?.close("it has connected again");
    const link = new PeerLink({ peer, protocol, socket, owner: this, received });
    this.#links[peer] = link;
    const { logger } = this.#options;
    // The log reports the first time when the cluster is complete; later times are news.
    if (this.#wasLinked.has(name)) logger.info(`linked to ${name} again`);
    else logger.debug(`linked to ${name}`);
    this.#wasLinked.add(name);
    this.#noteStranger(peer, identity);
    try {
      this.#driver.peerUp(peer, { identity, known });
    } catch (error) {
      this.#options.onFatal(error); // The protocol is broken, not the connection.
      return;
    }
    this.#options.pubsub.linkUp(peer);
    link.start();
  }

  /**
   * Drops the link to `peer`: it is of another cluster. When it dials again, it is refused with
   * that reason.
   */
  dropForeign(peer: NodeId): void {
    this.#links[peer]?.close("it is of another cluster");
  }

  /** Logs it if the cluster knows the peer by another journal: the peer has lost everything. */
  #noteStranger(peer: NodeId, identity: PeerIdentity): void {
    if (this.#driver === undefined) return;
    const { view } = this.#membership;
    const known = view.journals[peer] ?? "";
    if (view.number === 0 || known === "" || known === identity.journal) return;
    this.#options.logger.warn(
      `${this.#names[peer]} has lost its journal ${known}: with its new one it joins from empty`,
    );
  }

  /**
   * Answers the question of another node. Anyone can ask. So nothing that the caller says counts
   * until this node has dialed its address in this node's own list, and the node there has
   * confirmed that it asks.
   *
   * @returns the answer, and the asking node if the connection becomes a link
   */
  async decide(question: Question): Promise<LinkDecision> {
    const epoch = this.#epoch;
    const decision = await this.#decide(question);
    // If this node starts over meanwhile, what it would say of itself no longer holds.
    const isOver = decision.peer !== undefined && epoch !== this.#epoch;
    if (!isOver) return { ...decision, epoch };
    return { reply: { ...this.#introduction(), refusal: STARTING }, peer: undefined, epoch };
  }

  async #decide(question: Question): Promise<Omit<LinkDecision, "epoch">> {
    const reply: Reply = this.#introduction();
    if (question.purpose === "find" || question.instance === this.instance) {
      this.#noteForeignVersion(question);
      return { reply: { ...reply, known: this.#knownOfStarting(question) }, peer: undefined };
    }
    if (question.purpose === "confirm") {
      const isConfirmed = this.#tokens.has(question.token ?? "");
      return { reply: { ...reply, isConfirmed }, peer: undefined };
    }
    if (question.purpose === "outcome") {
      return { reply: { ...reply, ...this.#outcomeHere(question) }, peer: undefined };
    }
    if (this.#self === undefined) {
      return { reply: { ...reply, refusal: STARTING }, peer: undefined };
    }
    const asker = this.#askerOf(question);
    const answer = asker === undefined ? undefined : await this.#askBack(asker, question);
    if (asker === undefined || answer === undefined) {
      const { from = "" } = question;
      const { listView } = this.#options.clusterPosition();
      const refusal = asker === undefined && listView > 0
        ? `${shown(from)} is not in the list of view ${listView}`
        : "nobody at an address of its own list of nodes confirms that it has asked";
      return { reply: { ...reply, refusal }, peer: undefined };
    }
    const refused = this.#configRefusal(answer, asker) ??
      this.#refusalOf(question, asker);
    // Made again: meanwhile the recovery may have ended, which gives this node its identity.
    const latest = this.#introduction();
    if (refused === undefined) {
      return { reply: { ...latest, known: this.#knownOf(asker) }, peer: asker };
    }
    return { reply: { ...latest, ...refused }, peer: undefined };
  }

  /** What this node has recorded of the journal of an asker that is about to start a cluster by force. */
  #knownOfStarting({ config, identity, isStartingCluster }: Question): JournalSighting | undefined {
    // Of a version that this node does not speak, only the version is read: the rest may be anything.
    const isForeign = commonProtocol(this.#options.config, config) === undefined;
    if (isStartingCluster !== true || isForeign) return undefined;
    return this.#driver?.replica.membership.peerJournals.ofJournal(identity.journal);
  }

  /** Logs it if the asker cannot have a link: it may end as soon as it knows, and is not asked then. */
  #noteForeignVersion({ config: theirs }: Question): void {
    const { config } = this.#options;
    const name = "a node that has asked this one";
    if (commonProtocol(config, theirs) !== undefined) return;
    this.#complain(name, difference(config, { theirs, name }) ?? "");
  }

  /** Returns which entry of this node's own list the asker claims to be. */
  #askerOf({ from = "" }: Question): string | undefined {
    return this.#addresses.has(from) ? from : undefined;
  }

  /**
   * Dials the entry of the list that `question` claims to come from.
   *
   * @returns what the node there says of itself, or `undefined` if it has not asked.
   */
  async #askBack(asker: string, question: Question): Promise<Reply | undefined> {
    const { token, instance } = question;
    const address = this.#addresses.get(asker);
    if (address === undefined || token === undefined) return undefined;
    try {
      const answer = await this.#askOnce(address, { purpose: "confirm", token });
      return answer.isConfirmed === true && answer.instance === instance ? answer : undefined;
    } catch {
      return undefined;
    }
  }

  /** Answers the text of a question. Its connection may become a link. */
  async answer(text: ByteString): Promise<PeerAnswer> {
    if (text.length > QUESTION_BYTES_MAX) {
      const message =
        `a question of ${text.length} bytes, at most ${QUESTION_BYTES_MAX} are allowed`;
      return { reply: new ErrorReply("ERR", message) };
    }
    const { secret, allowsPlainPeers } = this.#options;
    const nonce = nonceOf(text);
    if (secret !== undefined && nonce !== undefined) return this.#challenge(secret, nonce);
    if (secret !== undefined && allowsPlainPeers !== true) return this.#refuse(NO_PROOF);
    if (nonce !== undefined) return this.#refuse(NO_SECRET);
    const question = parseQuestion(text);
    if (question === undefined) {
      return { reply: new ErrorReply("ERR", "not a question of a dks node") };
    }
    const { reply, peer, epoch } = await this.decide(question);
    const json = fromText(JSON.stringify(reply));
    if (peer === undefined) return { reply: json };
    return {
      reply: json,
      takeOver: (socket, received) =>
        this.adopt({ name: peer, socket, received, said: question, epoch }),
    };
  }

  // --- Answers to those who prove the cluster secret -----------------------------------------

  /** Refuses somebody for the secret's sake. An operator is told now and then, as anyone can ask. */
  #refuse(reason: string, socket?: Socket): { readonly reply: ErrorReply } {
    const address = socket?.remoteAddr;
    const who = address === undefined ? "" : ` at ${address.hostname}`;
    this.#refusals.say((unsaid) => {
      const more = unsaid === 0 ? "" : `; so were ${unsaid} before it`;
      this.#options.logger.warn(`refused what poses as a node${who}: ${reason}${more}`);
    });
    return { reply: new ErrorReply(UNPROVEN, reason) };
  }

  /** Answers the nonce of an asker by another one, and then listens to what it can prove. */
  #challenge(secret: ClusterSecret, nonce: string): PeerAnswer {
    const nonces = { asker: nonce, asked: secret.newNonce() };
    return {
      reply: challengeOf(nonces.asked),
      takeOver: (socket, received) => {
        this.#hearProven(socket, { received, secret, nonces }).catch(() => closeQuietly(socket));
      },
    };
  }

  async #hearProven(
    socket: Socket,
    by: { received: Uint8Array; secret: ClusterSecret; nonces: Nonces },
  ): Promise<void> {
    const { received, secret, nonces } = by;
    if (this.#hearing >= PEER_CONNECTIONS_MAX) return closeQuietly(socket);
    this.#hearing++;
    const decoder = new CommandDecoder(QUESTION_BYTES_MAX, 2 * QUESTION_BYTES_MAX);
    const words = await deadline(readCommand(socket, decoder, received), PROOF_MS)
      .finally(() => this.#hearing--);
    const [name = "", text = "", proof = ""] = words;
    const question = parseQuestion(text);
    const said = [toText(text) ?? ""];
    const isProven = name.toUpperCase() === PEER_COMMAND &&
      await secret.isProven(proof, { role: "asks", nonces, said });
    // With its own nonce a node asks itself nothing but who it is: anything else was thrown back at it.
    const isReflected = secret.isAsking(nonces.asker) && question?.purpose !== "find";
    if (!isProven || isReflected || question === undefined) {
      const { reply } = this.#refuse(isReflected ? REFLECTED : WRONG_PROOF, socket);
      await writeAll(socket, toBytes(encodeValue(reply, 2)));
      return closeQuietly(socket);
    }
    const { reply, peer, epoch } = await this.decide(question);
    const answer = JSON.stringify(reply);
    const answerProof = await secret.prove("answers", nonces, [...said, answer]);
    await writeAll(socket, toBytes(encodeValue([fromText(answer), answerProof], 2)));
    if (peer === undefined) return closeQuietly(socket);
    this.adopt({ name: peer, socket, received: decoder.takeRest(), said: question, epoch });
  }

  #configRefusal(answer: Reply, asker: string): Refusal | undefined {
    if (!this.#checkConfig(answer, asker)) return { refusal: "the configurations differ" };
    return this.#agreesOnIds(answer, asker) ? undefined : { refusal: OTHER_LIST };
  }

  /** Returns why a question for a link is refused, though it is confirmed. */
  #refusalOf({ to = "" }: Question, asker: string): Refusal | undefined {
    if (this.#driver === undefined) return { refusal: STARTING };
    if (to !== this.ownName) return { refusal: `it is ${this.ownName}, and not ${shown(to)}` };
    if (asker >= to) {
      return { refusal: `${this.ownName} is to dial ${asker}, not the other way round` };
    }
    return undefined;
  }

  // --- Outcomes ------------------------------------------------------------------------------

  #outcomeHere({ transaction = "" }: Question): Pick<Reply, "outcome"> {
    const parsed = parseTransactionName(transaction, { nodes: this.#names.length, shown: "" });
    if (typeof parsed === "string" || this.#driver === undefined) return {};
    return { outcome: this.#driver.replica.outcomeOf(parsed) };
  }

  /** Asks all other nodes what they know of the end of a transaction. */
  async askOutcomes(transaction: string): Promise<NodeOutcome[]> {
    const question = { ...this.#question({ purpose: "outcome" }), transaction };
    const others = [...this.#addresses].filter(([name]) => name !== this.ownName);
    return await Promise.all(others.map(async ([name, address]): Promise<NodeOutcome> => {
      try {
        const reply = await deadline(
          askOnce(address, question, this.#proof),
          OUTCOME_MS,
        );
        const isAlike =
          difference(this.#options.config, { theirs: reply.config, name }) === undefined &&
          this.#clusterDifference(reply, name) === undefined;
        return { name, said: isAlike ? reply.outcome : undefined };
      } catch {
        return { name, said: undefined };
      }
    }));
  }

  // --- Differences ---------------------------------------------------------------------------

  /**
   * Compares the configuration of another node with this one's. If they differ, one of the two must
   * end: this one, if it was started later and is not part of a complete cluster.
   *
   * @param other the answer from an address of this node's own list, not the claim of a caller
   * @returns whether they agree
   */
  #checkConfig(other: Introduction, name: string): boolean {
    // What speaks another version may say its cluster in another way.
    const isForeign = commonProtocol(this.#options.config, other.config) === undefined;
    const strange = isForeign ? undefined : this.#clusterDifference(other, name);
    if (strange !== undefined) {
      // The operator must decide which of the two joins the other: neither ends.
      this.#complain(name, strange);
      return false;
    }
    const mine = this.#options.clusterPosition();
    const sentence = difference(this.#options.config, { theirs: other.config, name }) ??
      listDifference(mine, { theirs: other.clusterPosition, name });
    if (sentence === undefined) return true;
    const isYounger = this.#uptimeMs < other.uptimeMs;
    if (isYounger && !this.#isComplete) this.#options.onFatal(new FatalError(sentence));
    else this.#complain(name, sentence);
    return false;
  }

  /**
   * Tells whether another node of this cluster and this one know each other by the same ids. If the
   * other one has a list that this one is to have, or to know of, the node is told.
   */
  #agreesOnIds({ clusterPosition: theirs }: Introduction, name: string): boolean {
    const mine = this.#options.clusterPosition();
    // Under another id it was removed, and added again since.
    const isListed = mine.view > 0
      ? theirs.names[this.self] === this.ownName
      : theirs.names.includes(this.ownName);
    // A node may have its list from a later view than the one that it is in, or be in none yet.
    const list = { view: theirs.listView, names: theirs.names };
    const isLater = list.view > mine.listView;
    if (isLater && !isListed) {
      this.#options.onNotListed(list);
      return false;
    }
    const isFirstList = mine.listView === 0 || theirs.listView === 0;
    const isAgreed = isFirstList
      ? theirs.names.join() === this.#names.join()
      : this.#isAgreed(theirs.names, name);
    if (isAgreed) return true;
    if (mine.view === 0 && isLater) this.#options.onOtherIds(list);
    // A node that is in no view is told by one that is in a view.
    else if (mine.view > 0 && theirs.view > 0 && theirs.names.includes(this.ownName)) {
      this.#complain(name, `${name} knows the nodes of the cluster by other ids than this node`);
    }
    return false;
  }

  /** Tells whether `names` has this node and `name` at the ids by which this node knows them. */
  #isAgreed(names: readonly string[], name: string): boolean {
    const peer = this.#names.indexOf(name);
    return peer >= 0 && names[peer] === name && names[this.self] === this.ownName;
  }

  #clusterDifference({ clusterPosition: theirs }: Introduction, name: string): string | undefined {
    return clusterDifference(this.#options.clusterPosition(), { theirs, name });
  }

  #complain(name: string, sentence: string): void {
    const complaint = this.#complaints.get(name) ?? new Seldom(COMPLAINT_MS);
    this.#complaints.set(name, complaint);
    complaint.say(() => this.#options.logger.error(sentence));
  }

  get #proof(): Proof {
    const { secret, tlsKeys, allowsPlainPeers = false } = this.#options;
    return { secret, keys: tlsKeys?.(), allowsLess: allowsPlainPeers };
  }

  get #uptimeMs(): number {
    return now() - this.#startedAt;
  }

  get #isComplete(): boolean {
    return this.#driver !== undefined && this.#membership.mayWrite;
  }

  get #membership(): Membership {
    invariant(this.#driver !== undefined, "the node runs");
    return this.#driver.replica.membership;
  }

  /** Returns what this node's disk records of the journal of `peer`, see `peer_journals.ts`. */
  #knownOf(name: string): JournalSighting | undefined {
    return this.#driver?.replica.membership.peerJournals.of(this.#names.indexOf(name));
  }

  #introduction(): Introduction {
    const unknown = { ...this.#options.identity(), process: this.instance, position: 0 };
    return {
      config: this.#options.config,
      instance: this.instance,
      // The rest comes from recovery: the incarnation may be higher than the journal's.
      identity: this.#driver?.replica.membership.identity ?? unknown,
      clusterPosition: this.#options.clusterPosition(),
      isStartingCluster: this.#isStartingCluster && this.#driver === undefined,
      uptimeMs: this.#uptimeMs,
    };
  }

  #question(about: Pick<Question, "purpose" | "from" | "to" | "token" | "known">): Question {
    return { ...this.#introduction(), ...about };
  }

  // --- Transport -----------------------------------------------------------------------------

  send(to: NodeSet, message: Message): void {
    if (message.type === "prepare" && size(to) > 1) {
      this.#sendPrepare(to, message);
      return;
    }
    for (const link of this.#links) {
      if (link !== undefined && contains(to, link.peer)) link.send(message);
    }
  }

  /** Encodes a prepare once for all links of one version of the protocol: mostly that is all links. */
  #sendPrepare(to: NodeSet, prepare: Prepare): void {
    let encoded: { readonly protocol: number; readonly bytes: Uint8Array } | undefined;
    for (const link of this.#links) {
      if (link === undefined || !contains(to, link.peer)) continue;
      const { protocol } = link;
      if (encoded?.protocol !== protocol) {
        encoded = { protocol, bytes: encodeOnce(prepare, protocol) };
      }
      link.sendEncoded(encoded.bytes);
    }
  }

  flush(): void {
    for (const link of this.#links) link?.flush();
  }

  /**
   * Sends a message that is none of the protocol's, at the end of the turn.
   *
   * @returns whether it was taken: a publication is not while too much waits, as the protocol comes first
   */
  tell(to: NodeId, message: PubSubMessage): boolean {
    const link = this.#links[to];
    if (link === undefined) return false;
    if (message.type === "publication" && link.waitingBytes > PUBLICATION_LINK_BYTES_MAX) {
      return false;
    }
    link.send(message);
    if (!this.#isFlushPlanned) {
      this.#isFlushPlanned = true;
      queueMicrotask(() => {
        this.#isFlushPlanned = false;
        this.flush();
      });
    }
    return true;
  }

  onPubSub(from: NodeId, message: PubSubMessage): void {
    this.#options.pubsub.receive(from, message);
  }

  onMessage(from: NodeId, message: Message): void {
    this.#driver?.receive(from, message);
  }

  onPart(from: NodeId): void {
    this.#driver?.receivePart(from);
  }

  onTaken(peer: NodeId): void {
    this.#driver?.peerTook(peer);
  }

  onClosed(link: PeerLink, reason: string): void {
    if (this.#links[link.peer] !== link) return;
    this.#links[link.peer] = undefined;
    if (this.#stopped.signal.aborted) return;
    this.#options.logger.warn(`lost the link to ${this.#names[link.peer]}: ${reason}`);
    this.#options.pubsub.linkDown(link.peer);
    this.#driver?.peerDown(link.peer);
  }

  report(): NodeReport {
    return this.#options.report();
  }
}

/** Why somebody is refused, as it is told too. */
const NO_PROOF = "it has no cluster secret, and this node has one: give all nodes the same";
const NO_SECRET = "it has a cluster secret, and this node has none: give all nodes the same";
const WRONG_PROOF = "it does not prove that it knows the cluster secret of this node";
const REFLECTED = "it repeats what this node has said";

/** Reads one command; what is behind it stays in the decoder. */
async function readCommand(
  socket: Socket,
  decoder: CommandDecoder,
  received: Uint8Array,
): Promise<readonly ByteString[]> {
  for (let rest = received;;) {
    const words = decoder.next();
    if (words !== undefined) {
      if (rest.length > 0) throw new HandshakeError("more came than was asked for");
      return words;
    }
    const { space } = decoder;
    let count: number | null = Math.min(space.length, rest.length);
    if (count > 0) {
      space.set(rest.subarray(0, count));
      rest = rest.subarray(count);
    } else count = await socket.read(space);
    if (count === null) throw new HandshakeError("the connection was closed");
    decoder.received(count);
  }
}

/** Why a node gives no links before it has found itself in the list. */
const STARTING = "it is starting";

/** Why there is no link to a node whose messages would mean other nodes. */
const OTHER_LIST = "it knows other nodes of the cluster, or by other ids";

/** Returns the address of a node by its name in a list. */
function addressOf(name: string): Address {
  return parseAddress(name, { defaultPort: 0, name: "the list of nodes" });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
