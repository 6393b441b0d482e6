/**
 * A node that is not in the list of its cluster waits until it is: a new one (`--join`), or one that
 * was removed. It asks the nodes that it knows of for their list, again and again.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress, parseAddress } from "../../address.ts";
import type { Reply } from "./handshake.ts";
import type { ClusterList } from "./peers.ts";

/** The pause between two rounds of questions, in milliseconds. */
const ROUND_MS = 500;

/** What the search needs. */
export interface ListSearchOptions {
  /** Whom to ask at first. */
  readonly seeds: readonly Address[];
  /** The name of this node, if it is known. */
  readonly ownName: string | undefined;
  /** Lists of earlier views than this one are those of nodes that are behind: they do not count. */
  readonly since: number;
  /**
   * Asks a node who it is. Returns `undefined` if it does not answer, or is of another cluster or
   * another configuration.
   */
  readonly ask: (address: Address) => Promise<Reply | undefined>;
  /** Of this process. */
  readonly instance: string;
  /** Called after each round in vain, with the latest list, or nothing if nobody has told one. */
  readonly onWaiting: (list: ClusterList | undefined) => void;
  readonly signal: AbortSignal;
}

/** A list that has this node, and the name of this node in it. */
export interface FoundList {
  readonly list: ClusterList;
  readonly ownName: string;
}

/**
 * Resolves with the latest list when it has this node.
 *
 * @throws the reason of the signal, if it is aborted.
 */
export async function findList(options: ListSearchOptions): Promise<FoundList> {
  const { seeds, since, ask, instance, onWaiting, signal } = options;
  /** By name. */
  const addresses = new Map(seeds.map((one) => [formatAddress(one), one]));
  let { ownName } = options;
  let latest: ClusterList | undefined;
  for (;;) {
    const replies = await Promise.all(
      Array.from(addresses, async ([name, address]) => ({ name, reply: await ask(address) })),
    );
    signal.throwIfAborted();
    for (const { name, reply } of replies) {
      if (reply === undefined) continue;
      if (reply.instance === instance) {
        ownName ??= name;
        continue;
      }
      const { listView: view, names } = reply.clusterPosition;
      if (view >= since && view > (latest?.view ?? 0)) latest = { view, names };
    }
    if (latest !== undefined && ownName !== undefined && latest.names.includes(ownName)) {
      return { list: latest, ownName };
    }
    let hasMore = false;
    for (const name of latest?.names ?? []) {
      if (name === "" || addresses.has(name)) continue;
      addresses.set(name, parseAddress(name, { defaultPort: 0, name: "the list of nodes" }));
      hasMore = true;
    }
    if (hasMore) continue; // One of the new names may be this node's.
    onWaiting(latest);
    await delay(ROUND_MS, { signal });
  }
}
