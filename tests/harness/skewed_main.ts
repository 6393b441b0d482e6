/**
 * `dks serve` on a machine whose wall clock is wrong: the first argument says by how many milliseconds it
 * is ahead, the rest is for the program. The program reads the wall clock by `Date.now` alone, and the
 * monotonic clock is another one (`src/clock.ts`): it stays as it is, as when somebody sets the clock.
 *
 * @module
 */

const [aheadMs, command, ...args] = Deno.args;
if (command !== "serve") throw new RangeError(`only serve has a clock, not ${command}`);

const rightNow = Date.now;
Date.now = () => rightNow() + Number(aheadMs);

const { serve } = await import("../../src/node/serve.ts");
await serve(args);
Deno.exit(0);
