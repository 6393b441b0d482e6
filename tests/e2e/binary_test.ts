/** The program in one file, as a user gets it: copied somewhere, with nothing around it. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../src/version.ts";
import { binaryPath } from "../harness/binary.ts";
import { execute } from "../harness/processes.ts";

/** What is on every system, and no Deno. */
const PLAIN_PATH = "/usr/bin:/bin";

async function withEmptyFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-empty-" });
  try {
    await Deno.mkdir(`${folder}/home`);
    await Deno.copyFile(await binaryPath(), `${folder}/dks`);
    await Deno.chmod(`${folder}/dks`, 0o755);
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
}

function environment(folder: string): Record<string, string> {
  return { HOME: `${folder}/home`, PATH: PLAIN_PATH };
}

Deno.test("the binary runs in an empty folder with an empty HOME, started four times at once", async () => {
  await withEmptyFolder(async (folder) => {
    const env = environment(folder);
    const starts = Array.from({ length: 4 }, () => {
      return execute("./dks", ["--version"], { env, cwd: folder });
    });
    for (const ended of await Promise.all(starts)) {
      assertEquals(ended.stderr, "");
      assertEquals([ended.code, ended.stdout], [0, `dks ${VERSION}\n`]);
    }
    const again = await execute("./dks", ["--version"], { env, cwd: folder });
    assertEquals(again.stdout, `dks ${VERSION}\n`);
    const left = await namesIn(`${folder}/home/.cache/dks`);
    assertEquals(left.length, 1, `only the unpacked program is left: ${left.join(" ")}`);
  });
});

Deno.test("the binary has no permission but the network", async () => {
  await withEmptyFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/operations.csv`, "PUT,a,b\n");
    const ended = await execute("./dks", ["client", "run", "operations.csv"], {
      env: environment(folder),
      cwd: folder,
    });
    assertEquals(ended.code, 2);
    assertEquals(
      ended.stderr,
      'dks: dks may use the network and no files, so it cannot open "operations.csv": ' +
        "dks client run < operations.csv\n",
    );
  });
});

Deno.test("a damaged binary says so, and leaves nothing behind", async () => {
  await withEmptyFolder(async (folder) => {
    const file = await Deno.open(`${folder}/dks`, { read: true, write: true });
    await file.seek(-1000, Deno.SeekMode.End);
    await file.write(new Uint8Array(100));
    file.close();
    const ended = await execute("./dks", ["--version"], { env: environment(folder), cwd: folder });
    if (ended.code === 0) return; // Made by deno compile: the damage is somewhere else in it.
    assertMatch(
      ended.stderr,
      /^dks: .*\/dks is damaged: its archive has the hash [0-9a-f]{64}, not/,
    );
    assertEquals(await namesIn(`${folder}/home/.cache/dks`), []);
  });
});

/** Returns what the header of a portable file has for `pattern`; `undefined` in any other binary. */
async function headerOf(path: string, pattern: RegExp): Promise<string | undefined> {
  const head = new TextDecoder().decode((await Deno.readFile(path)).subarray(0, 10_000));
  return pattern.exec(head)?.[1];
}

Deno.test({
  name: "the portable file runs nothing that somebody else could have written",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withEmptyFolder(async (folder) => {
      const hash = await headerOf(`${folder}/dks`, /^hash=([0-9a-f]{64})$/m);
      const bytes = await headerOf(`${folder}/dks`, /\/deno"\)" -eq "(\d+)"/);
      const scriptBytes = await headerOf(`${folder}/dks`, /\/dks.js"\)" -eq "(\d+)"/);
      if (hash === undefined) return; // Made by deno compile: it unpacks nothing.
      const temp = `${folder}/temp`;
      await Deno.mkdir(temp);
      const names = [`cache-${Deno.uid()}/dks`, `dks-${Deno.uid()}`];
      for (const name of names) {
        const home = `${temp}/${name}/${hash}`;
        await Deno.mkdir(home, { recursive: true });
        await Deno.writeFile(`${home}/dks.js`, new Uint8Array(Number(scriptBytes)));
        await Deno.writeTextFile(`${home}/deno`, "#!/bin/sh\necho planted\nexit\n", {
          mode: 0o755,
        });
        await Deno.truncate(`${home}/deno`, Number(bytes)); // As long as the real one.
        await Deno.chmod(`${temp}/${name}`, 0o777);
      }
      const env = { TMPDIR: temp, PATH: PLAIN_PATH };
      const ended = await execute("./dks", ["--version"], { env, cwd: folder });
      assertEquals([ended.code, ended.stdout, ended.stderr], [0, `dks ${VERSION}\n`, ""]);
    });
  },
});

Deno.test({
  name: "the portable file says in one line what it lacks",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withEmptyFolder(async (folder) => {
      if (await headerOf(`${folder}/dks`, /^hash=([0-9a-f]{64})$/m) === undefined) return;
      const tools = `${folder}/tools`;
      await Deno.mkdir(tools);
      for (const tool of ["find", "gzip", "id", "mkdir", "mktemp", "sh", "wc"]) {
        const { stdout } = await execute("sh", ["-c", `command -v ${tool}`]);
        await Deno.symlink(stdout.trim(), `${tools}/${tool}`);
      }
      const env = { HOME: `${folder}/home`, PATH: tools };
      const ended = await execute("./dks", ["--version"], { env, cwd: folder });
      assertEquals(ended.code, 1);
      assertMatch(ended.stderr, /^dks: .*\/dks cannot be unpacked: there is no tar\n$/);
    });
  },
});

Deno.test("the binary says how it is used", async () => {
  const dks = await binaryPath();
  const help = await execute(dks, ["--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "dks serve -p 5000 --peers n1,n2,n3");
  for (const command of ["serve", "client"]) {
    const ended = await execute(dks, [command, "--help"]);
    assertEquals([ended.code, ended.stderr], [0, ""]);
    for (const line of ended.stdout.split("\n")) assertEquals(line.length <= 100, true, line);
  }
  const nothing = await execute(dks, []);
  assertEquals([nothing.code, nothing.stdout], [2, ""]);
  assertMatch(nothing.stderr, /^dks: say serve or client; [^\n]*\n$/);
  const wrong = await execute(dks, ["sevre"]);
  assertEquals(wrong.code, 2);
  assertMatch(wrong.stderr, /^dks: no command "sevre": [^\n]*\n$/);
});
