/**
 * Planted faults of changes of the list of nodes: seeds with changes must find them.
 *
 * @module
 */

import { isSameList, learnerOf } from "../../src/two_phase/member_changes.ts";
import type { View } from "../../src/two_phase/messages.ts";
import type { PlantedFault } from "./planted_faults.ts";

/** See `PLANTED_FAULTS`. */
export const PLANTED_CHANGE_FAULTS: readonly (() => PlantedFault)[] = [
  () =>
    withList("two changes of the list at once", (view) => {
      const { learners } = view;
      const altered = { ...view };
      // Whoever asks whether a change is under way sees none; all others see the learner.
      const get = () => new Error().stack?.includes("whyUnderWay") === true ? undefined : learners;
      return Object.defineProperty(altered, "learners", { get, enumerable: true });
    }),
  () =>
    withList("a removed node still votes", (view, before) => ({
      ...view,
      names: view.names.map((name, id) => name === "" ? before.names[id] ?? "" : name),
      journals: view.journals.map((journal, id) =>
        view.names[id] === "" ? before.journals[id] ?? "" : journal
      ),
    })),
  () => ({
    name: "a list is taken from a proposal that is not chosen",
    onStart: ({ context: { membership } }) => {
      const accept = membership.accept.bind(membership);
      membership.accept = (accepted) => {
        accept(accepted);
        const { view, joined } = membership;
        const { names, learners } = accepted.proposal;
        if (view.number === 0 || isSameList(view, accepted.proposal)) return;
        membership.restore({ ...view, names, learners });
        membership.restoreJoined(joined);
      };
    },
  }),
  () =>
    withList(
      "the list before decides once more",
      (view, { number, names, learners }) => number === 0 ? view : { ...view, names, learners },
    ),
  () => ({
    name: "a new node counts before it holds everything",
    afterInput: (input, { membership: { view } }) => {
      if (input.type !== "message" || input.message.type !== "viewPromise") return [];
      const { from, message: { ballot, lastNumber } } = input;
      if (learnerOf(view, from) === undefined) return [];
      const type = "joinConfirmed";
      const message = { type, view: view.number, transfer: 0, ballot, lastNumber } as const;
      return [{ type: "message", from, message }];
    },
  }),
  () => ({
    name: "a proposal is accepted without the view before it",
    onStart: (replica) => {
      const { membership } = replica;
      const step = replica.step.bind(replica);
      replica.step = (input, now) => {
        const isAhead = input.type === "message" && input.message.type === "viewAccept" &&
          input.message.proposal.number > membership.view.number + 1 &&
          membership.installing === undefined;
        if (!isAhead) {
          step(input, now);
          return;
        }
        // As if the record of the view before was on its way to the disk.
        const { proposal } = input.message;
        membership.installing = { ...proposal, ballot: 0, number: proposal.number - 1 };
        step(input, now);
        if (membership.installing.ballot === 0) membership.installing = undefined;
      };
    },
  }),
];

/** Each view is installed with a list of another making; `before` is the view before, as it was chosen. */
function withList(name: string, alter: (view: View, before: View) => View): PlantedFault {
  return {
    name,
    onStart: ({ context: { membership } }) => {
      const restore = membership.restore.bind(membership);
      let before = membership.view;
      membership.restore = (view) => {
        restore(alter(view, before));
        before = view;
      };
    },
  };
}
