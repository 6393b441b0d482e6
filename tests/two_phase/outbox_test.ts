/**
 * In which order things are done once records are durable.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Outbox } from "../../src/two_phase/outbox.ts";

Deno.test("whenDurable() keeps the order of the records when an action asks for another one", () => {
  const outbox = new Outbox();
  const done: string[] = [];
  outbox.append({ type: "promise", ballot: 1, journal: "a" });
  outbox.whenDurable(() => {
    done.push("first");
    outbox.whenDurable(() => done.push("asked for by the first"));
  });
  outbox.append({ type: "promise", ballot: 2, journal: "a" });
  outbox.whenDurable(() => done.push("second"));
  outbox.forced(2);
  assertEquals(done, ["first", "second", "asked for by the first"]);
  outbox.whenDurable(() => done.push("at once"));
  assertEquals(done.at(-1), "at once");
});
