import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import type { JournalSighting, View } from "../../src/two_phase/messages.ts";
import { isStarted, whyNotNow } from "../../src/node/new_cluster.ts";
import {
  clusterDifference,
  type ClusterPosition,
  type Reply,
  sharedConfig,
} from "../../src/node/peer/handshake.ts";
import { Node } from "../../src/node/node.ts";
import type { FoundNode } from "../../src/node/peer/peers.ts";
import { parseServeOptions } from "../../src/node/serve.ts";
import { openKvJournal } from "../../src/node/storage/kv_journal.ts";
import { freePorts } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";
import { newAsker } from "./asker.ts";

/** The old cluster's view 5, as node a knows it. */
const OLD: View = {
  number: 5,
  cluster: { id: "old" },
  ballot: 32,
  names: ["a:1", "b:1", "c:1", "d:1", "e:1"],
  members: 0b11111,
  journals: ["ja", "jb", "jc", "jd", "je"],
  commits: [],
  bases: [0, 0, 0, 0, 0],
};

const CONFIG = sharedConfig({
  keyBytesMax: 1,
  valueBytesMax: 1,
  leaseMs: 1000,
  suspicionMs: 1000,
  heartbeatMs: 200,
});

/** This node's journal, as far as it has come. */
const OWN: JournalSighting = { journal: "ja", incarnation: 3, process: "own", position: 40 };

function found(
  name: string,
  journal: string,
  about: Partial<ClusterPosition> & {
    isStartingCluster?: boolean;
    known?: JournalSighting;
  } = {},
): FoundNode {
  const { isStartingCluster = false, known, ...clusterPosition } = about;
  return {
    name,
    reply: {
      config: CONFIG,
      instance: name,
      identity: { journal, incarnation: 1, process: "p", position: 0 },
      clusterPosition: {
        view: 5,
        cluster: { id: "old" },
        names: [],
        listView: 5,
        ...clusterPosition,
      },
      isStartingCluster,
      known,
      uptimeMs: 0,
    },
  };
}

