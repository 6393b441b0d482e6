import { assertEquals, assertThrows } from "@std/assert";
import { ConnectionError } from "../../src/client/connection.ts";
import { statusOf } from "../../src/client/status.ts";
import { waitReady, whyNotReady } from "../../src/client/wait_ready.ts";
import type { ClusterStatus, NodeStatus } from "../../src/cluster_status.ts";
import { completionsOf } from "../../src/client/prompt.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { FakeServer } from "../harness/fake_server.ts";

function statusWith(self: Partial<NodeStatus>): ClusterStatus {
  const node: NodeStatus = {
    address: "n1:5000",
    isSelf: true,
    isUp: true,
    isInView: true,
    isLearner: false,
    replaces: null,
    role: "member",
    chunks: null,
    hasLease: true,
    roundTripMs: null,
    keys: 1,
    requestsPerSecond: 0,
    forceMs: null,
    isSlow: false,
  };
  return {
    ...EMPTY,
    nodes: [{ ...node, address: "n2:5000", isSelf: false, role: "down" }, { ...node, ...self }],
  };
}

const EMPTY: ClusterStatus = {
  version: "",
  view: 3,
  viewSince: null,
  cluster: "c",
  origin: null,
  listChange: null,
  notListed: null,
  isComplete: true,
  journal: "",
  isEphemeral: true,
  journalTrouble: null,
  uptimeSeconds: 1,
  clockOffMs: 0,
  isClockRight: true,
  isOpenToPeers: false,
  nodes: [],
  inDoubt: 0,
  doubts: [],
};

Deno.test("whyNotReady() wants the node itself to be a member with a lease", () => {
  assertEquals(whyNotReady(statusWith({})), undefined);
  assertEquals(whyNotReady(statusWith({ hasLease: false })), "it is a member without a lease");
  assertEquals(whyNotReady(statusWith({ hasLease: null })), "it is a member without a lease");
  const joining = statusWith({ role: "joining", chunks: 4 });
  assertEquals(whyNotReady(joining), "it is joining, 4 chunks so far");
  assertEquals(whyNotReady(statusWith({ role: "outside" })), "it is no member of the view");
  assertEquals(whyNotReady(EMPTY), "it is starting");
});

const FULL = new ErrorReply("ERR", "max number of clients reached");

Deno.test("waitReady() waits while a node has too many clients", async () => {
  for (const credentials of [undefined, { user: undefined, password: "p" }]) {
    using server = new FakeServer(([name], before) =>
      before < 3 ? FULL : name === "AUTH" ? "OK" : JSON.stringify(statusWith({}))
    );
    const options = { addresses: [server.address], timeoutMs: 30_000, credentials };
    assertEquals(await waitReady(options), []);
  }
});

Deno.test("statusOf() does not take a node that has too many clients for another program", () => {
  const said = "n1:5000 tells no status: ERR max number of clients reached";
  assertThrows(() => statusOf(FULL, "n1:5000"), ConnectionError, said);
  const unknown = new ErrorReply("ERR", "unknown command 'DKS.STATUS'");
  assertThrows(() => statusOf(unknown, "n1:5000"), ConnectionError, "n1:5000 is no dks node");
});

Deno.test("completionsOf() completes the first word, and no other", () => {
  const commands = ["set", "setnx", "get", "status"];
  assertEquals(completionsOf("s", commands), ["set", "setnx", "status"]);
  assertEquals(completionsOf(" SETN", commands), ["setnx"]);
  assertEquals(completionsOf("ou", commands), ["outcome"]);
  assertEquals(completionsOf("set k", commands), []);
  assertEquals(completionsOf("set ", commands), []);
});
