import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { transactionNumber } from "../../src/two_phase/messages.ts";
import {
  journalDigits,
  nameForClients,
  parseTransactionName,
} from "../../src/two_phase/transaction_name.ts";

const parse = (name: string) =>
  parseTransactionName(name, { nodes: 3, shown: JSON.stringify(name) });

Deno.test("parseTransactionName() reads what error replies name, and says what is wrong with others", () => {
  const form =
    "a transaction is named node.incarnation.sequence.journal, such as 0.1.42.5f3a2b, not";
  const digits = "00ff9a";
  const table: [name: string, expected: ReturnType<typeof parse>][] = [
    ["0.1.1.00ff9a", { coordinator: 0, number: transactionNumber(1, 1), digits }],
    ["2.17.4294967295.00ff9a", {
      coordinator: 2,
      number: transactionNumber(17, 2 ** 32 - 1),
      digits,
    }],
    ["3.1.1.00ff9a", "the node of a transaction is from 0 to 2, not 3"],
    ["0.0.1.00ff9a", "the incarnation of a transaction is from 1 to 2097151, not 0"],
    ["0.2097152.1.00ff9a", "the incarnation of a transaction is from 1 to 2097151, not 2097152"],
    ["0.1.0.00ff9a", "the sequence of a transaction is from 1 to 4294967295, not 0"],
    ["", `${form} ""`],
    ["0.1.1", `${form} "0.1.1"`],
    ["-1.1.1.00ff9a", `${form} "-1.1.1.00ff9a"`],
    ["0.1.1.00ff9a ", `${form} "0.1.1.00ff9a "`],
    ["0.1.1.00FF9A", `${form} "0.1.1.00FF9A"`],
    ["0.1.99999999999.00ff9a", `${form} "0.1.99999999999.00ff9a"`],
  ];
  for (const [name, expected] of table) assertEquals(parse(name), expected, name);
});

Deno.test("parseTransactionName() returns what nameForClients() was given", () => {
  for (let i = 0; i < 200; i++) {
    const journal = `journal ${i}`;
    const named = { coordinator: i % 3, number: transactionNumber(1 + i, 1 + 7 * i) };
    assertEquals(parse(nameForClients(named, journal)), {
      ...named,
      digits: journalDigits(journal),
    });
  }
});

Deno.test("journalDigits() differ when journals do, but for a rare coincidence", () => {
  const all = new Set<string>();
  for (let i = 0; i < 1000; i++) all.add(journalDigits(crypto.randomUUID()));
  assert(all.size > 990, `${all.size} of 1,000`);
  assertNotEquals(journalDigits("journal 1"), journalDigits("journal 2"));
});
