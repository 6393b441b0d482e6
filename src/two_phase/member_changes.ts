/**
 * Changes of the list of nodes: what they do to the list, and when they are refused.
 *
 * The list is part of a view, and changes only with a view (`view_change.ts`): the nodes that count in
 * view k choose the list of view k + 1. A new node is a *learner* first: it has an id, links and
 * heartbeats, and is sent the keys, but it does not count. The view that makes it a member lets it
 * count, too, and drops the node that it replaces. There is one change at a time.
 *
 * @module
 */

import { NODES_MAX } from "../limits.ts";
import type { Learner, MemberChange, NodeId, NodeSet, View } from "./messages.ts";
import { contains, members, only, size } from "./node_set.ts";
import { quorumOf, voters } from "./quorum.ts";

/** The part of a view that is its list of nodes. */
export type NodeList = Pick<View, "names" | "learners" | "change">;

/** How a request for a change ended. Exactly one is given, within a request's time. */
export type ChangeOutcome =
  /**
   * The list is as it was asked for since view `view`; `wasSo`, a sentence, if it was so before.
   * After `add` and `replace` the node is a learner, or a member already.
   */
  | { readonly kind: "done"; readonly view: number; readonly wasSo?: string | undefined }
  /** Nothing was changed. `reason` is a sentence without a full stop. */
  | { readonly kind: "refused"; readonly reason: string }
  /** It may or may not happen. To ask again does no harm. */
  | { readonly kind: "indeterminate"; readonly reason: string };

/** Who asked for a change. The protocol only passes it on; the driver calls it. */
export interface ChangeRequester {
  /** Called exactly once. */
  onChangeOutcome(outcome: ChangeOutcome): void;
}

/** A request for a change. */
export interface ChangeRequest {
  readonly change: MemberChange;
  /** Who asks: it is logged, and kept in the view. */
  readonly by: string;
  readonly requester: ChangeRequester;
}

