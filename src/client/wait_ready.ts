/**
 * `wait-ready`: waits until nodes serve requests, for scripts and service managers.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress } from "../address.ts";
import { now } from "../clock.ts";
import type { ClusterStatus } from "../cluster_status.ts";
import { AccessError, ConnectionError } from "./connection.ts";
import { Connector } from "./connector.ts";
import type { Credentials } from "./credentials.ts";
import type { TlsKeys } from "../tls.ts";
import { fetchStatus } from "./status.ts";

/** How often a node is asked, in milliseconds. */
const POLL_MS = 100;

/** How long one answer may take, in milliseconds. */
const ANSWER_MS = 1000;

/** Which nodes to wait for, and for how long. */
export interface WaitOptions {
  readonly addresses: readonly Address[];
  readonly timeoutMs: number;
  readonly credentials?: Credentials | undefined;
  readonly tls?: TlsKeys | undefined;
}

/**
 * Waits until each of the nodes is a member with a lease.
 *
 * @returns why some are not, one reason a node; empty if all are.
 * @throws {AccessError} if a node does not let the client in: that does not change by waiting.
 */
export async function waitReady(options: WaitOptions): Promise<readonly string[]> {
  const reasons = await Promise.all(
    options.addresses.map((address) => waitForNode(address, options)),
  );
  return reasons.filter((reason) => reason !== undefined);
}

async function waitForNode(
  address: Address,
  { timeoutMs, credentials, tls }: WaitOptions,
): Promise<string | undefined> {
  const connector = new Connector({
    addresses: [address],
    timeoutMs: Math.min(timeoutMs, ANSWER_MS),
    credentials,
    tls,
  });
  const beganAt = now();
  const remainingMs = () => timeoutMs - (now() - beganAt);
  try {
    for (;;) {
      const reason = await whyNot(connector);
      if (reason === undefined) return undefined;
      if (remainingMs() <= 0) return `${formatAddress(address)}: ${reason}`;
      await delay(Math.min(POLL_MS, remainingMs()));
    }
  } finally {
    connector.close();
  }
}

async function whyNot(connector: Connector): Promise<string | undefined> {
  try {
    const connection = await connector.get();
    try {
      return whyNotReady(await fetchStatus(connection));
    } catch (error) {
      await connector.giveUp(connection);
      throw error;
    }
  } catch (error) {
    if (error instanceof AccessError || !(error instanceof ConnectionError)) throw error;
    return error.message;
  }
}

/** Says why the node that has told `status` serves no requests; `undefined` if it does. */
export function whyNotReady({ nodes }: ClusterStatus): string | undefined {
  const self = nodes.find(({ isSelf }) => isSelf);
  if (self === undefined) return "it is starting";
  if (self.role === "joining") return `it is joining, ${self.chunks ?? 0} chunks so far`;
  if (self.role !== "member") return "it is no member of the view";
  return self.hasLease === true ? undefined : "it is a member without a lease";
}
