/**
 * A link: the connection to one peer, which carries frames.
 *
 * At most one write is under way. Messages that are added meanwhile collect for the next write, so
 * that a slow moment makes larger writes, not more of them (`link_output.ts`). If they become too
 * many, the link is closed, and the next link starts by sending everything that is still open. A
 * probe every half second, or every second if nothing else is sent, shows whether the peer is alive;
 * a link that has been silent for too long is closed and counts as down.
 *
 * @module
 */

import { MalformedError } from "../../byte_reader.ts";
import { ByteWriter } from "../../byte_writer.ts";
import { LINK_BYTES_MAX, PIECE_BYTES, TAKEN_BYTES_STEP } from "../../limits.ts";
import type { Message, NodeId, Prepare } from "../../two_phase/messages.ts";
import { invariant } from "../../invariant.ts";
import { now } from "../../clock.ts";
import type { PubSubMessage } from "../pubsub/messages.ts";
import { FrameReader } from "./frames.ts";
import { LinkOutput } from "./link_output.ts";
import { type LinkMessage, type MessageSink, type NodeReport, writeMessage } from "./messages.ts";
import { PROTOCOL_NEWEST } from "./protocols.ts";
import { closeQuietly, type Socket, writeAtOnce } from "../../socket.ts";

/** The time between probes. */
export const PROBE_MS = 500;

/** A link that has been silent for this long is closed. */
export const SILENCE_MS = 3000;

/** While a large message arrives, the owner is told this often, in milliseconds. */
const PART_HEARD_MS = 100;

/** What a link needs from its owner. */
export interface LinkOwner {
  onMessage(from: NodeId, message: Message): void;
  /** What publish and subscribe have to say: none of it is the protocol's. */
  onPubSub(from: NodeId, message: PubSubMessage): void;
  /** A part of a large message has arrived. */
  onPart(from: NodeId): void;
  /** The peer has taken in a part of what is sent to it, and more waits to be sent. */
  onTaken(peer: NodeId): void;
  /** The link is closed, for the reason given. Called once. */
  onClosed(link: PeerLink, reason: string): void;
  /** Returns what this node reports about itself. */
  report(): NodeReport;
}

/** An established connection to a peer. */
export class PeerLink {
  readonly peer: NodeId;
  /** The version of the protocol that the two nodes speak on this link. */
  readonly protocol: number;
  /** Round-trip time of the last probe in milliseconds, `undefined` before the first answer. */
  roundTripMs: number | undefined;
  /** The peer's last report about itself; `undefined` before the first. */
  report: NodeReport | undefined;
  readonly #socket: Socket;
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #output: LinkOutput;
  /** Bytes processed since the peer was last told. */
  #takenBytes = 0;
  #partHeardAt = 0;
  #isWriting = false;
  #isClosed = false;
  #lastHeard = now();
  #lastCheck = now();
  #probeSequence = 0;
  #probeSentAt = 0;
  /** It is time for a probe: the next message takes it along. */
  #isProbeDue = false;
  /** An answer to a probe was added. */
  #owesAnswer = false;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onMessage = (message: LinkMessage) => this.#receive(message);
  readonly #closed = Promise.withResolvers<void>();

  /**
   * @param options `received`: bytes that came on `socket` after the handshake; `protocol`: the version of
   * the protocol that both nodes speak
   */
  constructor(
    options: {
      peer: NodeId;
      protocol: number;
      socket: Socket;
      owner: LinkOwner;
      received: Uint8Array;
    },
  ) {
    const { peer, protocol, received } = options;
    this.peer = peer;
    this.protocol = protocol;
    this.#output = new LinkOutput(protocol);
    this.#socket = options.socket;
    this.#owner = options.owner;
    this.#reader = new FrameReader(received, protocol);
    this.#timer = setInterval(() => this.#probe(), PROBE_MS);
  }

  /** Resolves when the link is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** How many bytes wait to be sent. */
  get waitingBytes(): number {
    return this.#output.bytes;
  }

  /** Starts reading. */
  start(): void {
    this.#sendProbe();
    this.flush();
    this.#readAll();
  }

