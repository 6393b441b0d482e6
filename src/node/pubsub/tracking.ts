/**
 * CLIENT TRACKING: clients that keep what they have read are told when it is no longer so.
 *
 * In the default mode a key that a client reads is noted, and told once when a committed transaction
 * changes it, whichever node wrote; in the other mode (BCAST) all changes of keys with a prefix are told.
 * A read is noted when its answer is handed out, and changes are told behind the answers of their turn;
 * so what a client is told of a change comes behind an older value, and behind the reply to its own write.
 *
 * A node that may not read does not learn of changes in time. Then all clients are told to forget all:
 * the null invalidation. It comes too when a view is installed, with FLUSHALL, and behind answers that were
 * held back after a standstill: what has changed meanwhile was told before those reads were noted.
 *
 * The keys that are noted are bounded: for one too many, an old one is told as if it had changed.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { TRACKED_READS_MAX, TRACKING_PREFIXES_MAX } from "../../limits.ts";
import { KeyMap } from "../../key_map.ts";
import { EVERYTHING, isReserved } from "../../reserved_keys.ts";
import { EncodedPush } from "../../resp/encoder.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { Effect } from "../../two_phase/messages.ts";
import type { Session, TrackingHost } from "../commands/command.ts";
import { isSubscriber } from "../commands/pubsub.ts";

/** Where clients of version 2 are told: as in Redis, whatever it is that they have subscribed to. */
const CHANNEL = "__redis__:invalidate";

/** What clients are told in one way or the other: the keys, or null for all. */
class Invalidation {
  readonly #keys: readonly ByteString[] | null;
  #push: EncodedPush | undefined;
  #message: EncodedPush | undefined;

  constructor(keys: readonly ByteString[] | null) {
    this.#keys = keys;
  }

  get push(): EncodedPush {
    return this.#push ??= new EncodedPush(["invalidate", this.#keys]);
  }

  get message(): EncodedPush {
    return this.#message ??= new EncodedPush(["message", CHANNEL, this.#keys]);
  }
}

/** What a committed transaction has done. */
export interface TrackedChange {
  readonly effects: readonly Effect[];
  /** Its client, if that is of this node. */
  readonly writer: Session | undefined;
}

/** Keys that have changed, and the one client of this node that has changed each, if it was one. */
type Changed = Map<ByteString, Session | undefined>;

/** The clients of one node that track keys. */
export class Tracking implements TrackingHost {
  readonly #onUse: () => void;
  readonly #clients = new Map<number, Session>();
  /** By key, the clients that read it; some may no longer track. */
  #readers = new KeyMap<Set<number>>();
  /** How many keys were told because there were too many: the next is of another place. */
  #evictions = 0;
  #reads = 0;
  readonly #byPrefix = new Map<ByteString, Set<number>>();
  readonly #readsMax: number;

  /**
   * @param onUse is called when the first client begins and when the last one has ended
   * @param readsMax how many reads are noted at the most
   */
  constructor(onUse: () => void, readsMax = TRACKED_READS_MAX) {
    this.#onUse = onUse;
    this.#readsMax = readsMax;
  }

  /** Whether there are clients that track. */
  get isOn(): boolean {
    return this.#clients.size > 0;
  }

  /** How many clients track. */
  get clients(): number {
    return this.#clients.size;
  }

  /** How many keys are noted. */
  get keys(): number {
    return this.#readers.size;
  }

