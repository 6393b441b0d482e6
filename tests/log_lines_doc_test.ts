/** docs/operations.md says of each line that a node logs what it means. */

import { assert, assertEquals } from "@std/assert";

const SOURCES = new URL("../src/node/", import.meta.url);

/** A call that logs, up to the texts that it begins with. */
const CALL =
  /(?:logger\??\.|getLogger\(\)\.)(?:info|warn|error)\(\s*((?:(?:`[^`]*`|"[^"]*")[\s+]*)+)/g;

/** Shorter stretches of a line would be found by chance. */
const STRETCH_MIN = 10;

async function* filesBelow(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

/** Returns the stretches of each line that are always the same. Lines that functions make are not found. */
function linesIn(source: string): string[][] {
  return [...source.matchAll(CALL)].map(([, literals = ""]) => {
    const text = [...literals.matchAll(/`([^`]*)`|"([^"]*)"/g)]
      .map(([, template, plain]) => template ?? plain ?? "").join("");
    return text.split(/\$\{[^}]*\}|[:;.,]/).map((stretch) => stretch.trim())
      .filter((stretch) => stretch.length >= STRETCH_MIN);
  });
}

Deno.test("docs/operations.md lists each line that a node logs", async () => {
  const document = await Deno.readTextFile(new URL("../docs/operations.md", import.meta.url));
  const told = (document.split("\n### Log lines\n")[1]?.split("\n## ")[0] ?? "")
    .replace(/\s+/g, " ");
  const unsaid: string[] = [];
  let count = 0;
  for await (const file of filesBelow(SOURCES)) {
    for (const stretches of linesIn(await Deno.readTextFile(file))) {
      if (stretches.length === 0) continue;
      count++;
      if (!stretches.some((one) => told.includes(one))) unsaid.push(stretches.join(" … "));
    }
  }
  assert(count > 30, `${count} lines were found`);
  assertEquals(unsaid, []);
});
