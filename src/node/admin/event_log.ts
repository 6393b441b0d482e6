/**
 * Logs the protocol's events for an operator.
 *
 * @module
 */

import type { Logger } from "@std/log";
import type { NodeSet, View } from "../../two_phase/messages.ts";
import { contains, members } from "../../two_phase/node_set.ts";
import type { ProtocolEvent } from "../../two_phase/outbox.ts";
import { describeAsker, describeChange } from "../../list_change.ts";
import { describeOrigin, describeSighting } from "../descriptions.ts";

/** What the log needs from the node. */
export interface EventLogHost {
  readonly logger: Logger;
  /** Where the journal is kept. */
  readonly place: string;
  readonly peers: {
    /** By id. */
    readonly names: readonly string[];
    /** As in `--peers`. */
    readonly list: readonly string[];
    readonly self: number;
  };
  /** Tells whether the node was asked to stop. */
  readonly isStopping: () => boolean;
}

/** Logs events. */
export class EventLog {
  readonly #host: EventLogHost;
  /** Why this node started the view change that is under way. */
  #reason = "";

  constructor(host: EventLogHost) {
    this.#host = host;
  }

  log(event: ProtocolEvent): void {
    const { logger, peers, place } = this.#host;
    const name = "peer" in event ? peers.names[event.peer] ?? "" : "";
    switch (event.type) {
      case "viewInstalled":
        logger.info(this.#describeView(event.view, event.before));
        this.#reason = "";
        return;
      case "viewChangeBegins":
        this.#reason = event.reason;
        logger.info(`starts a view change, ballot ${event.ballot}: ${event.reason}`);
        return;
      case "listChanged":
        logger.info(describeListChange(event.view));
        return;
      case "isRemoved":
        return; // The log says so when the node has gone over to the view.
      case "foreignPeer":
        return; // The peer is refused, and the log says so, when it dials again.
      case "olderCopy":
        logger.error(
          `THE JOURNAL IN ${place} IS AN OLDER COPY: it ends at ${describeSighting(event.own)}, ` +
            `and ${name} has seen it at ${describeSighting(event.seen)}. It has forgotten what ` +
            "this node has promised, so this node does not count. It joins from empty as soon " +
            "as a member that takes part says the same",
        );
        return;
      case "startOver":
        logger.error(
          `gives up the older copy of its journal, as ${name} takes part in the view: this node ` +
            "goes on with a new journal, and joins from empty",
        );
        return;
      case "contradicted":
        logger.error(
          `${name} has seen this node's journal at ${describeSighting(event.seen)}, and it is at ` +
            `${describeSighting(event.own)}: as this node takes part in the view, the journal of ` +
            `${name} comes from elsewhere, and does not count`,
        );
        return;
      case "peerOnOlderCopy":
        logger.error(
          `${name} has started with an older copy of its journal: it does not count until it has ` +
            "joined from empty",
        );
        return;
      case "verified":
        logger.debug("a majority knows no more of this node's journal than it holds");
        return;
      case "clockIsOff": {
        const { offMs } = event;
        const where = `${Math.round(Math.abs(offMs))} ms ${offMs > 0 ? "ahead of" : "behind"}`;
        logger.error(
          `THE WALL CLOCK OF THIS NODE IS ${where} the others: it takes no key for expired by itself ` +
            "until the clock is right",
        );
        return;
      }
      case "clockIsRight":
        logger.info("the wall clock of this node agrees with the others again");
        return;
      case "slowDisk": {
        const place = `the disk of ${peers.names[event.node] ?? ""}`;
        if (event.isSlow) {
          logger.warn(`${place} is slow: ${event.forceMs} ms a force. Every write waits for it`);
        } else logger.info(`${place} is fast again: ${event.forceMs} ms a force`);
        return;
      }
      case "joinerLate":
        logger.warn(
          `${name} is not in the view, as its disk or its link is too slow: it is let in after ` +
            `${Math.round(event.waitMs / 1000)} s at the earliest`,
        );
        return;
      case "complete":
        logger.info(`the cluster is complete: ${peers.list.join(", ")}`);
        return;
    }
  }

  /** One line for a new view: its members, and the nodes that have left it. */
  #describeView(view: View, before: View): string {
    // A node that was removed has no name any more: the next line says who it was.
    const list = (set: NodeSet) =>
      members(set).map((node) => view.names[node] ?? "").filter((name) => name !== "").join(", ");
    const out = list(before.members & ~view.members);
    const { cluster: { id, origin } } = view;
    const isNew = origin !== undefined && before.cluster.id !== id;
    return `view ${view.number} with ${list(view.members)}` +
      (out === "" ? "" : `; without ${out}`) +
      (isNew ? ` of the cluster ${describeOrigin(origin)}` : "") +
      this.#describeOwnPlace(view) +
      (this.#reason === "" ? "" : ` (${this.#reason})`);
  }

  #describeOwnPlace({ members, names }: View): string {
    const { peers: { self }, isStopping } = this.#host;
    if (contains(members, self)) return "";
    if (isStopping()) return ": this node is outside, as it stops";
    // The view may have removed it: another line says so.
    return (names[self] ?? "") === "" ? "" : ": this node is outside, and joins again";
  }
}

/** One line for a view that has another list: what has changed, who asked for it, and the list. */
function describeListChange({ number, names, change }: View): string {
  const list = `the nodes are ${names.filter((name) => name !== "").join(", ")}`;
  if (change?.view !== number) return list;
  return `${describeChange(change)}; ${describeAsker(change)}; ${list}`;
}
