// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task compile`: makes `./dks`, the program in one file.
 *
 * `deno compile` does it if it can fetch its base runtime. If it cannot, the file is a portable
 * one that behaves the same: a shell header, and behind it a compressed archive of the Deno that runs
 * this script and of the bundled program (`portable_header.sh`).
 *
 * @module
 */

import { COMPILE_FLAGS, RUN_FLAGS } from "../tests/harness/flags.ts";
import { tarEnd, tarEntry } from "./tar.ts";
import { taskArguments } from "../tests/harness/task_arguments.ts";

/** How `deno compile` says that it has no base runtime. */
const NO_BASE_RUNTIME =
  /dl\.deno\.land|download|lookup|dns|connect|network|timed out|tls|certificate/i;

const args = taskArguments(
  "deno task compile [--output FILE] [--target TARGET] [--data FOLDER] [--portable]",
  {
    string: ["output", "target", "data"],
    boolean: ["portable"],
    default: { output: "dks" },
  },
);
const output = String(args["output"]);
const target = typeof args["target"] === "string" ? args["target"] : undefined;

/** A folder that the program may read and write, for `serve --data`; nothing else of the files. */
const data = typeof args["data"] === "string" ? args["data"] : undefined;
if (data !== undefined && (data === "" || /[\s,'"$`\\]/.test(data))) {
  console.error(
    `--data takes the path of a folder without spaces, commas and quotes, not "${data}"`,
  );
  Deno.exit(2);
}
const access = data === undefined ? [] : [`--allow-read=${data}`, `--allow-write=${data}`];

/** What is not whole yet: the place of the last one is taken only by a whole one. */
const part = `${output}-part`;
await removeParts();
if (args["portable"] === true || !await compile()) await makePortable();
const made = await moveInPlace();
console.log(`made ${made} (${((await Deno.stat(made)).size / 1e6).toFixed(1)} MB)`);

async function removeParts(): Promise<void> {
  for (const suffix of ["", ".exe"]) {
    await Deno.remove(part + suffix).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** Moves what was made to its place; for Windows it has a suffix. Returns where it is. */
async function moveInPlace(): Promise<string> {
  for (const suffix of ["", ".exe"]) {
    try {
      await Deno.rename(part + suffix, output + suffix);
      return output + suffix;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`nothing was made at ${part}`);
}

/** Runs `deno compile`. Returns whether there is a binary; ends the process on a real error. */
async function compile(): Promise<boolean> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      ...COMPILE_FLAGS,
      ...access,
      ...(target === undefined ? [] : ["--target", target]),
      "--output",
      part,
      "main.ts",
    ],
    stdout: "inherit",
    stderr: "piped",
  }).output();
  if (success) return true;
  const message = new TextDecoder().decode(stderr);
  if (target !== undefined || !NO_BASE_RUNTIME.test(message)) {
    console.error(message);
    Deno.exit(1);
  }
  console.log("deno compile cannot fetch its base runtime here: making a portable file instead");
  return false;
}

/** Writes the portable file. */
async function makePortable(): Promise<void> {
  const build = await Deno.makeTempDir({ prefix: "dks-build-" });
  try {
    const bundle = `${build}/dks.js`;
    await bundleTo(bundle);
    const files = { "deno": Deno.execPath(), "dks.js": bundle };
    const compressed = ReadableStream.from<BufferSource>(archiveOf(files))
      .pipeThrough(new CompressionStream("gzip"));
    const archive = new Uint8Array(await new Response(compressed).arrayBuffer());
    await Deno.writeFile(part, await assemble(archive, files), { mode: 0o755 });
    await Deno.chmod(part, 0o755);
  } finally {
    await Deno.remove(build, { recursive: true });
  }
}

async function bundleTo(file: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "--output", file, "main.ts"],
    stderr: "piped",
  }).output();
  if (success) return;
  console.error(new TextDecoder().decode(stderr));
  Deno.exit(1);
}

async function* archiveOf(
  files: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (const [name, path] of Object.entries(files)) {
    yield* tarEntry(name, await Deno.readFile(path), 0o755);
  }
  yield tarEnd();
}

/** Returns the header, filled in, and the archive of `files` behind it. */
async function assemble(
  archive: Uint8Array<ArrayBuffer>,
  files: Readonly<Record<"deno" | "dks.js", string>>,
): Promise<Uint8Array> {
  const template = await Deno.readTextFile(new URL("portable_header.sh", import.meta.url));
  const digest = await crypto.subtle.digest("SHA-256", archive);
  const hash = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
  const bytes = async (path: string) => String((await Deno.stat(path)).size);
  const [denoBytes, dksBytes] = [await bytes(files.deno), await bytes(files["dks.js"])];
  const fill = (skip: string) =>
    template.replace("@DENO_BYTES@", denoBytes).replace("@DKS_BYTES@", dksBytes)
      .replace("@HASH@", hash).replace("@SKIP@", skip).replace(
        "@FLAGS@",
        [...RUN_FLAGS, ...access].join(" "),
      );
  // `tail -c +N` begins with byte N, counted from 1. Leading zeros keep the length the same.
  const width = 8;
  const skip = String(fill("0".repeat(width)).length + 1).padStart(width, "0");
  const header = new TextEncoder().encode(fill(skip));
  const whole = new Uint8Array(header.length + archive.length);
  whole.set(header);
  whole.set(archive, header.length);
  return whole;
}
