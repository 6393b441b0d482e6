/** What the import maps promise: the same specifiers in both, each with types, exact versions. */

import { assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

async function imports(file: string): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile(new URL(file, ROOT))).imports;
}

Deno.test("deno.json maps every npm package to an exact version", async () => {
  for (const [specifier, target] of Object.entries(await imports("deno.json"))) {
    if (target.startsWith("npm:")) assertMatch(target, /@\d+\.\d+\.\d+(\/|$)/, specifier);
  }
});

Deno.test("import_map.jsr.json maps the specifiers of deno.json, and no others", async () => {
  const npm = Object.keys(await imports("deno.json")).sort();
  const jsr = Object.keys(await imports("import_map.jsr.json")).sort();
  assertEquals(jsr, npm);
});

Deno.test("types/deno_std.d.ts declares every @std module that has no types", async () => {
  const types = await Deno.readTextFile(new URL("types/deno_std.d.ts", ROOT));
  for (const [specifier, target] of Object.entries(await imports("deno.json"))) {
    if (!target.startsWith("npm:deno-std")) continue;
    assertEquals(types.includes(`declare module "${specifier}"`), true, specifier);
  }
});

Deno.test("deno.json and src/version.ts name the same version", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const { VERSION } = await import("../src/version.ts");
  assertEquals(VERSION, version);
});
