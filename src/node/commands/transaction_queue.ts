/**
 * What a client puts together with WATCH and MULTI, and what EXEC makes of it: one request.
 *
 * The request names the keys of all queued commands and of WATCH. Its evaluation finds out, under the
 * locks, whether the watched keys have the versions that WATCH saw, and evaluates one command after the
 * other, each on what those before it have left. So all of them take effect at one moment, or none.
 *
 * A version is that of the transaction that wrote the key last, through whatever node; a key that does
 * not exist, or whose time to live is over, has version 0.
 *
 * Commands that are no request, such as PING and PUBLISH, run when the request is answered, in their order;
 * not if it is not answered, or has found a watched key changed.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import {
  KEYS_PER_COMMAND_MAX,
  QUEUED_COMMANDS_MAX,
  REPLY_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_READ_BYTES_MAX,
} from "../../limits.ts";
import { EVERYTHING } from "../../reserved_keys.ts";
import { eventsOf } from "../../key_events.ts";
import { encodeCommand, replyBytes, tooLong } from "../../resp/encoder.ts";
import { ErrorReply, NULL_ARRAY, OK, type RespValue } from "../../resp/value.ts";
import type { Effect, KeyRecord, Stamp } from "../../two_phase/messages.ts";
import type {
  Evaluation,
  KeyFacts,
  KeyReader,
  ReadRequest,
  Request,
  WriteRequest,
} from "../../two_phase/request.ts";
import {
  type ClientTransaction,
  type CommandOrder,
  type CommandResult,
  featuresOf,
  type Restriction,
  type RunnableCommand,
  type Session,
} from "./command.ts";
import { notesReads } from "./tracking.ts";

/** A request on keys. */
type KeyRequest = ReadRequest | WriteRequest;

/** A command that waits for EXEC. */
type Queued =
  & { readonly words: readonly ByteString[]; readonly command: RunnableCommand }
  & (
    /** It has come to its end: it has a syntax error. */
    | { readonly reply: RespValue }
    | { readonly request: KeyRequest }
    /** It runs when all others have taken effect. */
    | { readonly isLate: true }
  );

/** What is counted for a command or a watched key besides its bytes. */
const OVERHEAD_BYTES = 64;

export const NOT_IN_A_TRANSACTION: ErrorReply = new ErrorReply(
  "ERR",
  "Command not allowed inside a transaction",
);

const EXEC_ABORTED = new ErrorReply(
  "EXECABORT",
  "Transaction discarded because of previous errors.",
);

/** Peers take no transaction with more. */
const TOO_LARGE = new ErrorReply(
  "ERR",
  `the keys of a transaction, and what it writes, have at most ${TRANSACTION_BYTES_MAX} bytes together`,
);

const READS_TOO_MUCH = new ErrorReply(
  "ERR",
  `the values that a transaction reads have at most ${TRANSACTION_READ_BYTES_MAX} bytes together`,
);

/** Found out before anything takes effect: a plain error says that nothing has. */
const REPLIES_TOO_LONG = new ErrorReply(
  "ERR",
  `the replies of a transaction have at most ${REPLY_BYTES_MAX} bytes together`,
);

/**
 * What is kept of the whole reply for one command that runs late: an error fits there, if its reply does
 * not.
 */
const LATE_REPLY_BYTES = 128;

/** What is counted for the whole reply besides the replies in it. */
const REPLY_HEAD_BYTES = 16;

/** What a client has begun with MULTI or WATCH. */
export class TransactionQueue implements ClientTransaction {
  /** What was queued since MULTI; `undefined` if there is none under way. */
  #queue: Queued[] | undefined;
  #queueBytes = 0;
  needsMemory = false;
  /** A command could not be queued: EXEC does nothing. */
  #isBroken = false;
  #watched = new Map<ByteString, Stamp>();
  #watchedBytes = 0;
  /** How many WATCHes were not answered: it is not known whether their keys have changed. */
  #openWatches = 0;

  get isQueueing(): boolean {
    return this.#queue !== undefined;
  }

  get queued(): number {
    return this.#queue?.length ?? 0;
  }

  get bytes(): number {
    return this.#queueBytes + this.#watchedBytes;
  }

  get order(): CommandOrder {
    const isWrite = this.#queue?.some((one) => "request" in one && one.request.kind === "write");
    return isWrite === true ? "write" : "read";
  }

  begin(): void {
    this.#queue = [];
  }

  breakOff(): void {
    this.#isBroken = true;
    this.#queue?.splice(0);
    this.#queueBytes = 0;
  }

