import { assertEquals } from "@std/assert";
import { Turns } from "../../../src/node/server/turns.ts";

/** So much work that the clock is read; less than a large piece. */
const MUCH = 15 * 1024;
const LARGE = 64 * 1024;

/** Turns on a clock and a timer that the test moves. */
function turnsOfTest(): { turns: Turns; pass: (ms: number) => void; fire: () => Promise<void> } {
  let nowMs = 0;
  const actions: (() => void)[] = [];
  const turns = new Turns(() => nowMs, (_ms, action) => actions.push(action));
  return {
    turns,
    pass: (ms) => nowMs += ms,
    /** The pause is over. Resolves once everything that this brings about has happened. */
    fire: () => {
      actions.shift()?.();
      return new Promise((resolve) => setTimeout(resolve));
    },
  };
}

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

Deno.test("Turns lets connections go on until the node's timer is overdue", async () => {
  const { turns, pass, fire } = turnsOfTest();
  pass(24);
  assertEquals(turns.isOver(MUCH), false);
  turns.onTimer();
  pass(24);
  assertEquals(turns.isOver(MUCH), false);
  pass(2);
  assertEquals(turns.isOver(MUCH), true);
  assertEquals(
    turns.isOver(0),
    true,
    "for all connections, until they have given timers their turn",
  );
  const order: string[] = [];
  for (const name of ["a", "b"]) turns.next(0).then(() => order.push(name));
  await Promise.resolve();
  assertEquals(order, []);
  await fire();
  assertEquals(order, ["a", "b"]);
  assertEquals(turns.isOver(0), false);
  assertEquals(turns.isOver(MUCH), false);
});

Deno.test("Turns lets connections wait after many large pieces, though the timer runs", async () => {
  const { turns, fire } = turnsOfTest();
  let pieces = 0;
  while (!turns.isOver(LARGE)) pieces++;
  assertEquals(pieces, 64);
  assertEquals(turns.isOver(100), false, "one that is sent little goes on");
  const waited = turns.next(LARGE);
  assertEquals(turns.isOver(LARGE), true, "the others wait in line behind it");
  await fire();
  await waited;
  assertEquals(turns.isOver(LARGE), false);
});

Deno.test("Turns lets as many go on as fit into a turn, those with little to send first", async () => {
  const { turns, pass, fire } = turnsOfTest();
  const order: string[] = [];
  const wait = async (name: string, bytes: number) => {
    await turns.next(bytes);
    order.push(name);
    pass(5);
  };
  for (let i = 0; i < 6; i++) wait(`large ${i}`, LARGE);
  for (let i = 0; i < 70; i++) wait(`small ${i}`, 10);
  const names = (name: string, from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `${name} ${from + i}`);
  await fire();
  assertEquals(
    order.splice(0),
    [...names("small", 0, 64), ...names("large", 0, 4)],
    "these at least",
  );
  assertEquals(turns.isOver(0), true, "small 64 is first");
  await fire();
  assertEquals(order.splice(0), [...names("small", 64, 70), ...names("large", 4, 6)]);
  for (let i = 0; i < 3; i++) turns.next(LARGE).then(() => order.push(`quick ${i}`));
  for (let i = 0; i < 100; i++) turns.next(10).then(() => order.push(`small ${i}`));
  await fire();
  assertEquals(order.length, 103, "all of them, if they are done before the time is over");
});
