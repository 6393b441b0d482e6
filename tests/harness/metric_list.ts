/**
 * The list of metrics in `docs/metrics.md`.
 *
 * @module
 */

import { METRICS } from "../../src/node/admin/metrics.ts";

const LIST_BEGIN = "<!-- metrics: written by scripts/metrics.ts -->";
const LIST_END = "<!-- end of metrics -->";

/** Returns `document` with the list as it must be, before it is formatted. */
export function withMetricList(document: string): string {
  const begin = document.indexOf(LIST_BEGIN);
  const end = document.indexOf(LIST_END);
  if (begin < 0 || end < begin) throw new Error("the document has no place for the list");
  const rows = METRICS.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`);
  const table = ["| metric | type | what it says |", "| --- | --- | --- |", ...rows].join("\n");
  return `${document.slice(0, begin)}${LIST_BEGIN}\n\n${table}\n\n${document.slice(end)}`;
}
