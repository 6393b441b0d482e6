/**
 * The list of metrics in `docs/metrics.md`.
 *
 * @module
 */

import { METRICS } from "../../src/node/admin/metrics.ts";

/** Returns the table of all metrics, before it is formatted. */
export function metricList(): string {
  const rows = METRICS.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`);
  return ["| metric | type | what it says |", "| --- | --- | --- |", ...rows].join("\n");
}
