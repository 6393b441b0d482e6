/**
 * The flags that the program runs with: the same compiled, portable, and from the source.
 *
 * @module
 */

/** May use the network and nothing else, and never asks for more. */
const PERMISSIONS: readonly string[] = ["--allow-net", "--no-prompt"];

/**
 * The young generation of the heap: what a write allocates lives for a few milliseconds; with the
 * engine's own choice of 16 MB much of it is copied, and then lives for long, before it dies.
 *
 * The old generation: all keys and values, in MB. The engine's own choice is 4 GB at the most,
 * however large the machine is. It is fixed when the program is compiled.
 */
const V8_FLAGS =
  "--v8-flags=--min-semi-space-size=32,--max-semi-space-size=64,--max-old-space-size=16384";

/** The embedded store, which holds the journal. From the source, `deno.json` asks for it. */
const UNSTABLE = "--unstable-kv";

/** Flags of `deno compile`. The name is that of the program's own storage. */
export const COMPILE_FLAGS: readonly string[] = [
  ...PERMISSIONS,
  V8_FLAGS,
  UNSTABLE,
  "--app-name",
  "dks",
];

/** Flags of `deno run` for the bundled program, which needs nothing from anywhere. */
export const RUN_FLAGS: readonly string[] = [
  ...PERMISSIONS,
  V8_FLAGS,
  UNSTABLE,
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--quiet",
];

/** Flags of `deno run` for the program from its source. */
export const SOURCE_FLAGS: readonly string[] = [...PERMISSIONS, V8_FLAGS, "--quiet"];
