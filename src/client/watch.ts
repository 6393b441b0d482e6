/**
 * `watch`: prints changes of the view and of its nodes as they happen.
 *
 * It asks every node of the list separately, and prints what the node with the latest view says: a
 * node that is cut off knows only an old view.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress } from "../address.ts";
import type { ClusterStatus } from "../cluster_status.ts";
import { AccessError, ConnectionError } from "./connection.ts";
import { Connector } from "./connector.ts";
import type { TlsKeys } from "../tls.ts";
import type { Credentials } from "./credentials.ts";
import { jsonLine } from "./json.ts";
import { fetchStatus } from "./status.ts";
import type { Output } from "./terminal.ts";

/** How often the nodes are asked, in milliseconds. */
const POLL_MS = 200;

/** A node that has not answered for this long is reported as silent, in milliseconds. */
const ANSWER_MS = 1000;

/**
 * Prints a line for each change, until the process is ended.
 *
 * @param asJson whether each line is JSON
 *
 * @throws {AccessError} if a node does not let the client in.
 */
export async function watch(
  { addresses, credentials, tls }: {
    readonly addresses: readonly Address[];
    readonly credentials?: Credentials | undefined;
    readonly tls?: TlsKeys | undefined;
  },
  output: Output,
  asJson: boolean,
): Promise<never> {
  const nodes = addresses.map((address) => new WatchedNode(address, { credentials, tls }));
  let last: ClusterStatus | undefined;
  for (;;) {
    for (const { refusal } of nodes) if (refusal !== undefined) throw refusal;
    const lines = nodes.flatMap((node) => node.takeNews());
    const status = latest(nodes.map((node) => node.status), last);
    if (status !== undefined) {
      lines.push(...changesOf(last, status));
      last = status;
    }
    const time = new Date().toISOString();
    for (const line of lines) {
      const { view = 0, isComplete = false } = last ?? {};
      await output.write(
        asJson ? jsonLine({ time, view, isComplete, change: line }) : `${time} ${line}\n`,
      );
    }
    await delay(POLL_MS);
  }
}

/** One node, which is polled. */
class WatchedNode {
  /** Its last answer; `undefined` while it does not answer. */
  status: ClusterStatus | undefined;
  /** The node lets nobody in with this password. */
  refusal: AccessError | undefined;
  readonly #name: string;
  readonly #connector: Connector;
  /** The last failure; `undefined` if there is none, or nothing is known yet. */
  #failure: string | undefined;
  #news: string[] = [];

  constructor(
    address: Address,
    by: { credentials: Credentials | undefined; tls: TlsKeys | undefined },
  ) {
    this.#name = formatAddress(address);
    this.#connector = new Connector({ addresses: [address], timeoutMs: ANSWER_MS, ...by });
    this.#ask();
  }

  /** Returns the lines to print since the last call. */
  takeNews(): string[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  async #ask(): Promise<void> {
    while (this.refusal === undefined) {
      try {
        await this.#askOnce();
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        if (error instanceof AccessError) this.refusal = error;
        this.status = undefined;
        // A node that stays down fails with different messages.
        if (this.#failure === undefined) {
          this.#news.push(`${this.#name} does not answer: ${error.message}`);
        }
        this.#failure = error.message;
      }
      await delay(POLL_MS);
    }
  }

  async #askOnce(): Promise<void> {
    const connection = await this.#connector.get();
    try {
      this.status = await fetchStatus(connection);
    } catch (error) {
      await this.#connector.giveUp(connection);
      throw error;
    }
    if (this.#failure !== undefined) this.#news.push(`${this.#name} answers again`);
    this.#failure = undefined;
  }
}

/**
 * Returns the status with the latest view, preferring one that can write; never an older view than
 * before.
 */
function latest(
  found: readonly (ClusterStatus | undefined)[],
  last: ClusterStatus | undefined,
): ClusterStatus | undefined {
  const known = found.filter((one) => one !== undefined && one.view >= (last?.view ?? 0));
  const rank = (one: ClusterStatus | undefined) => (one?.view ?? 0) + (one?.isComplete ? 0.5 : 0);
  return known.reduce((best, one) => rank(one) > rank(best) ? one : best, known[0]);
}

/**
 * Returns a line for each difference between two states of the cluster; the first state is printed
 * too.
 */
export function changesOf(before: ClusterStatus | undefined, after: ClusterStatus): string[] {
  const lines: string[] = [];
  if (before?.view !== after.view) lines.push(viewLine(before, after));
  for (const { address, role, chunks } of after.nodes) {
    const old = before?.nodes.find((node) => node.address === address)?.role;
    const isNews = before === undefined ? role !== "member" : role !== old;
    if (!isNews) continue;
    const progress = role === "joining" ? `, ${chunks ?? 0} chunks so far` : "";
    lines.push(`${address}: ${old === undefined ? role : `${old}, now ${role}`}${progress}`);
  }
  if (before?.isComplete !== after.isComplete) {
    lines.push(after.isComplete ? "writes go on" : "writes wait");
  }
  const [oldest] = after.doubts;
  const wasInDoubt = (before?.inDoubt ?? 0) > 0;
  if (oldest !== undefined && !wasInDoubt) {
    lines.push(`in doubt: ${oldest.transaction} waits for ${oldest.waitsFor}`);
  } else if (oldest === undefined && wasInDoubt) lines.push("nothing is in doubt any more");
  return lines;
}

function viewLine(before: ClusterStatus | undefined, after: ClusterStatus): string {
  const isMember = (status: ClusterStatus | undefined, address: string) =>
    status?.nodes.some((node) => node.address === address && node.isInView) ?? false;
  const addresses = after.nodes.map(({ address }) => address);
  const inside = addresses.filter((address) => isMember(after, address));
  const out = addresses.filter((address) => isMember(before, address) && !isMember(after, address));
  return `view ${after.view} with ${inside.join(", ") || "nobody"}` +
    (out.length === 0 ? "" : `; without ${out.join(", ")}`);
}
