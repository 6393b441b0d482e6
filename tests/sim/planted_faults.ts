import type { JournalRecord, Message, NodeIndex } from "../../src/two_phase/messages.ts";
import type { Effects } from "../../src/two_phase/outbox.ts";
import type { Replica } from "../../src/two_phase/replica.ts";

/** A rule of the protocol that is broken on purpose, to see that a checker finds it. */
export interface PlantedFault {
  readonly name: string;
  readonly onStart?: (replica: Replica, node: NodeIndex) => void;
  readonly onRecover?: (records: readonly JournalRecord[]) => readonly JournalRecord[];
  readonly onCheckpoint?: (records: readonly JournalRecord[]) => readonly JournalRecord[];
  readonly onSend?: (message: Message, from: NodeIndex, to: NodeIndex) => Message;
  /** The protocol is told at once that its records are durable. */
  readonly skipsForce?: (effects: Effects) => boolean;
}
