/**
 * The flags that the program runs with: the same compiled, portable, and from the source.
 *
 * @module
 */

/** May use the network and nothing else, and never asks for more. */
const PERMISSIONS: readonly string[] = ["--allow-net", "--no-prompt"];

/** Flags of `deno compile`. The name is that of the program's own storage. */
export const COMPILE_FLAGS: readonly string[] = [...PERMISSIONS, "--app-name", "dks"];

/** Flags of `deno run` for the bundled program, which needs nothing from anywhere. */
export const RUN_FLAGS: readonly string[] = [
  ...PERMISSIONS,
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--quiet",
];
