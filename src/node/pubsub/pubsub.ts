/**
 * Publish and subscribe, over all nodes.
 *
 * Each node tells the others how many of its clients listen to what: all of it when a link comes up, and
 * from then on what changes. So a node knows of a message where anybody listens, sends it there and
 * nowhere else, and knows how many get it. None of this goes through two-phase commit: a message comes
 * once at the most, and not to a node whose link is down, or which takes in more slowly than is published.
 * Messages of one connection come in their order, as those of a link do.
 *
 * A subscription is confirmed when all linked nodes have said that they know of it, or when that takes too
 * long: what is published anywhere after the confirmation arrives.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { SUBSCRIPTION_BYTES_SUM_MAX } from "../../limits.ts";
import { EncodedPush } from "../../resp/encoder.ts";
import { ErrorReply } from "../../resp/value.ts";
import type { NodeId } from "../../two_phase/messages.ts";
import type { PubSubHost, Subscriber, SubscriptionKind } from "../commands/command.ts";
import type { PubSubMessage, SubscriptionChange } from "./messages.ts";
import { SubscriptionTable } from "./subscription_table.ts";

/** For how long a subscription waits for the other nodes, in milliseconds. */
const CONFIRM_MS = 1000;

/** A message that tells of subscriptions ends with the one by which it has this many bytes. */
const CHANGES_BYTES = 64 * 1024;

/** What is counted for a subscription besides the bytes of its name. */
const OVERHEAD_BYTES = 64;

/** What publish and subscribe need of the node. */
export interface PubSubOptions {
  /** Sends a message, in order. Returns whether it was taken: a publication is not, if too much waits. */
  readonly send: (to: NodeId, message: PubSubMessage) => boolean;
}

/** What is known of another node. */
interface RemoteNode {
  /** How many of its clients listen. */
  readonly counts: SubscriptionTable<number>;
  /** Up to which announcement it has said that it knows all. */
  known: number;
}

/** A connection that waits until the other nodes know of a subscription. */
interface Waiter {
  readonly announcement: number;
  readonly resolve: () => void;
}

