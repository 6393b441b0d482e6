/**
 * `--force-new-cluster`: one node starts a new cluster from its journal, because a majority of the
 * old one is lost for good.
 *
 * Nobody can know what is lost by that, so the node first checks what can be known: it asks the
 * other nodes of the old list. If a majority of them is alive, or any has a later view, it does
 * nothing. `two_phase/new_cluster.ts` says what becomes of the data.
 *
 * One checkpoint of the journal makes the change: a crash leaves the old state or the new one. A
 * node that is started again with the flag and the same list only reports that it is done.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Logger } from "@std/log";
import { FatalError } from "../errors.ts";
import { leaseWaitMs } from "../two_phase/lease.ts";
import { type ClusterStart, recoverCluster } from "../two_phase/new_cluster.ts";
import type { JournalSighting, View } from "../two_phase/messages.ts";
import { quorumOf } from "../two_phase/quorum.ts";
import { isOlderCopy } from "../two_phase/peer_journals.ts";
import { Replica } from "../two_phase/replica.ts";
import type { Timing } from "../two_phase/timing.ts";
import type { FoundNode, Peers } from "./peer/peers.ts";
import { commonProtocol, describeProtocols, OWN_PROTOCOLS } from "./peer/protocols.ts";
import { clocks } from "../clock.ts";
import { checkpointOf } from "./driver.ts";
import { describeClusterPosition, describeOrigin, describeSighting } from "./descriptions.ts";
import type { Journal } from "./storage/journal.ts";
import type { Recovered } from "./storage/recovery.ts";
import { configuredNames, isSameList, lastView } from "./storage/journal_identity.ts";

/** How long the other nodes of the old cluster are looked for at least, in milliseconds. */
const LOOK_MS_MIN = 3000;

/** What {@linkcode startNewCluster} works on. */
export interface NewClusterOptions {
  /** The peers of the new list, in which this node has found its own entry. */
  readonly peers: Peers;
  readonly journal: Journal;
  readonly recovered: Recovered;
  readonly timing: Timing;
  readonly logger: Logger;
}

/**
 * Starts a new cluster, unless that is already done.
 *
 * @returns the content of the journal afterwards
 * @throws {FatalError} if there is nothing to start from, or no need to; then nothing is changed.
 */
export async function startNewCluster(options: NewClusterOptions): Promise<Recovered> {
  const { peers, journal, recovered, logger } = options;
  const { list, ownName } = peers;
  const old = lastView(recovered.records);
  if (old === undefined) {
    throw refusal(
      `the journal ${journal.place} is empty: there is nothing to start from. Start this node ` +
        "without the flag, and use it on a node that still has its journal",
    );
  }
  const { origin } = old.cluster;
  if (origin !== undefined && isStarted(old, list)) {
    logger.warn(
      `--force-new-cluster does nothing: this cluster is ${describeOrigin(origin)} already. Take ` +
        "the flag away; or, if a majority of this one is lost too, begin with --peers of this node " +
        "alone first",
    );
    return recovered;
  }
  const replica = replicaOf(old, options);
  const others = new Set([...configuredNames(old), ...list]);
  others.delete(ownName);
  logger.warn(`--force-new-cluster: looks for other nodes: ${[...others].join(", ")}`);
  // Always take this long: afterwards no old node has a lease left from a majority that is gone.
  const lookMs = Math.max(LOOK_MS_MIN, leaseWaitMs(options.timing));
  const [found] = await Promise.all([peers.lookFor([...others], lookMs), delay(lookMs)]);
  const why = whyNotNow(old, { found, own: replica.membership.identity });
  if (why !== undefined) throw refusal(why);
  const living = found.filter((node) => isOf(old, node));

  const beginning = recoverCluster(replica, {
    nodes: list,
    name: ownName,
    id: crypto.randomUUID(),
    at: Date.now(),
  });
  const { store } = recovered;
  for (const line of describe(old, { beginning, living, keys: store.size })) logger.warn(line);
  await journal.checkpoint(checkpointOf(store, beginning.records));
  logger.warn(
    `view ${beginning.view.number} of ${
      list.join(", ")
    } is started by force. Start the others with ` +
      "the same --peers and empty journals, and take --force-new-cluster away here",
  );
  return { store, records: beginning.records, isTrusted: true };
}

/**
 * Tells whether the cluster of `old` was started by force with `list`, as far as can be told: since then
 * the list may have been changed while the cluster lived. A list of one node is meant as it is given.
 */
export function isStarted(old: View, list: readonly string[]): boolean {
  const { cluster: { origin }, change } = old;
  if (origin === undefined) return false;
  const isChanged = change !== undefined && change.view > origin.view;
  return isSameList(configuredNames(old), list) || isChanged && list.length > 1;
}

/** The node in its old cluster, recovered, but never run. */
function replicaOf(old: View, { journal, recovered, timing, peers }: NewClusterOptions): Replica {
  const self = old.journals.indexOf(journal.identity.journal);
  const replica = self < 0 ? undefined : new Replica({
    self,
    names: old.names,
    identity: { ...journal.identity, process: peers.instance },
    timing,
    random: Math.random,
    now: clocks(),
    ...recovered,
  });
  if (replica?.membership.isMember === true) return replica;
  throw refusal(
    `this node is not a member of view ${old.number}, the last one that it knows: its journal holds ` +
      "nothing, or only a part. Start at a node that was a member",
  );
}