  add(
    command: RunnableCommand,
    words: readonly ByteString[],
    session: Session,
  ): ErrorReply | undefined {
    const refusal = this.#add(command, words, session);
    if (refusal !== undefined) this.breakOff();
    return refusal;
  }

  #add(
    command: RunnableCommand,
    words: readonly ByteString[],
    session: Session,
  ): ErrorReply | undefined {
    const queue = this.#queue;
    if (queue === undefined || this.#isBroken) return undefined;
    if (queue.length >= QUEUED_COMMANDS_MAX) {
      return new ErrorReply("ERR", `more than ${QUEUED_COMMANDS_MAX} commands in one transaction`);
    }
    this.#queueBytes += OVERHEAD_BYTES;
    for (const word of words) this.#queueBytes += word.length;
    if (this.#queueBytes > TRANSACTION_BYTES_MAX) {
      const message =
        `the commands of a transaction have at most ${TRANSACTION_BYTES_MAX} bytes together`;
      return new ErrorReply("ERR", message);
    }
    if (command.order !== "read" && command.order !== "write") {
      queue.push({ words, command, isLate: true });
      return undefined;
    }
    const result = command.run(words, session);
    if ("reply" in result) queue.push({ words, command, reply: result.reply });
    else if ("request" in result && isOfKeys(result.request)) {
      queue.push({ words, command, request: result.request });
    } else return NOT_IN_A_TRANSACTION;
    return undefined;
  }

  discard(): void {
    this.#queue = undefined;
    this.#queueBytes = 0;
    this.needsMemory = false;
    this.#isBroken = false;
    this.unwatch();
  }

  // --- WATCH ---------------------------------------------------------------------------------

  watch(keys: readonly ByteString[]): CommandResult {
    const added = [...new Set(keys)].filter((key) => !this.#watched.has(key));
    if (this.#watched.size + added.length > KEYS_PER_COMMAND_MAX) {
      const message = `more than ${KEYS_PER_COMMAND_MAX} watched keys`;
      return { reply: new ErrorReply("ERR", message) };
    }
    this.#openWatches++;
    const watched = this.#watched;
    return {
      request: {
        kind: "read",
        keys: added,
        evaluate: (_read, facts) => added.map((key) => versionOf(key, facts)),
      },
      finish: (versions) => {
        // Those of before UNWATCH are of no interest any more.
        if (watched === this.#watched) this.#saw(added, versions as readonly Stamp[]);
        return OK;
      },
    };
  }

  #saw(keys: readonly ByteString[], versions: readonly Stamp[]): void {
    this.#openWatches--;
    keys.forEach((key, at) => {
      this.#watched.set(key, versions[at] ?? 0);
      this.#watchedBytes += key.length + OVERHEAD_BYTES;
    });
  }

  unwatch(): void {
    this.#watched = new Map();
    this.#watchedBytes = 0;
    this.#openWatches = 0;
  }

  // --- EXEC ----------------------------------------------------------------------------------

  execute(session: Session): CommandResult {
    const taken = this.#take();
    if ("reply" in taken) return taken;
    if (this.#openWatches > 0) {
      this.unwatch();
      return { reply: NULL_ARRAY };
    }
    const queue = stillAllowed(taken, session);
    const request = this.#request(queue);
    if (request instanceof ErrorReply) return { reply: request };
    const { features } = session;
    const hasLate = queue.some((one) => "isLate" in one);
    const isCachingSaid = features?.isCachingSaid === true;
    const finish = hasLate || features?.tracking !== undefined
      ? (answer: RespValue) =>
        Array.isArray(answer) ? finishAll(queue, answer, { session, isCachingSaid }) : answer
      : undefined;
    if (request.keys.length > 0) return { request, finish };
    const replies = queue.map((one) => "reply" in one ? one.reply : null);
    return { reply: finish === undefined ? replies : finish(replies) };
  }

  executeOnce(session: Session):
    | { readonly write: WriteRequest; readonly words: readonly ByteString[] }
    | { readonly reply: RespValue } {
    const queue = this.#take();
    if ("reply" in queue) return queue;
    // The answer that is stored for the token may have what the client may not read any more.
    const denied = whyNoLonger(queue, session);
    if (denied !== undefined) {
      this.unwatch();
      return { reply: denied };
    }
    const late = queue.find((one) => "isLate" in one || one.command.flags.includes("admin"));
    if (late !== undefined) {
      this.unwatch();
      const name = (late.words[0] ?? "").toUpperCase();
      return { reply: new ErrorReply("ERR", `DKS.ONCE EXEC takes commands of keys, not ${name}`) };
    }
    const request = this.#request(queue);
    if (request instanceof ErrorReply) return { reply: request };
    const words = ["EXEC", ...queue.map((one) => encodeCommand(one.words))];
    return { write: asWrite(request), words };
  }

  /** Ends what MULTI has begun: what was queued, or the reply if nothing of that is to be done. */
  #take(): readonly Queued[] | { readonly reply: RespValue } {
    const queue = this.#queue ?? [];
    const isBroken = this.#isBroken;
    this.#queue = undefined;
    this.#queueBytes = 0;
    this.needsMemory = false;
    this.#isBroken = false;
    if (!isBroken) return queue;
    this.unwatch();
    return { reply: EXEC_ABORTED };
  }

  #request(queue: readonly Queued[]): KeyRequest | ErrorReply {
    const watched = this.#watched;
    // Under a token it is asked for nevertheless: the first one may have been done.
    const isUnknown = this.#openWatches > 0;
    this.unwatch();
    const requests = queue.flatMap((one) => "request" in one ? [one.request] : []);
    const keys = new Set(watched.keys());
    for (const request of requests) for (const key of request.keys) keys.add(key);
    if (keys.size > KEYS_PER_COMMAND_MAX) {
      return new ErrorReply("ERR", `more than ${KEYS_PER_COMMAND_MAX} keys in one transaction`);
    }
    let keyBytes = 0;
    for (const key of keys) keyBytes += key.length;
    if (keyBytes > TRANSACTION_BYTES_MAX) return TOO_LARGE;
    const evaluate = (read: KeyReader, facts: KeyFacts): Evaluation => {
      if (isUnknown) return { effects: [], reply: NULL_ARRAY };
      for (const [key, version] of watched) {
        if (versionOf(key, facts) !== version) return { effects: [], reply: NULL_ARRAY };
      }
      return evaluateAll(queue, new Overlay(read, facts), keyBytes);
    };
    return requests.some(({ kind }) => kind === "write")
      ? { kind: "write", keys: [...keys], evaluate }
      : {
        kind: "read",
        keys: [...keys],
        evaluate: (read, facts) => evaluate(read, facts).reply,
      };
  }
}

