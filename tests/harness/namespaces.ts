/**
 * Machines for tests: network namespaces, each with one address, joined by a bridge.
 *
 * Everything lives in namespaces of its own: nothing of the machine's own network is touched. Needs
 * root, and `ip` (Debian: iproute2).
 *
 * @module
 */

import { execute } from "./processes.ts";

/** Addresses that are only ever used inside of the namespaces. */
const PREFIX = "10.77.0";

/** A hardware address that nobody has. */
const NO_CARD = "02:00:00:00:00:01";

/** What the parts of a network are called. */
export interface NetworkNames {
  readonly hub: string;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
}

/** The hosts of one test, and the hub that all are plugged into. */
export class TestNetwork {
  /** The namespace of the bridge, where clients run. */
  readonly hub: string;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];

  private constructor(names: NetworkNames) {
    this.hub = names.hub;
    this.hosts = names.hosts;
    this.addresses = names.addresses;
  }

  /** Returns the network that another process has made. */
  static existing(names: NetworkNames): TestNetwork {
    return new TestNetwork(names);
  }

  /** Makes a network of `count` hosts. */
  static async create(count: number): Promise<TestNetwork> {
    const name = `dks${Deno.pid}`;
    const indices = Array.from({ length: count }, (_, index) => index);
    const network = new TestNetwork({
      hub: `${name}-hub`,
      hosts: indices.map((index) => `${name}-${index}`),
      addresses: indices.map((index) => `${PREFIX}.${index + 1}`),
    });
    try {
      await network.#build();
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  async #build(): Promise<void> {
    const { hub } = this;
    await ip("netns", "add", hub);
    await ip("-n", hub, "link", "set", "lo", "up");
    await ip("-n", hub, "link", "add", "bridge", "type", "bridge");
    await ip("-n", hub, "addr", "add", `${PREFIX}.254/24`, "dev", "bridge");
    await ip("-n", hub, "link", "set", "bridge", "up");
    for (const [index, host] of this.hosts.entries()) {
      await ip("netns", "add", host);
      await ip("-n", host, "link", "set", "lo", "up");
      const port = `port${index}`;
      const veth = ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host];
      await ip("-n", hub, ...veth);
      await ip("-n", hub, "link", "set", port, "master", "bridge", "up");
      await ip("-n", host, "addr", "add", `${this.addresses[index]}/24`, "dev", "eth0");
      await ip("-n", host, "link", "set", "eth0", "up");
    }
  }

  /**
   * Drops everything that `from` sends to `to`, without a word to either: it is addressed to a network
   * card that does not exist.
   */
  async cutOneWay(from: number, to: number): Promise<void> {
    const target = [this.#address(to), "lladdr", NO_CARD, "dev", "eth0", "nud", "permanent"];
    await ip("-n", this.#host(from), "neigh", "replace", ...target);
  }

  /** Drops everything between `a` and `b`. */
  async cut(a: number, b: number): Promise<void> {
    await this.cutOneWay(a, b);
    await this.cutOneWay(b, a);
  }

  /** Lets so many megabits a second leave each host, and the hub to each host, from now on. */
  async limitRate(megabits: number): Promise<void> {
    const bucket = ["tbf", "rate", `${megabits}mbit`, "burst", "64kb", "latency", "200ms"];
    for (const [index, host] of this.hosts.entries()) {
      await tc("-n", host, "qdisc", "replace", "dev", "eth0", "root", ...bucket);
      await tc("-n", this.hub, "qdisc", "replace", "dev", `port${index}`, "root", ...bucket);
    }
  }

  /** Lets everything through again. */
  async heal(): Promise<void> {
    for (const host of this.hosts) await ip("-n", host, "neigh", "flush", "nud", "permanent");
  }

  /** Takes the network away. */
  async remove(): Promise<void> {
    for (const namespace of [...this.hosts, this.hub]) {
      await execute("ip", ["netns", "del", namespace]);
    }
  }

  #host(index: number): string {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`there is no host ${index}`);
    return host;
  }

  #address(index: number): string {
    const address = this.addresses[index];
    if (address === undefined) throw new Error(`there is no host ${index}`);
    return address;
  }
}

/** Tells whether namespaces can be made here. */
export async function canMakeNamespaces(): Promise<boolean> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const name = `dks${Deno.pid}-try`;
  try {
    await ip("netns", "add", name);
    await ip("netns", "del", name);
    return true;
  } catch {
    return false;
  }
}

function ip(...args: string[]): Promise<void> {
  return run("ip", args);
}

function tc(...args: string[]): Promise<void> {
  return run("tc", args);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await execute(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr.trim()}`);
}