  /** Adds `message` to the frames that {@linkcode flush} sends. */
  send(message: LinkMessage): void {
    if (this.#isProbeDue) this.#sendProbe();
    this.#output.add(message);
  }

  /** Adds an encoded message. */
  sendEncoded(message: Uint8Array): void {
    this.#output.addEncoded(message);
  }

  /** Sends what was added, as soon as the previous write is done. */
  flush(): void {
    if (this.#isClosed) return;
    if (this.#output.bytes > LINK_BYTES_MAX) {
      this.close(`it does not take in what it is sent: more than ${LINK_BYTES_MAX} bytes wait`);
      return;
    }
    if (this.#isWriting) return;
    const bytes = this.#output.next();
    if (bytes === undefined) return;
    this.#isWriting = true;
    this.#writeFrom(bytes);
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    closeQuietly(this.#socket);
    this.#owner.onClosed(this, reason);
    this.#closed.resolve();
  }

  /** Writes `first`, and then whatever else there is to write. */
  async #writeFrom(first: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      for (let bytes: Uint8Array | undefined = first; bytes !== undefined && !this.#isClosed;) {
        const writing = writeAtOnce(this.#socket, bytes);
        if (writing !== undefined) await writing; // Mostly it is done already.
        bytes = this.#output.next();
      }
    } catch (error) {
      this.close(reasonOf(error));
    }
    this.#isWriting = false;
  }

  /** Reads until the link is closed. Does not catch errors of the owner: they end the process. */
  async #readAll(): Promise<void> {
    this.#drain();
    while (!this.#isClosed) {
      const count = await this.#read();
      if (this.#isClosed) return;
      if (count === null) {
        this.close("the peer closed the connection");
        return;
      }
      this.#lastHeard = now();
      this.#reader.received(count);
      this.#drain();
      this.#take(count);
    }
  }

  /** `count` bytes were processed: tells the peer if enough have gathered. */
  #take(count: number): void {
    if (this.#isClosed) return;
    if (this.#reader.isInMessage && this.#lastHeard - this.#partHeardAt >= PART_HEARD_MS) {
      this.#partHeardAt = this.#lastHeard;
      this.#owner.onPart(this.peer);
    }
    this.#takenBytes += count;
    if (this.#takenBytes < TAKEN_BYTES_STEP) return;
    this.send({ type: "taken", bytes: this.#takenBytes });
    this.#takenBytes = 0;
    this.flush();
  }

  async #read(): Promise<number | null> {
    try {
      return await this.#socket.read(this.#reader.space);
    } catch (error) {
      this.close(reasonOf(error));
      return null;
    }
  }

  #drain(): void {
    try {
      this.#reader.drain(this.#onMessage);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.close(error.message);
    }
    if (!this.#owesAnswer) return;
    this.#owesAnswer = false;
    // Behind what the rest of these frames has the node say at the end of this turn: one frame takes both.
    queueMicrotask(() => this.flush());
  }

  #receive(message: LinkMessage): void {
    if (this.#isClosed) return;
    switch (message.type) {
      case "probe":
        this.report = message;
        this.send({ type: "probeAnswer", sequence: message.sequence });
        this.#owesAnswer = true;
        return;
      case "probeAnswer":
        if (message.sequence === this.#probeSequence) {
          this.roundTripMs = now() - this.#probeSentAt;
        }
        return;
      case "publication":
      case "subscriptions":
      case "subscriptionsKnown":
        this.#owner.onPubSub(this.peer, message);
        return;
      case "taken":
        this.#output.taken(message.bytes);
        if (this.#output.bytes > PIECE_BYTES) this.#owner.onTaken(this.peer);
        this.flush();
        return;
      default:
        this.#owner.onMessage(this.peer, message);
    }
  }

  #probe(): void {
    const time = now();
    // A process that stood still itself has heard nothing for that reason: it must listen before it
    // judges.
    if (time - this.#lastCheck > 2 * PROBE_MS) this.#lastHeard = time;
    this.#lastCheck = time;
    if (time - this.#lastHeard > SILENCE_MS) {
      this.close(`it was silent for ${SILENCE_MS / 1000} s`);
      return;
    }
    // Each frame wakes the peer up: a heartbeat or something else takes the probe along. Or nothing has, since.
    if (!this.#isProbeDue) {
      this.#isProbeDue = true;
      return;
    }
    this.#sendProbe();
    this.flush();
  }

  #sendProbe(): void {
    this.#isProbeDue = false;
    this.#probeSentAt = now();
    this.#output.add({
      type: "probe",
      sequence: ++this.#probeSequence,
      ...this.#owner.report(),
    });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const scratch = new ByteWriter(4096);

const scratchSink = {
  protocol: PROTOCOL_NEWEST as number,
  begin: (kind: number): ByteWriter => {
    scratch.uint8(kind);
    return scratch;
  },
  addToRun: (): void => invariant(false, "a message of a run is not encoded by itself"),
} satisfies MessageSink;

/** Memory that is kept between prepares. */
const SCRATCH_BYTES_MAX = 1024 * 1024;

/**
 * Returns the encoding of a message that goes to several peers whose links have the same version of the
 * protocol. A short encoding shares memory with the next one: pass it to {@linkcode PeerLink.sendEncoded}
 * before you encode the next.
 */
export function encodeOnce(prepare: Prepare, protocol: number): Uint8Array {
  scratch.reset(SCRATCH_BYTES_MAX);
  scratchSink.protocol = protocol;
  writeMessage(scratchSink, prepare);
  const { bytes } = scratch;
  return bytes.length > PIECE_BYTES ? bytes.slice() : bytes;
}
