/** Whole runs of the protocol, as golden scripts in `golden/`. */

import { assertEquals } from "@std/assert";
import { assertGolden } from "../harness/golden.ts";
import { append, read, Script, setIfAbsent, write } from "./script.ts";

function golden(name: string, play: (script: Script) => void, nodes = 3): void {
  Deno.test(`golden script: ${name}`, async () => {
    const script = Script.complete(nodes);
    play(script);
    const file = `golden/${name.replaceAll(" ", "_")}.txt`;
    await assertGolden(new URL(file, import.meta.url), script.log);
  });
}

golden("a commit", (script) => {
  script.ask(0, "W", write({ a: "1", b: "2" }));
  script.deliverAll();
  script.ask(2, "R", read("a"));
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["1"] });
});

golden("a commit whose forces take time", (script) => {
  script.forcesAtOnce = false;
  script.ask(0, "W", write({ a: "1" }));
  script.deliverAll();
  // All others could vote, and do not: their records are not durable.
  script.completeForce(1);
  script.completeForce(2);
  script.deliverAll();
  // All others have voted; the coordinator's own record is not durable.
  assertEquals(script.outcomes.has("W"), false);
  script.completeForce(0);
  script.deliverAll();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
});

golden("a no vote and a retry", (script) => {
  // The older transaction of n1 is prepared at n2 before that of n0 comes there.
  script.ask(1, "old", write({ k: "old" }));
  script.wait(1);
  script.ask(0, "young", write({ k: "young" }));
  script.deliver(1, 2);
  script.deliver(0, 2);
  script.deliverAll();
  assertEquals(script.outcomes.get("young"), { kind: "answered", reply: "OK" });
  assertEquals(script.replicas.map((replica) => replica.store.get("k")?.value), [
    "young",
    "young",
    "young",
  ]);
});

golden("a deadlock that wait-die resolves", (script) => {
  // Each holds the key at its own node before the other's prepare comes there.
  script.ask(0, "A", write({ k: "A" }));
  script.ask(1, "B", write({ k: "B" }));
  script.deliverAll();
  assertEquals(script.outcomes.size, 2);
  assertEquals(script.replicas.map((replica) => replica.locks.size), [0, 0, 0]);
});

golden("a chain on one key", (script) => {
  script.ask(0, "W1", append("k", "a"));
  script.ask(0, "W2", append("k", "b"));
  script.ask(0, "W3", append("k", "c"));
  script.ask(0, "N", setIfAbsent("k", "never"));
  script.ask(0, "R", read("k"));
  script.deliverAll();
  assertEquals(script.outcomes.get("W3"), { kind: "answered", reply: "abc" });
  assertEquals(script.outcomes.get("N"), { kind: "answered", reply: false });
  assertEquals(script.outcomes.get("R"), { kind: "answered", reply: ["abc"] });
});

golden("a deadline", (script) => {
  script.ask(0, "W", write({ k: "1" }));
  // n2 hears nothing, and says nothing.
  const isDeaf = (from: number, to: number) => from === 2 || to === 2;
  script.deliverAll(isDeaf);
  script.wait(4500);
  script.deliverAll(isDeaf);
  assertEquals(script.outcomes.get("W")?.kind, "aborted");
  script.deliverAll();
  assertEquals(script.replicas.map((replica) => replica.locks.size), [0, 0, 0]);
});

golden("a deadline that no majority confirms", (script) => {
  script.ask(0, "W", write({ k: "1" }));
  script.wait(4500);
  assertEquals(script.outcomes.has("W"), false);
  script.wait(500);
  assertEquals(script.outcomes.get("W")?.kind, "indeterminate");
});

golden("a member that was cut off", (script) => {
  script.ask(0, "W", write({ k: "1" }));
  script.deliver(0, 1);
  script.cut(0, 2);
  script.deliverAll();
  script.ask(1, "V", write({ j: "1" }));
  script.connect(0, 2);
  script.deliverAll();
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
  assertEquals(script.replicas.map((replica) => replica.store.get("j")?.value), ["1", "1", "1"]);
});
