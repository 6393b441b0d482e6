/**
 * dks: a distributed key store in one program, `serve` for a node and `client` to talk to one.
 *
 * @module
 */

import { client } from "./src/client/client.ts";
import { FatalError, messageOf, UsageError } from "./src/errors.ts";
import { serve } from "./src/node/serve.ts";
import { VERSION } from "./src/version.ts";

const HELP = `dks ${VERSION}: a distributed key store

usage: dks serve -p 5000 --peers n1,n2,n3     run one node of a cluster
       dks client -s n1 -p 5000               talk to a cluster
       dks serve --help, dks client --help    the options of each
       dks --version
`;

/** Runs the program. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case "serve":
      await serve(rest);
      return 0;
    case "client":
      return await client(rest);
    case "--version":
    case "-V":
      await print(`dks ${VERSION}\n`);
      return 0;
    case "--help":
    case "-h":
      await print(HELP);
      return 0;
    case undefined:
      throw new UsageError("say serve or client; dks --help tells more");
    default:
      throw new UsageError(`no command "${command}": say serve or client; dks --help tells more`);
  }
}

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(text));
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof FatalError)) throw error;
    await Deno.stderr.write(new TextEncoder().encode(`dks: ${messageOf(error)}\n`));
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
