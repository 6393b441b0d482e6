/**
 * The pipeline of one connection: runs commands, and returns their replies in the order of the
 * commands.
 *
 * Commands run side by side: consecutive writes are under way together, and so are consecutive
 * reads; a read starts when the writes before it are answered, and a write when the reads before it
 * are. So a read sees the writes before it. Among consecutive writes the locks keep the order of
 * those that share a key: the line of a key is in order of age, and a retry keeps its age. Others
 * may take effect in any order: one may wait for a lock while those after it continue, and one may
 * fail while they succeed.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { OUTPUT_BYTES_MAX, PIPELINE_MAX } from "../../limits.ts";
import type { OutputQueue } from "../../output_queue.ts";
import { encodeBulk, encodeNull, encodeReply, encodeValue } from "../../resp/encoder.ts";
import { ErrorReply, OK, type RespValue, type RespVersion } from "../../resp/value.ts";
import { MUST_WAIT } from "../../two_phase/replica.ts";
import type { Outcome, Refusal, Requester } from "../../two_phase/request.ts";
import { now } from "../../clock.ts";
import type { Clocks } from "../../two_phase/clocks.ts";
import type { CommandOrder, Pause, RequestResult, Session } from "../commands/command.ts";
import { COMMANDS } from "../commands/table.ts";
import { busy, rejected } from "../commands/rejections.ts";
import type { Driver } from "../driver.ts";
import type { Admission } from "./admission.ts";
import { admit, type AdmittedCommand, isSilent } from "./gate.ts";
import { type CommandCounts, type CommandStatistics, timed } from "./command_statistics.ts";
import { replyOf } from "./outcome_reply.ts";
import type { Turns } from "./turns.ts";

const REPLY_OK = "+OK\r\n";

/** What a pipeline needs from its node. */
export interface PipelineNode {
  /** `undefined` until the node has found its own entry, and while it starts over. */
  readonly driver: Driver | undefined;
  /** The error for a client that comes too early. */
  readonly notReady: Refusal;
  /** How long a command may wait for earlier ones of its connection before it starts. */
  readonly waitMsMax: number;
  /** Which commands are held back by CLIENT PAUSE. */
  readonly pause: Pause;
  readonly statistics: CommandStatistics;
  /** Tells when to give timers their turn. */
  readonly turns: Turns;
  /** Which writes may begin. */
  readonly admission: Admission;
  /** A request of a client starts: a read or a write. */
  onRequest(): void;
  /** An invariant of the protocol is broken: the process must end. */
  onFatal(error: unknown): void;
}

/** What a pipeline needs from its connection. */
export interface PipelineHost {
  /** Runs `action`: if it fails, this connection ends, and no other. */
  attempt(action: () => void): void;
  /** Tells whether the connection ends with a command that was refused, without a reply. */
  endsConversation(words: readonly ByteString[]): boolean;
  /** Replies have become ready since their commands were run. */
  onReplies(): void;
}

/** Which commands wait until one is answered: a read has writes wait, a write has reads wait. */
type Blocks = "writes" | "reads" | "all" | "none";

/** A place in the order of replies. */
class Slot implements Requester {
  reply: ByteString | undefined;
  /** What a write has taken of the room for writes. */
  bytes = 0;
  /** The client wants no reply. */
  isMuted = false;
  counts: CommandCounts | undefined;
  /** Makes the reply of what was answered. */
  finish: RequestResult["finish"];

  /**
   * @param blocks which commands wait until this one is answered
   * @param version the version of the protocol when the command was read: the reply's, too
   */
  constructor(
    readonly pipeline: Pipeline,
    readonly blocks: Blocks,
    readonly version: RespVersion,
  ) {}

  onOutcome(outcome: Outcome): void {
    this.pipeline.onOutcome(this, outcome);
  }
}

/** Returns the session of the client that has made a request. */
export function sessionOf(requester: Requester | undefined): Session | undefined {
  return requester instanceof Slot ? requester.pipeline.session : undefined;
}

