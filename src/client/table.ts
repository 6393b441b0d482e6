/**
 * Tables of text.
 *
 * @module
 */

import { bold, stripAnsiCode } from "@std/fmt/colors";

/** How a column is aligned. */
export type Alignment = "left" | "right";

/**
 * Returns a table with a heading and aligned columns, two blanks between them, a line break after
 * each row.
 *
 * @param rows each as long as `heading`
 * @param columnsMax how wide it may be: last columns are left out for that, but never the first two
 */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[],
  columnsMax: number = Infinity,
): string {
  const widths = heading.map((title, column) =>
    Math.max(widthOf(title), ...rows.map((row) => widthOf(row[column] ?? "")))
  );
  const count = countThatFits(widths, columnsMax);
  const format = (row: readonly string[]) =>
    row.slice(0, count).map((cell, column) => {
      const padding = " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
      return alignments[column] === "right" ? padding + cell : cell + padding;
    }).join("  ").trimEnd();
  return [bold(format(heading)), ...rows.map(format)].map((line) => `${line}\n`).join("");
}

/** A cut number would be another number: so whole columns are left out. */
function countThatFits(widths: readonly number[], columnsMax: number): number {
  let count = widths.length;
  const total = () => widths.slice(0, count).reduce((sum, width) => sum + width + 2, -2);
  while (count > 2 && total() > columnsMax) count--;
  return count;
}

/** Returns how many columns `cell` takes: cells are addresses, words and numbers, so one a character. */
function widthOf(cell: string): number {
  return stripAnsiCode(cell).length;
}

/** Returns `value` with three significant digits or more, and no more decimals than that takes. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const magnitude = Math.abs(value);
  if (magnitude >= 100 || value === 0) return Math.round(value).toLocaleString("en-US");
  if (magnitude >= 10) return value.toFixed(1);
  if (magnitude >= 1) return value.toFixed(2);
  return value.toFixed(3);
}
