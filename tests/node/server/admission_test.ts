import { assertEquals } from "@std/assert";
import { Admission } from "../../../src/node/server/admission.ts";

const MIB = 1024 * 1024;

/** An admission of 32 MiB on a clock that stands still, and what has been resumed. */
class Scene {
  nowMs = 0;
  backlogBytes = 0;
  readonly resumed: string[] = [];
  readonly admission = new Admission({
    bytesMax: 32 * MIB,
    waitMsMax: 1000,
    backlogBytes: () => this.backlogBytes,
    nowMs: () => this.nowMs,
  });

  /** A write begins, or waits. Returns whether it has begun. */
  write(name: string, bytes: number): boolean {
    if (this.admission.hasRoomFor(bytes)) {
      this.admission.enter(bytes);
      return true;
    }
    this.admission.wait(bytes, () => {
      this.resumed.push(name);
      if (this.admission.hasRoomFor(bytes)) this.admission.enter(bytes);
    });
    return false;
  }

  async leave(bytes: number): Promise<void> {
    this.admission.leave(bytes);
    await Promise.resolve();
    await Promise.resolve();
  }
}

Deno.test("Admission holds writes back when those under way have too many bytes, and keeps their order", async () => {
  const scene = new Scene();
  for (let i = 0; i < 4; i++) assertEquals(scene.write("first", 8 * MIB), true);
  assertEquals(scene.write("a", 8 * MIB), false);
  assertEquals(scene.write("b", MIB), false);
  assertEquals(scene.write("c", 8 * MIB), false);
  await scene.leave(8 * MIB);
  assertEquals(scene.resumed, ["a"], "what came later does not overtake it, though it would fit");
  await scene.leave(8 * MIB);
  assertEquals(scene.resumed, ["a", "b"]);
  await scene.leave(8 * MIB);
  assertEquals(scene.resumed, ["a", "b", "c"]);
  assertEquals([scene.admission.bytes, scene.admission.waiting], [25 * MIB, 0]);
  scene.admission.close();
});

Deno.test("Admission lets small writes in beside large ones, up to a bound", () => {
  const scene = new Scene();
  assertEquals(scene.write("large", 32 * MIB), true);
  assertEquals(scene.write("large", 32 * MIB), false);
  let count = 0;
  while (count < 10_000 && scene.write("small", 10_000)) count++;
  assertEquals(count, Math.floor(8 * MIB / 10_000));
  scene.admission.close();
});

Deno.test("Admission lets a write in that is larger than all room when nothing else is under way", () => {
  const scene = new Scene();
  assertEquals(scene.write("huge", 100 * MIB), true);
  assertEquals(scene.write("small", 1000), true, "small ones have room of their own");
  assertEquals(scene.write("huge", 100 * MIB), false);
  scene.admission.close();
});

Deno.test("Admission lets such a write in beside the few bytes that always wait for a peer", () => {
  const scene = new Scene();
  scene.backlogBytes = 4;
  assertEquals(scene.write("huge", 100 * MIB), true);
  assertEquals(scene.write("another", 100 * MIB), false);
  scene.admission.close();
});

Deno.test("Admission counts what a slow peer has not taken in yet", () => {
  const scene = new Scene();
  scene.backlogBytes = 30 * MIB;
  assertEquals(scene.write("a", 8 * MIB), false);
  assertEquals(scene.write("small", 1000), true);
  scene.admission.close();
});

Deno.test("Admission resumes what has waited for too long, so that it is rejected", async () => {
  const scene = new Scene();
  assertEquals(scene.write("first", 32 * MIB), true);
  assertEquals(scene.write("a", 8 * MIB), false);
  scene.nowMs = 999;
  assertEquals(scene.write("b", 8 * MIB), false);
  scene.nowMs = 1000;
  while (scene.resumed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(scene.resumed, ["a"]);
  assertEquals(scene.admission.bytes, 32 * MIB);
  scene.admission.close();
});

Deno.test("Admission lets a write in that is larger than all room while small ones come and go", () => {
  const scene = new Scene();
  for (let i = 0; i < 1000; i++) assertEquals(scene.write("small", 100), true);
  scene.backlogBytes = 100_000;
  assertEquals(scene.write("huge", 40 * MIB), true);
  scene.admission.close();
});
