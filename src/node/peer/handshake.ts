/**
 * The handshake: how a connection becomes a link between two nodes.
 *
 * It begins as a command of the Redis protocol, `DKS.PEER json`, and is answered by a bulk string
 * of JSON, or by an error. So whatever listens at an address, a node or a Redis or a node of
 * another version, gives a human-readable answer. The four purposes:
 *
 * - `find`: "who are you?" A node dials every entry of its list; the entry that answers with the
 *   node's own instance number is the node itself.
 * - `link`: "I am n1, let us talk in frames." The connection switches to frames after the answer.
 * - `confirm`: "have you just asked me for a link, with this token?" Asked at the address of the
 *   node that the asker claims to be; a client cannot pretend to be a node, as it cannot answer
 *   there.
 * - `outcome`: "how did this transaction end, as far as you know?" See `outcome.ts`.
 *
 * With a cluster secret the nodes first prove to each other that they know it, see `secret.ts`; without
 * one, everything counts that is said here.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { type Address, formatAddress } from "../../address.ts";
import { type ByteString, fromText, quote, toBytes, toText } from "../../byte_string.ts";
import { messageOf, NoTlsError } from "../../errors.ts";
import { NODES_MAX } from "../../limits.ts";
import { encodeCommand } from "../../resp/encoder.ts";
import { ReplyDecoder } from "../../resp/reply_decoder.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import type { ClusterId, JournalSighting } from "../../two_phase/messages.ts";
import type { PeerIdentity } from "../../two_phase/membership.ts";
import type { OutcomeAnswer } from "../../two_phase/replica.ts";
import { describeClusterPosition, shown, SHOWN_MAX } from "../descriptions.ts";
import {
  commonProtocol,
  describeProtocols,
  OWN_PROTOCOLS,
  type SaidProtocols,
} from "./protocols.ts";
import { challengeOf, type ClusterSecret, nonceOf } from "./secret.ts";
import { closeQuietly, connect, type Socket, writeAll } from "../../socket.ts";
import { connectTls, type TlsKeys } from "../../tls.ts";

/** The name of the command. */
export const PEER_COMMAND = "DKS.PEER";

/** Time for one attempt to connect. */
export const CONNECT_MS = 500;

/** Time for the answer to a question, once connected. */
const ANSWER_MS = 1000;

/** The times of the views, in milliseconds, see `Timing` in `two_phase/context.ts`. */
export interface ViewTimes {
  readonly leaseMs: number;
  readonly suspicionMs: number;
  readonly heartbeatMs: number;
}

/**
 * The configuration that must be the same on all nodes; of the protocol between them, they must have one
 * version in common.
 */
export interface SharedConfig extends ViewTimes, SaidProtocols {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
}

/** A node's cluster and view, from its journal. */
export interface ClusterPosition {
  /** The view that it installed last; 0 for none: then it belongs to no cluster yet. */
  readonly view: number;
  readonly cluster: ClusterId;
  /**
   * By id: the names of the configured nodes; `""` for an id that no node has. None while the node
   * knows no list.
   */
  readonly names: readonly string[];
  /**
   * The view whose list that is: it may be later than `view`, if another node has told it; 0: it is
   * `--peers`.
   */
  readonly listView: number;
}

/** What every question and every answer says of its sender. */
export interface Introduction {
  readonly config: SharedConfig;
  /** Random number of the process. */
  readonly instance: string;
  readonly identity: PeerIdentity;
  readonly clusterPosition: ClusterPosition;
  /**
   * With a question for a link and its answer, and with the answer to a node that is about to start
   * a cluster by force: what the sender's disk records of the receiver's journal, see
   * `two_phase/peer_journals.ts`; absent for nothing.
   */
  readonly known?: JournalSighting | undefined;
  /** It is about to start a cluster by force, see `new_cluster.ts`. */
  readonly isStartingCluster?: boolean;
  /**
   * How long the process has been running: if two configurations differ, the younger process must
   * end.
   */
  readonly uptimeMs: number;
}

/** The purposes of questions, see the head of this file. */
const PURPOSES = ["find", "link", "confirm", "outcome"] as const;

/** A question that one node asks another. */
export interface Question extends Introduction {
  readonly purpose: typeof PURPOSES[number];
  /** With `link`: the names of the asking node and of the asked one. */
  readonly from?: string;
  readonly to?: string;
  /** With `link` and `confirm`: random number of this attempt. */
  readonly token?: string;
  /** With `outcome`: the name of the transaction. */
  readonly transaction?: string;
}

