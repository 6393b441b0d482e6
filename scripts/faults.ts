// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task faults`: nodes under a steady load, and everything that may befall them, also while the
 * list of nodes changes.
 *
 * Makes six machines (network namespaces; needs root and `ip`), runs `fault_cases.ts` where all of
 * them can be reached, and takes everything away again. Without root the nodes stand side by side at
 * the loopback address, and the faults of the network are left out.
 *
 *     deno task faults [--write] [--only WORDS] [--verbose]
 *
 * `--write` puts the tables into `docs/faults.md`; `--only` takes the cases whose name contains WORDS
 * (the names of those that change the list begin with "members: "); `--verbose` shows what the nodes print.
 *
 * @module
 */

import { binaryPath } from "../tests/harness/binary.ts";
import { canMakeNamespaces, TestNetwork } from "../tests/harness/namespaces.ts";
import { type FaultsSetup, MACHINES } from "../tests/harness/machines.ts";
import { taskArguments } from "../tests/harness/task_arguments.ts";

const args = taskArguments("deno task faults [--write] [--only WORDS] [--verbose]", {
  boolean: ["write", "verbose"],
  string: ["only"],
  default: { only: "" },
});
const dks = await binaryPath();
const hasNetwork = await canMakeNamespaces();
if (!hasNetwork) {
  console.log("without root and ip: all nodes at the loopback address, no faults of the network\n");
}
const folder = await Deno.makeTempDir({ prefix: "dks-faults-" });
const network = hasNetwork ? await TestNetwork.create(MACHINES) : undefined;
try {
  const setup: FaultsSetup = {
    dks,
    folder,
    network: network === undefined ? undefined : { ...network },
    isWritten: args["write"] === true,
    only: String(args["only"]),
    isVerbose: args["verbose"] === true,
  };
  Deno.exitCode = await runInside(setup);
} finally {
  await network?.remove();
  await Deno.remove(folder, { recursive: true });
}

/** Runs the cases where clients are. Returns the exit code. */
async function runInside(setup: FaultsSetup): Promise<number> {
  const file = new URL("../tests/harness/fault_cases.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "--allow-all", "--quiet", file, JSON.stringify(setup)];
  const [program = "", ...rest] = setup.network === undefined
    ? deno
    : ["ip", "netns", "exec", setup.network.hub, ...deno];
  const process = new Deno.Command(program, { args: rest, stdin: "null" }).spawn();
  // It ends its nodes, and then itself; only then is the network taken away.
  const stop = () => process.kill("SIGTERM");
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    return (await process.status).code;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}
