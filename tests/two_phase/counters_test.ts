/** Counters are data: INFO and metrics take their names and texts from one table. */

import { assertEquals, assertMatch } from "@std/assert";
import { COUNTER_NAMES, COUNTERS, newCounters } from "../../src/two_phase/counters.ts";

Deno.test("every counter has a name of its own, in the form of INFO, and a sentence", () => {
  const names = COUNTER_NAMES.map((counter) => COUNTERS[counter].name);
  assertEquals(new Set(names).size, names.length);
  for (const counter of COUNTER_NAMES) {
    const { name, help } = COUNTERS[counter];
    assertMatch(name, /^[a-z]+(_[a-z]+)*$/);
    assertMatch(help, /^[A-Z].*\.$/, name);
  }
});

Deno.test("newCounters() returns every counter at 0", () => {
  const counters = newCounters();
  assertEquals(Object.keys(counters), [...COUNTER_NAMES]);
  assertEquals(new Set(Object.values(counters)), new Set([0]));
});