/** The clients of this node that listen, and the nodes of which others do. */
export class PubSub implements PubSubHost {
  readonly #options: PubSubOptions;
  readonly #local = new SubscriptionTable<Set<Subscriber>>();
  readonly #remote = new Map<NodeId, RemoteNode>();
  /** What has changed since the others were told last. */
  readonly #changed = new Map<string, readonly [SubscriptionKind, ByteString]>();
  #isAnnouncementPlanned = false;
  /** How many changes were sent to the others. */
  #announcements = 0;
  #waiters: Waiter[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(options: PubSubOptions) {
    this.#options = options;
  }

  /** How many messages did not leave for another node, because too much was waiting. */
  get dropped(): number {
    return this.#dropped;
  }

  // --- Subscriptions -------------------------------------------------------------------------

  subscribe(
    kind: SubscriptionKind,
    name: ByteString,
    subscriber: Subscriber,
  ): ErrorReply | undefined {
    if (this.#bytes + name.length + OVERHEAD_BYTES > SUBSCRIPTION_BYTES_SUM_MAX) {
      const max = SUBSCRIPTION_BYTES_SUM_MAX;
      return new ErrorReply("ERR", `the subscriptions of this node have ${max} bytes at the most`);
    }
    this.#bytes += name.length + OVERHEAD_BYTES;
    const known = this.#local.get(kind, name);
    if (known === undefined) this.#local.set(kind, name, new Set([subscriber]));
    else known.add(subscriber);
    this.#onChange(kind, name);
    return undefined;
  }

  unsubscribe(kind: SubscriptionKind, name: ByteString, subscriber: Subscriber): void {
    const known = this.#local.get(kind, name);
    if (known?.delete(subscriber) !== true) return;
    this.#bytes -= name.length + OVERHEAD_BYTES;
    if (known.size === 0) this.#local.delete(kind, name);
    this.#onChange(kind, name);
  }

  allKnow(): Promise<void> | undefined {
    this.#announce();
    if (this.#announcements <= this.#knownByAll) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ announcement: this.#announcements, resolve });
    const timer = setTimeout(resolve, CONFIRM_MS);
    promise.then(() => clearTimeout(timer));
    return promise;
  }

  #onChange(kind: SubscriptionKind, name: ByteString): void {
    if (this.#remote.size === 0) return; // They are told everything when they come.
    this.#changed.set(`${kind} ${name}`, [kind, name]);
    if (this.#isAnnouncementPlanned) return;
    this.#isAnnouncementPlanned = true;
    queueMicrotask(() => this.#announce());
  }

  /** Tells the other nodes what has changed. */
  #announce(): void {
    this.#isAnnouncementPlanned = false;
    if (this.#changed.size === 0) return;
    const changes = Array.from(
      this.#changed.values(),
      ([kind, name]): SubscriptionChange => [kind, name, this.#local.get(kind, name)?.size ?? 0],
    );
    this.#changed.clear();
    const announcement = ++this.#announcements;
    for (const peer of this.#remote.keys()) this.#tell(peer, changes, announcement);
  }

  #tell(peer: NodeId, changes: readonly SubscriptionChange[], announcement: number): void {
    const parts = inParts(changes);
    parts.forEach((part, at) => {
      this.#options.send(peer, {
        type: "subscriptions",
        // It is known when the last part is.
        announcement: at === parts.length - 1 ? announcement : 0,
        changes: part,
      });
    });
  }

  // --- Other nodes ---------------------------------------------------------------------------

  /** A link has come up: the peer is told everything. */
  linkUp(peer: NodeId): void {
    this.#remote.set(peer, { counts: new SubscriptionTable(), known: 0 });
    const all = Array.from(
      this.#local.entries(),
      ([kind, name, { size }]): SubscriptionChange => [kind, name, size],
    );
    this.#tell(peer, all, this.#announcements);
  }

  /** The link is gone, and all that is known of the peer. */
  linkDown(peer: NodeId): void {
    this.#remote.delete(peer);
    this.#confirm();
  }

  /** A peer says something. */
  receive(peer: NodeId, message: PubSubMessage): void {
    const remote = this.#remote.get(peer);
    if (remote === undefined) return;
    switch (message.type) {
      case "publication":
        this.#tellLocal(message.kind, message.channel, message.message);
        return;
      case "subscriptions":
        for (const [kind, name, count] of message.changes) {
          if (count === 0) remote.counts.delete(kind, name);
          else remote.counts.set(kind, name, count);
        }
        if (message.announcement === 0) return;
        this.#options.send(peer, {
          type: "subscriptionsKnown",
          announcement: message.announcement,
        });
        return;
      case "subscriptionsKnown":
        remote.known = message.announcement;
        this.#confirm();
        return;
    }
  }

  #confirm(): void {
    if (this.#waiters.length === 0) return;
    const known = this.#knownByAll;
    this.#waiters = this.#waiters.filter(({ announcement, resolve }) => {
      if (announcement > known) return true;
      resolve();
      return false;
    });
  }

  /** Up to which announcement all linked nodes know of the subscriptions here. */
  get #knownByAll(): number {
    let known = Infinity;
    for (const remote of this.#remote.values()) known = Math.min(known, remote.known);
    return known;
  }

  // --- Messages ------------------------------------------------------------------------------

  publish(kind: "channel" | "shard", channel: ByteString, message: ByteString): number {
    let receivers = this.#tellLocal(kind, channel, message);
    for (const [peer, { counts }] of this.#remote) {
      let there = counts.get(kind, channel) ?? 0;
      if (kind === "channel") { for (const [, count] of counts.matching(channel)) there += count; }
      if (there === 0) continue;
      if (this.#options.send(peer, { type: "publication", kind, channel, message })) {
        receivers += there;
      } else this.#dropped++;
    }
    return receivers;
  }

  /** Delivers to this node's clients, and to no others. Returns to how many. */
  tellLocal(channel: ByteString, message: ByteString): void {
    this.#tellLocal("channel", channel, message);
  }

  #tellLocal(kind: SubscriptionKind, channel: ByteString, message: ByteString): number {
    let told = 0;
    const listeners = this.#local.get(kind, channel);
    if (listeners !== undefined) {
      const word = kind === "shard" ? "smessage" : "message";
      told += tellAll(listeners, new EncodedPush([word, channel, message]));
    }
    if (kind !== "channel" || this.#local.size("pattern") === 0) return told;
    for (const [pattern, those] of this.#local.matching(channel)) {
      told += tellAll(those, new EncodedPush(["pmessage", pattern, channel, message]));
    }
    return told;
  }

  // --- Questions -----------------------------------------------------------------------------

  /** How many names of this kind have subscribers at this node. */
  localSize(kind: SubscriptionKind): number {
    return this.#local.size(kind);
  }

  names(kind: SubscriptionKind): ReadonlySet<ByteString> {
    const all = new Set(this.#local.names(kind));
    for (const { counts } of this.#remote.values()) {
      for (const name of counts.names(kind)) all.add(name);
    }
    return all;
  }

  count(kind: SubscriptionKind, name: ByteString): number {
    let count = this.#local.get(kind, name)?.size ?? 0;
    for (const { counts } of this.#remote.values()) count += counts.get(kind, name) ?? 0;
    return count;
  }
}

function tellAll(listeners: ReadonlySet<Subscriber>, push: EncodedPush): number {
  // A subscriber that is cut off meanwhile leaves the set: the others still get the message.
  const { size } = listeners;
  for (const one of listeners) one.tell(push);
  return size;
}

/** Cuts a list into parts of bounded length: one at least. */
function inParts(changes: readonly SubscriptionChange[]): SubscriptionChange[][] {
  const parts: SubscriptionChange[][] = [[]];
  let bytes = 0;
  for (const change of changes) {
    if (bytes > CHANGES_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(change);
    bytes += change[1].length + 8;
  }
  return parts;
}
