import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { defaultMemoryBytes, heapBytesMax, parseMemoryBytes } from "../../src/node/memory.ts";
import { TurnTimes } from "../../src/node/admin/turn_times.ts";
import { admit } from "../../src/node/server/gate.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";
import { Database } from "./commands/database.ts";
import { session } from "./commands/session.ts";
import type { Session } from "../../src/node/commands/command.ts";

Deno.test("parseMemoryBytes() takes Redis's units", () => {
  const sizes: [text: string, bytes: number][] = [
    ["0", 0],
    ["1000", 1000],
    ["10k", 10_000],
    ["10kb", 10_240],
    ["512MB", 512 * 2 ** 20],
    ["1g", 1e9],
    ["1gb", 2 ** 30],
  ];
  for (const [text, bytes] of sizes) assertEquals(parseMemoryBytes(text, "--max-memory"), bytes);
  for (const text of ["", "-1", "1tb", "1.5gb", "many", "99999999999gb"]) {
    assertThrows(() => parseMemoryBytes(text, "--max-memory"), UsageError, `"${text}"`);
  }
  assertThrows(() => parseMemoryBytes("900g", "--max-memory"), UsageError, "the engine can use");
});

Deno.test("defaultMemoryBytes() leaves memory for everything else", () => {
  assertEquals(defaultMemoryBytes() > 0, true);
  assertEquals(defaultMemoryBytes() < 0.7 * heapBytesMax(), true);
});

Deno.test("admit() refuses what may need memory when there is none, and nothing else", () => {
  const of = sessionWhere(() => 1);
  const errorOf = (...words: string[]) => {
    const admitted = admit(words, of);
    return admitted instanceof ErrorReply ? `${admitted.code} ${admitted.message}` : undefined;
  };
  assertEquals(errorOf("SET", "k", "v"), OUT_OF_MEMORY);
  assertEquals(errorOf("DKS.ONCE", "t", "SET", "k", "v"), OUT_OF_MEMORY);
  assertEquals(errorOf("GET", "k"), undefined);
  assertEquals(errorOf("DEL", "k"), undefined);
  assertEquals(errorOf("PING"), undefined);
  assertEquals(errorOf("DKS.ONCE", "t", "DELETE", "k"), undefined);
});

const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";

/** Returns a session with a node that has so many times the memory in use that it may. */
function sessionWhere(used: () => number): Session {
  const of = session();
  return { ...of, node: { ...of.node, isOutOfMemory: (beyond = 0) => used() >= 1 + beyond } };
}

Deno.test("EXEC is refused at full memory if a command is that was queued before", () => {
  const refusal = new ErrorReply(
    "EXECABORT",
    `Transaction discarded because of: ${OUT_OF_MEMORY}`,
  );
  for (const exec of ["EXEC", "DKS.ONCE t EXEC"]) {
    for (const line of ["SET b 1", "DKS.ONCE u SET b 1", "DEL b", "DKS.ONCE u DEL b"]) {
      const needsMemory = line.includes("SET");
      let used = 0;
      const of = sessionWhere(() => used);
      const database = new Database();
      for (const word of ["MULTI", "DEL a", line]) database.run(word, of);
      used = 1;
      const reply = database.run(exec, of);
      assertEquals(reply instanceof ErrorReply ? reply : "done", needsMemory ? refusal : "done");
      assertEquals(database.value("b"), undefined);
      assertEquals(database.run("EXEC", of), new ErrorReply("ERR", "EXEC without MULTI"));
      used = 0;
      assertEquals(database.run("SET b 1", of), OK, "it is no transaction any more");
    }
  }
});

Deno.test("deletions under tokens are refused before the tokens take all memory", () => {
  let used = 1;
  const of = sessionWhere(() => used);
  const database = new Database();
  assertEquals(database.run("DKS.ONCE t DEL a", of), 0);
  used = 1.1;
  const [code, ...words] = OUT_OF_MEMORY.split(" ");
  const refusal = new ErrorReply(code ?? "", words.join(" "));
  assertEquals(database.run("DKS.ONCE u DEL a", of), refusal);
  assertEquals(database.run("DEL a", of), 0);
});

Deno.test("TurnTimes tells the longest turn of all, and of the last minutes", () => {
  const times = new TurnTimes(0);
  times.recordLateness(30, 1000);
  times.recordLateness(5, 2000);
  assertEquals([times.longestMs, times.longestRecentMs], [30, 30]);
  times.recordLateness(7, 61_000);
  assertEquals(times.longestRecentMs, 30);
  times.recordLateness(6, 122_000);
  assertEquals([times.longestMs, times.longestRecentMs], [30, 7]);
  times.recordLateness(1, 500_000);
  assertEquals(times.longestRecentMs, 1);
});