Deno.test("whyNotNow() refuses a forced beginning where others know more or get on by themselves", () => {
  const fresh = { view: 0, cluster: { id: "" } };
  const recovered = { id: "new", origin: { by: "b:1", at: 0, view: 6 } };
  const table: [what: string, nodes: FoundNode[], why: RegExp | undefined][] = [
    ["no node answers", [], undefined],
    ["a minority", [found("b:1", "jb")], undefined],
    ["a majority", [found("b:1", "jb"), found("d:1", "jd")], /^b:1, d:1 of the old .* its 5 nodes/],
    // New machines belong to no majority, whatever view they were sent.
    ["new journals", [found("b:1", "jb"), found("c:1", "x"), found("d:1", "y")], undefined],
    ["nodes without a view", [found("b:1", "x", fresh), found("z:1", "y", fresh)], undefined],
    ["a later view", [found("b:1", "jb", { view: 7 })], /^b:1 \(view 7\) of the old .*\(view 5\)/],
    ["an earlier view", [found("b:1", "jb", { view: 4 })], undefined],
    [
      "another cluster",
      [found("b:1", "jb", { view: 6, cluster: recovered })],
      /^b:1 is of another cluster already \(view 6, started by force by b:1 at 1970-.* keep this node's/,
    ],
    [
      "one that has seen more of this journal",
      [found("b:1", "jb", { known: { ...OWN, process: "later", position: 41 } })],
      /^this node's journal is an older copy: it ends at start number 3, record 40, and b:1 has seen/,
    ],
    [
      "one that has seen less of it",
      [found("b:1", "jb", { known: { ...OWN, incarnation: 2, process: "p", position: 40 } })],
      undefined,
    ],
    [
      "another one that begins by force",
      [found("b:1", "jb", { isStartingCluster: true })],
      /^b:1 is started with --force-new-cluster at the same time/,
    ],
  ];
  for (const [what, nodes, why] of table) {
    const reason = whyNotNow(OLD, { found: nodes, own: OWN });
    if (why === undefined) assertEquals(reason, undefined, what);
    else assertMatch(reason ?? "", why, what);
  }
});

Deno.test("whyNotNow() refuses if a node of an unknown version answers, whatever that says of itself", () => {
  const { name, reply } = found("b:1", "jb");
  const { identity: _identity, clusterPosition: _position, ...rest } = reply;
  // What a version has that this one does not speak may be anything: `parseReply` looks at no more.
  const foreign = { ...rest, config: { ...CONFIG, protocol: 900 } } as unknown as Reply;
  const reason = whyNotNow(OLD, {
    found: [found("c:1", "jc"), { name, reply: foreign }],
    own: OWN,
  });
  assertMatch(
    reason ?? "",
    /^b:1 speaks version 900 of the peer protocol, this node version \d+: what/,
  );
});

Deno.test("whyNotNow() counts no learner: a majority of the others goes on by itself", () => {
  const learners = [3, 4].map((learner) => ({ node: learner, by: "ops", at: 0 }));
  const old = { ...OLD, members: 0b111, journals: ["ja", "jb", "jc", "", ""], learners };
  assertMatch(
    whyNotNow(old, { found: [found("b:1", "jb")], own: OWN }) ?? "",
    /^b:1 of the old cluster answer: with this node they are a majority of its 3 nodes/,
  );
});

Deno.test("isStarted() takes a list that was changed since for that with which a cluster was started", () => {
  const origin = { by: "a:1", at: 0, view: 5 };
  const started = { ...OLD, cluster: { id: "new", origin } };
  const change = { kind: "admit", name: "e:1", replaces: "f:1", by: "ops", at: 1 } as const;
  const changed = { ...started, number: 9, change: { ...change, view: 7 } };
  const before = { ...started, change: { ...change, view: 4 } };
  const first = ["a:1", "b:1", "c:1", "d:1", "f:1"];
  const table: [View, readonly string[], boolean][] = [
    [OLD, OLD.names, false],
    [started, OLD.names, true],
    [started, first, false],
    [changed, first, true],
    [changed, ["a:1"], false],
    [before, first, false],
  ];
  for (const [view, list, expected] of table) {
    assertEquals(isStarted(view, list), expected, `${view.number} ${list.join()}`);
  }
});

Deno.test("whyNotNow() lets a cluster of one begin another one", () => {
  const alone = { ...OLD, names: ["a:1"], journals: ["ja"], members: 1 };
  assertEquals(whyNotNow(alone, { found: [], own: OWN }), undefined);
});

Deno.test("clusterDifference() names the cluster and the view of both nodes", () => {
  const mine: ClusterPosition = { view: 9, cluster: { id: "old" }, names: [], listView: 9 };
  const theirs: ClusterPosition = {
    view: 10,
    cluster: { id: "new", origin: { by: "a:1", at: 0, view: 10 } },
    names: [],
    listView: 10,
  };
  const difference = (one: ClusterPosition, other: ClusterPosition) =>
    clusterDifference(one, { theirs: other, name: "a:1" });
  assertEquals(
    difference(mine, theirs),
    "a:1 is of another cluster (view 10, started by force by a:1 at 1970-01-01T00:00:00.000Z) than " +
      "this node (view 9, not started by force), and what its journal holds does not count here: of " +
      "the two, empty the journal of the one that is to join the other",
  );
  assertEquals(difference(mine, { ...mine, view: 3 }), undefined);
  const none: ClusterPosition = { view: 0, cluster: { id: "" }, names: [], listView: 0 };
  assertEquals([difference(mine, none), difference(none, theirs)], [undefined, undefined]);
});

Deno.test("parseServeOptions() takes --force-new-cluster, but not for what stores nothing", () => {
  const parse = (...args: string[]) => parseServeOptions(args).forcesNewCluster;
  assertEquals([parse(), parse("--force-new-cluster")], [false, true]);
  assertThrows(
    () => parse("--force-new-cluster", "--ephemeral"),
    UsageError,
    "--ephemeral stores nothing that --force-new-cluster could start from",
  );
});

/** Makes the journal of a node that was a member of view 5 of `names`, under the id 0. */
async function makeJournal(path: string, names: readonly string[]): Promise<void> {
  const onFatal = (error: Error) => {
    throw error;
  };
  const journal = await openKvJournal({ path, onFatal });
  await journal.recover({
    isRestored: () => false,
    restoreEntry: () => {},
    restoreRecord: () => {},
  });
  const journals = names.map((_, id) => id === 0 ? journal.identity.journal : `j${id}`);
  const view = { ...OLD, names, journals, members: 0b111, bases: [0, 0, 0] };
  journal.append([{ type: "membership", view, isMember: true, joined: undefined, offset: 0 }]);
  await journal.close();
}

Deno.test("a node announces the list of a new cluster when it has started it, and no list before", async () => {
  const folder = await Deno.makeTempDir();
  const [port = 0] = freePorts(1);
  const name = `127.0.0.1:${port}`;
  const path = `${folder}/journal.kv`;
  // Nobody answers there; a port that was free a moment ago may be that of a node of another test.
  await makeJournal(path, [name, "127.0.0.1:1", "127.0.0.1:2"]);
  const node = await Node.open(parseServeOptions([
    ...["--host", "127.0.0.1", "--port", `${port}`, "--peers", name, "--data", path],
    ...["--force-new-cluster", "--log-level", "error"],
  ]));
  const running = node.run();
  const asker = newAsker();
  const said: string[] = [];
  await until("the new cluster is started", async () => {
    const reply = await asker.find({ hostname: "127.0.0.1", port });
    if (reply === undefined) return false;
    const { view, cluster, names, listView } = reply.clusterPosition;
    const kind = cluster.id === "old" ? "old" : "new";
    const line = `${kind} view ${view}, list of view ${listView}: ${names.length}`;
    if (said.at(-1) !== line) said.push(line);
    return kind === "new";
  });
  node.stop();
  await running;
  await Deno.remove(folder, { recursive: true });
  assertEquals(said, ["old view 5, list of view 0: 0", "new view 6, list of view 6: 1"]);
});
