/**
 * The latest views of a node, and why they came.
 *
 * @module
 */

import type { NodeSet, View } from "../../two_phase/messages.ts";
import { members } from "../../two_phase/node_set.ts";
import type { ProtocolEvent } from "../../two_phase/outbox.ts";

/** So many views are kept. */
const VIEWS_KEPT = 10;

/** A view that this node has installed. */
export interface ViewEntry {
  /** When, in milliseconds of wall-clock time. */
  readonly at: number;
  readonly number: number;
  /** Addresses, as the two others. */
  readonly members: readonly string[];
  /** Members that the view before did not have. */
  readonly joined: readonly string[];
  /** Members of the view before that this one does not have. */
  readonly left: readonly string[];
  /** Why this node proposed a view before that; `""` if another node has done it. */
  readonly reason: string;
}

/** Remembers views. */
export class ViewHistory {
  #entries: readonly ViewEntry[] = [];
  #reason = "";

  /** The newest first. */
  get entries(): readonly ViewEntry[] {
    return this.#entries;
  }

  /** @param wallMs the wall-clock time, in milliseconds */
  onEvent(event: ProtocolEvent, wallMs: number): void {
    if (event.type === "viewChangeBegins") this.#reason = event.reason;
    if (event.type !== "viewInstalled") return;
    this.#add(event.view, event.before, wallMs);
    this.#reason = "";
  }

  #add(view: View, before: View, at: number): void {
    const names = (set: NodeSet) => members(set).map((node) => view.names[node] ?? "");
    const entry: ViewEntry = {
      at,
      number: view.number,
      members: names(view.members),
      joined: names(view.members & ~before.members),
      left: names(before.members & ~view.members),
      reason: this.#reason,
    };
    this.#entries = [entry, ...this.#entries].slice(0, VIEWS_KEPT);
  }
}
