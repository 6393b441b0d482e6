/**
 * States of a node for tests of the status page.
 *
 * @module
 */

import type { NodeRole, NodeStatus } from "../../../src/cluster_status.ts";
import type { LiveState } from "../../../src/node/admin/live_pages.ts";

/** When all of it is, in milliseconds of wall-clock time. */
export const AT = Date.UTC(2026, 10, 26, 12);

/** Returns a node as the first one sees it. */
export function nodeStatus(address: string, role: NodeRole, isSelf = false): NodeStatus {
  const isUp = role !== "down";
  return {
    address,
    isSelf,
    isUp,
    isInView: role === "member",
    isLearner: false,
    replaces: null,
    role,
    chunks: role === "joining" ? 12 : null,
    hasLease: isUp ? role === "member" : null,
    roundTripMs: isSelf || !isUp ? null : 0.3,
    keys: isUp ? 1234 : null,
    requestsPerSecond: isUp ? 56 : null,
    forceMs: 1,
    isSlow: false,
  };
}

/** Returns the state of the first of five nodes with these roles. */
export function liveState(
  roles: readonly NodeRole[] = ["member", "member", "member", "member", "member"],
  change: Partial<LiveState["status"]> = {},
  rest: Partial<LiveState> = {},
): LiveState {
  const nodes = roles.map((role, at) => nodeStatus(`n${at + 1}:5000`, role, at === 0));
  return {
    at: AT,
    status: {
      version: "0.1.0",
      view: 3,
      viewSince: AT - 100_000,
      cluster: "f4b29bd6-8a0d-435e-bbce-78cf6ccd7816",
      origin: null,
      listChange: null,
      notListed: null,
      isComplete: true,
      isOpenToPeers: false,
      journal: "/var/lib/dks/dks (port 5000)",
      isEphemeral: false,
      journalTrouble: null,
      uptimeSeconds: 200,
      clockOffMs: 0,
      isClockRight: true,
      nodes,
      inDoubt: 0,
      doubts: [],
      ...change,
    },
    whyNotReady: null,
    sample: null,
    views: [
      {
        at: AT - 100_000,
        number: 3,
        members: nodes.filter(({ role }) => role === "member").map(({ address }) => address),
        joined: [],
        left: ["n2:5000"],
        reason: "no answer from n2:5000",
      },
    ],
    connections: 4,
    usedBytes: 1_500_000,
    boundBytes: 3_000_000_000,
    longestTurnMs: 12,
    ...rest,
  };
}
