/**
 * What must hold while nodes fail, and afterwards.
 *
 * @module
 */

import { assertEquals, assertLess } from "@std/assert";
import { type Address, formatAddress } from "../../src/address.ts";
import type { ClusterStatus } from "../../src/cluster_status.ts";
import { ClientConnection, ConnectionError } from "../../src/client/connection.ts";
import { isRejection } from "../../src/client/refusals.ts";
import { statusOf } from "../../src/client/status.ts";
import { type RespValue, SimpleString } from "../../src/resp/value.ts";
import { until } from "./processes.ts";
import type { Workload } from "./workload.ts";

/** How long a client waits: longer than any answer may take. */
export const CLIENT_TIMEOUT_MS = 20_000;

/** Waits until these nodes, or all, have answered more writes and reads. */
export async function untilMore(
  workload: Workload,
  more: { writes?: number; reads?: number; nodes?: readonly number[] },
): Promise<void> {
  const { writes = 0, reads = 0, nodes = [...workload.tallies.keys()] } = more;
  const goalWrites = workload.writes(nodes) + writes;
  const goalReads = workload.reads(nodes) + reads;
  await until(`there are ${writes} more writes and ${reads} more reads`, () => {
    return workload.writes(nodes) >= goalWrites && workload.reads(nodes) >= goalReads;
  });
}

/** Checks that no request at these nodes took longer than `limitMs`, and what a busy machine adds to that. */
export function assertInTime(
  workload: Workload,
  options: { nodes: readonly number[]; limitMs: number },
): void {
  for (const node of options.nodes) {
    const longest = workload.tallies[node]?.longestMs ?? 0;
    const { mostMs, forRequestMs } = workload.lateness;
    assertLess(
      longest,
      options.limitMs + forRequestMs,
      `a request of node ${node} took ${longest} ms; this process was late by ${mostMs} ms`,
    );
  }
}

/** Sends one command to one node. */
export async function call(address: Address, words: readonly string[]): Promise<RespValue> {
  const options = { timeoutMs: CLIENT_TIMEOUT_MS };
  const connection = await ClientConnection.open([address], options);
  try {
    return await connection.call(words);
  } finally {
    connection.close();
  }
}

/**
 * As {@linkcode call}; `undefined` while the node cannot be reached or rejects the command. For asking
 * again and again: each `dks client` takes a process, which takes 0.2 s of a processor.
 */
export async function callIfServed(
  address: Address,
  words: readonly string[],
): Promise<RespValue | undefined> {
  try {
    const reply = await call(address, words);
    return isRejection(reply) ? undefined : reply;
  } catch (error) {
    if (error instanceof ConnectionError) return undefined;
    throw error;
  }
}

/** Whether a command was answered with OK. */
export function isOk(reply: RespValue | undefined): boolean {
  return reply instanceof SimpleString && reply.text === "OK";
}

/** Returns the status of the cluster as one node sees it. */
export async function statusAt(address: Address): Promise<ClusterStatus> {
  return statusOf(await call(address, ["DKS.STATUS"]), formatAddress(address));
}

/** As {@linkcode call}, again and again while the command is rejected. */
export async function callUntilAnswered(
  address: Address,
  words: readonly string[],
): Promise<RespValue> {
  let reply: RespValue = null;
  await until(`${formatAddress(address)} answers`, async () => {
    reply = await call(address, words);
    return !isRejection(reply);
  });
  return reply;
}

/** Waits until no node has a key locked. */
export async function untilLocksAreFree(addresses: readonly Address[]): Promise<void> {
  await until("all locks are free", async () => {
    const infos = await Promise.all(
      addresses.map((address) => call(address, ["INFO", "transactions"])),
    );
    return infos.every((info) => /^keys_locked:0\r?$/m.test(String(info)));
  });
}

/**
 * Checks that all nodes hold the same values for the keys of the workload. A node that a busy machine
 * has kept waiting may be outside the view for a moment: it is asked until it answers.
 */
export async function assertAgreement(
  workload: Workload,
  addresses: readonly Address[],
): Promise<void> {
  const names = workload.keys.map((key) => key.name);
  const contents = await Promise.all(
    addresses.map((address) => callUntilAnswered(address, ["MGET", ...names])),
  );
  for (const content of contents) assertEquals(content, contents[0]);
}
