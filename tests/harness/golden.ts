/**
 * Golden files: what a whole run looked like when it was last reviewed.
 *
 * `deno test --allow-all tests/ -- --update-golden` writes them again. Read the difference before it
 * is committed: it is the change of behaviour.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

/** Compares `lines` with the golden file at `url`, or writes it. */
export async function assertGolden(url: URL, lines: readonly string[]): Promise<void> {
  const text = lines.map((line) => `${line}\n`).join("");
  if (Deno.args.includes("--update-golden")) {
    await Deno.writeTextFile(url, text);
    return;
  }
  assertEquals(text.split("\n"), (await Deno.readTextFile(url)).split("\n"));
}
