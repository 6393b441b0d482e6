/** A cluster gets a secret and TLS, and loses them again, one node after the other, under load. */

import { assertEquals, assertMatch } from "@std/assert";
import { Connector } from "../../src/client/connector.ts";
import { binary } from "../harness/binary.ts";
import { Authority, tlsDocument } from "../harness/certificates.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { CountingClient, TIMEOUT_MS } from "../harness/counting_client.ts";
import { client, isInstalled, until } from "../harness/processes.ts";

Deno.test({
  name: "a cluster gets a secret and TLS and loses them, node by node, without a failed request",
  ignore: !isInstalled("openssl") || Deno.build.os === "windows",
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    const certificate = await authority.issue(["IP:127.0.0.1"]);
    const document = (more: Readonly<Record<string, unknown>>) =>
      tlsDocument(certificate, authority.ca, {
        "cluster-secret": "a-secret-of-all-three-nodes",
        "tls-plain-clients": true,
        ...more,
      });
    const [none, some, full] = [undefined, document({ "plain-peers": true }), document({})];
    const other = document({ "plain-peers": true, "cluster-secret": "another-secret-of-them" });
    const program = await binary();
    const ports = freePorts(3);
    const places = loopback(ports, program);
    const peers = places.map(({ address }) => address).join();
    const cluster = await LocalCluster.start({ places });
    const nodes = [...cluster.nodes];
    const addresses = ports.map((port) => ({ hostname: "127.0.0.1", port }));
    const clients = ports.map((_, at) => {
      const inTurn = [...addresses.slice(at), ...addresses.slice(0, at)];
      return new CountingClient(
        new Connector({ addresses: inTurn, timeoutMs: TIMEOUT_MS }),
        `count:${at}`,
      );
    });
    const failures = () => clients.flatMap((one) => one.failures);
    const restart = async (at: number, input: string | undefined) => {
      await nodes[at]?.stop();
      const config = input === undefined ? [] : ["--config", "-"];
      const port = ports[at] ?? 0;
      const node = new NodeProcess({ program, port, args: ["--peers", peers, ...config], input });
      nodes[at] = node;
      const { code, stderr } = await client(port, ["wait-ready"]);
      assertEquals([code, stderr], [0, ""], node.printed);
      const goals = clients.map(({ count }) => count + 30);
      await until(
        "there are more answers",
        () => failures().length > 0 || clients.every((one, i) => one.count >= (goals[i] ?? 0)),
      );
      assertEquals(failures(), []);
      return node;
    };
    try {
      for (const input of [some, full]) {
        for (const at of ports.keys()) await restart(at, input);
      }
      // Now a node that lacks both gets no link, and is named though its address was just refused for
      // something else.
      const broken = await Deno.connect({ hostname: "127.0.0.1", port: ports[0] ?? 0 });
      await broken.write(new Uint8Array([0x16, ...new Array<number>(200).fill(0)]));
      await nodes[0]?.untilPrinted(/a connection from 127.0.0.1 was refused/);
      broken.close();
      await nodes[2]?.stop();
      const stranger = new NodeProcess({ program, port: ports[2] ?? 0, args: ["--peers", peers] });
      nodes[2] = stranger;
      await nodes[0]?.untilPrinted(/it asks for a link between nodes without TLS/);
      assertEquals(/is complete/.test(stranger.printed), false);
      await restart(2, full);
      // From one secret to another, and to none.
      for (const input of [some, other, none]) {
        for (const at of ports.keys()) {
          const node = await restart(at, input);
          if (input !== none) assertMatch(node.printed, /NODES ARE LET IN WITHOUT PROOF/);
        }
      }
    } finally {
      await Promise.all(clients.map((one) => one.stop()));
      await Promise.all(nodes.map((node) => node.stop()));
      await authority.remove();
    }
    assertEquals(failures(), []);
  },
});
