/**
 * The driver: runs one replica on real time, a real journal and real links.
 *
 * Whatever happens within one turn of the event loop goes into the replica at once; what the replica
 * wants is carried out when the turn ends. So everything that arrived together shares one journal
 * write and one frame for each peer, and a lone request waits for nothing: there is no timer in it.
 *
 * @module
 */

import type { Clocks } from "../two_phase/clocks.ts";
import type { Request, Requester } from "../two_phase/request.ts";
import { type Answer, type Effects, LEASE_OVER, type ProtocolEvent } from "../two_phase/outbox.ts";
import type {
  JournalRecord,
  JournalSighting,
  KeyRecord,
  Message,
  NodeId,
  NodeSet,
} from "../two_phase/messages.ts";
import type { Input, MUST_WAIT, Replica } from "../two_phase/replica.ts";
import type { PeerIdentity } from "../two_phase/membership.ts";
import type { Store } from "../two_phase/store.ts";
import type { ByteString } from "../byte_string.ts";
import { clocks } from "../clock.ts";
import type { CheckpointOptions, Journal } from "./storage/journal.ts";

/** How often the replica is told that time has passed. */
const TICK_MS = 20;

/** Who carries messages to other nodes. */
export interface Transport {
  send(to: NodeSet, message: Message): void;
  /** Everything for this turn was sent: it may leave. */
  flush(): void;
}

/** Runs one replica. */
export class Driver {
  readonly replica: Replica;
  readonly #journal: Journal;
  readonly #transport: Transport;
  readonly #onEvent: (event: ProtocolEvent) => void;
  readonly #afterFlush: (() => void)[] = [];
  /** The time at which the present turn began. */
  #turnBeganAt = clocks();
  #isFlushScheduled = false;
  #isFlushing = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: {
    replica: Replica;
    journal: Journal;
    transport: Transport;
    onEvent: (event: ProtocolEvent) => void;
  }) {
    this.replica = options.replica;
    this.#journal = options.journal;
    this.#transport = options.transport;
    this.#onEvent = options.onEvent;
  }

  /** Begins to tell the replica the time. */
  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#scheduleFlush();
  }

  /** Tells the replica that time has passed. */
  tick(): void {
    this.#step({ type: "tick" });
    this.flush();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Takes a client's request in; `client` is told the outcome. */
  submit(request: Request, requester: Requester): void {
    this.#step({ type: "request", request, requester });
  }

  /** Takes in a message from another node. */
  receive(from: NodeId, message: Message): void {
    this.#step({ type: "message", from, message });
  }

  /** Takes note that a part of a large message has come from another node. */
  receivePart(from: NodeId): void {
    this.#step({ type: "messagePart", from });
  }

  peerUp(
    peer: NodeId,
    said: { readonly identity: PeerIdentity; readonly known: JournalSighting | undefined },
  ): void {
    this.#step({ type: "peerUp", peer, ...said });
  }

  peerDown(peer: NodeId): void {
    this.#step({ type: "peerDown", peer });
  }

  /** Has `action` done at the end of this turn, after the answers of the turn were given. */
  afterTurn(action: () => void): void {
    this.#afterFlush.push(action);
    this.#scheduleFlush();
  }

  /**
   * Has the journal put a checkpoint in the place of what it holds of the past. Resolves when that is done.
   *
   * @throws {FatalError} where the journal fails; the node was told so already.
   */
  async checkpoint(): Promise<void> {
    // What the replica knows now and what was appended so far must be the same.
    this.flush();
    const { replica } = this;
    await this.#journal.checkpoint(checkpointOf(replica.store, replica.checkpoint()));
  }

  #step(input: Input): void {
    this.#scheduleFlush();
    this.replica.step(input, this.#turnBeganAt);
  }

  /** Begins a turn, where none is under way: it ends when everything that is ready was taken in. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled || this.#isFlushing) return;
    this.#isFlushScheduled = true;
    // One look at the clocks a turn: it is a call into the runtime, and a turn is short.
    this.#turnBeganAt = clocks();
    queueMicrotask(() => this.flush());
  }

  /** Answers, but for reads whose lease has run out since they were computed. */
  #answer(answers: readonly Answer[]): void {
    let now: Clocks | undefined; // One look does for all: they were computed before it.
    for (const { requester, outcome, term } of answers) {
      if (term === undefined) requester.onOutcome(outcome);
      else {
        now ??= clocks();
        requester.onOutcome(term.holds(now) ? outcome : LEASE_OVER);
      }
    }
  }

  /** Reads one key without a request, where that needs no waiting. */
  peek(key: ByteString): ByteString | undefined | typeof MUST_WAIT {
    return this.replica.peek(key, clocks);
  }

  /** The process is about to end: the others need not wait for it. */
  leave(): void {
    this.#step({ type: "leave" });
    this.flush();
  }

  /** Carries out all effects, until there are none. */
  flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushScheduled = false;
    this.#isFlushing = true;
    while (this.replica.hasEffects) this.#carryOut(this.replica.takeEffects());
    this.#transport.flush();
    for (let action = this.#afterFlush.shift(); action; action = this.#afterFlush.shift()) action();
    this.#isFlushing = false;
    if (this.replica.hasEffects) this.#scheduleFlush();
  }

  #carryOut(effects: Effects): void {
    if (effects.records.length > 0) this.#journal.append(effects.records);
    for (const { to, message } of effects.sends) this.#transport.send(to, message);
    this.#answer(effects.answers);
    for (const event of effects.events) this.#onEvent(event);
    if (!effects.force) return;
    // On a real disk the prepares should be on their way while the force runs.
    this.#journal.force(() => {
      this.#step({ type: "forced", position: effects.position });
    });
  }
}

/** Returns what a checkpoint of `store` needs, with `tail` in the place of all records. */
export function checkpointOf(store: Store, tail: readonly JournalRecord[]): CheckpointOptions {
  return {
    tail,
    changed: recordsOf(store, store.takeChanged()),
    isCurrent: ({ key, value, version, expiresAtMs }) => {
      const entry = store.get(key);
      return entry?.version === version && entry.value === value &&
        entry.expiresAtMs === expiresAtMs;
    },
    liveKeys: store.sizeWithReserved,
    liveBytes: store.bytes,
  };
}

/** The keys as they are when they are read. */
function* recordsOf(store: Store, keys: ReadonlySet<ByteString>): Generator<KeyRecord> {
  for (const key of keys) yield store.recordOf(key);
}
