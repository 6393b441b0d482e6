/** The tasks that take arguments: none begins with what it was not asked for. */

import { assertEquals, assertMatch } from "@std/assert";
import { execute } from "./harness/processes.ts";

const ROOT = new URL("../", import.meta.url);

const SCRIPTS = [
  "scripts/cluster.ts",
  "scripts/compile.ts",
  "scripts/faults.ts",
  "tests/bench/main.ts",
  "tests/bench/expiry.ts",
  "tests/bench/transfer.ts",
];

for (const script of SCRIPTS) {
  Deno.test(`${script} prints its usage, and refuses what it does not know`, async () => {
    const run = (argument: string) =>
      execute(Deno.execPath(), [
        ...["run", "--allow-all", "--quiet", "--no-check"],
        new URL(script, ROOT).pathname,
        argument,
      ]);
    const [help, unknown] = await Promise.all([run("--help"), run("--nonsense")]);
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, /^usage: deno /);
    assertEquals([unknown.code, unknown.stdout], [2, ""]);
    assertMatch(unknown.stderr, /^there is no argument "--nonsense"\nusage: deno /);
  });
}
