/**
 * A new cluster, started by force: what to do when a majority of the nodes is lost for good.
 *
 * One node takes the content of its journal as the truth. Its undecided transactions end as they
 * would in a view change in which it alone answers (`settlement.ts`). But if it has accepted a
 * proposal in which it is a member, it follows that, because the proposal may have been chosen.
 * Then it makes a view of another cluster, with itself as the only member, and no journal but its
 * own:
 *
 * - Only this node can choose the view after it, as no other journal counts. It admits joiners
 *   until a majority of the new list are members; before that it serves no requests.
 * - The other nodes of the old cluster are now of another cluster, see `Membership.isForeign`: if
 *   they come back, even as a majority, the two sides ignore each other.
 * - A node that both lists name keeps its id; the others get ids that the old list did not use, as
 *   far as there are any. The numbers of all coordinators start above every number given in the old
 *   cluster, as an id may now mean another node.
 *
 * Records of the new cluster replace all earlier records in one step: a crash leaves the old state
 * or the new.
 *
 * @module
 */

import { invariant } from "../invariant.ts";
import { nameOf, namesOfAll, settle, settleAll, transactionReportOf } from "./settlement.ts";
import {
  ballotOf,
  incarnationBase,
  incarnationOf,
  type JournalRecord,
  roundOf,
  type Stamp,
  type View,
} from "./messages.ts";
import { contains, only } from "./node_set.ts";
import { keepIds } from "./nodes.ts";
import type { Replica } from "./replica.ts";

/** The cluster to start. */
export interface NewCluster {
  /** The names of its nodes, in any order, and which of them is this node's. */
  readonly nodes: readonly string[];
  readonly name: string;
  /** Its id: random. */
  readonly id: string;
  /** The wall-clock time, in milliseconds. */
  readonly at: number;
}

/** What became of the old cluster's journal. */
export interface ClusterStart {
  /** The first view of the new cluster. */
  readonly view: View;
  /** They replace all records of the journal. */
  readonly records: readonly JournalRecord[];
  /** How many transactions were in doubt, by how they ended. */
  readonly committed: number;
  readonly aborted: number;
  /**
   * The next view of the old cluster, which may have been chosen without this node: then this node
   * lacks what was acknowledged in that view.
   */
  readonly leftOutBy: number | undefined;
  /** Stamp of the latest write or request that this node knows; 0 for none. */
  readonly lastStamp: Stamp;
}

/**
 * Settles everything that `replica`, the node in its old cluster, has in doubt, and returns the
 * content of its new journal. Afterwards the replica's store holds the data; do not use the replica
 * itself again.
 *
 * @param replica a member of its installed view that has been recovered and has done nothing since
 */
export function recoverCluster(replica: Replica, cluster: NewCluster): ClusterStart {
  const { context } = replica;
  const { membership, clock } = context;
  invariant(membership.isMember, "only a member can start a cluster by force");
  const { view: old, accepted } = membership;
  const report = transactionReportOf(context);
  const { table, marks } = report;
  // Clients may already know the outcomes of the next view. But a view that leaves this node out, or
  // has it on another journal, says nothing about transactions that all its members have committed
  // and that only this node has in doubt.
  const next = accepted?.proposal.number === old.number + 1 ? accepted.proposal : undefined;
  const { self: oldId } = context;
  const isLeftOut = next !== undefined &&
    !(contains(next.members, oldId) && next.journals[oldId] === membership.identity.journal);
  const commits = next === undefined || isLeftOut ? settle([report]).commits : next.commits;
  const numbers = [...old.bases, ...next?.bases ?? [], ...marks, ...table.map((one) => one.number)];
  const incarnations = [...numbers.map(incarnationOf), membership.identity.incarnation];
  const base = incarnationBase(Math.max(...incarnations) + 1);
  settleAll(context, { view: { ...old, commits }, isNext: true });

  const { nodes, name, id, at } = cluster;
  const names = keepIds(old.names, nodes);
  const self = names.indexOf(name);
  const number = (next ?? old).number + 1;
  const ballot = ballotOf(roundOf(membership.promised) + 1, self);
  const view: View = {
    number,
    cluster: { id, origin: { by: name, at, view: number } },
    ballot,
    names,
    members: only(self),
    journals: names.map((_, node) => node === self ? membership.identity.journal : ""),
    commits: [],
    bases: names.map(() => base),
  };
  const offset = incarnationOf(base);
  const inDoubt = table.filter(({ state }) => state === "prepared");
  const committed = namesOfAll(commits);
  const kept = inDoubt.filter((one) => committed.has(nameOf(one)));
  return {
    view,
    records: [
      { type: "clock", stamp: clock.last },
      { type: "membership", view, isMember: true, joined: undefined, offset },
      { type: "position", position: context.outbox.progress },
    ],
    committed: kept.length,
    aborted: inDoubt.length - kept.length,
    leftOutBy: isLeftOut ? next.number : undefined,
    lastStamp: clock.last,
  };
}
