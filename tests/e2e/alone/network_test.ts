/** Nodes that cannot reach each other, each on a host of its own. */

import { assertEquals } from "@std/assert";
import { binaryPath } from "../../harness/binary.ts";
import { execute } from "../../harness/processes.ts";
import { canMakeNamespaces, TestNetwork } from "../../harness/namespaces.ts";

const CAN_RUN = await canMakeNamespaces();

/** Runs a scenario of `network_scenarios.ts` inside of the hub of a new network. */
function scenario(name: string, hosts: number): void {
  Deno.test({
    name: `network: ${name}`,
    ignore: !CAN_RUN,
    fn: async () => {
      const dks = await binaryPath();
      const network = await TestNetwork.create(hosts);
      try {
        const file = new URL("network_scenarios.ts", import.meta.url).pathname;
        const about = JSON.stringify({ name, dks, ...network });
        const deno = [Deno.execPath(), "run", "--allow-all", file, about];
        const ended = await execute("ip", ["netns", "exec", network.hub, ...deno]);
        assertEquals([ended.code, ended.stderr], [0, ""], ended.stdout + ended.stderr);
      } finally {
        await network.remove();
      }
    },
  });
}

scenario("a node that is cut off and comes back", 5);
scenario("a minority that is cut off never answers what is old", 5);
scenario("values of 8 MiB at 100 Mb/s change no view", 5);
