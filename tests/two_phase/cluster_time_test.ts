import { assert, assertEquals } from "@std/assert";
import { CLOCK_OFF_MS_MAX, ClusterTime } from "../../src/two_phase/cluster_time.ts";
import type { Clocks } from "../../src/two_phase/clocks.ts";

/** The time of a node whose wall clock is off by `own`, with peers whose clocks are off by `others`. */
function timeOf(others: readonly number[]): ClusterTime {
  const time = new ClusterTime();
  others.forEach((offMs, peer) => {
    time.onSample(peer, { peerWallMs: 1_000_000 + offMs, sentAtMs: 499, receivedAtMs: 501 });
  });
  return time;
}

/** The clocks of the node at that moment. */
function clocksWith(offMs: number): Clocks {
  return { monotonicMs: 500, wallMs: 1_000_000 + offMs };
}

Deno.test("offMs() compares with the medians of the others, which may be two", () => {
  const rows: [own: number, others: number[], off: number][] = [
    [0, [], 0],
    [700, [0], 700],
    [0, [0, 3_600_000], 0],
    [3_600_000, [0, 10], 3_599_990],
    [-900, [0, 100, 200], -1000],
    [0, [-5000, -10, 20, 5000], 0],
    [90, [-5000, -10, 20, 5000], 70],
  ];
  for (const [own, others, off] of rows) {
    assertEquals(timeOf(others).offMs(clocksWith(own)), off, `${own} among ${others}`);
  }
});

Deno.test("mayExpire() is true up to 500 ms off", () => {
  const time = timeOf([0, 0]);
  assert(time.mayExpire(clocksWith(CLOCK_OFF_MS_MAX)));
  assert(time.mayExpire(clocksWith(-CLOCK_OFF_MS_MAX)));
  assert(!time.mayExpire(clocksWith(CLOCK_OFF_MS_MAX + 1)));
  assert(!time.mayExpire(clocksWith(-CLOCK_OFF_MS_MAX - 1)));
});

Deno.test("nowMs() is the own clock, or the median if that is off and two others say so", () => {
  assertEquals(timeOf([0, 0]).nowMs(clocksWith(400)), 1_000_400);
  assertEquals(timeOf([0, 0]).nowMs(clocksWith(3_600_000)), 1_000_000);
  assertEquals(timeOf([0]).nowMs(clocksWith(3_600_000)), 4_600_000);
});

Deno.test("a wall clock that is set is off at once, before any node has answered again", () => {
  const time = timeOf([0, 0, 0, 0]);
  assert(time.mayExpire({ monotonicMs: 600, wallMs: 1_000_100 }));
  assert(!time.mayExpire({ monotonicMs: 601, wallMs: 1_090_101 }));
});

Deno.test("a slow round counts only while there is no other", () => {
  const time = timeOf([0, 0]);
  time.onSample(0, { peerWallMs: 1_005_000, sentAtMs: 0, receivedAtMs: 10_000 });
  assertEquals(time.offMs(clocksWith(0)), 0);
});

Deno.test("two nodes whose clocks are right go by times that are 1.2 s apart at the most", () => {
  // Each is off by 500 ms as it measures, which may be wrong by half a round trip of 200 ms.
  for (const error of [-100, 100]) {
    for (const own of [-650, -600, -300, 0, 300, 600, 650]) {
      const time = timeOf([error, error, error, error]);
      const now = time.nowMs(clocksWith(own));
      assert(Math.abs(now - 1_000_000) <= 600, `${own} with an error of ${error}`);
    }
  }
});

Deno.test("isPeerOff() tells which other nodes have a wrong clock", () => {
  const time = timeOf([0, 9000, 10]);
  assertEquals([0, 1, 2, 3].map((peer) => time.isPeerOff(peer, clocksWith(5))), [
    false,
    true,
    false,
    false,
  ]);
});
