/** Whole nodes in this process: what they tell each other. */

import { assertEquals } from "@std/assert";
import type { ChangeOutcome } from "../../src/two_phase/member_changes.ts";
import { Node } from "../../src/node/node.ts";
import { parseServeOptions } from "../../src/node/serve.ts";
import { freePorts } from "../harness/cluster.ts";
import { until } from "../harness/processes.ts";
import { newAsker } from "./asker.ts";

Deno.test("a node that was removed tells the view that removed it, and the list of before", async () => {
  const ports = freePorts(2);
  const names = ports.map((port) => `127.0.0.1:${port}`);
  const nodes = await Promise.all(ports.map((port) =>
    Node.open(parseServeOptions([
      ...["--host", "127.0.0.1", "--port", `${port}`, "--peers", names.join(), "--ephemeral"],
      ...["--log-level", "critical"],
    ]))
  ));
  const running = nodes.map((node) => node.run());
  const [staying, leaving] = nodes;
  await until(
    "both are members",
    () => nodes.every((node) => node.replica?.membership.mayWrite === true),
  );
  const change = { kind: "remove", name: names[1] ?? "" } as const;
  const outcome: ChangeOutcome | undefined = await staying?.facts.members.change(change, "ops");
  assertEquals(outcome?.kind, "done");
  await until("the other one waits", () => leaving?.driver === undefined);
  const asker = newAsker();
  const port = ports[1] ?? 0;
  const { clusterPosition } = await asker.find({ hostname: "127.0.0.1", port }) ?? {};
  const view = staying?.replica?.membership.view;
  for (const node of nodes) node.stop();
  await Promise.all(running);
  assertEquals(clusterPosition, {
    view: 2,
    cluster: { id: view?.cluster.id ?? "" },
    names,
    listView: 1,
  });
});
