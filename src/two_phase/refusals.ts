/**
 * The sentences that tell a client why its request was not served.
 *
 * Each is made when a request is refused, from the node's state at that moment. Clients act on the
 * {@linkcode Refusal.obstacle} by themselves; nothing else depends on them.
 *
 * @module
 */

import { REQUESTS_MAX, TRANSACTIONS_MAX } from "../limits.ts";
import type { Clocks } from "./clocks.ts";
import type { Context } from "./context.ts";
import type { NodeId } from "./messages.ts";
import { contains, members } from "./node_set.ts";
import type { Transaction } from "./state.ts";
import type { Refusal } from "./request.ts";
import { nameForClients } from "./transaction_name.ts";

/** What clients are told if `Membership.isOlderCopy`. */
export const OLDER_COPY: Refusal = {
  obstacle: "down",
  reason: "this node's journal is an older copy of what it had, and does not count",
};

/** What clients are told who write to a node without room on its disk. */
export const DISK_FULL: Refusal = {
  obstacle: "down",
  reason: "the disk of this node is full: it takes writes again when there is room",
};

/**
 * Tells whether no request can be served here for some time: {@linkcode whyHopeless} says why. Asked for
 * each request, so it makes no sentence.
 */
export function isHopeless({ membership, clocks, now }: Context): boolean {
  if (membership.isLeaving || membership.isOlderCopy) return true;
  if (membership.view.number === 0) return false;
  if (membership.isGathering) return true;
  // Reads continue as long as the lease holds. Most requests need no more than this.
  if (membership.mayRead(clocks)) return false;
  return membership.isDiskFull || membership.isBelowMajority(now) || !membership.isMember;
}

/** Says why {@linkcode isHopeless} holds. */
export function whyHopeless(context: Context): Refusal {
  const { membership, now } = context;
  const { quorum } = membership;
  if (membership.isLeaving) return down("this node is stopping");
  if (membership.isOlderCopy) return OLDER_COPY;
  if (membership.isRemoved) return down(whyRemoved(context));
  if (membership.isGathering) {
    return down(
      `this cluster was started by force, and waits until ${quorum.needed} of its nodes are members`,
    );
  }
  if (membership.isBelowMajority(now)) {
    const why = whyMissed(context, membership.unreachable(now)).join(", ");
    return down(`no majority: ${why}, and ${quorum.needed} of ${quorum.size} are needed`);
  }
  return membership.isDiskFull ? DISK_FULL : down(outside(context));
}

/** Says that this node is not in the list any more. */
function whyRemoved({ membership }: Context): string {
  return `this node is not a node of the cluster any more: view ${membership.view.number} does not ` +
    "list it";
}

function outside({ membership }: Context): string {
  return `this node is outside view ${membership.view.number}, and is joining again`;
}

/**
 * Says why this node has not joined the cluster, or not again; `undefined` if it has. A member without a
 * majority has.
 */
export function whyLoading(context: Context): string | undefined {
  const { membership } = context;
  if (membership.view.number === 0) return whyNotStarted(context);
  if (membership.isRemoved) return whyRemoved(context);
  if (!membership.isVerified) return UNVERIFIED;
  return membership.isMember ? undefined : outside(context);
}

/** Says why this node is not a member with a lease at this moment; `undefined` if it is. */
export function whyNotReady(context: Context, clocks: Clocks): string | undefined {
  const why = whyLoading(context);
  if (why !== undefined) return why;
  if (isHopeless(context)) return whyHopeless(context).reason;
  return context.membership.mayRead(clocks) ? undefined : NO_LEASE;
}

const NO_LEASE = "this node has no lease to answer reads";

function down(reason: string): Refusal {
  return { obstacle: "down", reason };
}

function busy(reason: string): Refusal {
  return { obstacle: "busy", reason };
}

function loading(reason: string): Refusal {
  return { obstacle: "loading", reason };
}

