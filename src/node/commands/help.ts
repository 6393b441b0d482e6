/**
 * HELP, which every command has that has subcommands.
 *
 * @module
 */

import { SimpleString } from "../../resp/value.ts";
import { reply } from "./arguments.ts";
import type { CommandRow } from "./command.ts";

/** Returns the subcommands of `name` with one more: HELP, which lists them as Redis does. */
export function withHelp(name: string, rows: readonly CommandRow[]): readonly CommandRow[] {
  const [like] = rows;
  if (like === undefined) throw new Error(`${name} has no subcommands`);
  const { group, categories, keys } = like;
  const lines = [
    `${name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...rows.flatMap((row) => {
      const subcommand = row.name.slice(name.length + 1).toUpperCase();
      return [`${subcommand} ${row.syntax}`.trimEnd(), `    ${row.summary}.`];
    }),
    "HELP",
    "    Prints this help.",
  ];
  const help: CommandRow = {
    group,
    categories,
    keys: { ...keys, first: 0, last: 0, step: 0 },
    name: `${name}|help`,
    arity: 2,
    flags: ["loading", "stale"],
    summary: "Lists the subcommands",
    syntax: "",
    since: "5.0.0",
    run: () => reply(lines.map((line) => new SimpleString(line))),
  };
  return [...rows, help];
}