/** Runs the commands of one connection. */
export class Pipeline {
  readonly #session: Session;
  readonly #node: PipelineNode;
  readonly #host: PipelineHost;
  readonly #output: OutputQueue;
  /** Replies that are not ready, or follow one that is not; the oldest first. */
  #slots: Slot[] = [];
  #firstSlot = 0;
  #openReads = 0;
  #openWrites = 0;
  /** Bytes of replies that follow one that is not ready. */
  #waitingBytes = 0;
  /** A command that must wait for earlier ones. */
  #held: readonly ByteString[] | undefined;
  /** When the held command and those after it had arrived, on the local clock. */
  #heldSince = 0;
  /** The held command waits for the client to read, or by CLIENT PAUSE: that is not the node's fault. */
  #isNotLate = false;
  /** What is held waits for room among the writes of the node. */
  #waitsForRoom = false;
  /** Of the command that is being run. */
  #counts: CommandCounts | undefined;
  /** The client wants no reply to the command that is being run. */
  #isMuted = false;
  /** Why it was held last: there was no room for it. */
  #lackedRoom = false;
  /** The held commands are too old to start now. */
  #isOverdue = false;
  #isFlushPlanned = false;
  /** Read at most once for all reads that run one after the other, see {@linkcode onArrived}. */
  #clocks: Clocks | undefined;

  /** @param output where replies go, in the order of the commands */
  constructor(
    options: { session: Session; node: PipelineNode; host: PipelineHost; output: OutputQueue },
  ) {
    this.#session = options.session;
    this.#node = options.node;
    this.#host = options.host;
    this.#output = options.output;
  }

  get session(): Session {
    return this.#session;
  }

  /** No command is under way. */
  get isIdle(): boolean {
    return this.#slots.length === this.#firstSlot;
  }

  /** Bytes of replies that follow one that is not ready. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** A command that must wait for earlier ones; those after it must not start before it. */
  get held(): readonly ByteString[] | undefined {
    return this.#held;
  }

  /** Too many replies are waiting to start another command. */
  get isFull(): boolean {
    return this.#slots.length - this.#firstSlot >= PIPELINE_MAX ||
      this.#output.bytes + this.#waitingBytes > OUTPUT_BYTES_MAX;
  }

  /**
   * Commands have arrived, and are begun one after the other now, with nothing in between. One reading of
   * the clocks is enough for all of their reads: it comes after all of them were sent, and what the node
   * holds does not change before they are answered.
   */
  onArrived(): void {
    this.#clocks = undefined;
  }

