/** docs/errors.md lists each error that dks answers a client with, and each with which a program of it ends. */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** What makes an error of a text: the text, or the name of it, comes next. */
const MAKERS: readonly RegExp[] = [
  /new ErrorReply\(\s*(?:"[A-Z]+"|[\w.[\]]+),\s*/g,
  /new (?:FatalError|UsageError|ConnectionError|AccessError|UnfoundError|TlsError)\(\s*/g,
  /\b(?:busy|failure)\(\s*(?=[`"])/g,
];

/** In these files, functions return why something is refused. */
const REASONS: readonly string[] = [
  "two_phase/refusals.ts",
  "two_phase/member_changes.ts",
  "node/new_cluster.ts",
];
const RETURNED = /\breturn (?=[`"])/g;

/** Texts that stand behind each other, joined by `+`. */
const TEXTS = /^(?:\s*\+?\s*(?:`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))+/;

/** A name, which stands for texts elsewhere in the file. */
const NAME = /^([A-Za-z_]\w*)\s*[,)]/;

/** Shorter stretches of a text would be found by chance. */
const STRETCH_MIN = 8;

async function* filesBelow(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

/** Returns the text of literals, each `${…}` as `…`. */
function textOf(literals: string): string {
  return [...literals.matchAll(/`((?:[^`\\]|\\.)*)`|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/g)]
    .map(([, template, double, single]) => template ?? double ?? single ?? "").join("")
    .replaceAll(/\$\{(?:[^{}]|\{[^}]*\})*\}/g, "…").replaceAll(/\\(.)/g, "$1");
}

/** Returns the texts of errors in a file. */
function errorsIn(source: string, makers: readonly RegExp[]): string[] {
  const found: string[] = [];
  for (const maker of makers) {
    for (const { index, 0: { length } } of source.matchAll(maker)) {
      const rest = source.slice(index + length);
      const literals = TEXTS.exec(rest)?.[0];
      if (literals !== undefined) found.push(textOf(literals));
      const name = NAME.exec(rest)?.[1];
      if (literals !== undefined || name === undefined) continue;
      for (const defined of source.matchAll(new RegExp(`\\b${name} =\\s*`, "g"))) {
        const texts = TEXTS.exec(source.slice(defined.index + defined[0].length))?.[0];
        if (texts !== undefined) found.push(textOf(texts));
      }
    }
  }
  return found;
}

/** Returns the stretches of an error that are always the same. */
function stretchesOf(text: string): string[] {
  return text.split(/…|[:;.,]/).map((stretch) => stretch.replaceAll(/\s+/g, " ").trim())
    .filter((stretch) => stretch.length >= STRETCH_MIN);
}

Deno.test("docs/errors.md lists each error that a client gets, and that ends the program", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
  const [errors, operations] = await Promise.all(
    ["docs/errors.md", "docs/operations.md"].map(read),
  );
  const rejections = operations?.split("\n### What a rejection says\n")[1]?.split("\n## ")[0] ?? "";
  const told = `${errors}${rejections}`.replaceAll(/\s+/g, " ");
  const unsaid: string[] = [];
  let count = 0;
  for await (const file of filesBelow(new URL("src/", ROOT))) {
    const path = file.pathname.split("/src/").at(-1) ?? "";
    const makers = REASONS.includes(path) ? [...MAKERS, RETURNED] : MAKERS;
    for (const text of errorsIn(await Deno.readTextFile(file), makers)) {
      const stretches = stretchesOf(text);
      if (stretches.length === 0) continue;
      count++;
      if (!stretches.some((one) => told.includes(one))) unsaid.push(`${path}: ${text}`);
    }
  }
  assert(count > 200, `${count} errors were found`);
  assertEquals(unsaid, []);
});
