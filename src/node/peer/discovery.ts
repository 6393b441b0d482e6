/**
 * The nodes of a first start, from names that stand for several of them (`--nodes`): a host name with
 * many addresses, or a service (an SRV record, RFC 2782), whose name begins with `_`.
 *
 * A resolver may know some of the nodes only, as while they are being started. So how many there are has
 * to be said: a node that took what it finds at first might be a cluster of one.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress } from "../../address.ts";
import { type Resolver, UnknownHostError } from "../../name_lookup.ts";

/** The pause between two rounds of questions, in milliseconds. */
const ROUND_MS = 500;

/** What the search needs. */
export interface DiscoveryOptions {
  /** The names, with the port of the nodes that only have an address. */
  readonly names: readonly Address[];
  /** How many nodes there are. */
  readonly count: number;
  readonly resolver: Resolver;
  /** Called after each round in vain: what was found, and why no more, if a resolver has said so. */
  readonly onWaiting: (found: readonly string[], reasons: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/**
 * Resolves with the names of the nodes, sorted, when there are as many as there should be: each is an
 * address with the port, or what a service names.
 *
 * @throws the reason of the signal, if it is aborted.
 */
export async function discover(options: DiscoveryOptions): Promise<string[]> {
  const { names, count, resolver, onWaiting, signal } = options;
  for (;;) {
    const reasons: string[] = [];
    const found = await Promise.all(names.map((name) =>
      nodesOf(name, resolver).catch((error) => {
        if (!(error instanceof UnknownHostError)) throw error;
        reasons.push(error.message);
        return [];
      })
    ));
    signal.throwIfAborted();
    const nodes = [...new Set(found.flat().map(formatAddress))].sort();
    if (nodes.length === count) return nodes;
    onWaiting(nodes, reasons);
    await delay(ROUND_MS, { signal });
  }
}

async function nodesOf({ hostname, port }: Address, resolver: Resolver): Promise<Address[]> {
  if (hostname.startsWith("_")) return [...await resolver.servicesOf(hostname)];
  const addresses = await resolver.addressesOf(hostname);
  // A machine that has addresses of both kinds is one node.
  const ofOneKind = addresses.filter((address) => !address.includes(":"));
  return (ofOneKind.length > 0 ? ofOneKind : addresses)
    .map((address) => ({ hostname: address, port }));
}
