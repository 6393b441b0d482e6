/**
 * Five nodes are restarted one after the other by SIGTERM, under load, with TLS, a cluster secret and users:
 * a client that goes to the next node when one rejects its command or goes away sees no failure.
 */

import { assert, assertEquals } from "@std/assert";
import { Connector } from "../../../src/client/connector.ts";
import { binary } from "../../harness/binary.ts";
import { Authority, tlsDocument } from "../../harness/certificates.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../../harness/cluster.ts";
import { CountingClient, SLOW_MS, TIMEOUT_MS } from "../../harness/counting_client.ts";
import { withHome } from "../../harness/homes.ts";
import { Lateness } from "../../harness/lateness.ts";
import { execute, isInstalled, until } from "../../harness/processes.ts";

/** How many clients begin at each node. */
const CLIENTS_PER_NODE = 2;

/** The longest that a request may take, in milliseconds. After kill -9, writes wait for more than 2 s. */
const PAUSE_MS_MAX = SLOW_MS;

const PASSWORD = "a-password-of-clients";

Deno.test({
  name: "a rolling restart of five nodes under load fails no request, and holds none up for 0.3 s",
  ignore: !isInstalled("openssl") || Deno.build.os === "windows",
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    const program = await binary();
    const ports = freePorts(5);
    const places = loopback(ports, program);
    const peers = places.map(({ address }) => address).join();
    const input = tlsDocument(await authority.issue(["IP:127.0.0.1"]), authority.ca, {
      "cluster-secret": "a-secret-of-all-five-nodes",
      users: { default: ["off"], app: ["on", `>${PASSWORD}`, "~*", "&*", "+@all"] },
    });
    const args = ["--config", "-"];
    await withHome(async ({ XDG_DATA_HOME = "" }) => {
      const env = { XDG_DATA_HOME }; // The program is unpacked where it was before.
      const cluster = await LocalCluster.start({ places, args, input, storage: [], env });
      const nodes = [...cluster.nodes];
      const addresses = ports.map((port) => ({ hostname: "127.0.0.1", port }));
      const clients: CountingClient[] = [];
      const lateness = new Lateness();
      const waitReady = async () => {
        const url = `rediss://app:${PASSWORD}@${peers}`;
        const words = ["client", "-s", url, "--cacert", "-", "wait-ready"];
        const { code, stderr } = await execute(program.file, words, { input: authority.ca });
        assertEquals([code, stderr], [0, ""]);
      };
      try {
        ports.forEach((_, at) => {
          for (let i = 0; i < CLIENTS_PER_NODE; i++) {
            const connector = new Connector({
              addresses: [...addresses.slice(at), ...addresses.slice(0, at)],
              timeoutMs: TIMEOUT_MS,
              credentials: { user: "app", password: PASSWORD },
              tls: { ca: authority.ca },
            });
            clients.push(new CountingClient(connector, `count:${at}:${i}`));
          }
        });
        const counts = () => clients.reduce((sum, { count }) => sum + count, 0);
        const untilMore = async (more: number) => {
          const goal = counts() + more;
          await until(
            "there are more answers",
            () => counts() >= goal || clients.some(({ failures }) => failures.length > 0),
          );
        };
        await untilMore(500);
        for (const [at, port] of ports.entries()) {
          await nodes[at]?.stop();
          assertEquals(await nodes[at]?.untilEnded(), 0, nodes[at]?.printed);
          const again = new NodeProcess({
            program,
            port,
            args: ["--peers", peers, ...args],
            storage: [],
            env,
            input,
          });
          nodes[at] = again;
          await waitReady();
          await untilMore(200);
        }
      } finally {
        await Promise.all(clients.map((one) => one.stop()));
        lateness.stop();
        await Promise.all(nodes.map((node) => node.stop()));
        await authority.remove();
      }
      const longestMs = Math.max(...clients.map((one) => one.longestMs));
      assertEquals(clients.flatMap(({ failures }) => failures), []);
      assert(
        longestMs < PAUSE_MS_MAX + lateness.forRequestMs,
        `${clients.flatMap(({ slow }) => slow)}; this process was late by ${lateness.mostMs} ms`,
      );
    });
  },
});