/** What a change would do to a list. */
export type ChangePlan =
  | { readonly kind: "list"; readonly list: NodeList }
  /** The list is as it is asked for: `reason` says it. */
  | { readonly kind: "none"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

/** Returns the id of the node with this name; `undefined` if the list has none. */
export function idOf({ names }: Pick<View, "names">, name: string): NodeId | undefined {
  const id = name === "" ? -1 : names.indexOf(name);
  return id < 0 ? undefined : id;
}

/** Returns the learner with this id. */
export function learnerOf(view: Pick<View, "learners">, node: NodeId): Learner | undefined {
  return view.learners?.find((learner) => learner.node === node);
}

/**
 * Returns the ids that mean another node in `view` than in the view `before`, or none. What a node knows of
 * them is over, and so are its links, even that to the new node if it was made early.
 */
export function renamedIds(
  { names }: Pick<View, "names">,
  before: Pick<View, "names" | "number">,
): NodeId[] {
  if (before.number === 0) return [];
  return before.names.flatMap((name, id) => name === "" || name === (names[id] ?? "") ? [] : [id]);
}

/** Tells whether two views have the same nodes, and the same learners. */
export function isSameList(a: NodeList, b: NodeList): boolean {
  const learners = (list: NodeList) =>
    (list.learners ?? []).map(({ node, replaces }) => `${node} ${replaces ?? ""}`).join();
  return a.names.join() === b.names.join() && learners(a) === learners(b);
}

/**
 * Returns what `change` does to the list of `view`.
 *
 * @param about who asked, when in wall-clock time, and the number of the view that would make the change
 */
export function planChange(
  view: NodeList,
  change: MemberChange,
  about: { readonly by: string; readonly at: number; readonly view: number },
): ChangePlan {
  const { name, kind } = change;
  const node = idOf(view, name);
  const learner = node === undefined ? undefined : learnerOf(view, node);
  const already = whyAlready(view, change);
  if (already !== undefined) {
    const isToLeave = kind === "remove" || kind === "cancel";
    // It may be asked for twice. Otherwise a name that is not there is a slip of whoever asks.
    const isSlip = isToLeave && !hasLeftLast(view, name);
    return isSlip ? refused(already) : { kind: "none", reason: already };
  }
  if (name === "") return refused("a node has a name");
  if (kind === "cancel") {
    if (learner === undefined) return refused(`${name} is a member already: remove it instead`);
    const list = withoutNodes(view, only(learner.node));
    return { kind: "list", list: { ...list, change: { kind, name, ...about } } };
  }
  const underWay = whyUnderWay(view);
  if (underWay !== undefined) return refused(underWay);
  if (kind === "remove") {
    if (node === undefined) return refused(`${name} is not in the list`);
    if (size(voters(view)) === 1) return refused(`${name} is the only node`);
    const list = withoutNodes(view, only(node));
    return { kind: "list", list: { ...list, change: { kind, name, ...about } } };
  }
  const replaced = kind === "replace" ? idOf(view, change.replaces) : undefined;
  if (node !== undefined) return refused(`${name} is a node of the cluster already`);
  if (kind === "replace" && replaced === undefined) {
    return refused(`${change.replaces} is not in the list, which is ${listOf(view)}`);
  }
  const id = freeId(view.names);
  if (id === undefined) {
    return refused(`the cluster has ${NODES_MAX} nodes, which is the most: remove one first`);
  }
  const names = [...view.names];
  names[id] = name;
  const { by, at } = about;
  const learners = [{ node: id, ...replaced === undefined ? {} : { replaces: replaced }, by, at }];
  return { kind: "list", list: { names, learners, change: { ...change, ...about } } };
}

/** Tells whether the last change took the node with this name out of the list. */
function hasLeftLast({ change }: NodeList, name: string): boolean {
  if (change === undefined) return false;
  if (change.kind === "admit") return change.replaces === name;
  return change.name === name && (change.kind === "remove" || change.kind === "cancel");
}

function refused(reason: string): ChangePlan {
  return { kind: "refused", reason };
}

/** Says that the list of `view` is as `change` asks for it; `undefined` if it is not. */
export function whyAlready(view: NodeList, change: MemberChange): string | undefined {
  const { name, kind } = change;
  const node = idOf(view, name);
  const learner = node === undefined ? undefined : learnerOf(view, node);
  const isVoter = node !== undefined && learner === undefined;
  switch (kind) {
    case "add":
      if (isVoter) return `${name} is a node of the cluster already`;
      return learner !== undefined && learner.replaces === undefined
        ? `${name} is being added already`
        : undefined;
    case "replace": {
      const replaced = idOf(view, change.replaces);
      if (isVoter && replaced === undefined) {
        return `${name} is a node of the cluster already, and ${change.replaces} is not`;
      }
      return learner !== undefined && learner.replaces === replaced && replaced !== undefined
        ? `${name} is replacing ${change.replaces} already`
        : undefined;
    }
    case "remove":
    case "cancel":
      return node === undefined && name !== ""
        ? `${name} is not in the list, which is ${listOf(view)}`
        : undefined;
  }
}

/** Says which change is under way; `undefined` if none is. */
function whyUnderWay(view: NodeList): string | undefined {
  const learner = view.learners?.[0];
  if (learner === undefined) return undefined;
  const { node, replaces, by } = learner;
  const what = replaces === undefined
    ? "is being added"
    : `is to replace ${view.names[replaces] ?? ""}`;
  return `${view.names[node] ?? ""} ${what}, as ${by} has asked: wait for it, or cancel it`;
}

function listOf({ names }: Pick<View, "names">): string {
  return names.filter((name) => name !== "").join(", ");
}

/**
 * Returns the id for another node: the lowest that was never used, then those of nodes that are gone.
 * A list keeps the places of nodes that are gone.
 */
function freeId(names: readonly string[]): NodeId | undefined {
  if (names.length < NODES_MAX) return names.length;
  const id = names.indexOf("");
  return id < 0 ? undefined : id;
}

/** Returns the list without `nodes`. Their ids stay unused. */
function withoutNodes(view: NodeList, nodes: NodeSet): NodeList {
  const learners = (view.learners ?? []).filter(({ node }) => !contains(nodes, node));
  return {
    names: view.names.map((name, node) => contains(nodes, node) ? "" : name),
    ...learners.length > 0 ? { learners } : {},
    ...view.change === undefined ? {} : { change: view.change },
  };
}

/**
 * Returns the list of `view` after the learners among `nodes` have become members: they count, and what
 * they replace is gone.
 *
 * @param number the number of the view that admits them
 */
export function admitLearners(view: NodeList, nodes: NodeSet, number: number): NodeList {
  let list = view;
  for (const learner of view.learners ?? []) {
    if (!contains(nodes, learner.node)) continue;
    const { node, replaces, by, at } = learner;
    const name = view.names[node] ?? "";
    const replacedName = replaces === undefined ? undefined : view.names[replaces];
    const rest = (list.learners ?? []).filter((one) => one !== learner);
    const { learners: _, ...others } = list;
    const admitted = { ...others, ...rest.length > 0 ? { learners: rest } : {} };
    const without = replaces === undefined ? admitted : withoutNodes(admitted, only(replaces));
    const change = {
      kind: "admit",
      name,
      ...replacedName === undefined ? {} : { replaces: replacedName },
      by,
      at,
      view: number,
    } as const;
    list = { ...without, change };
  }
  return list;
}

/** Says why the voters `live` of the list are no majority; `undefined` if they are. */
export function whyNoMajority(list: NodeList, live: NodeSet): string | undefined {
  const quorum = quorumOf(list);
  if (quorum.isReachedBy(live)) return undefined;
  const { nodes: all, needed } = quorum;
  const namesOf = (set: NodeSet) => members(set).map((node) => list.names[node] ?? "").join(", ");
  const there = (all & live) === 0 ? "none" : namesOf(all & live);
  return `of the nodes that would be left (${namesOf(all)}) ${needed} are needed, ` +
    `and only these are there and hold everything: ${there}`;
}
