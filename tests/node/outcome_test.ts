import { assertEquals } from "@std/assert";
import { combineOutcomes, type NodeOutcome, parseTransactionName } from "../../src/node/outcome.ts";
import { transactionNumber } from "../../src/two_phase/messages.ts";

Deno.test("parseTransactionName() reads what error replies name, and says what is wrong with others", () => {
  const form = "a transaction is named node.incarnation.sequence, such as 0.1.42, not";
  const table: [name: string, expected: ReturnType<typeof parseTransactionName>][] = [
    ["0.1.1", { coordinator: 0, number: transactionNumber(1, 1) }],
    ["2.17.4294967295", { coordinator: 2, number: transactionNumber(17, 2 ** 32 - 1) }],
    ["3.1.1", "the node of a transaction is from 0 to 2, not 3"],
    ["0.0.1", "the incarnation of a transaction is from 1 to 2097151, not 0"],
    ["0.2097152.1", "the incarnation of a transaction is from 1 to 2097151, not 2097152"],
    ["0.1.0", "the sequence of a transaction is from 1 to 4294967295, not 0"],
    ["", `${form} ""`],
    ["1.1", `${form} "1.1"`],
    ["-1.1.1", `${form} "-1.1.1"`],
    ["0.1.1 ", `${form} "0.1.1 "`],
    ["0.1.99999999999", `${form} "0.1.99999999999"`],
  ];
  for (const [name, expected] of table) assertEquals(parseTransactionName(name, 3), expected, name);
});

Deno.test("combineOutcomes() tells what is certain, and where the doubt is", () => {
  const table: [outcomes: NodeOutcome["outcome"][], expected: string][] = [
    [["committed"], "committed"],
    [["undecided", "committed", "silent"], "committed"],
    [["aborted"], "aborted"],
    [["aborted", "aborted", "silent"], "aborted"],
    [["aborted", "undecided", "aborted"], "aborted"],
    [["aborted", "forgotten", "silent"], "aborted"],
    [
      ["aborted", "unknown", "silent"],
      "undecided (aborted at a, which is no majority; no answer from c)",
    ],
    [["aborted", "undecided", "undecided"], "undecided (in doubt at b, c)"],
    [["undecided", "silent", "silent"], "undecided (in doubt at a; no answer from b, c)"],
    [
      ["forgotten", "unknown", "silent"],
      "forgotten (it was decided, and its end is no longer kept)",
    ],
    [["unknown", "unknown", "unknown"], "unknown (no node that answers has heard of it)"],
    [
      ["unknown", "silent", "silent"],
      "unknown (no node that answers has heard of it; no answer from b, c)",
    ],
  ];
  for (const [outcomes, expected] of table) {
    const nodes = outcomes.map((outcome, index) => ({ name: "abc"[index] ?? "", outcome }));
    assertEquals(combineOutcomes(nodes), expected, outcomes.join(" "));
  }
});
