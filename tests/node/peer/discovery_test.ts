import { createSocket, type Socket } from "node:dgram";
import { assertEquals, assertRejects } from "@std/assert";
import { discover } from "../../../src/node/peer/discovery.ts";
import { NameLookups, type Resolver, UnknownHostError } from "../../../src/name_lookup.ts";

/** A resolver that says something else each time it is asked, until the last of it. */
class ChangingResolver implements Resolver {
  readonly #hosts: Map<string, string[][]>;
  readonly #services: Map<string, { hostname: string; port: number }[][]>;

  constructor(
    hosts: Record<string, string[][]>,
    services: Record<string, { hostname: string; port: number }[][]> = {},
  ) {
    this.#hosts = new Map(Object.entries(hosts));
    this.#services = new Map(Object.entries(services));
  }

  addressesOf(hostname: string): Promise<readonly string[]> {
    return this.#next(this.#hosts.get(hostname), hostname);
  }

  servicesOf(name: string): Promise<readonly { hostname: string; port: number }[]> {
    return this.#next(this.#services.get(name), name);
  }

  #next<Found>(rounds: Found[][] | undefined, name: string): Promise<Found[]> {
    const found = rounds !== undefined && rounds.length > 1 ? rounds.shift() : rounds?.[0];
    if (found === undefined || found.length === 0) {
      return Promise.reject(new UnknownHostError(`no ${name}`));
    }
    return Promise.resolve(found);
  }
}

const NAME = { hostname: "dks", port: 5000 };

async function find(
  resolver: Resolver,
  names: { hostname: string; port: number }[] = [NAME],
  count = 3,
): Promise<{ nodes: string[]; waits: string[] }> {
  const waits: string[] = [];
  const nodes = await discover({
    names,
    count,
    resolver,
    onWaiting: (found, reasons) => waits.push([...found, ...reasons].join(" ")),
    signal: AbortSignal.timeout(10_000),
  });
  return { nodes, waits };
}

Deno.test("discover() waits until a name has as many addresses as there are nodes", async () => {
  const resolver = new ChangingResolver({
    dks: [[], ["10.0.0.2"], ["10.0.0.3", "10.0.0.1", "10.0.0.2"]],
  });
  assertEquals(await find(resolver), {
    nodes: ["10.0.0.1:5000", "10.0.0.2:5000", "10.0.0.3:5000"],
    waits: ["no dks", "10.0.0.2:5000"],
  });
});

Deno.test("discover() takes no part of more addresses than there are nodes", async () => {
  const resolver = new ChangingResolver({
    dks: [["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], ["10.0.0.1", "10.0.0.2", "10.0.0.4"]],
  });
  const { nodes, waits } = await find(resolver);
  assertEquals(nodes, ["10.0.0.1:5000", "10.0.0.2:5000", "10.0.0.4:5000"]);
  assertEquals(waits.length, 1);
});

Deno.test("discover() counts a machine with addresses of both kinds once", async () => {
  const both = new ChangingResolver({ dks: [["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"]] });
  assertEquals((await find(both, [NAME], 2)).nodes, ["10.0.0.1:5000", "10.0.0.2:5000"]);
  const six = new ChangingResolver({ dks: [["fd00::2", "fd00::1"]] });
  assertEquals((await find(six, [NAME], 2)).nodes, ["[fd00::1]:5000", "[fd00::2]:5000"]);
});

Deno.test("discover() takes the hosts and ports of a service, and other names beside it", async () => {
  const services = {
    "_dks._tcp.dks": [[{ hostname: "dks-1.dks", port: 5001 }, {
      hostname: "dks-0.dks",
      port: 5001,
    }]],
  };
  const resolver = new ChangingResolver({ other: [["10.0.0.9"]] }, services);
  const names = [{ hostname: "_dks._tcp.dks", port: 5000 }, { hostname: "other", port: 7000 }];
  assertEquals((await find(resolver, names)).nodes, [
    "10.0.0.9:7000",
    "dks-0.dks:5001",
    "dks-1.dks:5001",
  ]);
});

Deno.test("discover() ends when it is told to", async () => {
  const search = discover({
    names: [NAME],
    count: 2,
    resolver: new ChangingResolver({}),
    onWaiting: () => {},
    signal: AbortSignal.abort(new Error("stopped")),
  });
  await assertRejects(() => search, Error, "stopped");
});

/** A name server that answers each question with these hosts of a service, or with none. */
async function nameServer(hosts: readonly string[]): Promise<Socket> {
  const encodeName = (name: string) => [
    ...name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]),
    0,
  ];
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    let end = 12;
    while (query[end] !== 0) end += (query[end] ?? 0) + 1;
    const question = query.subarray(12, end + 5);
    const answers = hosts.flatMap((host) => {
      // Priority and weight 0, port 5000.
      const data = [0, 0, 0, 0, 0x13, 0x88, ...encodeName(host)];
      return [0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, data.length, ...data];
    });
    const code = hosts.length > 0 ? 0x80 : 0x83;
    const head = [...query.subarray(0, 2), 0x81, code, 0, 1, 0, hosts.length, 0, 0, 0, 0];
    socket.send(new Uint8Array([...head, ...question, ...answers]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket;
}

for (const hosts of [["DKS-0.dks.test", "dks-1.dks.test"], []]) {
  Deno.test(`servicesOf() asks a name server, which knows ${hosts.length} hosts`, async () => {
    const socket = await nameServer(hosts);
    try {
      const { port } = socket.address();
      const ask = () =>
        new NameLookups().servicesOf("_dks._tcp.dks.test", { hostname: "127.0.0.1", port });
      if (hosts.length === 0) await assertRejects(ask, UnknownHostError, "has no host now");
      else {
        const found = (await ask()).toSorted((a, b) => a.hostname < b.hostname ? -1 : 1);
        assertEquals(found, [
          { hostname: "dks-0.dks.test", port: 5000 },
          { hostname: "dks-1.dks.test", port: 5000 },
        ]);
      }
    } finally {
      await new Promise<void>((resolve) => socket.close(resolve));
    }
  });
}
