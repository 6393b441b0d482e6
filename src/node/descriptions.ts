/**
 * Describes nodes, journals and clusters in messages for an operator.
 *
 * @module
 */

import { fromText, quote } from "../byte_string.ts";
import type { ClusterId, ClusterOrigin, JournalSighting } from "../two_phase/messages.ts";

/** Most characters of what another process said that a message shows. */
export const SHOWN_MAX = 200;

/**
 * Returns what another process said as one line of bounded length: the process may not be a node at
 * all.
 */
export function shown(text: string): string {
  const head = quote(fromText(text.slice(0, SHOWN_MAX)), Infinity).slice(1, -1);
  return text.length > SHOWN_MAX ? `${head}…` : head;
}

/** Describes a node's cluster and view. */
export function describeClusterPosition(
  { view, cluster: { origin } }: { readonly view: number; readonly cluster: ClusterId },
): string {
  const how = origin === undefined ? "not started by force" : describeOrigin(origin);
  return `view ${view}, ${how}`;
}

/** Describes how far a journal had come. */
export function describeSighting({ incarnation, position }: JournalSighting): string {
  return `start number ${incarnation}, record ${position}`;
}

/** Describes which node started a cluster by force, and when. */
export function describeOrigin({ by, at }: Pick<ClusterOrigin, "by" | "at">): string {
  return `started by force by ${shown(by)} at ${new Date(at).toISOString()}`;
}
