/** How long locked databases are waited for. */

import { assertEquals, assertRejects } from "@std/assert";
import { whileLocked } from "../../../src/node/storage/locked.ts";

/** Runs `body` with a clock that it moves on. */
async function withOwnTime(body: (pass: (ms: number) => void) => Promise<void>): Promise<void> {
  const { now } = performance;
  let time = now.call(performance);
  performance.now = () => time;
  try {
    await body((ms) => time += ms);
  } finally {
    performance.now = now;
  }
}

const PATIENCE = { place: "of the test", logger: undefined };

Deno.test("whileLocked() tries on after a time for which the process was stopped", async () => {
  await withOwnTime(async (pass) => {
    let attempts = 0;
    const done = await whileLocked(PATIENCE, () => {
      if (++attempts === 1) pass(60_000);
      return attempts > 10
        ? Promise.resolve("done")
        : Promise.reject(new Error("database is locked"));
    });
    assertEquals(done, "done");
  });
});

Deno.test("whileLocked() gives up when others have the database locked for longer than that", async () => {
  await withOwnTime(async (pass) => {
    let attempts = 0;
    await assertRejects(
      () =>
        whileLocked(PATIENCE, () => {
          attempts++;
          pass(5000);
          return Promise.reject(new Error("database is locked"));
        }),
      Error,
      "database is locked",
    );
    assertEquals(attempts, 3);
  });
});