  start(session: Session, prefixes: readonly ByteString[]): ErrorReply | undefined {
    const added = prefixes.filter((prefix) => !this.#byPrefix.has(prefix));
    if (this.#byPrefix.size + added.length > TRACKING_PREFIXES_MAX) {
      return new ErrorReply(
        "ERR",
        `this node tracks ${TRACKING_PREFIXES_MAX} prefixes at the most`,
      );
    }
    for (const prefix of prefixes) {
      const known = this.#byPrefix.get(prefix);
      if (known === undefined) this.#byPrefix.set(prefix, new Set([session.id]));
      else known.add(session.id);
    }
    this.#clients.set(session.id, session);
    if (this.#clients.size === 1) this.#onUse();
    return undefined;
  }

  stop(session: Session): void {
    if (!this.#clients.delete(session.id)) return;
    for (const [prefix, ids] of this.#byPrefix) {
      ids.delete(session.id);
      if (ids.size === 0) this.#byPrefix.delete(prefix);
    }
    if (this.#clients.size > 0) return;
    this.#forgetReads();
    this.#onUse();
  }

  #forgetReads(): void {
    this.#readers = new KeyMap();
    this.#reads = 0;
  }

  onRead(session: Session, keys: readonly ByteString[]): void {
    if (!this.#clients.has(session.id)) return;
    for (const key of keys) {
      let readers = this.#readers.get(key);
      if (readers === undefined) {
        readers = new Set();
        this.#readers.set(key, readers);
      }
      if (readers.has(session.id)) continue;
      readers.add(session.id);
      this.#reads++;
    }
    // Any keys do: to know which were read least lately would cost more than to tell of one too early.
    while (this.#reads > this.#readsMax) {
      const { value: old } = this.#readers.keys(this.#evictions++).next();
      if (old === undefined) break;
      this.#invalidate(old, undefined);
    }
  }

  /** Tells of what committed transactions have done: with BCAST of all of it at once. */
  onChanges(changes: Iterable<TrackedChange>): void {
    if (!this.isOn) return;
    let changed: Changed = new Map();
    for (const { effects, writer } of changes) {
      for (const { key } of effects) {
        if (key === EVERYTHING) {
          changed = new Map();
          this.forgetAll();
        } else if (!isReserved(key)) {
          this.#invalidate(key, writer);
          if (this.#byPrefix.size === 0) continue;
          const isByOthers = changed.has(key) && changed.get(key) !== writer;
          changed.set(key, isByOthers ? undefined : writer);
        }
      }
    }
    if (changed.size > 0) this.#broadcast(changed);
  }

  /** In the order of bytes, as in Redis. */
  #broadcast(changed: Changed): void {
    const all = [...changed.keys()].sort();
    for (const prefix of [...this.#byPrefix.keys()].sort()) {
      const keys = all.filter((key) => key.startsWith(prefix));
      if (keys.length === 0) continue;
      const invalidation = new Invalidation(keys);
      for (const id of this.#byPrefix.get(prefix) ?? []) {
        const session = this.#clients.get(id);
        if (session === undefined) continue;
        const others = session.features?.tracking?.isNoLoop === true
          ? keys.filter((key) => changed.get(key) !== session)
          : keys;
        if (others.length === keys.length) tell(session, invalidation);
        else if (others.length > 0) tell(session, new Invalidation(others));
      }
    }
  }

  #invalidate(key: ByteString, writer: Session | undefined): void {
    const readers = this.#readers.get(key);
    if (readers === undefined) return;
    // With NOLOOP a client is not told of its own writes. It may have read the key since, in the same
    // transaction, or only read it and so have deleted it, as its time was over: so it stays noted.
    const keepsWriter = writer !== undefined && readers.has(writer.id) &&
      writer.features?.tracking?.isNoLoop === true;
    this.#reads -= readers.size;
    if (keepsWriter) {
      this.#readers.set(key, new Set([writer.id]));
      this.#reads++;
    } else this.#readers.delete(key);
    const invalidation = new Invalidation([key]);
    for (const id of readers) {
      const session = this.#clients.get(id);
      const { isBroadcast, isNoLoop } = session?.features?.tracking ?? {};
      // Who has gone over to BCAST since is told of the prefix.
      if (session === undefined || isBroadcast === true) continue;
      if (session !== writer || isNoLoop !== true) tell(session, invalidation);
    }
  }

  /** Has all clients forget all that they have. */
  forgetAll(): void {
    if (!this.isOn) return;
    this.#forgetReads();
    const invalidation = new Invalidation(null);
    for (const session of this.#clients.values()) tell(session, invalidation);
  }
}

function tell(session: Session, invalidation: Invalidation): void {
  const redirect = session.features?.tracking?.redirect;
  if (redirect?.isClosing === true) {
    const told = new EncodedPush(["tracking-redir-broken", redirect.id]);
    if (session.version === 3) session.tell(told);
    return;
  }
  const target = redirect ?? session;
  if (target.version === 3) target.tell(invalidation.push);
  else if (redirect !== undefined && isSubscriber(redirect)) redirect.tell(invalidation.message);
}
