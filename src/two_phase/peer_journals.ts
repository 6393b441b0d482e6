/**
 * How far each node's journal had come, as the other nodes have recorded it on their disks.
 *
 * A journal that was restored from an earlier copy has lost votes and promises, and nothing in it
 * can show that: any mark in it would be as old as the rest. The journals of the other nodes can
 * show it. For every journal that counts, each node records the latest process that it has met on
 * the journal, and how many records the journal had by then. It tells the owner whenever a link
 * comes up. A node that starts on a journal takes no part (see `Membership.isVerified`) until it
 * has heard this from a majority. If any of them knows of more records than the journal holds, the
 * journal is an older copy, and the node is a stranger.
 *
 * This does not detect what no other node has recorded: a copy that is older by less than
 * {@linkcode SIGHTING_MS}, or copies of all journals from one moment.
 *
 * @module
 */

import type { JournalRecord, JournalSighting, NodeId, SightingRecord } from "./messages.ts";

/** While a journal grows, the others record its growth once in this time, in milliseconds. */
export const SIGHTING_MS = 1000;

/**
 * Tells whether a record of this type is one that another node may rely on. Others do not count, or
 * nodes that record each other's progress would make progress by that.
 */
export function countsAsProgress({ type }: JournalRecord): boolean {
  return type !== "sighting" && type !== "mark" && type !== "clock" && type !== "position";
}

/**
 * Tells whether `present`, the process that runs now, runs on an older copy of the journal that
 * `seen` describes.
 */
export function isOlderCopy(present: JournalSighting, seen: JournalSighting): boolean {
  if (seen.journal !== present.journal || seen.process === present.process) return false;
  // One incarnation in two processes means that both started from the same content.
  if (seen.incarnation >= present.incarnation) return true;
  return seen.position > present.position;
}

/** What one node's disk records of the others' journals. */
export class PeerJournals {
  readonly #sightings = new Map<NodeId, JournalSighting>();
  /** By node: when the growth of its journal was last recorded. */
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

  /** Restores a sighting from the journal. */
  restore({ node, journal, incarnation, process, position }: SightingRecord): void {
    this.#sightings.set(node, { journal, incarnation, process, position });
  }

  /**
   * A process of `node`, on the journal that counts, is linked or sent a message at `now`.
   *
   * @returns the record to append, if there is something new and it is due
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
