/** `src/two_phase/` is a pure state machine: nothing of the world gets in. */

import { assertEquals } from "@std/assert";

const FOLDER = new URL("../../src/two_phase/", import.meta.url);

/** What a pure module must not mention. */
const IMPURE =
  /\b(Deno|Promise|Date|Math\.random|setTimeout|setInterval|queueMicrotask|console|performance|crypto|async|await|fetch)\b/;

/** Plain modules outside of the folder that have no effects. */
const ALLOWED_IMPORTS: readonly string[] = [
  "../byte_string.ts",
  "../histogram.ts",
  "../invariant.ts",
  "../key_events.ts",
  "../key_map.ts",
  "../reserved_keys.ts",
  "../limits.ts",
];

async function* modules(): AsyncGenerator<{ name: string; code: string }> {
  for await (const entry of Deno.readDir(FOLDER)) {
    if (!entry.name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(new URL(entry.name, FOLDER));
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
    yield { name: entry.name, code };
  }
}

Deno.test("src/two_phase mentions no clock, no random numbers, no I/O", async () => {
  const found: string[] = [];
  for await (const { name, code } of modules()) {
    const match = IMPURE.exec(code);
    if (match !== null) found.push(`${name}: ${match[0]}`);
  }
  assertEquals(found, []);
});

Deno.test("src/two_phase imports only itself and plain modules", async () => {
  const found: string[] = [];
  for await (const { name, code } of modules()) {
    for (const [, specifier = ""] of code.matchAll(/from "([^"]+)"/g)) {
      const isOwn = specifier.startsWith("./") && !specifier.slice(2).includes("/");
      if (!isOwn && !ALLOWED_IMPORTS.includes(specifier)) found.push(`${name}: ${specifier}`);
    }
  }
  assertEquals(found, []);
});
