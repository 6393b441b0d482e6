import { assertEquals } from "@std/assert";
import { combineOutcomes, type NodeOutcome } from "../../src/two_phase/outcome.ts";
import type { KnownOutcome } from "../../src/two_phase/transaction_table.ts";

/** What a node says: in view 7 and a member of it, if nothing else is said. */
type Said = KnownOutcome | "silent" | `${KnownOutcome}, ${"view 6" | "outside"}`;

function nodeOutcome(name: string, said: Said): NodeOutcome {
  if (said === "silent") return { name, said: undefined };
  const [outcome, where] = said.split(", ") as [KnownOutcome, string | undefined];
  const view = where === "view 6" ? 6 : 7;
  return { name, said: { outcome, view, isMember: where !== "outside", needed: 2 } };
}

Deno.test("combineOutcomes() tells what is certain, and where the doubt is", () => {
  const table: [outcomes: Said[], expected: string][] = [
    [["committed"], "committed"],
    [["undecided", "committed", "silent"], "committed"],
    [["undecided", "committed, outside", "silent"], "committed"],
    [["aborted", "silent", "silent"], "aborted"],
    [["aborted, view 6", "forgotten", "silent"], "aborted"],
    [["abortedHere", "abortedHere", "silent"], "aborted"],
    [["abortedHere", "undecided", "abortedHere"], "aborted"],
    [["abortedHere", "forgotten", "silent"], "aborted"],
    [
      ["abortedHere", "unknown", "silent"],
      "undecided (aborted at a, which is no majority; no answer from c)",
    ],
    // What a node knows that has missed a view, or is in none, may have come out otherwise.
    [["abortedHere, view 6", "forgotten", "forgotten"], FORGOTTEN],
    [["abortedHere, view 6", "abortedHere, view 6", "unknown"], UNKNOWN],
    [["abortedHere, outside", "abortedHere", "undecided"], "undecided (in doubt at c)"],
    [["undecided, view 6", "unknown", "unknown"], UNKNOWN],
    [["abortedHere", "undecided", "undecided"], "undecided (in doubt at b, c)"],
    [["undecided", "silent", "silent"], "undecided (in doubt at a; no answer from b, c)"],
    [["forgotten", "unknown", "silent"], FORGOTTEN],
    [["unknown", "unknown", "unknown"], UNKNOWN],
    [
      ["unknown", "silent", "silent"],
      "unknown (no member that answers knows it; no answer from b, c)",
    ],
  ];
  for (const [outcomes, expected] of table) {
    const nodes = outcomes.map((outcome, index) => nodeOutcome("abc"[index] ?? "", outcome));
    assertEquals(combineOutcomes(nodes), expected, outcomes.join("; "));
  }
});

const FORGOTTEN = "forgotten (it was decided, but the outcome is no longer kept)";
const UNKNOWN = "unknown (no member that answers knows it)";
