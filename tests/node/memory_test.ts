import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { defaultMemoryBytes, heapBytesMax, parseMemoryBytes } from "../../src/node/memory.ts";
import { TurnTimes } from "../../src/node/admin/turn_times.ts";
import { admit } from "../../src/node/server/gate.ts";
import { ErrorReply } from "../../src/resp/value.ts";
import { session } from "./commands/session.ts";

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
  const full = session();
  const node = { ...full.node, isOutOfMemory: () => true };
  const errorOf = (...words: string[]) => {
    const admitted = admit(words, { ...full, node });
    return admitted instanceof ErrorReply ? `${admitted.code} ${admitted.message}` : undefined;
  };
  const refusal = "OOM command not allowed when used memory > 'maxmemory'.";
  assertEquals(errorOf("SET", "k", "v"), refusal);
  assertEquals(errorOf("DKS.ONCE", "t", "SET", "k", "v"), refusal);
  assertEquals(errorOf("GET", "k"), undefined);
  assertEquals(errorOf("DEL", "k"), undefined);
  assertEquals(errorOf("PING"), undefined);
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
