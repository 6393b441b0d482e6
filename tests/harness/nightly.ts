/**
 * Whether the tests may take long: `deno task nightly` sets `DKS_NIGHTLY=1`.
 *
 * @module
 */

/** More seeds, more rounds, and more data than `deno task ok` has the time for. */
export const IS_NIGHTLY = Deno.env.get("DKS_NIGHTLY") === "1";
