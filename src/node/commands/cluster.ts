/**
 * Commands of Redis Cluster: they answer as a Redis does that is none. A client goes on without it then.
 *
 * @module
 */

import { error } from "./arguments.ts";
import { type CommandResult, type CommandRow, NO_KEYS } from "./command.ts";

function disabled(): CommandResult {
  return error("This instance has cluster support disabled");
}

/** What all commands of this family have. */
const ROW = {
  group: "cluster",
  flags: ["loading", "stale", "fast"],
  categories: ["connection"],
  keys: NO_KEYS,
  since: "3.0.0",
  differs: "the error of a Redis without cluster support",
  run: disabled,
} as const;

export const CLUSTER: readonly CommandRow[] = [
  {
    ...ROW,
    name: "cluster",
    categories: [],
    arity: -2,
    flags: ["loading", "stale"],
    summary: "Says that this is no Redis Cluster",
    syntax: "subcommand [arg [arg ...]]",
  },
  {
    ...ROW,
    name: "readonly",
    arity: 1,
    summary: "Says that this is no Redis Cluster",
    syntax: "",
  },
  {
    ...ROW,
    name: "readwrite",
    arity: 1,
    summary: "Says that this is no Redis Cluster",
    syntax: "",
  },
  { ...ROW, name: "asking", arity: 1, summary: "Says that this is no Redis Cluster", syntax: "" },
];
