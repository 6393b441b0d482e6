/**
 * `status`: the cluster as one node sees it.
 *
 * @module
 */

import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import { toText } from "../byte_string.ts";
import type { ClusterStatus, DoubtStatus, NodeStatus } from "../cluster_status.ts";
import { describeAsker, describeChange } from "../list_change.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { type ClientConnection, ConnectionError } from "./connection.ts";
import { hintOf } from "./format.ts";
import { isRejection } from "./refusals.ts";
import { formatNumber, formatTable } from "./table.ts";

/**
 * Asks the node for the status of its cluster.
 *
 * @throws {ConnectionError} if it is not a dks node.
 */
export async function fetchStatus(connection: ClientConnection): Promise<ClusterStatus> {
  return statusOf(await connection.call(["DKS.STATUS"]), connection.name);
}

/**
 * Returns the status that a node has replied.
 *
 * @param name the node, for the error
 * @throws {ConnectionError} if it is no status.
 */
export function statusOf(reply: RespValue, name: string): ClusterStatus {
  if (typeof reply === "string") return JSON.parse(toText(reply) ?? "") as ClusterStatus;
  if (reply instanceof ErrorReply && (reply.code !== "ERR" || isRejection(reply))) {
    throw new ConnectionError(
      `${name} tells no status: ${reply.code} ${reply.message}${hintOf(reply)}`,
      false,
    );
  }
  const said = reply instanceof ErrorReply ? `: ${reply.code} ${reply.message}` : "";
  throw new ConnectionError(`${name} is no dks node${said}`, false);
}

/**
 * Returns the status in human-readable form.
 *
 * @param columnsMax how wide its tables may be
 */
export function formatStatus(status: ClusterStatus, columnsMax: number = Infinity): string {
  const up = status.nodes.filter((node) => node.isUp).length;
  const state = status.isComplete ? green("complete") : red("not complete: writes wait");
  const storage = status.isEphemeral
    ? yellow("ephemeral: nothing is stored")
    : `journal in ${status.journal}`;
  const trouble = status.journalTrouble === null ? "" : `${red(status.journalTrouble)}\n`;
  const members = status.nodes.filter((node) => node.isInView).length;
  const counting = status.nodes.filter((node) => !node.isLearner).length;
  const since = status.viewSince === null
    ? "as before this node's start"
    : `since ${new Date(status.viewSince).toISOString()}`;
  const head = `view ${bold(String(status.view))}, ${up} of ${status.nodes.length} nodes up, ` +
    `${state}, up for ${formatSeconds(status.uptimeSeconds)}\n` +
    `${storage}\n${trouble}` +
    `${members} of ${counting} nodes are members, ${since}\n` +
    `${formatClock(status)}${formatOrigin(status)}${formatSecret(status)}` +
    `${formatList(status)}\n`;
  const table = formatTable(
    ["node", "role", "lease", "round trip", "force", "keys", "requests/s"],
    status.nodes.map(rowOf),
    ["left", "left", "left", "right", "right", "right", "right"],
    columnsMax,
  );
  return head + table + formatDoubts(status);
}

/**
 * Returns a line for each transaction that has been in doubt for long; an empty string if there is
 * none.
 */
function formatDoubts({ inDoubt, doubts }: ClusterStatus): string {
  if (inDoubt === 0) return "";
  const title = inDoubt === 1
    ? "1 transaction is in doubt here: reads and writes of its keys wait"
    : `${inDoubt} transactions are in doubt here: reads and writes of their keys wait`;
  const table = formatTable(
    // The key comes last: it may hold characters that take two columns.
    ["transaction", "since", "waits for", "keys", "the first"],
    doubts.map(rowOfDoubt),
    ["left", "left", "left", "right", "left"],
  );
  const rest = inDoubt - doubts.length;
  return `\n${red(title)}\n\n${table}` +
    (rest > 0 ? `and ${rest.toLocaleString("en-US")} younger ones\n` : "");
}

function rowOfDoubt({ transaction, since, keys, key, waitsFor }: DoubtStatus): string[] {
  const shown = key === "" ? dim("-") : key;
  return [transaction, new Date(since).toISOString(), waitsFor, String(keys), shown];
}

/** A line for a node whose wall clock is wrong; nothing for any other. */
function formatClock({ isClockRight, clockOffMs }: ClusterStatus): string {
  if (isClockRight) return "";
  const where = `${Math.abs(clockOffMs)} ms ${clockOffMs > 0 ? "ahead of" : "behind"} the others`;
  return `${red(`the clock of this node is ${where}: it takes no key for expired by itself`)}\n`;
}

/** A line for a node that others can reach and need prove nothing to; nothing for any other. */
function formatSecret({ isOpenToPeers }: ClusterStatus): string {
  if (!isOpenToPeers) return "";
  return `${
    yellow("nodes are let in without proof")
  }: whoever reaches this node may be able to pose as another\n`;
}

/** A line for the last change of the list, and one for a node that is not in it. */
export function formatList(
  { listChange, notListed }: Pick<ClusterStatus, "listChange" | "notListed">,
): string {
  const change = listChange === null
    ? ""
    : `view ${listChange.view}: ${describeChange(listChange)}; ${describeAsker(listChange)}\n`;
  return (notListed === null ? "" : `${red(notListed)}\n`) + change;
}

/** A line for a cluster that was started by force; nothing for any other. */
function formatOrigin({ origin }: ClusterStatus): string {
  if (origin === null) return "";
  const { by, at, view } = origin;
  return `${yellow("started by force")} by ${by} with view ${view} at ${
    new Date(at).toISOString()
  }\n`;
}

function rowOf(node: NodeStatus): string[] {
  const missing = dim("-");
  return [
    node.address + (node.isSelf ? " *" : ""),
    formatRole(node),
    node.hasLease === null ? missing : node.hasLease ? "held" : yellow("none"),
    node.roundTripMs === null ? missing : `${formatNumber(node.roundTripMs)} ms`,
    formatForce(node),
    node.keys === null ? missing : node.keys.toLocaleString("en-US"),
    node.requestsPerSecond === null ? missing : node.requestsPerSecond.toLocaleString("en-US"),
  ];
}

function formatForce({ forceMs, isSlow }: NodeStatus): string {
  if (forceMs === null) return dim("-");
  return isSlow ? red(`${forceMs} ms, slow`) : `${forceMs} ms`;
}

/** Returns a node's role, as a table has it. */
export function formatRole(
  { role, chunks, isLearner, replaces }: Pick<
    NodeStatus,
    "role" | "chunks" | "isLearner" | "replaces"
  >,
): string {
  if (isLearner) {
    const part = role === "down" ? ", down" : chunks === null ? "" : `, ${chunks} chunks`;
    return yellow(`learner${part}${replaces === null ? "" : `, replaces ${replaces}`}`);
  }
  switch (role) {
    case "member":
      return green(role);
    case "joining":
      return yellow(`${role}, ${chunks ?? 0} chunks`);
    case "outside":
      return yellow(role);
    case "down":
      return red(role);
  }
}

function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
