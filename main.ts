/**
 * dks: a distributed key store in one program, `serve` for a node and `client` to talk to one.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import * as log from "@std/log";
import { client } from "./src/client/client.ts";
import { FatalError, messageOf, UsageError } from "./src/errors.ts";
import { serve } from "./src/node/serve.ts";
import { ClosedPipeError, StreamError, writeNote, writeOutput } from "./src/standard_streams.ts";
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
      await writeOutput(`dks ${VERSION}\n`);
      return 0;
    case "--help":
    case "-h":
      await writeOutput(HELP);
      return 0;
    case undefined:
      throw new UsageError("say serve or client; dks --help tells more");
    default:
      throw new UsageError(`no command "${command}": say serve or client; dks --help tells more`);
  }
}

/** How long the process waits at its end for somebody to read what it says, in milliseconds. */
const LAST_WORDS_MS = 200;

/** Writes to standard error. A pipe that nobody reads keeps no process from ending. */
async function complain(text: string): Promise<void> {
  await Promise.race([writeNote(text), delay(LAST_WORDS_MS)]);
}

/** Says why the program cannot continue. Returns the exit code. */
async function fail(error: unknown): Promise<number> {
  if (error instanceof ClosedPipeError) return 1;
  if (error instanceof UsageError || error instanceof FatalError || error instanceof StreamError) {
    await complain(`dks: ${messageOf(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
  const stack = error instanceof Error ? error.stack ?? error.message : String(error);
  await complain(`dks: an internal error: ${stack}\n`);
  return 1;
}

if (import.meta.main) {
  const code = await main(Deno.args).finally(() => log.flush(LAST_WORDS_MS)).catch(fail);
  Deno.exit(code);
}
