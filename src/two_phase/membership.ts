/**
 * Who belongs to the cluster: the view and its members.
 *
 * A view is a number and, by node, the id of the journal that the node had when the view was made.
 * View 0 is that of a node which has seen nobody yet: it accepts nothing. View 1 has all configured
 * nodes as members; a node installs it when it has met all of them, or when a peer that has
 * installed it says so. There is no later view yet: a member that is lost stops the writes.
 *
 * A node that restarts with another journal has forgotten what it once promised. Views list journals
 * for this reason: the node is told apart from its former self, and refused.
 *
 * @module
 */

import type { NodeIndex, NodeSet, ViewInstalled, ViewRecord } from "./messages.ts";
import { contains, firstNodes, members, NOBODY, only } from "./node_set.ts";
import type { Outbox } from "./outbox.ts";

/** A view: its number, and by node index the journals of its members. */
export interface View {
  readonly number: number;
  readonly journals: readonly string[];
}

/** What a node says of itself when a link comes up. */
export interface PeerIdentity {
  /** Random id of its journal, made with the journal. */
  readonly journal: string;
  /** How often it was started on this journal, from 1. */
  readonly incarnation: number;
}

/** Knows the view, and which members are linked and have installed it too. */
export class Membership {
  /** The set of all configured nodes, the members of view 1. */
  readonly all: NodeSet;
  /** All but this node. */
  readonly others: NodeSet;
  readonly #self: NodeIndex;
  readonly #outbox: Outbox;
  readonly #met: (string | undefined)[];
  #view: View = { number: 0, journals: [] };
  #linked: NodeSet;
  #installed: NodeSet;
  #wasComplete = false;

  constructor(options: { self: NodeIndex; nodes: number; journal: string; outbox: Outbox }) {
    this.all = firstNodes(options.nodes);
    this.others = this.all & ~only(options.self);
    this.#self = options.self;
    this.#outbox = options.outbox;
    this.#met = Array.from({ length: options.nodes }, () => undefined);
    this.#met[options.self] = options.journal;
    this.#linked = only(options.self);
    this.#installed = NOBODY;
  }

  /** Begins, after recovery. */
  start(): void {
    if (this.#view.number === 0) {
      this.#installWhenAllMet();
      return;
    }
    this.#installed |= only(this.#self);
    this.#reportComplete();
  }

  /** Takes over the view that this node had installed before a crash. */
  restore(record: ViewRecord): void {
    this.#view = { number: record.number, journals: record.journals };
  }

  get view(): View {
    return this.#view;
  }

  /** The nodes that this one has a link to, and itself. */
  get linked(): NodeSet {
    return this.#linked;
  }

  /** The nodes that are linked and in this node's view, this one among them. */
  get ready(): NodeSet {
    return this.#linked & this.#installed;
  }

  /** Tells whether this node may answer reads from its memory. */
  get mayRead(): boolean {
    return this.#view.number > 0;
  }

  /** Tells whether a write can go to all members now. */
  get mayWrite(): boolean {
    return this.#view.number > 0 && (this.#linked & this.#installed) === this.all;
  }

  /** The members that stand in the way of a write: not linked, or not in the view yet. */
  get missing(): NodeIndex[] {
    return members(this.all & ~(this.#linked & this.#installed));
  }

  /**
   * Tells why a peer must not be let in.
   *
   * @returns a sentence for people, or `undefined` where it may come in.
   */
  refusal(node: NodeIndex, identity: PeerIdentity): string | undefined {
    const known = this.#view.journals[node];
    if (known === undefined || known === identity.journal) return undefined;
    return `it has lost its journal: the cluster knows it by journal ${known}, it has ${identity.journal}`;
  }

  onPeerUp(node: NodeIndex, identity: PeerIdentity): void {
    this.#linked |= only(node);
    this.#met[node] = identity.journal;
    if (this.#view.number > 0) this.#announce(only(node));
    else this.#installWhenAllMet();
  }

  onPeerDown(node: NodeIndex): void {
    this.#linked &= ~only(node);
    this.#installed &= ~only(node);
  }

  /** @returns whether the peer is in the same view as this node. */
  onViewInstalled(from: NodeIndex, message: ViewInstalled): boolean {
    if (this.#view.number === 0) {
      if (message.journals[this.#self] !== this.#met[this.#self]) {
        this.#outbox.report({
          type: "refused",
          reason: "the cluster knows this node by another journal than it has now",
        });
        return false;
      }
      this.#install({ number: message.view, journals: message.journals });
    }
    if (message.view !== this.#view.number) return false;
    this.#installed |= only(from);
    this.#reportComplete();
    return true;
  }

  #installWhenAllMet(): void {
    const journals: string[] = [];
    for (const journal of this.#met) {
      if (journal === undefined) return;
      journals.push(journal);
    }
    this.#install({ number: 1, journals });
  }

  #install(view: View): void {
    this.#view = view;
    // Before any prepared record of the view, so it is durable when one of them is.
    this.#outbox.append({ type: "view", number: view.number, journals: view.journals });
    this.#outbox.force();
    this.#installed |= only(this.#self);
    this.#outbox.report({ type: "viewInstalled", view: view.number });
    this.#announce(this.#linked & this.others);
    this.#reportComplete();
  }

  #announce(to: NodeSet): void {
    this.#outbox.send(to, {
      type: "viewInstalled",
      view: this.#view.number,
      journals: this.#view.journals,
    });
  }

  #reportComplete(): void {
    if (this.#wasComplete || !this.mayWrite) return;
    this.#wasComplete = true;
    this.#outbox.report({ type: "complete" });
  }

  /** Tells whether `node` is linked. */
  isLinked(node: NodeIndex): boolean {
    return contains(this.#linked, node);
  }
}