  /** Starts the command, or holds it; then it is in {@linkcode held}, and no other may start. */
  begin(words: readonly ByteString[]): void {
    const command = admit(words, this.#session);
    if (command instanceof ErrorReply) {
      if (this.#host.endsConversation(words)) return;
      if (!this.isFull) this.#refuse(command, words);
      else this.#hold(words);
      return;
    }
    const order = command.order === "queued"
      ? this.#session.features?.transaction?.order ?? "none"
      : command.order;
    if (this.#node.pause !== "none" && this.#isPaused(order)) this.#hold(words, true);
    else if (!this.#mayBegin(order) || this.isFull) this.#hold(words);
    else if (order !== "write") this.#run(command, words, 0);
    else this.#beginWrite(command, words);
  }

  #isPaused(order: CommandOrder): boolean {
    return this.#node.pause === "all" || order === "write";
  }

  #beginWrite(command: AdmittedCommand, words: readonly ByteString[]): void {
    // While MULTI queues, a write is what carries out all that is queued.
    const bytes = bytesOf(words) + (this.#session.features?.transaction?.bytes ?? 0);
    const { admission } = this.#node;
    if (this.#isOverdue || admission.hasRoomFor(bytes)) {
      this.#run(command, words, bytes);
      return;
    }
    this.#hold(words);
    this.#lackedRoom = true;
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    admission.wait(bytes, () => {
      this.#waitsForRoom = false;
      this.#host.attempt(() => this.#host.onReplies());
    });
  }

  /** Bytes of the command that must wait. */
  get heldBytes(): number {
    return this.#held === undefined ? 0 : bytesOf(this.#held);
  }

  /** Answers a command that did not pass the gate. */
  #refuse(error: ErrorReply, words: readonly ByteString[]): void {
    this.#counts = undefined;
    const command = COMMANDS.find(words);
    const counts = command === undefined ? undefined : this.#node.statistics.of(command.index);
    if (counts !== undefined) counts.rejected++;
    this.#isMuted = isSilent(this.#session);
    this.#replyAtOnce(error);
    this.#isMuted = false;
  }

  /** Counts an error; `counts` are those of the command that it is a reply to. */
  #noteError({ code }: ErrorReply, counts: CommandCounts | undefined): void {
    this.#node.statistics.onError(code);
    if (counts !== undefined) counts.failed++;
  }

  #replyAtOnce(value: RespValue): void {
    if (value instanceof ErrorReply) this.#noteError(value, this.#counts);
    if (this.#isMuted) {
      this.#held = undefined;
      return;
    }
    this.#held = undefined;
    this.reply(encodeValue(value, this.#session.version));
  }

  #hold(words: readonly ByteString[], isPaused = false): void {
    // A command that is held again keeps its arrival time; and nothing is read meanwhile.
    if (this.#heldSince === 0) this.#heldSince = now();
    this.#held = words;
    this.#lackedRoom = false;
    this.#isNotLate = isPaused || this.#output.bytes > OUTPUT_BYTES_MAX;
  }

  /** Continues with held commands, by `runAll`: rejects those that have waited too long. */
  runHeld(runAll: () => void): void {
    if (this.#held === undefined) return;
    if (this.#isNotLate) this.#heldSince = now();
    this.#isOverdue = now() - this.#heldSince >= this.#node.waitMsMax;
    runAll();
    this.#isOverdue = false;
    if (this.#held === undefined) this.#heldSince = 0;
  }

  #mayBegin(order: CommandOrder): boolean {
    if (order === "read") return this.#openWrites === 0;
    if (order === "write") return this.#openReads === 0;
    if (order === "none") return true;
    return this.#openReads === 0 && this.#openWrites === 0;
  }

  #run(command: AdmittedCommand, words: readonly ByteString[], bytes: number): void {
    this.#held = undefined;
    const session = this.#session;
    session.lastCommand = command.index;
    const { statistics } = this.#node;
    const counts = statistics.of(command.index);
    this.#counts = counts;
    if (counts === undefined) return this.#execute(command, words, bytes);
    counts.calls++;
    if (statistics.hasMonitors) statistics.show(counts, words, session);
    if (!statistics.isTimed(counts)) return this.#execute(command, words, bytes);
    const ms = timed(() => this.#execute(command, words, bytes));
    statistics.took(counts, ms, { words, of: session });
    this.#node.turns.onCommand(ms);
  }

  #execute(command: AdmittedCommand, words: readonly ByteString[], bytes: number): void {
    if (command.name === "get" && this.#get(words[1] ?? "")) return;
    this.#isMuted = command.isMuted === true;
    const result = command.run(words, this.#session);
    if ("reply" in result) this.#replyAtOnce(result.reply);
    else if ("later" in result) this.#replyLater(result.later);
    else this.#submit(result, { bytes, isAlone: command.order === "alone" });
    this.#isMuted = false;
  }

  /** The most frequent command, on the shortest path. */
  #get(key: ByteString): boolean {
    const { driver } = this.#node;
    if (driver === undefined) return false;
    const value = driver.peek(key, this.#clocks ??= driver.readClocks());
    if (value === MUST_WAIT) return false;
    this.#node.onRequest();
    if (value === undefined) this.#node.statistics.keyspaceMisses++;
    else this.#node.statistics.keyspaceHits++;
    this.reply(value === undefined ? encodeNull(this.#session.version) : encodeBulk(value));
    return true;
  }

  #replyLater(later: Promise<RespValue>): void {
    const slot = new Slot(this, "writes", this.#session.version);
    slot.isMuted = this.#isMuted;
    slot.counts = this.#counts;
    this.#slots.push(slot);
    this.#openReads++;
    later.then(
      (reply) => slot.onOutcome({ kind: "answered", reply }),
      (error) =>
        this.#host.attempt(() => {
          throw error;
        }),
    );
  }

  /** @param about `isAlone`: nothing may begin before it is answered */
  #submit(
    { request, finish }: RequestResult,
    { bytes, isAlone }: { bytes: number; isAlone: boolean },
  ): void {
    const { driver } = this.#node;
    if (driver === undefined) {
      this.#replyAtOnce(rejected(this.#node.notReady));
      return;
    }
    this.#node.onRequest();
    if (this.#isOverdue) {
      this.#replyAtOnce(busy(this.#whyOverdue));
      return;
    }
    const blocks = isAlone ? "all" : request.kind === "write" ? "reads" : "writes";
    const slot = new Slot(this, blocks, this.#session.version);
    slot.bytes = bytes;
    slot.finish = finish;
    slot.isMuted = this.#isMuted;
    slot.counts = this.#counts;
    this.#slots.push(slot);
    if (blocks !== "writes") this.#openWrites++;
    if (blocks !== "reads") this.#openReads++;
    if (bytes > 0) this.#node.admission.enter(bytes);
    try {
      const { statistics } = this.#node;
      driver.submit(request.kind === "read" ? statistics.counted(request) : request, slot);
    } catch (error) {
      this.#node.onFatal(error); // Not this connection's fault: the protocol itself is broken.
    }
  }

  get #whyOverdue(): string {
    if (!this.#lackedRoom) return "earlier commands of its connection took all of its time";
    const megabytes = Math.ceil(this.#node.admission.bytes / 2 ** 20);
    return `it found no room in time: ${megabytes} MiB of other writes are under way`;
  }

  /** Adds a reply that is ready, after those of earlier commands. */
  reply(reply: ByteString): void {
    if (this.isIdle) {
      this.#output.append(reply);
      return;
    }
    const slot = new Slot(this, "none", this.#session.version);
    slot.reply = reply;
    this.#waitingBytes += reply.length;
    this.#slots.push(slot);
  }

  /** A request of this connection has ended. */
  onOutcome(slot: Slot, outcome: Outcome): void {
    this.#host.attempt(() => this.#take(slot, outcome));
  }

  #take(slot: Slot, outcome: Outcome): void {
    const { blocks, version, bytes, finish } = slot;
    if (blocks !== "writes") this.#openWrites--;
    if (blocks !== "reads") this.#openReads--;
    if (bytes > 0) this.#node.admission.leave(bytes);
    const finished: Outcome = finish === undefined || outcome.kind !== "answered"
      ? outcome
      : { kind: "answered", reply: finish(outcome.reply as RespValue) };
    if (finished.kind !== "answered" || finished.reply instanceof ErrorReply) {
      this.#noteError(replyOf(finished) as ErrorReply, slot.counts);
    }
    slot.reply = encodeOutcome(finished, version);
    if (slot.isMuted) slot.reply = "";
    this.#waitingBytes += slot.reply.length;
    this.#collect();
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    const flush = () =>
      this.#host.attempt(() => {
        this.#isFlushPlanned = false;
        this.#host.onReplies();
      });
    const { driver } = this.#node;
    // While a node starts over it has none.
    if (driver === undefined) queueMicrotask(flush);
    else driver.replyLater(flush);
  }

  /** Moves ready replies that no other reply precedes to the output. */
  #collect(): void {
    for (let slot = this.#slots[this.#firstSlot]; slot?.reply !== undefined;) {
      this.#output.append(slot.reply);
      this.#waitingBytes -= slot.reply.length;
      slot = this.#slots[++this.#firstSlot];
    }
    if (this.isIdle) {
      this.#slots.length = 0;
      this.#firstSlot = 0;
    } else if (this.#firstSlot > PIPELINE_MAX) {
      this.#slots.splice(0, this.#firstSlot);
      this.#firstSlot = 0;
    }
  }
}

function bytesOf(words: readonly ByteString[]): number {
  let bytes = 0;
  for (const word of words) bytes += word.length;
  return bytes;
}

function encodeOutcome(outcome: Outcome, version: RespVersion): ByteString {
  if (outcome.kind !== "answered") return encodeValue(replyOf(outcome), version);
  return outcome.reply === OK ? REPLY_OK : encodeReply(replyOf(outcome), version);
}