/** Returns what was queued, with an error in the place of each command that the client may not run any more. */
function stillAllowed(queue: readonly Queued[], { restriction }: Session): readonly Queued[] {
  if (restriction === undefined) return queue;
  return queue.map((one) => {
    const denied = denialOf(one, restriction);
    return denied === undefined ? one : { words: one.words, command: one.command, reply: denied };
  });
}

/** Returns the error of the first queued command that the client may not run any more. */
function whyNoLonger(
  queue: readonly Queued[],
  { restriction }: Session,
): ErrorReply | undefined {
  if (restriction === undefined) return undefined;
  for (const one of queue) {
    const denied = denialOf(one, restriction);
    if (denied !== undefined) return denied;
  }
  return undefined;
}

function denialOf({ words, command }: Queued, restriction: Restriction): ErrorReply | undefined {
  const reason = restriction.whyNoLonger(command, words);
  if (reason === undefined) return undefined;
  const message = "ACLs rules changed between the moment the transaction was accumulated and the " +
    `EXEC call. This command is no longer allowed for the following reason: ${reason}`;
  return new ErrorReply("NOPERM", message);
}

/** What concerns all keys at once cannot be put together with other commands. */
function isOfKeys(request: Request): request is KeyRequest {
  return request.kind !== "barrier" && !request.keys.includes(EVERYTHING);
}

function versionOf(key: ByteString, facts: KeyFacts): Stamp {
  return facts.recordOf(key)?.version ?? 0;
}

/** Evaluates the queued requests one after the other. */
function evaluateAll(queue: readonly Queued[], keys: Overlay, keyBytes: number): Evaluation {
  const replies: RespValue[] = [];
  let bytes = REPLY_HEAD_BYTES;
  for (const one of queue) {
    // A place is kept for what runs late.
    const reply = "request" in one ? keys.evaluate(one.request) : "reply" in one ? one.reply : null;
    replies.push(reply);
    bytes += bytesInReply(one, reply);
    if (keyBytes + keys.bytes > TRANSACTION_BYTES_MAX) return { effects: [], reply: TOO_LARGE };
    if (keys.readBytes > TRANSACTION_READ_BYTES_MAX) return { effects: [], reply: READS_TOO_MUCH };
    if (bytes > REPLY_BYTES_MAX) return { effects: [], reply: REPLIES_TOO_LONG };
  }
  return { effects: keys.effects, reply: replies };
}

