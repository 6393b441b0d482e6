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

interface Lock {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, unknown>>;
}

async function lock(file: string): Promise<Lock> {
  return JSON.parse(await Deno.readTextFile(new URL(file, ROOT)));
}

// Deno downloads all that its lock names before it runs anything.
Deno.test("deno.lock names what dks itself needs, and no clients that tests use", async () => {
  const targets = Object.values(await imports("deno.json"))
    .filter((target) => target.startsWith("npm:"))
    .map((target) => target.replace(/(@[\d.]+)\/.*/, "$1"));
  const { specifiers } = await lock("deno.lock");
  assertEquals(Object.keys(specifiers).sort(), [...new Set(targets)].sort());
});

Deno.test("tests/deno.lock names all of deno.lock, and the same of it", async () => {
  const [own, all] = [await lock("deno.lock"), await lock("tests/deno.lock")];
  for (const kind of ["specifiers", "npm"] as const) {
    for (const [name, value] of Object.entries(own[kind])) {
      assertEquals(all[kind][name], value, name);
    }
  }
  for (const specifier of Object.keys(all.specifiers)) assertMatch(specifier, /@\d+\.\d+\.\d+$/);
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
