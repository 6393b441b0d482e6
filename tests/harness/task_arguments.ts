// deno-lint-ignore-file no-console -- scripts talk to people
/**
 * The arguments of a task: what it does not know is refused, before it has done anything.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";

/** Which options there are; as those of `parseArgs`. */
interface Options {
  readonly string?: readonly string[];
  readonly boolean?: readonly string[];
  readonly default?: Readonly<Record<string, unknown>>;
}

/**
 * Returns the value of each option. Prints the usage and ends the process for `--help` (with 0), and for
 * anything else that is none of `options` (with 2).
 */
export function taskArguments(usage: string, options: Options): Readonly<Record<string, unknown>> {
  return parseArgs([...Deno.args], {
    ...options,
    unknown: (argument) => {
      const isHelp = argument === "--help" || argument === "-h";
      if (isHelp) console.log(`usage: ${usage}`);
      else console.error(`there is no argument "${argument}"\nusage: ${usage}`);
      Deno.exit(isHelp ? 0 : 2);
    },
  });
}
