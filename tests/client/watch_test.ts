import { assertEquals } from "@std/assert";
import { changesOf } from "../../src/client/watch.ts";
import type { ClusterStatus, NodeRole } from "../../src/cluster_status.ts";

function status(view: number, roles: readonly NodeRole[], isComplete = true): ClusterStatus {
  return {
    version: "0",
    view,
    viewSince: null,
    cluster: "c",
    origin: null,
    listChange: null,
    notListed: null,
    isComplete,
    journal: "",
    isEphemeral: true,
    journalTrouble: null,
    isOpenToPeers: false,
    clockOffMs: 0,
    isClockRight: true,
    uptimeSeconds: 1,
    nodes: roles.map((role, index) => ({
      address: `n${index}`,
      isSelf: index === 0,
      isUp: role !== "down",
      isInView: role === "member",
      isLearner: false,
      replaces: null,
      role,
      chunks: role === "joining" ? 3 : null,
      hasLease: null,
      forceMs: null,
      isSlow: false,
      roundTripMs: null,
      keys: null,
      requestsPerSecond: null,
    })),
    inDoubt: 0,
    doubts: [],
  };
}

Deno.test("changesOf() tells the first state, and then only what has changed", () => {
  const all = status(1, ["member", "member", "member"]);
  assertEquals(changesOf(undefined, all), ["view 1 with n0, n1, n2", "writes go on"]);
  assertEquals(changesOf(all, all), []);
  const two = status(2, ["member", "member", "down"]);
  assertEquals(changesOf(all, two), [
    "view 2 with n0, n1; without n2",
    "n2: member, now down",
  ]);
  const joining = status(2, ["member", "member", "joining"]);
  assertEquals(changesOf(two, joining), ["n2: down, now joining, 3 chunks so far"]);
  assertEquals(changesOf(joining, status(3, ["member", "member", "member"], false)), [
    "view 3 with n0, n1, n2",
    "n2: joining, now member",
    "writes wait",
  ]);
});

Deno.test("changesOf() tells when something comes into doubt, and when nothing is any more", () => {
  const calm = status(1, ["member", "member", "member"]);
  const inDoubt = {
    ...calm,
    inDoubt: 2,
    doubts: [1, 2].map((sequence) => ({
      transaction: `0.1.${sequence}`,
      since: 0,
      keys: 1,
      key: '"k"',
      waitsFor: "the vote of n2",
      nodes: ["n2"],
    })),
  };
  assertEquals(changesOf(calm, inDoubt), ["in doubt: 0.1.1 waits for the vote of n2"]);
  assertEquals(changesOf(inDoubt, { ...inDoubt, inDoubt: 1 }), []);
  assertEquals(changesOf(inDoubt, calm), ["nothing is in doubt any more"]);
});
