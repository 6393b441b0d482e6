import { assert, assertEquals } from "@std/assert";
import { tokenKey } from "../../src/node/once.ts";
import { Exports } from "../../src/node/exports.ts";
import { type Snapshot, snapshotRequest } from "../../src/node/snapshot.ts";
import { EXPORT_CHUNK_BYTES, EXPORT_IDLE_MS, EXPORTS_MAX } from "../../src/limits.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { Random } from "../sim/random.ts";
import { bothAt, Script, write } from "../two_phase/script.ts";

/** Begins a snapshot at `node`. Its outcome stands under `label`. */
function ask(script: Script, node: number, label: string): void {
  const replica = script.replicas[node];
  if (replica === undefined) throw new Error(`there is no node ${node}`);
  const request = snapshotRequest(replica, {
    clocks: () => script.clocksOf(0),
    then: ({ keys, values }: Snapshot) => {
      return Object.fromEntries(keys.map((key, index) => [key, values[index]]).sort());
    },
  });
  if (request === undefined) throw new Error("it may not read");
  script.ask(node, label, request);
}

function snapshot(script: Script, label: string): Record<string, string> | undefined {
  const outcome = script.outcomes.get(label);
  return outcome?.kind === "answered" ? outcome.reply as Record<string, string> : undefined;
}

Deno.test("snapshotRequest() has everything at once when nothing is prepared, but no hidden key", () => {
  const script = Script.complete();
  script.ask(0, "W", write({ a: "1", b: "2", [tokenKey("t")]: "3" }));
  script.deliverAll();
  ask(script, 1, "S");
  assertEquals(snapshot(script, "S"), { a: "1", b: "2" });
});

/** n2 has T1 prepared, which is acknowledged, and T2 committed, which came after it. */
function inDoubt(): Script {
  const script = Script.complete();
  script.ask(1, "T0", write({ a: "0", b: "0", d: "0" }));
  script.deliverAll();
  script.ask(0, "T1", write({ a: "1", d: undefined, e: "1" }));
  script.deliver(0, 2);
  script.deliverAll((from, to) => from === 0 && to === 2);
  assertEquals(script.outcomes.get("T1")?.kind, "answered");
  script.ask(1, "T2", write({ b: "2" }));
  script.deliverAll((from, to) => from === 0 && to === 2);
  return script;
}

Deno.test("snapshotRequest() has what is prepared and will be committed, and nothing later", () => {
  const script = inDoubt();
  assertEquals(script.outcomes.get("T2")?.kind, "answered");
  assertEquals(script.replicas[2]?.store.get("b")?.value, "2");
  assertEquals(script.replicas[2]?.store.get("a")?.value, "0");
  ask(script, 2, "S");
  assertEquals(snapshot(script, "S"), undefined, "it waits for T1");
  script.ask(1, "T3", write({ b: "3", c: "3" }));
  script.deliverAll((from, to) => from === 0 && to === 2);
  assertEquals(script.replicas[2]?.store.get("b")?.value, "3");
  script.deliverAll();
  assertEquals(snapshot(script, "S"), { a: "1", b: "2", e: "1" });
});

Deno.test("snapshotRequest() leaves out what is prepared and aborts", () => {
  const script = Script.complete();
  script.ask(0, "T0", write({ a: "0" }));
  script.deliverAll();
  script.ask(0, "T1", write({ a: "1", b: "1" }));
  script.deliver(0, 2);
  script.cut(0, 1);
  ask(script, 2, "S");
  assertEquals(snapshot(script, "S"), undefined, "it waits for T1");
  script.wait(4600);
  script.deliverAll();
  assertEquals(script.outcomes.get("T1")?.kind, "aborted");
  // It has waited for as long as a request may.
  assertEquals(script.outcomes.get("S")?.kind, "rejected");
  ask(script, 2, "S2");
  assertEquals(snapshot(script, "S2"), { a: "0" });
});

Deno.test("snapshotRequest() has one moment of the cluster, whatever arrives when", () => {
  let waited = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed, 1);
    const script = Script.complete();
    // A client writes x, then y, each time the next number, each time anywhere: x is y or one more.
    let [written, asked] = [0, 0];
    const isAnswered = (label: string) => script.outcomes.get(label)?.kind === "answered";
    for (let turn = 0; turn < 400; turn++) {
      if (written === 0 || isAnswered(`W${written}`)) {
        written++;
        const key = written % 2 === 1 ? "x" : "y";
        const value = String(Math.ceil(written / 2));
        script.ask(random.integer(3), `W${written}`, write({ [key]: value }));
      }
      for (let i = 0; i < 3; i++) script.deliver(random.integer(3), random.integer(3));
      if (!random.chance(0.1)) continue;
      ask(script, random.integer(3), `S${++asked}`);
      if (snapshot(script, `S${asked}`) === undefined) waited++;
    }
    script.deliverAll();
    for (let i = 1; i <= asked; i++) {
      const { x = "0", y = "0" } = snapshot(script, `S${i}`) ?? {};
      const ahead = Number(x) - Number(y);
      assertEquals(ahead === 0 || ahead === 1, true, `seed ${seed}, S${i}: x ${x}, y ${y}`);
    }
  }
  assertEquals(waited > 100, true, `only ${waited} had to wait`);
});

Deno.test("Exports.next() returns all keys and values in pieces, then nothing, then an error", () => {
  const exports = new Exports(() => 0);
  const value = "v".repeat(EXPORT_CHUNK_BYTES / 2);
  const begun = exports.begin({ keys: ["a", "b", "c"], values: [value, value, ""] });
  const [id = "", count] = begun as [string, number];
  assertEquals(count, 3);
  assertEquals(exports.next(id), ["a", value, "b", value]);
  assertEquals(exports.next(id), ["c", ""]);
  assertEquals(exports.next(id), []);
  const message = `there is no export "${id}": it has ended, or nobody has read from it for 60 s`;
  assertEquals(exports.next(id), new ErrorReply("ERR", message));
});

Deno.test("Exports.begin() refuses too many, until some are idle", () => {
  let nowMs = 0;
  const exports = new Exports(() => nowMs);
  const begin = () => exports.begin({ keys: ["k"], values: ["v"] });
  const ids = Array.from({ length: EXPORTS_MAX }, () => (begin() as [string])[0]);
  const refused = new ErrorReply("REJECTED", "this node has 4 exports under way already");
  assertEquals([begin(), exports.obstacle], [refused, refused]);
  nowMs = EXPORT_IDLE_MS;
  const [first = "", second = ""] = ids;
  assertEquals(exports.next(first), ["k", "v"]);
  exports.dropIdle();
  assertEquals(exports.obstacle, refused, "none is idle for long enough");
  nowMs++;
  exports.dropIdle();
  assertEquals(exports.obstacle, undefined);
  assertEquals(exports.next(first), []);
  assertEquals(exports.next(second) instanceof ErrorReply, true);
});

Deno.test("snapshotRequest() refuses a node whose lease has run out, though it still stands in the view", () => {
  const script = Script.complete();
  const [replica] = script.replicas;
  assert(replica !== undefined);
  const then = () => undefined;
  assert(snapshotRequest(replica, { clocks: () => script.clocksOf(0), then }) !== undefined);
  const afterIt = () => bothAt(script.now + 1e10);
  assertEquals(snapshotRequest(replica, { clocks: afterIt, then }), undefined);
});
