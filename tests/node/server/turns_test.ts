import { assertEquals } from "@std/assert";
import { Turns } from "../../../src/node/server/turns.ts";

Deno.test("Turns lets connections go on until the node's timer is overdue, and then gives it its turn", async () => {
  let nowMs = 0;
  const turns = new Turns(() => nowMs);
  nowMs = 24;
  assertEquals(turns.isOver, false);
  turns.onTimer();
  nowMs = 48;
  assertEquals(turns.isOver, false);
  nowMs = 50;
  assertEquals(turns.isOver, true);
  const order: string[] = [];
  setTimeout(() => order.push("timer"));
  const resumed = ["a", "b"].map((name) => turns.next().then(() => order.push(name)));
  await Promise.all(resumed);
  assertEquals(order, ["timer", "a", "b"]);
  assertEquals(turns.isOver, false);
});
