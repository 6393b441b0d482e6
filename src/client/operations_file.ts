/**
 * The operations file of the original program: one operation a line, in CSV.
 *
 * ```csv
 * PUT,key,value
 * GET,key
 * DELETE,key
 * ```
 *
 * Operations are case-insensitive. Anything after the key of a GET or a DELETE is ignored; so are
 * empty lines. A field with a comma or a quote in it must be in double quotes.
 *
 * @module
 */

import { parse } from "@std/csv/parse";
import { type ByteString, fromText } from "../byte_string.ts";
import { messageOf } from "../errors.ts";

/** The names of the operations. */
export const OPERATION_NAMES = ["PUT", "GET", "DELETE"] as const;

/** The name of an operation. */
export type OperationName = typeof OPERATION_NAMES[number];

/** One operation. */
export interface Operation {
  readonly name: OperationName;
  readonly key: ByteString;
  /** The value of a PUT. */
  readonly value: ByteString;
}

/** A line that is not an operation. */
export interface BadLine {
  /** Counted from 1. */
  readonly line: number;
  readonly reason: string;
}

/** Returns the operations of a file, and the lines that are not operations. */
export function parseOperations(text: string): { operations: Operation[]; bad: BadLine[] } {
  const operations: Operation[] = [];
  const bad: BadLine[] = [];
  text.split("\n").forEach((line, index) => {
    const trimmed = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (trimmed.trim() === "") return;
    const operation = parseLine(index === 0 ? trimmed.replace(/^\uFEFF/, "") : trimmed);
    if (typeof operation === "string") bad.push({ line: index + 1, reason: operation });
    else operations.push(operation);
  });
  return { operations, bad };
}

/** Returns the operation, or why the line is not one. */
function parseLine(line: string): Operation | string {
  const fields = parseFields(line);
  if (typeof fields === "string") return fields;
  const [word = "", key, value, ...rest] = fields;
  const name = OPERATION_NAMES.find((known) => known === word.trim().toUpperCase());
  if (name === undefined) return `"${word}" is not PUT, GET or DELETE`;
  if (key === undefined || key === "") return `${name} needs a key`;
  if (name !== "PUT") return { name, key: fromText(key), value: "" };
  if (value === undefined) return "PUT needs a value";
  if (rest.length > 0) {
    return `PUT has ${fields.length} fields, not 3: put a value with commas in double quotes`;
  }
  return { name, key: fromText(key), value: fromText(value) };
}

function parseFields(line: string): string[] | string {
  try {
    return parse(line)[0] ?? [];
  } catch (error) {
    // The parser counts lines and columns within its input, which is this one line.
    return `no CSV: ${messageOf(error).replace(/^.*column \d+: /, "")}`;
  }
}
