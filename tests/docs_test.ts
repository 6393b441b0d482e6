/**
 * What documents and workflows name exists: files and folders of the repository, links to them, and
 * tasks.
 */

import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** From the root. Folders end with a slash. */
const PATHS: ReadonlySet<string> = new Set(await pathsIn(""));

const DOCUMENTS = [...PATHS].filter((path) => path.endsWith(".md") && !path.startsWith("tests/"));
const WORKFLOWS = [...PATHS].filter((path) => /^\.github\/workflows\/.+\.yml$/.test(path));

async function pathsIn(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder || ".", ROOT))) {
    if (name === ".git" || name === "node_modules") continue;
    if (!isDirectory) paths.push(`${folder}${name}`);
    else paths.push(`${folder}${name}/`, ...await pathsIn(`${folder}${name}/`));
  }
  return paths;
}

/** Returns `problems` of each file, each with the path of the file before it. */
async function problemsIn(
  files: readonly string[],
  problems: (text: string, path: string) => Iterable<string>,
): Promise<string[]> {
  const found: string[] = [];
  for (const path of files) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    for (const problem of problems(text, path)) found.push(`${path}: ${problem}`);
  }
  return found;
}

function exists(path: string): boolean {
  return PATHS.has(path) || PATHS.has(`${path}/`);
}

Deno.test("the files and folders that documents and workflows name exist", async () => {
  const missing = await problemsIn([...DOCUMENTS, ...WORKFLOWS], function* (text) {
    for (const [path] of text.matchAll(/(?<![\w./-])(src|tests|scripts|docs)\/[\w./-]*\w/g)) {
      if (!exists(path)) yield path;
    }
  });
  assertEquals(missing, []);
});

Deno.test("the modules that documents name by the end of their path exist", async () => {
  const modules = [...PATHS].filter((path) => path.endsWith(".ts"));
  const missing = await problemsIn(DOCUMENTS, function* (text) {
    for (const [, path = ""] of text.matchAll(/`([\w./-]+\.ts)`/g)) {
      if (!modules.some((module) => `/${module}`.endsWith(`/${path}`))) yield path;
    }
  });
  assertEquals(missing, []);
});

Deno.test("the links of documents lead to a file, and to a heading in it", async () => {
  const headings = new Map<string, Set<string>>();
  for (const path of DOCUMENTS) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    headings.set(
      path,
      new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => slug(title))),
    );
  }
  const broken = await problemsIn(DOCUMENTS, function* (text, from) {
    for (const [, link = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const path = file === ""
        ? from
        : new URL(file, new URL(from, ROOT)).pathname.slice(ROOT.pathname.length);
      if (!exists(path)) yield link;
      else if (anchor !== undefined && headings.get(path)?.has(anchor) !== true) yield link;
    }
  });
  assertEquals(broken, []);
});

/** Returns the anchor that a Markdown renderer gives to a heading. */
function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
}

Deno.test("the tasks that documents and workflows name exist", async () => {
  const { tasks }: { tasks: Record<string, unknown> } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const missing = await problemsIn([...DOCUMENTS, ...WORKFLOWS, ".ci/run"], function* (text) {
    for (const [, task = ""] of text.matchAll(/\bdeno(?:@[\d.]+)? task (\w+)/g)) {
      if (tasks[task] === undefined) yield task;
    }
  });
  assertEquals(missing, []);
});
