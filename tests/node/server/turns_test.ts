import { assertEquals } from "@std/assert";
import { Turns } from "../../../src/node/server/turns.ts";

/** So much work that the clock is read. */
const MUCH = 16 * 1024;

Deno.test("Turns reads the clock once in so much work", () => {
  let readings = 0;
  const turns = new Turns(() => {
    readings++;
    return 0;
  });
  for (let i = 0; i < 160; i++) turns.isOver(0);
  assertEquals(readings - 1, 10);
  turns.isOver(MUCH);
  turns.isOver(MUCH);
  assertEquals(readings - 1, 12);
  turns.onCommand(0.5);
  turns.isOver(0);
  assertEquals(readings - 1, 12);
  turns.onCommand(2);
  turns.isOver(0);
  assertEquals(readings - 1, 13, "after a command that took long");
});

Deno.test("Turns lets connections go on until the node's timer is overdue, and then gives it its turn", async () => {
  let nowMs = 0;
  const turns = new Turns(() => nowMs);
  nowMs = 24;
  assertEquals(turns.isOver(MUCH), false);
  turns.onTimer();
  nowMs = 48;
  assertEquals(turns.isOver(MUCH), false);
  nowMs = 50;
  assertEquals(turns.isOver(MUCH), true);
  assertEquals(
    turns.isOver(0),
    true,
    "for all connections, until they have given timers their turn",
  );
  const order: string[] = [];
  setTimeout(() => order.push("timer"));
  const resumed = ["a", "b"].map((name) => turns.next().then(() => order.push(name)));
  await Promise.all(resumed);
  assertEquals(order, ["timer", "a", "b"]);
  assertEquals(turns.isOver(0), false);
  assertEquals(turns.isOver(MUCH), false);
});