/**
 * Returns why no cluster is to be started by force, or `undefined` if there is no reason against
 * it.
 *
 * @param asked `found`: the other nodes, of the old list and of the new one, that have answered;
 * `own`: the journal of this node, and how far it has come
 */
export function whyNotNow(
  old: View,
  { found, own }: { readonly found: readonly FoundNode[]; readonly own: JournalSighting },
): string | undefined {
  const foreign = found.find(({ reply: { config } }) =>
    commonProtocol(OWN_PROTOCOLS, config) === undefined
  );
  if (foreign !== undefined) {
    const { name, reply: { config } } = foreign;
    return `${name} speaks ${describeProtocols(config)} of the peer protocol, this node ` +
      `${
        describeProtocols(OWN_PROTOCOLS)
      }: what it knows cannot be told. Run the same dks, or stop it`;
  }
  const elsewhere = found.find((node) => node.reply.clusterPosition.view > 0 && !isOf(old, node));
  if (elsewhere !== undefined) {
    const { name, reply: { clusterPosition } } = elsewhere;
    // The other cluster may have been abandoned before it held anything: then this journal is the
    // last copy.
    return `${name} is of another cluster already (${
      describeClusterPosition(clusterPosition)
    }). If that one ` +
      "serves its clients, this node may join it, without the flag and with an empty journal; if " +
      "not, stop it, and keep this node's journal";
  }
  const forcing = found.filter(({ reply }) => reply.isStartingCluster === true);
  if (forcing.length > 0) {
    return `${namesOf(forcing)} is started with --force-new-cluster at the same time: start at ` +
      "one node, and stop all others first";
  }
  const living = found.filter((node) => isOf(old, node));
  const later = living.filter(({ reply }) => reply.clusterPosition.view > old.number);
  if (later.length > 0) {
    const list = later.map(({ name, reply }) => `${name} (view ${reply.clusterPosition.view})`);
    return `${list.join(", ")} of the old cluster knows a later view than this node (view ` +
      `${old.number}), so this one may lack writes: start there, or stop it if it holds less`;
  }
  const better = living.find(({ reply: { known } }) =>
    known !== undefined && isOlderCopy(own, known)
  );
  if (better?.reply.known !== undefined) {
    const { name, reply: { known } } = better;
    return `this node's journal is an older copy: it ends at ${
      describeSighting(own)
    }, and ${name} ` +
      `has seen it at ${describeSighting(known)}. Start at ${name}, or find the later copy`;
  }
  // A node that has lost its journal, and is outside, counts towards no majority.
  const counting = living.filter(({ name, reply }) =>
    reply.identity.journal === old.journals[old.names.indexOf(name)]
  );
  const { needed, size: nodes } = quorumOf(old); // Learners do not count.
  if (counting.length === 0 || counting.length + 1 < needed) return undefined;
  return `${namesOf(counting)} of the old cluster answer: with this node they are a majority of ` +
    `its ${nodes} nodes, which goes on by itself. Start this node without the flag, with --peers ` +
    configuredNames(old).join(",");
}

/** Returns lines that say what is about to be done, and what it may lose. */
function describe(
  old: View,
  about: { beginning: ClusterStart; living: readonly FoundNode[]; keys: number },
): string[] {
  const { beginning, living, keys } = about;
  const { committed, aborted, leftOutBy, lastStamp } = beginning;
  const heard = lastStamp === 0
    ? ""
    : `; the latest that it knows is of ${new Date(lastStamp / 1000).toISOString()}`;
  const lines = [
    `--force-new-cluster: starts from view ${old.number} of the old cluster ` +
    `(${old.names.join(", ")}), of which this node was a member, with ${keys} keys${heard}`,
    leftOutBy === undefined
      ? `WHAT MAY BE LOST: if the others continued without this node after view ${old.number}, ` +
        "everything that they have acknowledged since. Otherwise nothing that was acknowledged"
      : `WHAT MAY BE LOST: view ${leftOutBy} was about to continue without this node; everything that ` +
        "was acknowledged from then on",
  ];
  if (committed + aborted > 0) {
    lines.push(
      `${committed + aborted} transactions were in doubt: ${committed} are committed, ${aborted} ` +
        "aborted. Of the committed ones, clients may have been told that they were aborted",
    );
  }
  if (living.length > 0) {
    lines.push(
      `${namesOf(living)} of the old cluster still runs, and will be refused: stop it, and empty ` +
        "its journal if it is to join",
    );
  }
  return lines;
}

/** Tells whether a node that has answered belongs to the cluster of `view`. */
function isOf(view: View, { reply: { clusterPosition } }: FoundNode): boolean {
  return clusterPosition.view > 0 && clusterPosition.cluster.id === view.cluster.id;
}

function namesOf(nodes: readonly FoundNode[]): string {
  return nodes.map(({ name }) => name).join(", ");
}

function refusal(reason: string): FatalError {
  return new FatalError(`--force-new-cluster: ${reason}`);
}
