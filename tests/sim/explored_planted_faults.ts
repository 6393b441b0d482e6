/**
 * Planted faults that the explorer finds within its fixed set, and the simulator does not.
 *
 * @module
 */

import type { JoinFinal, NodeId } from "../../src/two_phase/messages.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import type { Store } from "../../src/two_phase/store.ts";
import { journalDigits } from "../../src/two_phase/transaction_name.ts";
import type { PlantedFault } from "./planted_faults.ts";

/** See `PLANTED_FAULTS`. */
export const EXPLORED_PLANTED_FAULTS: readonly (() => PlantedFault)[] = [
  () => ({
    name: "a joiner does not learn the clock of its source",
    onSend: (message) => message.type === "joinFinal" ? { ...message, clock: 0 } : message,
  }),
  () => ({
    name: "an export that waits over a view change is evaluated twice",
    onRequest: (request, { context: { membership } }) => {
      if (request.kind !== "barrier") return request;
      const { number } = membership.view;
      return {
        ...request,
        evaluate: (store: Store) => {
          if (membership.view.number !== number) request.evaluate(store);
          return request.evaluate(store);
        },
      };
    },
  }),
  () => ({
    name: "no node says that its disk hangs",
    onSend: (message) => message.type === "heartbeat" ? { ...message, isStuck: false } : message,
  }),
  () => ({
    name: "a presumed abort is told as one",
    onStart: (replica) => {
      const outcomeOf = replica.outcomeOf.bind(replica);
      const { transactions } = replica.context;
      replica.outcomeOf = (asked) => {
        const said = outcomeOf(asked);
        const isPresumed = said.outcome === "unknown" &&
          transactions.isClosed(asked.coordinator, asked.number);
        return isPresumed ? { ...said, outcome: "aborted" } : said;
      };
    },
  }),
];

/** By directed run: the fault that it finds. See `tests/explore/directed.ts`. */
export const DIRECTED_PLANTED_FAULTS = {
  lastPartAhead: lastPartThatCameAheadSurvives,
  numberGivenAgain: () => ({
    name: "a name means a transaction of any journal",
    onStart: (replica) => {
      const outcomeOf = replica.outcomeOf.bind(replica);
      const { membership, self } = replica.context;
      replica.outcomeOf = (asked) => {
        const journal = asked.coordinator === self
          ? membership.identity.journal
          : membership.view.journals[asked.coordinator] ?? "";
        return outcomeOf({ ...asked, digits: journalDigits(journal) });
      };
    },
  }),
} satisfies { readonly [run: string]: () => PlantedFault };

/** A last part that came before its view is kept, though something newer came behind it. */
function lastPartThatCameAheadSurvives(): PlantedFault {
  const ahead = new Map<Replica, { readonly from: NodeId; readonly message: JoinFinal }>();
  return {
    name: "a last part that came ahead survives a newer chunk",
    afterInput: (input, replica) => {
      const { membership } = replica.context;
      if (input.type === "message" && input.message.type === "joinFinal") {
        const { from, message } = input;
        if (message.view !== membership.view.number) ahead.set(replica, { from, message });
      }
      const kept = ahead.get(replica);
      if (kept?.message.view !== membership.view.number || membership.isMember) return [];
      ahead.delete(replica);
      return [{ type: "message", ...kept }];
    },
  };
}
