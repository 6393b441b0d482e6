/**
 * The binary that the end-to-end tests run: made once from the sources as they are.
 *
 * @module
 */

import type { Program } from "./cluster.ts";

const ROOT = new URL("../../", import.meta.url);

/** Returns the path of `./dks` for the present sources, and compiles it if it does not exist. */
export async function binaryPath(): Promise<string> {
  const folder = new URL(`build/e2e/${await hashOfSources()}/`, ROOT);
  const path = new URL("dks", folder).pathname;
  if (await exists(path)) return path;
  await Deno.mkdir(folder, { recursive: true });
  // Of test files that run beside each other one makes it, and the others wait for it.
  using turn = await Deno.open(new URL("turn", folder), { write: true, create: true });
  await turn.lock(true);
  if (await exists(path)) return path;
  const part = `${path}-unfinished`;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", "--output", part],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`no binary: ${decoder.decode(stdout)}${decoder.decode(stderr)}`);
  await Deno.rename(part, path);
  return path;
}

/** Returns the binary as a program to start. */
export async function binary(): Promise<Program> {
  return { file: await binaryPath(), args: [] };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

async function hashOfSources(): Promise<string> {
  const files = [
    ...await filesBelow(new URL("src/", ROOT)),
    ...await filesBelow(new URL("scripts/", ROOT)),
    new URL("tests/harness/flags.ts", ROOT),
    new URL("main.ts", ROOT),
    new URL("deno.json", ROOT),
    new URL("deno.lock", ROOT),
  ];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(file)));
  const whole = new TextEncoder().encode([Deno.version.deno, ...texts].join("\0"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  return Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function filesBelow(folder: URL): Promise<URL[]> {
  const files: URL[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isDirectory) files.push(...await filesBelow(new URL(`${entry.name}/`, folder)));
    else files.push(new URL(entry.name, folder));
  }
  return files.sort((a, b) => a.pathname < b.pathname ? -1 : 1);
}