/** The answer to a question. */
export interface Reply extends Introduction {
  /** Why the answer is no; absent if it is yes. */
  readonly refusal?: string;
  /** With `confirm`. */
  readonly isConfirmed?: boolean;
  /** With `outcome`; absent if the node is starting, or the name is invalid. */
  readonly outcome?: OutcomeAnswer;
}

/** No node answered, or the answer is not one of a node. */
export class HandshakeError extends Error {
  override name = "HandshakeError";
}

/** The other node does not know the cluster secret, or this one does not, or only one of the two has one. */
export class SecretError extends HandshakeError {
  override name = "SecretError";
}

/** The code of the error for who does not prove the cluster secret. */
export const UNPROVEN = "UNPROVEN";

/** A connection, the answer that came on it, and the bytes that came after the answer. */
export interface Answered {
  readonly socket: Socket;
  readonly reply: Reply;
  readonly received: Uint8Array;
}

/** How the two nodes of a conversation prove who they are. */
export interface Proof {
  /** If it is given, both prove that they know it. */
  readonly secret: ClusterSecret | undefined;
  /** If they are given, TLS is spoken, and the certificate of the asked node is verified. */
  readonly keys: TlsKeys | undefined;
  /** Nodes that have no secret, or another one, or do not speak TLS, are asked without: `--plain-peers`. */
  readonly allowsLess: boolean;
}

/** Returns what a node is asked with that has failed at `by` for lack of it; `undefined` if nothing is left. */
function lessThan(by: Proof, error: unknown): Proof | undefined {
  if (!by.allowsLess || !(error instanceof HandshakeError)) return undefined;
  if (by.keys !== undefined && error.cause instanceof NoTlsError) return { ...by, keys: undefined };
  const isUnproven = error instanceof SecretError && by.secret !== undefined;
  return isUnproven ? { ...by, secret: undefined } : undefined;
}

/**
 * Dials `address` and asks `question`. The connection stays open.
 *
 * @param by how both nodes prove who they are
 * @throws {HandshakeError} if no answer comes in time, or it is not one of a node.
 * @throws {SecretError} if one of the two does not prove the secret.
 */
export async function ask(
  address: Address,
  question: Question,
  by: Proof,
): Promise<Answered> {
  try {
    return await askBy(address, question, by);
  } catch (error) {
    const less = lessThan(by, error);
    if (less === undefined) throw error;
    return await ask(address, question, less);
  }
}

async function askBy(address: Address, question: Question, by: Proof): Promise<Answered> {
  const { secret, keys } = by;
  const socket = await dial(address, keys);
  const conversation = new Conversation(socket, address);
  try {
    const answering = secret === undefined
      ? conversation.ask(question)
      : secret.asking((nonce) => conversation.askProven(question, { secret, nonce }));
    return await deadline(answering, ANSWER_MS);
  } catch (error) {
    closeQuietly(socket);
    if (error instanceof HandshakeError) throw error;
    throw new HandshakeError(`${formatAddress(address)} does not answer: ${messageOf(error)}`);
  }
}

/** Dials, asks, and closes the connection. */
export async function askOnce(
  address: Address,
  question: Question,
  by: Proof,
): Promise<Reply> {
  const { socket, reply } = await ask(address, question, by);
  closeQuietly(socket);
  return reply;
}

