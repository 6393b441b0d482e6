/**
 * The house: which room may import which, as `docs/architecture.md` draws it; no cycles; one place for
 * sockets, and one for the time.
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

interface Module {
  /** From the root, such as `src/node/node.ts`. */
  readonly path: string;
  /** Without comments. */
  readonly code: string;
  /** The modules of `src/` that it imports, types included. */
  readonly imports: readonly string[];
}

async function* pathsIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) yield* pathsIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

async function modulesOf(folder: string): Promise<Module[]> {
  const modules: Module[] = [];
  for await (const path of pathsIn(folder)) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
    const imports = [...code.matchAll(/(?:from |import\()"(\.[^"]+)"/g)].map(([, specifier = ""]) =>
      new URL(specifier, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length)
    );
    modules.push({ path, code, imports });
  }
  return modules;
}

const MODULES = await modulesOf("src/");

/** The room of a file: `.` for the plain modules. */
function roomOf(path: string): string {
  const folders = path.split("/").slice(1, -1);
  return folders.length === 0 ? "." : folders.join("/");
}

/** The arrows of the picture. */
async function drawnArrows(): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("docs/architecture.md", ROOT));
  return text.split("\n").filter((line) => /^[a-z_/]+ -> [a-z_/]+$/.test(line));
}

Deno.test("the rooms import each other as docs/architecture.md draws it, and not otherwise", async () => {
  const arrows = new Set<string>();
  for (const { path, imports } of MODULES) {
    for (const imported of imports) {
      const [from, to] = [roomOf(path), roomOf(imported)];
      if (from !== to && from !== "." && to !== ".") arrows.add(`${from} -> ${to}`);
    }
  }
  assertEquals([...arrows].sort(), await drawnArrows());
});

Deno.test("plain modules import no room, but for types of messages and clocks", () => {
  const types = ["src/two_phase/messages.ts", "src/two_phase/clocks.ts"];
  const found = MODULES.flatMap(({ path, imports }) =>
    roomOf(path) !== "." ? [] : imports
      .filter((imported) => roomOf(imported) !== "." && !types.includes(imported))
      .map((imported) => `${path} -> ${imported}`)
  );
  assertEquals(found, []);
});

Deno.test("rooms of a node take from the node itself only the driver and descriptions", () => {
  const allowed = ["src/node/driver.ts", "src/node/descriptions.ts"];
  const found = MODULES.flatMap(({ path, imports }) =>
    !roomOf(path).startsWith("node/") ? [] : imports
      .filter((imported) => roomOf(imported) === "node" && !allowed.includes(imported))
      .map((imported) => `${path} -> ${imported}`)
  );
  assertEquals(found, []);
});

Deno.test("there is no cycle of imports, types included", () => {
  const byPath = new Map(MODULES.map((module) => [module.path, module]));
  /** A module is done when nothing that it leads to leads back to it. */
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    assert(!way.includes(path), `a cycle: ${[...way.slice(way.indexOf(path)), path].join(" -> ")}`);
    if (done.has(path)) return;
    for (const imported of byPath.get(path)?.imports ?? []) visit(imported, [...way, path]);
    done.add(path);
  };
  for (const { path } of MODULES) visit(path, []);
});

/** The modules that mention something, but for those that may. */
function mentioning(pattern: RegExp, allowed: readonly string[]): string[] {
  return MODULES.filter(({ path, code }) => pattern.test(code) && !allowed.includes(path))
    .map(({ path }) => path);
}

Deno.test("sockets are opened in one file, and taken over in one other", () => {
  const pattern =
    /\bDeno\.(connect|listen|connectTls|listenTls|startTls|TcpConn|TcpListener|Conn)\b/;
  assertEquals(mentioning(pattern, ["src/socket.ts", "src/fast_socket.ts"]), []);
});

Deno.test("the monotonic clock is read in one file", () => {
  assertEquals(mentioning(/\bperformance\b/, ["src/clock.ts"]), []);
});

Deno.test("commands have no effects: no clock, no random numbers, no I/O", () => {
  const pattern =
    /\b(Deno|Date|Math\.random|setTimeout|setInterval|queueMicrotask|console|performance|crypto\.|fetch)\b/;
  const found = MODULES.filter(({ path }) => roomOf(path) === "node/commands")
    .filter(({ code }) => pattern.test(code)).map(({ path }) => path);
  assertEquals(found, []);
  const outside = /from "(?!\.|node:crypto)[^"]*"/;
  const packages = MODULES.filter(({ path, code }) =>
    roomOf(path) === "node/commands" && outside.test(code)
  );
  assertEquals(packages.map(({ path }) => path), []);
});

Deno.test("scripts and tests share the harness in one direction", async () => {
  const harness = await modulesOf("tests/harness/");
  const back = harness.flatMap(({ path, imports }) =>
    imports.filter((imported) =>
      !/^(src|tests\/harness)\//.test(imported) && imported !== "main.ts"
    )
      .map((imported) => `${path} -> ${imported}`)
  );
  assertEquals(back, []);
  const scripts = await modulesOf("scripts/");
  const others = scripts.flatMap(({ path, imports }) =>
    imports.filter((imported) =>
      imported.startsWith("tests/") && !imported.startsWith("tests/harness/") &&
      !imported.startsWith("tests/bench/")
    ).map((imported) => `${path} -> ${imported}`)
  );
  assertEquals(others, []);
});