/** Why each of `nodes` does not count towards a majority. */
function whyMissed({ membership }: Context, nodes: readonly NodeId[]): string[] {
  const isLinked = (node: NodeId) => contains(membership.linked, node);
  const unlinked = nodes.filter((node) => !isLinked(node));
  const olderCopies = nodes.filter((node) => isLinked(node) && membership.isDistrusted(node));
  const strangers = nodes.filter((node) =>
    isLinked(node) && !membership.counts(node) && !olderCopies.includes(node)
  );
  const silent = nodes.filter((node) => isLinked(node) && membership.counts(node));
  const names = (some: readonly NodeId[]) => membership.namesOf(some);
  return [
    ...unlinked.length > 0 ? [`${names(unlinked)} cannot be reached`] : [],
    ...silent.length > 0 ? [`${names(silent)} has been silent`] : [],
    ...strangers.length > 0 ? [`${names(strangers)} started with a new journal`] : [],
    ...olderCopies.length > 0
      ? [`${names(olderCopies)} started with an older copy of its journal`]
      : [],
  ];
}

/** Says what a request that has not begun was waiting for. */
export function whyParked(context: Context): Refusal {
  const { membership, clocks } = context;
  if (membership.view.number === 0) return loading(whyNotStarted(context));
  if (!membership.isVerified) return loading(UNVERIFIED);
  if (membership.isFrozen) return down("the view is being changed");
  if (!membership.mayRead(clocks)) return down(NO_LEASE);
  if (membership.isDiskFull) return DISK_FULL;
  if (membership.mayWrite) {
    // A parked request starts as soon as there is room for it.
    return busy(`${TRANSACTIONS_MAX} transactions were under way at this node`);
  }
  const { missing } = membership;
  const unlinked = missing.filter((node) => !contains(membership.linked, node));
  const behind = missing.filter((node) => contains(membership.linked, node));
  const stuck = members(membership.stuckMembers);
  const why = [
    ...unlinked.length > 0 ? [`no link to ${membership.namesOf(unlinked)}`] : [],
    ...behind.length > 0
      ? [`${membership.namesOf(behind)} does not take part in the view yet`]
      : [],
    ...stuck.length > 0 ? [`the disk of ${membership.namesOf(stuck)} hangs or is full`] : [],
  ];
  return down(`${why.join(", ")}, and a write needs all members`);
}

const UNVERIFIED = "no majority has confirmed this node's journal yet";

/** Why this node knows of no view. */
function whyNotStarted({ membership }: Context): string {
  const { preceding } = membership;
  if (preceding.length > 0) {
    return "the cluster has started without this node's journal, and " +
      `${membership.namesOf(preceding)} cannot admit it: no majority of the members is up`;
  }
  const unmet = membership.others & ~membership.linked;
  return `the cluster has not started: no link to ${membership.namesOf(unmet)}`;
}

/** What a request is told for which there is no room. */
export const TOO_MANY_REQUESTS: Refusal = busy(
  `this node has ${REQUESTS_MAX} requests waiting already`,
);

/** What a request is told that waited for a transaction that is in doubt here. */
export const KEY_IN_DOUBT: Refusal = busy(
  "a key is locked by a transaction whose outcome is not known here",
);

/** Says why a prepared transaction was not decided; the nodes `silent` have not voted. */
export function whyUndecided({ membership }: Context, silent: readonly NodeId[]): string {
  if (silent.length > 0) return `no vote from ${membership.namesOf(silent)} in time`;
  return "a transaction that it follows was not decided in time";
}

/** Says what `transaction` waited for in line. */
export function whyInLine({ membership }: Context, transaction: Transaction): Refusal {
  for (const { lock } of transaction.entries) {
    const holder = lock?.holders[0];
    if (holder === undefined) continue;
    const name = nameForClients(holder, membership.view.journals[holder.coordinator] ?? "");
    return busy(
      `a key is locked by transaction ${name} of ${membership.nameOf(holder.coordinator)}`,
    );
  }
  return busy("its turn at a key did not come in time");
}