async function dial(address: Address, keys: TlsKeys | undefined): Promise<Socket> {
  try {
    if (keys !== undefined) return await connectTls(address, CONNECT_MS, keys);
    return await connect(address, CONNECT_MS);
  } catch (error) {
    // A name that has no address now may have one soon: machines and resolvers start when they like.
    throw new HandshakeError(`cannot reach ${formatAddress(address)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** What is said on one connection to another node. */
class Conversation {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #decoder = new ReplyDecoder();

  constructor(socket: Socket, address: Address) {
    this.#socket = socket;
    this.#name = formatAddress(address);
  }

  async ask(question: Question): Promise<Answered> {
    const reply = await this.#say(JSON.stringify(question));
    return this.#answered(typeof reply === "string" ? reply : "");
  }

  /** Asks, and both prove that they know the secret: see `secret.ts`. */
  async askProven(
    question: Question,
    { secret, nonce }: { secret: ClusterSecret; nonce: string },
  ): Promise<Answered> {
    const challenge = await this.#say(challengeOf(nonce));
    const asked = typeof challenge === "string" ? nonceOf(challenge) : undefined;
    if (asked === undefined) throw new HandshakeError(`${this.#name} is no dks node of this kind`);
    const nonces = { asker: nonce, asked };
    const text = JSON.stringify(question);
    const reply = await this.#say(text, await secret.prove("asks", nonces, [text]));
    const [answer, proof] = Array.isArray(reply) ? reply : [];
    if (typeof answer !== "string" || typeof proof !== "string") {
      throw new HandshakeError(`${this.#name} is no dks node of this kind`);
    }
    const said = [text, toText(answer) ?? ""];
    if (await secret.isProven(proof, { role: "answers", nonces, said })) {
      return this.#answered(answer);
    }
    throw new SecretError(`${this.#name} does not prove that it knows the cluster secret`);
  }

  #answered(answer: ByteString): Answered {
    const reply = parseReply(answer, this.#name);
    return { socket: this.#socket, reply, received: this.#decoder.takeRest() };
  }

  /**
   * Says something, and returns the reply.
   *
   * @throws {HandshakeError} if it is an error.
   */
  async #say(...words: readonly string[]): Promise<RespValue> {
    const command = encodeCommand([PEER_COMMAND, ...words.map(fromText)]);
    await writeAll(this.#socket, toBytes(command));
    for (;;) {
      const value = this.#decoder.next();
      if (value instanceof ErrorReply) throw this.#refusal(value);
      if (value !== undefined) return value;
      const count = await this.#socket.read(this.#decoder.space);
      if (count === null) throw new HandshakeError(`${this.#name} closed the connection`);
      this.#decoder.received(count);
    }
  }

  #refusal({ code, message }: ErrorReply): HandshakeError {
    return code === UNPROVEN
      ? new SecretError(`${this.#name} refuses this node: ${shown(message)}`)
      : new HandshakeError(`${this.#name} is no dks node: it says "${code} ${message}"`);
  }
}

function parseReply(answer: ByteString, name: string): Reply {
  const reply = parseJson(answer);
  if (!isIntroduction(reply)) throw new HandshakeError(`${name} is no dks node of this kind`);
  const { refusal } = reply as Partial<Reply>;
  if (refusal !== undefined && typeof refusal !== "string") {
    throw new HandshakeError(`${name} refuses with what is no text`);
  }
  return reply as Reply;
}

/**
 * Returns the question that the argument of a {@linkcode PEER_COMMAND} holds, or `undefined` if it
 * holds none.
 */
export function parseQuestion(text: string): Question | undefined {
  const question = parseJson(text);
  if (!isIntroduction(question)) return undefined;
  const { purpose, from, to, token, transaction } = question as Partial<Question>;
  if (!PURPOSES.some((known) => known === purpose)) return undefined;
  const isTyped = [from, to, token, transaction].every((word) =>
    word === undefined || typeof word === "string"
  );
  return isTyped ? question as Question : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(toText(text) ?? "");
  } catch {
    return undefined;
  }
}

/** Checks the types of an introduction only; its values may be wrong. */
function isIntroduction(value: unknown): value is Introduction {
  if (typeof value !== "object" || value === null) return false;
  const { config, instance, identity, clusterPosition, known, uptimeMs } = value as Partial<
    Introduction
  >;
  return typeof config === "object" && config !== null && hasProtocols(config) &&
    typeof instance === "string" && typeof uptimeMs === "number" &&
    // Another version may have other fields.
    (commonProtocol(OWN_PROTOCOLS, config) === undefined ||
      hasNumbers(config) && isClusterPosition(clusterPosition) &&
        isSighting(identity) && (known === undefined || isSighting(known)));
}

function hasProtocols(config: Partial<SharedConfig>): config is SaidProtocols {
  const { protocol, newestProtocol = protocol } = config;
  return Number.isInteger(protocol) && Number.isInteger(newestProtocol);
}

function isSighting(value: unknown): value is JournalSighting {
  if (typeof value !== "object" || value === null) return false;
  const { journal, incarnation, process, position } = value as Partial<JournalSighting>;
  return typeof journal === "string" && typeof process === "string" &&
    Number.isSafeInteger(incarnation) && Number.isSafeInteger(position);
}

/** Another version may have other ones. */
function hasNumbers(config: Partial<SharedConfig>): boolean {
  return COMPARED.every(([name]) => Number.isFinite(config[name]));
}

function isClusterPosition(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { view, cluster, names, listView } = value as Partial<ClusterPosition>;
  const hasNames = Array.isArray(names) && names.length <= NODES_MAX &&
    names.every((name) => typeof name === "string");
  const hasNumbers = Number.isSafeInteger(view) && Number.isSafeInteger(listView);
  if (!hasNames || !hasNumbers || typeof cluster !== "object" || cluster === null) {
    return false;
  }
  const { id, origin } = cluster as Partial<ClusterId>;
  const isOriginTyped = origin === undefined ||
    typeof origin === "object" && origin !== null && typeof origin.by === "string" &&
      Number.isFinite(origin.at) && Math.abs(origin.at) <= TIME_MS_MAX;
  return typeof id === "string" && isOriginTyped;
}

/** The latest time that a `Date` can hold. */
const TIME_MS_MAX = 8.64e15;

/** The numbers that must be the same on all nodes, with their flags and their units. */
const COMPARED = [
  ["keyBytesMax", "--max-key-bytes", ""],
  ["valueBytesMax", "--max-value-bytes", ""],
  ["leaseMs", "--lease", "ms"],
  ["suspicionMs", "--suspicion", "ms"],
  ["heartbeatMs", "--heartbeat", "ms"],
] as const;

/**
 * Returns how the configurations of two nodes differ, in one sentence that names both values, or
 * `undefined` if they agree.
 *
 * @param options `theirs`: the other node's configuration; `name`: its name
 */
export function difference(
  mine: SharedConfig,
  options: { theirs: SharedConfig; name: string },
): string | undefined {
  const { theirs, name } = options;
  if (commonProtocol(mine, theirs) === undefined) {
    const [their, own] = [describeProtocols(theirs), describeProtocols(mine)];
    return `${name} speaks ${their} of the peer protocol, this node ${own}: run the same dks everywhere`;
  }
  for (const [value, flag, unit] of COMPARED) {
    if (theirs[value] === mine[value]) continue;
    const [their, own] = [`${theirs[value]}${unit}`, `${mine[value]}${unit}`];
    return `${name} has ${flag} ${their}, this node ${own}: give every node the same`;
  }
  return undefined;
}

/**
 * Returns how the lists of two nodes differ that both have theirs from `--peers`, in one sentence
 * that has both; `undefined` if they are the same, or one has a list of a view, or none. The first
 * view needs the same list everywhere; from then on the list is a part of the view.
 *
 * @param options `theirs`: the other node's position; `name`: its name
 */
export function listDifference(
  mine: ClusterPosition,
  options: { theirs: ClusterPosition; name: string },
): string | undefined {
  const { theirs, name } = options;
  const isSettled = [mine, theirs].some((one) => one.listView > 0 || one.names.length === 0);
  if (isSettled || theirs.names.join() === mine.names.join()) return undefined;
  const list = quote(fromText(theirs.names.join()), SHOWN_MAX);
  return `the peer list of ${name} is ${list}, this node's is "${mine.names.join()}": give every node the same --peers`;
}

/**
 * Returns a sentence if two nodes belong to different clusters; `undefined` if they belong to one,
 * or one of them belongs to none yet.
 *
 * @param options `theirs`: the other node's position; `name`: its name
 */
export function clusterDifference(
  mine: ClusterPosition,
  options: { theirs: ClusterPosition; name: string },
): string | undefined {
  const { theirs, name } = options;
  if (mine.view === 0 || theirs.view === 0 || mine.cluster.id === theirs.cluster.id) {
    return undefined;
  }
  return `${name} is of another cluster (${describeClusterPosition(theirs)}) than this node ` +
    `(${
      describeClusterPosition(mine)
    }), and what its journal holds does not count here: of the two, empty ` +
    "the journal of the one that is to join the other";
}

/** Returns the configuration that all nodes must share, for these limits and times. */
export function sharedConfig(
  options: ViewTimes & {
    readonly keyBytesMax: number;
    readonly valueBytesMax: number;
  },
): SharedConfig {
  return {
    ...OWN_PROTOCOLS,
    keyBytesMax: options.keyBytesMax,
    valueBytesMax: options.valueBytesMax,
    leaseMs: options.leaseMs,
    suspicionMs: options.suspicionMs,
    heartbeatMs: options.heartbeatMs,
  };
}
