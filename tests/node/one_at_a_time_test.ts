import { assertEquals, assertRejects } from "@std/assert";
import { oneAtATime } from "../../src/node/one_at_a_time.ts";

Deno.test("oneAtATime() does nothing while an earlier call is under way", async () => {
  const calls: PromiseWithResolvers<void>[] = [];
  const act = oneAtATime(() => {
    const call = Promise.withResolvers<void>();
    calls.push(call);
    return call.promise;
  });
  const first = act();
  await act();
  assertEquals(calls.length, 1);
  calls[0]?.resolve();
  await first;
  const second = act();
  assertEquals(calls.length, 2);
  // One that fails is over, too.
  calls[1]?.reject(new Error("gone"));
  await assertRejects(() => second, Error, "gone");
  const third = act();
  assertEquals(calls.length, 3);
  calls[2]?.resolve();
  await third;
});
