import { assertEquals } from "@std/assert";
import { changesOf } from "../../src/client/watch.ts";
import type { ClusterStatus, NodeRole } from "../../src/node/info.ts";

function status(view: number, roles: readonly NodeRole[], isComplete = true): ClusterStatus {
  return {
    version: "0",
    view,
    viewSince: null,
    cluster: "c",
    forced: null,
    isComplete,
    journal: "",
    isEphemeral: true,
    uptimeSeconds: 1,
    nodes: roles.map((role, index) => ({
      address: `n${index}`,
      isSelf: index === 0,
      isUp: role !== "down",
      isInView: role === "member",
      role,
      chunks: role === "joining" ? 3 : null,
      hasLease: null,
      roundTripMs: null,
      keys: null,
      requestsPerSecond: null,
    })),
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
