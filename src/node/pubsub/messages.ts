/**
 * What nodes say to each other of publish and subscribe. It goes over the links beside the protocol, and
 * nothing of it has to do with views or transactions.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { SubscriptionKind } from "../commands/command.ts";

/** Something was published, and a client of the receiver listens. */
export interface Publication {
  readonly type: "publication";
  readonly kind: "channel" | "shard";
  readonly channel: ByteString;
  readonly message: ByteString;
}

/** How many clients of a node listen to a name from now on. */
export type SubscriptionChange = readonly [
  kind: SubscriptionKind,
  name: ByteString,
  listeners: number,
];

/** What the sender's clients listen to, as far as that is new to the receiver. */
export interface Subscriptions {
  readonly type: "subscriptions";
  /** Its number, if it is to be acknowledged; else 0. It grows. */
  readonly announcement: number;
  readonly changes: readonly SubscriptionChange[];
}

/** The sender knows of all subscriptions up to this announcement. */
export interface SubscriptionsKnown {
  readonly type: "subscriptionsKnown";
  readonly announcement: number;
}

/** Any of these. */
export type PubSubMessage = Publication | Subscriptions | SubscriptionsKnown;