/** Returns what the reply of a command is counted for. */
function bytesInReply(one: Queued, reply: RespValue): number {
  return "isLate" in one ? LATE_REPLY_BYTES : replyBytes(reply);
}

/**
 * Does what is left to do when a transaction is answered, see {@linkcode runLate}.
 *
 * @param by `isCachingSaid`: CLIENT CACHING had said something of this EXEC
 */
function finishAll(
  queue: readonly Queued[],
  answers: readonly RespValue[],
  by: { session: Session; isCachingSaid: boolean },
): RespValue {
  const { session } = by;
  const features = featuresOf(session);
  // What it has said since is of a command behind this one.
  const { isCachingSaid } = features;
  features.isCachingSaid = by.isCachingSaid;
  const replies = runLate(queue, answers, session);
  features.isCachingSaid = isCachingSaid;
  return replies;
}

/**
 * Runs the commands that are no requests, and puts their replies into their places; an error in the place of
 * one that makes the whole too long: what was queued has taken effect. What was read is noted in the order of
 * the queue, as some of these commands say whether it is.
 */
function runLate(
  queue: readonly Queued[],
  answers: readonly RespValue[],
  session: Session,
): RespValue {
  let bytes = REPLY_HEAD_BYTES;
  queue.forEach((one, at) => bytes += bytesInReply(one, answers[at] ?? null));
  return queue.map((one, at) => {
    if (!("isLate" in one)) {
      noteReads(one, session);
      return answers[at] ?? null;
    }
    const result = one.command.run(one.words, session);
    const reply = "reply" in result ? result.reply : NOT_IN_A_TRANSACTION;
    const more = Math.max(0, replyBytes(reply) - LATE_REPLY_BYTES);
    if (bytes + more > REPLY_BYTES_MAX) return tooLong(bytes + more);
    bytes += more;
    return reply;
  });
}

function noteReads(one: Queued, session: Session): void {
  if (!("request" in one) || one.command.order !== "read" || !notesReads(session)) return;
  session.node.tracking.onRead(session, one.request.keys);
}

function asWrite(request: KeyRequest): WriteRequest {
  if (request.kind === "write") return request;
  const { keys } = request;
  return {
    kind: "write",
    keys,
    evaluate: (read, facts) => ({ effects: [], reply: request.evaluate(read, facts) }),
  };
}

/** The keys as the commands of one transaction see them, with what those before have done to them. */
class Overlay implements KeyFacts {
  readonly #read: KeyReader;
  readonly #facts: KeyFacts;
  readonly #effects = new Map<ByteString, Effect>();
  #bytes = 0;
  #readBytes = 0;

  constructor(read: KeyReader, facts: KeyFacts) {
    this.#read = read;
    this.#facts = facts;
  }

  /** What all of them together do: one effect for each key. */
  get effects(): readonly Effect[] {
    return [...this.#effects.values()];
  }

  /** How many bytes the values and events of the effects have. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many bytes the values have that were read, counted each time. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** Evaluates `request`, notes its effects, and returns its reply. */
  evaluate(request: KeyRequest): RespValue {
    if (request.kind === "read") return request.evaluate(this.read, this) as RespValue;
    const { effects, reply } = request.evaluate(this.read, this);
    for (const effect of effects) {
      const before = this.#effects.get(effect.key);
      const after = before === undefined ? effect : behind(before, effect);
      this.#bytes += bytesOf(after) - bytesOf(before);
      this.#effects.set(effect.key, after);
    }
    return reply as RespValue;
  }

  readonly read: KeyReader = (key) => {
    const effect = this.#effects.get(key);
    const value = effect === undefined ? this.#read(key) : effect.value;
    this.#readBytes += value?.length ?? 0;
    return value;
  };

  recordOf(key: ByteString): KeyRecord | undefined {
    const effect = this.#effects.get(key);
    if (effect === undefined) return this.#facts.recordOf(key);
    return effect.value === undefined ? undefined : { ...effect, version: this.version };
  }

  get nowMs(): number {
    return this.#facts.nowMs;
  }

  get version(): Stamp {
    return this.#facts.version;
  }
}

/** Returns an effect that has the events of the one before it, too. */
function behind(before: Effect, effect: Effect): Effect {
  return { ...effect, events: eventsOf(before) + eventsOf(effect) };
}

function bytesOf(effect: Effect | undefined): number {
  return (effect?.value?.length ?? 0) + (effect?.events?.length ?? 0);
}
