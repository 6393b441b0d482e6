/**
 * How far the journals of the nodes had come, as each of them has it on its disk of the others.
 *
 * A journal that was put back from an earlier copy has forgotten votes and promises, and nothing in it
 * can show that: whatever mark it had would be as old as the rest. The journals of the others can. Each
 * node keeps, of every journal that counts, the latest process that it has met on it and how many
 * records that journal had by then, and tells the node so whenever a link comes up. A node that starts
 * on a journal counts for nothing (see `Membership.isVerified`) until it has heard that from a majority.
 * If any of them has more than its own journal says, its journal is an older copy: it is a stranger.
 *
 * Not noticed is what nobody else has heard of: a copy that is older by less than
 * {@linkcode SIGHTING_MS}, or copies of all journals from one moment.
 *
 * @module
 */

import type { JournalRecord, JournalSighting, NodeId, SightingRecord } from "./messages.ts";

/** While a journal grows, its growth is written down once in this time, in milliseconds. */
export const SIGHTING_MS = 1000;

/**
 * Tells whether `record` is one that somebody else may rely on. The others are left out, so that nodes
 * that write down each other's progress do not make progress by that.
 */
export function countsAsProgress({ type }: JournalRecord): boolean {
  return type !== "sighting" && type !== "mark" && type !== "clock" && type !== "position";
}

/**
 * Tells whether `present`, the process that runs now, has a journal that is an older copy of the one
 * that `seen` was seen on.
 */
export function isOlderCopy(present: JournalSighting, seen: JournalSighting): boolean {
  if (seen.journal !== present.journal || seen.process === present.process) return false;
  // The same incarnation twice is two processes, each of which began with what the other had.
  if (seen.incarnation >= present.incarnation) return true;
  return seen.position > present.position;
}

/** What one node has on its disk of the others' journals. */
export class PeerJournals {
  readonly #sightings = new Map<NodeId, JournalSighting>();
  /** By node: when the growth of its journal was written down last. */
  readonly #writtenAt = new Map<NodeId, number>();

  /** Returns the latest sighting of `node`; `undefined` for none. */
  of(node: NodeId): JournalSighting | undefined {
    return this.#sightings.get(node);
  }

  /** Returns the latest sighting of the journal with this id; `undefined` for none. */
  ofJournal(journal: string): JournalSighting | undefined {
    return [...this.#sightings.values()].find((sighting) => sighting.journal === journal);
  }

  /** Returns the records that a checkpoint needs. */
  get records(): SightingRecord[] {
    return [...this.#sightings].map(([node, sighting]) => ({
      type: "sighting",
      node,
      ...sighting,
    }));
  }

  /** Takes over a sighting from the journal. */
  restore({ node, journal, incarnation, process, position }: SightingRecord): void {
    this.#sightings.set(node, { journal, incarnation, process, position });
  }

  /**
   * A process of `node`, on the journal that counts, is linked or was heard of at `now`.
   *
   * @returns the record to append, where there is something new and it is time for it
   */
  see(node: NodeId, seen: JournalSighting, now: number): SightingRecord | undefined {
    const before = this.#sightings.get(node);
    const isSameProcess = before?.process === seen.process &&
      before.incarnation === seen.incarnation && before.journal === seen.journal;
    if (isSameProcess) {
      const hasGrown = seen.position > before.position;
      if (!hasGrown || now - (this.#writtenAt.get(node) ?? -Infinity) < SIGHTING_MS) {
        return undefined;
      }
    }
    this.#sightings.set(node, seen);
    this.#writtenAt.set(node, now);
    return { type: "sighting", node, ...seen };
  }
}
