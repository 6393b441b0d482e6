// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * Runs a Deno command with the standard library's own modules, as `import_map.jsr.json` names them,
 * instead of the npm package that republishes them: `with_originals.ts check main.ts`.
 *
 * The declarations of `types/deno_std.d.ts` are left out then, so that the code is checked against
 * the types of the originals.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url);
const [command, ...args] = Deno.args;
if (command === undefined) {
  console.error("usage: with_originals.ts COMMAND [ARGUMENT...], such as check main.ts");
  Deno.exit(2);
}

const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
const { imports } = JSON.parse(await Deno.readTextFile(new URL("import_map.jsr.json", ROOT)));
// Beside deno.json, as its paths are relative to itself.
const file = new URL("deno.originals.json", ROOT);
await Deno.writeTextFile(
  file,
  JSON.stringify({
    ...config,
    imports,
    lock: false,
    compilerOptions: { ...config.compilerOptions, types: [] },
  }),
);
try {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [command, "--config", file.pathname, ...args],
    cwd: ROOT,
  }).spawn().status;
  Deno.exitCode = code;
} finally {
  await Deno.remove(file);
}
