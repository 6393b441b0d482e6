/**
 * Planted faults that break what was once broken: each was a fault of the protocol, or is its sibling.
 *
 * @module
 */

import { proposerOf, type ViewPromise } from "../../src/two_phase/messages.ts";
import { only } from "../../src/two_phase/node_set.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import { transactionReportOf } from "../../src/two_phase/settlement.ts";
import type { PlantedFault } from "./planted_faults.ts";

/** See `PLANTED_FAULTS`. */
export const PLANTED_PROTOCOL_FAULTS: readonly (() => PlantedFault)[] = [
  () => ({
    name: "viewPrepare before the promise is durable",
    onStart: asksBeforePromiseIsDurable,
  }),
  () => ({
    name: "a proposer without a promise of its own",
    afterInput: (input, { context }) => {
      const { membership, self } = context;
      if (input.type !== "message" || input.message.type !== "viewPromise") return [];
      if (proposerOf(input.message.ballot) !== self) return [];
      const promise: ViewPromise = {
        ...input.message,
        journal: membership.identity.journal,
        installed: membership.view,
        isMember: membership.isMember,
        isJoined: membership.joinedDurably !== undefined,
        accepted: membership.acceptedDurably,
        ...transactionReportOf(context),
      };
      return [{ type: "message", from: self, message: promise }];
    },
    // Others are asked before the own promise is durable, as it does not matter.
    onStart: asksBeforePromiseIsDurable,
  }),
  () => ({
    name: "onPeerUp sends viewPrepare early",
    afterInput: (input, { context: { membership, outbox, self } }) => {
      const { promised: ballot, view } = membership;
      if (input.type !== "peerUp" || ballot <= view.ballot || proposerOf(ballot) !== self) {
        return [];
      }
      outbox.send(only(input.peer), { type: "viewPrepare", view: view.number, ballot });
      return [];
    },
  }),
  () => ({
    name: "grants while frozen",
    onStart: (replica) => {
      const { membership } = replica.context;
      const step = replica.step.bind(replica);
      replica.step = (input, now) => {
        step(input, now);
        if (!membership.isFrozen) return;
        // Nothing but the line for locks is looked at by this.
        Object.defineProperty(membership, "isFrozen", { get: () => false, configurable: true });
        step({ type: "forced", position: 0 }, now);
        Reflect.deleteProperty(membership, "isFrozen");
      };
    },
  }),
  () => ({
    name: "a view installed before it is durable",
    skipsForce: ({ records }) => records.some((record) => record.type === "view"),
  }),
  () => ({
    name: "a joiner confirms before it is durable",
    skipsForce: ({ records }) => records.some((record) => record.type === "joined"),
  }),
  () => ({
    name: "a part of a transfer acknowledged before it is durable",
    skipsForce: ({ records }) => records.some((record) => record.type === "transfer"),
  }),
  () => ({
    name: "an incarnation used before it is durable",
    skipsForce: ({ records }) => records.some((record) => record.type === "offset"),
  }),
  () => ({
    name: "a promise forgotten by a checkpoint",
    onCheckpoint: (records) => records.filter(({ type }) => type !== "promise"),
  }),
  () => ({
    name: "a view missed says aborted of all that is not known",
    onStart: ({ context: { transactions } }) => {
      const reset = transactions.reset.bind(transactions);
      transactions.reset = (bases) => {
        for (const coordinator of transactions.coordinators()) {
          for (const [number, known] of transactions.of(coordinator)) {
            const state = typeof known === "string" ? known : known.state;
            if (state !== "committed") transactions.recordOutcome(coordinator, number, "aborted");
          }
        }
        reset(bases);
      };
    },
  }),
];

/** Other nodes are asked for promises while the node's own is on its way to the disk. */
function asksBeforePromiseIsDurable({ context }: Replica): void {
  const { outbox, membership, self } = context;
  const append = outbox.append.bind(outbox);
  outbox.append = (record) => {
    append(record);
    if (record.type !== "promise" || proposerOf(record.ballot) !== self) return;
    const { ballot } = record;
    const { number: view } = membership.view;
    outbox.send(membership.linked & membership.others, { type: "viewPrepare", view, ballot });
  };
}
